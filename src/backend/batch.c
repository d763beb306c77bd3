/* SPDX-License-Identifier: Apache-2.0
 *
 * backend/batch: hand-over of sealed segments to the backend thread and back.
 */
#include <string.h>

#include "backend/internal.h"
#include "base/failpoint.h"

/* The last mark at or below durable_index that is not handed over yet, or NULL. */
static const struct tail_mark *mark_to_take(const struct backend *b, uint64_t durable_index)
{
    const struct tail_ring *marks = &b->tail.marks;
    for (uint64_t seq = marks->end; seq > marks->first; seq--) {
        const struct tail_mark *m = tail_ring_at(marks, seq - 1);
        if (m->index <= durable_index) {
            return m->index > b->taken_index || m->record_end > b->taken_records ||
                           m->op_end > b->taken_ops
                       ? m
                       : NULL;
        }
    }
    return NULL;
}

static bool is_due(const struct backend *b, uint64_t now_ms)
{
    uint64_t ops = (b->tail.records.end - b->taken_records) + (b->tail.ops.end - b->taken_ops);
    return ops >= b->batch_ops ||
           (b->first_seal_ms != 0 && now_ms + 1 >= b->first_seal_ms + b->batch_interval_ms);
}

static struct backend_batch *batch_create(struct backend *b, const struct tail_mark *m)
{
    struct backend_batch *batch = mem_zalloc(sizeof(*batch));
    batch->backend = b;
    batch->db = b->file->db;
    batch->mark = *m;
    batch->arena = mem_alloc(sizeof(*batch->arena));
    arena_init(batch->arena, 4096);
    batch->record_count = (size_t)(m->record_end - b->taken_records);
    batch->op_count = (size_t)(m->op_end - b->taken_ops);
    batch->records = mem_alloc_array(batch->record_count, sizeof(*batch->records));
    batch->ops = mem_alloc_array(batch->op_count, sizeof(*batch->ops));
    for (size_t i = 0; i < batch->record_count; i++) {
        batch->records[i] =
            *(struct tail_record *)tail_ring_at(&b->tail.records, b->taken_records + i);
    }
    for (size_t i = 0; i < batch->op_count; i++) {
        batch->ops[i] = *(struct tail_op *)tail_ring_at(&b->tail.ops, b->taken_ops + i);
    }
    return batch;
}

struct backend_batch *backend_batch_take(struct backend *b, uint64_t durable_index, uint64_t now_ms,
                                         bool force)
{
    if (b->running != NULL || b->is_defragmenting || b->is_lost || !(force || is_due(b, now_ms))) {
        return NULL;
    }
    const struct tail_mark *m = mark_to_take(b, durable_index);
    if (m == NULL) {
        return NULL;
    }
#ifndef CAIRN_MUTANT_SEAL_PAST_DURABLE /* test/crash proves that this rule matters */
    ensure(m->index <= durable_index);
#endif
    struct backend_batch *batch = batch_create(b, m);
    b->taken_records = m->record_end;
    b->taken_ops = m->op_end;
    b->taken_index = m->index;
    bool is_rest = b->tail.records.end > b->taken_records || b->tail.ops.end > b->taken_ops;
    b->first_seal_ms = is_rest ? now_ms + 1 : 0;
    b->running = batch;
    FAILPOINT(commitBeforePreCommitHook);
    if (b->on_batch != NULL) {
        b->on_batch(b->on_batch_arg, batch, batch->mark.index, batch->mark.term);
    }
    FAILPOINT(commitAfterPreCommitHook);
    return batch;
}

