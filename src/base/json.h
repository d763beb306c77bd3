/* SPDX-License-Identifier: Apache-2.0
 *
 * base/json: pull reader for JSON from files and peers, and a writer of Go's strings.
 *
 * Problem     Member ids are 64-bit numbers: a DOM that keeps signed or floating numbers loses
 *             them. And what Go's encoding/json takes must be taken: any order, unknown keys, any
 *             case, null for anything.
 * Design      The caller walks: begin, next, read or skip. Nothing is allocated but the buf of a
 *             string. The reader remembers the first error; every call after it is a no-op that
 *             returns false, so a walk needs one check at its end (json_end).
 *
 *                 json_init(&r, in);
 *                 if (json_object_begin(&r)) {
 *                     while (json_object_next(&r, &key)) {
 *                         if (json_key_is(&key, "id")) json_u64(&r, &id); else json_skip(&r);
 *                     }
 *                 }
 *                 err = json_end(&r);
 *
 * Ownership   The input is borrowed.  Thread any.
 * Limits      JSON_DEPTH_MAX levels.  Failure ERR_MALFORMED, ERR_LIMIT for depth.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

enum { JSON_DEPTH_MAX = 64 };

enum json_kind {
    JSON_NONE,
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_reader {
    const uint8_t *p;
    const uint8_t *end;
    int err;
    int depth;
    bool is_first[JSON_DEPTH_MAX + 1]; /* no item of this level was read yet */
};

void json_init(struct json_reader *r, struct slice in);
/* The error, or ERR_MALFORMED when anything but blanks follows the value. */
MUST_USE int json_end(struct json_reader *r);

/* Kind of the value that comes next; JSON_NONE at an error. */
enum json_kind json_peek(struct json_reader *r);
/* False on an error, and for a null, which is taken: only after true may _next be called. */
bool json_object_begin(struct json_reader *r);
/* True: *key (cleared first) holds the next key and its value must be read or skipped. False: the
 * object ended, or an error. */
bool json_object_next(struct json_reader *r, struct buf *key);
bool json_array_begin(struct json_reader *r);
bool json_array_next(struct json_reader *r);
/* Reads of a null leave *out as it is and succeed, as in Go. */
bool json_u64(struct json_reader *r, uint64_t *out);
bool json_i64(struct json_reader *r, int64_t *out);
bool json_bool(struct json_reader *r, bool *out);
/* Clears *out and appends the text in UTF-8; what is not UTF-8 becomes U+FFFD. */
bool json_string(struct json_reader *r, struct buf *out);
bool json_skip(struct json_reader *r);
/* For the caller's own refusals. */
bool json_fail(struct json_reader *r, int err);

/* Go's field match: ASCII case does not matter. */
bool json_key_is(const struct buf *key, const char *name);

/* A character that must not stand by itself: \" \\ \b \f \n \r \t, any other as \u00xx. */
void json_put_escape(struct buf *out, uint8_t c);
/* s with quotes, escaped as Go's encoding/json does: <>& and U+2028/9 too, bad UTF-8 as \ufffd. */
void json_put_go_string(struct buf *out, struct slice s);

#endif
