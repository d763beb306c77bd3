/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ctl_txn.h"

#include "cmd/ctl_kv_req.h"
#include "cmd/ctl_rc.h"
#include "cmd/print_text.h"

void ctl_fail_init(struct ctl_fail *f)
{
    *f = (struct ctl_fail){.text = BUF_INIT, .before = BUF_INIT};
}

void ctl_fail_deinit(struct ctl_fail *f)
{
    buf_deinit(&f->text);
    buf_deinit(&f->before);
}

int ctl_fail(struct ctl_fail *f, int rc, const char *fmt, ...)
{
    va_list ap;
    f->rc = rc;
    buf_clear(&f->text);
    va_start(ap, fmt);
    buf_vprintf(&f->text, fmt, ap);
    va_end(ap);
    return rc;
}

static int fail_line(struct ctl_fail *f, const char *what, struct slice line)
{
    (void)ctl_fail(f, CTL_RC_INVALID_INPUT, "%s", what);
    buf_append_slice(&f->text, line);
    return CTL_RC_INVALID_INPUT;
}

bool ctl_txn_line(struct slice *in, struct slice *out_line)
{
    const uint8_t *end = in->len == 0 ? NULL : memchr(in->data, '\n', in->len);
    if (end == NULL) {
        return false;
    }
    size_t n = (size_t)(end - in->data);
    *out_line = text_trim(slice_make(in->data, n));
    *in = slice_skip(*in, n + 1);
    return true;
}

/* ---- words
 * --------------------------------------------------------------------------------------- */

static bool is_word_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

/* Length of the quoted literal that s begins with, both quotes included; 0 when it has no end. */
static size_t quoted_len(struct slice s)
{
    uint8_t quote = s.data[0];
    for (size_t i = 1; i < s.len; i++) {
        if (s.data[i] == quote) {
            return i + 1;
        }
        if (quote == '"' && s.data[i] == '\\') {
            i++;
        }
    }
    return 0;
}

/* The text of a Go literal ("..." or `...`) in the arena; bad UTF-8 becomes U+FFFD, as when Go
 * scans it. */
static bool literal(struct slice quoted, struct arena *a, struct slice *out)
{
    struct buf clean = BUF_INIT;
    struct buf text = BUF_INIT;
    for (size_t at = 0; at < quoted.len;) {
        uint32_t rune;
        bool is_ok;
        at += text_rune(slice_skip(quoted, at), &rune, &is_ok);
        text_append_rune(&clean, rune);
    }
    bool is_good = gotext_unquote(buf_slice(&clean), &text) == 0;
    if (is_good) {
        *out = slice_make(
            arena_strndup(a, text.data == NULL ? "" : (const char *)text.data, text.len), text.len);
    }
    buf_deinit(&clean);
    buf_deinit(&text);
    return is_good;
}

int ctl_words(struct slice line, struct arena *a, struct slice *out, size_t max, size_t *out_count,
              struct ctl_fail *fail)
{
    size_t count = 0;
    while (line.len > 0) {
        uint8_t c = line.data[0];
        bool is_quote = c == '"' || c == '\'';
        size_t n = is_quote ? quoted_len(line) : 0;
        if (is_word_blank(c) || (is_quote && n == 0)) {
            line = slice_skip(line, 1); /* a quote without its partner is dropped */
            continue;
        }
        if (count == max) {
            return ctl_fail(fail, CTL_RC_INVALID_INPUT, "too many words");
        }
        while (!is_quote && n < line.len && !is_word_blank(line.data[n])) {
            n++;
        }
        out[count] = slice_make(line.data, n);
        if (c == '\'') {
            out[count] = slice_make(line.data + 1, n - 2);
        } else if (c == '"' && !literal(slice_make(line.data, n), a, &out[count])) {
            return ctl_fail(fail, CTL_RC_INVALID_INPUT, "invalid syntax");
        }
        count++;
        line = slice_skip(line, n);
    }
    *out_count = count;
    return 0;
}

/* ---- compares
 * ------------------------------------------------------------------------------------ */

static size_t blank_at(struct slice s)
{
    uint32_t rune;
    bool is_ok;
    if (s.len == 0) {
        return 0;
    }
    size_t n = text_rune(s, &rune, &is_ok);
    return is_ok && text_is_space(rune) ? n : 0;
}

