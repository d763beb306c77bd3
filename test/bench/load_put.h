/* SPDX-License-Identifier: Apache-2.0
 *
 * bench/load_put: fields of a protobuf message, zero and empty ones too; the clocks.
 */
#ifndef BENCH_LOAD_PUT_H
#define BENCH_LOAD_PUT_H

#include <time.h>

#include "base/buf.h"
#include "base/bytes.h"

static inline void load_put_bytes(struct buf *b, unsigned field, struct slice s)
{
    buf_append_byte(b, (uint8_t)(field << 3 | 2));
    buf_append_varint(b, s.len);
    buf_append_slice(b, s);
}

static inline void load_put_number(struct buf *b, unsigned field, uint64_t v)
{
    buf_append_byte(b, (uint8_t)(field << 3));
    buf_append_varint(b, v);
}

static inline uint64_t load_clock_ns(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

#endif
