/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/record: see record.h.
 */
#include "wal/record.h"

#include <assert.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "wal/scan.h"

#define LEN_MASK ((UINT64_C(1) << 56) - 1)

static_assert(WAL_FRAME_BYTES == sizeof(uint64_t), "the length field is 8 bytes");

void wal_frame_split(uint64_t field, uint64_t *out_len, uint64_t *out_pad)
{
    *out_len = field & LEN_MASK;
    *out_pad = (field >> 63) != 0 ? (field >> 56) & 7 : 0;
}

uint64_t wal_frame_join(size_t len)
{
    uint64_t pad = (8 - len % 8) % 8;
    ensure(len <= LEN_MASK);
    return pad == 0 ? len : len | (0x80 | pad) << 56;
}

/* 08 type 10 crc [1a len]: at most 2 + 1 + 5 + 1 + 10 bytes. */
enum { HEAD_MAX = 24 };

static size_t record_head(enum wal_record_type type, uint32_t crc, size_t data_len,
                          uint8_t out[HEAD_MAX])
{
    size_t n = 0;
    out[n++] = 0x08;
    out[n++] = (uint8_t)type;
    out[n++] = 0x10;
    n += varint_put(out + n, crc);
    if (type != WAL_RECORD_CRC) {
        out[n++] = 0x1a;
        n += varint_put(out + n, data_len);
    }
    return n;
}

void wal_record_put(struct buf *out, enum wal_record_type type, struct slice head,
                    struct slice tail, uint32_t *chain)
{
    uint8_t rec[HEAD_MAX];
    size_t data_len = head.len + tail.len;
    uint32_t crc = crc32c(crc32c(*chain, head.data, head.len), tail.data, tail.len);
    size_t rec_len = record_head(type, crc, data_len, rec);
    size_t len = rec_len + data_len;
    size_t pad = (8 - len % 8) % 8;

    uint8_t *p = buf_extend(out, WAL_FRAME_BYTES + len + pad);
    store_le64(p, wal_frame_join(len));
    p += WAL_FRAME_BYTES;
    memcpy(p, rec, rec_len);
    p += rec_len;
    if (head.len > 0) {
        memcpy(p, head.data, head.len);
        p += head.len;
    }
    if (tail.len > 0) {
        memcpy(p, tail.data, tail.len);
        p += tail.len;
    }
    memset(p, 0, pad);
    *chain = crc;
}

void wal_record_put_crc(struct buf *out, uint32_t chain)
{
    uint32_t c = chain;
    wal_record_put(out, WAL_RECORD_CRC, SLICE_NULL, SLICE_NULL, &c);
    ensure(c == chain);
}

int wal_record_parse(struct slice in, struct wal_record *out)
{
    struct scan s;
    uint64_t crc = 0;
    struct wal_record r = {.type = 0};
    for (scan_init(&s, in); scan_next(&s);) {
        switch (s.field) {
        case 1: scan_u64(&s, &r.type); break;
        case 2: scan_u64(&s, &crc); break;
        case 3: scan_bytes(&s, &r.data); break;
        default: break;
        }
    }
    if (s.err == 0) {
        r.crc = (uint32_t)crc;
        *out = r;
    }
    return s.err;
}

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

bool wal_record_is_torn(struct slice data, uint64_t off)
{
    while (data.len > 0) {
        size_t piece = WAL_SECTOR_BYTES - (size_t)(off % WAL_SECTOR_BYTES);
        piece = piece < data.len ? piece : data.len;
        if (is_zero(data.data, piece)) {
            return true;
        }
        data = slice_skip(data, piece);
        off += piece;
    }
    return false;
}
