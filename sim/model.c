/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/model.h"

#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/hash.h"

enum { MIN_CAP = 64, ARENA_BYTES = 1 << 16, ALARM_NOSPACE = 1, ALARM_CORRUPT = 2, ALARMS_MAX = 64 };

struct key_entry {
    struct slice key;
    size_t last; /* its newest record */
};

struct point {
    int64_t rev;
    int64_t compact_rev;
};

struct alarm {
    uint64_t member_id;
    int64_t type;
};

struct model {
    struct arena arena; /* keys and values */
    struct arena scratch;
    struct model_record *records;
    uint64_t *digests; /* behind each record */
    size_t record_count, record_cap;
    struct key_entry *keys; /* ascending */
    size_t key_count, key_cap;
    struct point *points; /* by index - 1 */
    size_t point_count, point_cap;
    struct model_lease *leases;
    size_t lease_count, lease_cap;
    struct alarm alarms[ALARMS_MAX];
    size_t alarm_count;
    int64_t rev;
    int64_t compact_rev;
    raft_index index; /* of the entry being applied */
    uint32_t sub;     /* next one of this entry */
};

struct model *model_create(void)
{
    struct model *m = mem_zalloc(sizeof(*m));
    arena_init(&m->arena, ARENA_BYTES);
    arena_init(&m->scratch, ARENA_BYTES);
    m->rev = 1;
    m->compact_rev = -1;
    return m;
}

void model_destroy(struct model *m)
{
    arena_deinit(&m->arena);
    arena_deinit(&m->scratch);
    mem_free(m->records);
    mem_free(m->digests);
    mem_free(m->keys);
    mem_free(m->points);
    mem_free(m->leases);
    mem_free(m);
}

static void *grow(void *items, size_t *cap, size_t count, size_t size)
{
    if (count < *cap) {
        return items;
    }
    *cap = *cap == 0 ? MIN_CAP : *cap * 2;
    return mem_realloc(items, *cap * size);
}

static int key_compare(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n == 0 ? 0 : memcmp(a.data, b.data, n);
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

bool model_in_range(struct slice key, struct slice range_end, struct slice k)
{
    if (range_end.len == 0) {
        return slice_equal(key, k);
    }
    bool is_open = range_end.len == 1 && range_end.data[0] == 0;
    return key_compare(k, key) >= 0 && (is_open || key_compare(k, range_end) < 0);
}

/* ---- keys ---- */

static struct key_entry *key_find(const struct model *m, struct slice key)
{
    for (size_t i = 0; i < m->key_count; i++) {
        if (slice_equal(m->keys[i].key, key)) {
            return &m->keys[i];
        }
    }
    return NULL;
}

static struct slice keep(struct model *m, struct slice s)
{
    return s.len == 0 ? SLICE_NULL : slice_make(arena_strndup(&m->arena, s.data, s.len), s.len);
}

static struct key_entry *key_take(struct model *m, struct slice key)
{
    struct key_entry *e = key_find(m, key);
    if (e != NULL) {
        return e;
    }
    m->keys = grow(m->keys, &m->key_cap, m->key_count, sizeof(m->keys[0]));
    size_t i = m->key_count++;
    for (; i > 0 && key_compare(m->keys[i - 1].key, key) > 0; i--) {
        m->keys[i] = m->keys[i - 1];
    }
    m->keys[i] = (struct key_entry){.key = keep(m, key), .last = MODEL_NONE};
    return &m->keys[i];
}

static const struct model_record *record_as_of(const struct model *m, const struct key_entry *e,
                                               int64_t rev)
{
    size_t i = e->last;
    while (i != MODEL_NONE && m->records[i].rev > rev) {
        i = m->records[i].prev;
    }
    return i == MODEL_NONE || m->records[i].is_delete ? NULL : &m->records[i];
}

const struct model_record *model_get(const struct model *m, struct slice key, int64_t rev)
{
    const struct key_entry *e = key_find(m, key);
    return e == NULL ? NULL : record_as_of(m, e, rev);
}

size_t model_range(const struct model *m, struct slice key, struct slice range_end, int64_t rev,
                   const struct model_record **out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < m->key_count; i++) {
        if (!model_in_range(key, range_end, m->keys[i].key)) {
            continue;
        }
        const struct model_record *r = record_as_of(m, &m->keys[i], rev);
        if (r != NULL) {
            if (n < max) {
                out[n] = r;
            }
            n++;
        }
    }
    return n;
}

