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

#endif
