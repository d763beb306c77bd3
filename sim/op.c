/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/op.h"

#include <inttypes.h>

#include "base/err.h"

enum { ARENA_BYTES = 4096, RANGE_MAX = 256, TTL_MIN_S = 4, TTL_MAX_S = 12 };

static const char *const names[OP_COUNT] = {"put",     "get",   "delete", "txn",
                                            "compact", "grant", "revoke", "keepalive"};

const char *op_name(enum run_op_kind kind)
{
    return names[kind];
}

/* ---- draw ---- */

static void key_draw(struct run *r, char out[16])
{
    (void)snprintf(out, 16, "k%02u", (unsigned)prng_below(&r->prng, r->o.keys));
}

/* The key alone, a range, or everything. */
static void range_draw(struct run *r, struct run_op *op)
{
    key_draw(r, op->key);
    op->end[0] = 0;
    if (run_chance(r, 30)) {
        (void)snprintf(op->end, sizeof(op->end), "k%02u", (unsigned)run_draw(r, 0, r->o.keys));
    }
    if (run_chance(r, 10)) {
        (void)snprintf(op->key, sizeof(op->key), "k");
        (void)snprintf(op->end, sizeof(op->end), "l");
    }
}

/* The tag names the request, the rest fills. */
static struct slice value_draw(struct run *r, struct run_op *op)
{
    int n = snprintf(op->value_tag, sizeof(op->value_tag), "c%u.%u ", op->client, op->number);
    size_t len = (size_t)n + prng_below(&r->prng, r->o.value_bytes_max);
    char *v = arena_alloc(&op->arena, len);
    memcpy(v, op->value_tag, (size_t)n);
    for (size_t i = (size_t)n; i < len; i++) {
        v[i] = (char)('a' + i % 26);
    }
    return slice_make(v, len);
}

static struct run_lease *lease_draw(struct run *r)
{
    if (r->lease_count == 0) {
        return NULL;
    }
    struct run_lease *l = &r->leases[prng_below(&r->prng, r->lease_count)];
    return l->is_revoked ? NULL : l;
}

static void put_draw(struct run *r, struct run_op *op)
{
    key_draw(r, op->key);
    const struct run_lease *l = run_chance(r, 25) ? lease_draw(r) : NULL;
    struct wire_put_req req = {
        .key = slice_cstr(op->key), .value = value_draw(r, op), .lease = l != NULL ? l->id : 0};
    op->lease_id = req.lease;
    op->method = "/etcdserverpb.KV/Put";
    wire_put_req_encode(&op->message, &req);
}

static void get_draw(struct run *r, struct run_op *op)
{
    range_draw(r, op);
    op->is_serializable = run_chance(r, 25);
    op->is_count_only = run_chance(r, 10);
    if (run_chance(r, 15) && r->acked_rev > 1) {
        op->rev = (int64_t)run_draw(r, 1, (uint64_t)r->acked_rev);
    }
    struct wire_range_req req = {.key = slice_cstr(op->key),
                                 .range_end = slice_cstr(op->end),
                                 .revision = op->rev,
                                 .serializable = op->is_serializable,
                                 .count_only = op->is_count_only};
    op->method = "/etcdserverpb.KV/Range";
    wire_range_req_encode(&op->message, &req);
}

static void delete_draw(struct run *r, struct run_op *op)
{
    range_draw(r, op);
    struct wire_delete_req req = {
        .key = slice_cstr(op->key), .range_end = slice_cstr(op->end), .prev_kv = run_chance(r, 30)};
    op->method = "/etcdserverpb.KV/DeleteRange";
    wire_delete_req_encode(&op->message, &req);
}

static struct wire_compare compare_draw(struct run *r, struct run_op *op)
{
    const struct model_record *rec = model_get(r->model, slice_cstr(op->key), r->acked_rev);
    struct wire_compare c = {.result = (int32_t)prng_below(&r->prng, 4),
                             .target = (int32_t)prng_below(&r->prng, 3),
                             .key = slice_cstr(op->key)};
    static const uint32_t fields[] = {4, 5, 6};
    c.operand_field = fields[c.target];
    if (rec != NULL && run_chance(r, 80)) {
        const int64_t numbers[] = {rec->kv.version, rec->kv.create_revision, rec->kv.mod_revision};
        c.number = numbers[c.target];
    }
    return c;
}

/* Now, or a revision of the past, perhaps compacted. */
static int64_t past_draw(struct run *r)
{
    return run_chance(r, 25) && r->acked_rev > 1 ? (int64_t)run_draw(r, 1, (uint64_t)r->acked_rev)
                                                 : 0;
}

