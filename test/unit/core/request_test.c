/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests of every kind at a member on the simulated env, what bounds them, what becomes of them
 * when lanes stand still, disks fail or the member stops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "base/limits.h"
#include "member_case.h"

enum { WAIT_MS = 60000, TXN_OPS = 100 };

/* ---- requests that are not waited for ---- */

struct waiting {
    struct core_request req;
    struct mvcc_plan plan;
    struct buf response;
    int replies;
};

static void on_reply(struct core_request *r)
{
    container_of(r, struct waiting, req)->replies++;
}

static void init(struct waiting *w, enum core_kind kind)
{
    *w = (struct waiting){.replies = 0};
    core_request_init(&w->req, kind);
    w->req.on_reply = on_reply;
    w->req.plan = &w->plan;
    w->req.response = &w->response;
}

static void submit_put(struct waiting *w, const char *key, struct slice value, bool prev_kv)
{
    struct buf body = BUF_INIT;
    struct wire_put_req put = {.key = slice_cstr(key), .value = value, .prev_kv = prev_kv};
    wire_put_req_encode(&body, &put);
    init(w, CORE_PROPOSE);
    w->req.which = WIRE_INTERNAL_PUT;
    w->req.body = buf_slice(&body);
    w->req.quota_cost = apply_put_cost(&put);
    driver_submit(m.driver, &w->req);
    buf_deinit(&body); /* the core has its own copy */
}

static bool is_replied(void *arg)
{
    return ((struct waiting *)arg)->replies > 0;
}

static int wait_for(struct waiting *w)
{
    assert_true(sim_run_until(sim_of(m.sim), is_replied, w, WAIT_MS));
    assert_int_equal(w->replies, 1);
    return w->req.err;
}

static void expect_reply(struct waiting *w, int err)
{
    assert_int_equal(wait_for(w), err);
    buf_deinit(&w->response);
}

static int ask(struct waiting *w)
{
    driver_submit(m.driver, &w->req);
    return wait_for(w);
}

/* ---- reads ---- */

static int range(const struct wire_range_req *req, struct waiting *w)
{
    init(w, CORE_RANGE);
    w->req.range = req;
    return ask(w);
}

static void put_three(void)
{
    assert_int_equal(mf_put(&m, "a", "3"), 0);
    assert_int_equal(mf_put(&m, "b", "1"), 0);
    assert_int_equal(mf_put(&m, "c", "2"), 0);
}

static void range_plans(void **state)
{
    (void)state;
    struct waiting w;
    start();
    put_three();
    struct wire_range_req req = {.key = SLICE_LIT("a"), .range_end = SLICE_LIT("z"), .limit = 2};
    assert_int_equal(range(&req, &w), 0);
    assert_int_equal(w.req.header_rev, 4);
    assert_int_equal(w.plan.count, 3);
    assert_int_equal(w.plan.item_count, 2);
    assert_true(w.plan.more);
    mvcc_plan_end(&w.plan);
    req = (struct wire_range_req){
        .key = SLICE_LIT("a"), .range_end = SLICE_LIT("z"), .count_only = true};
    assert_int_equal(range(&req, &w), 0);
    assert_int_equal(w.plan.count, 3);
    assert_int_equal(w.plan.item_count, 0);
    mvcc_plan_end(&w.plan);
    req = (struct wire_range_req){.key = SLICE_LIT("a"), .revision = 50};
    assert_int_equal(range(&req, &w), ERR_RPC_FUTURE_REV);
    assert_int_equal(w.req.header_rev, 4);
}

