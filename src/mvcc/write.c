/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/write: puts and deletes: revision, stored bytes, index, lease, event.
 *
 * Design      A write is: begin, any number of changes, end.  Every change gets the next
 *             sub-revision of main = current + 1; end moves the current revision if there was one.
 *             The response is written before the change, from the state that it replaces.
 * Invariants  I1  the record is in the backend before the index names it.
 *             I2  nothing fails after the first change of a write.
 */
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "lease/lessor.h"
#include "mvcc/store.h"
#include "schema/level.h"

enum { FIELD_PREV_KV = 2, FIELD_DELETED = 2, FIELD_PREV_KVS = 3 };

static uint64_t counted(const struct mvcc_store *s)
{
    return s->counts.ranges + s->counts.puts + s->counts.deletes;
}

void write_begin(struct mvcc_store *s)
{
    s->counted_before = counted(s);
    ensure(s->txn_main == 0);
    s->txn_main = s->current_rev + 1;
    s->txn_sub = 0;
}

void write_end(struct mvcc_store *s)
{
    ensure(s->txn_main == s->current_rev + 1);
    if (s->txn_sub > 0) {
        s->current_rev = s->txn_main;
    }
    s->counts.txns += counted(s) - s->counted_before > 1;
    s->txn_main = 0;
    s->txn_sub = 0;
}

/* ---- one change ---- */

static void event_send(const struct mvcc_store *s, const struct mvcc_event *event)
{
    if (s->opts.on_event != NULL) {
        s->opts.on_event(s->opts.on_event_arg, event);
    }
}

/* The newest put of a living key, else main 0. */
static void event_prev(struct mvcc_event *event, const struct keyrec *rec)
{
    if (rec != NULL && keyrec_is_live(rec)) {
        const struct keyrev *last = keyrec_revs(rec) + rec->count - 1;
        event->prev_rev = (struct backend_rev){last->main, keyrev_sub(last), false};
        event->prev_len = last->len;
    }
}

static void lease_move(struct mvcc_store *s, struct slice key, int64_t from, int64_t to)
{
    if (from == to && !s->has_stray_leases) {
        return;
    }
    if (from != 0 && from != s->revoking) {
        lessor_detach(s->opts.lessor, from, key);
    }
    if (to != 0) {
        /* A missing lease was refused, but for ignore_lease with a stray one. */
        (void)lessor_attach(s->opts.lessor, to, key);
    }
}

static void put_one(struct mvcc_store *s, struct keyindex_pos *pos, struct slice key,
                    struct slice value, int64_t lease)
{
    const struct keyrec *old = pos->rec;
    bool is_live = old != NULL && keyrec_is_live(old);
    struct wire_kv kv = {key,         is_live ? old->create_rev : s->txn_main,
                         s->txn_main, is_live ? old->version + 1 : 1,
                         value,       lease};
    size_t len = wire_kv_size(&kv);
    ensure(len <= INT32_MAX && s->txn_sub <= KEYREC_SUB_MAX);
    struct mvcc_event event = {.rev = {s->txn_main, s->txn_sub, false},
                               .key = key,
                               .create_rev = kv.create_revision,
                               .version = kv.version};
    uint8_t *stored = backend_record_add(s->opts.backend, event.rev, len);
    wire_kv_encode(&kv, stored);
    event.stored = slice_make(stored, len);
    event_prev(&event, old);
    lease_move(s, key, is_live ? old->lease : 0, lease);
    keyindex_put(&s->index, pos, key, s->txn_main, s->txn_sub, (uint32_t)len, lease);
    s->txn_sub++;
    event_send(s, &event);
}

static void delete_one(struct mvcc_store *s, struct keyindex_pos *pos)
{
    struct wire_kv kv = {.key = keyrec_key(pos->rec)};
    size_t len = wire_kv_size(&kv);
    ensure(s->txn_sub <= KEYREC_SUB_MAX);
    struct mvcc_event event = {.rev = {s->txn_main, s->txn_sub, true}};
    uint8_t *stored = backend_record_add(s->opts.backend, event.rev, len);
    wire_kv_encode(&kv, stored);
    event.stored = slice_make(stored, len);
    /* The index moves its copy of the key. */
    event.key = slice_make(stored + (len - kv.key.len), kv.key.len);
    event_prev(&event, pos->rec);
    lease_move(s, event.key, pos->rec->lease, 0);
    keyindex_tombstone(&s->index, pos, s->txn_main, s->txn_sub, (uint32_t)len);
    s->txn_sub++;
    event_send(s, &event);
}

/* ---- put ---- */

static bool needs_old_value(const struct wire_put_req *req, bool has_waiter)
{
    return req->ignore_value || (req->prev_kv && has_waiter);
}

static int lease_check(const struct mvcc_store *s, const struct wire_put_req *req)
{
    bool is_missing = req->lease != 0 && !lessor_has(s->opts.lessor, req->lease);
    return is_missing ? ERR_RPC_LEASE_NOT_FOUND : 0;
}

