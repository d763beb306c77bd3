/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/kv: scanning codec for the hot messages: KeyValue, Range, Put, DeleteRange, Txn, Compaction
 * and the InternalRaftRequest around them.
 *
 * Problem     protobuf-c allocates every field; a put must cost no malloc.
 * Design      Decoding validates the whole message (nesting, lengths, wire types) and leaves slices
 *             into the input; unknown fields are skipped, the last of a repeated scalar wins, as
 *             protobuf says.  Encoding writes ascending field numbers, minimal varints, zero and
 *             empty fields left out: those bytes enter HashKV (storage-formats 2.2).
 * Ownership   Decoded slices live as long as the input.  Txn arrays live in the arena.
 * Thread      any.  Failure ERR_MALFORMED / ERR_TRUNCATED, ERR_LIMIT for nesting.
 * See         client-api 1.2; peer-protocol 4.3; test/unit/wire/kv_test.c.
 */
#ifndef WIRE_KV_H
#define WIRE_KV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"

/* The end of the range of all keys that begin with prefix, into to (prefix.len bytes): the last
 * byte that is not 0xff raised by one.  "\0", the open end, when there is none. */
struct slice wire_prefix_end(struct slice prefix, uint8_t *to);

enum {
    WIRE_TXN_DEPTH_MAX = 256,      /* twice what --max-txn-ops 128 lets through; see README */
    WIRE_TXN_ARENA_MAX = 64 << 20, /* memory of one decoded Txn: its smallest op takes 2 bytes here,
                                      150 there */
};

struct wire_kv {
    struct slice key;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
    struct slice value;
    int64_t lease;
};

size_t wire_kv_size(const struct wire_kv *kv);
/* Writes exactly wire_kv_size bytes. */
void wire_kv_encode(const struct wire_kv *kv, uint8_t *out);
MUST_USE int wire_kv_decode(struct slice in, struct wire_kv *out);

enum wire_sort_order { WIRE_SORT_NONE, WIRE_SORT_ASCEND, WIRE_SORT_DESCEND };
enum wire_sort_target {
    WIRE_SORT_KEY,
    WIRE_SORT_VERSION,
    WIRE_SORT_CREATE,
    WIRE_SORT_MOD,
    WIRE_SORT_VALUE,
};

struct wire_range_req {
    struct slice key;
    struct slice range_end; /* data != NULL also when it came empty (wire_came_empty) */
    int64_t limit;
    int64_t revision;
    int32_t sort_order; /* as received: may be unknown */
    int32_t sort_target;
    bool serializable;
    bool keys_only;
    bool count_only;
    int64_t min_mod_revision;
    int64_t max_mod_revision;
    int64_t min_create_revision;
    int64_t max_create_revision;
};

struct wire_put_req {
    struct slice key;
    struct slice value;
    int64_t lease;
    bool prev_kv;
    bool ignore_value;
    bool ignore_lease;
};

struct wire_delete_req {
    struct slice key;
    struct slice range_end;
    bool prev_kv;
};

struct wire_compaction_req {
    int64_t revision;
    bool physical;
};

enum wire_compare_result { WIRE_EQUAL, WIRE_GREATER, WIRE_LESS, WIRE_NOT_EQUAL };
enum wire_compare_target {
    WIRE_COMPARE_VERSION,
    WIRE_COMPARE_CREATE,
    WIRE_COMPARE_MOD,
    WIRE_COMPARE_VALUE,
    WIRE_COMPARE_LEASE,
};

struct wire_compare {
    int32_t result; /* as received: may be unknown */
    int32_t target;
    struct slice key;
    struct slice range_end;
    /* The member of the union that was set last (field number 4-8), 0 = none. number holds the
     * integer operands, value the bytes. */
    uint32_t operand_field;
    int64_t number;
    struct slice value;
};

