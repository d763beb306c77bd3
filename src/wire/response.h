/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/response: responses of the KV service as structs, for whoever has them whole: the client
 * library, Txn results, tests.  (A server's plain range is a plan that copies stored bytes and uses
 * only the wire_append_* of kv.h.)
 *
 * Ownership   Decoded byte fields are slices into the input; arrays live in the arena, whose growth
 *             is bounded by the input's length times the struct sizes (a range may be large on
 *             purpose).
 * Thread      any. Failure as in kv.h, and ERR_NOMEM. In a ResponseOp the last member wins whole:
 *             no server sends one in pieces.
 * See         client-api 1.2; test/unit/wire/response_test.c.
 */
#ifndef WIRE_RESPONSE_H
#define WIRE_RESPONSE_H

#include "wire/kv.h"

struct wire_range_resp {
    bool has_header;
    bool more;
    struct wire_header header;
    struct wire_kv *kvs;
    size_t kv_count;
    int64_t count;
};

struct wire_put_resp {
    bool has_header;
    bool has_prev_kv;
    struct wire_header header;
    struct wire_kv prev_kv;
};

struct wire_delete_resp {
    bool has_header;
    struct wire_header header;
    int64_t deleted;
    struct wire_kv *prev_kvs;
    size_t prev_kv_count;
};

struct wire_txn_resp;

struct wire_op_resp {
    enum wire_op_kind kind;
    union {
        struct wire_range_resp range;
        struct wire_put_resp put;
        struct wire_delete_resp del;
        struct wire_txn_resp *txn;
    };
};

struct wire_txn_resp {
    bool has_header;
    bool succeeded;
    struct wire_header header;
    struct wire_op_resp *responses;
    size_t response_count;
};

struct wire_compaction_resp {
    bool has_header;
    struct wire_header header;
};

MUST_USE int wire_range_resp_decode(struct slice in, struct arena *a, struct wire_range_resp *out);
/* RangeStreamResponse (3.7): the RangeResponse inside. */
MUST_USE int wire_range_stream_resp_decode(struct slice in, struct arena *a,
                                           struct wire_range_resp *out);
MUST_USE int wire_put_resp_decode(struct slice in, struct wire_put_resp *out);
MUST_USE int wire_delete_resp_decode(struct slice in, struct arena *a,
                                     struct wire_delete_resp *out);
MUST_USE int wire_txn_resp_decode(struct slice in, struct arena *a, struct wire_txn_resp *out);
MUST_USE int wire_compaction_resp_decode(struct slice in, struct wire_compaction_resp *out);

/* These append to out. */
void wire_range_resp_encode(struct buf *out, const struct wire_range_resp *r);
void wire_put_resp_encode(struct buf *out, const struct wire_put_resp *r);
void wire_delete_resp_encode(struct buf *out, const struct wire_delete_resp *r);
void wire_txn_resp_encode(struct buf *out, const struct wire_txn_resp *r);
/* A KeyValue as sub-message of that field; kv NULL appends nothing. */
void wire_append_kv(struct buf *out, uint32_t field, const struct wire_kv *kv);

#endif