static size_t branch_draw(struct run *r, struct run_op *op, struct wire_op *ops)
{
    size_t n = 0;
    if (run_chance(r, 50)) {
        ops[n].kind = WIRE_OP_RANGE;
        ops[n++].range = (struct wire_range_req){
            .key = slice_cstr("k"), .range_end = slice_cstr("l"), .revision = past_draw(r)};
    }
    if (run_chance(r, 70)) {
        ops[n].kind = WIRE_OP_PUT;
        ops[n++].put =
            (struct wire_put_req){.key = slice_cstr(op->key), .value = value_draw(r, op)};
    }
    if (run_chance(r, 40)) { /* another key: "etcd: duplicate key given in txn request" */
        ops[n].kind = WIRE_OP_DELETE;
        ops[n++].del = (struct wire_delete_req){.key = slice_cstr(op->end)};
    }
    return n;
}

static void txn_draw(struct run *r, struct run_op *op)
{
    unsigned at = (unsigned)prng_below(&r->prng, r->o.keys);
    (void)snprintf(op->key, sizeof(op->key), "k%02u", at);
    (void)snprintf(op->end, sizeof(op->end), "k%02u", at + 1);
    op->txn.compares = arena_zalloc(&op->arena, sizeof(struct wire_compare));
    op->txn.success = arena_zalloc(&op->arena, 3 * sizeof(struct wire_op));
    op->txn.failure = arena_zalloc(&op->arena, 3 * sizeof(struct wire_op));
    op->txn.compare_count = 1;
    op->txn.compares[0] = compare_draw(r, op);
    op->txn.success_count = branch_draw(r, op, op->txn.success);
    op->txn.failure_count = branch_draw(r, op, op->txn.failure);
    /* As etcd: what has no range that is not serializable waits for nobody. */
    op->is_serializable = op->txn.success_count + op->txn.failure_count == 0;
    op->method = "/etcdserverpb.KV/Txn";
    wire_txn_req_encode(&op->message, &op->txn);
}

static void compact_draw(struct run *r, struct run_op *op)
{
    uint64_t back = prng_below(&r->prng, 20);
    op->rev = r->acked_rev > (int64_t)back ? r->acked_rev - (int64_t)back : 1;
    struct wire_compaction_req req = {.revision = op->rev, .physical = run_chance(r, 30)};
    op->method = "/etcdserverpb.KV/Compact";
    wire_compaction_req_encode(&op->message, &req);
}

static void grant_draw(struct run *r, struct run_op *op)
{
    op->ttl_s = (int64_t)run_draw(r, TTL_MIN_S, TTL_MAX_S);
    op->lease_id = 1 + (int64_t)(op->client * 1000000 + op->number);
    op->method = "/etcdserverpb.Lease/LeaseGrant";
    wire_append_u64(&op->message, 1, (uint64_t)op->ttl_s);
    wire_append_u64(&op->message, 2, (uint64_t)op->lease_id);
}

static void lease_use_draw(struct run *r, struct run_op *op)
{
    struct run_lease *l = lease_draw(r);
    if (l == NULL) {
        op->kind = OP_GRANT;
        grant_draw(r, op);
        return;
    }
    op->lease_id = l->id;
    op->is_keepalive_stream = op->kind == OP_KEEPALIVE;
    if (op->kind == OP_REVOKE) {
        l->is_revoked = true; /* from now on it may go at any time */
    }
    op->method = op->kind == OP_REVOKE ? "/etcdserverpb.Lease/LeaseRevoke"
                                       : "/etcdserverpb.Lease/LeaseKeepAlive";
    wire_append_u64(&op->message, 1, (uint64_t)l->id);
}

static enum run_op_kind kind_draw(struct run *r)
{
    unsigned sum = 0;
    for (int i = 0; i < OP_COUNT; i++) {
        sum += r->o.weights[i];
    }
    uint64_t at = prng_below(&r->prng, sum);
    int kind = 0;
    for (; at >= r->o.weights[kind]; kind++) {
        at -= r->o.weights[kind];
    }
    return (enum run_op_kind)kind;
}

void op_draw(struct run *r, struct run_op *op, unsigned client, unsigned number)
{
    *op = (struct run_op){.client = client, .number = number};
    arena_init(&op->arena, ARENA_BYTES);
    op->kind = kind_draw(r);
    op->acked_rev = r->acked_rev;
    op->asked_ns = sim_now_ns(r->sim);
    switch (op->kind) {
    case OP_PUT: put_draw(r, op); break;
    case OP_GET: get_draw(r, op); break;
    case OP_DELETE: delete_draw(r, op); break;
    case OP_TXN: txn_draw(r, op); break;
    case OP_COMPACT: compact_draw(r, op); break;
    case OP_GRANT: grant_draw(r, op); break;
    case OP_REVOKE:
    case OP_KEEPALIVE:
    case OP_COUNT:
    default: lease_use_draw(r, op); break;
    }
}