/* ---- records ---- */

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
    h = fnv1a64_more(h, data, len);
    return h ^ h >> 29;
}

static uint64_t record_digest(uint64_t h, const struct model_record *r)
{
    const int64_t numbers[] = {r->rev, r->sub, r->is_delete, r->kv.version, r->kv.lease};
    h = mix(h, numbers, sizeof(numbers));
    h = mix(h, r->kv.key.data, r->kv.key.len);
    return mix(h, r->kv.value.data, r->kv.value.len);
}

static void record_add(struct model *m, struct key_entry *e, const struct model_record *r)
{
    size_t cap = m->record_cap;
    uint64_t before = m->record_count > 0 ? m->digests[m->record_count - 1] : FNV1A64_EMPTY;
    m->records = grow(m->records, &m->record_cap, m->record_count, sizeof(m->records[0]));
    if (cap != m->record_cap) {
        m->digests = mem_realloc(m->digests, m->record_cap * sizeof(m->digests[0]));
    }
    m->digests[m->record_count] = record_digest(before, r);
    m->records[m->record_count] = *r;
    e->last = m->record_count++;
}

/* Changes of one entry are one revision. */
static struct model_record record_begin(struct model *m, const struct key_entry *e, bool is_delete)
{
    return (struct model_record){.rev = m->rev + 1,
                                 .sub = m->sub++,
                                 .is_delete = is_delete,
                                 .prev = e->last,
                                 .index = m->index};
}

static void put(struct model *m, const struct wire_put_req *req)
{
    struct key_entry *e = key_take(m, req->key);
    const struct model_record *old =
        e->last == MODEL_NONE || m->records[e->last].is_delete ? NULL : &m->records[e->last];
    struct model_record r = record_begin(m, e, false);
    r.kv = (struct wire_kv){
        .key = e->key,
        .create_revision = old != NULL ? old->kv.create_revision : r.rev,
        .mod_revision = r.rev,
        .version = old != NULL ? old->kv.version + 1 : 1,
        .value = keep(m, req->value),
        .lease = req->lease,
    };
    record_add(m, e, &r);
}

static void delete_key(struct model *m, struct key_entry *e)
{
    struct model_record r = record_begin(m, e, true);
    r.kv = (struct wire_kv){.key = e->key, .mod_revision = r.rev};
    record_add(m, e, &r);
}

static void delete_range(struct model *m, struct slice key, struct slice range_end)
{
    for (size_t i = 0; i < m->key_count; i++) {
        struct key_entry *e = &m->keys[i];
        if (model_in_range(key, range_end, e->key) && e->last != MODEL_NONE &&
            !m->records[e->last].is_delete) {
            delete_key(m, e);
        }
    }
}

/* ---- transactions ---- */

static int64_t sign(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static bool compare_one(const struct model *m, const struct wire_compare *c, int64_t rev)
{
    static const struct wire_kv none = {.version = 0};
    const struct model_record *r = model_get(m, c->key, rev);
    const struct wire_kv *kv = r != NULL ? &r->kv : &none;
    int64_t s = 0;
    switch (c->target) {
    case WIRE_COMPARE_VERSION: s = sign(kv->version, c->number); break;
    case WIRE_COMPARE_CREATE: s = sign(kv->create_revision, c->number); break;
    case WIRE_COMPARE_MOD: s = sign(kv->mod_revision, c->number); break;
    case WIRE_COMPARE_LEASE: s = sign(kv->lease, c->number); break;
    default:
        if (r == NULL) {
            return false; /* no value to compare with */
        }
        s = key_compare(kv->value, c->value);
        break;
    }
    switch (c->result) {
    case WIRE_EQUAL: return s == 0;
    case WIRE_GREATER: return s > 0;
    case WIRE_LESS: return s < 0;
    default: return s != 0;
    }
}

bool model_compare(const struct model *m, const struct wire_txn_req *txn, int64_t rev)
{
    for (size_t i = 0; i < txn->compare_count; i++) {
        if (!compare_one(m, &txn->compares[i], rev)) {
            return false;
        }
    }
    return true;
}

/* A range at a revision that is not there fails the whole transaction. */
static bool ranges_are_there(const struct model *m, const struct wire_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == WIRE_OP_RANGE && ops[i].range.revision > 0 &&
            (ops[i].range.revision < m->compact_rev || ops[i].range.revision > m->rev)) {
            return false;
        }
    }
    return true;
}