static void sorting_by_value_reads_cold_pages(void **state)
{
    (void)state;
    struct waiting w;
    char value[3000];
    m.config.page_cache_bytes = 4096;
    start();
    for (int i = 0; i < 20; i++) {
        char key[16];
        memset(value, 'a' + (i * 7) % 20, sizeof(value) - 1);
        value[sizeof(value) - 1] = 0;
        (void)snprintf(key, sizeof(key), "k%02d", i);
        assert_int_equal(mf_put(&m, key, value), 0);
    }
    mf_wait_ms(&m, 300);
    struct wire_range_req req = {.key = SLICE_LIT("k"),
                                 .range_end = SLICE_LIT("l"),
                                 .sort_order = WIRE_SORT_ASCEND,
                                 .sort_target = WIRE_SORT_VALUE};
    sim_lane_hold(m.sim, ENV_LANE_WORK, true);
    init(&w, CORE_RANGE);
    w.req.range = &req;
    driver_submit(m.driver, &w.req);
    mf_wait_ms(&m, 100);
    assert_int_equal(w.replies, 0);
    assert_int_equal(mf_put(&m, "other", "1"), 0); /* nobody else waits */
    sim_lane_hold(m.sim, ENV_LANE_WORK, false);
    assert_int_equal(wait_for(&w), 0);
    assert_int_equal(w.plan.item_count, 20);
    assert_int_equal(w.plan.items[0].main, 2);
    assert_int_equal(w.plan.items[1].main, 2 + 3); /* 3 * 7 % 20 = 1 */
    mvcc_plan_end(&w.plan);
}

static void read_only_txns(void **state)
{
    (void)state;
    struct waiting w;
    start();
    put_three();
    struct wire_compare cmp = {.key = SLICE_LIT("a"),
                               .target = WIRE_COMPARE_VALUE,
                               .operand_field = 7,
                               .value = SLICE_LIT("3")};
    struct wire_op get = {.kind = WIRE_OP_RANGE, .range = {.key = SLICE_LIT("b")}};
    struct wire_txn_req txn = {
        .compares = &cmp, .compare_count = 1, .success = &get, .success_count = 1};
    for (int serializable = 0; serializable < 2; serializable++) {
        init(&w, CORE_TXN_READ);
        w.req.txn = &txn;
        w.req.is_serializable = serializable == 1;
        assert_int_equal(ask(&w), 0);
        assert_int_equal(w.req.header_rev, 4);
        assert_true(w.response.len > 4 && w.response.data[0] == 0x10); /* succeeded */
        buf_deinit(&w.response);
    }
    init(&w, CORE_BARRIER);
    assert_int_equal(ask(&w), 0);
    assert_int_equal(w.req.header_rev, 4);
}

static void a_read_sees_what_was_acknowledged(void **state)
{
    (void)state;
    struct waiting put, read;
    start();
    mf_wait_ms(&m, 300);
    /* The file stands still: applied and acknowledged, in memory only. */
    sim_lane_hold(m.sim, ENV_LANE_BACKEND, true);
    submit_put(&put, "k", SLICE_LIT("v"), false);
    expect_reply(&put, 0);
    expect_get("k", 0, "v");
    /* What needs the file waits for it. */
    init(&read, CORE_HASH);
    driver_submit(m.driver, &read.req);
    mf_wait_ms(&m, 500);
    assert_int_equal(read.replies, 0);
    sim_lane_hold(m.sim, ENV_LANE_BACKEND, false);
    assert_int_equal(wait_for(&read), 0);
    assert_int_not_equal(read.req.hash.hash, 0);
    verify_member();
}

static void an_unreadable_page_is_an_error_not_an_end(void **state)
{
    (void)state;
    struct waiting w;
    char value[3000];
    memset(value, 'x', sizeof(value));
    m.config.page_cache_bytes = 4096;
    start();
    for (int i = 0; i < 20; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%02d", i);
        submit_put(&w, key, slice_make(value, sizeof(value)), false);
        expect_reply(&w, 0);
    }
    mf_wait_ms(&m, 300);
    struct wire_op get = {.kind = WIRE_OP_RANGE, .range = {.key = SLICE_LIT("k03")}};
    struct wire_txn_req txn = {.success = &get, .success_count = 1};
    init(&w, CORE_TXN_READ);
    w.req.txn = &txn;
    sim_disk_fail_match(disk, SIM_OP_BIT(SIM_OP_READ), "*/snap/db", 1, true, ERR_IO);
    assert_int_equal(ask(&w), ERR_RPC_INTERNAL);
    assert_false(m.is_failed);
    /* A committed entry that cannot be applied is an end. */
    submit_put(&w, "k04", SLICE_LIT("n"), true);
    mf_wait_ms(&m, 1000);
    assert_true(m.is_failed);
    assert_int_equal(w.replies, 0);
    sim_disk_faults_clear(disk);
    mf_die(&m);
    expect_reply(&w, ERR_RPC_STOPPED);
    start();
    expect_get("k04", 0, "n"); /* it was committed */
    verify_member();
}

