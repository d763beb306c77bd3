/* SPDX-License-Identifier: Apache-2.0
 *
 * bench/load_count: counts what a stream of responses holds, without keeping any of it.
 *
 * Design      A state machine over the bytes: the frames of gRPC, and in each message the fields of
 *             the top level.  Bodies are stepped over, so an event costs a few instructions,
 *             whatever its size and however it is cut into frames.
 */
#ifndef BENCH_LOAD_COUNT_H
#define BENCH_LOAD_COUNT_H

#include <stdint.h>

#include "base/slice.h"

enum { LOAD_COUNT_FIELDS = 16 };

struct load_count {
    uint8_t head[5]; /* of the gRPC frame */
    unsigned head_len;
    uint32_t left;   /* of the message */
    uint64_t number; /* being read */
    unsigned shift;
    unsigned field;                     /* whose value is read; 0: a tag is */
    uint64_t skip;                      /* of the body of a field */
    uint64_t messages;                  /* whole ones */
    uint64_t fields[LOAD_COUNT_FIELDS]; /* seen, by number */
    uint64_t values[LOAD_COUNT_FIELDS]; /* the last, of those that are numbers */
    bool is_body;
};

void load_count_feed(struct load_count *n, struct slice data);

#endif
