/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/queue: encoded bytes that wait for a stream: appended at the end, taken at the front.
 *
 * A front that was taken is moved out only when it is the larger part, so that taking a long queue
 * in pieces costs no more than its length.
 */
#ifndef PEER_QUEUE_H
#define PEER_QUEUE_H

#include "base/buf.h"

struct peer_queue {
    struct buf bytes;
    size_t at; /* taken */
};

enum { PEER_QUEUE_KEPT = 256 << 10 };

static inline size_t peer_queue_len(const struct peer_queue *q)
{
    return q->bytes.len - q->at;
}

static inline struct slice peer_queue_slice(const struct peer_queue *q)
{
    return slice_skip(buf_slice(&q->bytes), q->at);
}

static inline void peer_queue_clear(struct peer_queue *q)
{
    if (q->bytes.cap > PEER_QUEUE_KEPT) {
        buf_deinit(&q->bytes);
        buf_init(&q->bytes);
    }
    buf_clear(&q->bytes);
    q->at = 0;
}

static inline void peer_queue_take(struct peer_queue *q, size_t n)
{
    ensure(n <= peer_queue_len(q));
    q->at += n;
    if (q->at == q->bytes.len) {
        peer_queue_clear(q);
    } else if (q->at > q->bytes.len / 2) {
        buf_consume(&q->bytes, q->at);
        q->at = 0;
    }
}

static inline void peer_queue_deinit(struct peer_queue *q)
{
    buf_deinit(&q->bytes);
    q->at = 0;
}

#endif
