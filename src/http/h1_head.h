/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h1_head: gathers the head of one message out of the parser's pieces, and writes heads.
 *
 * The text goes into one buffer; offsets become slices when the head is complete, because the
 * buffer moves while it grows.
 */
#ifndef HTTP_H1_HEAD_H
#define HTTP_H1_HEAD_H

#include "http/h1.h"

struct h1_head_span {
    size_t name_at, name_len;
    size_t value_at, value_len;
};

struct h1_head_reader {
    struct buf text;
    struct h1_head_span *spans;
    struct h1_header *headers; /* as many as spans, filled by finish */
    size_t count;
    size_t cap;
    size_t target_len; /* the target stands at the start of text */
    bool is_in_value;  /* the last piece belonged to a value */
};

void h1_head_reader_deinit(struct h1_head_reader *r);
void h1_head_reader_clear(struct h1_head_reader *r);
/* ERR_TOO_LARGE above LIMIT_HTTP1_HEADER_BYTES. */
MUST_USE int h1_head_add_target(struct h1_head_reader *r, struct slice piece);
MUST_USE int h1_head_add_name(struct h1_head_reader *r, struct slice piece);
MUST_USE int h1_head_add_value(struct h1_head_reader *r, struct slice piece);
void h1_head_finish(struct h1_head_reader *r, struct h1_head *out);

void h1_write_headers(struct buf *out, const struct h1_header *headers, size_t count);
/* One chunk of a chunked body; nothing for an empty one. */
void h1_write_chunk(struct buf *out, struct slice bytes);
bool h1_name_equal(struct slice name, const char *other);
/* True when a Content-Length is among them. */
bool h1_has_length(const struct h1_header *headers, size_t count);

#endif
