/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: auth_dep
 *
 * What a client may show as a token.  The first byte chooses what the rest is: a whole token for
 * each kind; claims, which are signed here so that they are read at all; a password hash.  What
 * verifies must verify again, and a token of claims is valid exactly when the claims alone are.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/jwt.h"
#include "auth/password.h"
#include "auth/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct auth_now NOW = {1000, 1000000};
static const struct slice SECRET = SLICE_LIT("a secret");

static struct jwt *hmac_jwt(void)
{
    static struct jwt *j;
    if (j == NULL) {
        struct jwt_options o = {.method = jwt_method_find(SLICE_LIT("HS256")),
                                .private_text = SECRET};
        struct buf why = BUF_INIT;
        if (jwt_create(&o, &why, &j) != 0) {
            abort();
        }
    }
    return j;
}

static void check_simple(struct slice in)
{
    struct auth_tokens *t = NULL;
    struct buf why = BUF_INIT, text = BUF_INIT;
    struct auth_tokens_options o = {.spec = "simple"};
    struct auth_identity id;
    uint64_t index = 0;
    if (auth_tokens_create(&o, &why, &t) != 0) {
        abort();
    }
    auth_tokens_enable(t);
    (void)auth_tokens_index(t, in, &index);
    ensure(auth_tokens_lookup(t, in, 1, NOW, &id) != 0);
    auth_tokens_assign(t, in, 5, SLICE_LIT("u"), NOW.mono_ms, &text);
    ensure((auth_tokens_lookup(t, buf_slice(&text), 1, NOW, &id) == 0) ==
           (text.len <= AUTH_TOKEN_BYTES_MAX));
    auth_tokens_check(t);
    auth_tokens_destroy(t);
    buf_deinit(&text);
}

static void check_token(struct slice in)
{
    struct jwt_claims c = {.user = BUF_INIT};
    int err = jwt_verify(hmac_jwt(), in, &c);
    ensure(err == 0 || err == ERR_RPC_INVALID_AUTH_TOKEN);
    buf_deinit(&c.user);
}

static void check_claims(struct slice in)
{
    struct buf token = BUF_INIT, mac = BUF_INIT;
    struct jwt_key key = {.method = jwt_method_find(SLICE_LIT("HS256")), .secret = SECRET};
    struct jwt_claims a = {.user = BUF_INIT}, b = {.user = BUF_INIT};
    jwt_base64(&token, SLICE_LIT("{\"alg\":\"HS256\"}"));
    buf_append_byte(&token, '.');
    jwt_base64(&token, in);
    ensure(jwt_signature_make(&key, buf_slice(&token), &mac) == 0);
    buf_append_byte(&token, '.');
    jwt_base64(&token, buf_slice(&mac));
    int alone = jwt_claims_parse(in, &a);
    int whole = jwt_verify(hmac_jwt(), buf_slice(&token), &b);
    ensure((alone == 0) == (whole == 0));
    if (alone == 0) {
        ensure(a.revision == b.revision && a.expiry_ms == b.expiry_ms && a.start_ms == b.start_ms);
        ensure(slice_equal(buf_slice(&a.user), buf_slice(&b.user)));
    }
    buf_deinit(&token);
    buf_deinit(&mac);
    buf_deinit(&a.user);
    buf_deinit(&b.user);
}

/* Costs above the least are left out: they are slow, and the same code. */
static void check_hash(struct slice in)
{
    size_t at = in.len > 2 && in.data[2] == '$' ? 3 : 4;
    if (in.len < at + 2 || memcmp(in.data + at, "04", 2) == 0) {
        (void)auth_password_verify(in, SLICE_LIT("x"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct slice in = slice_make(data + 1, size - 1);
    switch (data[0]) {
    case 's': check_simple(in); break;
    case 't': check_token(in); break;
    case 'c': check_claims(in); break;
    case 'h': check_hash(in); break;
    default: break;
    }
    return 0;
}
