/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/cipher.h"

enum cipher_kind { CIPHER_12, CIPHER_13, CIPHER_H2 };

struct cipher {
    const char *name;
    const char *openssl;
    enum cipher_kind kind;
};

static const struct cipher ciphers[] = {
#define CIPHER(go, openssl, kind) {go, openssl, CIPHER_##kind},
#include "tls/cipher.def"
#undef CIPHER
};

/* Go's preference without AES hardware aside: AEAD with ECDHE, then CBC with ECDHE. */
static const char default_list[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA";

static const struct cipher *find(struct slice name)
{
    for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
        if (slice_equal_cstr(name, ciphers[i].name)) {
            return &ciphers[i];
        }
    }
    return NULL;
}

/* The next name of a comma list; false at its end. */
static bool next_name(const char **at, struct slice *out)
{
    if (*at == NULL) {
        return false;
    }
    const char *end = strchr(*at, ',');
    size_t len = end == NULL ? strlen(*at) : (size_t)(end - *at);
    *out = slice_make(*at, len);
    *at = end == NULL ? NULL : end + 1;
    return true;
}

int tls_ciphers_check(const char *list, struct buf *error)
{
    const char *at = list[0] == '\0' ? NULL : list;
    struct slice name;
    while (next_name(&at, &name)) {
        if (find(name) == NULL) {
            buf_printf(error, "unexpected TLS cipher suite \"%.*s\"", (int)name.len,
                       (const char *)name.data);
            return ERR_INVALID;
        }
    }
    return 0;
}

void tls_ciphers_openssl(const char *list, struct buf *out)
{
    const char *at = list;
    struct slice name;
    if (list[0] == '\0') {
        buf_append_cstr(out, default_list);
        return;
    }
    bool is_first = true;
    while (next_name(&at, &name)) {
        const struct cipher *c = find(name);
        ensure(c != NULL);
        if (c->kind != CIPHER_13) {
            buf_printf(out, "%s%s", is_first ? "" : ":", c->openssl);
            is_first = false;
        }
    }
}

int tls_ciphers_check_h2(const char *list, struct buf *error)
{
    const char *at = list;
    struct slice name;
    if (list[0] == '\0') {
        return 0;
    }
    while (next_name(&at, &name)) {
        const struct cipher *c = find(name);
        if (c != NULL && c->kind == CIPHER_H2) {
            return 0;
        }
    }
    buf_append_cstr(error, "http2: TLSConfig.CipherSuites is missing an HTTP/2-required "
                           "AES_128_GCM_SHA256 cipher (need at least one of "
                           "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or "
                           "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)");
    return ERR_INVALID;
}
