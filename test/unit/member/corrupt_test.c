/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers of every kind: honest, lying, lagging, silent, and one that answers twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "member/corrupt.h"

enum { SELF = 1 };

static void members(struct membership *ms, size_t count)
{
    membership_init(ms);
    for (uint64_t id = SELF; id <= count; id++) {
        struct member m;
        member_init(&m);
        m.id = id;
        strs_add(&m.peer_urls, SLICE_LIT("http://h:1"));
        (void)membership_add(ms, &m);
    }
}

static struct corrupt_check begin(enum corrupt_kind kind, size_t count)
{
    struct membership ms;
    struct corrupt_check c;
    members(&ms, count);
    corrupt_begin(&c, kind, SELF, &ms);
    membership_deinit(&ms);
    return c;
}

static struct member_hash hash(int64_t rev, uint32_t value, int64_t compact_rev)
{
    return (struct member_hash){
        .rev = rev, .hash = value, .compact_rev = compact_rev, .hash_rev = rev};
}

static void local(struct corrupt_check *c, struct member_hash h)
{
    int64_t rev;
    assert_int_equal(corrupt_want(c, &rev), CORRUPT_WANT_LOCAL);
    corrupt_on_local(c, 0, &h);
}

static void peer(struct corrupt_check *c, uint64_t id, struct member_hash h)
{
    corrupt_on_peer(c, id, 0, &h);
}

static void asks_for(const struct corrupt_check *c, int64_t want)
{
    int64_t rev = -7;
    assert_int_equal(corrupt_want(c, &rev), CORRUPT_WANT_PEERS);
    assert_int_equal(rev, want);
}

static void is_done(const struct corrupt_check *c)
{
    int64_t rev;
    assert_int_equal(corrupt_want(c, &rev), CORRUPT_DONE);
}

/* ---- initial ---- */

