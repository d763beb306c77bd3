/* SPDX-License-Identifier: Apache-2.0 */
#include "service/watch_req.h"

#include "base/bytes.h"
#include "base/err.h"

enum { FILTER_NOPUT = 0, FILTER_NODELETE = 1 };

static void filter_take(struct watch_req *r, uint64_t filter)
{
    int32_t f = (int32_t)(uint32_t)filter; /* enums are cut to 32 bits; unknown ones say nothing */
    r->no_put = r->no_put || f == FILTER_NOPUT;
    r->no_delete = r->no_delete || f == FILTER_NODELETE;
}

static int filters_take(struct watch_req *r, struct slice packed)
{
    for (size_t at = 0; at < packed.len;) {
        uint64_t n;
        size_t used = varint_get(packed.data + at, packed.len - at, &n);
        if (used == 0) {
            return ERR_MALFORMED;
        }
        filter_take(r, n);
        at += used;
    }
    return 0;
}

static void number_take(struct watch_req *r, uint32_t field, uint64_t n)
{
    switch (field) {
    case 3: r->start_rev = (int64_t)n; break;
    case 4: r->progress_notify = n != 0; break;
    case 5: filter_take(r, n); break;
    case 6: r->prev_kv = n != 0; break;
    case 7: r->watch_id = (int64_t)n; break;
    case 8: r->fragment = n != 0; break;
    default: break;
    }
}

static int create_take(struct watch_req *r, struct slice in)
{
    struct wire_scan s;
    int err = 0;
    for (wire_scan_init(&s, in); err == 0 && wire_scan_next(&s);) {
        if (s.type == WIRE_VARINT) {
            number_take(r, s.field, s.number);
        } else if (s.type == WIRE_LEN && s.field == 1) {
            r->key = s.bytes;
        } else if (s.type == WIRE_LEN && s.field == 2) {
            r->range_end = s.bytes;
        } else if (s.type == WIRE_LEN && s.field == 5) {
            err = filters_take(r, s.bytes);
        }
    }
    return err != 0 ? err : s.err;
}

static int cancel_take(struct watch_req *r, struct slice in)
{
    struct wire_scan s;
    for (wire_scan_init(&s, in); wire_scan_next(&s);) {
        if (s.field == 1 && s.type == WIRE_VARINT) {
            r->watch_id = (int64_t)s.number;
        }
    }
    return s.err;
}

/* The last member of the oneof counts; one that comes twice is merged. */
static int member_take(struct watch_req *r, enum watch_req_kind kind, struct slice in)
{
    if (r->kind != kind) {
        *r = (struct watch_req){.kind = kind};
    }
    if (kind == WATCH_REQ_CREATE) {
        return create_take(r, in);
    }
    return cancel_take(r, in);
}

int watch_req_decode(struct slice msg, struct watch_req *out)
{
    struct watch_req r = {.kind = WATCH_REQ_NONE};
    struct wire_scan s;
    int err = 0;
    for (wire_scan_init(&s, msg); err == 0 && wire_scan_next(&s);) {
        if (s.type == WIRE_LEN && s.field >= WATCH_REQ_CREATE && s.field <= WATCH_REQ_PROGRESS) {
            err = member_take(&r, (enum watch_req_kind)s.field, s.bytes);
        }
    }
    err = err != 0 ? err : s.err;
    if (err == 0) {
        *out = r;
    }
    return err;
}
