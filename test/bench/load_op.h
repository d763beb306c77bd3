/* SPDX-License-Identifier: Apache-2.0
 *
 * bench/load_op: what is asked: one row of a table a load, which builds requests and judges
 * answers.
 *
 * A load that is new here is a row in load_op.c with its two functions; connections, timing and the
 * report know nothing about it.
 */
#ifndef BENCH_LOAD_OP_H
#define BENCH_LOAD_OP_H

#include "base/prng.h"
#include "load_conn.h"

/* What all requests of a run share. */
struct load_ops {
    struct prng prng;
    const char *prefix; /* of every key */
    uint64_t keys;      /* random keys are <prefix><0 .. keys-1, ten digits> */
    uint64_t next;      /* of the loads that walk the keys in order */
    uint64_t limit;     /* of list */
    uint64_t batch;     /* puts in one transaction of fill */
    size_t value_bytes;
    uint8_t *values;    /* random bytes; a value is a piece of them */
    struct buf message; /* the request being built */
    struct buf inner;   /* its parts */
    struct buf op;
};

struct load_op {
    const char *name;
    /* Builds the message; the path it goes to is returned. */
    unsigned (*build)(struct load_ops *o, struct load_slot *s);
    /* False: the answer is not what it must be. May be NULL. */
    bool (*check)(struct load_ops *o, struct load_slot *s);
};

void load_ops_init(struct load_ops *o, uint64_t seed);
void load_ops_deinit(struct load_ops *o);
/* NULL when there is none of this name. */
const struct load_op *load_op_find(const char *name);
const struct load_op *load_op_at(size_t i); /* NULL behind the last */
extern const char *const load_op_paths[];

#endif
