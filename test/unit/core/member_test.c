/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole member on the simulated env: requests, limits, faults, restarts, refusals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "base/limits.h"
#include "lease/lessor.h"
#include "member_case.h"

static void put_many(unsigned count, const char *value)
{
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "k%03u", i);
        assert_int_equal(mf_put(&m, key, value), 0);
    }
}

static void new_member(void **state)
{
    (void)state;
    start();
    struct core *c = driver_core(m.driver);
    struct core_status st;
    core_status(c, &st);
    assert_int_equal(st.leader, core_member_id(c));
    assert_int_equal(st.rev, 1);
    assert_int_equal(core_members(c)->count, 1);
    assert_string_equal(core_members(c)->members[0].name, "m1");
    assert_int_equal(core_cluster_version(c).minor, 7);
    assert_int_equal(core_storage_version(c).minor, 7);
    verify_member();
    assert_int_equal(mf_stop(&m), 0);
}

static void reads_and_revisions(void **state)
{
    (void)state;
    start();
    assert_int_equal(mf_put(&m, "a", "1"), 0);
    assert_int_equal(mf_put(&m, "a", "2"), 0);
    assert_int_equal(mf_delete(&m, "a"), 0);
    expect_get("a", 0, NULL);
    expect_get("a", 2, "1");
    expect_get("a", 3, "2");
    struct buf out = BUF_INIT;
    assert_int_equal(mf_get(&m, "a", 99, &out), ERR_RPC_FUTURE_REV);
    assert_int_equal(mf_compact(&m, 3, true), 0);
    assert_int_equal(mf_get(&m, "a", 2, &out), ERR_RPC_COMPACTED);
    assert_int_equal(mf_compact(&m, 3, false), ERR_RPC_COMPACTED);
    assert_int_equal(mf_compact(&m, 99, false), ERR_RPC_FUTURE_REV);
    buf_deinit(&out);
    verify_member();
}

static void restart_and_replay(void **state)
{
    (void)state;
    start();
    put_many(30, "v");
    assert_int_equal(mf_stop(&m), 0);
    start();
    expect_get("k029", 0, "v");
    put_many(5, "w");
    /* The power goes: what was acknowledged is in the WAL only. */
    mf_die(&m);
    start();
    expect_get("k004", 0, "w");
    expect_get("k005", 0, "v");
    verify_member();
}

static void cold_reads(void **state)
{
    (void)state;
    m.config.page_cache_bytes = 4096;
    start();
    char value[3000];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    put_many(50, value);
    mf_wait_ms(&m, 300);
    for (unsigned i = 0; i < 50; i += 7) {
        char key[32];
        (void)snprintf(key, sizeof(key), "k%03u", i);
        expect_get(key, 0, value);
    }
    /* prev_kv of a cold key: apply stops for a work job and goes on. */
    struct wire_put_req put = {.key = SLICE_LIT("k001"), .value = SLICE_LIT("n"), .prev_kv = true};
    struct buf body = BUF_INIT, response = BUF_INIT;
    wire_put_req_encode(&body, &put);
    assert_int_equal(mf_propose(&m, WIRE_INTERNAL_PUT, buf_slice(&body), &response), 0);
    assert_true(response.len > sizeof(value));
    buf_deinit(&body);
    buf_deinit(&response);
    verify_member();
}

static void raft_snapshot_and_restart(void **state)
{
    (void)state;
    m.config.snapshot_count = 10;
    m.config.wal_segment_bytes = 4096;
    start();
    for (int i = 0; i < 8; i++) {
        put_many(10, "some value that fills the segment");
        mf_wait_ms(&m, 300);
    }
    struct core_status st;
    core_status(driver_core(m.driver), &st);
    assert_true(st.snapshot_index > 60);
    mf_die(&m);
    start();
    core_status(driver_core(m.driver), &st);
    assert_true(st.snapshot_index > 60);
    expect_get("k009", 0, "some value that fills the segment");
    verify_member();
}

