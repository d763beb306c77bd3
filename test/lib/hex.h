/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/hex: bytes written as text, blanks between.
 */
#ifndef TEST_LIB_HEX_H
#define TEST_LIB_HEX_H

#include "base/buf.h"

static inline struct buf hex(const char *text)
{
    struct buf b = BUF_INIT;
    unsigned v = 0;
    int have = 0;
    for (; *text != '\0'; text++) {
        if (*text == ' ') {
            continue;
        }
        v = v << 4 | (unsigned)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
        if (++have == 2) {
            buf_append_byte(&b, (uint8_t)v);
            v = 0;
            have = 0;
        }
    }
    return b;
}

static inline void expect_hex(struct slice got, const char *want_hex)
{
    struct buf want = hex(want_hex);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    buf_deinit(&want);
}

#endif
