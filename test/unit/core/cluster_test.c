/* SPDX-License-Identifier: Apache-2.0
 *
 * Several whole members on one simulated world: elections, failover, catching up, reconfiguration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "cluster_fixture.h"

static struct cluster_fixture f;

static int teardown(void **state)
{
    (void)state;
    cf_deinit(&f);
    return 0;
}

static void start(unsigned count)
{
    cf_init(&f, count, 7);
    cf_start_all(&f);
}

static void put_many(unsigned i, unsigned count, const char *value)
{
    for (unsigned k = 0; k < count; k++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%u", k);
        assert_int_equal(cf_put(&f, i, key, value), 0);
    }
}

static void expect_get(unsigned i, const char *key, bool is_serializable, const char *want)
{
    struct buf out = BUF_INIT;
    int err = cf_get(&f, i, key, is_serializable, &out);
    if (want == NULL) {
        assert_int_equal(err, ERR_NOT_FOUND);
    } else {
        assert_int_equal(err, 0);
        assert_true(slice_equal_cstr(buf_slice(&out), want));
    }
    buf_deinit(&out);
}

static unsigned follower(void)
{
    unsigned leader = cf_wait_leader(&f);
    return (leader + 1) % f.count;
}

/* ---- three start ---- */

static void three_members_serve(void **state)
{
    (void)state;
    start(3);
    for (unsigned i = 0; i < 3; i++) {
        char value[8];
        (void)snprintf(value, sizeof(value), "v%u", i);
        assert_int_equal(cf_put(&f, i, "a", value), 0);
        for (unsigned k = 0; k < 3; k++) {
            expect_get(k, "a", false, value);
        }
    }
    struct core *c = driver_core(f.members[0].driver);
    assert_int_equal(core_members(c)->count, 3);
    assert_int_equal(core_cluster_version(c).minor, 7);
    cf_check_equal(&f);
}

static void five_members_serve(void **state)
{
    (void)state;
    start(5);
    put_many(3, 20, "v");
    cf_check_equal(&f);
}

static void all_restart(void **state)
{
    (void)state;
    start(3);
    put_many(0, 10, "v");
    for (unsigned i = 0; i < 3; i++) {
        cf_stop(&f, i);
    }
    cf_start_all(&f);
    expect_get(1, "k9", false, "v");
    for (unsigned i = 0; i < 3; i++) {
        cf_kill(&f, i, SIM_CRASH_LOSE_ALL);
    }
    cf_start_all(&f);
    expect_get(2, "k3", false, "v");
    put_many(2, 3, "w");
    cf_check_equal(&f);
}

/* ---- failover ---- */

static void a_dead_leader_is_replaced(void **state)
{
    (void)state;
    start(3);
    for (unsigned round = 0; round < 4; round++) {
        put_many(round % 3, 10, "v");
        unsigned dead = cf_wait_leader(&f);
        cf_kill(&f, dead, round % 2 == 0 ? SIM_CRASH_LOSE_ALL : SIM_CRASH_RANDOM);
        unsigned leader = cf_wait_leader(&f);
        assert_int_not_equal(leader, dead);
        assert_int_equal(cf_put(&f, leader, "after", "1"), 0);
        expect_get(leader, "k9", false, "v");
        assert_int_equal(cf_start(&f, dead), 0);
        cf_check_equal(&f);
    }
}

static void a_cut_off_leader_steps_down(void **state)
{
    (void)state;
    start(3);
    put_many(0, 5, "v");
    unsigned old = cf_wait_leader(&f);
    cf_isolate(&f, old, true);
    /* Writes to the old one are never acknowledged. */
    struct cf_request q;
    cf_put_begin(&f, old, &q, "lost", "1");
    cf_run(&f, 5000);
    unsigned leader = cf_leader(&f);
    assert_int_not_equal(leader, old);
    assert_int_equal(cf_put(&f, leader, "k0", "new"), 0);
    assert_int_equal(cf_status(&f, old).leader, 0);
    expect_get(old, "k0", true, "v"); /* serializable: what it has */
    cf_run(&f, 5000);
    assert_true(q.is_done);
    assert_int_equal(q.req.err, ERR_RPC_TIMEOUT); /* nobody leads it */
    cf_isolate(&f, old, false);
    cf_check_equal(&f);
    expect_get(old, "k0", false, "new");
    expect_get(old, "lost", false, NULL);
}