static void quota_alarm_and_disarm(void **state)
{
    (void)state;
    m.config.quota_bytes = 200000;
    start();
    char value[5000];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    int err = 0;
    for (int i = 0; i < 200 && err == 0; i++) {
        err = mf_put(&m, "big", value);
        mf_wait_ms(&m, 120);
    }
    assert_int_equal(err, ERR_RPC_NO_SPACE);
    struct core *c = driver_core(m.driver);
    assert_true(apply_has_alarm(core_apply(c), SCHEMA_ALARM_NOSPACE));
    assert_int_equal(mf_put(&m, "small", "x"), ERR_RPC_NO_SPACE);
    assert_int_equal(mf_delete(&m, "big"), 0);
    assert_int_equal(mf_compact(&m, core_rev(c), true), 0);
    assert_int_equal(mf_defrag(&m), 0);
    assert_int_equal(mf_put(&m, "small", "x"), ERR_RPC_NO_SPACE);
    assert_int_equal(mf_alarm(&m, 2, core_member_id(c), SCHEMA_ALARM_NOSPACE), 0);
    assert_int_equal(mf_put(&m, "small", "x"), 0);
    verify_member();
}

static void alarms_survive(void **state)
{
    (void)state;
    start();
    assert_int_equal(mf_alarm(&m, 1, 5, SCHEMA_ALARM_CORRUPT), 0);
    assert_int_equal(mf_put(&m, "a", "b"), ERR_RPC_CORRUPT);
    assert_int_equal(mf_stop(&m), 0);
    start();
    assert_int_equal(mf_put(&m, "a", "b"), ERR_RPC_CORRUPT);
    assert_int_equal(mf_alarm(&m, 2, 5, SCHEMA_ALARM_CORRUPT), 0);
    assert_int_equal(mf_put(&m, "a", "b"), 0);
}

static void too_large(void **state)
{
    (void)state;
    m.config.request_bytes_max = 1000;
    start();
    char value[1200];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    assert_int_equal(mf_put(&m, "a", value), ERR_RPC_REQUEST_TOO_LARGE);
    value[800] = 0;
    assert_int_equal(mf_put(&m, "a", value), 0);
}

struct waiting {
    struct core_request req;
    int replies;
};

static void on_reply(struct core_request *r)
{
    container_of(r, struct waiting, req)->replies++;
}

static void propose_put(struct waiting *w)
{
    struct buf body = BUF_INIT;
    struct wire_put_req put = {.key = SLICE_LIT("w"), .value = SLICE_LIT("1")};
    wire_put_req_encode(&body, &put);
    core_request_init(&w->req, CORE_PROPOSE);
    w->req.on_reply = on_reply;
    w->req.which = WIRE_INTERNAL_PUT;
    w->req.body = buf_slice(&body);
    w->replies = 0;
    driver_submit(m.driver, &w->req);
    buf_deinit(&body);
}

static void times_out_when_the_disk_hangs(void **state)
{
    (void)state;
    start();
    mf_wait_ms(&m, 500);
    struct waiting w;
    sim_lane_hold(m.sim, ENV_LANE_LOG, true);
    propose_put(&w);
    mf_wait_ms(&m, 6000);
    assert_int_equal(w.replies, 0);
    mf_wait_ms(&m, 2000);
    assert_int_equal(w.replies, 1);
    assert_int_equal(w.req.err, ERR_RPC_TIMEOUT);
    sim_lane_hold(m.sim, ENV_LANE_LOG, false);
    mf_wait_ms(&m, 100);
    expect_get("w", 0, "1"); /* not acknowledged, but it happened */
}

