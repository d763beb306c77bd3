/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/conn.h"

#include <openssl/err.h>

#include "base/limits.h"
#include "tls/private.h"

enum {
    RECORD_BYTES = SSL3_RT_MAX_PLAIN_LENGTH,
    RECORD_OVERHEAD = 64, /* header, nonce, tag, padding: more than any suite adds */
    HANDSHAKE_TYPE = 22,
    ALERT_TYPE = 21,
    SERVER_NAME_MAX = 255,
};

struct tls_conn {
    struct tls_context *context;
    struct tls_state *state;
    SSL *ssl; /* made with the first bytes, so that a silent connection costs nothing */
    struct tls_peer *live;
    X509 *rejected;     /* verified but not allowed: for the log */
    struct slice input; /* rest of what is being fed */
    struct buf *output; /* where the BIO writes */
    struct buf peer;    /* address, then its host is in host */
    struct buf host;    /* client: the name to verify; server: the remote address */
    struct buf common_name;
    struct buf server_name;
    struct buf error;
    struct buf held; /* ciphertext that came with the end of the handshake, while asking */
    const char *alpn_wish;
    const char *alpn;
    bool is_server;
    bool checks_address;
    bool is_asking; /* tls_conn_asks */
    bool is_ready;
    bool is_failed;
};

/* ---- the BIO ---- */

static int bio_read(BIO *b, char *out, int len)
{
    struct tls_conn *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (t->input.len == 0 || len <= 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    size_t n = t->input.len < (size_t)len ? t->input.len : (size_t)len;
    memcpy(out, t->input.data, n);
    t->input = slice_skip(t->input, n);
    return (int)n;
}

static int bio_write(BIO *b, const char *data, int len)
{
    struct tls_conn *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (len > 0 && t->output != NULL) {
        buf_append(t->output, data, (size_t)len);
    }
    return len;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "cairn");
    if (m != NULL) {
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_ctrl(m, bio_ctrl);
    }
    return m;
}

static const char *text_of(const struct buf *b)
{
    return b->len == 0 ? "" : buf_cstr((struct buf *)(uintptr_t)b);
}

/* ---- life ---- */

