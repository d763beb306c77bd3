/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include <stdlib.h>

#include "base/list.h"
#include "client/endpoint.h"
#include "rpc/rpc_client.h"
#include "wire/kv.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    METADATA_MAX = 3,
    DEADLINE_SLACK_MS = 20,
    LOGIN_TIMEOUT_MS = 5000
};

enum link_state {
    LINK_IDLE, /* never tried, or the pause is over */
    LINK_CONNECTING,
    LINK_UP,
    LINK_DRAINING, /* GOAWAY: running calls end on it, no new ones */
    LINK_PAUSED,   /* failed; the timer makes it idle */
};

struct link {
    struct client *client;
    struct client_endpoint endpoint;
    struct rpc_channel *channel; /* connecting, up, draining */
    struct env_timer timer;
    uint64_t pause_ms;
    enum link_state state;
};

enum call_state { CALL_WAITING, CALL_RUNNING, CALL_PAUSED, CALL_ENDED };

struct client_call {
    struct list_node node;
    struct client *client;
    struct client_call_options opts; /* body points into own memory */
    struct env_timer deadline;
    struct env_timer pause;
    struct grpc_client_call *inner; /* running */
    uint64_t deadline_ms;           /* 0: none */
    unsigned attempts;
    bool has_message;
    bool is_held;       /* paused by the owner */
    bool has_new_token; /* it was made once more after a login */
    enum call_state state;
    uint8_t body[];
};

struct client {
    struct client_conf conf;
    struct list calls;
    char *token;
    char *user; /* for a new token; NULL: none */
    char *password;
    struct client_call *login; /* under way */
    char *user_agent;
    struct buf last_failure;
    size_t next; /* link to take next */
    bool is_kick_deferred;
    bool is_destroyed;
    size_t link_count;
    struct link links[];
};

static void kick(struct client *c);
static void kick_later(struct client *c);
static void link_connect(struct link *l);
static void link_close(struct link *l);
static void call_end(struct client_call *call, const struct client_status *status);

/* ---- life
 * ---------------------------------------------------------------------------------------- */

static void on_link_timer(struct env_timer *t);

static int links_init(struct client *c, const struct client_conf *conf)
{
    for (size_t i = 0; i < conf->endpoint_count; i++) {
        struct link *l = &c->links[i];
        *l = (struct link){.client = c, .pause_ms = CLIENT_RECONNECT_MS};
        int err = client_endpoint_parse(conf->endpoints[i], &l->endpoint);
        if (err != 0) {
            return err;
        }
        c->link_count++;
        l->timer.fire = on_link_timer;
        /* Nothing that should be secret goes out in plain text. */
        if (l->endpoint.tls == CLIENT_TLS_NEED && conf->tls == NULL) {
            return ERR_UNSUPPORTED;
        }
    }
    return 0;
}

int client_create(const struct client_conf *conf, struct client **out)
{
    size_t n = conf->endpoint_count;
    if (n == 0 || n > CLIENT_ENDPOINTS_MAX) {
        return ERR_INVALID;
    }
    struct client *c = mem_zalloc(sizeof(*c) + n * sizeof(c->links[0]));
    c->conf = *conf;
    c->user_agent = conf->user_agent == NULL ? NULL : mem_strdup(conf->user_agent);
    list_init(&c->calls);
    buf_init(&c->last_failure);
    int err = links_init(c, conf);
    if (err != 0) {
        client_destroy(c);
        return err;
    }
    *out = c;
    return 0;
}

static void client_free(struct client *c)
{
    buf_deinit(&c->last_failure);
    mem_free(c->token);
    mem_free(c->user);
    mem_free(c->password);
    mem_free(c->user_agent);
    mem_free(c);
}