static void cancel_and_stop_give_every_request_back(void **state)
{
    (void)state;
    start();
    mf_wait_ms(&m, 500);
    struct waiting w[3];
    sim_lane_hold(m.sim, ENV_LANE_LOG, true);
    for (int i = 0; i < 3; i++) {
        propose_put(&w[i]);
    }
    driver_cancel(m.driver, &w[0].req);
    mf_wait_ms(&m, 10);
    assert_int_equal(w[0].replies, 1);
    assert_int_equal(w[0].req.err, ERR_RPC_CONTEXT_CANCELED);
    driver_stop(m.driver);
    mf_wait_ms(&m, 10);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(w[i].replies, 1);
        assert_int_equal(w[i].req.err, ERR_RPC_STOPPED);
    }
    sim_lane_hold(m.sim, ENV_LANE_LOG, false);
    mf_wait_ms(&m, 500);
    assert_true(m.is_stopped);
}

static void a_failed_wal_sync_ends_the_member(void **state)
{
    (void)state;
    start();
    assert_int_equal(mf_put(&m, "a", "1"), 0);
    mf_wait_ms(&m, 300);
    sim_disk_fail_match(disk, SIM_OP_BIT(SIM_OP_SYNC_DATA), "*/wal/*.wal", 1, false, ERR_IO);
    assert_int_not_equal(mf_put(&m, "b", "1"), 0);
    assert_true(m.is_failed);
    uint64_t ops = sim_disk_op_count(disk);
    sim_disk_faults_clear(disk);
    assert_int_not_equal(mf_put(&m, "c", "1"), 0);
    mf_wait_ms(&m, 3000);
    assert_true(sim_disk_op_count(disk) <= ops + 1); /* nothing is tried again */
    mf_die(&m);
    start();
    expect_get("a", 0, "1");
    expect_get("c", 0, NULL);
}

static void a_failed_database_sync_ends_the_member(void **state)
{
    (void)state;
    start();
    sim_disk_fail_match(disk, SIM_OP_BIT(SIM_OP_SYNC_DATA), "*/snap/db", 1, false, ERR_IO);
    assert_int_equal(mf_put(&m, "a", "1"), 0);
    mf_wait_ms(&m, 500);
    assert_true(m.is_failed);
    sim_disk_faults_clear(disk);
    mf_die(&m);
    start();
    expect_get("a", 0, "1");
    verify_member();
}

static void full_disk_stops_writes_and_heals(void **state)
{
    (void)state;
    m.config.wal_segment_bytes = 16384;
    m.config.batch_interval_ms = 60000; /* the database is to ask for no room of its own */
    start();
    put_many(3, "v");
    mf_wait_ms(&m, 1000);
    /* No room for the next segment; the one in use is the last. */
    sim_disk_capacity_set(disk, sim_disk_used_bytes(disk) + 6000);
    int err = 0;
    char value[900];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    for (int i = 0; i < 60 && err == 0; i++) {
        err = mf_put(&m, "fill", value);
        mf_wait_ms(&m, 50); /* the next segment is made beside the writes */
    }
    assert_int_equal(err, ERR_RPC_NO_SPACE);
    assert_false(m.is_failed);
    expect_get("k001", 0, "v");
    sim_disk_capacity_set(disk, UINT64_MAX);
    mf_wait_ms(&m, 3000);
    assert_int_equal(mf_put(&m, "again", "1"), 0);
    verify_member();
}

static void leases_are_kept(void **state)
{
    (void)state;
    start();
    assert_int_equal(mf_lease_grant(&m, 7, 100), 0);
    assert_int_equal(mf_put_lease(&m, "l", "1", 7), 0);
    assert_int_equal(mf_put_lease(&m, "l", "1", 8), ERR_RPC_LEASE_NOT_FOUND);
    assert_int_equal(mf_stop(&m), 0);
    start();
    assert_true(lessor_has(core_lessor(driver_core(m.driver)), 7));
    mf_wait_ms(&m, 99000); /* its time began anew */
    expect_get("l", 0, "1");
    assert_int_equal(mf_put_lease(&m, "n", "1", 7), 0);
    mf_wait_ms(&m, 3000);
    expect_get("l", 0, NULL);
    assert_int_equal(mf_put_lease(&m, "n", "1", 7), ERR_RPC_LEASE_NOT_FOUND);
}

