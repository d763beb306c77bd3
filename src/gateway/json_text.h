/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/json_text: strings, bytes and integers of JSON as Go's two readers take them: protojson,
 * of the gateway since 3.6, and encoding/json, of 3.5's.
 *
 * Thread      any.
 * Failure     false, with what Go says where the caller needs it.
 * See         test/unit/gateway/json_text_test.c.
 */
#ifndef GATEWAY_JSON_TEXT_H
#define GATEWAY_JSON_TEXT_H

#include "base/buf.h"

/* raw: a string with its quotes, as json_scan let it through; rest: raw and everything behind it up
 * to the end of the value, where protojson looks for a surrogate's other half.  Appends the text.
 * Strict refuses bytes that are not UTF-8 and lone surrogates: *why (appended to) says so, without
 * position, and is_eof is set when that is "unexpected EOF".  Else they become U+FFFD. */
MUST_USE bool json_text_strict(struct slice raw, struct slice rest, struct buf *out,
                               struct buf *why, bool *is_eof);
void json_text_lenient(struct slice raw, struct buf *out);

enum json_base64 {
    JSON_BASE64_STD, /* '+', '/', padding demanded */
    JSON_BASE64_ANY, /* URL alphabet when '-' or '_' is in s; padding only when the length says so
                      */
};

/* Appends the bytes; *bad_at is the offset in Go's CorruptInputError. */
MUST_USE bool json_base64_decode(enum json_base64 form, struct slice s, struct buf *out,
                                 size_t *bad_at);

/* Length of the number that s begins with, by protojson's rules; 0: none. */
size_t json_number_length(struct slice s);
/* Integral value of a number, in any notation, of so many bits; false: it is not one. */
MUST_USE bool json_number_int(struct slice number, int bits, int64_t *out);
MUST_USE bool json_number_uint(struct slice number, int bits, uint64_t *out);
/* strings.TrimSpace would shorten it. */
bool json_has_outer_space(struct slice s);

#endif
