/* SPDX-License-Identifier: Apache-2.0
 *
 * tls/private: what the files of this folder share.
 */
#ifndef TLS_PRIVATE_H
#define TLS_PRIVATE_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "base/list.h"
#include "tls/conn.h"

/* ---- files ---- */

enum tls_file { TLS_FILE_CERT, TLS_FILE_KEY, TLS_FILE_CA, TLS_FILE_CRL, TLS_FILE_COUNT };

/* Contents of the files; one without a name has none.  Wiped when freed: a key is among them. */
struct tls_files {
    bool has[TLS_FILE_COUNT];
    struct buf text[TLS_FILE_COUNT];
};

MUST_USE int tls_files_read(struct env_disk *d, const char *const paths[TLS_FILE_COUNT],
                            struct tls_files *out, struct buf *error);
void tls_files_deinit(struct tls_files *f);

/* Certificates of a PEM text in their order.  For a certificate file (Go's tls.X509KeyPair) none is
 * an error, for a CA file it is an empty set. */
MUST_USE int tls_pem_certs(struct slice pem, bool is_ca, STACK_OF(X509) * *out, struct buf *error);
MUST_USE int tls_pem_key(struct slice pem, EVP_PKEY **out, struct buf *error);
/* DER or PEM. */
MUST_USE int tls_crl_parse(struct slice text, X509_CRL **out, struct buf *error);

/* ---- state: immutable after tls_state_create ---- */

struct tls_state {
    atomic_uint refs;
    SSL_CTX *ssl;
    BIO_METHOD *bio;
    X509_STORE *store;      /* of ssl */
    X509_CRL *crl;          /* NULL: none */
    STACK_OF(X509) * twins; /* CAs that share their subject with another one; NULL: none */
    const struct tls_config *conf;
    bool verifies; /* the other side's certificate is asked for and checked */
};

MUST_USE int tls_state_create(const struct tls_config *conf, const struct tls_files *files,
                              struct tls_state **out, struct buf *error);
struct tls_state *tls_state_ref(struct tls_state *s);
void tls_state_unref(struct tls_state *s);

/* When X509_verify_cert has failed: OpenSSL takes the first CA of the issuer's name, which after a
 * change of keys may be the old one; Go tries them all.  param: purpose and time. */
bool tls_state_verifies_by_twin(const struct tls_state *s, X509 *leaf, STACK_OF(X509) * chain,
                                const X509_VERIFY_PARAM *param);

/* ---- context ---- */

/* A certificate that live connections have shown, with its chain. */
struct tls_peer {
    struct list_node node;
    size_t uses;
    X509 *leaf;
    STACK_OF(X509) * chain; /* may be NULL */
};

struct tls_state *tls_context_state(struct tls_context *c); /* counted */
struct env *tls_context_env(struct tls_context *c);
struct tls_peer *tls_context_peer_add(struct tls_context *c, X509 *leaf, STACK_OF(X509) * chain);
void tls_context_peer_remove(struct tls_context *c, struct tls_peer *p);

/* ---- connections ---- */

BIO_METHOD *tls_bio_method(void);
struct tls_conn *tls_conn_of(SSL *ssl);
/* Callbacks of the SSL_CTX. */
int tls_conn_on_hello(SSL *ssl, int *alert, void *arg);
int tls_conn_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned int in_len, void *arg);
int tls_conn_on_verify(X509_STORE_CTX *ctx, void *arg);

/* ---- verify ---- */

/* One of the allowed names, if there are any, is the certificate's. */
bool tls_is_allowed(const struct tls_config *conf, X509 *leaf);
/* Go's Certificate.VerifyHostname: host is a name or the text of an address. */
bool tls_matches_host(X509 *leaf, const char *host);
/* Why it does not, in Go's words. */
void tls_host_error(X509 *leaf, const char *host, struct buf *out);
/* Why X509_verify_cert failed, in Go's words without "tls: failed to verify certificate: ". */
void tls_verify_error(int code, X509 *cert, int64_t now_s, struct buf *out);
/* The first of leaf and chain that the list revokes. */
X509 *tls_find_revoked(X509_CRL *crl, X509 *leaf, STACK_OF(X509) * chain);
void tls_serial_hex(X509 *cert, struct buf *out);
/* Addresses and names of the certificate as texts, separated by separator. */
size_t tls_san_ips(X509 *cert, const char *separator, const char *quote, struct buf *out);
size_t tls_san_dns(X509 *cert, const char *separator, const char *quote, struct buf *out);
bool tls_common_name(X509 *cert, struct buf *out);
/* Newest time that certificate may be used is over, or the first has not come. */
bool tls_is_out_of_date(X509 *cert, int64_t now_s);

/* ---- text ---- */

/* What the error queue of this thread says, in Go's words where Go has some. */
void tls_error_text(struct buf *out);

/* "127.0.0.1" of "127.0.0.1:2379", "::1" of "[::1]:2379", "b" of "unix:/a/b". */
void tls_host_of(const char *addr, struct buf *out);
bool tls_is_ip(const char *host);

#endif