static void hashes_agree_over_a_restart(void **state)
{
    (void)state;
    struct mvcc_hash_value before, after;
    start();
    put_many(20, "v");
    assert_int_equal(mf_hash_kv(&m, 0, &before), 0);
    mf_die(&m);
    start();
    assert_int_equal(mf_hash_kv(&m, before.rev, &after), 0);
    assert_int_equal(before.hash, after.hash);
    assert_int_equal(mf_hash_kv(&m, 9999, &after), ERR_RPC_FUTURE_REV);
}

/* ---- refusals: each says why ---- */

static void expect_refused(const char *text)
{
    assert_int_not_equal(mf_start(&m), 0);
    if (strstr(m.text, text) == NULL) {
        fail_msg("\"%s\" is not in: %s", text, m.text);
    }
}

static void change_db(unsigned bucket, const char *key, const char *value, size_t len)
{
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct bolt_options o = {.disk = sim_disk_env(disk), .path = "d/member/snap/db"};
    assert_int_equal(bolt_db_open(&o, &db), 0);
    assert_int_equal(bolt_tx_begin(db, true, &tx), 0);
    assert_int_equal(schema_tx_put(tx, bucket, slice_cstr(key), slice_make(value, len)), 0);
    assert_int_equal(bolt_tx_commit(tx), 0);
    bolt_db_close(db);
}

/* A client that connects in the moment of the start waits; it is not told of the election. */
static void proposals_wait_for_a_leader(void **state)
{
    (void)state;
    assert_int_equal(mf_open(&m), 0);
    struct core_status st;
    core_status(driver_core(m.driver), &st);
    assert_int_equal(st.leader, 0);
    assert_int_equal(mf_put(&m, "early", "1"), 0);
    mf_die(&m);
    assert_int_equal(mf_open(&m), 0);
    assert_int_equal(mf_put(&m, "early", "2"), 0);
    expect_get("early", 0, "2");
    verify_member();
}

/* etcd's files have it from the start: those of a mixed cluster are equal. */
static void auth_revision_is_there(void **state)
{
    (void)state;
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct auth_store *auth = auth_store_create(NULL, NULL);
    const char *bucket;
    start();
    assert_int_equal(mf_stop(&m), 0);
    struct bolt_options o = {
        .disk = sim_disk_env(disk), .path = "d/member/snap/db", .read_only = true};
    assert_int_equal(bolt_db_open(&o, &db), 0);
    assert_int_equal(bolt_tx_begin(db, false, &tx), 0);
    assert_int_equal(auth_store_load(auth, tx, &bucket), 0);
    assert_int_equal(auth_revision(auth), SCHEMA_AUTH_REVISION_FIRST);
    auth_store_destroy(auth);
    bolt_tx_rollback(tx);
    bolt_db_close(db);
}

static void auth_that_is_on_opens(void **state)
{
    (void)state;
    start();
    assert_int_equal(mf_stop(&m), 0);
    change_db(SCHEMA_AUTH, SCHEMA_AUTH_ENABLED_KEY, "\x01", 1);
    start();
    assert_true(auth_is_enabled(core_auth(driver_core(m.driver))));
    assert_int_equal(mf_put(&m, "a", "1"), ERR_RPC_USER_EMPTY); /* in nobody's name */
    verify_member();
}

static void damaged_users_are_refused(void **state)
{
    (void)state;
    start();
    assert_int_equal(mf_stop(&m), 0);
    change_db(SCHEMA_AUTH_USERS, "u", "\x0a\x05u", 3);
    expect_refused("authUsers");
}