void client_destroy(struct client *c)
{
    struct env_exec *exec = c->conf.env == NULL ? NULL : c->conf.env->exec;
    c->is_destroyed = true;
    LIST_FOREACH (&c->calls, node) {
        struct client_call *call = LIST_ENTRY(node, struct client_call, node);
        call->state = CALL_ENDED;
        ensure(exec != NULL); /* without an env there are no calls */
        exec->ops->timer_stop(exec, &call->deadline);
        exec->ops->timer_stop(exec, &call->pause);
    }
    for (size_t i = 0; i < c->link_count; i++) {
        link_close(&c->links[i]);
        client_endpoint_deinit(&c->links[i].endpoint);
    }
    LIST_FOREACH (&c->calls, node) {
        list_remove(node);
        mem_free(LIST_ENTRY(node, struct client_call, node));
    }
    if (!c->is_kick_deferred) {
        client_free(c);
    } /* else the deferred function does it */
}

void client_token_set(struct client *c, const char *token)
{
    mem_free(c->token);
    c->token = token == NULL ? NULL : mem_strdup(token);
}

void client_credentials_set(struct client *c, const char *user, const char *password)
{
    mem_free(c->user);
    mem_free(c->password);
    c->user = mem_strdup(user);
    c->password = mem_strdup(password);
}

const char *client_last_failure(const struct client *c)
{
    return c->last_failure.len == 0 ? "" : (const char *)c->last_failure.data;
}

/* ---- links
 * --------------------------------------------------------------------------------------- */

static void on_up(void *arg)
{
    struct link *l = arg;
    l->state = LINK_UP;
    l->pause_ms = CLIENT_RECONNECT_MS;
    kick_later(l->client);
}

static void on_goaway(void *arg)
{
    struct link *l = arg;
    l->state = LINK_DRAINING;
}

static void on_down(void *arg, int err, const char *text)
{
    struct link *l = arg;
    struct client *c = l->client;
    struct env_exec *exec = c->conf.env->exec;
    buf_clear(&c->last_failure);
    buf_append_cstr(&c->last_failure, text[0] != '\0' ? text : err_text(err));
    (void)buf_cstr(&c->last_failure);
    bool was_up = l->state == LINK_UP || l->state == LINK_DRAINING;
    rpc_channel_destroy(l->channel);
    l->channel = NULL;
    if (was_up) {
        l->state = LINK_IDLE;
        kick_later(c);
        return;
    }
    l->state = LINK_PAUSED;
    exec->ops->timer_start(exec, &l->timer, l->pause_ms);
    l->pause_ms =
        l->pause_ms * 2 > CLIENT_RECONNECT_MAX_MS ? CLIENT_RECONNECT_MAX_MS : l->pause_ms * 2;
}

static const struct rpc_channel_events link_events = {on_up, on_goaway, on_down};

static void on_link_timer(struct env_timer *t)
{
    struct link *l = container_of(t, struct link, timer);
    l->state = LINK_IDLE;
    kick(l->client);
}

static void link_connect(struct link *l)
{
    const struct client_conf *conf = &l->client->conf;
    struct env_exec *exec = conf->env->exec;
    uint64_t ping = conf->ping_interval_ms;
    struct rpc_channel_options opts = {
        .env = conf->env,
        .addr = l->endpoint.addr,
        .authority = l->endpoint.authority,
        .user_agent = l->client->user_agent,
        .tls = conf->tls,
        .connect_timeout_ms =
            conf->connect_timeout_ms != 0 ? conf->connect_timeout_ms : CONNECT_TIMEOUT_MS,
        .ping_interval_ms = ping != 0 && ping < CLIENT_PING_LEAST_MS ? CLIENT_PING_LEAST_MS : ping,
        .ping_timeout_ms = conf->ping_timeout_ms,
        .recv_bytes_max = conf->recv_bytes_max,
        .events = &link_events,
        .arg = l,
    };
    l->state = LINK_CONNECTING;
    int err = rpc_channel_open(&opts, &l->channel);
    if (err != 0) {
        buf_clear(&l->client->last_failure);
        buf_printf(&l->client->last_failure, "%s: %s", l->endpoint.addr, err_text(err));
        (void)buf_cstr(&l->client->last_failure);
        l->channel = NULL;
        l->state = LINK_PAUSED;
        exec->ops->timer_start(exec, &l->timer, CLIENT_RECONNECT_MAX_MS);
    }
}

static void link_close(struct link *l)
{
    struct env_exec *exec = l->client->conf.env->exec;
    exec->ops->timer_stop(exec, &l->timer);
    if (l->channel != NULL) {
        rpc_channel_destroy(l->channel);
        l->channel = NULL;
    }
}

