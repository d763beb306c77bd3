/* SPDX-License-Identifier: Apache-2.0
 *
 * The chain over a real store and a real file on the memory disk: gates, quota, alarms, versions,
 * attributes in both forms, leases; and that a refused entry leaves nothing behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "sim/disk.h"

enum { SELF = 0xabc, NOW_MS = 1000, COST_OF_NOTHING = 256 };

struct fixture {
    struct sim_disk *disk;
    struct backend *b;
    struct lessor *lessor;
    struct auth_store *auth;
    struct mvcc_store *store;
    struct membership members;
    struct mvcc_values *values;
    struct apply *a;
    struct buf body; /* of the last response */
    struct apply_result res;
    uint64_t next_id;
    uint64_t index;
    uint64_t db_bytes;
    uint64_t id; /* what begin told */
};

static void add_member(struct fixture *f, uint64_t id)
{
    struct member m;
    member_init(&m);
    m.id = id;
    strs_add(&m.peer_urls, SLICE_LIT("http://h:1"));
    (void)membership_add(&f->members, &m);
}

static void make_apply(struct fixture *f, enum level level, int64_t quota)
{
    struct apply_options o = {
        .backend = f->b,
        .store = f->store,
        .lessor = f->lessor,
        .auth = f->auth,
        .members = &f->members,
        .member_id = SELF,
        .level = level,
        .quota_bytes = quota,
    };
    f->a = apply_create(&o);
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    f->disk = sim_disk_create();
    struct backend_options bo = {
        .disk = sim_disk_env(f->disk),
        .path = "db",
        .bucket_names = SCHEMA_BUCKET_NAMES,
        .bucket_count = SCHEMA_BUCKET_COUNT,
    };
    assert_int_equal(backend_open(&bo, &f->b), 0);
    struct lessor_options lo = {.backend = f->b, .bucket_lease = SCHEMA_LEASE, .min_ttl_s = 2};
    f->lessor = lessor_create(&lo);
    f->auth = auth_store_create(f->b, NULL);
    auth_store_begin(f->auth);
    struct mvcc_options mo = {.backend = f->b, .lessor = f->lessor, .bucket_meta = SCHEMA_META};
    f->store = mvcc_create(&mo);
    f->values = mvcc_values_create(f->store);
    membership_init(&f->members);
    add_member(f, SELF);
    make_apply(f, LEVEL_3_7, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    apply_destroy(f->a);
    mvcc_values_destroy(f->values);
    mvcc_destroy(f->store);
    lessor_destroy(f->lessor);
    auth_store_destroy(f->auth);
    membership_deinit(&f->members);
    backend_close(f->b);
    sim_disk_destroy(f->disk);
    buf_deinit(&f->body);
    mem_free(f);
    return 0;
}

static void remake(struct fixture *f, enum level level, int64_t quota)
{
    apply_destroy(f->a);
    make_apply(f, level, quota);
}

/* ---- entries ---- */

/* What must stop the member, or 0 with the client's error in res. */
static int run_data(struct fixture *f, struct slice data)
{
    buf_clear(&f->body);
    int err = apply_begin(f->a, data, &f->id);
    if (err == 0) {
        err = apply_prefetch(f->a, true, f->values);
    }
    if (err == 0) {
        const struct apply_now now = {
            .index = f->index + 1, .now_ms = NOW_MS, .db_bytes = f->db_bytes};
        err = apply_run(f->a, f->values, &now, &f->body, &f->res);
    }
    mvcc_values_clear(f->values);
    backend_seal(f->b, ++f->index, 1, NOW_MS);
    return err;
}

static int run_body(struct fixture *f, uint32_t which, struct slice body)
{
    struct wire_internal req = {.id = ++f->next_id, .which = which, .body = body};
    size_t n = wire_internal_size(&req);
    uint8_t *data = mem_alloc(n);
    wire_internal_encode(&req, data);
    int err = run_data(f, slice_make(data, n));
    mem_free(data);
    if (err == 0) {
        assert_int_equal(f->id, req.id);
    }
    return err;
}

/* The client's error of an entry made of buf, which is emptied. */
static int run_buf(struct fixture *f, uint32_t which, struct buf *body)
{
    int err = run_body(f, which, buf_slice(body));
    buf_deinit(body);
    assert_int_equal(err, 0);
    return f->res.err;
}

static int put(struct fixture *f, const char *key, const char *value)
{
    struct buf body = BUF_INIT;
    struct wire_put_req req = {.key = slice_cstr(key), .value = slice_cstr(value)};
    wire_put_req_encode(&body, &req);
    return run_buf(f, WIRE_INTERNAL_PUT, &body);
}

static int delete_key(struct fixture *f, const char *key)
{
    struct buf body = BUF_INIT;
    struct wire_delete_req req = {.key = slice_cstr(key)};
    wire_delete_req_encode(&body, &req);
    return run_buf(f, WIRE_INTERNAL_DELETE_RANGE, &body);
}

static int txn(struct fixture *f, const struct wire_txn_req *req)
{
    struct buf body = BUF_INIT;
    wire_txn_req_encode(&body, req);
    return run_buf(f, WIRE_INTERNAL_TXN, &body);
}

static int compact(struct fixture *f, int64_t rev)
{
    struct buf body = BUF_INIT;
    struct wire_compaction_req req = {.revision = rev};
    wire_compaction_req_encode(&body, &req);
    return run_buf(f, WIRE_INTERNAL_COMPACTION, &body);
}

static int numbers(struct fixture *f, uint32_t which, uint64_t one, uint64_t two, uint64_t three)
{
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, one);
    wire_append_u64(&body, 2, two);
    wire_append_u64(&body, 3, three);
    return run_buf(f, which, &body);
}

