/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/watch: the hot part of a WatchResponse, its events; the control messages are wire/pb's.
 *
 * Ownership   Decoded byte fields are slices into the input; the array lives in the arena.
 * Thread      any.  Failure as in kv.h.
 * See         client-api 1.3; test/unit/wire/response_test.c.
 */
#ifndef WIRE_WATCH_H
#define WIRE_WATCH_H

#include "wire/kv.h"

enum wire_event_type { WIRE_EVENT_PUT, WIRE_EVENT_DELETE };

enum { WIRE_WATCH_EVENTS = 11 }; /* field number in WatchResponse */

struct wire_event {
    int32_t type; /* as received: may be unknown */
    bool has_kv;
    bool has_prev_kv;
    struct wire_kv kv;
    struct wire_kv prev_kv;
};

struct wire_watch_resp {
    bool has_header;
    bool created;
    bool canceled;
    bool fragment;
    struct wire_header header;
    int64_t watch_id;
    int64_t compact_revision;
    struct slice cancel_reason;
    struct wire_event *events;
    size_t event_count;
};

/* An Event out of KeyValues that are encoded already (as stored).  prev NULL: no prev_kv. */
size_t wire_event_size(enum wire_event_type type, size_t kv_len, const struct slice *prev);
/* Writes exactly that many bytes. */
void wire_event_encode(enum wire_event_type type, struct slice kv, const struct slice *prev,
                       uint8_t *out);

/* Everything but the events: fields 1-7.  The events follow as wire_append_message(out, 11, ...).
 */
void wire_watch_resp_encode_head(struct buf *out, const struct wire_watch_resp *r);
MUST_USE int wire_watch_resp_decode(struct slice in, struct arena *a, struct wire_watch_resp *out);

#endif
