/* SPDX-License-Identifier: Apache-2.0
 *
 * backend/tail: what is applied and not yet in the file, in memory.  Private to backend.
 *
 * Design      Three queues that only grow at the back and shrink at the front, addressed by
 *             sequence numbers that never repeat: records (revision order, so found by binary
 *             search), operations on other buckets (in order of making), and marks (segment
 *             boundaries: which raft index the sequence numbers below belong to). Bytes live in
 *             slabs, which never move: a slice stays valid until its record is dropped.
 * Thread      main loop. A batch copies the descriptors it needs; the bytes it points to stay until
 *             tail_drop, which runs after the batch is done.
 */
#ifndef BACKEND_TAIL_H
#define BACKEND_TAIL_H

#include "backend/backend.h"

struct tail_record {
    struct backend_rev rev;
    struct slice value;
};

enum tail_op_kind { TAIL_PUT, TAIL_DELETE, TAIL_REMOVE_RECORD };

struct tail_op {
    enum tail_op_kind kind;
    unsigned bucket;
    struct slice key;
    struct slice value;
    struct backend_rev rev; /* TAIL_REMOVE_RECORD */
};

struct tail_mark {
    uint64_t index;
    uint64_t term;
    uint64_t record_end; /* sequence numbers */
    uint64_t op_end;
    uint64_t slab_end;
};

/* Ring of fixed-size elements addressed by sequence number: [first, end). */
struct tail_ring {
    uint8_t *data;
    size_t elem;
    size_t cap; /* elements, power of two or 0 */
    uint64_t first;
    uint64_t end;
};

void *tail_ring_push(struct tail_ring *r);
void *tail_ring_at(const struct tail_ring *r, uint64_t seq);

struct tail_slab {
    uint8_t *data;
    size_t len;
    size_t cap;
};

struct tail {
    struct tail_ring records;
    struct tail_ring ops;
    struct tail_ring marks;
    struct tail_ring slabs;
    uint8_t *spare; /* one slab of the usual size kept to avoid a malloc */
    size_t bytes;   /* in all slabs, used part */
};

void tail_init(struct tail *t);
void tail_deinit(struct tail *t);
/* len bytes that do not move. */
uint8_t *tail_bytes(struct tail *t, size_t len);
struct slice tail_copy(struct tail *t, struct slice s);
/* The record at rev or NULL. */
const struct tail_record *tail_find(const struct tail *t, struct backend_rev rev);
/* The first record at or above rev, or NULL. */
const struct tail_record *tail_from(const struct tail *t, struct backend_rev rev);
/* Forgets everything up to and including this mark (a copy of it). */
void tail_drop(struct tail *t, const struct tail_mark *upto);
void tail_check(const struct tail *t);

#endif