static int alarm_do(struct fixture *f, int action, uint64_t member, int type)
{
    return numbers(f, WIRE_INTERNAL_ALARM, (uint64_t)action, member, (uint64_t)type);
}

static int grant(struct fixture *f, int64_t id, int64_t ttl)
{
    return numbers(f, WIRE_INTERNAL_LEASE_GRANT, (uint64_t)ttl, (uint64_t)id, 0);
}

/* ---- looking ---- */

/* What the file holds when everything is committed; NULL: nothing. */
static void expect_row(struct fixture *f, unsigned bucket, const char *key, const char *want)
{
    struct backend_batch *batch = backend_batch_take(f->b, f->index, NOW_MS, true);
    if (batch != NULL) {
        assert_int_equal(backend_batch_done(f->b, batch, backend_batch_commit(batch)), 0);
    }
    struct backend_record r;
    struct backend_view *v = backend_view_pin(f->b);
    int err = backend_view_get(v, bucket, slice_cstr(key), &r);
    if (want == NULL) {
        assert_int_equal(err, ERR_NOT_FOUND);
    } else {
        assert_int_equal(err, 0);
        if (!slice_equal_cstr(r.value, want)) {
            fail_msg("%.*s is not %s", (int)r.value.len, (const char *)r.value.data, want);
        }
        backend_record_release(&r);
    }
    backend_view_unpin(v);
}

static void expect_get(struct fixture *f, const char *key, const char *want)
{
    struct wire_range_req req = {.key = slice_cstr(key)};
    struct mvcc_plan plan;
    uint8_t bytes[512];
    struct mvcc_sink sink = {bytes, 0, sizeof(bytes)};
    assert_int_equal(mvcc_plan_range(f->store, &req, &plan), 0);
    assert_int_equal(plan.count, want != NULL);
    assert_int_equal(mvcc_plan_next(&plan, &sink), 0);
    mvcc_plan_end(&plan);
    struct wire_scan s;
    for (wire_scan_init(&s, slice_make(bytes, sink.len)); wire_scan_next(&s);) {
        struct wire_kv kv;
        if (s.field == 2 && s.type == WIRE_LEN) {
            assert_int_equal(wire_kv_decode(s.bytes, &kv), 0);
            assert_true(slice_equal_cstr(kv.value, want));
        }
    }
}

static unsigned rows_in_body(const struct fixture *f)
{
    unsigned n = 0;
    struct wire_scan s;
    for (wire_scan_init(&s, buf_slice(&f->body)); wire_scan_next(&s);) {
        n += s.field == 2 && s.type == WIRE_LEN;
    }
    assert_int_equal(s.err, 0);
    return n;
}