static int key_check(const struct mvcc_store *s, const struct wire_put_req *req)
{
    struct keyrec_state state;
    bool is_missing = (req->ignore_value || req->ignore_lease) &&
                      !keyindex_get(&s->index, req->key, KEYINDEX_NEWEST, &state);
    return is_missing ? ERR_RPC_KEY_NOT_FOUND : 0;
}

int write_put_check(const struct mvcc_store *s, const struct wire_put_req *req)
{
    int err = lease_check(s, req);
    return err != 0 ? err : key_check(s, req);
}

int write_txn_put_check(const struct mvcc_store *s, const struct wire_put_req *req)
{
    int err = s->opts.rules->txn_key_before_lease ? key_check(s, req) : 0;
    return err != 0 ? err : write_put_check(s, req);
}

static size_t field_size(size_t len)
{
    return 1 + varint_len(len) + len;
}

size_t write_put_body_size(const struct mvcc_store *s, const struct wire_put_req *req)
{
    struct keyrec_state state;
    if (!req->prev_kv || !keyindex_get(&s->index, req->key, KEYINDEX_NEWEST, &state)) {
        return 0;
    }
    return field_size(state.len);
}

int write_put_need(const struct mvcc_store *s, const struct wire_put_req *req, bool has_waiter,
                   struct mvcc_values *v)
{
    struct keyrec_state state;
    if (!needs_old_value(req, has_waiter) ||
        !keyindex_get(&s->index, req->key, KEYINDEX_NEWEST, &state)) {
        return 0;
    }
    return values_need(v, state.main, state.sub);
}

static int body_room(const struct buf *body, uint64_t more)
{
    return body->len + more > LIMIT_RESPONSE_BYTES ? ERR_RPC_RESPONSE_TOO_LARGE : 0;
}

/* Appends the old KeyValue, and finds value and lease of the new one in it. */
static int put_old(const struct mvcc_store *s, const struct wire_put_req *req,
                   const struct keyrec_state *state, const struct value_ref *ref, struct buf *body,
                   struct slice *value)
{
    (void)s;
    if (ref->bytes.len != state->len) {
        return ERR_CORRUPT;
    }
    struct wire_kv old;
    if (wire_kv_decode(ref->bytes, &old) != 0) {
        return ERR_CORRUPT;
    }
    if (req->ignore_value) {
        *value = old.value;
    }
    if (req->prev_kv && body != NULL) {
        wire_append_message(body, FIELD_PREV_KV, ref->bytes);
    }
    return 0;
}

int write_put(struct mvcc_store *s, const struct wire_put_req *req, const struct mvcc_values *v,
              struct buf *body)
{
    struct keyindex_pos pos;
    keyindex_find(&s->index, req->key, &pos);
    bool is_live = pos.rec != NULL && keyrec_is_live(pos.rec);
    struct slice value = req->value;
    int64_t lease = req->ignore_lease ? (is_live ? pos.rec->lease : 0) : req->lease;
    int result = 0;
    struct value_ref ref = {.bytes = SLICE_NULL};
    if (is_live && needs_old_value(req, body != NULL)) {
        struct keyrec_state state;
        ensure(keyrec_state_at(pos.rec, KEYINDEX_NEWEST, &state));
        int err = value_get(s, v, state.main, state.sub, &ref);
        if (err != 0) {
            return err;
        }
        if (req->prev_kv && body != NULL && body_room(body, field_size(state.len)) != 0) {
            result = ERR_RPC_RESPONSE_TOO_LARGE;
            body = NULL;
        }
        err = put_old(s, req, &state, &ref, body, &value);
        if (err != 0) {
            value_release(&ref);
            return err;
        }
    }
    put_one(s, &pos, req->key, value, lease);
    s->counts.puts++;
    s->counts.ranges += req->prev_kv || req->ignore_value || req->ignore_lease;
    s->counts.put_bytes += req->key.len + value.len;
    value_release(&ref);
    return result;
}

int mvcc_prefetch_put(struct mvcc_store *s, const struct wire_put_req *req, bool has_waiter,
                      struct mvcc_values *v)
{
    values_round(v);
    int err = write_put_need(s, req, has_waiter, v);
    return err != 0 ? err : values_done(v);
}

int mvcc_apply_put(struct mvcc_store *s, const struct wire_put_req *req, struct mvcc_values *v,
                   struct buf *body)
{
    int err = write_put_check(s, req);
    if (err != 0) {
        return err;
    }
    write_begin(s);
    err = write_put(s, req, v, body);
    write_end(s);
    return err;
}

/* ---- delete ---- */

struct keysum write_range_sum(const struct mvcc_store *s, const struct keyrange *r)
{
    if (!r->is_single) {
        return keyindex_sum(&s->index, r);
    }
    struct keyrec_state state;
    if (!keyindex_get(&s->index, r->key, KEYINDEX_NEWEST, &state)) {
        return (struct keysum){0, 0};
    }
    return (struct keysum){1, field_size(state.len)};
}

uint64_t write_delete_body_size(struct keysum sum, bool prev_kv)
{
    uint64_t size = sum.count > 0 ? 1 + varint_len(sum.count) : 0;
    return size + (prev_kv ? sum.bytes : 0);
}

