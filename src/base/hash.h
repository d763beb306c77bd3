/* SPDX-License-Identifier: Apache-2.0
 *
 * base/hash: the three hash functions of the formats (storage-formats, top table).
 *
 * crc32c(0, x) is the plain CRC-32C of x; crc32c(c, x) continues from c (ISA-L inside).
 * SHA by OpenSSL.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { SHA256_BYTES = 32, SHA1_BYTES = 20 };

uint32_t crc32c(uint32_t crc, const void *data, size_t len);
#define FNV1A64_EMPTY UINT64_C(0xcbf29ce484222325) /* of no bytes */
uint64_t fnv1a64(const void *data, size_t len);
/* h is that of the bytes before. */
uint64_t fnv1a64_more(uint64_t h, const void *data, size_t len);
void sha1(const void *data, size_t len, uint8_t out[SHA1_BYTES]);

struct sha256; /* incremental */
struct sha256 *sha256_create(void);
void sha256_update(struct sha256 *s, const void *data, size_t len);
/* Writes the digest and frees s. */
void sha256_finish(struct sha256 *s, uint8_t out[SHA256_BYTES]);

#endif