/* ---- tests: the store ---- */

static void writes_and_their_revisions(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, "a", "1"), 0);
    assert_int_equal(f->res.rev, 2);
    assert_int_equal(put(f, "a", "2"), 0);
    assert_int_equal(delete_key(f, "none"), 0);
    assert_int_equal(f->res.rev, 3); /* nothing was deleted: no revision */
    assert_int_equal(delete_key(f, "a"), 0);
    assert_int_equal(f->res.rev, 4);
    expect_get(f, "a", NULL);
    struct wire_op ops[2] = {
        {.kind = WIRE_OP_PUT, .put = {.key = SLICE_LIT("x"), .value = SLICE_LIT("1")}},
        {.kind = WIRE_OP_PUT, .put = {.key = SLICE_LIT("y"), .value = SLICE_LIT("2")}},
    };
    struct wire_txn_req t = {.success = ops, .success_count = 2};
    assert_int_equal(txn(f, &t), 0);
    assert_int_equal(f->res.rev, 5); /* one revision for all of it */
    expect_get(f, "x", "1");
    expect_get(f, "y", "2");
}

static void compaction_says_what_it_did(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, "a", "1"), 0);
    assert_int_equal(put(f, "a", "2"), 0);
    assert_int_equal(compact(f, 9), ERR_RPC_FUTURE_REV);
    assert_false(f->res.is_compaction);
    assert_int_equal(compact(f, 2), 0);
    assert_true(f->res.is_compaction);
    assert_int_equal(f->res.compact_rev, 2);
    assert_int_equal(f->res.rev, 3);
    assert_int_equal(compact(f, 2), ERR_RPC_COMPACTED);
    assert_false(f->res.is_compaction);
}

static void a_client_error_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct buf body = BUF_INIT;
    struct wire_put_req req = {.key = SLICE_LIT("k"), .value = SLICE_LIT("v"), .lease = 77};
    wire_put_req_encode(&body, &req);
    uint64_t position = backend_position(f->b);
    assert_int_equal(run_buf(f, WIRE_INTERNAL_PUT, &body), ERR_RPC_LEASE_NOT_FOUND);
    assert_int_equal(f->res.rev, 1);
    assert_int_equal(backend_position(f->b), position);
    expect_get(f, "k", NULL);
}

static void what_no_etcd_wrote_stops_the_member(void **state)
{
    struct fixture *f = *state;
    assert_int_not_equal(run_data(f, SLICE_LIT("\xff\xff\xff")), 0);
    assert_int_not_equal(run_body(f, WIRE_INTERNAL_PUT, SLICE_LIT("\x0a\x7f")), 0);
    assert_int_not_equal(run_body(f, WIRE_INTERNAL_ALARM, SLICE_LIT("\x12\x7f")), 0);
    assert_int_not_equal(run_body(f, WIRE_INTERNAL_LEASE_GRANT, SLICE_LIT("\x08")), 0);
    assert_int_equal(mvcc_rev(f->store), 1);
}

/* ---- tests: alarms ---- */

static void alarms_are_rows(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(alarm_do(f, 1, 5, SCHEMA_ALARM_NOSPACE), 0);
    assert_int_equal(rows_in_body(f), 1);
    uint64_t position = backend_position(f->b);
    assert_int_equal(alarm_do(f, 1, 5, SCHEMA_ALARM_NOSPACE), 0); /* again: answered, not written */
    assert_int_equal(rows_in_body(f), 1);
    assert_int_equal(backend_position(f->b), position);
    assert_int_equal(alarm_do(f, 1, 6, SCHEMA_ALARM_NOSPACE), 0);
    assert_int_equal(alarm_do(f, 1, 6, SCHEMA_ALARM_CORRUPT), 0);
    assert_int_equal(alarm_do(f, 1, 6, SCHEMA_ALARM_NONE), 0); /* no alarm */
    assert_int_equal(rows_in_body(f), 0);
    assert_int_equal(apply_alarm_count(f->a), 3);
    assert_int_equal(alarm_do(f, 0, 0, SCHEMA_ALARM_NONE), 0);
    assert_int_equal(rows_in_body(f), 3);
    assert_int_equal(alarm_do(f, 0, 0, SCHEMA_ALARM_CORRUPT), 0);
    assert_int_equal(rows_in_body(f), 1);
    expect_row(f, SCHEMA_ALARM, "\x08\x06\x10\x02", "");
    assert_int_equal(alarm_do(f, 2, 6, SCHEMA_ALARM_CORRUPT), 0);
    assert_int_equal(rows_in_body(f), 1);
    assert_int_equal(alarm_do(f, 2, 6, SCHEMA_ALARM_CORRUPT), 0);
    assert_int_equal(rows_in_body(f), 0);
    expect_row(f, SCHEMA_ALARM, "\x08\x06\x10\x02", NULL);
    expect_row(f, SCHEMA_ALARM, "\x08\x05\x10\x01", "");
    assert_int_equal(apply_alarm_count(f->a), 2);
}

