/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/context.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/hash.h"
#include "base/limits.h"
#include "tls/private.h"

struct tls_context {
    atomic_uint refs;
    struct env *env;
    struct tls_config conf; /* texts are owned */
    CRYPTO_RWLOCK *lock;    /* state and peers */
    struct tls_state *state;
    struct list peers;
    size_t peer_count;
    /* Only reload touches these. */
    uint8_t in_use[SHA256_BYTES];  /* digest of the contents of state */
    uint8_t refused[SHA256_BYTES]; /* of the contents that were refused last */
};

/* ---- configuration ---- */

static const char *copied(const char *s)
{
    return mem_strdup(s == NULL ? "" : s);
}

static struct tls_names names_copy(struct tls_names from)
{
    const char **items = mem_alloc_array(from.count + 1, sizeof(*items));
    for (size_t i = 0; i < from.count; i++) {
        items[i] = mem_strdup(from.items[i]);
    }
    return (struct tls_names){items, from.count};
}

static void names_free(struct tls_names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        mem_free((char *)(uintptr_t)n->items[i]);
    }
    mem_free((void *)(uintptr_t)n->items);
}

static void config_copy(struct tls_config *out, const struct tls_config *from)
{
    *out = *from;
    out->cert_file = copied(from->cert_file);
    out->key_file = copied(from->key_file);
    out->ca_file = copied(from->ca_file);
    out->crl_file = copied(from->crl_file);
    out->server_name = copied(from->server_name);
    out->ciphers = copied(from->ciphers);
    out->allowed_cns = names_copy(from->allowed_cns);
    out->allowed_hosts = names_copy(from->allowed_hosts);
}

static void config_free(struct tls_config *c)
{
    const char *texts[] = {c->cert_file, c->key_file,    c->ca_file,
                           c->crl_file,  c->server_name, c->ciphers};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        mem_free((char *)(uintptr_t)texts[i]);
    }
    names_free(&c->allowed_cns);
    names_free(&c->allowed_hosts);
}

/* ---- life ---- */

static int read_files(struct tls_context *c, struct tls_files *out, struct buf *error)
{
    const char *const paths[TLS_FILE_COUNT] = {c->conf.cert_file, c->conf.key_file, c->conf.ca_file,
                                               c->conf.crl_file};
    return tls_files_read(c->env->disk, paths, out, error);
}

static void digest_of(const struct tls_files *f, uint8_t out[SHA256_BYTES])
{
    struct sha256 *s = sha256_create();
    for (size_t i = 0; i < TLS_FILE_COUNT; i++) {
        uint64_t len = f->has[i] ? f->text[i].len : UINT64_MAX;
        sha256_update(s, &len, sizeof(len));
        sha256_update(s, f->text[i].data, f->text[i].len);
    }
    sha256_finish(s, out);
}

int tls_context_create(struct env *env, const struct tls_config *conf, struct tls_context **out,
                       struct buf *error)
{
    struct tls_files files;
    struct tls_context *c = mem_zalloc(sizeof(*c));
    atomic_init(&c->refs, 1);
    c->env = env;
    config_copy(&c->conf, conf);
    list_init(&c->peers);
    c->lock = CRYPTO_THREAD_lock_new();
    ensure(c->lock != NULL);
    int err = read_files(c, &files, error);
    if (err == 0) {
        err = tls_state_create(&c->conf, &files, &c->state, error);
        digest_of(&files, c->in_use);
        tls_files_deinit(&files);
    }
    if (err != 0) {
        tls_context_unref(c);
        return err;
    }
    *out = c;
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_context_unref(struct tls_context *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    ensure(list_is_empty(&c->peers)); /* connections hold their context */
    tls_state_unref(c->state);
    CRYPTO_THREAD_lock_free(c->lock);
    config_free(&c->conf);
    mem_free(c);
}

struct env *tls_context_env(struct tls_context *c)
{
    return c->env;
}

static void lock(struct tls_context *c)
{
    ensure(CRYPTO_THREAD_write_lock(c->lock) == 1);
}

static void unlock(struct tls_context *c)
{
    ensure(CRYPTO_THREAD_unlock(c->lock) == 1);
}

struct tls_state *tls_context_state(struct tls_context *c)
{
    lock(c);
    struct tls_state *s = tls_state_ref(c->state);
    unlock(c);
    return s;
}

/* ---- certificates of live connections ---- */

struct tls_peer *tls_context_peer_add(struct tls_context *c, X509 *leaf, STACK_OF(X509) * chain)
{
    struct tls_peer *found = NULL;
    if (!c->conf.keeps_peers) {
        return NULL;
    }
    lock(c);
    LIST_FOREACH (&c->peers, n) {
        struct tls_peer *p = container_of(n, struct tls_peer, node);
        if (X509_cmp(p->leaf, leaf) == 0) {
            found = p;
        }
    }
    if (found == NULL && c->peer_count < LIMIT_TLS_KEPT_CERTS) {
        found = mem_zalloc(sizeof(*found));
        found->chain = chain == NULL ? NULL : X509_chain_up_ref(chain);
        found->leaf = leaf;
        X509_up_ref(leaf);
        list_push_back(&c->peers, &found->node);
        c->peer_count++;
    }
    if (found != NULL) {
        found->uses++;
    }
    unlock(c);
    return found;
}

void tls_context_peer_remove(struct tls_context *c, struct tls_peer *p)
{
    if (p == NULL) {
        return;
    }
    lock(c);
    bool is_last = --p->uses == 0;
    if (is_last) {
        list_remove(&p->node);
        c->peer_count--;
    }
    unlock(c);
    if (is_last) {
        X509_free(p->leaf);
        sk_X509_pop_free(p->chain, X509_free);
        mem_free(p);
    }
}

/* ---- renewing ---- */

static bool store_verifies(struct tls_context *c, struct tls_state *s, const struct tls_peer *p)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    ensure(ctx != NULL && X509_STORE_CTX_init(ctx, s->store, p->leaf, p->chain) == 1);
    int64_t now_s = c->env->clock->ops->wall_ns(c->env->clock) / 1000000000;
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), (time_t)now_s);
    bool ok = X509_verify_cert(ctx) == 1 ||
              tls_state_verifies_by_twin(s, p->leaf, p->chain, X509_STORE_CTX_get0_param(ctx));
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}

