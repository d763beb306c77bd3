/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/json_in_impl: what json_in.c and json_in_old.c share.  Private to the two.
 */
#ifndef GATEWAY_JSON_IN_IMPL_H
#define GATEWAY_JSON_IN_IMPL_H

#include "gateway/json_in.h"

/* Bytes of the value that begins at the start of s (which is checked JSON). */
size_t json_value_length(struct slice s);
struct slice json_skip_blanks(struct slice s);

enum { PB_VARINT = 0, PB_BYTES = 2 };

void json_put_tag(struct buf *out, const struct json_field *f, unsigned wire);
/* A field with a varint; zero is left out where the form leaves it out. */
void json_put_varint(struct buf *out, const struct json_field *f, uint64_t v);
void json_put_bytes(struct buf *out, const struct json_field *f, struct slice s);
/* What stands behind mark gets its length in front. */
void json_put_length_at(struct buf *out, size_t mark);

int json_old_message(const struct json_message *m, struct slice value, int depth, struct buf *out,
                     struct buf *why);

#endif