static void initial(void **state)
{
    (void)state;
    static const struct {
        int err;
        struct member_hash answer;
        int want;
    } rows[] = {
        {0, {20, 77, 5, 10}, 0},
        {0, {20, 78, 5, 10}, ERR_CORRUPT},
        {0, {20, 78, 6, 10}, 0}, /* another compact revision: no comparison */
        {ERR_RPC_FUTURE_REV, {0}, 0},
        {ERR_RPC_COMPACTED, {0}, 0},
        {ERR_RPC_CLUSTER_ID_MISMATCH, {0}, 0},
        {ERR_REFUSED, {0}, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct corrupt_check c = begin(CORRUPT_INITIAL, 3);
        local(&c, hash(10, 77, 5));
        asks_for(&c, 10);
        peer(&c, 2, hash(10, 77, 5));
        asks_for(&c, 10);
        corrupt_on_peer(&c, 3, rows[i].err, &rows[i].answer);
        is_done(&c);
        assert_int_equal(c.verdict.err, rows[i].want);
        assert_int_equal(c.verdict.alarm_count, 0);
    }
}

static void initial_alone(void **state)
{
    (void)state;
    struct corrupt_check c = begin(CORRUPT_INITIAL, 1);
    local(&c, hash(10, 77, 5));
    is_done(&c);
    assert_int_equal(c.verdict.err, 0);
    c = begin(CORRUPT_INITIAL, 3);
    corrupt_on_local(&c, ERR_IO, NULL);
    is_done(&c);
    assert_int_equal(c.verdict.err, ERR_IO);
}

/* ---- periodic ---- */

static struct corrupt_check periodic(struct member_hash two, struct member_hash three,
                                     struct member_hash second)
{
    int64_t rev;
    struct corrupt_check c = begin(CORRUPT_PERIODIC, 3);
    local(&c, hash(10, 77, 5));
    asks_for(&c, 10);
    peer(&c, 2, two);
    peer(&c, 3, three);
    assert_int_equal(corrupt_want(&c, &rev), CORRUPT_WANT_READ);
    corrupt_on_read(&c, 0);
    local(&c, second);
    is_done(&c);
    assert_int_equal(c.verdict.err, 0);
    return c;
}

static void periodic_alarms(void **state)
{
    (void)state;
    const struct member_hash good = hash(10, 77, 5), now = hash(12, 99, 5);
    struct corrupt_check c = periodic(good, good, now);
    assert_int_equal(c.verdict.alarm_count, 0);
    c = periodic(good, hash(10, 78, 5), now); /* a liar */
    assert_int_equal(c.verdict.alarm_count, 1);
    assert_int_equal(c.verdict.alarms[0], 3);
    c = periodic(good, hash(13, 77, 5), now); /* ahead of its leader */
    assert_int_equal(c.verdict.alarms[0], 3);
    c = periodic(hash(10, 77, 6), good, now); /* compacted what the leader has */
    assert_int_equal(c.verdict.alarms[0], 2);
    c = periodic(good, hash(10, 78, 4), now); /* behind with compaction: not compared */
    assert_int_equal(c.verdict.alarm_count, 0);
    c = periodic(good, good, hash(10, 76, 5)); /* our own hash moved by itself */
    assert_int_equal(c.verdict.alarms[0], SELF);
    c = periodic(hash(10, 1, 5), hash(13, 2, 9), hash(10, 76, 5)); /* everything: one alarm */
    assert_int_equal(c.verdict.alarm_count, 1);
    assert_int_equal(c.verdict.alarms[0], SELF);
}

static void periodic_silence(void **state)
{
    (void)state;
    int64_t rev;
    struct corrupt_check c = begin(CORRUPT_PERIODIC, 3);
    local(&c, hash(10, 77, 5));
    corrupt_on_peer(&c, 2, ERR_TIMED_OUT, NULL);
    corrupt_on_peer(&c, 2, 0, &(struct member_hash){10, 1, 5, 10}); /* too late */
    corrupt_on_peer(&c, 9, 0, &(struct member_hash){10, 1, 5, 10}); /* a stranger */
    asks_for(&c, 10);
    corrupt_on_peer(&c, 3, ERR_TIMED_OUT, NULL);
    assert_int_equal(corrupt_want(&c, &rev), CORRUPT_WANT_READ);
    corrupt_on_peer(&c, 3, 0, &(struct member_hash){10, 1, 5, 10});
    corrupt_on_read(&c, ERR_RPC_TIMEOUT);
    is_done(&c);
    assert_int_equal(c.verdict.err, ERR_RPC_TIMEOUT);
    assert_int_equal(c.verdict.alarm_count, 0);
}

/* ---- compact ---- */

static struct corrupt_check compact(size_t count, int64_t checked_rev)
{
    /* hash_rev, hash, compact_rev: three compactions, oldest first as the store has them. */
    static const struct member_hash cached[] = {{0, 30, 1, 10}, {0, 31, 10, 20}, {0, 32, 20, 30}};
    struct corrupt_check c = begin(CORRUPT_COMPACT, count);
    corrupt_hashes(&c, cached, ARRAY_LEN(cached), checked_rev);
    return c;
}

static void compact_equal(void **state)
{
    (void)state;
    struct corrupt_check c = compact(3, 0);
    asks_for(&c, 30);
    peer(&c, 2, hash(40, 32, 20));
    peer(&c, 3, hash(41, 32, 20));
    is_done(&c);
    assert_int_equal(c.verdict.checked_rev, 30);
    assert_int_equal(c.verdict.alarm_count, 0);
    c = compact(3, 30); /* nothing new */
    is_done(&c);
    assert_int_equal(c.verdict.checked_rev, 30);
    c = compact(1, 0); /* nobody to ask */
    is_done(&c);
}

static void compact_goes_back(void **state)
{
    (void)state;
    struct corrupt_check c = compact(3, 0);
    peer(&c, 2, hash(40, 32, 20));
    corrupt_on_peer(&c, 3, ERR_RPC_FUTURE_REV, NULL);
    asks_for(&c, 20);
    peer(&c, 2, hash(40, 31, 10));
    peer(&c, 3, hash(40, 99, 9)); /* hash over other records: skipped */
    asks_for(&c, 10);
    peer(&c, 2, hash(40, 30, 1));
    peer(&c, 3, hash(40, 30, 1));
    is_done(&c);
    assert_int_equal(c.verdict.checked_rev, 10);
    c = compact(3, 20);
    corrupt_on_peer(&c, 2, ERR_REFUSED, NULL);
    corrupt_on_peer(&c, 3, ERR_REFUSED, NULL);
    is_done(&c); /* 20 was checked before */
    assert_int_equal(c.verdict.checked_rev, 20);
    assert_int_equal(c.verdict.alarm_count, 0);
}

static void compact_minority(void **state)
{
    (void)state;
    struct corrupt_check c = compact(3, 0);
    peer(&c, 2, hash(40, 32, 20));
    peer(&c, 3, hash(40, 66, 20));
    is_done(&c);
    assert_int_equal(c.verdict.alarm_count, 1);
    assert_int_equal(c.verdict.alarms[0], 3);
    assert_int_equal(c.verdict.checked_rev, 0);
    c = compact(3, 0); /* the leader is the damaged one */
    peer(&c, 2, hash(40, 66, 20));
    peer(&c, 3, hash(40, 66, 20));
    assert_int_equal(c.verdict.alarm_count, 1);
    assert_int_equal(c.verdict.alarms[0], SELF);
    c = compact(5, 0); /* two liars who agree */
    peer(&c, 2, hash(40, 66, 20));
    peer(&c, 3, hash(40, 66, 20));
    peer(&c, 4, hash(40, 32, 20));
    peer(&c, 5, hash(40, 32, 20));
    assert_int_equal(c.verdict.alarm_count, 2);
    assert_int_equal(c.verdict.alarms[0], 2);
    assert_int_equal(c.verdict.alarms[1], 3);
}

/* Nobody has a majority: the whole cluster is in doubt. */
static void compact_no_majority(void **state)
{
    (void)state;
    struct corrupt_check c = compact(3, 0);
    peer(&c, 2, hash(40, 66, 20));
    corrupt_on_peer(&c, 3, ERR_REFUSED, NULL);
    is_done(&c);
    assert_int_equal(c.verdict.alarm_count, 1);
    assert_int_equal(c.verdict.alarms[0], 0);
    c = compact(2, 0);
    peer(&c, 2, hash(40, 66, 20));
    assert_int_equal(c.verdict.alarms[0], 0);
}

/* A dumb model of the compact decision: count by hand over all worlds of 2..4 members with three
 * kinds of hash and silence. */
static void compact_model(void **state)
{
    (void)state;
    enum { SILENT = 3 };
    for (size_t n = 2; n <= 4; n++) {
        size_t worlds = n == 2 ? 4 : n == 3 ? 16 : 64;
        for (size_t w = 0; w < worlds; w++) {
            uint32_t kind[5] = {0, 0};
            struct corrupt_check c = compact(n, 20); /* only the newest one */
            for (size_t id = 2, x = w; id <= n; id++, x /= 4) {
                kind[id] = (uint32_t)(x % 4);
                if (kind[id] == SILENT) {
                    corrupt_on_peer(&c, id, ERR_REFUSED, NULL);
                } else {
                    peer(&c, id, hash(40, 32 + kind[id], 20));
                }
            }
            size_t count[3] = {1, 0, 0}, silent = 0; /* the leader holds kind 0 */
            for (size_t id = 2; id <= n; id++) {
                silent += kind[id] == SILENT ? 1 : 0;
                for (uint32_t k = 0; k < 3; k++) {
                    count[k] += kind[id] == k ? 1 : 0;
                }
            }
            is_done(&c);
            bool is_equal = count[1] + count[2] == 0;
            uint32_t majority = 0;
            bool has_majority = false;
            for (uint32_t k = 0; k < 3; k++) {
                if (count[k] > n / 2) {
                    majority = k;
                    has_majority = true;
                }
            }
            size_t want = is_equal ? 0 : !has_majority ? 1 : n - silent - count[majority];
            assert_int_equal(c.verdict.alarm_count, want);
            assert_int_equal(c.verdict.checked_rev, is_equal && silent == 0 ? 30 : 20);
            for (size_t i = 0; has_majority && i < want; i++) {
                uint64_t id = c.verdict.alarms[i];
                assert_true((id == SELF ? 0 : kind[id]) != majority);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initial),          cmocka_unit_test(initial_alone),
        cmocka_unit_test(periodic_alarms),  cmocka_unit_test(periodic_silence),
        cmocka_unit_test(compact_equal),    cmocka_unit_test(compact_goes_back),
        cmocka_unit_test(compact_minority), cmocka_unit_test(compact_no_majority),
        cmocka_unit_test(compact_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
