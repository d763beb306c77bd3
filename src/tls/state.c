/* SPDX-License-Identifier: Apache-2.0
 *
 * tls/state: one SSL_CTX made from the contents of the files, never changed afterwards.
 */
#include <openssl/err.h>

#include "tls/cipher.h"
#include "tls/private.h"

enum {
    SECURITY_LEVEL = 1, /* what Go accepts: RSA from 1024 bits; no SHA-1 signatures */
    STORE_FLAGS = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST,
};

/* AES-128 first, as Go: the fastest of the three with AES instructions. */
static const char tls13_suites[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

static int openssl_failed(struct buf *error)
{
    tls_error_text(error);
    ERR_clear_error();
    return ERR_INVALID;
}

/* ---- certificate and key ---- */

static int use_pair(SSL_CTX *ctx, STACK_OF(X509) * certs, EVP_PKEY *key, struct buf *error)
{
    X509 *leaf = sk_X509_value(certs, 0);
    if (X509_check_private_key(leaf, key) != 1) {
        ERR_clear_error();
        buf_append_cstr(error, "tls: private key does not match public key");
        return ERR_MISMATCH;
    }
    if (SSL_CTX_use_certificate(ctx, leaf) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1) {
        return openssl_failed(error);
    }
    for (int i = 1; i < sk_X509_num(certs); i++) {
        if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(certs, i)) != 1) {
            return openssl_failed(error);
        }
    }
    return 0;
}

static int load_pair(SSL_CTX *ctx, const struct tls_files *f, struct buf *error)
{
    STACK_OF(X509) *certs = NULL;
    EVP_PKEY *key = NULL;
    if (!f->has[TLS_FILE_CERT]) {
        return 0;
    }
    int err = tls_pem_certs(buf_slice(&f->text[TLS_FILE_CERT]), false, &certs, error);
    if (err == 0) {
        err = tls_pem_key(buf_slice(&f->text[TLS_FILE_KEY]), &key, error);
    }
    if (err == 0) {
        err = use_pair(ctx, certs, key, error);
    }
    EVP_PKEY_free(key);
    sk_X509_pop_free(certs, X509_free);
    return err;
}

/* ---- trust ---- */

static void find_twins(struct tls_state *s, STACK_OF(X509) * cas)
{
    for (int i = 0; i < sk_X509_num(cas); i++) {
        X509 *ca = sk_X509_value(cas, i);
        bool has_twin = false;
        for (int k = 0; k < sk_X509_num(cas) && !has_twin; k++) {
            X509 *other = sk_X509_value(cas, k);
            has_twin = k != i && X509_cmp(ca, other) != 0 &&
                       X509_NAME_cmp(X509_get_subject_name(ca), X509_get_subject_name(other)) == 0;
        }
        if (has_twin) {
            s->twins = s->twins == NULL ? sk_X509_new_null() : s->twins;
            ensure(s->twins != NULL && sk_X509_push(s->twins, ca) > 0);
            X509_up_ref(ca);
        }
    }
}

/* Every certificate of the file is an anchor by itself, as in Go's pool. */
static int load_cas(struct tls_state *s, const struct tls_files *f, struct buf *error)
{
    STACK_OF(X509) *cas = NULL;
    if (!f->has[TLS_FILE_CA]) {
        return SSL_CTX_set_default_verify_paths(s->ssl) == 1 ? 0 : openssl_failed(error);
    }
    int err = tls_pem_certs(buf_slice(&f->text[TLS_FILE_CA]), true, &cas, error);
    if (err != 0) {
        return err;
    }
    for (int i = 0; i < sk_X509_num(cas); i++) {
        X509 *ca = sk_X509_value(cas, i);
        if (X509_STORE_add_cert(s->store, ca) != 1 ||
            (s->conf->side == TLS_SERVER && SSL_CTX_add_client_CA(s->ssl, ca) != 1)) {
            err = openssl_failed(error);
            break;
        }
    }
    find_twins(s, cas);
    sk_X509_pop_free(cas, X509_free);
    return err;
}

static bool verifies_by(X509 *ca, X509 *leaf, STACK_OF(X509) * chain,
                        const X509_VERIFY_PARAM *param)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    ensure(store != NULL && ctx != NULL);
    X509_STORE_set_flags(store, STORE_FLAGS);
    bool ok = X509_STORE_add_cert(store, ca) == 1 &&
              X509_STORE_CTX_init(ctx, store, leaf, chain) == 1 &&
              X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(ctx), param) == 1 &&
              X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return ok;
}

