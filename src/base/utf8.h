/* SPDX-License-Identifier: Apache-2.0
 *
 * base/utf8: one step of UTF-8 decoding, by the rules of RFC 3629 (and Go's unicode/utf8): no
 * overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UTF8_ERROR_RUNE = 0xfffd, UTF8_BYTES_MAX = 4 };

/* Length of the sequence at p (len >= 1) with *out_rune filled; 0 when it is not valid. */
static inline size_t utf8_decode(const uint8_t *p, size_t len, uint32_t *out_rune)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80) {
        *out_rune = p[0];
        return 1;
    }
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > len) {
        return 0;
    }
    uint32_t r = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        r = r << 6 | (p[i] & 0x3fu);
    }
    if (r < least[n] || r > 0x10ffff || (r >= 0xd800 && r <= 0xdfff)) {
        return 0;
    }
    *out_rune = r;
    return n;
}

/* Writes r, or U+FFFD for what is no rune; returns the number of bytes (1-4). */
static inline size_t utf8_encode(uint8_t out[UTF8_BYTES_MAX], uint32_t r)
{
    if (r > 0x10ffff || (r >= 0xd800 && r <= 0xdfff)) {
        r = UTF8_ERROR_RUNE;
    }
    if (r < 0x80) {
        out[0] = (uint8_t)r;
        return 1;
    }
    size_t n = r < 0x800 ? 2 : r < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (r & 0x3f));
        r >>= 6;
    }
    out[0] = (uint8_t)((0xf00u >> n & 0xf0u) | r);
    return n;
}

static inline bool utf8_valid(const uint8_t *p, size_t len)
{
    uint32_t rune;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_decode(p + i, len - i, &rune);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

#endif
