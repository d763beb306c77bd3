/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/prng.h"
#include "member/v2store.h"

static struct membership make(unsigned count, unsigned removed)
{
    struct membership ms;
    struct prng p;
    prng_init(&p, count * 100 + removed);
    membership_init(&ms);
    for (unsigned i = 0; i < count; i++) {
        struct member m;
        member_init(&m);
        m.id = prng_next(&p) >> prng_below(&p, 40);
        strs_add(&m.peer_urls, SLICE_LIT("http://127.0.0.1:1"));
        if (i % 2 == 0) {
            mem_free(m.name);
            m.name = mem_strdup("n\"<1>");
            strs_add(&m.client_urls, SLICE_LIT("http://127.0.0.1:2"));
        }
        m.is_learner = i % 3 == 2;
        (void)membership_add(&ms, &m);
    }
    for (unsigned i = 0; i < removed; i++) {
        membership_mark_removed(&ms, prng_next(&p));
    }
    return ms;
}

static void expect_same(const struct membership *a, const struct membership *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->removed_count, b->removed_count);
    for (size_t i = 0; i < a->count; i++) {
        struct buf x = BUF_INIT;
        struct buf y = BUF_INIT;
        member_json(&x, &a->members[i]);
        member_json(&y, &b->members[i]);
        assert_string_equal(buf_cstr(&x), buf_cstr(&y));
        buf_deinit(&x);
        buf_deinit(&y);
    }
    for (size_t i = 0; i < a->removed_count; i++) {
        assert_true(a->removed[i] == b->removed[i]);
    }
}

static void round_trip(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 8; n++) {
        struct membership ms = make(n, n % 3);
        struct semver version = n % 2 == 0 ? (struct semver){0, 0, 0} : (struct semver){3, 5, 0};
        struct buf b = BUF_INIT;
        struct v2store out;
        v2store_encode(&b, &ms, version);
        assert_int_equal(v2store_decode(buf_slice(&b), &out), 0);
        expect_same(&ms, &out.membership);
        assert_int_equal(semver_compare(version, out.cluster_version), 0);
        assert_false(out.has_user_data);
        membership_deinit(&out.membership);
        for (size_t i = 0; i < b.len; i++) { /* cut anywhere: refused */
            assert_int_not_equal(v2store_decode(slice_make(b.data, i), &out), 0);
        }
        buf_deinit(&b);
        membership_deinit(&ms);
    }
}

static void exact_text(void **state)
{
    (void)state;
    struct membership ms;
    struct buf b = BUF_INIT;
    struct member m;
    membership_init(&ms);
    member_init(&m);
    m.id = 0x1f;
    strs_add(&m.peer_urls, SLICE_LIT("http://h:1"));
    (void)membership_add(&ms, &m);
    v2store_encode(&b, &ms, (struct semver){3, 5, 0});
    static const char want[] =
        "{\"Root\":{\"Path\":\"/\",\"CreatedIndex\":0,\"ModifiedIndex\":0,\"ExpireTime\":"
        "\"0001-01-01T00:00:00Z\",\"Value\":\"\",\"Children\":{\"0\":{\"Path\":\"/0\","
        "\"CreatedIndex\":0,\"ModifiedIndex\":0,\"ExpireTime\":\"0001-01-01T00:00:00Z\","
        "\"Value\":\"\",\"Children\":{\"members\":{\"Path\":\"/0/members\",\"CreatedIndex\":1,"
        "\"ModifiedIndex\":1,\"ExpireTime\":\"0001-01-01T00:00:00Z\",\"Value\":\"\",\"Children\":{"
        "\"1f\":{\"Path\":\"/0/members/1f\",\"CreatedIndex\":1,\"ModifiedIndex\":1,\"ExpireTime\":"
        "\"0001-01-01T00:00:00Z\",\"Value\":\"\",\"Children\":{\"raftAttributes\":{\"Path\":"
        "\"/0/members/1f/raftAttributes\",\"CreatedIndex\":1,\"ModifiedIndex\":1,\"ExpireTime\":"
        "\"0001-01-01T00:00:00Z\",\"Value\":\"{\\\"peerURLs\\\":[\\\"http://h:1\\\"]}\","
        "\"Children\":null}}}}},\"version\":{\"Path\":\"/0/version\",\"CreatedIndex\":2,"
        "\"ModifiedIndex\":2,\"ExpireTime\":\"0001-01-01T00:00:00Z\",\"Value\":\"3.5.0\","
        "\"Children\":null}}},\"1\":{\"Path\":\"/1\",\"CreatedIndex\":0,\"ModifiedIndex\":0,"
        "\"ExpireTime\":\"0001-01-01T00:00:00Z\",\"Value\":\"\",\"Children\":{}}}},"
        "\"CurrentIndex\":2,\"CurrentVersion\":2}";
    assert_string_equal(buf_cstr(&b), want);
    buf_deinit(&b);
    membership_deinit(&ms);
}

