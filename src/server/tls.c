/* SPDX-License-Identifier: Apache-2.0 */
#include "server/tls.h"

#include "base/limits.h"
#include "base/log.h"
#include "member/url.h"
#include "os/os.h"
#include "tls/cipher.h"
#include "tls/selfcert.h"

enum { CONTEXT_CLIENT, CONTEXT_PEER, CONTEXT_DIAL };

/* ---- flags ---- */

static const char *first_secure(const struct strs *urls)
{
    for (size_t i = 0; i < urls->count; i++) {
        if (url_is_secure(urls->items[i])) {
            return urls->items[i];
        }
    }
    return NULL;
}

static void client_files(const struct flags *f, struct server_tls_files *out)
{
    *out = (struct server_tls_files){
        .cert = flag_text(f, FLAG_ID_CERT_FILE),
        .key = flag_text(f, FLAG_ID_KEY_FILE),
        .client_cert = flag_text(f, FLAG_ID_CLIENT_CERT_FILE),
        .client_key = flag_text(f, FLAG_ID_CLIENT_KEY_FILE),
        .ca = flag_text(f, FLAG_ID_TRUSTED_CA_FILE),
        .crl = flag_text(f, FLAG_ID_CLIENT_CRL_FILE),
        .needs_client_cert = flag_bool(f, FLAG_ID_CLIENT_CERT_AUTH),
    };
}

static void peer_files(const struct flags *f, struct server_tls_files *out)
{
    *out = (struct server_tls_files){
        .cert = flag_text(f, FLAG_ID_PEER_CERT_FILE),
        .key = flag_text(f, FLAG_ID_PEER_KEY_FILE),
        .client_cert = flag_text(f, FLAG_ID_PEER_CLIENT_CERT_FILE),
        .client_key = flag_text(f, FLAG_ID_PEER_CLIENT_KEY_FILE),
        .ca = flag_text(f, FLAG_ID_PEER_TRUSTED_CA_FILE),
        .crl = flag_text(f, FLAG_ID_PEER_CRL_FILE),
        .needs_client_cert = flag_bool(f, FLAG_ID_PEER_CLIENT_CERT_AUTH),
    };
}

static bool is_empty(const struct server_tls_files *f)
{
    return f->cert[0] == '\0' && f->key[0] == '\0';
}

static void split_names(const struct flags *f, enum flag_id id, struct strs *out)
{
    for (const char *at = flag_text(f, id); at[0] != '\0';) {
        size_t len = strcspn(at, ",");
        strs_add(out, slice_make(at, len));
        at += len + (at[len] == ',');
    }
}

static void log_files(const char *msg, const struct server_tls_files *f, const struct flags *flags)
{
    struct buf info = BUF_INIT;
    struct strs suites = {0};
    buf_printf(&info,
               "cert = %s, key = %s, client-cert=%s, client-key=%s, trusted-ca = %s, "
               "client-cert-auth = %s, crl-file = %s",
               f->cert, f->key, f->client_cert, f->client_key, f->ca,
               f->needs_client_cert ? "true" : "false", f->crl);
    split_names(flags, FLAG_ID_CIPHER_SUITES, &suites);
    log_info(msg, LOG_STR("tls-info", buf_cstr(&info)),
             LOG_STRS("cipher-suites", suites.items, suites.count));
    buf_deinit(&info);
    strs_deinit(&suites);
}

/* ---- --auto-tls ---- */

struct auto_tls {
    bool is_wanted;
    const char *kind; /* "client", "peer": in messages and in the path */
    const struct strs *urls[2];
};

static void collect_hosts(const struct auto_tls *a, struct strs *out)
{
    for (size_t k = 0; k < ARRAY_LEN(a->urls); k++) {
        for (size_t i = 0; a->urls[k] != NULL && i < a->urls[k]->count; i++) {
            strs_add(out, url_address(a->urls[k]->items[i]));
        }
    }
}

