/* SPDX-License-Identifier: Apache-2.0 */
#include "certs.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum { DAY_S = 86400, YEAR_S = 365 * DAY_S };

static void must(bool ok)
{
    ensure(ok);
}

static void take_bio(BIO *b, struct buf *out)
{
    char *data;
    long len = BIO_get_mem_data(b, &data);
    buf_append(out, data, (size_t)len);
    BIO_free(b);
}

static void add_ext(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(ext != NULL && X509_add_ext(cert, ext, -1) == 1);
    X509_EXTENSION_free(ext);
}

void cert_make(struct cert *out, const struct certs_spec *spec, const struct cert *issuer)
{
    static long serial = 1000;
    *out = (struct cert){.x509 = X509_new(),
                         .key = spec->is_rsa ? EVP_RSA_gen(2048u) : EVP_EC_gen("P-256")};
    X509 *x = out->x509;
    X509_NAME *name = X509_get_subject_name(x);
    must(X509_set_version(x, X509_VERSION_3) == 1);
    must(ASN1_INTEGER_set(X509_get_serialNumber(x), serial++) == 1);
    if (spec->cn != NULL) {
        must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)spec->cn,
                                        -1, -1, 0) == 1);
    }
    must(X509_set_issuer_name(x, issuer == NULL ? name : X509_get_subject_name(issuer->x509)) == 1);
    int64_t from = spec->from_s != 0 ? spec->from_s : CERTS_NOW_S - DAY_S;
    int64_t to = spec->to_s != 0 ? spec->to_s : CERTS_NOW_S + YEAR_S;
    must(ASN1_TIME_set(X509_getm_notBefore(x), from) != NULL);
    must(ASN1_TIME_set(X509_getm_notAfter(x), to) != NULL);
    must(X509_set_pubkey(x, out->key) == 1);
    add_ext(x, NID_basic_constraints, spec->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (spec->usage != NULL) {
        add_ext(x, NID_ext_key_usage, spec->usage);
    }
    if (spec->san != NULL) {
        add_ext(x, NID_subject_alt_name, spec->san);
    }
    must(X509_sign(x, issuer == NULL ? out->key : issuer->key, EVP_sha256()) > 0);
    BIO *b = BIO_new(BIO_s_mem());
    must(PEM_write_bio_X509(b, x) == 1);
    take_bio(b, &out->pem);
    b = BIO_new(BIO_s_mem());
    must(PEM_write_bio_PrivateKey(b, out->key, NULL, NULL, 0, NULL, NULL) == 1);
    take_bio(b, &out->key_pem);
}

void cert_free(struct cert *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    buf_deinit(&c->pem);
    buf_deinit(&c->key_pem);
}

void certs_crl(const struct cert *issuer, const struct cert *const *revoked, size_t count,
               bool is_pem, struct buf *out)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *now = ASN1_TIME_set(NULL, CERTS_NOW_S);
    must(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509)) == 1);
    must(X509_CRL_set1_lastUpdate(crl, now) == 1 && X509_CRL_set1_nextUpdate(crl, now) == 1);
    for (size_t i = 0; i < count; i++) {
        X509_REVOKED *r = X509_REVOKED_new();
        must(X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked[i]->x509)) == 1);
        must(X509_REVOKED_set_revocationDate(r, now) == 1);
        must(X509_CRL_add0_revoked(crl, r) == 1);
    }
    must(X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
    BIO *b = BIO_new(BIO_s_mem());
    must((is_pem ? PEM_write_bio_X509_CRL(b, crl) : i2d_X509_CRL_bio(b, crl)) == 1);
    take_bio(b, out);
    ASN1_TIME_free(now);
    X509_CRL_free(crl);
}

/* ---- env ---- */

static uint64_t mono_ns(struct env_clock *c)
{
    return (uint64_t)container_of(c, struct certs_env, clock)->now_s * 1000000000;
}

static int64_t wall_ns(struct env_clock *c)
{
    return container_of(c, struct certs_env, clock)->now_s * 1000000000;
}

void certs_env_make(struct certs_env *e)
{
    static const struct env_clock_ops ops = {mono_ns, wall_ns};
    *e = (struct certs_env){.clock = {&ops}, .now_s = CERTS_NOW_S, .fs = memfs_create()};
    e->env.clock = &e->clock;
    e->env.disk = &e->fs->disk;
}

void certs_env_free(struct certs_env *e)
{
    memfs_destroy(e->fs);
}

void certs_env_put(struct certs_env *e, const char *name, const struct cert *c,
                   const struct cert *chain)
{
    struct buf text = BUF_INIT;
    char path[64];
    buf_append_slice(&text, buf_slice(&c->pem));
    if (chain != NULL) {
        buf_append_slice(&text, buf_slice(&chain->pem));
    }
    snprintf(path, sizeof(path), "%s.crt", name);
    memfs_put(e->fs, path, buf_slice(&text));
    snprintf(path, sizeof(path), "%s.key", name);
    memfs_put(e->fs, path, buf_slice(&c->key_pem));
    buf_deinit(&text);
}