/* The next link in turn that can take a call, or NULL.  Connects those that are idle. */
static struct link *link_pick(struct client *c)
{
    struct link *found = NULL;
    for (size_t i = 0; i < c->link_count; i++) {
        struct link *l = &c->links[(c->next + i) % c->link_count];
        if (l->state == LINK_IDLE) {
            link_connect(l);
        }
        if (l->state == LINK_UP && found == NULL) {
            found = l;
        }
    }
    if (found != NULL) {
        c->next = ((size_t)(found - c->links) + 1) % c->link_count;
    }
    return found;
}

/* ---- calls
 * --------------------------------------------------------------------------------------- */

static void on_inner_message(void *arg, struct grpc_client_call *inner, struct slice msg)
{
    struct client_call *call = arg;
    (void)inner;
    if (call->state == CALL_RUNNING) {
        call->has_message = true;
        call->opts.on_message(call->opts.arg, msg);
    }
}

static bool may_retry(const struct client_call *call, const struct grpc_status *status)
{
    if (status->code != GRPC_UNAVAILABLE || call->has_message ||
        call->attempts >= CLIENT_ATTEMPTS_MAX) {
        return false;
    }
    return call->opts.is_read || !status->is_sent;
}

/* 25 ms, plus or minus a tenth, so that many clients do not return together. */
static uint64_t pause_ms(struct client *c)
{
    uint8_t random;
    struct env_rand *r = c->conf.env->rand;
    r->ops->fill(r, &random, 1);
    return CLIENT_PAUSE_MS - 2 + random % 5;
}

/* A server resets a call when its own clock says that our time is over, a moment before ours does.
 */
static bool is_deadline_reset(const struct client_call *call, const struct grpc_status *status)
{
    return status->code == GRPC_CANCELLED && call->deadline_ms != 0 &&
           env_mono_ms(call->client->conf.env) + DEADLINE_SLACK_MS >= call->deadline_ms;
}

static void end_by_deadline(struct client_call *call)
{
    call_end(call, &(struct client_status){.code = GRPC_DEADLINE_EXCEEDED,
                                           .text = SLICE_LIT("context deadline exceeded"),
                                           .is_deadline = true});
}

/* ---- a new token ---- */

static bool wants_token(const struct client_call *call, const struct grpc_status *status)
{
    int err = err_rpc_from_text((const char *)status->message.data, status->message.len);
    return call->client->user != NULL && !call->has_new_token && !call->has_message &&
           (err == ERR_RPC_INVALID_AUTH_TOKEN || err == ERR_RPC_AUTH_OLD_REVISION);
}

static void on_token(void *arg, struct slice msg)
{
    struct client *c = arg;
    struct wire_scan s;
    wire_scan_init(&s, msg);
    while (wire_scan_next(&s)) {
        if (s.field == 2 && s.type == WIRE_LEN) {
            mem_free(c->token);
            c->token = mem_strndup(s.bytes.data, s.bytes.len);
        }
    }
}

/* With or without: those that wait go on, and a second refusal counts. */
static void on_login_done(void *arg, const struct client_status *status)
{
    struct client *c = arg;
    (void)status;
    c->login = NULL;
    kick_later(c);
}

bool client_token_renew(struct client *c)
{
    struct buf body = BUF_INIT;
    if (c->user == NULL) {
        return false;
    }
    if (c->login != NULL) {
        return true;
    }
    wire_append_bytes(&body, 1, slice_cstr(c->user));
    wire_append_bytes(&body, 2, slice_cstr(c->password));
    c->login = client_call_start(
        c, &(struct client_call_options){.method = "/etcdserverpb.Auth/Authenticate",
                                         .body = buf_slice(&body),
                                         .is_read = true,
                                         .timeout_ms = LOGIN_TIMEOUT_MS,
                                         .on_message = on_token,
                                         .on_done = on_login_done,
                                         .arg = c});
    ensure(c->login != NULL); /* a request of a few bytes: as any other allocation */
    c->login->has_new_token = true;
    buf_deinit(&body);
    return true;
}