static int make_pair(struct env *env, const struct config *c, const struct auto_tls *a,
                     struct server_tls_files *out, struct buf *error)
{
    struct strs hosts = {0};
    struct buf dir = BUF_INIT;
    collect_hosts(a, &hosts);
    char *root = os_getcwd();
    buf_printf(&dir, "%s%s%s/fixtures/%s", c->data_dir[0] == '/' ? "" : root,
               c->data_dir[0] == '/' ? "" : "/", c->data_dir, a->kind);
    struct tls_selfcert_options o = {
        .dir = buf_cstr(&dir),
        .hosts = (const char *const *)hosts.items,
        .host_count = hosts.count,
        .years = (unsigned)flag_uint(c->flags, FLAG_ID_SELF_SIGNED_CERT_VALIDITY),
    };
    char *cert = NULL, *key = NULL;
    int err = tls_selfcert(env, &o, &cert, &key, error);
    if (err == 0) { /* etcd forgets CA, CRL and --client-cert-auth here */
        *out = (struct server_tls_files){.cert = cert,
                                         .key = key,
                                         .client_cert = cert,
                                         .client_key = key,
                                         .ca = "",
                                         .crl = "",
                                         .own_cert = cert,
                                         .own_key = key,
                                         .is_self_made = true};
    }
    mem_free(root);
    buf_deinit(&dir);
    strs_deinit(&hosts);
    return err;
}

static enum server_tls_end carry_out_auto(struct env *env, const struct config *c,
                                          const struct auto_tls *a, struct server_tls_files *files,
                                          struct buf *error)
{
    struct buf msg = BUF_INIT;
    enum server_tls_end end = SERVER_TLS_OK;
    if (a->is_wanted && !is_empty(files)) {
        buf_printf(&msg, "ignoring %s auto TLS since certs given", a->kind);
        log_warn(buf_cstr(&msg));
    } else if (a->is_wanted && make_pair(env, c, a, files, error) != 0) {
        buf_printf(&msg, "failed to get %s self-signed certs", a->kind);
        log_at_(LOG_FATAL, NULL, buf_cstr(&msg), LOG_STR("error", buf_cstr(error)));
        end = SERVER_TLS_LOGGED;
    }
    buf_deinit(&msg);
    return end;
}

/* ---- contexts ---- */

static enum tls_version version_of(const struct flags *f, enum flag_id id)
{
    const char *text = flag_text(f, id);
    return strcmp(text, "TLS1.2") == 0   ? TLS_VERSION_12
           : strcmp(text, "TLS1.3") == 0 ? TLS_VERSION_13
                                         : TLS_VERSION_ANY;
}

static struct tls_config base_config(const struct flags *f, enum tls_side side)
{
    return (struct tls_config){
        .side = side,
        .ciphers = flag_text(f, FLAG_ID_CIPHER_SUITES),
        .min_version = version_of(f, FLAG_ID_TLS_MIN_VERSION),
        .max_version = version_of(f, FLAG_ID_TLS_MAX_VERSION),
    };
}

static int check_pairs(const struct server_tls_files *f, struct buf *error)
{
    if (f->key[0] == '\0' || f->cert[0] == '\0') {
        buf_printf(error, "KeyFile and CertFile must both be present[key: %s, cert: %s]", f->key,
                   f->cert);
        return ERR_INVALID;
    }
    if ((f->client_key[0] == '\0') != (f->client_cert[0] == '\0')) {
        buf_printf(error,
                   "ClientKeyFile and ClientCertFile must both be present or both absent: key: %s, "
                   "cert: %s]",
                   f->client_key, f->client_cert);
        return ERR_INVALID;
    }
    return 0;
}

/* "[a b]" of etcd's %q. */
static int check_allowed(const struct strs *cns, const struct strs *hosts, struct buf *error)
{
    if (cns->count == 0 || hosts->count == 0) {
        return 0;
    }
    buf_append_cstr(error, "AllowedCNs and AllowedHostnames are mutually exclusive (cns=");
    strs_quote(error, cns);
    buf_append_cstr(error, ", hostnames=");
    strs_quote(error, hosts);
    buf_append_byte(error, ')');
    return ERR_INVALID;
}

static struct tls_names names_of(const struct strs *s)
{
    return (struct tls_names){(const char *const *)s->items, s->count};
}

/* A listener's context from files; allowed: what must stand in the other side's certificate. */
static int open_listen(struct server_tls *t, const struct flags *f,
                       const struct server_tls_files *files, const struct strs *cns,
                       const struct strs *hosts, bool keeps_peers, struct tls_context **out,
                       struct buf *error)
{
    struct tls_config conf = base_config(f, TLS_SERVER);
    conf.cert_file = files->cert;
    conf.key_file = files->key;
    conf.ca_file = files->ca;
    conf.crl_file = files->crl;
    conf.needs_peer_cert = files->needs_client_cert;
    conf.keeps_peers = keeps_peers;
    conf.allowed_cns = names_of(cns);
    conf.allowed_hosts = names_of(hosts);
    return tls_context_create(t->env, &conf, out, error);
}

