/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/scan: walks the fields of one protobuf message; private to this folder (the layer below has
 * no codec yet when this is built, and the WAL must not wait for it).
 */
#ifndef WAL_SCAN_H
#define WAL_SCAN_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/slice.h"

enum scan_type { SCAN_VARINT = 0, SCAN_I64 = 1, SCAN_LEN = 2, SCAN_I32 = 5 };

struct scan {
    const uint8_t *p;
    const uint8_t *end;
    uint32_t field;
    unsigned type;
    uint64_t number;    /* VARINT */
    struct slice bytes; /* LEN */
    int err;
};

static inline void scan_init(struct scan *s, struct slice in)
{
    *s = (struct scan){.p = in.data, .end = in.len == 0 ? in.data : in.data + in.len};
}

static inline bool scan_fail(struct scan *s)
{
    s->err = ERR_MALFORMED;
    return false;
}

static inline bool scan_varint(struct scan *s, uint64_t *out)
{
    size_t n = s->p == s->end ? 0 : varint_get(s->p, (size_t)(s->end - s->p), out);
    s->p += n;
    return n != 0;
}

static inline bool scan_fixed(struct scan *s, size_t len)
{
    if ((size_t)(s->end - s->p) < len) {
        return scan_fail(s);
    }
    s->p += len;
    return true;
}

/* False at the end of the message and on an error (s->err). */
static inline bool scan_next(struct scan *s)
{
    uint64_t tag = 0;
    uint64_t len = 0;
    if (s->p == s->end) {
        return false;
    }
    if (!scan_varint(s, &tag) || (tag >> 3) == 0 || (tag >> 3) > 0x1fffffff) {
        return scan_fail(s);
    }
    s->field = (uint32_t)(tag >> 3);
    s->type = (unsigned)(tag & 7);
    switch (s->type) {
    case SCAN_VARINT: return scan_varint(s, &s->number) || scan_fail(s);
    case SCAN_I64: return scan_fixed(s, 8);
    case SCAN_I32: return scan_fixed(s, 4);
    case SCAN_LEN:
        if (!scan_varint(s, &len) || len > (uint64_t)(s->end - s->p)) {
            return scan_fail(s);
        }
        s->bytes = slice_make(s->p, (size_t)len);
        s->p += len;
        return true;
    default: return scan_fail(s);
    }
}

/* The number of the current field, which must be a varint. */
static inline void scan_u64(struct scan *s, uint64_t *out)
{
    if (s->type != SCAN_VARINT) {
        s->err = ERR_MALFORMED;
        s->p = s->end;
        return;
    }
    *out = s->number;
}

static inline void scan_bytes(struct scan *s, struct slice *out)
{
    if (s->type != SCAN_LEN) {
        s->err = ERR_MALFORMED;
        s->p = s->end;
        return;
    }
    *out = s->bytes;
}

#endif