struct tls_conn *tls_conn_of(SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

struct tls_conn *tls_conn_create(struct tls_context *c, const struct tls_conn_options *opts)
{
    struct tls_conn *t = mem_zalloc(sizeof(*t));
    t->context = tls_context_ref(c);
    t->state = tls_context_state(c);
    const struct tls_config *conf = t->state->conf;
    t->is_server = conf->side == TLS_SERVER;
    t->alpn_wish = opts->alpn;
    t->alpn = "";
    t->checks_address = opts->checks_address;
    buf_append_cstr(&t->peer, opts->peer);
    if (!t->is_server && conf->server_name[0] != '\0') {
        buf_append_cstr(&t->host, conf->server_name);
    } else {
        tls_host_of(opts->peer, &t->host);
    }
    /* SNI has no dot at the end, and names are compared without. */
    t->host.len -= t->host.len > 0 && t->host.data[t->host.len - 1] == '.';
    return t;
}

void tls_conn_destroy(struct tls_conn *t)
{
    if (t == NULL) {
        return;
    }
    tls_context_peer_remove(t->context, t->live);
    X509_free(t->rejected);
    SSL_free(t->ssl);
    ERR_clear_error();
    tls_state_unref(t->state);
    tls_context_unref(t->context);
    buf_deinit(&t->peer);
    buf_deinit(&t->host);
    buf_deinit(&t->common_name);
    buf_deinit(&t->server_name);
    buf_deinit(&t->error);
    buf_deinit(&t->held);
    mem_free(t);
}

static int64_t now_s(struct tls_conn *t)
{
    struct env_clock *clock = tls_context_env(t->context)->clock;
    return clock->ops->wall_ns(clock) / 1000000000;
}

/* Name to ask for and to verify. */
static int begin_client(struct tls_conn *t)
{
    const char *host = buf_cstr(&t->host);
    bool is_ip = tls_is_ip(host);
    SSL_set_connect_state(t->ssl);
    if (host[0] == '\0' && t->state->verifies) { /* OpenSSL would take any name */
        buf_append_cstr(&t->error, "tls: either ServerName or InsecureSkipVerify must be specified "
                                   "in the tls.Config");
        return ERR_INVALID;
    }
    if (!is_ip && host[0] != '\0' && SSL_set_tlsext_host_name(t->ssl, host) != 1) {
        return ERR_INVALID;
    }
    bool ok = true;
    if (t->alpn_wish != NULL) {
        unsigned char wire[16];
        size_t len = strlen(t->alpn_wish);
        ensure(len < sizeof(wire));
        wire[0] = (unsigned char)len;
        memcpy(wire + 1, t->alpn_wish, len);
        ok = SSL_set_alpn_protos(t->ssl, wire, (unsigned)len + 1) == 0;
    }
    return ok ? 0 : ERR_INVALID;
}

static int begin(struct tls_conn *t)
{
    if (t->ssl != NULL) {
        return 0;
    }
    BIO *bio = BIO_new(t->state->bio);
    t->ssl = SSL_new(t->state->ssl);
    if (t->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        return ERR_NOMEM;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    X509_VERIFY_PARAM_set_time(SSL_get0_param(t->ssl), (time_t)now_s(t));
    if (t->is_server) {
        SSL_set_accept_state(t->ssl);
        return 0;
    }
    return begin_client(t);
}

/* ---- failure ---- */

static int fail(struct tls_conn *t, int err)
{
    t->is_failed = true;
    return err;
}

/* The reason is what a callback has left, a certificate, or OpenSSL's queue. */
static int fail_ssl(struct tls_conn *t)
{
    int reason = ERR_GET_REASON(ERR_peek_error());
    if (t->error.len > 0) {
        return fail(t, ERR_MALFORMED);
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        buf_append_cstr(&t->error, "tls: failed to verify certificate: x509: unknown reason");
        return fail(t, ERR_MALFORMED);
    }
    tls_error_text(&t->error);
    ERR_clear_error();
    return fail(t, ERR_MALFORMED);
}

/* ---- callbacks of the handshake ---- */

static bool offers_version(const struct tls_config *conf, unsigned v)
{
    bool is_12 = v == TLS1_2_VERSION && conf->min_version != TLS_VERSION_13;
    bool is_13 = v == TLS1_3_VERSION && conf->max_version != TLS_VERSION_12;
    return is_12 || is_13;
}

/* The versions that a client without the extension means by its highest. */
static bool check_legacy(struct tls_conn *t, unsigned highest, struct buf *list)
{
    bool ok = false;
    for (unsigned v = highest < TLS1_2_VERSION ? highest : TLS1_2_VERSION; v >= TLS1_VERSION; v--) {
        buf_printf(list, "%s%x", list->len == 0 ? "" : " ", v);
        ok = ok || offers_version(t->state->conf, v);
    }
    return ok;
}

static bool check_versions(struct tls_conn *t, SSL *ssl, struct buf *list)
{
    const unsigned char *ext;
    size_t len;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &ext, &len) != 1) {
        return check_legacy(t, SSL_client_hello_get0_legacy_version(ssl), list);
    }
    bool ok = false;
    for (size_t i = 1; i + 1 < len; i += 2) {
        unsigned v = (unsigned)(ext[i] << 8 | ext[i + 1]);
        buf_printf(list, "%s%x", list->len == 0 ? "" : " ", v);
        ok = ok || offers_version(t->state->conf, v);
    }
    return ok;
}

/* The server name, and a good text when the versions do not fit. */
int tls_conn_on_hello(SSL *ssl, int *alert, void *arg)
{
    (void)arg;
    struct tls_conn *t = tls_conn_of(ssl);
    const unsigned char *ext;
    size_t len;
    /* list of (type, length, name); Go takes the first host name too. */
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len) == 1 && len > 5 &&
        len - 5 <= SERVER_NAME_MAX && ext[2] == TLSEXT_NAMETYPE_host_name &&
        t->server_name.len == 0) {
        size_t n = (size_t)(ext[3] << 8 | ext[4]);
        buf_append(&t->server_name, ext + 5, n < len - 5 ? n : len - 5);
    }
    struct buf list = BUF_INIT;
    bool ok = check_versions(t, ssl, &list);
    if (!ok) {
        buf_printf(&t->error, "tls: client offered only unsupported versions: [%s]",
                   buf_cstr(&list));
        *alert = SSL_AD_PROTOCOL_VERSION;
    }
    buf_deinit(&list);
    return ok ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

static void alpn_error(struct tls_conn *t, const unsigned char *in, unsigned in_len)
{
    buf_append_cstr(&t->error, "tls: client requested unsupported application protocols ([");
    for (unsigned at = 0; at < in_len; at += in[at] + 1u) {
        unsigned n = in[at] < in_len - at - 1 ? in[at] : in_len - at - 1;
        buf_printf(&t->error, "%s\"", at == 0 ? "" : " ");
        for (unsigned i = 0; i < n; i++) {
            uint8_t c = in[at + 1 + i];
            buf_append_byte(&t->error, c >= 0x20 && c < 0x7f && c != '"' ? c : '?');
        }
        buf_append_byte(&t->error, '"');
    }
    buf_append_cstr(&t->error, "])");
}

