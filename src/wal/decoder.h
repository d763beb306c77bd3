/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/decoder: records out of a row of segments, in order, each checked against the chain; private
 * to this folder.
 *
 * Design      Bytes are read in chunks (counted buffers); a record's data is a slice into the
 *             current chunk, so an entry that is kept takes a reference to it instead of a copy. A
 *             record that crosses the end of a chunk moves to the next one.
 * Ownership   The caller owns the files. Slices of a record live until the next call, or as long as
 *             a reference to d->chunk is held.
 * Failure     ERR_END behind the last record, ERR_TRUNCATED where etcd says "unexpected EOF",
 *             ERR_CHECKSUM, ERR_MALFORMED, ERR_NOMEM, the disk's error. See storage-formats 3.10.
 */
#ifndef WAL_DECODER_H
#define WAL_DECODER_H

#include "wal/name.h"
#include "wal/record.h"

/* One open segment. */
struct wal_source {
    struct env_file *file;
    struct wal_name name;
    uint64_t size; /* when it was opened */
};

enum { WAL_CHUNK_BYTES = 1 << 20 };

struct wal_decoder {
    const struct wal_source *sources;
    size_t count;
    size_t at;          /* source being read */
    uint64_t valid_off; /* in it, behind the last whole record */
    uint32_t chain;
    struct rcbuf *chunk;
    size_t begin; /* chunk[begin] is the byte at valid_off */
    struct wal_detail *detail;
};

void wal_decoder_init(struct wal_decoder *d, const struct wal_source *sources, size_t count,
                      struct wal_detail *detail);
/* Goes on at an offset of the first source, where the chain is known. */
void wal_decoder_seek(struct wal_decoder *d, uint64_t off, uint32_t chain);
void wal_decoder_deinit(struct wal_decoder *d);
MUST_USE int wal_decoder_next(struct wal_decoder *d, struct wal_record *out);

/* Opens names[first..] into a new array; write: read-write and locked. */
MUST_USE int wal_sources_open(struct env_disk *disk, const char *dir, const struct wal_names *names,
                              size_t first, bool write, struct wal_source **out, size_t *out_count,
                              struct wal_detail *detail);
void wal_sources_close(struct wal_source *sources, size_t count);

#endif
