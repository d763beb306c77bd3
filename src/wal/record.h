/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/record: one record of the log, framed and chained; private to this folder.
 *
 *     0        8                          8+n      8+n+pad (multiple of 8)
 *     | length | 08 type 10 crc 1a len data | zeros |
 *
 * length, LE: low 56 bits n; top byte 0x80 | pad when n is not a multiple of 8.  crc is the chain:
 * crc32c of all data of the log so far, continued over this record's data
 * (storage-formats 3.2-3.3).
 */
#ifndef WAL_RECORD_H
#define WAL_RECORD_H

#include "base/buf.h"

enum wal_record_type {
    WAL_RECORD_METADATA = 1,
    WAL_RECORD_ENTRY = 2,
    WAL_RECORD_STATE = 3,
    WAL_RECORD_CRC = 4,
    WAL_RECORD_SNAPSHOT = 5,
};

enum { WAL_FRAME_BYTES = 8, WAL_SECTOR_BYTES = 512 };

struct wal_record {
    uint64_t type;
    uint32_t crc;
    struct slice data;
};

/* Length field apart: bytes of the record and of the padding. */
void wal_frame_split(uint64_t field, uint64_t *out_len, uint64_t *out_pad);
uint64_t wal_frame_join(size_t len);

/* Appends one record whose data is head and tail one behind the other; moves the chain. */
void wal_record_put(struct buf *out, enum wal_record_type type, struct slice head,
                    struct slice tail, uint32_t *chain);
/* The crc record that starts a segment. */
void wal_record_put_crc(struct buf *out, uint32_t chain);

MUST_USE int wal_record_parse(struct slice in, struct wal_record *out);

/* True when a piece of data (which starts at file offset off), cut at sector boundaries, is all
 * zero: a write that reached the disk only in part. */
bool wal_record_is_torn(struct slice data, uint64_t off);

#endif
