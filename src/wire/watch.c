/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/watch.h"

#include "base/bytes.h"
#include "base/err.h"
#include "wire/merge.h"
#include "wire/take.h"

enum { EVENT_TYPE = 1, EVENT_KV = 2, EVENT_PREV_KV = 3 };

size_t wire_event_size(enum wire_event_type type, size_t kv_len, const struct slice *prev)
{
    return wire_u64_size(EVENT_TYPE, (uint64_t)type) + wire_message_size(EVENT_KV, kv_len) +
           (prev == NULL ? 0 : wire_message_size(EVENT_PREV_KV, prev->len));
}

void wire_event_encode(enum wire_event_type type, struct slice kv, const struct slice *prev,
                       uint8_t *out)
{
    out = wire_put_u64(out, EVENT_TYPE, (uint64_t)type);
    out = wire_put_message(out, EVENT_KV, kv);
    if (prev != NULL) {
        (void)wire_put_message(out, EVENT_PREV_KV, *prev);
    }
}

void wire_watch_resp_encode_head(struct buf *out, const struct wire_watch_resp *r)
{
    if (r->has_header) {
        wire_append_header(out, &r->header);
    }
    wire_append_u64(out, 2, (uint64_t)r->watch_id);
    wire_append_u64(out, 3, r->created);
    wire_append_u64(out, 4, r->canceled);
    wire_append_u64(out, 5, (uint64_t)r->compact_revision);
    wire_append_bytes(out, 6, r->cancel_reason);
    wire_append_u64(out, 7, r->fragment);
}

static int take_event_kv(const struct wire_scan *s, bool *has, struct wire_kv *kv)
{
    if (s->type != WIRE_LEN) {
        return 0;
    }
    *has = true;
    return wire_kv_merge(s->bytes, kv);
}

static int decode_event(struct slice in, struct wire_event *e)
{
    struct wire_scan s;
    int err = 0;
    *e = (struct wire_event){0};
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        switch (s.field) {
        case EVENT_TYPE: wire_take_enum(&s, &e->type); break;
        case EVENT_KV: err = take_event_kv(&s, &e->has_kv, &e->kv); break;
        case EVENT_PREV_KV: err = take_event_kv(&s, &e->has_prev_kv, &e->prev_kv); break;
        default: break;
        }
    }
    return err != 0 ? err : s.err;
}

static int take_watch_field(const struct wire_scan *s, struct wire_watch_resp *r)
{
    switch (s->field) {
    case 1:
        if (s->type == WIRE_LEN) {
            r->has_header = true;
            return wire_header_merge(s->bytes, &r->header);
        }
        break;
    case 2: wire_take_i64(s, &r->watch_id); break;
    case 3: wire_take_bool(s, &r->created); break;
    case 4: wire_take_bool(s, &r->canceled); break;
    case 5: wire_take_i64(s, &r->compact_revision); break;
    case 6: wire_take_bytes(s, &r->cancel_reason); break;
    case 7: wire_take_bool(s, &r->fragment); break;
    case WIRE_WATCH_EVENTS:
        if (s->type == WIRE_LEN) {
            return decode_event(s->bytes, &r->events[r->event_count++]);
        }
        break;
    default: break;
    }
    return 0;
}

int wire_watch_resp_decode(struct slice in, struct arena *a, struct wire_watch_resp *out)
{
    struct wire_watch_resp r = {0};
    struct wire_scan s;
    int err = 0;
    r.events = wire_make_array(a, in, WIRE_WATCH_EVENTS, sizeof(*r.events), &err);
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        err = take_watch_field(&s, &r);
    }
    if (err == 0) {
        *out = r;
    }
    return err;
}