/* The pair used for dialling: --client-cert-file, else the server's own. */
static int open_dial(struct server_tls *t, const struct flags *f,
                     const struct server_tls_files *files, const struct strs *cns,
                     const struct strs *hosts, struct tls_context **out, struct buf *error)
{
    struct tls_config conf = base_config(f, TLS_CLIENT);
    bool has_own = files->client_cert[0] != '\0';
    conf.cert_file = has_own ? files->client_cert : files->cert;
    conf.key_file = has_own ? files->client_key : files->key;
    conf.ca_file = files->ca;
    conf.skips_verify = files->is_self_made;
    conf.keeps_peers = true;
    conf.allowed_cns = names_of(cns);
    conf.allowed_hosts = names_of(hosts);
    return tls_context_create(t->env, &conf, out, error);
}

/* ---- peers ---- */

static void warn_plain(const struct server_tls_files *f, const struct strs *urls, bool is_peer)
{
    const char *key = is_peer ? "peer-url" : "client-url";
    for (size_t i = 0; i < urls->count; i++) {
        const char *url = urls->items[i];
        enum url_scheme scheme = url_scheme_of(url);
        if (scheme != URL_HTTP && (is_peer || scheme != URL_UNIX)) {
            continue;
        }
        if (!is_empty(f)) {
            log_warn(is_peer ? "scheme is HTTP while key and cert files are present; ignoring key "
                               "and cert files"
                             : "scheme is http or unix while key and cert files are present; "
                               "ignoring key and cert files",
                     LOG_STR(key, url));
        }
        if (f->needs_client_cert) {
            log_warn(is_peer ? "scheme is HTTP while --peer-client-cert-auth is enabled; ignoring "
                               "client cert auth for this URL"
                             : "scheme is http or unix while --client-cert-auth is enabled; "
                               "ignoring client cert auth for this URL",
                     LOG_STR(key, url));
        }
    }
}

static int open_peer_listen(struct server_tls *t, const struct config *c, const struct strs *cns,
                            const struct strs *hosts, struct buf *error)
{
    const char *url = first_secure(&c->listen_peer);
    if (url == NULL) {
        return 0;
    }
    if (is_empty(&t->peer)) {
        struct slice a = url_address(url);
        buf_printf(error, "cannot listen on TLS for %.*s: KeyFile and CertFile are not presented",
                   (int)a.len, (const char *)a.data);
        return ERR_INVALID;
    }
    int err = check_pairs(&t->peer, error);
    if (err == 0) {
        err = check_allowed(cns, hosts, error);
    }
    if (err == 0) {
        err =
            open_listen(t, c->flags, &t->peer, cns, hosts, true, &t->contexts[CONTEXT_PEER], error);
    }
    return err;
}

static enum server_tls_end open_peer_contexts(struct server_tls *t, struct config *c,
                                              struct buf *error)
{
    struct strs cns = {0}, hosts = {0};
    if (!t->peer.is_self_made) {
        split_names(c->flags, FLAG_ID_PEER_CERT_ALLOWED_CN, &cns);
        split_names(c->flags, FLAG_ID_PEER_CERT_ALLOWED_HOSTNAME, &hosts);
    }
    enum server_tls_end end = SERVER_TLS_OK;
    if (open_peer_listen(t, c, &cns, &hosts, error) != 0) {
        log_error("creating peer listener failed", LOG_STR("error", buf_cstr(error)));
        end = SERVER_TLS_DISCOVERY_FAILED;
    } else {
        int err = is_empty(&t->peer) ? 0 : check_pairs(&t->peer, error);
        if (err == 0) {
            err = check_allowed(&cns, &hosts, error);
        }
        if (err == 0) {
            err = open_dial(t, c->flags, &t->peer, &cns, &hosts, &t->contexts[CONTEXT_DIAL], error);
        }
        end = err == 0 ? SERVER_TLS_OK : SERVER_TLS_BOOTSTRAP_FAILED;
    }
    strs_deinit(&cns);
    strs_deinit(&hosts);
    return end;
}