/* What does not fit into the table does not reach the file either. */
static void alarms_are_bounded(void **state)
{
    struct fixture *f = *state;
    for (uint64_t member = 0; member < APPLY_ALARMS_MAX; member++) {
        assert_int_equal(alarm_do(f, 1, member, 9), 0);
    }
    uint64_t position = backend_position(f->b);
    assert_int_equal(alarm_do(f, 1, APPLY_ALARMS_MAX, 9), 0);
    assert_int_equal(rows_in_body(f), 0);
    assert_int_equal(backend_position(f->b), position);
    assert_int_equal(alarm_do(f, 1, 3, 9), 0);
    assert_int_equal(rows_in_body(f), 1);
    assert_int_equal(apply_alarm_count(f->a), APPLY_ALARMS_MAX);
}

static void loaded_alarms_count(void **state)
{
    struct fixture *f = *state;
    apply_alarm_load(f->a, (struct schema_alarm){9, SCHEMA_ALARM_NOSPACE});
    apply_alarm_load(f->a, (struct schema_alarm){9, SCHEMA_ALARM_NOSPACE});
    assert_int_equal(apply_alarm_count(f->a), 1);
    assert_true(apply_has_alarm(f->a, SCHEMA_ALARM_NOSPACE));
    assert_false(apply_has_alarm(f->a, SCHEMA_ALARM_CORRUPT));
    assert_int_equal(put(f, "a", "1"), ERR_RPC_NO_SPACE);
}

static void nospace_lets_space_be_made(void **state)
{
    struct fixture *f = *state;
    struct wire_op op_put = {.kind = WIRE_OP_PUT, .put = {.key = SLICE_LIT("n")}};
    struct wire_op op_delete = {.kind = WIRE_OP_DELETE, .del = {.key = SLICE_LIT("b")}};
    struct wire_txn_req inner = {.success = &op_put, .success_count = 1};
    struct wire_op nested = {.kind = WIRE_OP_TXN, .txn = &inner};
    struct wire_txn_req puts = {.failure = &op_put, .failure_count = 1};
    struct wire_txn_req nests = {.success = &nested, .success_count = 1};
    struct wire_txn_req deletes = {.success = &op_delete, .success_count = 1};
    assert_int_equal(put(f, "a", "1"), 0);
    assert_int_equal(put(f, "b", "1"), 0);
    assert_int_equal(grant(f, 3, 10), 0);
    assert_int_equal(alarm_do(f, 1, 5, SCHEMA_ALARM_NOSPACE), 0);
    assert_int_equal(put(f, "a", "2"), ERR_RPC_NO_SPACE);
    assert_int_equal(txn(f, &puts), ERR_RPC_NO_SPACE); /* the branch not taken counts too */
    assert_int_equal(txn(f, &nests), ERR_RPC_NO_SPACE);
    assert_int_equal(grant(f, 4, 10), ERR_RPC_NO_SPACE);
    assert_int_equal(mvcc_rev(f->store), 3);
    expect_get(f, "a", "1");
    assert_int_equal(delete_key(f, "a"), 0);
    assert_int_equal(txn(f, &deletes), 0);
    assert_int_equal(mvcc_rev(f->store), 5);
    assert_int_equal(numbers(f, WIRE_INTERNAL_LEASE_REVOKE, 3, 0, 0), 0);
    assert_int_equal(compact(f, 4), 0);
    assert_int_equal(alarm_do(f, 2, 5, SCHEMA_ALARM_NOSPACE), 0);
    assert_int_equal(put(f, "a", "3"), 0);
}