/* ---- writes ---- */

static void txns(void **state)
{
    (void)state;
    struct buf body = BUF_INIT, response = BUF_INIT;
    start();
    put_three();
    struct wire_compare cmp = {.key = SLICE_LIT("a"),
                               .target = WIRE_COMPARE_VALUE,
                               .operand_field = 7,
                               .value = SLICE_LIT("other")};
    struct wire_op put = {.kind = WIRE_OP_PUT,
                          .put = {.key = SLICE_LIT("new"), .value = SLICE_LIT("1")}};
    struct wire_op del = {.kind = WIRE_OP_DELETE,
                          .del = {.key = SLICE_LIT("a"), .range_end = SLICE_LIT("d")}};
    struct wire_txn_req txn = {.compares = &cmp,
                               .compare_count = 1,
                               .success = &put,
                               .success_count = 1,
                               .failure = &del,
                               .failure_count = 1};
    wire_txn_req_encode(&body, &txn);
    assert_int_equal(mf_propose(&m, WIRE_INTERNAL_TXN, buf_slice(&body), &response), 0);
    expect_get("new", 0, NULL);
    expect_get("a", 0, NULL);
    expect_get("c", 0, NULL);
    assert_int_equal(core_rev(driver_core(m.driver)), 5);
    buf_clear(&body);
    del.kind = WIRE_OP_PUT;
    del.put = (struct wire_put_req){.key = SLICE_LIT("x"), .lease = 99};
    wire_txn_req_encode(&body, &txn);
    assert_int_equal(mf_propose(&m, WIRE_INTERNAL_TXN, buf_slice(&body), &response),
                     ERR_RPC_LEASE_NOT_FOUND);
    assert_int_equal(core_rev(driver_core(m.driver)), 5);
    buf_deinit(&body);
    buf_deinit(&response);
    verify_member();
}

static void applying_stops_for_a_cold_value_and_goes_on_in_order(void **state)
{
    (void)state;
    struct waiting w[3];
    char value[3000];
    memset(value, 'x', sizeof(value));
    m.config.page_cache_bytes = 4096;
    start();
    for (int i = 0; i < 20; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%02d", i);
        submit_put(&w[0], key, slice_make(value, sizeof(value)), false);
        expect_reply(&w[0], 0);
    }
    mf_wait_ms(&m, 300);
    sim_lane_hold(m.sim, ENV_LANE_WORK, true);
    submit_put(&w[0], "k02", SLICE_LIT("1"), true);
    submit_put(&w[1], "k02", SLICE_LIT("2"), false);
    submit_put(&w[2], "k05", SLICE_LIT("3"), true);
    mf_wait_ms(&m, 500);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(w[i].replies, 0);
    }
    struct core_status st;
    core_status(driver_core(m.driver), &st);
    assert_true(st.committed >= st.applied + 3); /* raft goes on */
    sim_lane_hold(m.sim, ENV_LANE_WORK, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wait_for(&w[i]), 0);
        assert_int_equal(w[i].req.header_rev, 22 + i);
        buf_deinit(&w[i].response);
    }
    expect_get("k02", 0, "2");
}

static void too_many_requests(void **state)
{
    (void)state;
    static struct waiting w[LIMIT_PENDING_REQUESTS + 2];
    struct waiting over;
    start();
    mf_wait_ms(&m, 300);
    sim_lane_hold(m.sim, ENV_LANE_LOG, true);
    for (size_t i = 0; i < LIMIT_PENDING_REQUESTS; i++) {
        submit_put(&w[i], "k", SLICE_LIT("v"), false);
    }
    submit_put(&over, "k", SLICE_LIT("v"), false);
    expect_reply(&over, ERR_RPC_TOO_MANY_REQUESTS);
    sim_lane_hold(m.sim, ENV_LANE_LOG, false);
    for (size_t i = 0; i < LIMIT_PENDING_REQUESTS; i++) {
        expect_reply(&w[i], 0);
    }
    submit_put(&over, "k", SLICE_LIT("v"), false);
    expect_reply(&over, 0);
    verify_member();
}

