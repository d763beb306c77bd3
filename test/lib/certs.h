/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/certs: certificates made in memory, and an env of a clock that stands and files in
 * memory.
 */
#ifndef TEST_CERTS_H
#define TEST_CERTS_H

#include <openssl/x509.h>

#include "memfs.h"

#define CERTS_NOW_S INT64_C(1700000000)

struct certs_spec {
    const char *cn;       /* NULL: none */
    const char *san;      /* "IP:127.0.0.1,DNS:a.example"; NULL: none */
    const char *usage;    /* "serverAuth,clientAuth"; NULL: none */
    int64_t from_s, to_s; /* 0: a day before CERTS_NOW_S, a year after */
    bool is_ca;
    bool is_rsa; /* else P-256 */
};

struct cert {
    X509 *x509;
    EVP_PKEY *key;
    struct buf pem; /* the certificate */
    struct buf key_pem;
};

/* issuer NULL: self-signed. */
void cert_make(struct cert *out, const struct certs_spec *spec, const struct cert *issuer);
void cert_free(struct cert *c);
/* A revocation list of issuer with these certificates. */
void certs_crl(const struct cert *issuer, const struct cert *const *revoked, size_t count,
               bool is_pem, struct buf *out);

struct certs_env {
    struct env env;
    struct env_clock clock;
    int64_t now_s;
    struct memfs *fs;
};

void certs_env_make(struct certs_env *e);
void certs_env_free(struct certs_env *e);
/* <name>.crt and <name>.key; chain NULL or a certificate behind it in the file. */
void certs_env_put(struct certs_env *e, const char *name, const struct cert *c,
                   const struct cert *chain);

#endif
