/* SPDX-License-Identifier: Apache-2.0
 *
 * tls/text: OpenSSL's errors in Go's words, which etcd's log and clients show.
 */
#include <openssl/err.h>

#include "tls/private.h"

struct text {
    int code;
    const char *text;
};

static const struct text alerts[] = {
#define ALERT(number, text) {number, text},
#include "tls/alert.def"
#undef ALERT
};

static const struct text reasons[] = {
    {SSL_R_HTTP_REQUEST, "first record does not look like a TLS handshake"},
    {SSL_R_HTTPS_PROXY_REQUEST, "first record does not look like a TLS handshake"},
    {SSL_R_WRONG_VERSION_NUMBER, "first record does not look like a TLS handshake"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "client didn't provide a certificate"},
    {SSL_R_NO_SHARED_CIPHER, "no cipher suite supported by both client and server"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "no supported versions satisfy MinVersion and MaxVersion"},
    {SSL_R_NO_APPLICATION_PROTOCOL, "client requested unsupported application protocols"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "bad record MAC"},
    {SSL_R_ENCRYPTED_LENGTH_TOO_LONG, "oversized record received"},
    {SSL_R_PACKET_LENGTH_TOO_LONG, "oversized record received"},
    {SSL_R_DATA_LENGTH_TOO_LONG, "oversized record received"},
    {SSL_R_UNEXPECTED_MESSAGE, "received unexpected handshake message"},
};

static const char *find(const struct text *list, size_t count, int code)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].code == code) {
            return list[i].text;
        }
    }
    return NULL;
}

void tls_error_text(struct buf *out)
{
    unsigned long e = ERR_peek_error();
    int reason = ERR_GET_REASON(e);
    if (e == 0) { /* no error: the other side has closed */
        buf_append_cstr(out, "EOF");
        return;
    }
    if (ERR_GET_LIB(e) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET) {
        const char *alert = find(alerts, ARRAY_LEN(alerts), reason - SSL_AD_REASON_OFFSET);
        buf_printf(out, "remote error: tls: %s", alert != NULL ? alert : "alert");
        return;
    }
    const char *text =
        ERR_GET_LIB(e) == ERR_LIB_SSL ? find(reasons, ARRAY_LEN(reasons), reason) : NULL;
    if (text == NULL) {
        text = ERR_reason_error_string(e);
    }
    buf_printf(out, "tls: %s", text != NULL ? text : "internal error");
}

void tls_host_of(const char *addr, struct buf *out)
{
    const char *slash = strrchr(addr, '/');
    if (strncmp(addr, "unix:", 5) == 0) {
        addr = slash != NULL ? slash + 1 : addr + 5;
    }
    const char *colon = strrchr(addr, ':');
    size_t len = colon != NULL ? (size_t)(colon - addr) : strlen(addr);
    if (len >= 2 && addr[0] == '[' && addr[len - 1] == ']') {
        addr++;
        len -= 2;
    }
    buf_append(out, addr, len);
}
