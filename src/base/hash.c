/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>

#include "base/assert.h"

/* crc32_iscsi takes an int length. */
enum { CRC_CHUNK = 1 << 30 };

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    /* ISA-L does no inversion of its own, and its prototype lacks const. */
    unsigned char *p = (unsigned char *)(uintptr_t)data;
    uint32_t c = ~crc;
    while (len > 0) {
        size_t n = len > CRC_CHUNK ? (size_t)CRC_CHUNK : len;
        c = crc32_iscsi(p, (int)n, c);
        p += n;
        len -= n;
    }
    return ~c;
}

uint64_t fnv1a64(const void *data, size_t len)
{
    return fnv1a64_more(FNV1A64_EMPTY, data, len);
}

uint64_t fnv1a64_more(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}

void sha1(const void *data, size_t len, uint8_t out[SHA1_BYTES])
{
    unsigned n = SHA1_BYTES;
    ensure(EVP_Digest(data, len, out, &n, EVP_sha1(), NULL) == 1 && n == SHA1_BYTES);
}

struct sha256 *sha256_create(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ensure(ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
    return (struct sha256 *)(void *)ctx;
}

void sha256_update(struct sha256 *s, const void *data, size_t len)
{
    ensure(EVP_DigestUpdate((EVP_MD_CTX *)(void *)s, data, len) == 1);
}

void sha256_finish(struct sha256 *s, uint8_t out[SHA256_BYTES])
{
    unsigned n = SHA256_BYTES;
    ensure(EVP_DigestFinal_ex((EVP_MD_CTX *)(void *)s, out, &n) == 1 && n == SHA256_BYTES);
    EVP_MD_CTX_free((EVP_MD_CTX *)(void *)s);
}