static void too_many_bytes(void **state)
{
    (void)state;
    enum { LEN = 1 << 20, COUNT = LIMIT_PENDING_BYTES / LEN };
    static struct waiting w[COUNT];
    static uint8_t big[LEN];
    struct waiting over;
    start();
    mf_wait_ms(&m, 300);
    sim_lane_hold(m.sim, ENV_LANE_LOG, true);
    for (size_t i = 0; i < COUNT; i++) { /* each a little more than LEN */
        submit_put(&w[i], "k", slice_make(big, LEN), false);
    }
    expect_reply(&w[COUNT - 1], ERR_RPC_TOO_MANY_REQUESTS);
    submit_put(&over, "k", slice_make(big, LEN), false);
    expect_reply(&over, ERR_RPC_TOO_MANY_REQUESTS);
    sim_lane_hold(m.sim, ENV_LANE_LOG, false);
    for (size_t i = 0; i < COUNT - 1; i++) {
        expect_reply(&w[i], 0);
    }
    submit_put(&over, "k", SLICE_LIT("v"), false);
    expect_reply(&over, 0);
}

/* Before there is a leader: the proposal waits, and what it was made of is not looked at again. */
static void a_proposal_waits_for_the_leader_with_its_own_bytes(void **state)
{
    (void)state;
    struct waiting w[3];
    char bytes[16];
    assert_int_equal(driver_open(&m.config, &m.driver, m.text), 0);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(bytes, sizeof(bytes), "value %d", i);
        submit_put(&w[i], i == 0 ? "a" : "b", slice_cstr(bytes), false);
    }
    memset(bytes, '?', sizeof(bytes));
    driver_cancel(m.driver, &w[1].req);
    driver_start(m.driver);
    expect_reply(&w[0], 0);
    expect_reply(&w[1], ERR_RPC_CONTEXT_CANCELED);
    expect_reply(&w[2], 0);
    expect_get("a", 0, "value 0");
    expect_get("b", 0, "value 2");
}

static void submit_revoke(struct waiting *w)
{
    init(w, CORE_PROPOSE);
    w->req.which = WIRE_INTERNAL_LEASE_REVOKE;
    w->req.body = SLICE_LIT("\x08\x07");
    driver_submit(m.driver, &w->req);
}

/* The file stands still: the tail is bounded, then what is committed waits, then nothing is let in.
 */
static void a_full_tail_stops_applying_then_admission(void **state)
{
    (void)state;
    enum { COUNT = LIMIT_APPLY_GAP + 200 };
    static struct waiting w[COUNT];
    struct waiting over, revoke;
    struct core_status st;
    m.config.batch_ops = 10;
    start();
    mf_wait_ms(&m, 300);
    sim_lane_hold(m.sim, ENV_LANE_BACKEND, true);
    for (size_t i = 0; i < COUNT; i++) {
        submit_put(&w[i], "k", SLICE_LIT("v"), false);
    }
    mf_wait_ms(&m, 1000);
    core_status(driver_core(m.driver), &st);
    assert_true(st.committed > st.applied + LIMIT_APPLY_GAP);
    assert_true(w[0].replies == 1 && w[COUNT - 1].replies == 0);
    submit_put(&over, "k", SLICE_LIT("v"), false);
    expect_reply(&over, ERR_RPC_TOO_MANY_REQUESTS);
    submit_revoke(&revoke);
    if (m.config.revokes_first) {
        mf_wait_ms(&m, 100);
        assert_int_equal(revoke.replies, 0);
    } else {
        expect_reply(&revoke, ERR_RPC_TOO_MANY_REQUESTS);
    }
    sim_lane_hold(m.sim, ENV_LANE_BACKEND, false);
    for (size_t i = 0; i < COUNT; i++) {
        expect_reply(&w[i], 0);
        assert_int_equal(w[i].req.header_rev, 2 + (int64_t)i);
    }
    if (m.config.revokes_first) {
        expect_reply(&revoke, ERR_RPC_LEASE_NOT_FOUND);
    }
    verify_member();
}