void backend_batch_put(struct backend_batch *batch, unsigned bucket, struct slice key,
                       struct slice value)
{
    if (batch->extra_count == batch->extra_cap) {
        batch->extra_cap = batch->extra_cap == 0 ? 8 : batch->extra_cap * 2;
        batch->extra = mem_realloc(batch->extra, batch->extra_cap * sizeof(*batch->extra));
    }
    struct tail_op *op = &batch->extra[batch->extra_count++];
    *op = (struct tail_op){
        .kind = TAIL_PUT,
        .bucket = bucket,
        .key = slice_cstr(arena_strndup(batch->arena, key.data, key.len)),
        .value = slice_make(arena_strndup(batch->arena, value.data, value.len), value.len),
    };
    op->key.len = key.len;
}

static int op_run(struct bolt_bucket *const *buckets, const struct tail_op *op)
{
    uint8_t rev[BACKEND_TOMBSTONE_BYTES];
    switch (op->kind) {
    case TAIL_PUT: return bolt_bucket_put_ref(buckets[op->bucket], op->key, op->value);
    case TAIL_DELETE: return bolt_bucket_delete_key(buckets[op->bucket], op->key);
    case TAIL_REMOVE_RECORD: {
        size_t len = backend_rev_encode(op->rev, rev);
        return bolt_bucket_delete_key(buckets[op->bucket], slice_make(rev, len));
    }
    }
    return ERR_INVALID;
}

static int records_run(struct bolt_bucket *key_bucket, const struct backend_batch *batch)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < batch->record_count; i++) {
        const struct tail_record *r = &batch->records[i];
        uint8_t *key = arena_alloc(batch->arena, BACKEND_TOMBSTONE_BYTES);
        size_t len = backend_rev_encode(r->rev, key);
        err = bolt_bucket_put_ref(key_bucket, slice_make(key, len), r->value);
    }
    return err;
}

static int ops_run(struct bolt_bucket *const *buckets, const struct tail_op *ops, size_t count)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < count; i++) {
        err = op_run(buckets, &ops[i]);
    }
    return err;
}

int backend_batch_commit(struct backend_batch *batch)
{
    const struct backend *b = batch->backend;
    struct bolt_bucket *buckets[BACKEND_BUCKETS_MAX] = {NULL};
    struct bolt_tx *tx;
    FAILPOINT(beforeStartDBTxn);
    int err = bolt_tx_begin(batch->db, true, &tx);
    if (err != 0) {
        return err;
    }
    FAILPOINT(afterStartDBTxn);
    for (size_t i = 0; err == 0 && i < b->bucket_count; i++) {
        err = bolt_bucket_open(tx, NULL, 0, slice_cstr(b->bucket_names[i]), &buckets[i]);
    }
    if (err == 0) {
        /* Revisions arrive in order: full leaves, as etcd's. */
        bolt_bucket_fill_set(buckets[BACKEND_BUCKET_KEY], BOLT_FILL_APPEND);
        err = records_run(buckets[BACKEND_BUCKET_KEY], batch);
    }
    if (err == 0) {
        err = ops_run(buckets, batch->ops, batch->op_count);
    }
    if (err == 0) {
        err = ops_run(buckets, batch->extra, batch->extra_count);
    }
    if (err != 0) {
        bolt_tx_rollback(tx);
        return err;
    }
    FAILPOINT(beforeCommit);
    err = bolt_tx_commit(tx);
    FAILPOINT(afterCommit);
    return err;
}

static void batch_destroy(struct backend_batch *batch)
{
    arena_deinit(batch->arena);
    mem_free(batch->arena);
    mem_free(batch->records);
    mem_free(batch->ops);
    mem_free(batch->extra);
    mem_free(batch);
}

int backend_batch_done(struct backend *b, struct backend_batch *batch, int err)
{
    ensure(b->running == batch);
    b->running = NULL;
    struct backend_view *v = NULL;
    if (err == 0) {
        err = backend_view_open(b, b->file, batch->mark.index, &v);
    }
    if (err == 0) {
        backend_view_unpin(b->view);
        b->view = v;
        b->committed_index = batch->mark.index;
        tail_drop(&b->tail, &batch->mark);
    }
    batch_destroy(batch);
    return err;
}