static int decode(const char *text, struct v2store *out)
{
    return v2store_decode(slice_cstr(text), out);
}

static void minimal_and_foreign(void **state)
{
    (void)state;
    struct v2store s;
    /* storage-formats 4.3, the minimal file; fields in another order */
    assert_int_equal(
        decode("{\"Root\":{\"Children\":{\"0\":{\"Path\":\"/0\",\"Children\":{\"members\":{"
               "\"Children\":{\"8aa3661ffa7eb5cf\":{\"Children\":{\"raftAttributes\":{\"Value\":\"{"
               "\\\"peerURLs\\\":[\\\"http://127.0.0.1:21042\\\"]}\"}}}}}}},\"1\":{\"Path\":\"/1\","
               "\"Children\":{}}},\"Path\":\"/\"}}",
               &s),
        0);
    assert_true(s.membership.count == 1 &&
                s.membership.members[0].id == UINT64_C(0x8aa3661ffa7eb5cf) && !s.has_user_data);
    membership_deinit(&s.membership);
    assert_int_equal(decode("{}", &s), 0);
    assert_int_equal(s.membership.count, 0);
    /* Empty /2 with its two directories is no data; a key in /1 is. */
    assert_int_equal(
        decode("{\"Root\":{\"Children\":{\"2\":{\"Children\":{\"roles\":{\"Children\":{}"
               "},\"users\":{\"Children\":{}},\"enabled\":{\"Value\":\"false\"}}}}}}",
               &s),
        0);
    assert_false(s.has_user_data);
    assert_int_equal(
        decode("{\"Root\":{\"Children\":{\"1\":{\"Children\":{\"k\":{\"Value\":\"v\"}}}}}}", &s),
        0);
    assert_true(s.has_user_data);
    assert_int_equal(
        decode("{\"Root\":{\"Children\":{\"2\":{\"Children\":{\"roles\":{\"Children\":{"
               "\"r\":{\"Value\":\"v\"}}}}}}}}",
               &s),
        0);
    assert_true(s.has_user_data);
}

#define MEMBER(children)                                                                           \
    "{\"Root\":{\"Children\":{\"0\":{\"Children\":{\"members\":{\"Children\":{" children "}}}}}}}"

static void damaged(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"Root\":5}",
        "{\"Root\":{\"Children\":[]}}",
        MEMBER("\"1\":{\"Children\":{\"attributes\":{\"Value\":\"{}\"}}}"), /* no raftAttributes */
        MEMBER("\"1\":{\"Children\":{\"raftAttributes\":{\"Value\":\"{\"}}}"),
        MEMBER("\"1\":{\"Children\":{\"raftAttributes\":{\"Value\":\"\"}}}"),
        MEMBER("\"1\":{\"Children\":{\"raftAttributes\":{\"Value\":\"{\\\"id\\\":7}\"}}}"),
        MEMBER("\"1\":{\"Children\":{\"other\":{\"Value\":\"{}\"}}}"),
        MEMBER("\"xyz\":{\"Children\":{\"raftAttributes\":{\"Value\":\"{}\"}}}"),
        "{\"Root\":{\"Children\":{\"0\":{\"Children\":{\"version\":{\"Value\":\"x\"}}}}}}",
        "{\"Root\":{\"Children\":{\"0\":{\"Children\":{\"removed_members\":{\"Children\":{\"q\":{}}"
        "}}}"
        "}}}",
    };
    struct v2store s;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_not_equal(decode(bad[i], &s), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(exact_text),
        cmocka_unit_test(minimal_and_foreign),
        cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