/* As Go: our protocol if it is offered; http/1.1 needs no selection; anything else has no answer.
 */
int tls_conn_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned int in_len, void *arg)
{
    (void)arg;
    struct tls_conn *t = tls_conn_of(ssl);
    bool has_http1 = false;
    if (t->alpn_wish == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    for (unsigned at = 0; at < in_len; at += in[at] + 1u) {
        struct slice one = slice_make(in + at + 1, in[at]);
        if (slice_equal_cstr(one, t->alpn_wish)) {
            *out = in + at + 1;
            *out_len = in[at];
            return SSL_TLSEXT_ERR_OK;
        }
        has_http1 = has_http1 || slice_equal_cstr(one, "http/1.1");
    }
    if (has_http1) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    alpn_error(t, in, in_len);
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Refused with the alert bad_certificate, as Go does it for whatever has no alert of its own. */
static int reject(X509_STORE_CTX *ctx)
{
    X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED);
    return 0;
}

static int verify_failed(struct tls_conn *t, X509_STORE_CTX *ctx)
{
    int code = X509_STORE_CTX_get_error(ctx);
    tls_verify_error(code, X509_STORE_CTX_get_current_cert(ctx), now_s(t), &t->error);
    if (code == X509_V_ERR_INVALID_PURPOSE) {
        return reject(ctx);
    }
    if (code == X509_V_ERR_CERT_SIGNATURE_FAILURE) { /* Go: another CA of that name */
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    }
    return 0;
}

int tls_conn_on_verify(X509_STORE_CTX *ctx, void *arg)
{
    struct tls_state *s = arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_conn *t = tls_conn_of(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
    if (!s->verifies) {
        return 1;
    }
    buf_clear(&t->error);
    buf_append_cstr(&t->error, "tls: failed to verify certificate: ");
    if (!t->is_server && !tls_matches_host(leaf, buf_cstr(&t->host))) {
        tls_host_error(leaf, buf_cstr(&t->host), &t->error);
        return reject(ctx);
    }
    if (X509_verify_cert(ctx) != 1 &&
        !tls_state_verifies_by_twin(s, leaf, X509_STORE_CTX_get0_untrusted(ctx),
                                    X509_STORE_CTX_get0_param(ctx))) {
        return verify_failed(t, ctx);
    }
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    buf_clear(&t->error);
    if (!tls_is_allowed(s->conf, leaf)) {
        buf_append_cstr(&t->error, "client certificate authentication failed");
        X509_up_ref(leaf);
        X509_free(t->rejected);
        t->rejected = leaf;
        return reject(ctx);
    }
    return 1;
}

/* ---- checks after the handshake ---- */

static int check_crl(struct tls_conn *t, X509 *leaf)
{
    if (t->state->crl == NULL || !t->is_server) {
        return 0;
    }
    X509 *bad = tls_find_revoked(t->state->crl, leaf, SSL_get_peer_cert_chain(t->ssl));
    if (bad == NULL) {
        return 0;
    }
    buf_append_cstr(&t->error, "transport: certificate serial ");
    tls_serial_hex(bad, &t->error);
    buf_append_cstr(&t->error, " revoked");
    return fail(t, ERR_ACCESS);
}

/* etcd: an address of the certificate is the remote one, or one of its names leads to it, which
 * only a name server can tell. */
static int check_address(struct tls_conn *t, X509 *leaf)
{
    struct buf ips = BUF_INIT, dns = BUF_INIT;
    if (!t->is_server || !t->checks_address) {
        return 0;
    }
    const char *host = buf_cstr(&t->host);
    size_t ip_count = tls_san_ips(leaf, " ", "", &ips);
    size_t dns_count = tls_san_dns(leaf, " ", "", &dns);
    bool is_good =
        (ip_count == 0 && dns_count == 0) || (ip_count > 0 && tls_matches_host(leaf, host));
    int err = 0;
    if (!is_good && dns_count == 0) {
        tls_host_error(leaf, host, &t->error);
        err = fail(t, ERR_ACCESS);
    }
    t->is_asking = !is_good && dns_count > 0;
    buf_deinit(&ips);
    buf_deinit(&dns);
    return err;
}

bool tls_conn_asks(const struct tls_conn *t, const char **host, struct buf *names)
{
    X509 *leaf = t->is_asking ? SSL_get0_peer_certificate(t->ssl) : NULL;
    if (leaf == NULL) {
        return false;
    }
    *host = text_of(&t->host);
    (void)tls_san_dns(leaf, "\n", "", names);
    buf_append_byte(names, '\n');
    for (size_t i = 0; i < names->len; i++) {
        names->data[i] = names->data[i] == '\n' ? '\0' : names->data[i];
    }
    return true;
}

void tls_conn_answer(struct tls_conn *t, bool is_yes)
{
    struct buf dns = BUF_INIT;
    ensure(t->is_asking);
    t->is_asking = false;
    t->is_ready = is_yes;
    if (!is_yes) {
        (void)tls_san_dns(SSL_get0_peer_certificate(t->ssl), " ", "\"", &dns);
        buf_printf(&t->error, "tls: \"%s\" does not match any of DNSNames [%s]", buf_cstr(&t->host),
                   buf_cstr(&dns));
        (void)fail(t, ERR_ACCESS);
    }
    buf_deinit(&dns);
}

/* A ticket proves what was verified when it was given; days have passed since. */
static int check_resumed(struct tls_conn *t, X509 *leaf)
{
    if (!SSL_session_reused(t->ssl) || !tls_is_out_of_date(leaf, now_s(t))) {
        return 0;
    }
    buf_append_cstr(&t->error, "tls: failed to verify certificate: ");
    tls_verify_error(X509_V_ERR_CERT_HAS_EXPIRED, leaf, now_s(t), &t->error);
    return fail(t, ERR_ACCESS);
}

static int check_peer(struct tls_conn *t)
{
    X509 *leaf = SSL_get0_peer_certificate(t->ssl);
    if (leaf == NULL || !t->state->verifies) {
        return 0;
    }
    int err = check_resumed(t, leaf);
    if (err == 0) {
        err = check_crl(t, leaf);
    }
    if (err == 0) {
        err = check_address(t, leaf);
    }
    if (err == 0) {
        (void)tls_common_name(leaf, &t->common_name);
        t->live = tls_context_peer_add(t->context, leaf, SSL_get_peer_cert_chain(t->ssl));
    }
    return err;
}

static int become_ready(struct tls_conn *t)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(t->ssl, &name, &len);
    if (t->alpn_wish != NULL && slice_equal_cstr(slice_make(name, len), t->alpn_wish)) {
        t->alpn = t->alpn_wish;
    }
    int err = check_peer(t);
    t->is_ready = err == 0 && !t->is_asking;
    if (t->is_asking) {
        buf_append_slice(&t->held, t->input);
    }
    return err;
}

/* ---- feeding ---- */

static bool wants_more(struct tls_conn *t, int rc)
{
    int why = SSL_get_error(t->ssl, rc);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static int handshake(struct tls_conn *t)
{
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1) {
        return become_ready(t);
    }
    return wants_more(t, rc) ? 0 : fail_ssl(t);
}

static int read_all(struct tls_conn *t, struct buf *in)
{
    while (t->input.len > 0 || SSL_pending(t->ssl) > 0) {
        size_t n = 0;
        buf_reserve(in, RECORD_BYTES);
        int rc = SSL_read_ex(t->ssl, in->data + in->len, in->cap - in->len, &n);
        in->len += n;
        if (rc == 1) {
            continue;
        }
        if (SSL_get_error(t->ssl, rc) == SSL_ERROR_ZERO_RETURN) {
            return ERR_END;
        }
        return wants_more(t, rc) ? 0 : fail_ssl(t);
    }
    return 0;
}

/* Plain text on a TLS port is told by its first byte; like Go, nothing is answered. */
static int check_first_byte(struct tls_conn *t, struct slice bytes)
{
    if (t->ssl != NULL || !t->is_server || bytes.len == 0 || bytes.data[0] == HANDSHAKE_TYPE ||
        bytes.data[0] == ALERT_TYPE) {
        return 0;
    }
    buf_append_cstr(&t->error, bytes.data[0] == 0x80
                                   ? "tls: unsupported SSLv2 handshake received"
                                   : "tls: first record does not look like a TLS handshake");
    return fail(t, ERR_MALFORMED);
}

int tls_conn_feed(struct tls_conn *t, struct slice bytes, struct buf *in, struct buf *out)
{
    if (t->is_failed) {
        return ERR_CLOSED;
    }
    ERR_clear_error();
    int err = check_first_byte(t, bytes);
    if (err == 0 && begin(t) != 0) {
        err = fail_ssl(t);
    }
    if (err != 0) {
        return err;
    }
    if (t->is_asking) {
        buf_append_slice(&t->held, bytes);
        return 0;
    }
    t->output = out;
    if (t->held.len > 0) { /* answered */
        buf_append_slice(&t->held, bytes);
        bytes = buf_slice(&t->held);
    }
    t->input = bytes;
    if (!t->is_ready) {
        err = handshake(t);
    }
    if (err == 0 && t->is_ready) {
        err = read_all(t, in);
    }
    t->input = SLICE_NULL;
    t->output = NULL;
    if (!t->is_asking && t->held.len > 0) {
        buf_deinit(&t->held);
    }
    return err;
}

/* ---- sealing ---- */

static int seal_one(struct tls_conn *t, const uint8_t *data, size_t len)
{
    size_t n = 0;
    if (SSL_write_ex(t->ssl, data, len, &n) != 1 || n != len) {
        return fail_ssl(t);
    }
    return 0;
}

/* Fills records: a piece goes straight from where it is as far as it fills whole ones; the rest is
 * gathered at stage, which lies behind everything that sealing can append to out. */
static int seal_parts(struct tls_conn *t, const struct slice *parts, size_t count, uint8_t *stage)
{
    size_t staged = 0;
    int err = 0;
    for (size_t i = 0; err == 0 && i < count; i++) {
        struct slice rest = parts[i];
        while (err == 0 && rest.len > 0) {
            size_t n;
            if (staged == 0 && rest.len >= RECORD_BYTES) {
                n = rest.len / RECORD_BYTES * RECORD_BYTES;
                err = seal_one(t, rest.data, n);
            } else {
                n = RECORD_BYTES - staged < rest.len ? RECORD_BYTES - staged : rest.len;
                memcpy(stage + staged, rest.data, n);
                staged += n;
            }
            rest = slice_skip(rest, n);
            if (err == 0 && staged == RECORD_BYTES) {
                err = seal_one(t, stage, staged);
                staged = 0;
            }
        }
    }
    return err == 0 && staged > 0 ? seal_one(t, stage, staged) : err;
}

int tls_conn_seal(struct tls_conn *t, const struct slice *parts, size_t count, struct buf *out)
{
    size_t bytes = 0;
    if (t->is_failed || !t->is_ready) {
        return ERR_CLOSED;
    }
    for (size_t i = 0; i < count; i++) {
        bytes += parts[i].len;
    }
    /* One reserve for all: the BIO's appends do not move the stage. */
    size_t sealed_max = bytes + (bytes / RECORD_BYTES + 2) * RECORD_OVERHEAD;
    ERR_clear_error();
    buf_reserve(out, sealed_max + RECORD_BYTES);
    t->output = out;
    int err = seal_parts(t, parts, count, out->data + out->len + sealed_max);
    t->output = NULL;
    return err;
}

void tls_conn_shutdown(struct tls_conn *t, struct buf *out)
{
    if (t->ssl == NULL || t->is_failed || !SSL_is_init_finished(t->ssl)) {
        return;
    }
    ERR_clear_error();
    t->output = out;
    (void)SSL_shutdown(t->ssl);
    t->output = NULL;
    ERR_clear_error();
}

/* ---- queries ---- */

bool tls_conn_is_server(const struct tls_conn *t)
{
    return t->is_server;
}

bool tls_conn_is_ready(const struct tls_conn *t)
{
    return t->is_ready;
}

const char *tls_conn_alpn(const struct tls_conn *t)
{
    return t->alpn;
}

const char *tls_conn_common_name(const struct tls_conn *t)
{
    return text_of(&t->common_name);
}

const char *tls_conn_server_name(const struct tls_conn *t)
{
    return text_of(&t->server_name);
}

const char *tls_conn_error(const struct tls_conn *t)
{
    return text_of(&t->error);
}

bool tls_conn_peer_names(const struct tls_conn *t, struct buf *ips, struct buf *dns)
{
    X509 *leaf = t->ssl == NULL ? NULL : SSL_get0_peer_certificate(t->ssl);
    leaf = leaf == NULL ? t->rejected : leaf;
    if (leaf == NULL) {
        return false;
    }
    buf_append_byte(ips, '[');
    (void)tls_san_ips(leaf, ",", "\"", ips);
    buf_append_byte(ips, ']');
    buf_append_byte(dns, '[');
    (void)tls_san_dns(leaf, ",", "\"", dns);
    buf_append_byte(dns, ']');
    return true;
}
