/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/blob: the contents of a simulated file: chunks of 4 KiB, shared between copies, zeros free.
 *
 * Thread      one.  Ownership: blob_init/_copy .. blob_deinit.
 */
#ifndef SIM_BLOB_H
#define SIM_BLOB_H

#include <stddef.h>
#include <stdint.h>

struct blob_chunk;

struct blob {
    uint64_t size;
    struct blob_chunk **chunks; /* NULL = zeros; nothing behind chunk_count but zeros */
    size_t chunk_count;
};

void blob_init(struct blob *b);
void blob_deinit(struct blob *b);
/* out is a new blob with the same contents. */
void blob_copy(struct blob *out, const struct blob *b);
/* Extends the file if needed. */
void blob_write(struct blob *b, const void *data, size_t len, uint64_t off);
/* Bytes read: less than len at the end. */
size_t blob_read(const struct blob *b, void *dst, size_t len, uint64_t off);
/* Cuts, or extends by zeros. */
void blob_resize(struct blob *b, uint64_t size);

#endif