enum server_tls_end server_tls_open_peer(struct server_tls *t, struct env *env, struct config *c,
                                         struct buf *error)
{
    const struct flags *f = c->flags;
    t->env = env;
    peer_files(f, &t->peer);
    client_files(f, &t->client);
    if (tls_ciphers_check(flag_text(f, FLAG_ID_CIPHER_SUITES), error) != 0) {
        return SERVER_TLS_DISCOVERY_FAILED;
    }
    struct auto_tls a = {.is_wanted = flag_bool(f, FLAG_ID_PEER_AUTO_TLS),
                         .kind = "peer",
                         .urls = {&c->listen_peer}};
    enum server_tls_end end = carry_out_auto(env, c, &a, &t->peer, error);
    if (end != SERVER_TLS_OK) {
        return end;
    }
    if (!is_empty(&t->peer)) {
        log_files("starting with peer TLS", &t->peer, f);
    }
    warn_plain(&t->peer, &c->listen_peer, true);
    end = open_peer_contexts(t, c, error);
    if (end != SERVER_TLS_OK) {
        return end;
    }
    rpc_tls_source_init(&t->dial_source, t->contexts[CONTEXT_DIAL]);
    c->server.peer_dial_tls = &t->dial_source.factory;
    if (t->contexts[CONTEXT_PEER] != NULL) {
        rpc_tls_source_init(&t->peer_source, t->contexts[CONTEXT_PEER]);
        t->peer_source.is_peer = true;
        t->peer_source.alpn = "http/1.1"; /* the peer protocol is HTTP/1.1; never h2 */
        t->peer_source.checks_address = !flag_bool(f, FLAG_ID_PEER_SKIP_CLIENT_SAN_VERIFICATION);
        c->server.peer_tls = &t->peer_source.factory;
    }
    return SERVER_TLS_OK;
}

/* ---- clients ---- */

static int check_client_urls(const struct server_tls *t, const struct config *c, struct buf *error)
{
    const struct strs *lists[] = {&c->listen_client, &c->listen_client_http};
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        const char *url = is_empty(&t->client) ? first_secure(lists[k]) : NULL;
        if (url != NULL) {
            buf_printf(error,
                       "TLS key/cert (--cert-file, --key-file) must be provided for client url %s "
                       "with HTTPS scheme",
                       url);
            return ERR_INVALID;
        }
    }
    return 0;
}

/* etcd's gateway would dial with that pair; a bad one ends the start. */
static int check_client_pair(struct server_tls *t, const struct config *c, struct buf *error)
{
    static const struct strs none = {0};
    struct tls_context *pair = NULL;
    if (t->client.client_cert[0] == '\0') {
        return 0;
    }
    int err = open_dial(t, c->flags, &t->client, &none, &none, &pair, error);
    tls_context_unref(pair);
    return err;
}

static int open_client_context(struct server_tls *t, const struct config *c, struct buf *error)
{
    static const struct strs none = {0};
    struct strs hosts = {0};
    if (!t->client.is_self_made) {
        split_names(c->flags, FLAG_ID_CLIENT_CERT_ALLOWED_HOSTNAME, &hosts);
    }
    int err = check_pairs(&t->client, error);
    if (err == 0) {
        err = check_client_pair(t, c, error);
    }
    if (err == 0) {
        err = open_listen(t, c->flags, &t->client, &none, &hosts, false,
                          &t->contexts[CONTEXT_CLIENT], error);
    }
    if (err == 0) {
        err = tls_ciphers_check_h2(flag_text(c->flags, FLAG_ID_CIPHER_SUITES), error);
    }
    strs_deinit(&hosts);
    return err;
}

static void make_client_sources(struct server_tls *t, struct config *c)
{
    struct tls_context *ctx = t->contexts[CONTEXT_CLIENT];
    rpc_tls_source_init(&t->client_source, ctx);
    rpc_tls_source_init(&t->client_http_source, ctx);
    rpc_tls_source_init(&t->metrics_source, ctx);
    t->client_source.alpn = "h2";
    t->client_http_source.alpn = "http/1.1";
    t->metrics_source.alpn = "http/1.1";
    t->metrics_source.checks_address = true;
    c->server.client_tls = &t->client_source.factory;
    c->server.client_http_tls = &t->client_http_source.factory;
    c->server.metrics_tls = &t->metrics_source.factory;
}

