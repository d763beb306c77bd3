/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend.h"

#include <string.h>

#include "backend/internal.h"
#include "base/failpoint.h"
#include "base/limits.h"

static int open_file(struct backend *b, struct backend_file **out)
{
    struct bolt_db *db;
    int err = bolt_db_open(&b->bolt_options, &db);
    if (err != 0) {
        return err;
    }
    struct backend_file *f = mem_zalloc(sizeof(*f));
    atomic_init(&f->refs, 1);
    f->db = db;
    *out = f;
    return 0;
}

void backend_file_unref(struct backend_file *f)
{
    if (atomic_fetch_sub(&f->refs, 1) == 1) {
        bolt_db_close(f->db);
        mem_free(f);
    }
}

/* Buckets that a reader will ask for must exist; a file that has them all is not touched. */
static int create_buckets(struct backend *b)
{
    struct bolt_tx *tx;
    bool is_complete = true;
    int err = bolt_tx_begin(b->file->db, false, &tx);
    if (err != 0) {
        return err;
    }
    for (size_t i = 0; err == 0 && i < b->bucket_count; i++) {
        struct bolt_bucket *bucket;
        err = bolt_bucket_open(tx, NULL, 0, slice_cstr(b->bucket_names[i]), &bucket);
        if (err == ERR_NOT_FOUND) {
            is_complete = false;
            err = 0;
        }
    }
    bolt_tx_rollback(tx);
    if (err != 0 || is_complete) {
        return err;
    }
    err = bolt_tx_begin(b->file->db, true, &tx);
    if (err != 0) {
        return err;
    }
    for (size_t i = 0; err == 0 && i < b->bucket_count; i++) {
        struct bolt_bucket *bucket;
        err = bolt_bucket_create_if_missing(tx, NULL, slice_cstr(b->bucket_names[i]), &bucket);
    }
    if (err != 0) {
        bolt_tx_rollback(tx);
        return err;
    }
    return bolt_tx_commit(tx);
}

static void options_take(struct backend *b, const struct backend_options *o)
{
    b->disk = o->disk;
    b->path = mem_strdup(o->path);
    b->bucket_names = o->bucket_names;
    b->bucket_count = o->bucket_count;
    b->batch_interval_ms = o->batch_interval_ms ? o->batch_interval_ms : LIMIT_BATCH_INTERVAL_MS;
    b->batch_ops = o->batch_ops ? o->batch_ops : LIMIT_BATCH_OPS;
    b->on_batch = o->on_batch;
    b->on_batch_arg = o->on_batch_arg;
    b->bolt_options = (struct bolt_options){
        .disk = o->disk,
        .path = b->path,
        .create = true,
        .no_sync = o->no_sync,
        .page_cache_bytes = o->page_cache_bytes,
        .on_lock_wait = o->on_lock_wait,
        .on_lock_wait_arg = o->on_lock_wait_arg,
        .error_text = o->error_text,
        .error_text_size = o->error_text_size,
    };
}

int backend_open(const struct backend_options *opts, struct backend **out)
{
    ensure(opts->bucket_count > 0 && opts->bucket_count <= BACKEND_BUCKETS_MAX);
    struct backend *b = mem_zalloc(sizeof(*b));
    options_take(b, opts);
    tail_init(&b->tail);
    int err = open_file(b, &b->file);
    if (err != 0) {
        goto free_backend;
    }
    err = create_buckets(b);
    if (err != 0) {
        goto close_file;
    }
    err = backend_view_open(b, b->file, 0, &b->view);
    if (err != 0) {
        goto close_file;
    }
    /* The text belongs to the caller of open; later failures are asked for. */
    b->bolt_options.error_text = NULL;
    *out = b;
    return 0;

close_file:
    backend_file_unref(b->file);
free_backend:
    tail_deinit(&b->tail);
    mem_free(b->path);
    mem_free(b);
    return err;
}

void backend_close(struct backend *b)
{
    ensure(b->running == NULL && !b->is_defragmenting);
    backend_view_unpin(b->view);
    ensure(atomic_load(&b->open_views) == 0);
    backend_file_unref(b->file);
    tail_deinit(&b->tail);
    mem_free(b->path);
    mem_free(b);
}

uint8_t *backend_record_add(struct backend *b, struct backend_rev rev, size_t len)
{
    struct tail *t = &b->tail;
    if (t->records.end > t->records.first) {
        const struct tail_record *last = tail_ring_at(&t->records, t->records.end - 1);
        ensure(last->rev.main < rev.main ||
               (last->rev.main == rev.main && last->rev.sub < rev.sub));
    }
    uint8_t *p = tail_bytes(t, len);
    struct tail_record *r = tail_ring_push(&t->records);
    *r = (struct tail_record){rev, slice_make(p, len)};
    return p;
}

void backend_record_remove(struct backend *b, struct backend_rev rev)
{
    struct tail_op *op = tail_ring_push(&b->tail.ops);
    *op = (struct tail_op){.kind = TAIL_REMOVE_RECORD, .bucket = BACKEND_BUCKET_KEY, .rev = rev};
}