void op_deinit(struct run_op *op)
{
    buf_deinit(&op->message);
    arena_deinit(&op->arena);
}

/* ---- judge ---- */

static void wrong(struct run *r, const struct run_op *op, const char *what, int64_t rev)
{
    run_fail(r,
             "linearizable: %s %u of client %u (key %s end %s): %s at revision %" PRId64
             " (%" PRId64 " was seen before it was asked, %" PRId64 " is committed)",
             op_name(op->kind), op->number, op->client, op->key, op->end, what, rev, op->acked_rev,
             model_rev(r->model));
}

static bool rev_judge(struct run *r, const struct run_op *op, int64_t rev, bool is_write)
{
    if (rev > model_rev(r->model)) {
        wrong(r, op, "nothing is committed there", rev);
        return false;
    }
    bool is_old = is_write ? rev <= op->acked_rev : rev < op->acked_rev;
    if (is_old && !op->is_serializable) {
        wrong(r, op, "an answer from the past", rev);
        return false;
    }
    r->acked_rev = rev > r->acked_rev ? rev : r->acked_rev;
    return true;
}

static bool kv_equal(const struct wire_kv *a, const struct wire_kv *b)
{
    return slice_equal(a->key, b->key) && slice_equal(a->value, b->value) &&
           a->create_revision == b->create_revision && a->mod_revision == b->mod_revision &&
           a->version == b->version && a->lease == b->lease;
}

static void range_judge(struct run *r, const struct run_op *op, const struct wire_range_resp *got,
                        const char *key, const char *end, int64_t rev)
{
    const struct model_record *want[RANGE_MAX];
    size_t n = model_range(r->model, slice_cstr(key), slice_cstr(end), rev, want, RANGE_MAX);
    if ((size_t)got->count != n || got->kv_count != (op->is_count_only ? 0 : n)) {
        wrong(r, op, "another number of keys", rev);
        return;
    }
    for (size_t i = 0; i < got->kv_count; i++) {
        if (!kv_equal(&got->kvs[i], &want[i]->kv)) {
            wrong(r, op, "another value", rev);
            return;
        }
    }
}

static void get_judge(struct run *r, struct run_op *op, struct slice answer)
{
    struct wire_range_resp resp;
    if (wire_range_resp_decode(answer, &op->arena, &resp) != 0) {
        wrong(r, op, "an answer that cannot be read", 0);
    } else if (rev_judge(r, op, resp.header.revision, false)) {
        int64_t rev = op->rev > 0 ? op->rev : resp.header.revision;
        range_judge(r, op, &resp, op->key, op->end, rev);
    }
}

/* The records of one revision. */
static size_t records_of(const struct run *r, int64_t rev, size_t *first)
{
    *first = model_find(r->model, rev);
    return model_find(r->model, rev + 1) - *first;
}

static bool is_own_put(const struct run_op *op, const struct model_record *rec)
{
    struct slice tag = slice_cstr(op->value_tag);
    return !rec->is_delete && tag.len > 0 && slice_has_prefix(rec->kv.value, tag) &&
           slice_equal_cstr(rec->kv.key, op->key);
}

static void put_judge(struct run *r, struct run_op *op, struct slice answer)
{
    struct wire_put_resp resp;
    size_t first;
    if (wire_put_resp_decode(answer, &resp) != 0) {
        wrong(r, op, "an answer that cannot be read", 0);
    } else if (rev_judge(r, op, resp.header.revision, true) &&
               (records_of(r, resp.header.revision, &first) != 1 ||
                !is_own_put(op, model_record(r->model, first)))) {
        wrong(r, op, "acknowledged writes are there; another one is", resp.header.revision);
    }
}

static void delete_judge(struct run *r, struct run_op *op, struct slice answer)
{
    struct wire_delete_resp resp;
    if (wire_delete_resp_decode(answer, &op->arena, &resp) != 0) {
        wrong(r, op, "an answer that cannot be read", 0);
        return;
    }
    int64_t rev = resp.header.revision;
    if (!rev_judge(r, op, rev, resp.deleted > 0)) {
        return;
    }
    const struct model_record *live[RANGE_MAX];
    size_t n = model_range(r->model, slice_cstr(op->key), slice_cstr(op->end),
                           resp.deleted > 0 ? rev - 1 : rev, live, RANGE_MAX);
    if ((size_t)resp.deleted != n) {
        wrong(r, op, "another number of keys was deleted", rev);
    }
    size_t first, count = records_of(r, rev, &first);
    for (size_t i = 0; resp.deleted > 0 && i < count; i++) {
        if (!model_record(r->model, first + i)->is_delete || count != n) {
            wrong(r, op, "acknowledged deletions are there; something else is", rev);
            return;
        }
    }
}

