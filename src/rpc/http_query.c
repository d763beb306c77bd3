/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/http_query: query strings: pairs between '&', percent-decoding, '+' is a blank.
 */
#include <string.h>

#include "rpc/http.h"

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: a '%' without two hex digits; the pair is skipped, as Go's parser does. */
static bool decode(struct slice s, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (c == '%') {
            int hi = s.len - i > 2 ? hex_value(s.data[i + 1]) : -1;
            int lo = s.len - i > 2 ? hex_value(s.data[i + 2]) : -1;
            if (hi < 0 || lo < 0) {
                return false;
            }
            c = (uint8_t)(hi << 4 | lo);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        buf_append_byte(out, c);
    }
    return true;
}

/* The next pair, decoded; *rest moves behind it.  False at the end. */
static bool pair_next(struct slice *rest, struct buf *name, struct buf *value)
{
    while (rest->len > 0) {
        const uint8_t *amp = memchr(rest->data, '&', rest->len);
        struct slice pair = {rest->data, amp == NULL ? rest->len : (size_t)(amp - rest->data)};
        *rest = slice_skip(*rest, amp == NULL ? rest->len : pair.len + 1);
        if (pair.len == 0 || memchr(pair.data, ';', pair.len) != NULL) {
            continue;
        }
        const uint8_t *eq = memchr(pair.data, '=', pair.len);
        struct slice n = {pair.data, eq == NULL ? pair.len : (size_t)(eq - pair.data)};
        struct slice v = eq == NULL ? SLICE_NULL : slice_skip(pair, n.len + 1);
        if (decode(n, name) && decode(v, value)) {
            return true;
        }
    }
    return false;
}

bool rpc_http_query_get(struct slice query, const char *name, struct buf *out)
{
    struct buf n = BUF_INIT;
    struct buf v = BUF_INIT;
    bool found = false;
    while (!found && pair_next(&query, &n, &v)) {
        found = slice_equal_cstr(buf_slice(&n), name);
    }
    if (found) {
        buf_clear(out);
        buf_append_slice(out, buf_slice(&v));
    }
    buf_deinit(&n);
    buf_deinit(&v);
    return found;
}

bool rpc_http_query_at(struct slice query, size_t i, struct buf *out_name, struct buf *out_value)
{
    bool found = true;
    for (size_t at = 0; found && at <= i; at++) {
        found = pair_next(&query, out_name, out_value);
    }
    return found;
}