enum server_tls_end server_tls_open_client(struct server_tls *t, struct env *env, struct config *c,
                                           struct buf *error)
{
    const struct flags *f = c->flags;
    struct auto_tls a = {.is_wanted = flag_bool(f, FLAG_ID_AUTO_TLS),
                         .kind = "client",
                         .urls = {&c->listen_client, &c->listen_client_http}};
    enum server_tls_end end = carry_out_auto(env, c, &a, &t->client, error);
    if (end != SERVER_TLS_OK) {
        return end;
    }
    warn_plain(&t->client, &c->listen_client, false);
    warn_plain(&t->client, &c->listen_client_http, false);
    if (check_client_urls(t, c, error) != 0) {
        return SERVER_TLS_DISCOVERY_FAILED;
    }
    bool is_used = first_secure(&c->listen_client) != NULL ||
                   first_secure(&c->listen_client_http) != NULL ||
                   (first_secure(&c->listen_metrics) != NULL && !is_empty(&t->client));
    if (!is_empty(&t->client)) {
        log_files("starting with client TLS", &t->client, f);
    }
    if (is_used && open_client_context(t, c, error) != 0) {
        log_error("setting up serving from embedded etcd failed.",
                  LOG_STR("error", buf_cstr(error)));
        return SERVER_TLS_LISTENER_FAILED;
    }
    if (is_used) {
        make_client_sources(t, c);
    }
    return SERVER_TLS_OK;
}

/* ---- life ---- */

static void files_free(struct server_tls_files *f)
{
    mem_free(f->own_cert);
    mem_free(f->own_key);
    *f = (struct server_tls_files){0};
}

void server_tls_close(struct server_tls *t)
{
    for (size_t i = 0; i < SERVER_TLS_CONTEXTS; i++) {
        tls_context_unref(t->contexts[i]);
        t->contexts[i] = NULL;
    }
    files_free(&t->client);
    files_free(&t->peer);
}

/* Without a certificate of our own there is nothing that changes under us. */
bool server_tls_is_used(const struct server_tls *t)
{
    return t->contexts[CONTEXT_CLIENT] != NULL || t->contexts[CONTEXT_PEER] != NULL;
}

/* ---- renewing ---- */

void server_tls_reload(struct server_tls *t, bool is_asked)
{
    static const char *const names[SERVER_TLS_CONTEXTS] = {"client", "peer", "peer dialling"};
    for (size_t i = 0; i < SERVER_TLS_CONTEXTS; i++) {
        struct buf error = BUF_INIT;
        bool is_changed = false;
        if (t->contexts[i] == NULL) {
            continue;
        }
        if (tls_context_reload(t->contexts[i], is_asked, &is_changed, &error) != 0) {
            log_error("TLS files were not reloaded; the ones in use stay",
                      LOG_STR("endpoint", names[i]), LOG_STR("error", buf_cstr(&error)));
        } else if (is_changed) {
            log_info("reloaded TLS files; new connections use them", LOG_STR("endpoint", names[i]));
        } else if (is_asked) {
            log_info("TLS files have not changed", LOG_STR("endpoint", names[i]));
        }
        buf_deinit(&error);
    }
}

static void watch_begin(struct server_tls_watch *w)
{
    w->is_running = true;
    w->asked_now = w->is_asked;
    w->is_asked = false;
    w->env->exec->ops->submit(w->env->exec, ENV_LANE_WORK, &w->job);
}

static void watch_fire(struct env_timer *t)
{
    watch_begin(container_of(t, struct server_tls_watch, timer));
}

static void watch_run(struct env_job *job)
{
    struct server_tls_watch *w = container_of(job, struct server_tls_watch, job);
    server_tls_reload(w->tls, w->asked_now);
}

static void watch_done(struct env_job *job)
{
    struct server_tls_watch *w = container_of(job, struct server_tls_watch, job);
    w->is_running = false;
    if (w->is_stopped) {
        w->on_stopped(w->arg);
    } else {
        w->env->exec->ops->timer_start(w->env->exec, &w->timer,
                                       w->is_asked ? 0 : LIMIT_TLS_RELOAD_MS);
    }
}

void server_tls_watch_start(struct server_tls_watch *w, struct env *env, struct server_tls *t)
{
    *w = (struct server_tls_watch){.tls = t,
                                   .env = env,
                                   .timer.fire = watch_fire,
                                   .job = {.run = watch_run, .done = watch_done}};
    env->exec->ops->timer_start(env->exec, &w->timer, LIMIT_TLS_RELOAD_MS);
}

void server_tls_watch_ask(struct server_tls_watch *w)
{
    w->is_asked = true;
    if (!w->is_running && !w->is_stopped) {
        w->env->exec->ops->timer_start(w->env->exec, &w->timer, 0);
    }
}

void server_tls_watch_stop(struct server_tls_watch *w, void (*on_stopped)(void *arg), void *arg)
{
    w->is_stopped = true;
    w->on_stopped = on_stopped;
    w->arg = arg;
    if (w->env != NULL && w->timer.is_active) {
        w->env->exec->ops->timer_stop(w->env->exec, &w->timer);
    }
    if (!w->is_running) {
        on_stopped(arg);
    }
}