static void revocations_are_let_in_longer(void **state)
{
    m.config.revokes_first = true;
    a_full_tail_stops_applying_then_admission(state);
}

/* ---- failing disks ---- */

/* What waited behind the failed sync is not written either. */
static void nothing_is_appended_behind_a_failed_sync(void **state)
{
    (void)state;
    struct waiting w[2];
    start();
    assert_int_equal(mf_put(&m, "a", "1"), 0);
    mf_wait_ms(&m, 300);
    sim_lane_hold(m.sim, ENV_LANE_LOG, true);
    submit_put(&w[0], "b", SLICE_LIT("1"), false);
    mf_wait_ms(&m, 10);
    submit_put(&w[1], "c", SLICE_LIT("1"), false); /* waits for the lane */
    mf_wait_ms(&m, 10);
    sim_disk_fail_match(disk, SIM_OP_BIT(SIM_OP_SYNC_DATA), "*/wal/*.wal", 1, false, ERR_IO);
    uint64_t ops = sim_disk_op_count(disk);
    sim_lane_hold(m.sim, ENV_LANE_LOG, false);
    mf_wait_ms(&m, 3000);
    assert_true(m.is_failed);
    assert_int_equal(sim_disk_op_count(disk), ops + 2); /* one write, one sync */
    mf_die(&m);
    expect_reply(&w[0], ERR_RPC_STOPPED);
    expect_reply(&w[1], ERR_RPC_STOPPED);
    sim_disk_crash(disk, SIM_CRASH_LOSE_ALL, 1);
    start();
    expect_get("a", 0, "1");
    expect_get("c", 0, NULL); /* b, whose sync failed, may be there */
    verify_member();
}

static void no_room_for_the_database_ends_the_member_in_order(void **state)
{
    (void)state;
    char value[9000];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    start();
    assert_int_equal(mf_put(&m, "a", "1"), 0);
    mf_wait_ms(&m, 300);
    sim_disk_capacity_set(disk, sim_disk_used_bytes(disk));
    unsigned acked = 0;
    for (unsigned i = 0; i < 20 && !m.is_failed; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%02u", i);
        acked += mf_put(&m, key, value) == 0;
        mf_wait_ms(&m, 200);
    }
    assert_true(m.is_failed && acked > 0);
    mf_die(&m);
    sim_disk_capacity_set(disk, UINT64_MAX);
    start();
    expect_get("a", 0, "1");
    for (unsigned i = 0; i < acked; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%02u", i);
        expect_get(key, 0, value);
    }
    verify_member();
}

static void no_room_for_a_raft_snapshot(void **state)
{
    (void)state;
    m.config.snapshot_count = 5;
    start();
    sim_disk_fail_match(disk, SIM_OP_BIT(SIM_OP_WRITE), "*.snap*", 1, false, ERR_NO_SPACE);
    unsigned acked = 0;
    for (unsigned i = 0; i < 30 && !m.is_failed; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%02u", i);
        acked += mf_put(&m, key, "v") == 0;
        mf_wait_ms(&m, 50);
    }
    assert_true(m.is_failed);
    mf_die(&m);
    start();
    for (unsigned i = 0; i < acked; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%02u", i);
        expect_get(key, 0, "v");
    }
    verify_member();
}

static void a_rewritten_file_that_cannot_be_opened_ends_the_member(void **state)
{
    (void)state;
    start();
    assert_int_equal(mf_put(&m, "a", "1"), 0);
    mf_wait_ms(&m, 300);
    sim_disk_fail_match(disk, SIM_OP_BIT(SIM_OP_SYNC_DIR), "*/snap", 2, false, ERR_IO);
    assert_int_equal(mf_defrag(&m), ERR_IO);
    assert_true(m.is_failed);
    assert_non_null(strstr(m.text, "rewritten database file"));
    assert_int_not_equal(mf_put(&m, "b", "1"), 0);
    mf_die(&m);
    start();
    expect_get("a", 0, "1");
    expect_get("b", 0, NULL);
    verify_member();
}