/* What a live connection has shown counts only if the present CAs (and the clock) still take it. */
static int check_peers(struct tls_context *c, struct tls_state *fresh, struct buf *error)
{
    int err = 0;
    lock(c);
    LIST_FOREACH (&c->peers, n) {
        struct tls_peer *p = container_of(n, struct tls_peer, node);
        if (err != 0 || store_verifies(c, fresh, p) || !store_verifies(c, c->state, p)) {
            continue;
        }
        struct buf name = BUF_INIT;
        (void)tls_common_name(p->leaf, &name);
        buf_printf(error,
                   "the new CAs in %s do not verify the certificate \"%s\" of %zu live "
                   "connection(s); the files that are in use stay (add the new CA beside the old "
                   "one first)",
                   c->conf.ca_file, buf_cstr(&name), p->uses);
        buf_deinit(&name);
        err = ERR_MISMATCH;
    }
    unlock(c);
    return err;
}

static int renew(struct tls_context *c, const struct tls_files *files, struct buf *error)
{
    struct tls_state *fresh;
    int err = tls_state_create(&c->conf, files, &fresh, error);
    if (err != 0) {
        return err;
    }
    err = fresh->verifies ? check_peers(c, fresh, error) : 0;
    if (err != 0) {
        tls_state_unref(fresh);
        return err;
    }
    lock(c);
    struct tls_state *old = c->state;
    c->state = fresh;
    unlock(c);
    tls_state_unref(old);
    return 0;
}

/* Told once: true when these contents, or this failure to read, were refused before. */
static bool is_known_bad(struct tls_context *c, const uint8_t digest[SHA256_BYTES])
{
    bool is_known = memcmp(c->refused, digest, SHA256_BYTES) == 0;
    memcpy(c->refused, digest, SHA256_BYTES);
    return is_known;
}

static int refuse_unreadable(struct tls_context *c, int err, const struct buf *why)
{
    uint8_t digest[SHA256_BYTES];
    struct sha256 *s = sha256_create();
    sha256_update(s, why->data, why->len);
    sha256_finish(s, digest);
    return is_known_bad(c, digest) ? 0 : err;
}

/* What was refused is tried each time: the peer that it would have cut off may be gone. */
static int take(struct tls_context *c, const struct tls_files *files, bool *out_changed,
                struct buf *why)
{
    uint8_t digest[SHA256_BYTES];
    int err = 0;
    digest_of(files, digest);
    if (memcmp(digest, c->in_use, SHA256_BYTES) != 0) {
        err = renew(c, files, why);
        if (err != 0) {
            return is_known_bad(c, digest) ? 0 : err;
        }
        memcpy(c->in_use, digest, SHA256_BYTES);
        *out_changed = true;
    }
    memset(c->refused, 0, sizeof(c->refused));
    return 0;
}

int tls_context_reload(struct tls_context *c, bool is_asked, bool *out_changed, struct buf *error)
{
    struct tls_files files;
    struct buf why = BUF_INIT;
    bool is_changed = false;
    if (is_asked) {
        memset(c->refused, 0, sizeof(c->refused));
    }
    int err = read_files(c, &files, &why);
    if (err != 0) {
        err = refuse_unreadable(c, err, &why);
    } else {
        err = take(c, &files, &is_changed, &why);
        tls_files_deinit(&files);
    }
    if (err != 0) {
        buf_append_slice(error, buf_slice(&why));
    } else {
        *out_changed = is_changed;
    }
    buf_deinit(&why);
    return err;
}
