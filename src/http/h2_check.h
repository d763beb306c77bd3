/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h2_check: are the header fields of a request what RFC 9113 section 8 allows?
 *
 * Problem     nghttp2 checks :authority against the grammar of host names. Clients of etcd up to
 *             3.4 send their whole endpoint ("http://127.0.0.1:2379") there, and etcd takes it. Its
 *             checks can only be turned off as a whole, so a server's are made here.
 * Design      One small state a stream, fed with fields in order, then with the lengths of the
 *             body.
 * Thread      any. Failure false: the stream is reset with PROTOCOL_ERROR.
 * See         client-api 4.2; RFC 9113 8.1-8.3; test/unit/http/h2_check_test.c.
 */
#ifndef HTTP_H2_CHECK_H
#define HTTP_H2_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct h2_check {
    uint64_t body_bytes;     /* received */
    uint64_t content_length; /* only if has_length */
    uint8_t pseudo;          /* bits of enum h2_pseudo that came */
    bool has_length;
    bool has_host;
    bool is_regular; /* a field without colon came: no pseudo field may follow */
    bool is_connect; /* :method CONNECT: neither :scheme nor :path */
    bool is_options; /* :path may be an asterisk */
    bool is_asterisk;
    bool is_trailer; /* the headers are complete */
};

/* c is zeroed at the start of a stream.  False: malformed, as etcd's library has it too. */
bool h2_check_field(struct h2_check *c, struct slice name, struct slice value);
/* The end of a block of fields, headers or trailers. */
bool h2_check_block_end(struct h2_check *c, bool is_stream_end);
bool h2_check_data(struct h2_check *c, uint64_t bytes);
/* END_STREAM: the body is as long as was said. */
bool h2_check_stream_end(const struct h2_check *c);

#endif