/* Did the branch change anything? */
static bool txn_has_written(const struct wire_txn_resp *resp)
{
    for (size_t i = 0; i < resp->response_count; i++) {
        const struct wire_op_resp *o = &resp->responses[i];
        if (o->kind == WIRE_OP_PUT || (o->kind == WIRE_OP_DELETE && o->del.deleted > 0)) {
            return true;
        }
    }
    return false;
}

static void txn_judge(struct run *r, struct run_op *op, struct slice answer)
{
    struct wire_txn_resp resp;
    if (wire_txn_resp_decode(answer, &op->arena, &resp) != 0) {
        wrong(r, op, "an answer that cannot be read", 0);
        return;
    }
    int64_t rev = resp.header.revision;
    bool has_written = txn_has_written(&resp);
    if (!rev_judge(r, op, rev, has_written)) {
        return;
    }
    int64_t before = has_written ? rev - 1 : rev;
    if (model_compare(r->model, &op->txn, before) != resp.succeeded) {
        wrong(r, op, resp.succeeded ? "the compare did not hold" : "the compare did hold", rev);
    }
    size_t first, count = records_of(r, rev, &first);
    const struct wire_op *ops = resp.succeeded ? op->txn.success : op->txn.failure;
    size_t op_count = resp.succeeded ? op->txn.success_count : op->txn.failure_count;
    if (op_count != resp.response_count) {
        wrong(r, op, "another number of responses", rev);
        return;
    }
    for (size_t i = 0; i < op_count; i++) {
        if (ops[i].kind == WIRE_OP_RANGE) { /* comes before the writes */
            range_judge(r, op, &resp.responses[i].range, "k", "l",
                        ops[i].range.revision > 0 ? ops[i].range.revision : before);
        } else if (ops[i].kind == WIRE_OP_PUT &&
                   (count == 0 || !is_own_put(op, model_record(r->model, first)))) {
            wrong(r, op, "acknowledged writes are there; another one is", rev);
        }
    }
}

static void compact_judge(struct run *r, struct run_op *op)
{
    if (model_compact_rev(r->model) < op->rev) {
        wrong(r, op, "nothing was compacted", op->rev);
    }
}

static void grant_judge(struct run *r, struct run_op *op, struct slice answer)
{
    struct wire_scan s;
    int64_t ttl = 0;
    for (wire_scan_init(&s, answer); wire_scan_next(&s);) {
        ttl = s.field == 3 ? (int64_t)s.number : ttl;
    }
    if (model_lease(r->model, op->lease_id) == NULL || ttl < op->ttl_s) {
        wrong(r, op, "there is no such lease", 0);
        return;
    }
    size_t at =
        r->lease_count < RUN_LEASES_MAX ? r->lease_count++ : prng_below(&r->prng, RUN_LEASES_MAX);
    r->leases[at] = (struct run_lease){.id = op->lease_id, .ttl_s = ttl, .since_ns = op->asked_ns};
}

static void keepalive_judge(struct run *r, struct run_op *op, struct slice answer)
{
    struct wire_scan s;
    int64_t ttl = 0;
    for (wire_scan_init(&s, answer); wire_scan_next(&s);) {
        ttl = s.field == 3 ? (int64_t)s.number : ttl;
    }
    const struct model_lease *l = model_lease(r->model, op->lease_id);
    if (ttl <= 0) {
        if (l != NULL && l->is_alive) {
            wrong(r, op, "the lease is there, and the answer says that it is not", 0);
        }
        return;
    }
    for (size_t i = 0; i < r->lease_count; i++) {
        struct run_lease *k = &r->leases[i];
        if (k->id == op->lease_id && op->asked_ns > k->since_ns) {
            k->since_ns = op->asked_ns;
            k->is_renewed = true;
        }
    }
}

void op_judge(struct run *r, struct run_op *op, struct slice answer)
{
    r->stats.ops[op->kind]++;
    switch (op->kind) {
    case OP_PUT: put_judge(r, op, answer); break;
    case OP_GET: get_judge(r, op, answer); break;
    case OP_DELETE: delete_judge(r, op, answer); break;
    case OP_TXN: txn_judge(r, op, answer); break;
    case OP_COMPACT: compact_judge(r, op); break;
    case OP_GRANT: grant_judge(r, op, answer); break;
    case OP_KEEPALIVE: keepalive_judge(r, op, answer); break;
    case OP_REVOKE:
    case OP_COUNT:
    default: break;
    }
}

void op_failed(struct run *r, struct run_op *op, enum grpc_code code, struct slice text)
{
    r->stats.failed++;
    static const char compacted[] = "etcdserver: mvcc: required revision has been compacted";
    if (op->kind == OP_GET && code == GRPC_OUT_OF_RANGE && slice_equal_cstr(text, compacted) &&
        op->rev > model_compact_rev(r->model)) {
        wrong(r, op, "the revision was not compacted", op->rev);
    }
}