static void corrupt_refuses_everything_of_the_store(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, "a", "1"), 0);
    assert_int_equal(grant(f, 3, 10), 0);
    assert_int_equal(alarm_do(f, 1, 5, SCHEMA_ALARM_NOSPACE), 0);
    assert_int_equal(alarm_do(f, 1, 5, SCHEMA_ALARM_CORRUPT), 0);
    assert_int_equal(put(f, "a", "2"), ERR_RPC_CORRUPT); /* the outer gate answers */
    assert_int_equal(delete_key(f, "a"), ERR_RPC_CORRUPT);
    assert_int_equal(compact(f, 2), ERR_RPC_CORRUPT);
    assert_int_equal(grant(f, 4, 10), ERR_RPC_CORRUPT);
    assert_int_equal(numbers(f, WIRE_INTERNAL_LEASE_REVOKE, 3, 0, 0), ERR_RPC_CORRUPT);
    assert_int_equal(mvcc_rev(f->store), 2);
    assert_true(lessor_has(f->lessor, 3));
    assert_int_equal(alarm_do(f, 2, 5, SCHEMA_ALARM_CORRUPT), 0);
    assert_int_equal(delete_key(f, "a"), 0);
}

/* ---- tests: quota ---- */

static void the_quota_changes_the_answer_only(void **state)
{
    struct fixture *f = *state;
    remake(f, LEVEL_3_7, 10000);
    f->db_bytes = 10000 - COST_OF_NOTHING - 3;
    assert_int_equal(put(f, "a", "1"), 0); /* one byte below */
    assert_false(f->res.is_over_quota);
    assert_int_equal(put(f, "a", "22"), ERR_RPC_NO_SPACE);
    assert_true(f->res.is_over_quota);
    expect_get(f, "a", "22"); /* done all the same */
    assert_int_equal(f->res.rev, 3);
    f->db_bytes = 20000;
    assert_int_equal(delete_key(f, "a"), 0); /* costs nothing */
    assert_false(f->res.is_over_quota);
    assert_int_equal(grant(f, 3, 10), ERR_RPC_NO_SPACE);
    assert_true(lessor_has(f->lessor, 3));
    remake(f, LEVEL_3_7, 0);
    assert_int_equal(put(f, "a", "1"), 0);
}

static void cost_of_a_txn_is_its_dearer_branch(void **state)
{
    (void)state;
    struct wire_op p1 = {.kind = WIRE_OP_PUT, .put = {.key = SLICE_LIT("k")}};
    struct wire_op p2[2] = {
        {.kind = WIRE_OP_PUT, .put = {.key = SLICE_LIT("k"), .value = SLICE_LIT("vvv")}},
        {.kind = WIRE_OP_RANGE},
    };
    struct wire_txn_req inner = {.failure = p2, .failure_count = 2};
    struct wire_op nested[2] = {{.kind = WIRE_OP_TXN, .txn = &inner}, p1};
    struct wire_txn_req t = {
        .success = &p1, .success_count = 1, .failure = nested, .failure_count = 2};
    assert_int_equal(apply_txn_cost(&inner), COST_OF_NOTHING + 4);
    assert_int_equal(apply_txn_cost(&t), 2 * COST_OF_NOTHING + 5);
}

/* ---- tests: leases ---- */

static void leases_take_their_keys_along(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(grant(f, 3, 1), 0);
    struct lease_info info;
    assert_int_equal(lessor_info(f->lessor, 3, NOW_MS, &info), 0);
    assert_int_equal(info.granted_ttl_s, 2); /* raised to the minimum, and told so */
    assert_true(slice_equal_cstr(buf_slice(&f->body), "\x10\x03\x18\x02"));
    assert_int_equal(grant(f, 3, 1), ERR_RPC_LEASE_EXISTS);
    struct buf body = BUF_INIT;
    struct wire_put_req req = {.key = SLICE_LIT("k"), .value = SLICE_LIT("v"), .lease = 3};
    wire_put_req_encode(&body, &req);
    assert_int_equal(run_buf(f, WIRE_INTERNAL_PUT, &body), 0);
    assert_int_equal(numbers(f, WIRE_INTERNAL_LEASE_REVOKE, 3, 0, 0), 0);
    expect_get(f, "k", NULL);
    assert_int_equal(f->res.rev, 3);
    assert_int_equal(numbers(f, WIRE_INTERNAL_LEASE_REVOKE, 3, 0, 0), ERR_RPC_LEASE_NOT_FOUND);
}

