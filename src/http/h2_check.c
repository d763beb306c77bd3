/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h2_check: the rules of RFC 9113 section 8 for requests; :authority is any text.
 */
#include "http/h2_check.h"

#include <string.h>

enum h2_pseudo {
    H2_PSEUDO_METHOD = 1,
    H2_PSEUDO_SCHEME = 2,
    H2_PSEUDO_PATH = 4,
    H2_PSEUDO_AUTHORITY = 8,
};

enum {
    IN_NAME = 1,  /* lower-case token */
    IN_TOKEN = 2, /* token */
    IN_VALUE = 4, /* visible, blank, tab, beyond ASCII */
    IN_PATH = 8,  /* visible, beyond ASCII */
};

#define VISIBLE (IN_VALUE | IN_PATH)
#define LOWER (IN_NAME | IN_TOKEN | VISIBLE)

static const uint8_t classes[256] = {
    ['\t'] = IN_VALUE,
    [' '] = IN_VALUE,
    ['!'] = LOWER,
    ['"'] = VISIBLE,
    ['#' ... '\''] = LOWER,
    ['(' ... ')'] = VISIBLE,
    ['*' ... '+'] = LOWER,
    [','] = VISIBLE,
    ['-' ... '.'] = LOWER,
    ['/'] = VISIBLE,
    ['0' ... '9'] = LOWER,
    [':' ... '@'] = VISIBLE,
    ['A' ... 'Z'] = IN_TOKEN | VISIBLE,
    ['[' ... ']'] = VISIBLE,
    ['^' ... 'z'] = LOWER,
    ['{'] = VISIBLE,
    ['|'] = LOWER,
    ['}'] = VISIBLE,
    ['~'] = LOWER,
    [0x80 ... 0xff] = VISIBLE,
};

static bool is_all(struct slice s, uint8_t class)
{
    uint8_t common = class;
    for (size_t i = 0; i < s.len; i++) {
        common &= classes[s.data[i]];
    }
    return common != 0;
}

/* ---- pseudo fields ------------------------------------------------------------------------------
 */

static bool method_is_good(struct h2_check *c, struct slice value)
{
    c->is_connect = slice_equal(value, SLICE_LIT("CONNECT"));
    c->is_options = slice_equal(value, SLICE_LIT("OPTIONS"));
    return value.len > 0 && is_all(value, IN_TOKEN);
}

static bool path_is_good(struct h2_check *c, struct slice value)
{
    c->is_asterisk = slice_equal(value, SLICE_LIT("*"));
    return value.len > 0 && (value.data[0] == '/' || c->is_asterisk) && is_all(value, IN_PATH);
}

static bool pseudo_is_good(struct h2_check *c, struct slice name, struct slice value)
{
    uint8_t bit = 0;
    bool is_good = false;
    if (slice_equal(name, SLICE_LIT(":path"))) {
        bit = H2_PSEUDO_PATH;
        is_good = path_is_good(c, value);
    } else if (slice_equal(name, SLICE_LIT(":method"))) {
        bit = H2_PSEUDO_METHOD;
        is_good = method_is_good(c, value);
    } else if (slice_equal(name, SLICE_LIT(":scheme"))) {
        bit = H2_PSEUDO_SCHEME;
        is_good = value.len > 0 && is_all(value, IN_PATH);
    } else if (slice_equal(name, SLICE_LIT(":authority"))) {
        bit = H2_PSEUDO_AUTHORITY;
        is_good = is_all(value, IN_VALUE);
    }
    bool is_first = (c->pseudo & bit) == 0;
    c->pseudo |= bit;
    return is_good && is_first && !c->is_regular && !c->is_trailer;
}

/* ---- regular fields ----------------------------------------------------------------------------
 */

static bool length_is_good(struct h2_check *c, struct slice value)
{
    uint64_t n = 0;
    if (c->has_length || value.len == 0 || value.len > 18) {
        return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return false;
        }
        n = n * 10 + (uint64_t)(value.data[i] - '0');
    }
    c->has_length = true;
    c->content_length = n;
    return true;
}

/* Fields of one connection of HTTP/1 (RFC 9113 8.2.2) and those with a meaning here. */
static bool regular_is_good(struct h2_check *c, struct slice name, struct slice value)
{
    switch (name.len) {
    case 2: return !slice_equal(name, SLICE_LIT("te")) || slice_equal(value, SLICE_LIT("trailers"));
    case 4:
        if (slice_equal(name, SLICE_LIT("host"))) {
            bool is_first = !c->has_host;
            c->has_host = true;
            return is_first;
        }
        return true;
    case 7: return !slice_equal(name, SLICE_LIT("upgrade"));
    case 10:
        return !slice_equal(name, SLICE_LIT("connection")) &&
               !slice_equal(name, SLICE_LIT("keep-alive"));
    case 14:
        return !slice_equal(name, SLICE_LIT("content-length")) || c->is_trailer ||
               length_is_good(c, value);
    case 16: return !slice_equal(name, SLICE_LIT("proxy-connection"));
    case 17: return !slice_equal(name, SLICE_LIT("transfer-encoding"));
    default: return true;
    }
}

bool h2_check_field(struct h2_check *c, struct slice name, struct slice value)
{
    if (name.len > 0 && name.data[0] == ':') {
        return pseudo_is_good(c, name, value);
    }
    c->is_regular = true;
    return name.len > 0 && is_all(name, IN_NAME) && is_all(value, IN_VALUE) &&
           regular_is_good(c, name, value);
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

static bool is_complete(const struct h2_check *c)
{
    const uint8_t all = H2_PSEUDO_METHOD | H2_PSEUDO_SCHEME | H2_PSEUDO_PATH;
    if (c->is_connect) {
        return (c->pseudo & (H2_PSEUDO_SCHEME | H2_PSEUDO_PATH)) == 0 &&
               (c->pseudo & H2_PSEUDO_AUTHORITY) != 0;
    }
    return (c->pseudo & all) == all && (!c->is_asterisk || c->is_options);
}

bool h2_check_block_end(struct h2_check *c, bool is_stream_end)
{
    bool is_good = c->is_trailer ? is_stream_end : is_complete(c);
    c->is_trailer = true;
    return is_good;
}

bool h2_check_data(struct h2_check *c, uint64_t bytes)
{
    c->body_bytes += bytes;
    return !c->has_length || c->body_bytes <= c->content_length;
}

bool h2_check_stream_end(const struct h2_check *c)
{
    return !c->has_length || c->body_bytes == c->content_length;
}