static void a_defrag_without_room_changes_nothing(void **state)
{
    (void)state;
    start();
    assert_int_equal(mf_put(&m, "a", "1"), 0);
    mf_wait_ms(&m, 300);
    sim_disk_capacity_set(disk, sim_disk_used_bytes(disk) + 4096);
    assert_int_equal(mf_defrag(&m), ERR_NO_SPACE);
    assert_false(m.is_failed);
    assert_int_equal(mf_put(&m, "b", "1"), 0);
    sim_disk_capacity_set(disk, UINT64_MAX);
    assert_int_equal(mf_defrag(&m), 0);
    expect_get("b", 0, "1");
    verify_member();
}

/* ---- the end ---- */

static void stopping_waits_for_what_runs_and_answers_all(void **state)
{
    (void)state;
    struct waiting hash, kv, view, defrag, read, late;
    start();
    put_three();
    sim_lane_hold(m.sim, ENV_LANE_WORK, true);
    sim_lane_hold(m.sim, ENV_LANE_BACKEND, true);
    init(&hash, CORE_HASH);
    init(&kv, CORE_HASH_KV);
    init(&view, CORE_VIEW);
    init(&defrag, CORE_DEFRAG);
    driver_submit(m.driver, &hash.req);
    driver_submit(m.driver, &kv.req);
    driver_submit(m.driver, &view.req);
    driver_submit(m.driver, &defrag.req);
    mf_wait_ms(&m, 300);
    driver_stop(m.driver);
    init(&late, CORE_BARRIER);
    init(&read, CORE_RANGE);
    struct wire_range_req req = {.key = SLICE_LIT("a")};
    read.req.range = &req;
    driver_submit(m.driver, &late.req);
    driver_submit(m.driver, &read.req);
    mf_wait_ms(&m, 300);
    assert_int_equal(late.req.err, ERR_RPC_STOPPED);
    assert_int_equal(read.req.err, ERR_RPC_STOPPED);
    assert_false(m.is_stopped);
    sim_lane_hold(m.sim, ENV_LANE_WORK, false);
    sim_lane_hold(m.sim, ENV_LANE_BACKEND, false);
    mf_wait_ms(&m, 1000);
    assert_true(m.is_stopped);
    struct waiting *all[] = {&hash, &kv, &view, &defrag, &read, &late};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_int_equal(all[i]->replies, 1);
        if (all[i] == &view && view.req.err == 0) {
            backend_view_unpin(view.req.view);
        }
    }
    assert_int_equal(mf_stop(&m), 0);
    start();
    expect_get("c", 0, "2");
}

static void cancelled_tasks_come_back_once(void **state)
{
    (void)state;
    struct waiting w[4];
    static const enum core_kind kinds[] = {CORE_HASH, CORE_HASH_KV, CORE_VIEW, CORE_DEFRAG};
    start();
    put_three();
    sim_lane_hold(m.sim, ENV_LANE_BACKEND, true);
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        init(&w[i], kinds[i]);
        driver_submit(m.driver, &w[i].req);
    }
    mf_wait_ms(&m, 100);
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        driver_cancel(m.driver, &w[i].req);
        driver_cancel(m.driver, &w[i].req);
    }
    mf_wait_ms(&m, 100);
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        assert_int_equal(w[i].replies, 1);
        assert_int_equal(w[i].req.err, ERR_RPC_CONTEXT_CANCELED);
    }
    sim_lane_hold(m.sim, ENV_LANE_BACKEND, false);
    verify_member();
}

static void put_many_keys(unsigned count)
{
    struct wire_op ops[TXN_OPS];
    char keys[TXN_OPS][16];
    for (unsigned i = 0; i < count; i += TXN_OPS) {
        struct buf body = BUF_INIT;
        for (unsigned k = 0; k < TXN_OPS; k++) {
            (void)snprintf(keys[k], sizeof(keys[k]), "%08u", i + k);
            ops[k] = (struct wire_op){.kind = WIRE_OP_PUT, .put = {.key = slice_cstr(keys[k])}};
        }
        struct wire_txn_req txn = {.success = ops, .success_count = TXN_OPS};
        wire_txn_req_encode(&body, &txn);
        assert_int_equal(mf_propose(&m, WIRE_INTERNAL_TXN, buf_slice(&body), NULL), 0);
        buf_deinit(&body);
    }
}

