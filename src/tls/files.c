/* SPDX-License-Identifier: Apache-2.0
 *
 * tls/files: contents of certificate, key, CA and CRL files, and what is in them.
 */
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/limits.h"
#include "tls/private.h"

/* ---- reading ---- */

/* "open /x: no such file or directory", as Go says it. */
static void read_error(struct env_disk *d, const char *path, int err, struct buf *error)
{
    const char *why = err == ERR_TOO_LARGE || d->ops->last_text == NULL ? "" : d->ops->last_text(d);
    if (why[0] == '\0') {
        why = err_text(err);
    }
    char first = why[0] >= 'A' && why[0] <= 'Z' ? (char)(why[0] + ('a' - 'A')) : why[0];
    buf_printf(error, "open %s: %c%s", path, first, first == '\0' ? "" : why + 1);
}

int tls_files_read(struct env_disk *d, const char *const paths[TLS_FILE_COUNT],
                   struct tls_files *out, struct buf *error)
{
    *out = (struct tls_files){0};
    for (size_t i = 0; i < TLS_FILE_COUNT; i++) {
        if (paths[i] == NULL || paths[i][0] == '\0') {
            continue;
        }
        int err = env_read_file(d, paths[i], LIMIT_TLS_FILE_BYTES, &out->text[i]);
        if (err != 0) {
            read_error(d, paths[i], err, error);
            tls_files_deinit(out);
            return err;
        }
        out->has[i] = true;
    }
    return 0;
}

void tls_files_deinit(struct tls_files *f)
{
    for (size_t i = 0; i < TLS_FILE_COUNT; i++) {
        if (f->text[i].data != NULL) {
            OPENSSL_cleanse(f->text[i].data, f->text[i].cap);
        }
        buf_deinit(&f->text[i]);
    }
    *f = (struct tls_files){0};
}

/* ---- parsing ---- */

static BIO *memory_of(struct slice s)
{
    BIO *b = BIO_new_mem_buf(s.len == 0 ? (const void *)"" : s.data, (int)s.len);
    ensure(b != NULL);
    return b;
}

/* A key with a password has no place in a server: ask nobody. */
static int no_password(char *out, int size, int is_write, void *arg)
{
    (void)out;
    (void)size;
    (void)is_write;
    (void)arg;
    return 0;
}

struct pem_block {
    char *name;
    char *header;
    unsigned char *data;
    long len;
};

static bool pem_next(BIO *b, struct pem_block *out)
{
    *out = (struct pem_block){0};
    return PEM_read_bio(b, &out->name, &out->header, &out->data, &out->len) == 1;
}

static void pem_block_free(struct pem_block *p)
{
    OPENSSL_free(p->name);
    OPENSSL_free(p->header);
    OPENSSL_free(p->data);
}

static int add_cert(const struct pem_block *p, STACK_OF(X509) * certs, struct buf *error)
{
    const unsigned char *at = p->data;
    X509 *cert = d2i_X509(NULL, &at, p->len);
    if (cert == NULL) {
        buf_append_cstr(error, "x509: malformed certificate");
        return ERR_MALFORMED;
    }
    ensure(sk_X509_push(certs, cert) > 0);
    return 0;
}

/* In a certificate file blocks of other types are passed over; in a CA file Go takes every block
 * for a certificate. */
static int collect(BIO *b, bool is_ca, STACK_OF(X509) * certs, struct buf *skipped,
                   struct buf *error)
{
    struct pem_block p;
    int err = 0;
    while (err == 0 && pem_next(b, &p)) {
        bool is_cert = strcmp(p.name, "CERTIFICATE") == 0;
        if (is_cert || is_ca) {
            err = add_cert(&p, certs, error);
        } else {
            buf_printf(skipped, "%s%s", skipped->len == 0 ? "" : " ", p.name);
        }
        pem_block_free(&p);
    }
    return err;
}

static int no_certs(const struct buf *skipped, struct buf *error)
{
    if (skipped->len == 0) {
        buf_append_cstr(error, "tls: failed to find any PEM data in certificate input");
    } else {
        buf_printf(error,
                   "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after "
                   "skipping PEM blocks of the following types: [%.*s]",
                   (int)skipped->len, (const char *)skipped->data);
    }
    return ERR_MALFORMED;
}

int tls_pem_certs(struct slice pem, bool is_ca, STACK_OF(X509) * *out, struct buf *error)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    ensure(certs != NULL);
    BIO *b = memory_of(pem);
    struct buf skipped = BUF_INIT;
    int err = collect(b, is_ca, certs, &skipped, error);
    if (err == 0 && sk_X509_num(certs) == 0 && !is_ca) {
        err = no_certs(&skipped, error);
    }
    buf_deinit(&skipped);
    BIO_free(b);
    ERR_clear_error(); /* the end of the text is an error to PEM_read_bio */
    if (err != 0) {
        sk_X509_pop_free(certs, X509_free);
        return err;
    }
    *out = certs;
    return 0;
}

int tls_pem_key(struct slice pem, EVP_PKEY **out, struct buf *error)
{
    BIO *b = memory_of(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);
    BIO_free(b);
    ERR_clear_error();
    if (key == NULL) {
        bool has_pem = memmem(pem.data, pem.len, "-----BEGIN ", 11) != NULL;
        buf_append_cstr(error, has_pem ? "tls: failed to parse private key"
                                       : "tls: failed to find any PEM data in key input");
        return ERR_MALFORMED;
    }
    *out = key;
    return 0;
}

int tls_crl_parse(struct slice text, X509_CRL **out, struct buf *error)
{
    const unsigned char *at = text.data;
    X509_CRL *crl = text.len == 0 ? NULL : d2i_X509_CRL(NULL, &at, (long)text.len);
    if (crl == NULL) {
        BIO *b = memory_of(text);
        crl = PEM_read_bio_X509_CRL(b, NULL, no_password, NULL);
        BIO_free(b);
    }
    ERR_clear_error();
    if (crl == NULL) {
        buf_append_cstr(error, "x509: malformed crl");
        return ERR_MALFORMED;
    }
    *out = crl;
    return 0;
}