/* One living key of a range after the other, with its place. */
static bool range_first(const struct mvcc_store *s, const struct keyrange *r,
                        struct keyindex_pos *pos)
{
    if (r->is_single) {
        keyindex_find(&s->index, r->key, pos);
        return pos->rec != NULL && keyrec_is_live(pos->rec);
    }
    pos->rec = keytree_seek(&s->index.tree, r->key, &pos->path);
    return true;
}

static bool range_live(const struct mvcc_store *s, const struct keyrange *r,
                       struct keyindex_pos *pos)
{
    while (pos->rec != NULL &&
           (r->is_open_end || slice_compare(keyrec_key(pos->rec), r->end) < 0)) {
        if (keyrec_is_live(pos->rec)) {
            return true;
        }
        pos->rec = keytree_next(&s->index.tree, &pos->path);
    }
    return false;
}

typedef int (*range_fn)(struct mvcc_store *s, struct keyindex_pos *pos, void *arg);

static int range_each(struct mvcc_store *s, const struct keyrange *r, range_fn fn, void *arg)
{
    struct keyindex_pos pos;
    if (!range_first(s, r, &pos)) {
        return 0;
    }
    if (r->is_single) {
        return fn(s, &pos, arg);
    }
    int err = 0;
    while (err == 0 && range_live(s, r, &pos)) {
        err = fn(s, &pos, arg);
        pos.rec = keytree_next(&s->index.tree, &pos.path);
    }
    return err;
}

static int need_one(struct mvcc_store *s, struct keyindex_pos *pos, void *arg)
{
    (void)s;
    const struct keyrev *last = keyrec_revs(pos->rec) + pos->rec->count - 1;
    return values_need(arg, last->main, keyrev_sub(last));
}

int write_delete_need(struct mvcc_store *s, const struct wire_delete_req *req, bool has_waiter,
                      struct mvcc_values *v)
{
    struct keyrange r = keyrange_make(req->key, req->range_end);
    if (!req->prev_kv || !has_waiter || write_range_sum(s, &r).bytes > LIMIT_RESPONSE_BYTES) {
        return 0;
    }
    return range_each(s, &r, need_one, v);
}

struct prev_arg {
    const struct mvcc_values *v;
    struct buf *body;
};

static int prev_one(struct mvcc_store *s, struct keyindex_pos *pos, void *arg)
{
    struct prev_arg *a = arg;
    const struct keyrev *last = keyrec_revs(pos->rec) + pos->rec->count - 1;
    struct value_ref ref;
    int err = value_get(s, a->v, last->main, keyrev_sub(last), &ref);
    if (err != 0) {
        return err;
    }
    if (ref.bytes.len != last->len) {
        err = ERR_CORRUPT;
    } else {
        wire_append_message(a->body, FIELD_PREV_KVS, ref.bytes);
    }
    value_release(&ref);
    return err;
}

static int tombstone_one(struct mvcc_store *s, struct keyindex_pos *pos, void *arg)
{
    (void)arg;
    delete_one(s, pos);
    return 0;
}

int write_delete(struct mvcc_store *s, const struct wire_delete_req *req,
                 const struct mvcc_values *v, struct buf *body)
{
    struct keyrange r = keyrange_make(req->key, req->range_end);
    int result = 0;
    if (body != NULL) {
        struct keysum sum = write_range_sum(s, &r);
        result = body_room(body, write_delete_body_size(sum, req->prev_kv));
        if (result == 0) {
            wire_append_u64(body, FIELD_DELETED, sum.count);
        }
        if (result == 0 && req->prev_kv) {
            struct prev_arg arg = {v, body};
            int err = range_each(s, &r, prev_one, &arg);
            if (err != 0) {
                return err;
            }
        }
    }
    (void)range_each(s, &r, tombstone_one, NULL);
    s->counts.deletes++;
    s->counts.ranges += req->prev_kv;
    return result;
}

int mvcc_prefetch_delete(struct mvcc_store *s, const struct wire_delete_req *req, bool has_waiter,
                         struct mvcc_values *v)
{
    values_round(v);
    int err = write_delete_need(s, req, has_waiter, v);
    return err != 0 ? err : values_done(v);
}

int mvcc_apply_delete(struct mvcc_store *s, const struct wire_delete_req *req,
                      struct mvcc_values *v, struct buf *body)
{
    write_begin(s);
    int err = write_delete(s, req, v, body);
    write_end(s);
    return err;
}

int mvcc_apply_lease_revoke(struct mvcc_store *s, int64_t lease_id)
{
    struct lessor *l = s->opts.lessor;
    if (!lessor_has(l, lease_id)) {
        return ERR_RPC_LEASE_NOT_FOUND;
    }
    write_begin(s);
    s->revoking = lease_id;
    size_t count = lessor_key_count(l, lease_id);
    for (size_t i = 0; i < count; i++) {
        struct keyrange r = keyrange_make(lessor_key_at(l, lease_id, i), SLICE_NULL);
        (void)range_each(s, &r, tombstone_one, NULL);
        s->counts.deletes++;
    }
    s->revoking = 0;
    write_end(s);
    return lessor_remove(l, lease_id);
}
