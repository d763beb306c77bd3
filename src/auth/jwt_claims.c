/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/jwt_claims: the texts inside a JWT: base64url, header and claims.
 *
 * Numbers are doubles, as in Go, so the revision is exact up to 2^53 only, like etcd's.
 */
#include <math.h>
#include <stdlib.h>

#include "auth/jwt.h"
#include "base/gotext.h"
#include "base/json.h"

/* ---- base64url ---- */

void jwt_base64(struct buf *out, struct slice s)
{
    size_t start = out->len;
    gotext_base64(out, s);
    for (size_t i = start; i < out->len; i++) {
        uint8_t c = out->data[i];
        if (c == '=') {
            out->len = i;
            break;
        }
        out->data[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
}

int jwt_base64_decode(struct slice s, struct buf *out)
{
    if (s.len % 4 == 1) {
        return ERR_MALFORMED;
    }
    size_t start = out->len;
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        int v = c == '-' ? 62 : c == '_' ? 63 : c == '+' || c == '/' ? -1 : gotext_base64_value(c);
        if (v < 0) {
            out->len = start;
            return ERR_MALFORMED;
        }
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_append_byte(out, (uint8_t)(bits >> have));
        }
    }
    return 0;
}

/* ---- header ---- */

/* Reads a string; any other value makes *out not set. */
static void read_string(struct json_reader *r, struct buf *out, bool *out_is_set)
{
    *out_is_set = json_peek(r) == JSON_STRING;
    if (*out_is_set) {
        (void)json_string(r, out);
    } else {
        (void)json_skip(r);
    }
}

bool jwt_header_names(struct slice json, const char *alg)
{
    struct json_reader r;
    struct buf key = BUF_INIT, value = BUF_INIT;
    bool is_set = false;
    json_init(&r, json);
    if (json_object_begin(&r)) {
        while (json_object_next(&r, &key)) {
            if (slice_equal_cstr(buf_slice(&key), "alg")) {
                read_string(&r, &value, &is_set);
            } else {
                (void)json_skip(&r);
            }
        }
    }
    bool is_same = json_end(&r) == 0 && is_set && slice_equal_cstr(buf_slice(&value), alg);
    buf_deinit(&key);
    buf_deinit(&value);
    return is_same;
}

/* ---- claims ---- */

enum { NUMBER_BYTES_MAX = 512 };

struct number {
    bool is_there; /* the key is, with whatever value */
    bool is_number;
    double value;
};

static void read_number(struct json_reader *r, struct number *out)
{
    *out = (struct number){.is_there = true, .is_number = json_peek(r) == JSON_NUMBER};
    const uint8_t *start = r->p;
    if (!json_skip(r) || !out->is_number) {
        return;
    }
    char text[NUMBER_BYTES_MAX + 1];
    size_t len = (size_t)(r->p - start);
    if (len > NUMBER_BYTES_MAX) {
        (void)json_fail(r, ERR_LIMIT);
        return;
    }
    memcpy(text, start, len);
    text[len] = '\0';
    out->value = strtod(text, NULL); /* no setlocale anywhere: the point is a point */
    if (!isfinite(out->value)) {
        (void)json_fail(r, ERR_MALFORMED); /* json.Unmarshal refuses it as well */
    }
}

struct numbers {
    struct number exp, nbf, revision;
};

static struct number *number_of(struct numbers *n, struct slice key)
{
    return slice_equal_cstr(key, "exp")        ? &n->exp
           : slice_equal_cstr(key, "nbf")      ? &n->nbf
           : slice_equal_cstr(key, "revision") ? &n->revision
                                               : NULL;
}

static int read_claims(struct slice json, struct numbers *out, struct buf *user, bool *out_has_user)
{
    struct json_reader r;
    struct buf key = BUF_INIT;
    json_init(&r, json);
    if (json_object_begin(&r)) {
        while (json_object_next(&r, &key)) {
            struct number *n = number_of(out, buf_slice(&key));
            if (n != NULL) {
                read_number(&r, n);
            } else if (slice_equal_cstr(buf_slice(&key), "username")) {
                read_string(&r, user, out_has_user);
            } else {
                (void)json_skip(&r);
            }
        }
    }
    buf_deinit(&key);
    return json_end(&r);
}

/* A NumericDate in whole seconds, as milliseconds; when_absent also for 0, as golang-jwt. */
static bool date_ms(struct number n, uint64_t when_absent, uint64_t *out)
{
    static const double SECONDS_MAX = 9e15; /* ms in an int64 */
    if (n.is_there && !n.is_number) {
        return false;
    }
    if (n.value == 0) {
        *out = when_absent;
    } else if (n.value < 1) {
        *out = 0;
    } else {
        *out = (uint64_t)(n.value < SECONDS_MAX ? n.value : SECONDS_MAX) * 1000;
    }
    return true;
}

int jwt_claims_parse(struct slice json, struct jwt_claims *out)
{
    static const double REVISION_END = 18446744073709551616.0;
    struct numbers n = {0};
    bool has_user = false;
    buf_clear(&out->user);
    int err = read_claims(json, &n, &out->user, &has_user);
    if (err != 0) {
        return err;
    }
    if (!has_user || !n.revision.is_number || n.revision.value < 0 ||
        n.revision.value >= REVISION_END) {
        return ERR_MALFORMED;
    }
    struct jwt_claims times = {0};
    if (!date_ms(n.exp, UINT64_MAX, &times.expiry_ms) || !date_ms(n.nbf, 0, &times.start_ms)) {
        return ERR_MALFORMED;
    }
    out->revision = (uint64_t)n.revision.value;
    out->expiry_ms = times.expiry_ms;
    out->start_ms = times.start_ms;
    return 0;
}