/* The pure core, by hand: a plan that needs several takes, and the stop between two of them. */
static void a_half_built_plan_is_answered_at_the_stop(void **state)
{
    (void)state;
    struct waiting w;
    struct core_update u;
    start();
    put_many_keys(40000);
    mf_wait_ms(&m, 500);
    struct core *c = driver_core(m.driver);
    struct wire_range_req req = {.key = SLICE_LIT("\0"),
                                 .range_end = SLICE_LIT("\0"),
                                 .min_mod_revision = 3}; /* every key is looked at */
    init(&w, CORE_RANGE);
    w.req.range = &req;
    w.req.is_serializable = true;
    uint64_t now = env_mono_ms(&m.env);
    struct core_event ev = {.type = CORE_EV_REQUEST, .now_ms = now, .request = &w.req};
    core_step(c, &ev);
    core_take(c, &u);
    assert_true(u.has_more && list_is_empty(&u.replies));
    ev = (struct core_event){.type = CORE_EV_STOP, .now_ms = now};
    core_step(c, &ev);
    core_take(c, &u);
    assert_ptr_equal(list_first(&u.replies), &w.req.node);
    list_remove(&w.req.node);
    assert_int_equal(w.req.err, ERR_RPC_STOPPED);
}

/* ---- files ---- */

static int count_name(void *arg, const char *name)
{
    size_t len = strlen(name);
    *(unsigned *)arg += len > 4 && strcmp(name + len - 4, ".wal") == 0;
    return 0;
}

static unsigned segments(void)
{
    unsigned n = 0;
    struct env_disk *d = sim_disk_env(disk);
    assert_int_equal(d->ops->list(d, "d/member/wal", count_name, &n), 0);
    return n;
}

static void segments_are_cut_and_purged(void **state)
{
    (void)state;
    char value[1000];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    m.config.wal_segment_bytes = 4096;
    start();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mf_put(&m, "k", value), 0);
        mf_wait_ms(&m, 20);
    }
    unsigned before = segments();
    assert_true(before >= 5);
    assert_int_equal(mf_stop(&m), 0);
    m.config.snapshot_count = 5;
    m.config.snapshot_catchup = 1;
    m.config.max_wals = 2;
    start();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mf_put(&m, "k", value), 0);
        mf_wait_ms(&m, 200);
    }
    assert_true(segments() <= 4);
    mf_die(&m);
    start();
    expect_get("k", 0, value);
    verify_member();
}

static void an_interrupted_first_start_wants_the_same_flags(void **state)
{
    (void)state;
    /* Up to the WAL, not to its first entry. */
    sim_disk_fail_match(disk, SIM_OP_BIT(SIM_OP_WRITE), "*/wal/*.wal", 1, true, ERR_IO);
    assert_int_not_equal(mf_start(&m), 0);
    sim_disk_faults_clear(disk);
    m.config.initial_cluster_token = "another";
    assert_int_equal(mf_start(&m), ERR_MISMATCH);
    assert_non_null(strstr(m.text, "interrupted"));
    m.config.initial_cluster_token = "t";
    start();
    assert_int_equal(mf_put(&m, "a", "1"), 0);
    verify_member();
}

/* ---- a database from the leader that is not in place yet (storage-formats 8, F4 and F5) ---- */

static void file_copy(const char *from, const char *to)
{
    struct env_disk *d = sim_disk_env(disk);
    struct buf bytes = BUF_INIT;
    assert_int_equal(env_read_file(d, from, 64 << 20, &bytes), 0);
    assert_int_equal(env_write_file(d, to, buf_slice(&bytes), 0600), 0);
    buf_deinit(&bytes);
}

