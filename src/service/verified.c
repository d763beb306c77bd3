/* SPDX-License-Identifier: Apache-2.0 */
#include "service/verified.h"

#include "base/bytes.h"

static void number_add(struct sha256 *s, uint64_t n)
{
    uint8_t bytes[8];
    store_be64(bytes, n);
    sha256_update(s, bytes, sizeof(bytes));
}

/* With its length: what follows cannot be mistaken for a part of it. */
static void text_add(struct sha256 *s, struct slice text)
{
    number_add(s, text.len);
    sha256_update(s, text.data, text.len);
}

static void digest_of(const struct verified *v, const struct verified_login *l,
                      uint8_t out[SHA256_BYTES])
{
    struct sha256 *s = sha256_create();
    sha256_update(s, v->key, sizeof(v->key));
    number_add(s, l->revision);
    text_add(s, l->user);
    text_add(s, l->hash);
    text_add(s, l->password);
    sha256_finish(s, out);
}

static bool is_there(const struct verified *v, const uint8_t digest[SHA256_BYTES])
{
    for (size_t i = 0; i < v->count; i++) {
        if (memcmp(v->digests[i], digest, SHA256_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

bool verified_has(const struct verified *v, const struct verified_login *l)
{
    uint8_t digest[SHA256_BYTES];
    digest_of(v, l, digest);
    return is_there(v, digest);
}

void verified_add(struct verified *v, const struct verified_login *l)
{
    uint8_t digest[SHA256_BYTES];
    digest_of(v, l, digest);
    if (is_there(v, digest)) {
        return;
    }
    memcpy(v->digests[v->next], digest, SHA256_BYTES);
    v->next = (v->next + 1) % VERIFIED_MAX;
    v->count += v->count < VERIFIED_MAX;
}