static void without_quorum_nothing_is_written(void **state)
{
    (void)state;
    start(3);
    put_many(0, 5, "v");
    unsigned left = follower();
    for (unsigned i = 0; i < 3; i++) {
        if (i != left) {
            cf_kill(&f, i, SIM_CRASH_KEEP_ALL);
        }
    }
    assert_true(cf_put(&f, left, "a", "1") != 0);
    cf_run(&f, 3000);
    assert_int_equal(cf_put(&f, left, "a", "1"), ERR_RPC_CONTEXT_DEADLINE);
    struct buf out = BUF_INIT;
    assert_int_equal(cf_get(&f, left, "k0", false, &out), ERR_RPC_TIMEOUT);
    buf_deinit(&out);
    expect_get(left, "k0", true, "v");
    assert_int_equal(cf_start(&f, (left + 1) % 3), 0);
    cf_wait_leader(&f);
    assert_int_equal(cf_put(&f, left, "a", "1"), 0);
    assert_int_equal(cf_start(&f, (left + 2) % 3), 0);
    cf_check_equal(&f);
}

static void reads_are_told_of_another_leader(void **state)
{
    (void)state;
    start(3);
    put_many(0, 2, "v");
    unsigned reader = follower(), leader = cf_leader(&f), third = 3 - reader - leader;
    /* The leader hears the reader's question and cannot answer it: nobody else confirms. */
    cf_isolate(&f, leader, true);
    struct cf_request q;
    struct wire_range_req range = {.key = SLICE_LIT("k0")};
    struct mvcc_plan plan;
    cf_request_init(&q, CORE_RANGE);
    q.req.range = &range;
    q.req.plan = &plan;
    cf_submit(&f, reader, &q);
    cf_run(&f, 400);
    assert_false(q.is_done);
    cf_run(&f, 4000);
    assert_true(q.is_done);
    assert_int_equal(q.req.err, ERR_RPC_LEADER_CHANGED);
    (void)third;
    cf_isolate(&f, leader, false);
    cf_check_equal(&f);
}

/* ---- leadership handed over ---- */

static void leadership_is_handed_over(void **state)
{
    (void)state;
    start(3);
    unsigned leader = cf_wait_leader(&f), to = (leader + 1) % 3;
    assert_int_equal(cf_transfer(&f, to, f.members[to].id), ERR_RPC_NOT_LEADER);
    assert_int_equal(cf_transfer(&f, leader, 12345), ERR_RPC_BAD_TRANSFEREE);
    assert_int_equal(cf_transfer(&f, leader, f.members[leader].id), 0);
    struct cf_request q[20];
    for (unsigned i = 0; i < 20; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "t%u", i);
        cf_put_begin(&f, i % 3, &q[i], key, "v");
    }
    assert_int_equal(cf_transfer(&f, leader, f.members[to].id), 0);
    assert_int_equal(cf_wait_leader(&f), to);
    cf_run(&f, 8000);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(q[i].is_done);
        assert_int_equal(q[i].req.err, 0); /* held back, not refused */
    }
    cf_cut(&f, to, (to + 1) % 3, true);
    cf_run(&f, 50);
    assert_int_equal(cf_transfer(&f, to, f.members[(to + 1) % 3].id),
                     ERR_RPC_TIMEOUT_LEADER_TRANSFER);
    cf_cut(&f, to, (to + 1) % 3, false);
    cf_check_equal(&f);
}

static void a_stopping_leader_hands_over(void **state)
{
    (void)state;
    start(3);
    put_many(0, 3, "v");
    unsigned leader = cf_wait_leader(&f);
    raft_term term = cf_status(&f, leader).raft.hard.term;
    cf_stop(&f, leader);
    unsigned next = cf_leader(&f);
    assert_true(next < 3 && next != leader);
    assert_int_equal(cf_status(&f, next).raft.hard.term, term + 1);
    assert_int_equal(cf_put(&f, next, "a", "1"), 0);
    assert_int_equal(cf_start(&f, leader), 0);
    cf_check_equal(&f);
}

