/* SPDX-License-Identifier: Apache-2.0
 *
 * tls/verify: what is looked at in the other side's certificate besides its chain, as Go does it.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <strings.h>
#include <time.h>

#include "tls/private.h"

/* ---- names ---- */

bool tls_is_ip(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* Go's matchHostnames: a star stands for the whole first label, and for nothing else.  OpenSSL
 * would want two labels behind it. */
static bool matches_pattern(struct slice pattern, const char *host)
{
    const char *p = (const char *)pattern.data;
    size_t host_len = strlen(host), len = pattern.len;
    host_len -= host_len > 0 && host[host_len - 1] == '.';
    if (len == 0 || host_len == 0 || memchr(p, '\0', len) != NULL) {
        return false;
    }
    if (len > 2 && p[0] == '*' && p[1] == '.') {
        const char *dot = memchr(host, '.', host_len);
        if (dot == NULL || dot == host) {
            return false;
        }
        host_len -= (size_t)(dot - host);
        host = dot;
        p++;
        len--;
    }
    return memchr(p, '*', len) == NULL && len == host_len && strncasecmp(p, host, len) == 0;
}

static bool matches_name(X509 *leaf, const char *host)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool ok = false;
    for (int i = 0; !ok && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type == GEN_DNS) {
            struct slice pattern = slice_make(ASN1_STRING_get0_data(g->d.dNSName),
                                              (size_t)ASN1_STRING_length(g->d.dNSName));
            ok = matches_pattern(pattern, host);
        }
    }
    GENERAL_NAMES_free(names);
    return ok;
}

/* A common name is no host name any more. */
bool tls_matches_host(X509 *leaf, const char *host)
{
    bool ok = tls_is_ip(host) ? X509_check_ip_asc(leaf, host, 0) == 1 : matches_name(leaf, host);
    ERR_clear_error();
    return ok;
}

bool tls_common_name(X509 *cert, struct buf *out)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) {
        return false;
    }
    /* Go keeps the last one of several. */
    for (int next = at; next >= 0;) {
        at = next;
        next = X509_NAME_get_index_by_NID(subject, NID_commonName, at);
    }
    unsigned char *text = NULL;
    ASN1_STRING *data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    int len = ASN1_STRING_to_UTF8(&text, data);
    if (len < 0) {
        ERR_clear_error();
        return false;
    }
    /* A NUL inside would make two names look alike: such a name is none. */
    bool ok = memchr(text, '\0', (size_t)len) == NULL;
    if (ok) {
        buf_append(out, text, (size_t)len);
    }
    OPENSSL_free(text);
    return ok;
}

bool tls_is_allowed(const struct tls_config *conf, X509 *leaf)
{
    if (conf->allowed_cns.count == 0 && conf->allowed_hosts.count == 0) {
        return true;
    }
    bool ok = false;
    struct buf cn = BUF_INIT;
    (void)tls_common_name(leaf, &cn);
    for (size_t i = 0; !ok && i < conf->allowed_cns.count; i++) {
        ok = slice_equal_cstr(buf_slice(&cn), conf->allowed_cns.items[i]);
    }
    buf_deinit(&cn);
    for (size_t i = 0; !ok && i < conf->allowed_hosts.count; i++) {
        ok = tls_matches_host(leaf, conf->allowed_hosts.items[i]);
    }
    return ok;
}

/* ---- alternative names as texts ---- */

static bool ip_text(const ASN1_OCTET_STRING *ip, char *out)
{
    int len = ASN1_STRING_length(ip);
    const unsigned char *at = ASN1_STRING_get0_data(ip);
    return (len == 4 || len == 16) &&
           inet_ntop(len == 4 ? AF_INET : AF_INET6, at, out, INET6_ADDRSTRLEN) != NULL;
}

static void append_item(struct buf *out, struct slice item, size_t n, const char *separator,
                        const char *quote)
{
    buf_printf(out, "%s%s%.*s%s", n == 0 ? "" : separator, quote, (int)item.len,
               (const char *)item.data, quote);
}

/* Only names that cannot break out of a quoted text. */
static bool is_clean(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20 || s.data[i] > 0x7e || s.data[i] == '"' || s.data[i] == '\\') {
            return false;
        }
    }
    return true;
}

static size_t append_names(X509 *cert, int kind, const char *separator, const char *quote,
                           struct buf *out)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t n = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        char text[INET6_ADDRSTRLEN];
        struct slice item = SLICE_NULL;
        if (g->type == kind && kind == GEN_IPADD && ip_text(g->d.iPAddress, text)) {
            item = slice_cstr(text);
        } else if (g->type == kind && kind == GEN_DNS) {
            item = slice_make(ASN1_STRING_get0_data(g->d.dNSName),
                              (size_t)ASN1_STRING_length(g->d.dNSName));
        }
        if (item.len > 0 && is_clean(item)) {
            append_item(out, item, n++, separator, quote);
        }
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return n;
}

