/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/selfcert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/log.h"
#include "tls/private.h"

enum { SERIAL_BYTES = 16, YEAR_S = 365 * 24 * 3600 };

static int no_cert(struct buf *error, const char *what)
{
    buf_printf(error, "cannot make a self-signed certificate: %s: ", what);
    tls_error_text(error);
    ERR_clear_error();
    return ERR_INVALID;
}

static bool add_ext(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

/* Built as objects: a host name must not be read as configuration text. */
static bool add_hosts(X509 *cert, const struct tls_selfcert_options *o)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool ok = names != NULL;
    for (size_t i = 0; ok && i < o->host_count; i++) {
        struct buf host = BUF_INIT;
        tls_host_of(o->hosts[i], &host);
        GENERAL_NAME *g = GENERAL_NAME_new();
        ASN1_OCTET_STRING *ip = a2i_IPADDRESS(buf_cstr(&host));
        ASN1_IA5STRING *dns = ip == NULL ? ASN1_IA5STRING_new() : NULL;
        ok = g != NULL &&
             (ip != NULL || (dns != NULL && ASN1_STRING_set(dns, host.data, (int)host.len) == 1));
        if (ok) {
            GENERAL_NAME_set0_value(g, ip != NULL ? GEN_IPADD : GEN_DNS,
                                    ip != NULL ? (void *)ip : (void *)dns);
            ok = sk_GENERAL_NAME_push(names, g) > 0;
        }
        buf_deinit(&host);
    }
    ok = ok &&
         (o->host_count == 0 || X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1);
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    ERR_clear_error();
    return ok;
}

static bool set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    bool ok = RAND_bytes(bytes, sizeof(bytes)) == 1;
    BIGNUM *n = ok ? BN_bin2bn(bytes, sizeof(bytes), NULL) : NULL;
    ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
    BN_free(n);
    return ok;
}

static bool fill(X509 *cert, EVP_PKEY *key, const struct tls_selfcert_options *o, int64_t now_s)
{
    X509_NAME *name = X509_get_subject_name(cert);
    int64_t end_s = now_s + (int64_t)o->years * YEAR_S;
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"etcd", -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 &&
           ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)now_s) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)end_s) != NULL &&
           X509_set_pubkey(cert, key) == 1 &&
           add_ext(cert, NID_key_usage, "critical,digitalSignature,keyEncipherment,cRLSign") &&
           add_ext(cert, NID_ext_key_usage,
                   o->is_client ? "serverAuth,clientAuth" : "serverAuth") &&
           add_ext(cert, NID_basic_constraints, "critical,CA:TRUE") && add_hosts(cert, o) &&
           X509_sign(cert, key, EVP_sha512()) > 0;
}

/* The text of a BIO that was written to, as a file. */
static int write_bio(struct env *env, const char *path, BIO *b, uint32_t mode, struct buf *error)
{
    char *data = NULL;
    long len = BIO_get_mem_data(b, &data);
    int err = env_write_file(env->disk, path, slice_make(data, (size_t)len), mode);
    if (err != 0) {
        buf_printf(error, "open %s: %s", path, err_text(err));
    }
    return err;
}

static int write_pair(struct env *env, X509 *cert, EVP_PKEY *key, const char *cert_path,
                      const char *key_path, struct buf *error)
{
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_secmem());
    int err = ERR_NOMEM;
    if (c != NULL && k != NULL && PEM_write_bio_X509(c, cert) == 1 &&
        PEM_write_bio_PrivateKey_traditional(k, key, NULL, NULL, 0, NULL, NULL) == 1) {
        /* The key first: a start that ends between the two makes both again. */
        err = write_bio(env, key_path, k, 0600, error);
    }
    if (err == 0) {
        err = write_bio(env, cert_path, c, 0644, error);
    }
    if (err == 0) {
        log_info("created cert file", LOG_STR("path", cert_path));
        log_info("created key file", LOG_STR("path", key_path));
    }
    BIO_free(c);
    BIO_free(k);
    return err;
}

static void log_validity(X509 *cert)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1) {
        struct buf text = BUF_INIT;
        buf_printf(&text, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        log_warn("automatically generate certificates",
                 LOG_STR("certificate-validity-bound-not-after", buf_cstr(&text)));
        buf_deinit(&text);
    }
}

static int make(struct env *env, const struct tls_selfcert_options *o, const char *cert_path,
                const char *key_path, struct buf *error)
{
    EVP_PKEY *key = EVP_EC_gen("P-521");
    X509 *cert = X509_new();
    int64_t now_s = env->clock->ops->wall_ns(env->clock) / 1000000000;
    int err = 0;
    if (key == NULL || cert == NULL || !fill(cert, key, o, now_s)) {
        err = no_cert(error, o->dir);
    }
    if (err == 0) {
        log_validity(cert);
        err = write_pair(env, cert, key, cert_path, key_path, error);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return err;
}

int tls_selfcert(struct env *env, const struct tls_selfcert_options *opts, char **out_cert,
                 char **out_key, struct buf *error)
{
    if (opts->years == 0) {
        buf_append_cstr(error, "selfSignedCertValidity is invalid,it should be greater than 0");
        log_warn("cannot generate cert", LOG_STR("error", buf_cstr(error)));
        return ERR_INVALID;
    }
    int err = env_mkdir_all(env->disk, opts->dir, 0700);
    if (err != 0) {
        buf_printf(error, "mkdir %s: %s", opts->dir, err_text(err));
        log_warn("cannot create cert directory", LOG_STR("error", buf_cstr(error)));
        return err;
    }
    char *cert_path = env_path_join(opts->dir, "cert.pem");
    char *key_path = env_path_join(opts->dir, "key.pem");
    if (!env_exists(env->disk, cert_path) || !env_exists(env->disk, key_path)) {
        err = make(env, opts, cert_path, key_path, error);
    }
    if (err != 0) {
        mem_free(cert_path);
        mem_free(key_path);
        return err;
    }
    *out_cert = cert_path;
    *out_key = key_path;
    return 0;
}
