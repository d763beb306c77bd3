/* SPDX-License-Identifier: Apache-2.0
 *
 * Every line of test/data/base/gotext_vectors.txt was printed by a Go program: a function, its
 * arguments, the input in hex, and the result or the error's text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/gotext.h"
#include "base/utf8.h"

enum { WORDS_MAX = 8, LINE_MAX_BYTES = 4096 };

static const char *vectors_path = TEST_DATA "/gotext_vectors.txt";

static int hex_digit(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

/* In memory of exactly that size, so that a sanitizer sees a read too far. */
static struct slice from_hex(const char *hex)
{
    size_t len = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
    uint8_t *p = malloc(len == 0 ? 1 : len);
    assert_non_null(p);
    for (size_t i = 0; i < len; i++) {
        p[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    }
    return slice_make(p, len);
}

static void slice_free(struct slice s)
{
    free((void *)(uintptr_t)s.data);
}

/* One line: words[0] the function, in the input; the result goes to out, an error's text too. */
typedef int (*vector_fn)(char **words, struct slice in, struct buf *out);

static int run_int(char **words, struct slice in, struct buf *out)
{
    int64_t v;
    int err = gotext_parse_int(in, atoi(words[1]), atoi(words[2]), &v);
    if (err != 0) {
        gotext_num_error(out, "ParseInt", in, err);
    } else {
        buf_printf(out, "%" PRId64, v);
    }
    return err;
}

static int run_uint(char **words, struct slice in, struct buf *out)
{
    uint64_t v;
    int err = gotext_parse_uint(in, atoi(words[1]), atoi(words[2]), &v);
    if (err != 0) {
        gotext_num_error(out, "ParseUint", in, err);
    } else {
        buf_printf(out, "%" PRIu64, v);
    }
    return err;
}

static int run_bool(char **words, struct slice in, struct buf *out)
{
    bool v;
    int err = gotext_parse_bool(in, &v);
    (void)words;
    if (err != 0) {
        gotext_num_error(out, "ParseBool", in, err);
    } else {
        buf_append_cstr(out, v ? "true" : "false");
    }
    return err;
}

static int run_dur(char **words, struct slice in, struct buf *out)
{
    int64_t ns;
    int err = gotext_parse_duration(in, &ns);
    (void)words;
    gotext_duration_error(out, in);
    assert_int_equal(err == 0, out->len == 0);
    if (err == 0) {
        buf_printf(out, "%" PRId64, ns);
    }
    return err;
}

static int run_quote(char **words, struct slice in, struct buf *out)
{
    (void)words;
    gotext_quote(out, in);
    return 0;
}

static int run_json(char **words, struct slice in, struct buf *out)
{
    (void)words;
    gotext_json_string(out, in);
    return 0;
}

static int run_b64(char **words, struct slice in, struct buf *out)
{
    struct buf back = BUF_INIT;
    (void)words;
    gotext_base64(out, in);
    assert_int_equal(gotext_base64_decode(buf_slice(out), &back), 0);
    assert_true(slice_equal(buf_slice(&back), in));
    buf_deinit(&back);
    return 0;
}

static int run_b64d(char **words, struct slice in, struct buf *out)
{
    (void)words;
    return gotext_base64_decode(in, out);
}

static int run_unquote(char **words, struct slice in, struct buf *out)
{
    (void)words;
    return gotext_unquote(in, out);
}

static int run_prefix(char **words, struct slice in, struct buf *out)
{
    size_t len;
    int err = gotext_quoted_prefix(in, &len);
    (void)words;
    if (err == 0) {
        buf_append(out, in.data, len);
    }
    return err;
}

static int run_size(char **words, struct slice in, struct buf *out)
{
    (void)in;
    gotext_size(out, strtoull(words[1], NULL, 10));
    return 0;
}

static double float_word(const char *word)
{
    uint64_t bits = strtoull(word, NULL, 16);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static int run_float(char **words, struct slice in, struct buf *out)
{
    (void)in;
    gotext_float(out, float_word(words[1]));
    return 0;
}

static int run_jfloat(char **words, struct slice in, struct buf *out)
{
    (void)in;
    gotext_json_float(out, float_word(words[1]));
    return 0;
}

static const struct {
    const char *name;
    vector_fn run;
    bool has_error_text;
    bool has_input;
} functions[] = {
    {"int", run_int, true, true},          {"uint", run_uint, true, true},
    {"bool", run_bool, true, true},        {"dur", run_dur, true, true},
    {"quote", run_quote, false, true},     {"json", run_json, false, true},
    {"b64", run_b64, false, true},         {"b64d", run_b64d, false, true},
    {"unquote", run_unquote, false, true}, {"prefix", run_prefix, false, true},
    {"size", run_size, false, false},      {"float", run_float, false, false},
    {"jfloat", run_jfloat, false, false},
};

static bool check(size_t f, char **words, int count)
{
    struct buf out = BUF_INIT;
    bool want_ok = strcmp(words[count - 2], "ok") == 0;
    struct slice want = from_hex(words[count - 1]);
    struct slice in = functions[f].has_input ? from_hex(words[count - 4]) : from_hex("-");
    int err = functions[f].run(words, in, &out);
    bool good = (err == 0) == want_ok;
    if (good && (want_ok || functions[f].has_error_text)) {
        good = slice_equal(buf_slice(&out), want);
    }
    if (good && !want_ok && !functions[f].has_error_text) {
        good = out.len == 0;
    }
    if (!good) {
        print_error("%s %s: got %d `%s`, want `%.*s`\n", words[0], words[count - 4], err,
                    buf_cstr(&out), (int)want.len, (const char *)want.data);
    }
    slice_free(in);
    slice_free(want);
    buf_deinit(&out);
    return good;
}

static void test_vectors(void **state)
{
    (void)state;
    static char line[LINE_MAX_BYTES];
    int bad = 0, lines = 0;
    FILE *file = fopen(vectors_path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        char *words[WORDS_MAX];
        int count = 0;
        if (line[0] == '#') {
            continue;
        }
        for (char *w = strtok(line, " \n"); w != NULL && count < WORDS_MAX;
             w = strtok(NULL, " \n")) {
            words[count++] = w;
        }
        for (size_t f = 0; f < ARRAY_LEN(functions); f++) {
            if (strcmp(words[0], functions[f].name) == 0) {
                bad += !check(f, words, count);
                lines++;
            }
        }
    }
    (void)fclose(file);
    assert_true(lines > 2000);
    assert_int_equal(bad, 0);
}

static void test_out_untouched(void **state)
{
    (void)state;
    int64_t v = 7;
    uint64_t u = 8;
    bool b = true;
    assert_int_equal(gotext_parse_int(SLICE_LIT("128"), 10, 8, &v), ERR_TOO_LARGE);
    assert_int_equal(gotext_parse_int(SLICE_LIT("12x"), 10, 8, &v), ERR_MALFORMED);
    assert_int_equal(gotext_parse_uint(SLICE_LIT("-1"), 10, 8, &u), ERR_MALFORMED);
    assert_int_equal(gotext_parse_bool(SLICE_LIT("on"), &b), ERR_MALFORMED);
    assert_int_equal(gotext_parse_duration(SLICE_LIT("1"), &v), ERR_MALFORMED);
    assert_true(v == 7 && u == 8 && b);
}

static void test_utf8_round_trip(void **state)
{
    (void)state;
    for (uint32_t r = 0; r <= 0x110000; r++) {
        uint8_t b[UTF8_BYTES_MAX];
        uint32_t back;
        size_t n = utf8_encode(b, r);
        bool is_rune = r <= 0x10ffff && (r < 0xd800 || r > 0xdfff);
        assert_int_equal(utf8_decode(b, n, &back), n);
        assert_int_equal(back, is_rune ? r : (uint32_t)UTF8_ERROR_RUNE);
        assert_int_equal(n > 1 ? utf8_decode(b, n - 1, &back) : 0, 0);
    }
}

/* With an argument: another file of vectors. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_out_untouched),
        cmocka_unit_test(test_utf8_round_trip),
    };
    if (argc > 1) {
        vectors_path = argv[1];
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
