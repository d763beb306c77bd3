/* SPDX-License-Identifier: Apache-2.0
 *
 * base/bytes: fixed-width integers in little and big endian at any alignment, and base-128 varints.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { VARINT_BYTES_MAX = 10 };

#define BYTES_DEFINE(bits, le, be)                                                                 \
    static inline uint##bits##_t load_le##bits(const void *p)                                      \
    {                                                                                              \
        uint##bits##_t v;                                                                          \
        memcpy(&v, p, sizeof(v));                                                                  \
        return le(v);                                                                              \
    }                                                                                              \
    static inline void store_le##bits(void *p, uint##bits##_t v)                                   \
    {                                                                                              \
        v = le(v);                                                                                 \
        memcpy(p, &v, sizeof(v));                                                                  \
    }                                                                                              \
    static inline uint##bits##_t load_be##bits(const void *p)                                      \
    {                                                                                              \
        uint##bits##_t v;                                                                          \
        memcpy(&v, p, sizeof(v));                                                                  \
        return be(v);                                                                              \
    }                                                                                              \
    static inline void store_be##bits(void *p, uint##bits##_t v)                                   \
    {                                                                                              \
        v = be(v);                                                                                 \
        memcpy(p, &v, sizeof(v));                                                                  \
    }

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTES_SAME(v) (v)
BYTES_DEFINE(16, BYTES_SAME, __builtin_bswap16)
BYTES_DEFINE(32, BYTES_SAME, __builtin_bswap32)
BYTES_DEFINE(64, BYTES_SAME, __builtin_bswap64)
#else
#define BYTES_SAME(v) (v)
BYTES_DEFINE(16, __builtin_bswap16, BYTES_SAME)
BYTES_DEFINE(32, __builtin_bswap32, BYTES_SAME)
BYTES_DEFINE(64, __builtin_bswap64, BYTES_SAME)
#endif

static inline size_t varint_len(uint64_t v)
{
    return (size_t)(63 - __builtin_clzll(v | 1)) / 7 + 1;
}

/* Writes at most VARINT_BYTES_MAX bytes; returns the number written. */
static inline size_t varint_put(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    return n;
}

/* Bytes consumed, or 0 when the input ends early or the varint is longer than 10 bytes. */
static inline size_t varint_get(const uint8_t *p, size_t len, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len && i < VARINT_BYTES_MAX; i++) {
        v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if ((p[i] & 0x80) == 0) {
            if (i == VARINT_BYTES_MAX - 1 && p[i] > 1) {
                return 0;
            }
            *out = v;
            return i + 1;
        }
    }
    return 0;
}

#endif