static void txn_run(struct model *m, const struct wire_txn_req *txn)
{
    bool holds = model_compare(m, txn, m->rev);
    const struct wire_op *ops = holds ? txn->success : txn->failure;
    size_t count = holds ? txn->success_count : txn->failure_count;
    for (size_t i = 0; i < count && ranges_are_there(m, ops, count); i++) {
        if (ops[i].kind == WIRE_OP_PUT) {
            put(m, &ops[i].put);
        } else if (ops[i].kind == WIRE_OP_DELETE) {
            delete_range(m, ops[i].del.key, ops[i].del.range_end);
        }
    }
}

static bool txn_costs(const struct wire_txn_req *txn)
{
    bool has_put = false;
    for (size_t i = 0; i < txn->success_count; i++) {
        has_put |= txn->success[i].kind == WIRE_OP_PUT;
    }
    for (size_t i = 0; i < txn->failure_count; i++) {
        has_put |= txn->failure[i].kind == WIRE_OP_PUT;
    }
    return has_put;
}

/* ---- leases, alarms ---- */

static struct model_lease *lease_find(const struct model *m, int64_t id, bool is_alive)
{
    for (size_t i = m->lease_count; i > 0; i--) {
        if (m->leases[i - 1].id == id && (!is_alive || m->leases[i - 1].is_alive)) {
            return &m->leases[i - 1];
        }
    }
    return NULL;
}

const struct model_lease *model_lease(const struct model *m, int64_t id)
{
    return lease_find(m, id, false);
}

size_t model_lease_count(const struct model *m)
{
    return m->lease_count;
}

const struct model_lease *model_lease_at(const struct model *m, size_t i)
{
    return &m->leases[i];
}

static bool numbers(struct slice body, int64_t out[4])
{
    struct wire_scan s;
    memset(out, 0, 4 * sizeof(out[0]));
    for (wire_scan_init(&s, body); wire_scan_next(&s);) {
        if (s.type == WIRE_VARINT && s.field < 4) {
            out[s.field] = (int64_t)s.number;
        }
    }
    return s.err == 0;
}

static bool grant(struct model *m, struct slice body)
{
    int64_t n[4];
    if (!numbers(body, n)) {
        return false;
    }
    if (n[2] != 0 && lease_find(m, n[2], true) == NULL) {
        m->leases = grow(m->leases, &m->lease_cap, m->lease_count, sizeof(m->leases[0]));
        m->leases[m->lease_count++] =
            (struct model_lease){.id = n[2], .ttl_s = n[1], .is_alive = true, .granted = m->index};
    }
    return true;
}

static bool revoke(struct model *m, struct slice body)
{
    int64_t n[4];
    if (!numbers(body, n)) {
        return false;
    }
    struct model_lease *l = lease_find(m, n[1], true);
    if (l == NULL) {
        return true;
    }
    l->is_alive = false;
    l->revoked = m->index;
    for (size_t i = 0; i < m->key_count; i++) {
        struct key_entry *e = &m->keys[i];
        const struct model_record *r = e->last == MODEL_NONE ? NULL : &m->records[e->last];
        if (r != NULL && !r->is_delete && r->kv.lease == n[1]) {
            delete_key(m, e);
        }
    }
    return true;
}

static bool alarm_change(struct model *m, struct slice body)
{
    int64_t n[4];
    if (!numbers(body, n)) {
        return false;
    }
    const struct alarm a = {(uint64_t)n[2], n[3]};
    size_t i = 0;
    while (i < m->alarm_count &&
           (m->alarms[i].member_id != a.member_id || m->alarms[i].type != a.type)) {
        i++;
    }
    if (n[1] == 1 && i == m->alarm_count && a.type != 0) {
        ensure(m->alarm_count < ALARMS_MAX);
        m->alarms[m->alarm_count++] = a;
    } else if (n[1] == 2 && i < m->alarm_count) {
        m->alarms[i] = m->alarms[--m->alarm_count];
    }
    return true;
}

bool model_alarm_off(const struct model *m, struct buf *body)
{
    if (m->alarm_count == 0) {
        return false;
    }
    wire_append_u64(body, 1, 2);
    wire_append_u64(body, 2, m->alarms[0].member_id);
    wire_append_u64(body, 3, (uint64_t)m->alarms[0].type);
    return true;
}