static void a_leader_whose_disk_hangs_hands_over(void **state)
{
    (void)state;
    start(3);
    put_many(0, 3, "v");
    unsigned leader = cf_wait_leader(&f);
    sim_lane_hold(sim_host_env(f.members[leader].host), ENV_LANE_LOG, true);
    struct cf_request q;
    cf_put_begin(&f, leader, &q, "a", "1");
    cf_run(&f, 4000);
    assert_int_not_equal(cf_leader(&f), leader);
    assert_int_equal(cf_put(&f, cf_leader(&f), "b", "1"), 0);
    sim_lane_hold(sim_host_env(f.members[leader].host), ENV_LANE_LOG, false);
    cf_check_equal(&f);
    assert_true(q.is_done && q.req.err == 0);
}

/* ---- catching up ---- */

static void a_late_member_catches_up_by_the_log(void **state)
{
    (void)state;
    start(3);
    unsigned late = follower();
    cf_stop(&f, late);
    put_many(cf_wait_leader(&f), 300, "a value that takes some room in the log");
    assert_int_equal(cf_start(&f, late), 0);
    cf_check_equal(&f);
    assert_int_equal(f.members[late].epochs, 0);
    expect_get(late, "k299", true, "a value that takes some room in the log");
}

static void old_entries_come_back_from_the_wal(void **state)
{
    (void)state;
    cf_init(&f, 3, 3);
    for (unsigned i = 0; i < 3; i++) {
        f.members[i].config.log_bytes_max = 20000;
        f.members[i].config.wal_segment_bytes = 16384;
    }
    cf_start_all(&f);
    unsigned late = follower();
    cf_stop(&f, late);
    put_many(cf_wait_leader(&f), 500, "a value that takes some room in the log");
    assert_int_equal(cf_start(&f, late), 0);
    cf_check_equal(&f);
    assert_int_equal(f.members[late].epochs, 0);
    expect_get(late, "k499", true, "a value that takes some room in the log");
}

static void small_logs(void)
{
    for (unsigned i = 0; i < f.count; i++) {
        f.members[i].config.snapshot_count = 20;
        f.members[i].config.snapshot_catchup = 5;
        f.members[i].config.wal_segment_bytes = 16384;
    }
}

static void a_late_member_gets_a_snapshot(void **state)
{
    (void)state;
    cf_init(&f, 3, 5);
    small_logs();
    cf_start_all(&f);
    put_many(0, 10, "old");
    for (unsigned round = 0; round < 3; round++) {
        unsigned late = (cf_wait_leader(&f) + 1 + round % 2) % 3;
        if (round % 2 == 0) {
            cf_stop(&f, late);
        } else {
            cf_isolate(&f, late, true);
        }
        unsigned leader = cf_wait_leader(&f);
        for (unsigned k = 0; k < 10; k++) {
            put_many(leader, 10, "new");
            cf_run(&f, 200);
        }
        if (round % 2 == 0) {
            assert_int_equal(cf_start(&f, late), 0);
        } else {
            cf_isolate(&f, late, false);
        }
        unsigned before = f.members[late].epochs;
        cf_check_equal(&f);
        assert_int_equal(f.members[late].epochs, before + 1);
        expect_get(late, "k9", true, "new");
        assert_int_equal(cf_put(&f, late, "via", "late"), 0);
        cf_check_equal(&f);
        cf_kill(&f, late, SIM_CRASH_LOSE_ALL);
        assert_int_equal(cf_start(&f, late), 0);
        cf_check_equal(&f);
        cf_run(&f, 31000); /* the log is held back behind a snapshot that was sent */
    }
}

/* ---- members ---- */

static void expect_members(unsigned voters, unsigned learners)
{
    for (unsigned i = 0; i < f.count; i++) {
        if (f.members[i].driver != NULL) {
            const struct membership *ms = core_members(driver_core(f.members[i].driver));
            assert_int_equal(membership_voter_count(ms), voters);
            assert_int_equal(membership_learner_count(ms), learners);
            const struct raft_conf_state *cs = core_conf(driver_core(f.members[i].driver));
            assert_int_equal(cs->voters.count, voters);
            assert_int_equal(cs->learners.count, learners);
        }
    }
}