size_t tls_san_ips(X509 *cert, const char *separator, const char *quote, struct buf *out)
{
    return append_names(cert, GEN_IPADD, separator, quote, out);
}

size_t tls_san_dns(X509 *cert, const char *separator, const char *quote, struct buf *out)
{
    return append_names(cert, GEN_DNS, separator, quote, out);
}

/* ---- revocation, time ---- */

static bool is_revoked(X509_CRL *crl, X509 *cert)
{
    X509_REVOKED *entry = NULL;
    return X509_CRL_get0_by_serial(crl, &entry, X509_get_serialNumber(cert)) != 0;
}

X509 *tls_find_revoked(X509_CRL *crl, X509 *leaf, STACK_OF(X509) * chain)
{
    if (is_revoked(crl, leaf)) {
        return leaf;
    }
    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (is_revoked(crl, sk_X509_value(chain, i))) {
            return sk_X509_value(chain, i);
        }
    }
    return NULL;
}

void tls_serial_hex(X509 *cert, struct buf *out)
{
    const ASN1_INTEGER *serial = X509_get_serialNumber(cert);
    const unsigned char *at = ASN1_STRING_get0_data(serial);
    for (int i = 0; i < ASN1_STRING_length(serial); i++) {
        buf_printf(out, "%02x", at[i]);
    }
}

bool tls_is_out_of_date(X509 *cert, int64_t now_s)
{
    time_t now = (time_t)now_s;
    return X509_cmp_time(X509_get0_notBefore(cert), &now) > 0 ||
           X509_cmp_time(X509_get0_notAfter(cert), &now) < 0;
}

/* ---- texts ---- */

static void append_time(struct buf *out, const struct tm *t)
{
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", t->tm_year + 1900, t->tm_mon + 1, t->tm_mday,
               t->tm_hour, t->tm_min, t->tm_sec);
}

static void date_error(X509 *cert, int64_t now_s, struct buf *out)
{
    time_t now = (time_t)now_s;
    struct tm tm;
    buf_append_cstr(out, "x509: certificate has expired or is not yet valid: ");
    if (cert == NULL || gmtime_r(&now, &tm) == NULL) {
        return;
    }
    bool is_early = X509_cmp_time(X509_get0_notBefore(cert), &now) > 0;
    buf_append_cstr(out, "current time ");
    append_time(out, &tm);
    const ASN1_TIME *limit = is_early ? X509_get0_notBefore(cert) : X509_get0_notAfter(cert);
    if (ASN1_TIME_to_tm(limit, &tm) == 1) {
        buf_append_cstr(out, is_early ? " is before " : " is after ");
        append_time(out, &tm);
    }
}

void tls_host_error(X509 *leaf, const char *host, struct buf *out)
{
    struct buf names = BUF_INIT, cn = BUF_INIT;
    bool is_ip = tls_is_ip(host);
    bool has_san = X509_get_ext_by_NID(leaf, NID_subject_alt_name, -1) >= 0;
    size_t n = is_ip ? tls_san_ips(leaf, ", ", "", &names) : tls_san_dns(leaf, ", ", "", &names);
    if (!has_san && tls_common_name(leaf, &cn) && cn.len > 0 && strcmp(buf_cstr(&cn), host) == 0) {
        buf_append_cstr(out, "x509: certificate relies on legacy Common Name field, use SANs "
                             "instead");
    } else if (n == 0 && is_ip) {
        buf_printf(out,
                   "x509: cannot validate certificate for %s because it doesn't contain any IP "
                   "SANs",
                   host);
    } else if (n == 0) {
        buf_printf(out, "x509: certificate is not valid for any names, but wanted to match %s",
                   host);
    } else {
        buf_printf(out, "x509: certificate is valid for %s, not %s", buf_cstr(&names), host);
    }
    buf_deinit(&names);
    buf_deinit(&cn);
}

void tls_verify_error(int code, X509 *cert, int64_t now_s, struct buf *out)
{
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
    case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD: date_error(cert, now_s, out); break;
    case X509_V_ERR_INVALID_PURPOSE:
        buf_append_cstr(out, "x509: certificate specifies an incompatible key usage");
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        buf_append_cstr(out, "x509: certificate signed by unknown authority");
        break;
    default: buf_printf(out, "x509: %s", X509_verify_cert_error_string(code)); break;
    }
}