static int64_t remaining_of(struct fixture *f, int64_t id)
{
    struct lease_info info;
    assert_int_equal(lessor_info(f->lessor, id, NOW_MS, &info), 0);
    return info.remaining_ttl_s;
}

static int checkpoint(struct fixture *f, int64_t id, int64_t remaining)
{
    struct buf one = BUF_INIT, body = BUF_INIT;
    wire_append_u64(&one, 1, (uint64_t)id);
    wire_append_u64(&one, 2, (uint64_t)remaining);
    wire_append_message(&body, 1, buf_slice(&one));
    buf_deinit(&one);
    return run_buf(f, WIRE_INTERNAL_LEASE_CHECKPOINT, &body);
}

static void checkpoints_reach_the_lease(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(grant(f, 3, 100), 0);
    assert_int_equal(checkpoint(f, 3, 40), 0);
    assert_int_equal(remaining_of(f, 3), 40);
    uint64_t position = backend_position(f->b);
    assert_int_equal(checkpoint(f, 99, 40), 0); /* unknown: ignored */
    assert_int_equal(backend_position(f->b), position);
}

/* ---- tests: the cluster ---- */

static int set_version(struct fixture *f, const char *text)
{
    struct buf body = BUF_INIT;
    wire_append_bytes(&body, 1, slice_cstr(text));
    int err = run_body(f, WIRE_INTERNAL_CLUSTER_VERSION_SET, buf_slice(&body));
    buf_deinit(&body);
    return err;
}

static void versions_rise_and_fall(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(set_version(f, "3.7.0"), 0);
    assert_true(f->res.version_changed && !f->res.version_lowered);
    assert_int_equal(apply_cluster_version(f->a).minor, 7);
    assert_int_equal(apply_storage_version(f->a).minor, 7);
    expect_row(f, SCHEMA_CLUSTER, SCHEMA_CLUSTER_VERSION_KEY, "3.7.0");
    expect_row(f, SCHEMA_META, SCHEMA_META_STORAGE_VERSION, "3.7.0");
    assert_int_equal(set_version(f, "3.7.0"), 0);
    assert_false(f->res.version_changed);
    assert_int_equal(set_version(f, "3.6.0"), 0);
    assert_true(f->res.version_changed && f->res.version_lowered);
    assert_int_equal(apply_cluster_version(f->a).minor, 6);
    assert_int_equal(set_version(f, "3.8.0"), ERR_VERSION);
    assert_int_not_equal(set_version(f, "three"), 0);
    assert_int_equal(apply_cluster_version(f->a).minor, 6);
}

static int attributes(struct fixture *f, uint64_t id, const char *name)
{
    struct buf attr = BUF_INIT, body = BUF_INIT;
    wire_append_bytes(&attr, 1, slice_cstr(name));
    wire_append_bytes(&attr, 2, SLICE_LIT("http://c:1"));
    wire_append_u64(&body, 1, id);
    wire_append_message(&body, 2, buf_slice(&attr));
    int err = run_body(f, WIRE_INTERNAL_MEMBER_ATTR_SET, buf_slice(&body));
    buf_deinit(&attr);
    buf_deinit(&body);
    return err;
}

static void attributes_are_published(void **state)
{
    struct fixture *f = *state;
    add_member(f, 0x77);
    assert_int_equal(attributes(f, SELF, "me"), 0);
    assert_true(f->res.published);
    assert_string_equal(membership_find(&f->members, SELF)->name, "me");
    assert_int_equal(attributes(f, 0x77, "it"), 0);
    assert_false(f->res.published);
    expect_row(f, SCHEMA_MEMBERS, "77",
               "{\"id\":119,\"peerURLs\":[\"http://h:1\"],\"name\":\"it\",\"clientURLs\":[\"http:"
               "//c:1\"]}");
    membership_remove(&f->members, 0x77);
    assert_int_equal(attributes(f, 0x77, "late"), 0); /* ignored */
    assert_int_equal(attributes(f, 0x99, "never"), ERR_CORRUPT);
}

