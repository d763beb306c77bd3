/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/merge: decoders that add a piece to a message already begun.  Private to src/wire.
 * On failure the target is in an unspecified, but harmless, state.
 */
#ifndef WIRE_MERGE_H
#define WIRE_MERGE_H

#include "wire/kv.h"

MUST_USE int wire_kv_merge(struct slice in, struct wire_kv *kv);
MUST_USE int wire_header_merge(struct slice in, struct wire_header *h);
MUST_USE int wire_range_req_merge(struct slice in, struct wire_range_req *r);
MUST_USE int wire_put_req_merge(struct slice in, struct wire_put_req *r);
MUST_USE int wire_delete_req_merge(struct slice in, struct wire_delete_req *r);

/* Room in a for as many elements as in has length-delimited fields of that number; NULL for none.
 * Each of them took at least two bytes of the input, so its length bounds the size. */
void *wire_make_array(struct arena *a, struct slice in, uint32_t field, size_t size, int *err);

#endif