bool tls_state_verifies_by_twin(const struct tls_state *s, X509 *leaf, STACK_OF(X509) * chain,
                                const X509_VERIFY_PARAM *param)
{
    for (int i = 0; i < sk_X509_num(s->twins); i++) {
        if (verifies_by(sk_X509_value(s->twins, i), leaf, chain, param)) {
            return true;
        }
    }
    return false;
}

static int load_trust(struct tls_state *s, const struct tls_files *f, struct buf *error)
{
    s->store = SSL_CTX_get_cert_store(s->ssl);
    X509_STORE_set_flags(s->store, STORE_FLAGS);
    const struct tls_config *conf = s->conf;
    s->verifies = conf->side == TLS_CLIENT ? !conf->skips_verify
                                           : conf->needs_peer_cert || f->has[TLS_FILE_CA];
    int err = s->verifies ? load_cas(s, f, error) : 0;
    if (err == 0 && f->has[TLS_FILE_CRL]) {
        err = tls_crl_parse(buf_slice(&f->text[TLS_FILE_CRL]), &s->crl, error);
    }
    int mode = !s->verifies               ? SSL_VERIFY_NONE
               : conf->side == TLS_CLIENT ? SSL_VERIFY_PEER
                                          : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(s->ssl, mode, NULL);
    SSL_CTX_set_cert_verify_callback(s->ssl, tls_conn_on_verify, s);
    return err;
}

/* ---- the rest ---- */

static int proto(enum tls_version v)
{
    return v == TLS_VERSION_ANY ? 0 : v == TLS_VERSION_12 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

static int set_ciphers(SSL_CTX *ctx, const struct tls_config *conf, struct buf *error)
{
    struct buf list = BUF_INIT;
    tls_ciphers_openssl(conf->ciphers, &list);
    /* With suites of TLS 1.3 only, TLS 1.2 has none left. */
    bool is_none = list.len == 0;
    bool ok = SSL_CTX_set_ciphersuites(ctx, tls13_suites) == 1;
    if (is_none) {
        ok = ok && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1;
    } else {
        ok = ok && SSL_CTX_set_cipher_list(ctx, buf_cstr(&list)) == 1;
    }
    buf_deinit(&list);
    return ok ? 0 : openssl_failed(error);
}

static int set_up(struct tls_state *s, struct buf *error)
{
    static const unsigned char session_context[] = "cairn";
    const struct tls_config *conf = s->conf;
    SSL_CTX *ctx = s->ssl;
    int lo = proto(conf->min_version);
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    /* Resumption by tickets only: no table of sessions that grows. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    if (SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1) != 1 ||
        SSL_CTX_set_min_proto_version(ctx, lo == 0 ? TLS1_2_VERSION : lo) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, proto(conf->max_version)) != 1) {
        return openssl_failed(error);
    }
    if (conf->side == TLS_SERVER) {
        SSL_CTX_set_client_hello_cb(ctx, tls_conn_on_hello, NULL);
        SSL_CTX_set_alpn_select_cb(ctx, tls_conn_on_alpn, NULL);
    }
    return set_ciphers(ctx, conf, error);
}

int tls_state_create(const struct tls_config *conf, const struct tls_files *files,
                     struct tls_state **out, struct buf *error)
{
    struct tls_state *s = mem_zalloc(sizeof(*s));
    atomic_init(&s->refs, 1);
    s->conf = conf;
    s->bio = tls_bio_method();
    s->ssl = SSL_CTX_new(TLS_method());
    ensure(s->ssl != NULL && s->bio != NULL);
    int err = set_up(s, error);
    if (err == 0) {
        err = load_pair(s->ssl, files, error);
    }
    if (err == 0) {
        err = load_trust(s, files, error);
    }
    if (err != 0) {
        tls_state_unref(s);
        return err;
    }
    *out = s;
    return 0;
}

struct tls_state *tls_state_ref(struct tls_state *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void tls_state_unref(struct tls_state *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    X509_CRL_free(s->crl);
    sk_X509_pop_free(s->twins, X509_free);
    SSL_CTX_free(s->ssl);
    BIO_meth_free(s->bio);
    mem_free(s);
}