/* Alone it has no quorum: it opens, waits, and serves what needs none. */
static void one_of_several_voters_waits(void **state)
{
    (void)state;
    start();
    assert_int_equal(mf_put(&m, "a", "1"), 0);
    assert_int_equal(mf_stop(&m), 0);
    static const char json[] = "{\"id\":99,\"peerURLs\":[\"http://x:1\"],\"name\":\"m2\"}";
    change_db(SCHEMA_MEMBERS, "63", json, sizeof(json) - 1);
    assert_int_equal(mf_open(&m), 0);
    mf_wait_ms(&m, 10000);
    assert_false(m.is_ready || m.is_failed);
    struct core_status st;
    core_status(driver_core(m.driver), &st);
    assert_int_equal(st.leader, 0);
    assert_int_equal(mf_put(&m, "a", "2"), ERR_RPC_CONTEXT_DEADLINE);
    struct buf out = BUF_INIT;
    assert_int_equal(mf_get(&m, "a", 0, &out), ERR_RPC_TIMEOUT);
    buf_deinit(&out);
    mf_die(&m);
    /* The others are gone for good. */
    m.config.force_new_cluster = true;
    start();
    expect_get("a", 0, "1");
    assert_int_equal(core_members(driver_core(m.driver))->count, 1);
    assert_true(membership_is_removed(core_members(driver_core(m.driver)), 99));
    assert_int_equal(mf_put(&m, "a", "2"), 0);
    verify_member();
}

static void wrong_initial_cluster_is_refused(void **state)
{
    (void)state;
    m.config.initial_cluster = "zz=http://127.0.0.1:2380";
    expect_refused("couldn't find local name \"m1\" in the initial cluster configuration");
    m.config.is_join = true;
    m.config.initial_cluster = "m1=http://127.0.0.1:2380";
    expect_refused("joining needs the members of the existing cluster");
}

static void damaged_database_is_refused(void **state)
{
    (void)state;
    start();
    put_many(50, "v");
    assert_int_equal(mf_stop(&m), 0);
    for (uint64_t byte = 0; byte < 3; byte++) {
        assert_int_equal(sim_disk_flip_bit(disk, "d/member/snap/db", (16 + byte) * 8), 0);
        assert_int_equal(sim_disk_flip_bit(disk, "d/member/snap/db", (4096 + 16 + byte) * 8), 0);
    }
    expect_refused("cannot open the database");
}

static void damaged_wal_is_refused(void **state)
{
    (void)state;
    start();
    put_many(50, "v");
    assert_int_equal(mf_stop(&m), 0);
    assert_int_equal(
        sim_disk_flip_bit(disk, "d/member/wal/0000000000000000-0000000000000000.wal", 300 * 8), 0);
    expect_refused("cannot read the WAL");
}

static void missing_wal_is_refused(void **state)
{
    (void)state;
    start();
    put_many(3, "v");
    assert_int_equal(mf_stop(&m), 0);
    assert_int_equal(env_remove_all(sim_disk_env(disk), "d/member/wal"), 0);
    expect_refused("there is no WAL");
}

static void second_start_is_refused(void **state)
{
    (void)state;
    start();
    struct member_fixture second;
    member_fixture_init(&second, sim_disk_env(disk));
    assert_int_equal(mf_start(&second), ERR_LOCKED);
    assert_non_null(strstr(second.text, "in use"));
    member_fixture_deinit(&second);
    assert_int_equal(mf_put(&m, "a", "1"), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_member),
        TEST(reads_and_revisions),
        TEST(restart_and_replay),
        TEST(cold_reads),
        TEST(raft_snapshot_and_restart),
        TEST(quota_alarm_and_disarm),
        TEST(alarms_survive),
        TEST(too_large),
        TEST(times_out_when_the_disk_hangs),
        TEST(cancel_and_stop_give_every_request_back),
        TEST(a_failed_wal_sync_ends_the_member),
        TEST(a_failed_database_sync_ends_the_member),
        TEST(full_disk_stops_writes_and_heals),
        TEST(leases_are_kept),
        TEST(hashes_agree_over_a_restart),
        TEST(proposals_wait_for_a_leader),
        TEST(auth_revision_is_there),
        TEST(auth_that_is_on_opens),
        TEST(damaged_users_are_refused),
        TEST(one_of_several_voters_waits),
        TEST(wrong_initial_cluster_is_refused),
        TEST(damaged_database_is_refused),
        TEST(damaged_wal_is_refused),
        TEST(missing_wal_is_refused),
        TEST(second_start_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
