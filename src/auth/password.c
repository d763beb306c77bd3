/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/password: bcrypt over libcrypt, which wants a C string: what has a zero byte inside cannot
 * be given to it.
 */
#include "auth/password.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTING_HEAD = 7, SALT_DIGITS = 22 };

/* bcrypt's own base64, most significant bits first, without padding. */
static void salt_text(const uint8_t salt[AUTH_SALT_BYTES], char out[SALT_DIGITS + 1])
{
    static const char digits[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    unsigned held = 0, bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < AUTH_SALT_BYTES; i++) {
        held = held << 8 | salt[i];
        for (bits += 8; bits >= 6; bits -= 6) {
            out[at++] = digits[held >> (bits - 6) & 63];
        }
    }
    out[at++] = digits[held << (6 - bits) & 63];
    out[at] = 0;
}

static bool to_string(struct slice password, char out[AUTH_PASSWORD_MAX + 1])
{
    size_t len = password.len < AUTH_PASSWORD_MAX ? password.len : AUTH_PASSWORD_MAX;
    if (len > 0 && memchr(password.data, 0, len) != NULL) {
        return false;
    }
    if (len > 0) {
        memcpy(out, password.data, len);
    }
    out[len] = 0;
    return true;
}

/* The hash of text under a setting, or false. */
static bool run(const char *text, const char *setting, char out[AUTH_HASH_LEN])
{
    struct crypt_data *d = calloc(1, sizeof(*d)); /* 32 KiB: too much for a stack */
    const char *hash = d == NULL ? NULL : crypt_r(text, setting, d);
    bool is_done = hash != NULL && strlen(hash) == AUTH_HASH_LEN;
    if (is_done) {
        memcpy(out, hash, AUTH_HASH_LEN);
    }
    free(d);
    return is_done;
}

int auth_password_hash(struct slice password, unsigned cost, const uint8_t salt[AUTH_SALT_BYTES],
                       char out[AUTH_HASH_LEN])
{
    char text[AUTH_PASSWORD_MAX + 1], digits[SALT_DIGITS + 1];
    char setting[SETTING_HEAD + SALT_DIGITS + 8];
    ensure(cost >= AUTH_BCRYPT_COST_MIN && cost <= AUTH_BCRYPT_COST_MAX);
    if (password.len > AUTH_PASSWORD_MAX) {
        return ERR_RPC_PASSWORD_TOO_LONG;
    }
    salt_text(salt, digits);
    (void)snprintf(setting, sizeof(setting), "$2a$%02u$%s", cost, digits);
    return to_string(password, text) && run(text, setting, out) ? 0 : ERR_INVALID;
}

/* libcrypt knows other kinds of hashes too. */
static bool is_bcrypt(struct slice hash)
{
    return hash.len == AUTH_HASH_LEN && memchr(hash.data, 0, hash.len) == NULL &&
           hash.data[0] == '$' && hash.data[1] == '2' && hash.data[3] == '$';
}

bool auth_password_verify(struct slice hash, struct slice password)
{
    char text[AUTH_PASSWORD_MAX + 1], setting[AUTH_HASH_LEN + 1], got[AUTH_HASH_LEN];
    if (!is_bcrypt(hash) || !to_string(password, text)) {
        return false;
    }
    memcpy(setting, hash.data, AUTH_HASH_LEN);
    setting[AUTH_HASH_LEN] = 0;
    if (!run(text, setting, got)) {
        return false;
    }
    uint8_t differs = 0; /* all of it, whatever is found */
    for (size_t i = 0; i < AUTH_HASH_LEN; i++) {
        differs |= (uint8_t)(got[i] ^ setting[i]);
    }
    return differs == 0;
}