static void on_inner_done(void *arg, struct grpc_client_call *inner,
                          const struct grpc_status *status)
{
    struct client_call *call = arg;
    struct client *c = call->client;
    struct env_exec *exec = c->conf.env->exec;
    (void)inner;
    call->inner = NULL;
    if (call->state != CALL_RUNNING) {
        return; /* cancelled by us */
    }
    if (is_deadline_reset(call, status)) {
        end_by_deadline(call);
        return;
    }
    if (wants_token(call, status)) {
        call->has_new_token = true;
        call->state = CALL_WAITING;
        (void)client_token_renew(c);
        return;
    }
    if (!may_retry(call, status)) {
        call_end(call, &(struct client_status){.code = status->code, .text = status->message});
        return;
    }
    size_t round = c->link_count / 2 + 1;
    if (call->attempts % round == 0) {
        call->state = CALL_PAUSED;
        exec->ops->timer_start(exec, &call->pause, pause_ms(c));
    } else {
        call->state = CALL_WAITING;
        kick_later(c);
    }
}

static const struct grpc_client_call_ops inner_ops = {
    .on_message = on_inner_message,
    .on_done = on_inner_done,
};

static void call_run(struct client_call *call, struct link *l)
{
    struct client *c = call->client;
    struct grpc_metadata metadata[METADATA_MAX] = {
        {SLICE_LIT("client-api-version"), SLICE_LIT("3.7")}};
    size_t count = 1;
    if (c->token != NULL) {
        metadata[count++] = (struct grpc_metadata){SLICE_LIT("token"), slice_cstr(c->token)};
    }
    if (call->opts.has_leader) {
        metadata[count++] = (struct grpc_metadata){SLICE_LIT("hasleader"), SLICE_LIT("true")};
    }
    uint64_t now = env_mono_ms(c->conf.env);
    struct grpc_client_call_options opts = {
        .path = call->opts.method,
        .metadata = metadata,
        .metadata_count = count,
        .timeout_ms = call->deadline_ms == 0        ? 0
                      : call->deadline_ms > now + 1 ? call->deadline_ms - now
                                                    : 1,
        .ops = &inner_ops,
        .arg = call,
    };
    call->state = CALL_RUNNING;
    call->attempts++;
    struct grpc_client *grpc = rpc_channel_client(l->channel);
    struct grpc_client_call *inner = call->opts.is_open
                                         ? grpc_client_start(grpc, &opts)
                                         : grpc_client_request(grpc, &opts, call->opts.body);
    if (inner == NULL || call->state != CALL_RUNNING) {
        return;
    }
    call->inner = inner;
    if (call->opts.is_open) {
        grpc_client_call_send(inner, call->opts.body);
    }
    if (call->is_held) {
        grpc_client_call_pause(inner);
    }
}

bool client_call_send(struct client_call *call, struct slice msg)
{
    if (call->inner == NULL) {
        return false;
    }
    grpc_client_call_send(call->inner, msg);
    return true;
}

void client_call_pause(struct client_call *call)
{
    call->is_held = true;
    if (call->inner != NULL) {
        grpc_client_call_pause(call->inner);
    }
}

void client_call_unpause(struct client_call *call)
{
    call->is_held = false;
    if (call->inner != NULL) {
        grpc_client_call_unpause(call->inner);
    }
}

static struct client_call *first_waiting(struct client *c)
{
    LIST_FOREACH (&c->calls, node) {
        struct client_call *call = LIST_ENTRY(node, struct client_call, node);
        /* While a login is under way its new token is waited for. */
        if (call->state == CALL_WAITING && (c->login == NULL || call == c->login)) {
            return call;
        }
    }
    return NULL;
}

static void kick(struct client *c)
{
    struct client_call *call;
    struct link *l;
    while ((call = first_waiting(c)) != NULL && (l = link_pick(c)) != NULL) {
        call_run(call, l);
    }
}

static void on_kick(void *arg)
{
    struct client *c = arg;
    c->is_kick_deferred = false;
    if (c->is_destroyed) {
        client_free(c);
    } else {
        kick(c);
    }
}