enum wire_op_kind { WIRE_OP_NONE, WIRE_OP_RANGE, WIRE_OP_PUT, WIRE_OP_DELETE, WIRE_OP_TXN };

struct wire_txn_req;

struct wire_op {
    enum wire_op_kind kind; /* the oneof member that came last */
    union {
        struct wire_range_req range;
        struct wire_put_req put;
        struct wire_delete_req del;
        struct wire_txn_req *txn;
    };
};

struct wire_txn_req {
    struct wire_compare *compares;
    struct wire_op *success;
    struct wire_op *failure;
    size_t compare_count;
    size_t success_count;
    size_t failure_count;
};

MUST_USE int wire_range_req_decode(struct slice in, struct wire_range_req *out);
MUST_USE int wire_put_req_decode(struct slice in, struct wire_put_req *out);
MUST_USE int wire_delete_req_decode(struct slice in, struct wire_delete_req *out);
MUST_USE int wire_compaction_req_decode(struct slice in, struct wire_compaction_req *out);
/* Also ERR_LIMIT above WIRE_TXN_ARENA_MAX and ERR_NOMEM; what was taken from a stays there. */
MUST_USE int wire_txn_req_decode(struct slice in, struct arena *a, struct wire_txn_req *out);

/* A bytes field that was there with no bytes in it: etcd before 3.7 tells it from one that was not.
 */
static inline bool wire_came_empty(struct slice s)
{
    return s.len == 0 && s.data != NULL;
}

/* Encoders (append to out): of the client library, and of requests that came in another form than
 * etcd writes them. */
void wire_range_req_encode(struct buf *out, const struct wire_range_req *r);
void wire_put_req_encode(struct buf *out, const struct wire_put_req *r);
void wire_delete_req_encode(struct buf *out, const struct wire_delete_req *r);
void wire_compaction_req_encode(struct buf *out, const struct wire_compaction_req *r);
void wire_txn_req_encode(struct buf *out, const struct wire_txn_req *r);

/* The least bytes that mean this request.  A message that it was decoded from has as many only if
 * every field is there once and in its shortest form: nothing empty, repeated or unknown. */
size_t wire_put_req_size_min(const struct wire_put_req *r);
size_t wire_delete_req_size_min(const struct wire_delete_req *r);
size_t wire_compaction_req_size_min(const struct wire_compaction_req *r);
size_t wire_txn_req_size_min(const struct wire_txn_req *r);

struct wire_header {
    uint64_t cluster_id;
    uint64_t member_id;
    int64_t revision;
    uint64_t raft_term;
};

size_t wire_header_size(const struct wire_header *h);
void wire_header_encode(const struct wire_header *h, uint8_t *out);
MUST_USE int wire_header_decode(struct slice in, struct wire_header *out);

/* The first fields of every response that has a header: tag 0x0a, length, header. Appends. */
void wire_append_header(struct buf *out, const struct wire_header *h);
/* tag + varint, left out when v is 0. */
void wire_append_u64(struct buf *out, uint32_t field, uint64_t v);
/* tag + length + bytes, left out when empty. */
void wire_append_bytes(struct buf *out, uint32_t field, struct slice s);
/* tag + length + bytes, always there (sub-messages). */
void wire_append_message(struct buf *out, uint32_t field, struct slice s);
/* tag + length of a sub-message whose len bytes the caller appends next. */
void wire_append_message_head(struct buf *out, uint32_t field, size_t len);
/* Makes what was appended since out->len was start a sub-message: moves it behind its head. */
void wire_close_message(struct buf *out, size_t start, uint32_t field);

/* 3.7 refuses string fields that are not UTF-8 (client-api part 1). */
bool wire_utf8_valid(struct slice s);

/* Generic scanner: for (wire_scan_init(&s, in); wire_scan_next(&s);) { s.field, s.type ... }
 * then s.err tells whether the message was well formed to its end. */
enum wire_type { WIRE_VARINT = 0, WIRE_I64 = 1, WIRE_LEN = 2, WIRE_I32 = 5 };