static void join(unsigned i, unsigned from)
{
    struct membership existing;
    cf_join_begin(&f, i, from, &existing);
    int err = cf_start(&f, i);
    membership_deinit(&existing);
    if (err != 0) {
        fail_msg("join: %s", f.members[i].text);
    }
}

static void a_learner_is_added_and_promoted(void **state)
{
    (void)state;
    start(3);
    put_many(0, 20, "v");
    uint64_t id = 0;
    unsigned via = follower();
    unsigned i = cf_member_add(&f);
    const char *url = f.members[i].peer_url;
    assert_int_equal(cf_conf(&f, via, CORE_MEMBER_ADD_LEARNER, &id, url), ERR_RPC_UNHEALTHY);
    cf_run(&f, 6000); /* connected for long enough */
    assert_int_equal(cf_conf(&f, via, CORE_MEMBER_ADD_LEARNER, &id, url), 0);
    uint64_t other = 0;
    assert_int_equal(cf_conf(&f, via, CORE_MEMBER_ADD_LEARNER, &other, "http://x:1"),
                     ERR_RPC_TOO_MANY_LEARNERS);
    assert_int_equal(cf_conf(&f, via, CORE_MEMBER_ADD, &other, url), ERR_RPC_PEER_URL_EXISTS);
    join(i, via);
    assert_int_equal(f.members[i].id, id);
    unsigned leader = cf_wait_leader(&f);
    assert_int_equal(cf_conf(&f, via, CORE_MEMBER_PROMOTE, &id, NULL), ERR_RPC_NOT_LEADER);
    cf_check_equal(&f);
    expect_members(3, 1);
    assert_true(core_is_learner(driver_core(f.members[i].driver)));
    assert_int_equal(cf_transfer(&f, leader, id), ERR_RPC_BAD_TRANSFEREE);
    expect_get(i, "k19", true, "v");
    other = 77;
    assert_int_equal(cf_conf(&f, leader, CORE_MEMBER_PROMOTE, &other, NULL),
                     ERR_RPC_MEMBER_NOT_FOUND);
    assert_int_equal(cf_conf(&f, leader, CORE_MEMBER_PROMOTE, &id, NULL), 0);
    cf_check_equal(&f);
    expect_members(4, 0);
    assert_int_equal(cf_conf(&f, leader, CORE_MEMBER_PROMOTE, &id, NULL),
                     ERR_RPC_MEMBER_NOT_LEARNER);
    assert_true(f.members[i].is_ready);
    assert_int_equal(cf_put(&f, i, "a", "1"), 0);
    cf_kill(&f, i, SIM_CRASH_LOSE_ALL);
    assert_int_equal(cf_start(&f, i), 0);
    cf_check_equal(&f);
}

static void a_learner_that_is_far_behind_is_not_promoted(void **state)
{
    (void)state;
    start(3);
    cf_run(&f, 6000);
    put_many(0, 20, "v");
    uint64_t id = 0;
    unsigned leader = cf_wait_leader(&f);
    assert_int_equal(cf_conf(&f, leader, CORE_MEMBER_ADD_LEARNER, &id, "http://x:1"), 0);
    assert_int_equal(cf_conf(&f, leader, CORE_MEMBER_PROMOTE, &id, NULL),
                     ERR_RPC_LEARNER_NOT_READY);
    assert_int_equal(cf_conf(&f, leader, CORE_MEMBER_REMOVE, &id, NULL), 0);
    assert_int_equal(cf_conf(&f, leader, CORE_MEMBER_REMOVE, &id, NULL), ERR_RPC_MEMBER_NOT_FOUND);
    cf_check_equal(&f);
}