static struct slice skip_blanks(struct slice s)
{
    size_t n;
    while ((n = blank_at(s)) > 0) {
        s = slice_skip(s, n);
    }
    return s;
}

/* Takes a quoted literal from the front of *s. */
static bool take_literal(struct slice *s, struct arena *a, struct slice *out)
{
    *s = skip_blanks(*s);
    if (s->len == 0 || (s->data[0] != '"' && s->data[0] != '`')) {
        return false;
    }
    size_t n = quoted_len(*s);
    if (n == 0 || !literal(slice_make(s->data, n), a, out)) {
        return false;
    }
    *s = slice_skip(*s, n);
    return true;
}

static bool take_word(struct slice *s, struct slice *out)
{
    *s = skip_blanks(*s);
    size_t n = 0;
    while (n < s->len && blank_at(slice_skip(*s, n)) == 0) {
        n++;
    }
    *out = slice_make(s->data, n);
    *s = slice_skip(*s, n);
    return n > 0;
}

/* A blank, or the end of the line. */
static bool take_blank(struct slice *s)
{
    bool is_there = s->len == 0 || blank_at(*s) > 0;
    *s = skip_blanks(*s);
    return is_there;
}

struct compare_text {
    struct slice target;
    struct slice key;
    struct slice op;
    struct slice value;
};

/* Number of parts (key, operator, value) that rest holds: Sscanf("%q) %s %q"). */
static int scan_compare(struct slice rest, struct arena *a, struct compare_text *t)
{
    if (!take_literal(&rest, a, &t->key)) {
        return 0;
    }
    if (rest.len == 0 || rest.data[0] != ')') {
        return 1;
    }
    rest = slice_skip(rest, 1);
    if (!take_blank(&rest) || !take_word(&rest, &t->op)) {
        return 1;
    }
    if (!take_blank(&rest) || !take_literal(&rest, a, &t->value)) {
        return 2;
    }
    return 3;
}

static int fail_scan(struct ctl_fail *fail, struct slice line, const struct compare_text *t)
{
    (void)fail_line(fail, "malformed comparison: ", line);
    buf_append_cstr(&fail->text, "; got ");
    buf_append_slice(&fail->text, t->target);
    buf_append_byte(&fail->text, '(');
    gotext_quote(&fail->text, t->key);
    buf_append_cstr(&fail->text, ") ");
    buf_append_slice(&fail->text, t->op);
    buf_append_byte(&fail->text, ' ');
    gotext_quote(&fail->text, t->value);
    return CTL_RC_INVALID_INPUT;
}

struct target {
    const char *name;
    enum wire_compare_target target;
    uint32_t operand_field;
};

static const struct target *target_find(struct slice name)
{
    static const struct target targets[] = {
        {"ver", WIRE_COMPARE_VERSION, 4}, {"version", WIRE_COMPARE_VERSION, 4},
        {"c", WIRE_COMPARE_CREATE, 5},    {"create", WIRE_COMPARE_CREATE, 5},
        {"m", WIRE_COMPARE_MOD, 6},       {"mod", WIRE_COMPARE_MOD, 6},
        {"val", WIRE_COMPARE_VALUE, 7},   {"value", WIRE_COMPARE_VALUE, 7},
        {"lease", WIRE_COMPARE_LEASE, 8},
    };
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        if (slice_equal_cstr(name, targets[i].name)) {
            return &targets[i];
        }
    }
    return NULL;
}

static bool result_of(struct slice op, int32_t *out)
{
    static const struct {
        const char *op;
        enum wire_compare_result result;
    } ops[] = {{"=", WIRE_EQUAL}, {"!=", WIRE_NOT_EQUAL}, {">", WIRE_GREATER}, {"<", WIRE_LESS}};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (slice_equal_cstr(op, ops[i].op)) {
            *out = (int32_t)ops[i].result;
            return true;
        }
    }
    return false;
}

