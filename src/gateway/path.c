/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/path.h"

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void path_decode(struct slice path, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = path.data[i];
        int hi = c == '%' && path.len - i > 2 ? hex_digit(path.data[i + 1]) : -1;
        int lo = hi >= 0 ? hex_digit(path.data[i + 2]) : -1;
        if (lo >= 0) {
            c = (uint8_t)(hi << 4 | lo);
            i += 2;
        }
        buf_append_byte(out, c);
    }
}

/* Takes the last element off. */
static void go_up(struct buf *out)
{
    while (out->len > 0 && out->data[out->len - 1] != '/') {
        out->len--;
    }
    if (out->len > 0) {
        out->len--;
    }
}

void path_clean(struct slice path, struct buf *out)
{
    bool has_slash = path.len > 0 && path.data[path.len - 1] == '/';
    buf_clear(out);
    for (size_t i = 0; i < path.len;) {
        size_t from = i;
        while (i < path.len && path.data[i] != '/') {
            i++;
        }
        struct slice element = slice_make(path.data + from, i - from);
        i++;
        if (element.len == 0 || slice_equal_cstr(element, ".")) {
            continue;
        }
        if (slice_equal_cstr(element, "..")) {
            go_up(out);
            continue;
        }
        buf_append_byte(out, '/');
        buf_append_slice(out, element);
    }
    if (out->len == 0 || has_slash) {
        buf_append_byte(out, '/');
    }
}