static void a_joiner_gets_a_snapshot(void **state)
{
    (void)state;
    cf_init(&f, 3, 11);
    small_logs();
    cf_start_all(&f);
    cf_run(&f, 6000);
    for (unsigned k = 0; k < 8; k++) {
        put_many(0, 10, "v");
        cf_run(&f, 200);
    }
    uint64_t id = 0;
    unsigned i = cf_member_add(&f);
    assert_int_equal(cf_conf(&f, 0, CORE_MEMBER_ADD, &id, f.members[i].peer_url), 0);
    join(i, 0);
    cf_check_equal(&f);
    assert_int_equal(f.members[i].epochs, 1);
    expect_members(4, 0);
    cf_run(&f, 1000);
    assert_true(f.members[i].is_ready);
    assert_int_equal(cf_put(&f, i, "a", "1"), 0);
    cf_check_equal(&f);
}

static void members_are_removed_and_changed(void **state)
{
    (void)state;
    start(5);
    cf_run(&f, 6000);
    put_many(0, 5, "v");
    unsigned leader = cf_wait_leader(&f), gone = (leader + 1) % 5;
    uint64_t id = f.members[gone].id;
    assert_int_equal(cf_conf(&f, leader, CORE_MEMBER_REMOVE, &id, NULL), 0);
    cf_run(&f, 3000);
    assert_true(f.members[gone].is_removed);
    cf_stop(&f, gone);
    cf_check_equal(&f);
    expect_members(4, 0);
    /* It does not come back, and knows why. */
    assert_int_equal(cf_start(&f, gone), 0);
    cf_run(&f, 3000);
    assert_true(f.members[gone].is_removed);
    cf_stop(&f, gone);
    /* The leader itself. */
    id = f.members[leader].id;
    assert_int_equal(cf_conf(&f, leader, CORE_MEMBER_REMOVE, &id, NULL), 0);
    cf_run(&f, 2000);
    assert_true(f.members[leader].is_removed);
    cf_stop(&f, leader);
    unsigned next = cf_wait_leader(&f);
    id = f.members[next].id;
    assert_int_equal(cf_conf(&f, next, CORE_MEMBER_UPDATE, &id, "http://elsewhere:1"), 0);
    cf_check_equal(&f);
    expect_members(3, 0);
    const struct membership *ms = core_members(driver_core(f.members[next].driver));
    assert_string_equal(membership_find(ms, id)->peer_urls.items[0], "http://elsewhere:1");
    assert_int_equal(cf_put(&f, next, "a", "1"), 0);
}

static void the_last_two_are_not_removed_when_one_is_down(void **state)
{
    (void)state;
    start(3);
    cf_run(&f, 6000);
    unsigned leader = cf_wait_leader(&f), down = (leader + 1) % 3, other = (leader + 2) % 3;
    cf_stop(&f, down);
    cf_run(&f, 1000);
    uint64_t id = f.members[other].id;
    assert_int_equal(cf_conf(&f, leader, CORE_MEMBER_REMOVE, &id, NULL), ERR_RPC_UNHEALTHY);
    id = f.members[down].id;
    assert_int_equal(cf_conf(&f, leader, CORE_MEMBER_REMOVE, &id, NULL), 0);
    cf_check_equal(&f);
    expect_members(2, 0);
}

/* ---- versions ---- */

static void the_cluster_rises_when_all_can(void **state)
{
    (void)state;
    cf_init(&f, 3, 13);
    for (unsigned i = 0; i < 3; i++) {
        f.members[i].config.new_level = LEVEL_3_5;
    }
    cf_start_all(&f);
    cf_run(&f, 9000);
    struct core *c = driver_core(f.members[0].driver);
    assert_int_equal(core_cluster_version(c).minor, 5);
    for (unsigned level = 6; level <= 7; level++) {
        for (unsigned i = 0; i < 3; i++) {
            struct cf_request q;
            cf_request_init(&q, CORE_RAISE_LEVEL);
            assert_int_equal(cf_ask(&f, i, &q), 0);
            assert_int_equal(driver_level(f.members[i].driver), level);
            cf_run(&f, 5000);
            assert_int_equal(core_cluster_version(c).minor, i < 2 ? level - 1 : level);
        }
        cf_check_equal(&f);
        assert_int_equal(core_storage_version(c).minor, level);
    }
    /* And back. */
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, 1);
    wire_append_bytes(&body, 2, slice_cstr("3.6.0"));
    assert_int_equal(cf_propose(&f, 1, WIRE_INTERNAL_DOWNGRADE_INFO_SET, buf_slice(&body)), 0);
    buf_deinit(&body);
    assert_true(core_downgrade(c).enabled);
    cf_run(&f, 15000);
    assert_int_equal(core_cluster_version(c).minor, 6);
    assert_int_equal(core_storage_version(c).minor, 6);
    assert_int_equal(driver_level(f.members[2].driver), LEVEL_3_6);
    assert_false(core_downgrade(c).enabled);
    cf_check_equal(&f);
    cf_stop(&f, 0);
    assert_int_equal(cf_start(&f, 0), 0);
    assert_int_equal(driver_level(f.members[0].driver), LEVEL_3_6);
    cf_check_equal(&f);
}

