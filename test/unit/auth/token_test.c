/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "auth/token.h"
#include "base/prng.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { TTL_S = 10, TTL_MS = TTL_S * 1000 };

static struct auth_tokens *make(const char *spec)
{
    struct buf why = BUF_INIT;
    struct auth_tokens *t = NULL;
    struct auth_tokens_options o = {.spec = spec, .ttl_s = TTL_S, .hash_seed = 5};
    assert_int_equal(auth_tokens_create(&o, &why, &t), 0);
    assert_int_equal(why.len, 0);
    buf_deinit(&why);
    return t;
}

static void assign(struct auth_tokens *t, uint64_t index, const char *user, uint64_t now_ms)
{
    struct buf text = BUF_INIT;
    char want[64];
    auth_tokens_assign(t, SLICE_LIT("abcdefghijklmnop"), index, slice_cstr(user), now_ms, &text);
    (void)snprintf(want, sizeof(want), "abcdefghijklmnop.%llu", (unsigned long long)index);
    assert_string_equal(buf_cstr(&text), want);
    buf_deinit(&text);
    auth_tokens_check(t);
}

/* NULL or the user's name. */
static const char *look(struct auth_tokens *t, uint64_t index, uint64_t now_ms)
{
    static char name[64];
    char text[64];
    (void)snprintf(text, sizeof(text), "abcdefghijklmnop.%llu", (unsigned long long)index);
    struct auth_identity id = {SLICE_NULL, 1};
    int err = auth_tokens_lookup(t, slice_cstr(text), 77, (struct auth_now){now_ms, 0}, &id);
    if (err != 0) {
        assert_int_equal(err, ERR_RPC_INVALID_AUTH_TOKEN);
        assert_int_equal(id.revision, 1);
        return NULL;
    }
    assert_int_equal(id.revision, 77);
    assert_true(id.user.len < sizeof(name));
    memcpy(name, id.user.data, id.user.len);
    name[id.user.len] = '\0';
    return name;
}

static void test_simple(void **state)
{
    (void)state;
    struct auth_tokens *t = make("simple");
    assert_int_equal(auth_tokens_kind(t), AUTH_TOKEN_SIMPLE);
    assign(t, 1, "alice", 0); /* the text is the same on every member, whatever it thinks of it */
    assert_int_equal(auth_tokens_count(t), 0);
    auth_tokens_enable(t);
    assign(t, 2, "alice", 0);
    assign(t, 3, "bob", 0);
    assert_string_equal(look(t, 2, 5), "alice");
    assert_string_equal(look(t, 3, 5), "bob");
    assert_null(look(t, 1, 5));
    assign(t, 3, "carol", 5);
    assert_string_equal(look(t, 3, 5), "carol");
    assert_int_equal(auth_tokens_count(t), 2);
    auth_tokens_invalidate_user(t, SLICE_LIT("alice"));
    auth_tokens_check(t);
    assert_null(look(t, 2, 5));
    assert_string_equal(look(t, 3, 5), "carol");
    auth_tokens_disable(t);
    auth_tokens_check(t);
    assert_null(look(t, 3, 5));
    auth_tokens_destroy(t);
}

static void test_simple_life(void **state)
{
    (void)state;
    struct auth_tokens *t = make("simple,any=thing");
    auth_tokens_enable(t);
    assign(t, 1, "alice", 0);
    assign(t, 2, "bob", 1);
    assert_non_null(look(t, 1, TTL_MS)); /* begins anew */
    auth_tokens_tick(t, (struct auth_now){TTL_MS + 2, 0});
    auth_tokens_check(t);
    assert_int_equal(auth_tokens_count(t), 1);
    assert_null(look(t, 2, TTL_MS + 2));
    assert_non_null(look(t, 1, 2 * TTL_MS));
    assert_null(look(t, 1, 3 * TTL_MS + 1)); /* without a tick as well */
    auth_tokens_tick(t, (struct auth_now){3 * TTL_MS + 1, 0});
    assert_int_equal(auth_tokens_count(t), 0);
    auth_tokens_destroy(t);
}

