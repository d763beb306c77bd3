/* SPDX-License-Identifier: Apache-2.0
 *
 * schema/varfield: messages of a few varint fields, proto3 (zero is left out); private.
 */
#ifndef SCHEMA_VARFIELD_H
#define SCHEMA_VARFIELD_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

static inline void varfield_put(struct buf *out, unsigned field, uint64_t v)
{
    if (v != 0) {
        buf_append_byte(out, (uint8_t)(field << 3));
        buf_append_varint(out, v);
    }
}

/* Length of the value of a field that is skipped; false when it does not fit. */
static inline bool varfield_skip(struct slice *in, unsigned type)
{
    uint64_t v = 0;
    size_t n = 0;
    if (type == 1 || type == 5) {
        v = type == 1 ? 8 : 4;
    } else {
        n = in->len == 0 ? 0 : varint_get(in->data, in->len, &v);
        if (n == 0 || (type != 0 && type != 2)) {
            return false;
        }
        v = type == 0 ? 0 : v;
    }
    *in = slice_skip(*in, n);
    if (v > in->len) {
        return false;
    }
    *in = slice_skip(*in, (size_t)v);
    return true;
}

/* Fields 1..count into out[0..count-1]; others are skipped. */
static inline int varfield_scan(struct slice in, uint64_t *out, unsigned count)
{
    while (in.len > 0) {
        uint64_t tag = 0;
        size_t n = varint_get(in.data, in.len, &tag);
        uint64_t field = tag >> 3;
        if (n == 0 || field == 0) {
            return ERR_MALFORMED;
        }
        in = slice_skip(in, n);
        if (field > count) {
            if (!varfield_skip(&in, (unsigned)(tag & 7))) {
                return ERR_MALFORMED;
            }
            continue;
        }
        n = (tag & 7) == 0 && in.len > 0 ? varint_get(in.data, in.len, &out[field - 1]) : 0;
        if (n == 0) {
            return ERR_MALFORMED;
        }
        in = slice_skip(in, n);
    }
    return 0;
}

#endif
