/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/password: see password.h.
 *
 * libxcrypt does the arithmetic, always under "$2y$": with "$2a$" it changes the result for some
 * passwords with bytes above 127 (its guard against an old bug of others), which Go does not.  The
 * letter is not part of what is hashed, so ours is put in its place.
 */
#include "auth/password.h"

#include <assert.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"

enum {
    SETTING_LEN = 29, /* "$2y$10$" and the salt */
    SALT_AT = 7,
    SALT_LEN = 22,
    DIGEST_LEN = 31,
};

static_assert(SETTING_LEN + DIGEST_LEN == AUTH_HASH_LEN, "parts of a hash");
static_assert(SALT_AT + SALT_LEN == SETTING_LEN, "parts of a setting");

static const char DIGITS[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static bool is_digit64(uint8_t c)
{
    return c != 0 && strchr(DIGITS, c) != NULL;
}

/* Base64 in bcrypt's own alphabet, 16 bytes to 22 digits. */
static void encode_salt(const uint8_t salt[AUTH_SALT_BYTES], char out[SALT_LEN])
{
    uint32_t bits = 0;
    int have = 0;
    size_t n = 0;
    for (size_t i = 0; i < AUTH_SALT_BYTES; i++) {
        bits = bits << 8 | salt[i];
        have += 8;
        for (; have >= 6; have -= 6) {
            out[n++] = DIGITS[bits >> (have - 6) & 63];
        }
    }
    out[n++] = DIGITS[bits << (6 - have) & 63];
    ensure(n == SALT_LEN);
}

static void write_setting(unsigned cost, char out[SETTING_LEN + 1])
{
    memcpy(out, "$2y$00$", SALT_AT);
    out[4] = (char)('0' + cost / 10);
    out[5] = (char)('0' + cost % 10);
    out[SETTING_LEN] = '\0';
}

/* The 31 digits behind the setting; false when libcrypt refuses. */
static bool digest(const char *setting, struct slice password, char out[DIGEST_LEN])
{
    char phrase[AUTH_PASSWORD_MAX + 1];
    ensure(password.len <= AUTH_PASSWORD_MAX);
    if (password.len > 0) {
        memcpy(phrase, password.data, password.len);
    }
    phrase[password.len] = '\0';
    struct crypt_data *work = mem_zalloc(sizeof(*work));
    const char *text = crypt_r(phrase, setting, work);
    bool is_good = text != NULL && strlen(text) == AUTH_HASH_LEN && text[0] == '$';
    if (is_good) {
        memcpy(out, text + SETTING_LEN, DIGEST_LEN);
    }
    OPENSSL_cleanse(work, sizeof(*work));
    mem_free(work);
    OPENSSL_cleanse(phrase, sizeof(phrase));
    return is_good;
}

static bool has_nul(struct slice s)
{
    return s.len > 0 && memchr(s.data, 0, s.len) != NULL;
}

int auth_password_hash(struct slice password, unsigned cost, const uint8_t salt[AUTH_SALT_BYTES],
                       char out[AUTH_HASH_LEN])
{
    ensure(cost >= AUTH_BCRYPT_COST_MIN && cost <= AUTH_BCRYPT_COST_MAX);
    if (password.len > AUTH_PASSWORD_MAX) {
        return ERR_RPC_PASSWORD_TOO_LONG;
    }
    if (has_nul(password)) {
        return ERR_RPC_PASSWORD_NUL;
    }
    char setting[SETTING_LEN + 1], text[DIGEST_LEN];
    write_setting(cost, setting);
    encode_salt(salt, setting + SALT_AT);
    ensure(digest(setting, password, text));
    setting[2] = 'a';
    memcpy(out, setting, SETTING_LEN);
    memcpy(out + SETTING_LEN, text, DIGEST_LEN);
    return 0;
}

/* Cost, salt and digest of what Go takes: "$2", any letter or none, "$", two digits, a byte, 53
 * digits, anything. */
static bool parse_hash(struct slice h, char setting[SETTING_LEN + 1], char out_digest[DIGEST_LEN])
{
    size_t at = h.len > 2 && h.data[2] == '$' ? 3 : 4;
    if (h.len < at + 3 + SALT_LEN + DIGEST_LEN || h.data[0] != '$' || h.data[1] > '2' ||
        h.data[at] < '0' || h.data[at] > '9' || h.data[at + 1] < '0' || h.data[at + 1] > '9') {
        return false;
    }
    unsigned cost = (unsigned)(h.data[at] - '0') * 10 + (unsigned)(h.data[at + 1] - '0');
    if (cost < AUTH_BCRYPT_COST_MIN || cost > AUTH_BCRYPT_COST_MAX) {
        return false;
    }
    write_setting(cost, setting);
    const uint8_t *salt = h.data + at + 3;
    for (size_t i = 0; i < SALT_LEN; i++) {
        if (!is_digit64(salt[i])) {
            return false;
        }
        setting[SALT_AT + i] = (char)salt[i];
    }
    memcpy(out_digest, salt + SALT_LEN, DIGEST_LEN);
    return true;
}

bool auth_password_verify(struct slice hash, struct slice password)
{
    char setting[SETTING_LEN + 1], want[DIGEST_LEN], have[DIGEST_LEN];
    if (password.len > AUTH_PASSWORD_MAX) {
        password.len = AUTH_PASSWORD_MAX; /* Go compares long ones by their beginning */
    }
    return parse_hash(hash, setting, want) && !has_nul(password) &&
           digest(setting, password, have) && CRYPTO_memcmp(want, have, DIGEST_LEN) == 0;
}