/* Later in this turn: never inside a callback of a channel. */
static void kick_later(struct client *c)
{
    struct env_exec *exec = c->conf.env->exec;
    if (!c->is_kick_deferred && !c->is_destroyed) {
        c->is_kick_deferred = true;
        exec->ops->defer(exec, on_kick, c);
    }
}

static void on_pause_over(struct env_timer *t)
{
    struct client_call *call = container_of(t, struct client_call, pause);
    call->state = CALL_WAITING;
    kick(call->client);
}

static void on_deadline(struct env_timer *t)
{
    end_by_deadline(container_of(t, struct client_call, deadline));
}

static void call_end(struct client_call *call, const struct client_status *status)
{
    struct client *c = call->client;
    struct env_exec *exec = c->conf.env->exec;
    struct grpc_client_call *inner = call->inner;
    call->state = CALL_ENDED;
    exec->ops->timer_stop(exec, &call->deadline);
    exec->ops->timer_stop(exec, &call->pause);
    if (inner != NULL) {
        call->inner = NULL;
        grpc_client_call_cancel(inner);
    }
    list_remove(&call->node);
    call->opts.on_done(call->opts.arg, status);
    mem_free(call);
}

void client_call_cancel(struct client_call *call)
{
    call_end(call, &(struct client_status){.code = GRPC_CANCELLED,
                                           .text = SLICE_LIT("context canceled")});
}

/* A request above our own limit ends here, with the reference's text. */
static void on_too_large(struct env_timer *t)
{
    struct client_call *call = container_of(t, struct client_call, pause);
    struct buf text = BUF_INIT;
    buf_printf(&text, "trying to send message larger than max (%zu vs. %zu)", call->opts.body.len,
               call->client->conf.send_bytes_max);
    call_end(call,
             &(struct client_status){.code = GRPC_RESOURCE_EXHAUSTED, .text = buf_slice(&text)});
    buf_deinit(&text);
}

struct client_call *client_call_start(struct client *c, const struct client_call_options *opts)
{
    struct client_call *call = mem_try_alloc(sizeof(*call) + opts->body.len);
    struct env_exec *exec = c->conf.env->exec;
    if (call == NULL) {
        return NULL;
    }
    *call = (struct client_call){.client = c, .opts = *opts};
    if (opts->body.len > 0) {
        memcpy(call->body, opts->body.data, opts->body.len);
    }
    call->opts.body = slice_make(call->body, opts->body.len);
    call->deadline.fire = on_deadline;
    call->pause.fire = on_pause_over;
    list_push_back(&c->calls, &call->node);
    if (c->conf.send_bytes_max == 0) {
        c->conf.send_bytes_max = CLIENT_SEND_BYTES_DEFAULT;
    }
    if (opts->body.len > c->conf.send_bytes_max) {
        call->state = CALL_PAUSED;
        call->pause.fire = on_too_large;
        exec->ops->timer_start(exec, &call->pause, 0);
        return call;
    }
    if (opts->timeout_ms != 0) {
        call->deadline_ms = env_mono_ms(c->conf.env) + opts->timeout_ms;
        exec->ops->timer_start(exec, &call->deadline, opts->timeout_ms);
    }
    call->state = CALL_WAITING;
    kick_later(c);
    return call;
}

/* ---- text
 * ---------------------------------------------------------------------------------------- */

const char *client_code_name(enum grpc_code code)
{
    static const char *const names[] = {
        "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
        "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
        "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
        "DataLoss", "Unauthenticated"};
    return (size_t)code < ARRAY_LEN(names) ? names[code] : "Unknown";
}

void client_status_text(const struct client_status *s, struct buf *out)
{
    if (s->is_deadline || s->code == GRPC_DEADLINE_EXCEEDED) {
        buf_append_cstr(out, "context deadline exceeded");
        return;
    }
    bool is_etcd = slice_has_prefix(s->text, SLICE_LIT("etcdserver: "));
    if (!is_etcd || err_rpc_from_text((const char *)s->text.data, s->text.len) == 0) {
        buf_printf(out, "rpc error: code = %s desc = ", client_code_name(s->code));
    }
    buf_append_slice(out, s->text);
}