void backend_put(struct backend *b, unsigned bucket, struct slice key, struct slice value)
{
    ensure(bucket < b->bucket_count && bucket != BACKEND_BUCKET_KEY);
    struct slice k = tail_copy(&b->tail, key);
    struct slice v = tail_copy(&b->tail, value);
    struct tail_op *op = tail_ring_push(&b->tail.ops);
    *op = (struct tail_op){.kind = TAIL_PUT, .bucket = bucket, .key = k, .value = v};
}

void backend_delete(struct backend *b, unsigned bucket, struct slice key)
{
    ensure(bucket < b->bucket_count && bucket != BACKEND_BUCKET_KEY);
    struct slice k = tail_copy(&b->tail, key);
    struct tail_op *op = tail_ring_push(&b->tail.ops);
    *op = (struct tail_op){.kind = TAIL_DELETE, .bucket = bucket, .key = k};
}

/* The last mark if it waits and only moves the index. A mark with changes keeps its own index: were
 * it moved along with each empty step, a WAL that lags behind would never reach it. */
static struct tail_mark *empty_mark(const struct backend *b, struct tail_mark *last)
{
    const struct tail_ring *marks = &b->tail.marks;
    if (last == NULL || last->index <= b->taken_index) {
        return NULL;
    }
    uint64_t records = b->taken_records, ops = b->taken_ops;
    if (marks->end - marks->first > 1) {
        const struct tail_mark *before = tail_ring_at(marks, marks->end - 2);
        records = before->record_end;
        ops = before->op_end;
    }
    return last->record_end == records && last->op_end == ops ? last : NULL;
}

void backend_seal(struct backend *b, uint64_t index, uint64_t term, uint64_t now_ms)
{
    struct tail *t = &b->tail;
    ensure(index >= b->sealed_index);
    struct tail_mark *last = NULL;
    if (t->marks.end > t->marks.first) {
        last = tail_ring_at(&t->marks, t->marks.end - 1);
    }
    bool is_change = t->records.end > (last ? last->record_end : b->taken_records) ||
                     t->ops.end > (last ? last->op_end : b->taken_ops);
    b->sealed_index = index;
    b->sealed_term = term;
    struct tail_mark *empty = is_change ? NULL : empty_mark(b, last);
    if (empty != NULL) {
        empty->index = index;
        empty->term = term;
        return;
    }
    if (!is_change && index == (last != NULL ? last->index : b->taken_index)) {
        return;
    }
    struct tail_mark *m = tail_ring_push(&t->marks);
    FAILPOINT(beforeWritebackBuf);
    *m = (struct tail_mark){index, term, t->records.end, t->ops.end, t->slabs.end};
    FAILPOINT(afterWritebackBuf);
    if (is_change && b->first_seal_ms == 0) {
        b->first_seal_ms = now_ms + 1;
    }
}

bool backend_is_full(const struct backend *b)
{
    const struct tail *t = &b->tail;
    uint64_t waiting = (t->records.end - t->records.first) + (t->ops.end - t->ops.first);
    return t->bytes > LIMIT_TAIL_BYTES || waiting > (uint64_t)b->batch_ops * LIMIT_TAIL_BATCHES;
}

size_t backend_tail_bytes(const struct backend *b)
{
    return b->tail.bytes;
}

bool backend_is_dirty(const struct backend *b)
{
    return b->tail.records.end > b->taken_records || b->tail.ops.end > b->taken_ops ||
           b->sealed_index > b->taken_index;
}

bool backend_is_lost(const struct backend *b)
{
    return b->is_lost;
}

bool backend_is_busy(const struct backend *b)
{
    return b->running != NULL || b->is_defragmenting;
}

uint64_t backend_position(const struct backend *b)
{
    return b->tail.records.end + b->tail.ops.end;
}

uint64_t backend_committed_position(const struct backend *b)
{
    return b->tail.records.first + b->tail.ops.first;
}

uint64_t backend_due_ms(const struct backend *b)
{
    return b->first_seal_ms == 0 ? UINT64_MAX : b->first_seal_ms - 1 + b->batch_interval_ms;
}

uint64_t backend_committed_index(const struct backend *b)
{
    return b->committed_index;
}

void backend_committed_index_init(struct backend *b, uint64_t index, uint64_t term)
{
    ensure(b->committed_index == 0 && b->sealed_index == 0);
    b->committed_index = b->sealed_index = b->taken_index = index;
    b->sealed_term = term;
    b->view->index = index;
}

uint64_t backend_size_bytes(const struct backend *b)
{
    return bolt_db_size_bytes(b->file->db);
}

uint64_t backend_size_in_use_bytes(const struct backend *b)
{
    return bolt_db_in_use_bytes(b->file->db);
}

uint32_t backend_open_views(const struct backend *b)
{
    return atomic_load(&b->open_views);
}

void backend_error_text(struct backend *b, char *out, size_t size)
{
    bolt_db_error(b->file->db, out, size);
}

void backend_check(const struct backend *b)
{
    tail_check(&b->tail);
    ensure(b->committed_index <= b->taken_index && b->taken_index <= b->sealed_index);
    ensure(b->taken_records <= b->tail.records.end && b->taken_ops <= b->tail.ops.end);
}