/* ---- many at once, on a bad network ---- */

enum { LOAD_MAX = 400 };

static void load_under_faults(uint64_t seed)
{
    static struct cf_request q[LOAD_MAX];
    cf_init(&f, 3, seed);
    small_logs();
    cf_start_all(&f);
    f.delay_max_ms = 20;
    f.drop_per_1000 = 20;
    struct prng p;
    prng_init(&p, seed);
    unsigned down = CF_MEMBERS_MAX;
    for (unsigned i = 0; i < LOAD_MAX; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "l%u", i);
        unsigned at = (unsigned)prng_below(&p, 3);
        at = at == down ? (at + 1) % 3 : at;
        cf_put_begin(&f, at, &q[i], key, "v");
        cf_run(&f, prng_below(&p, 40));
        if (i % 40 == 20) {
            down = (unsigned)prng_below(&p, 3);
            cf_kill(&f, down, (enum sim_crash_policy)prng_below(&p, SIM_CRASH_POLICIES_COUNT));
        } else if (i % 40 == 39 && down < 3) {
            assert_int_equal(cf_start(&f, down), 0);
            down = CF_MEMBERS_MAX;
        } else if (i % 40 == 0) {
            cf_cut(&f, (unsigned)prng_below(&p, 3), (unsigned)prng_below(&p, 3), true);
        } else if (i % 40 == 10) {
            for (unsigned a = 0; a < 3; a++) {
                cf_isolate(&f, a, false);
            }
        }
    }
    f.drop_per_1000 = 0;
    cf_run(&f, 10000);
    cf_check_equal(&f);
    unsigned acked = 0;
    for (unsigned i = 0; i < LOAD_MAX; i++) {
        assert_true(q[i].is_done);
        if (q[i].req.err == 0) {
            char key[16];
            (void)snprintf(key, sizeof(key), "l%u", i);
            expect_get(i % 3, key, true, "v");
            acked++;
        }
    }
    assert_true(acked > LOAD_MAX / 8);
}

static void nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    const char *first = getenv("CAIRN_SEED"), *count = getenv("CAIRN_SEEDS");
    uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : 1;
    uint64_t end = seed + (count != NULL ? strtoull(count, NULL, 10) : 6);
    for (; seed < end; seed++) {
        if (count != NULL) {
            print_message("seed %llu\n", (unsigned long long)seed);
        }
        load_under_faults(seed);
        if (seed + 1 < end) {
            cf_deinit(&f);
        }
    }
}

#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(three_members_serve),
        TEST(five_members_serve),
        TEST(all_restart),
        TEST(a_dead_leader_is_replaced),
        TEST(a_cut_off_leader_steps_down),
        TEST(without_quorum_nothing_is_written),
        TEST(reads_are_told_of_another_leader),
        TEST(leadership_is_handed_over),
        TEST(a_stopping_leader_hands_over),
        TEST(a_leader_whose_disk_hangs_hands_over),
        TEST(a_late_member_catches_up_by_the_log),
        TEST(old_entries_come_back_from_the_wal),
        TEST(a_late_member_gets_a_snapshot),
        TEST(a_learner_is_added_and_promoted),
        TEST(a_learner_that_is_far_behind_is_not_promoted),
        TEST(a_joiner_gets_a_snapshot),
        TEST(members_are_removed_and_changed),
        TEST(the_last_two_are_not_removed_when_one_is_down),
        TEST(the_cluster_rises_when_all_can),
        TEST(nothing_acknowledged_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