/* The file of before, a raft snapshot that is ahead of it, and the file of the snapshot aside. */
static uint64_t make_received_database(void)
{
    struct core_status st;
    char path[64];
    m.config.snapshot_count = 5;
    start();
    assert_int_equal(mf_put(&m, "old", "1"), 0);
    assert_int_equal(mf_stop(&m), 0);
    file_copy("d/member/snap/db", "old-db");
    start();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mf_put(&m, "new", "1"), 0);
        mf_wait_ms(&m, 200);
    }
    core_status(driver_core(m.driver), &st);
    assert_true(st.snapshot_index > 10);
    assert_int_equal(mf_stop(&m), 0);
    (void)snprintf(path, sizeof(path), "d/member/snap/%016llx.snap.db",
                   (unsigned long long)st.snapshot_index);
    file_copy("d/member/snap/db", path);
    file_copy("old-db", "d/member/snap/db");
    return st.snapshot_index;
}

static void f4_received_database_is_put_in_place(void **state)
{
    (void)state;
    uint64_t index = make_received_database();
    start();
    expect_get("old", 0, "1");
    expect_get("new", 0, "1");
    assert_int_equal(core_rev(driver_core(m.driver)), 22);
    struct core_status st;
    core_status(driver_core(m.driver), &st);
    assert_int_equal(st.snapshot_index, index);
    verify_member();
    assert_int_equal(mf_put(&m, "more", "1"), 0);
    mf_die(&m);
    start();
    expect_get("more", 0, "1");
}

static void f5_without_it_the_start_is_refused(void **state)
{
    (void)state;
    struct env_disk *d = sim_disk_env(disk);
    char path[64];
    (void)snprintf(path, sizeof(path), "d/member/snap/%016llx.snap.db",
                   (unsigned long long)make_received_database());
    assert_int_equal(d->ops->unlink(d, path), 0);
    assert_int_equal(mf_start(&m), ERR_CORRUPT);
    assert_non_null(strstr(m.text, "does not match with snapshot"));
    assert_non_null(strstr(m.text, "remove this member"));
    assert_int_equal(mf_start(&m), ERR_CORRUPT); /* the refusal changed nothing */
}

/* The publication of the run before is in the log only, and is applied again. */
static void new_urls_are_published_over_a_replayed_old_one(void **state)
{
    (void)state;
    m.config.batch_interval_ms = 600000;
    start();
    assert_int_equal(mf_put(&m, "a", "1"), 0);
    sim_disk_power_cut_after(disk, sim_disk_op_count(disk));
    mf_die(&m);
    sim_disk_crash(disk, SIM_CRASH_LOSE_ALL, 1);
    m.config.advertise_client_urls = "http://127.0.0.1:7777";
    start();
    const struct membership *ms = core_members(driver_core(m.driver));
    assert_string_equal(ms->members[0].client_urls.items[0], "http://127.0.0.1:7777");
    /* Ready means: everything in the log is applied. */
    assert_int_equal(core_rev(driver_core(m.driver)), 2);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(range_plans),
        TEST(sorting_by_value_reads_cold_pages),
        TEST(read_only_txns),
        TEST(a_read_sees_what_was_acknowledged),
        TEST(an_unreadable_page_is_an_error_not_an_end),
        TEST(txns),
        TEST(applying_stops_for_a_cold_value_and_goes_on_in_order),
        TEST(too_many_requests),
        TEST(too_many_bytes),
        TEST(a_proposal_waits_for_the_leader_with_its_own_bytes),
        TEST(a_full_tail_stops_applying_then_admission),
        TEST(revocations_are_let_in_longer),
        TEST(nothing_is_appended_behind_a_failed_sync),
        TEST(no_room_for_the_database_ends_the_member_in_order),
        TEST(no_room_for_a_raft_snapshot),
        TEST(a_rewritten_file_that_cannot_be_opened_ends_the_member),
        TEST(a_defrag_without_room_changes_nothing),
        TEST(stopping_waits_for_what_runs_and_answers_all),
        TEST(cancelled_tasks_come_back_once),
        TEST(a_half_built_plan_is_answered_at_the_stop),
        TEST(segments_are_cut_and_purged),
        TEST(f4_received_database_is_put_in_place),
        TEST(f5_without_it_the_start_is_refused),
        TEST(new_urls_are_published_over_a_replayed_old_one),
        TEST(an_interrupted_first_start_wants_the_same_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