static void test_index(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_good;
        uint64_t index;
    } rows[] = {
        {"abc.52", true, 52}, {".7", true, 7},
        {"abc", false, 0},    {"abc.", false, 0},
        {"", false, 0},       {"a.b.3", false, 0},
        {"abc.+3", false, 0}, {"abc.3x", false, 0},
        {"abc.-3", false, 0}, {"abc.1_0", false, 0},
        {"abc.007", true, 7}, {"abc.18446744073709551615", true, UINT64_MAX},
        {"abc. 3", false, 0}, {"abc.18446744073709551616", false, 0},
    };
    struct auth_tokens *t = make("simple"), *none = make("");
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t index = 0;
        assert_int_equal(auth_tokens_index(t, slice_cstr(rows[i].text), &index), rows[i].is_good);
        assert_int_equal(index, rows[i].index);
        assert_false(auth_tokens_index(none, slice_cstr(rows[i].text), &index));
    }
    auth_tokens_destroy(t);
    auth_tokens_destroy(none);
}

static void fill_ramp(struct env_rand *r, void *out, size_t len)
{
    static uint8_t next;
    (void)r;
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)out)[i] = next++;
    }
}

static void test_prefix(void **state)
{
    (void)state;
    static const struct env_rand_ops ops = {.fill = fill_ramp};
    struct env_rand rand = {.ops = &ops};
    struct auth_tokens *t = make("simple");
    struct buf text = BUF_INIT;
    unsigned seen[256] = {0};
    for (int i = 0; i < 52; i++) { /* 52 * 4 bytes of the ramp are fair */
        buf_clear(&text);
        auth_tokens_prefix(t, &rand, &text);
        assert_int_equal(text.len, AUTH_TOKEN_PREFIX_LEN);
        for (size_t k = 0; k < text.len; k++) {
            seen[text.data[k]]++;
        }
    }
    for (int c = 0; c < 256; c++) {
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        assert_true(is_letter ? seen[c] > 0 : seen[c] == 0);
    }
    buf_deinit(&text);
    auth_tokens_destroy(t);
}

/* Against an array: every token by index, with its end. */
static void test_model(void **state)
{
    (void)state;
    enum { TOKENS = 300, STEPS = 20000 };
    static const char *const users[] = {"alice", "bob", "carol"};
    const char *user_of[TOKENS] = {0};
    uint64_t end_of[TOKENS] = {0};
    struct auth_tokens *t = make("simple");
    struct prng r;
    uint64_t now = 0;
    prng_init(&r, 11);
    auth_tokens_enable(t);
    for (int step = 0; step < STEPS; step++) {
        size_t i = (size_t)prng_below(&r, TOKENS);
        now += prng_below(&r, 200);
        switch (prng_below(&r, 40)) {
        case 0:
            auth_tokens_invalidate_user(t, SLICE_LIT("bob"));
            for (size_t k = 0; k < TOKENS; k++) {
                user_of[k] = user_of[k] == users[1] ? NULL : user_of[k];
            }
            break;
        case 1: auth_tokens_tick(t, (struct auth_now){now, 0}); break;
        case 2:
        case 3:
        case 4:
        case 5:
            user_of[i] = users[prng_below(&r, 3)];
            end_of[i] = now + TTL_MS;
            assign(t, i, user_of[i], now);
            break;
        default: {
            const char *name = look(t, i, now);
            bool is_valid = user_of[i] != NULL && end_of[i] >= now;
            assert_int_equal(name != NULL, is_valid);
            if (is_valid) {
                assert_string_equal(name, user_of[i]);
                end_of[i] = now + TTL_MS;
            }
        }
        }
    }
    auth_tokens_check(t);
    auth_tokens_destroy(t);
}

static void test_none(void **state)
{
    (void)state;
    struct auth_tokens *t = make("");
    struct buf out = BUF_INIT;
    assert_int_equal(auth_tokens_kind(t), AUTH_TOKEN_NONE);
    auth_tokens_enable(t);
    auth_tokens_prefix(t, NULL, &out);
    auth_tokens_assign(t, SLICE_NULL, 3, SLICE_LIT("alice"), 0, &out);
    assert_int_equal(auth_tokens_sign(t, SLICE_LIT("alice"), 3, 0, &out), ERR_RPC_AUTH_FAILED);
    assert_int_equal(out.len, 0);
    assert_null(look(t, 3, 0));
    auth_tokens_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple), cmocka_unit_test(test_simple_life),
        cmocka_unit_test(test_index),  cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_model),  cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
