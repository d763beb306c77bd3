/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/json_out: a message in protobuf's form as JSON, piece by piece as it comes.
 *
 * Problem     Answers can be gigabytes, and come as fast as the client takes them: nothing whole
 *             may be kept.
 * Design      A push transcoder: bytes in, JSON appended to a buf. It relies on what the member's
 *             own services write: fields in order of number, each single field at most once. Zero
 *             fields are left out, unknown ones too.
 * Ownership   init / deinit; desc tables are constant.
 * Limits      JSON_OUT_DEPTH_MAX messages in each other; a string (not bytes) is kept until it is
 *             whole: JSON_OUT_STRING_MAX.
 * Failure     ERR_MALFORMED, ERR_LIMIT: what was appended is of no use.
 * See         client-api 5.1; test/unit/gateway/json_out_test.c.
 */
#ifndef GATEWAY_JSON_OUT_H
#define GATEWAY_JSON_OUT_H

#include "base/err.h"
#include "gateway/desc.h"

enum { JSON_OUT_DEPTH_MAX = 300, JSON_OUT_STRING_MAX = 1 << 20 };

struct json_out_frame;

struct json_out {
    struct buf *out;
    struct json_out_frame *frames;
    size_t depth, cap;              /* 0: the message is whole */
    const struct json_field *field; /* being read; NULL: unknown */
    int state;
    unsigned wire;
    unsigned shift;
    uint64_t number;  /* varint being read */
    uint64_t left;    /* of bytes, a string or something skipped */
    uint8_t carry[3]; /* base64: bytes that are not yet three */
    size_t carry_len;
    struct buf text;
    bool is_html_escaped; /* < > & in strings as \u003c ...: encoding/json's form */
};

void json_out_init(struct json_out *o, bool is_html_escaped);
void json_out_deinit(struct json_out *o);
/* A message of len bytes begins; its JSON goes to out. */
void json_out_begin(struct json_out *o, const struct json_message *m, uint64_t len,
                    struct buf *out);
MUST_USE int json_out_feed(struct json_out *o, struct slice bytes);
bool json_out_is_done(const struct json_out *o);
/* s with quotes, in protojson's form or encoding/json's. */
void json_out_string(struct buf *out, struct slice s, bool is_html_escaped);

#endif