struct wire_scan {
    const uint8_t *p;
    const uint8_t *end;
    uint32_t field;
    enum wire_type type;
    uint64_t number;    /* VARINT, I64, I32 */
    struct slice bytes; /* LEN */
    int err;
};

void wire_scan_init(struct wire_scan *s, struct slice in);
bool wire_scan_next(struct wire_scan *s);

/* InternalRaftRequest (peer-protocol 4.3). which = field number of the request inside, 0 = none. */
enum wire_internal_field {
    WIRE_INTERNAL_V2 = 2,
    WIRE_INTERNAL_RANGE = 3,
    WIRE_INTERNAL_PUT = 4,
    WIRE_INTERNAL_DELETE_RANGE = 5,
    WIRE_INTERNAL_TXN = 6,
    WIRE_INTERNAL_COMPACTION = 7,
    WIRE_INTERNAL_LEASE_GRANT = 8,
    WIRE_INTERNAL_LEASE_REVOKE = 9,
    WIRE_INTERNAL_ALARM = 10,
    WIRE_INTERNAL_LEASE_CHECKPOINT = 11,
    WIRE_INTERNAL_HEADER = 100,
    WIRE_INTERNAL_AUTH_ENABLE = 1000,
    WIRE_INTERNAL_AUTH_DISABLE = 1011,
    WIRE_INTERNAL_AUTHENTICATE = 1012,
    WIRE_INTERNAL_AUTH_STATUS = 1013,
    WIRE_INTERNAL_AUTH_USER_ADD = 1100,
    WIRE_INTERNAL_AUTH_USER_DELETE = 1101,
    WIRE_INTERNAL_AUTH_USER_GET = 1102,
    WIRE_INTERNAL_AUTH_USER_CHANGE_PASSWORD = 1103,
    WIRE_INTERNAL_AUTH_USER_GRANT_ROLE = 1104,
    WIRE_INTERNAL_AUTH_USER_REVOKE_ROLE = 1105,
    WIRE_INTERNAL_AUTH_USER_LIST = 1106,
    WIRE_INTERNAL_AUTH_ROLE_LIST = 1107,
    WIRE_INTERNAL_AUTH_ROLE_ADD = 1200,
    WIRE_INTERNAL_AUTH_ROLE_DELETE = 1201,
    WIRE_INTERNAL_AUTH_ROLE_GET = 1202,
    WIRE_INTERNAL_AUTH_ROLE_GRANT_PERMISSION = 1203,
    WIRE_INTERNAL_AUTH_ROLE_REVOKE_PERMISSION = 1204,
    WIRE_INTERNAL_CLUSTER_VERSION_SET = 1300,
    WIRE_INTERNAL_MEMBER_ATTR_SET = 1301,
    WIRE_INTERNAL_DOWNGRADE_INFO_SET = 1302,
    WIRE_INTERNAL_DOWNGRADE_VERSION_TEST = 9900,
};

struct wire_internal {
    uint64_t id; /* header.ID, or the old field 1 */
    struct slice username;
    uint64_t auth_revision;
    uint32_t which;    /* enum wire_internal_field, or 0 */
    struct slice body; /* the request's own bytes */
};

MUST_USE int wire_internal_decode(struct slice in, struct wire_internal *out);
size_t wire_internal_size(const struct wire_internal *r);
/* Field-number order: requests below 100, then the header, then those above. */
void wire_internal_encode(const struct wire_internal *r, uint8_t *out);

/* Legacy v2 Request of 3.5 (storage-formats 3.11). */
struct wire_v2_request {
    uint64_t id;
    struct slice method;
    struct slice path;
    struct slice val;
};

/* True and *out filled when the entry data is a v2 Request, by the rule of storage-formats 3.11. */
bool wire_v2_request_decode(struct slice in, struct wire_v2_request *out);

#endif
