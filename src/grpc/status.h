/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/status: the small texts of the wire: grpc-message, grpc-timeout, binary metadata, and the
 * way Go quotes strings in the texts that clients match.  Pure functions.
 */
#ifndef GRPC_STATUS_H
#define GRPC_STATUS_H

#include "base/buf.h"
#include "base/err.h"

/* Bytes outside 0x20-0x7E and '%' become %XX (upper-case hex); appended. */
void grpc_message_encode(struct buf *out, struct slice text);
/* The reverse; a '%' without two hex digits stays as it is. */
void grpc_message_decode(struct buf *out, struct slice wire);

enum { GRPC_TIMEOUT_BYTES = 10 }; /* 8 digits, unit, NUL */

/* "100m" to nanoseconds (UINT64_MAX when it is more).  ERR_MALFORMED: why has grpc-go's text. */
MUST_USE int grpc_timeout_parse(struct slice s, uint64_t *out_ns, struct buf *why);
void grpc_timeout_format(char out[GRPC_TIMEOUT_BYTES], uint64_t ms);

/* 0..16 or, for anything else, UNKNOWN. */
enum grpc_code grpc_code_parse(struct slice s);
/* gRPC code for an HTTP status without a grpc-status (the protocol's table). */
enum grpc_code grpc_code_from_http(int status);

/* Standard alphabet, padding optional; appended.  ERR_MALFORMED leaves out as it was and tells the
 * place of the first byte that does not belong there. */
MUST_USE int grpc_base64_decode(struct buf *out, struct slice s, size_t *out_bad_at);
void grpc_base64_encode(struct buf *out, struct slice s); /* without padding, as grpc-go */

/* Go's %q of a string: quotes, and escapes for what does not print in ASCII. */
void grpc_quote(struct buf *out, struct slice s);

/* What a call is ended with when the layer itself refuses it. */
struct grpc_error {
    enum grpc_code code;
    char text[256]; /* cut when longer */
};

PRINTF_LIKE(3, 4)
void grpc_error_set(struct grpc_error *e, enum grpc_code code, const char *fmt, ...);

#endif
