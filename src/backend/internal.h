/* SPDX-License-Identifier: Apache-2.0
 *
 * backend/internal: the structs that backend, batch, view and defrag share.  Private to backend.
 */
#ifndef BACKEND_INTERNAL_H
#define BACKEND_INTERNAL_H

#include <stdatomic.h>

#include "backend/backend.h"
#include "backend/tail.h"
#include "base/arena.h"

/* An open bolt file, counted: the backend and every view of it hold one reference. */
struct backend_file {
    atomic_uint refs;
    struct bolt_db *db;
};

struct backend_view {
    atomic_uint refs;
    struct backend_file *file;
    struct bolt_tx *tx;
    struct bolt_bucket *buckets[BACKEND_BUCKETS_MAX];
    uint64_t index;
    struct backend *backend; /* for the count of open views */
    struct bolt_value near;  /* leaf of the record that the main loop read last */
};

struct backend {
    struct env_disk *disk;
    char *path;
    const char *const *bucket_names;
    size_t bucket_count;
    struct bolt_options bolt_options;
    uint64_t batch_interval_ms;
    uint32_t batch_ops;
    void (*on_batch)(void *arg, struct backend_batch *batch, uint64_t index, uint64_t term);
    void *on_batch_arg;

    struct tail tail;
    struct backend_file *file;
    struct backend_view *view; /* the newest */
    struct backend_batch *running;
    bool is_defragmenting;
    bool is_lost;
    uint64_t committed_index;
    uint64_t sealed_index;
    uint64_t sealed_term;
    uint64_t taken_records; /* sequence numbers already handed over */
    uint64_t taken_ops;
    uint64_t taken_index;
    uint64_t first_seal_ms; /* of what is not handed over; 0 = nothing */
    atomic_uint open_views;
};

struct backend_batch {
    struct backend *backend;
    struct bolt_db *db;
    struct tail_mark mark;
    struct tail_record *records;
    size_t record_count;
    struct tail_op *ops;
    size_t op_count;
    struct tail_op *extra; /* from on_batch, bytes in arena */
    size_t extra_count;
    size_t extra_cap;
    struct arena *arena;
};

int backend_view_open(struct backend *b, struct backend_file *file, uint64_t index,
                      struct backend_view **out);
void backend_file_unref(struct backend_file *f);

#endif