static bool has_alarm(const struct model *m, int64_t type)
{
    for (size_t i = 0; i < m->alarm_count; i++) {
        if (m->alarms[i].type == type) {
            return true;
        }
    }
    return false;
}

/* ---- entries ---- */

static bool apply_put(struct model *m, struct slice body)
{
    struct wire_put_req req;
    if (wire_put_req_decode(body, &req) != 0) {
        return false;
    }
    if (!has_alarm(m, ALARM_NOSPACE) && (req.lease == 0 || lease_find(m, req.lease, true))) {
        put(m, &req);
    }
    return true;
}

static bool apply_delete(struct model *m, struct slice body)
{
    struct wire_delete_req req;
    if (wire_delete_req_decode(body, &req) != 0) {
        return false;
    }
    delete_range(m, req.key, req.range_end);
    return true;
}

static bool apply_txn(struct model *m, struct slice body)
{
    struct wire_txn_req req;
    arena_reset(&m->scratch);
    if (wire_txn_req_decode(body, &m->scratch, &req) != 0) {
        return false;
    }
    if (!has_alarm(m, ALARM_NOSPACE) || !txn_costs(&req)) {
        txn_run(m, &req);
    }
    return true;
}

static bool apply_compaction(struct model *m, struct slice body)
{
    struct wire_compaction_req req;
    if (wire_compaction_req_decode(body, &req) != 0) {
        return false;
    }
    if (req.revision > m->compact_rev && req.revision <= m->rev) {
        m->compact_rev = req.revision;
    }
    return true;
}

static bool apply_request(struct model *m, const struct wire_internal *req)
{
    bool is_store = req->which >= WIRE_INTERNAL_RANGE && req->which <= WIRE_INTERNAL_LEASE_REVOKE;
    if (is_store && has_alarm(m, ALARM_CORRUPT)) {
        return true;
    }
    switch (req->which) {
    case WIRE_INTERNAL_PUT: return apply_put(m, req->body);
    case WIRE_INTERNAL_DELETE_RANGE: return apply_delete(m, req->body);
    case WIRE_INTERNAL_TXN: return apply_txn(m, req->body);
    case WIRE_INTERNAL_COMPACTION: return apply_compaction(m, req->body);
    case WIRE_INTERNAL_LEASE_GRANT: return has_alarm(m, ALARM_NOSPACE) || grant(m, req->body);
    case WIRE_INTERNAL_LEASE_REVOKE: return revoke(m, req->body);
    case WIRE_INTERNAL_ALARM: return alarm_change(m, req->body);
    default: return true;
    }
}

bool model_apply(struct model *m, const struct raft_entry *e)
{
    struct wire_v2_request v2;
    struct wire_internal req;
    ensure(e->index == m->point_count + 1);
    m->index = e->index;
    m->sub = 0;
    bool is_ok = true;
    if (e->type == RAFT_ENTRY_NORMAL && e->data.len > 0 && !wire_v2_request_decode(e->data, &v2)) {
        is_ok = wire_internal_decode(e->data, &req) == 0 && apply_request(m, &req);
    }
    m->rev += m->sub > 0;
    m->points = grow(m->points, &m->point_cap, m->point_count, sizeof(m->points[0]));
    m->points[m->point_count++] = (struct point){m->rev, m->compact_rev};
    return is_ok;
}

/* ---- queries ---- */

int64_t model_rev(const struct model *m)
{
    return m->rev;
}

int64_t model_compact_rev(const struct model *m)
{
    return m->compact_rev;
}

raft_index model_index(const struct model *m)
{
    return m->point_count;
}

int64_t model_rev_at(const struct model *m, raft_index index)
{
    ensure(index <= m->point_count);
    return index == 0 ? 1 : m->points[index - 1].rev;
}

int64_t model_compact_rev_at(const struct model *m, raft_index index)
{
    ensure(index <= m->point_count);
    return index == 0 ? -1 : m->points[index - 1].compact_rev;
}

size_t model_record_count(const struct model *m)
{
    return m->record_count;
}

const struct model_record *model_record(const struct model *m, size_t i)
{
    return &m->records[i];
}

size_t model_find(const struct model *m, int64_t rev)
{
    size_t lo = 0, hi = m->record_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (m->records[mid].rev < rev) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

uint64_t model_digest_at(const struct model *m, int64_t rev)
{
    size_t i = model_find(m, rev + 1);
    return i == 0 ? 0 : m->digests[i - 1];
}