int ctl_txn_compare(struct slice line, struct arena *a, struct wire_compare *out,
                    struct ctl_fail *fail)
{
    const uint8_t *open = line.len == 0 ? NULL : memchr(line.data, '(', line.len);
    if (open == NULL) {
        return fail_line(fail, "malformed comparison: ", line);
    }
    struct compare_text t = {.target = slice_make(line.data, (size_t)(open - line.data))};
    if (scan_compare(slice_skip(line, t.target.len + 1), a, &t) != 3) {
        return fail_scan(fail, line, &t);
    }
    const struct target *target = target_find(t.target);
    if (target == NULL) {
        (void)fail_line(fail, "malformed comparison: ", line);
        buf_printf(&fail->text, " (unknown target %.*s)", (int)t.target.len,
                   (const char *)t.target.data);
        return CTL_RC_INVALID_INPUT;
    }
    *out = (struct wire_compare){.target = (int32_t)target->target,
                                 .key = t.key,
                                 .operand_field = target->operand_field,
                                 .value = t.value};
    if (target->target != WIRE_COMPARE_VALUE) {
        struct buf ignored = BUF_INIT;
        int base = target->target == WIRE_COMPARE_LEASE ? 16 : 10;
        int err = text_parse_i64(t.value, base, &out->number, &ignored);
        buf_deinit(&ignored);
        out->value = SLICE_NULL;
        if (err != 0) {
            return fail_line(fail, "invalid txn compare request: ", line);
        }
    }
    /* The reference panics on any other operator. */
    if (!result_of(t.op, &out->result)) {
        return fail_line(fail, "malformed comparison: ", line);
    }
    return 0;
}

/* ---- requests
 * ------------------------------------------------------------------------------------ */

static int run_nothing(struct cli_ctx *ctx)
{
    (void)ctx;
    return 0;
}

static const struct cli_cmd op_cmds[] = {
    {.use = "put [options] <key> <value> (<value> can also be given from stdin)",
     .brief = "Store a value under a key",
     .flags = ctl_put_flags,
     .run = run_nothing},
    {.use = "get [options] <key> [range_end]",
     .brief = "Read a key or a range of keys",
     .flags = ctl_get_flags,
     .run = run_nothing},
    {.use = "del [options] <key> [range_end]",
     .brief = "Delete a key or a range of keys",
     .flags = ctl_del_flags,
     .run = run_nothing},
    {.use = NULL},
};

static const struct cli_cmd op_root = {
    .use = "", .brief = "", .subs = op_cmds, .is_silenced = true};
static const struct cli_app op_app = {.name = "", .root = &op_root};

static bool no_value(void *arg, struct slice *out)
{
    (void)arg;
    (void)out;
    return false;
}

static struct slice keep(struct arena *a, struct slice s)
{
    return s.len == 0 ? SLICE_NULL : slice_make(arena_strndup(a, s.data, s.len), s.len);
}

static int op_of(struct cli_ctx *ctx, struct arena *a, struct wire_op *out, struct ctl_fail *fail)
{
    int rc;
    if (cli_cmd_of(ctx)->flags == ctl_put_flags) {
        out->kind = WIRE_OP_PUT;
        rc = ctl_put_req(ctx, no_value, NULL, &out->put, fail);
    } else if (cli_cmd_of(ctx)->flags == ctl_get_flags) {
        out->kind = WIRE_OP_RANGE;
        rc = ctl_get_req(ctx, &out->range, fail);
        out->range.range_end = rc == 0 ? keep(a, out->range.range_end) : SLICE_NULL;
    } else {
        out->kind = WIRE_OP_DELETE;
        rc = ctl_del_req(ctx, &out->del, fail);
        out->del.range_end = rc == 0 ? keep(a, out->del.range_end) : SLICE_NULL;
    }
    return rc;
}

int ctl_txn_op(struct slice line, struct arena *a, struct wire_op *out, struct ctl_fail *fail)
{
    size_t max = line.len / 2 + 1; /* words have a blank or a quote between them */
    max = max < CTL_WORDS_MAX ? max : CTL_WORDS_MAX;
    struct slice *words = arena_alloc(a, max * sizeof(*words));
    size_t count = 0;
    int rc = ctl_words(line, a, words, max, &count, fail);
    if (rc != 0) {
        return rc;
    }
    if (count < 2) {
        return fail_line(fail, "invalid txn compare request: ", line);
    }
    struct cli_ctx ctx;
    int ignored;
    cli_init(&ctx, &op_app);
    if (cli_parse(&ctx, words, count, &ignored)) {
        rc = op_of(&ctx, a, out, fail);
    } else {
        buf_append_slice(&fail->before, buf_slice(&ctx.err));
        rc = fail_line(fail, "invalid txn request: ", line);
    }
    cli_deinit(&ctx);
    return rc;
}
