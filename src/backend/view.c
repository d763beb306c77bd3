/* SPDX-License-Identifier: Apache-2.0
 *
 * backend/view: a pinned bolt read transaction, counted, and the reads through it.
 */
#include <string.h>

#include "backend/internal.h"

int backend_view_open(struct backend *b, struct backend_file *file, uint64_t index,
                      struct backend_view **out)
{
    struct backend_view *v = mem_zalloc(sizeof(*v));
    int err = bolt_tx_begin(file->db, false, &v->tx);
    if (err != 0) {
        mem_free(v);
        return err;
    }
    for (size_t i = 0; err == 0 && i < b->bucket_count; i++) {
        err = bolt_bucket_open(v->tx, NULL, 0, slice_cstr(b->bucket_names[i]), &v->buckets[i]);
    }
    if (err != 0) {
        bolt_tx_rollback(v->tx);
        mem_free(v);
        return err;
    }
    atomic_init(&v->refs, 1);
    atomic_fetch_add(&file->refs, 1);
    atomic_fetch_add(&b->open_views, 1);
    v->file = file;
    v->index = index;
    v->backend = b;
    *out = v;
    return 0;
}

struct backend_view *backend_view_pin(struct backend *b)
{
    atomic_fetch_add(&b->view->refs, 1);
    return b->view;
}

void backend_view_unpin(struct backend_view *v)
{
    if (atomic_fetch_sub(&v->refs, 1) == 1) {
        bolt_value_release(&v->near);
        bolt_tx_rollback(v->tx);
        atomic_fetch_sub(&v->backend->open_views, 1);
        backend_file_unref(v->file);
        mem_free(v);
    }
}

struct bolt_tx *backend_view_tx(struct backend_view *v)
{
    return v->tx;
}

uint64_t backend_view_index(const struct backend_view *v)
{
    return v->index;
}

int backend_record_get(struct backend *b, struct backend_rev rev, struct backend_record *out)
{
    const struct tail_record *r = tail_find(&b->tail, rev);
    if (r != NULL) {
        *out = (struct backend_record){.value = r->value};
        return 0;
    }
    uint8_t key[BACKEND_TOMBSTONE_BYTES];
    size_t len = backend_rev_encode(rev, key);
    struct bolt_value value;
    int err = bolt_bucket_get_near(b->view->buckets[BACKEND_BUCKET_KEY], BOLT_READ_CACHED,
                                   slice_make(key, len), &b->view->near, &value);
    if (err == 0) {
        *out = (struct backend_record){.value = value.value, .pin = value};
    }
    return err;
}

int backend_view_record_get(struct backend_view *v, struct backend_rev rev,
                            struct backend_record *out)
{
    uint8_t key[BACKEND_TOMBSTONE_BYTES];
    size_t len = backend_rev_encode(rev, key);
    return backend_view_get(v, BACKEND_BUCKET_KEY, slice_make(key, len), out);
}

int backend_view_get(struct backend_view *v, unsigned bucket, struct slice key,
                     struct backend_record *out)
{
    ensure(bucket < BACKEND_BUCKETS_MAX && v->buckets[bucket] != NULL);
    struct bolt_value value;
    int err = bolt_bucket_get(v->buckets[bucket], 0, key, &value);
    if (err == 0) {
        *out = (struct backend_record){.value = value.value, .pin = value};
    }
    return err;
}

void backend_record_release(struct backend_record *r)
{
    bolt_value_release(&r->pin);
    *r = (struct backend_record){0};
}