static void downgrade_job_is_stored(void **state)
{
    struct fixture *f = *state;
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, 1);
    wire_append_bytes(&body, 2, SLICE_LIT("3.6.0"));
    assert_int_equal(run_buf(f, WIRE_INTERNAL_DOWNGRADE_INFO_SET, &body), 0);
    expect_row(f, SCHEMA_CLUSTER, SCHEMA_DOWNGRADE_KEY,
               "{\"target-version\":\"3.6.0\",\"enabled\":true}");
    assert_int_equal(run_buf(f, WIRE_INTERNAL_DOWNGRADE_VERSION_TEST, &body), 0); /* no effect */
    assert_int_equal(mvcc_rev(f->store), 1);
}

/* ---- tests: what 3.5 wrote (storage-formats 3.11) ---- */

/* As gogo writes Request: every field, also the empty ones. */
static int v2(struct fixture *f, const char *method, const char *path, const char *val)
{
    struct buf b = BUF_INIT;
    wire_append_u64(&b, 1, ++f->next_id);
    wire_append_message(&b, 2, slice_cstr(method));
    wire_append_message(&b, 3, slice_cstr(path));
    wire_append_message(&b, 4, slice_cstr(val));
    buf_append_slice(&b, slice_make("\x28\x00\x32\x00\x38\x00", 6));
    buf_append_slice(
        &b, slice_make("\x48\x00\x50\x00\x58\x00\x60\x00\x68\x00\x70\x00\x80\x01\x00", 15));
    int err = run_data(f, buf_slice(&b));
    buf_deinit(&b);
    assert_int_equal(f->id, f->next_id);
    return err;
}

static void v2_requests_of_3_5(void **state)
{
    struct fixture *f = *state;
    remake(f, LEVEL_3_5, 0);
    assert_int_equal(v2(f, "PUT", "/0/version", "3.5.0"), 0);
    assert_true(f->res.version_changed);
    assert_int_equal(apply_cluster_version(f->a).minor, 5);
    expect_row(f, SCHEMA_CLUSTER, SCHEMA_CLUSTER_VERSION_KEY, "3.5.0");
    expect_row(f, SCHEMA_META, SCHEMA_META_STORAGE_VERSION, NULL); /* there is none in 3.5 */
    assert_int_equal(v2(f, "PUT", "/0/members/abc/attributes",
                        "{\"name\":\"me\",\"clientURLs\":[\"http://c:1\"]}"),
                     0);
    assert_true(f->res.published);
    assert_string_equal(membership_find(&f->members, SELF)->name, "me");
    assert_int_equal(v2(f, "PUT", "/0/members/abc/attributes", "{rubbish"), 0);
    assert_string_equal(membership_find(&f->members, SELF)->name, "me");
    assert_int_equal(v2(f, "SYNC", "", ""), 0);
    assert_int_equal(v2(f, "PUT", "/0/members/", "x"), 0);
    assert_int_equal(v2(f, "PUT", "/1/keys/a", "x"), 0);
    assert_int_equal(v2(f, "DELETE", "/0/version", ""), 0);
    assert_int_equal(apply_cluster_version(f->a).minor, 5);
    assert_int_equal(f->res.rev, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_and_their_revisions),
        TEST(compaction_says_what_it_did),
        TEST(a_client_error_leaves_nothing),
        TEST(what_no_etcd_wrote_stops_the_member),
        TEST(alarms_are_rows),
        TEST(alarms_are_bounded),
        TEST(loaded_alarms_count),
        TEST(nospace_lets_space_be_made),
        TEST(corrupt_refuses_everything_of_the_store),
        TEST(the_quota_changes_the_answer_only),
        TEST(cost_of_a_txn_is_its_dearer_branch),
        TEST(leases_take_their_keys_along),
        TEST(checkpoints_reach_the_lease),
        TEST(versions_rise_and_fall),
        TEST(attributes_are_published),
        TEST(downgrade_job_is_stored),
        TEST(v2_requests_of_3_5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
