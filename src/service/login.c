/* SPDX-License-Identifier: Apache-2.0
 *
 * service/login: Authenticate, UserAdd and UserChangePassword (client-api 2.6.2): what needs
 * bcrypt.
 *
 * Problem     bcrypt takes tens of milliseconds: not on the core's thread, and not so often at once
 *             that cold reads and snapshots wait behind it.  No password may stand in the log.
 * Design      The hash, or the check, is a job of the work lane; then the request is proposed with
 * the hash in base64, or a login without any password.
 *
 *                 Authenticate:  barrier -> [bcrypt, unless just verified] -> proposal -> [JWT] ->
 * token
 *                                   ^-------- users or roles have changed meanwhile --+
 *                 UserAdd, ...:  [bcrypt] -> proposal -> answer
 *
 * A JWT is signed by this member when its login is applied; a simple token comes out of the applied
 * entry.
 * Ownership   A struct login lives until its answer, or, when the client has gone, until the job or
 *             the core gives it back. Passwords are wiped with it.
 * Limits      LOGIN_JOBS_MAX at once, LOGIN_WAITING_MAX behind them: then TOO_MANY_REQUESTS.
 */
#include "auth/password.h"
#include "base/gotext.h"
#include "base/log.h"
#include "service/internal.h"
#include "service/verified.h"

enum { LOGIN_JOBS_MAX = 2, LOGIN_WAITING_MAX = 1024 };

enum login_work { LOGIN_VERIFY, LOGIN_HASH, LOGIN_SIGN };

struct logins {
    struct service *service;
    struct env_timer tick; /* of the tokens */
    struct verified verified;
    struct list waiting; /* login.node: for a job */
    size_t waiting_count;
    size_t jobs;
};

struct login {
    struct list_node node;
    struct env_job job;
    struct core_request req;
    struct service *service;
    struct grpc_call *call; /* NULL: the client has gone */
    enum login_work work;
    bool is_in_core;
    struct buf name;
    struct buf password;
    struct buf options; /* UserAdd: as they will stand in the entry */
    bool has_options;
    uint32_t which;    /* of the proposal */
    uint64_t revision; /* of auth, when the password was looked at */
    struct buf hash;   /* of the user, to be compared with; made, to be stored */
    struct buf given;  /* in place of a hash: as the client has encoded it */
    uint8_t salt[AUTH_SALT_BYTES];
    unsigned cost;
    const struct auth_tokens *tokens;
    int64_t wall_ms;
    struct buf response;
    bool is_right;
    int err; /* of the job */
};

/* ---- life ---- */

static struct login **login_of(struct grpc_call *call)
{
    return grpc_call_user(call);
}

/* The compiler may not leave it out. */
static void wipe(struct buf *b)
{
    volatile uint8_t *p = b->data;
    for (size_t i = 0; i < b->cap; i++) {
        p[i] = 0;
    }
    buf_deinit(b);
}

static void login_free(struct login *l)
{
    buf_deinit(&l->name);
    wipe(&l->password);
    buf_deinit(&l->options);
    buf_deinit(&l->hash);
    buf_deinit(&l->given);
    buf_deinit(&l->response);
    mem_free(l);
}

static void on_core_reply(struct core_request *r);

static struct login *login_begin(struct grpc_call *call)
{
    struct login *l = mem_zalloc(sizeof(*l));
    list_node_init(&l->node);
    l->service = grpc_call_service(call);
    l->call = call;
    *login_of(call) = l;
    return l;
}

static void finish_err(struct login *l, int err)
{
    service_refuse(l->call, err);
    login_free(l);
}

static void finish(struct login *l)
{
    struct service *s = l->service;
    struct wire_header h = service_header(s, l->req.header_rev);
    struct buf *out = service_scratch(s);
    wire_append_header(out, &h);
    buf_append_slice(out, buf_slice(&l->response));
    grpc_call_finish_unary(l->call, buf_slice(out));
    login_free(l);
}

static struct env *env_of(const struct login *l)
{
    return driver_env(l->service->driver);
}

/* ---- jobs: a few at a time ---- */

static void job_start(struct login *l);
static void job_over(struct login *l);

static void job_run(struct env_job *job)
{
    struct login *l = container_of(job, struct login, job);
    char hash[AUTH_HASH_LEN];
    switch (l->work) {
    case LOGIN_VERIFY:
        l->is_right = auth_password_verify(buf_slice(&l->hash), buf_slice(&l->password));
        l->err = 0;
        break;
    case LOGIN_HASH:
        l->err = auth_password_hash(buf_slice(&l->password), l->cost, l->salt, hash);
        if (l->err == 0) {
            buf_append(&l->hash, hash, sizeof(hash));
        }
        break;
    case LOGIN_SIGN:
        l->err =
            auth_tokens_sign(l->tokens, buf_slice(&l->name), l->revision, l->wall_ms, &l->response);
        break;
    }
}

static void job_done(struct env_job *job)
{
    struct login *l = container_of(job, struct login, job);
    struct logins *all = l->service->logins;
    all->jobs--;
    if (!list_is_empty(&all->waiting)) {
        struct login *next = LIST_ENTRY(list_first(&all->waiting), struct login, node);
        list_remove(&next->node);
        all->waiting_count--;
        job_start(next);
    }
    if (l->call == NULL) {
        login_free(l);
    } else {
        job_over(l);
    }
}

static void job_start(struct login *l)
{
    struct env_exec *exec = env_of(l)->exec;
    l->service->logins->jobs++;
    l->job.run = job_run;
    l->job.done = job_done;
    exec->ops->submit(exec, ENV_LANE_WORK, &l->job);
}

static void work(struct login *l, enum login_work what)
{
    struct logins *all = l->service->logins;
    l->work = what;
    if (all->jobs < LOGIN_JOBS_MAX) {
        job_start(l);
    } else if (all->waiting_count < LOGIN_WAITING_MAX) {
        all->waiting_count++;
        list_push_back(&all->waiting, &l->node);
    } else {
        finish_err(l, ERR_RPC_TOO_MANY_REQUESTS);
    }
}

/* ---- the core ---- */

static void to_core(struct login *l, enum core_kind kind)
{
    core_request_init(&l->req, kind);
    l->req.on_reply = on_core_reply;
    l->is_in_core = true;
}

/* InternalAuthenticateRequest{1: name, 3: random part of a simple token}; in nobody's name. */
static void propose_login(struct login *l)
{
    struct auth_tokens *tokens = auth_store_tokens(core_auth(l->service->core));
    struct buf body = BUF_INIT, prefix = BUF_INIT;
    if (tokens != NULL) {
        auth_tokens_prefix(tokens, env_of(l)->rand, &prefix);
    }
    wire_append_bytes(&body, 1, buf_slice(&l->name));
    wire_append_bytes(&body, 3, buf_slice(&prefix));
    buf_clear(&l->response);
    to_core(l, CORE_PROPOSE);
    l->req.which = WIRE_INTERNAL_AUTHENTICATE;
    l->req.body = buf_slice(&body);
    l->req.response = &l->response;
    driver_submit(l->service->driver, &l->req); /* copies the body */
    buf_deinit(&body);
    buf_deinit(&prefix);
}

/* AuthUserAddRequest{1: name, 3: options, 4: hash}, AuthUserChangePasswordRequest{1: name, 3: hash}
 */
static void propose_password(struct login *l)
{
    struct buf body = BUF_INIT, text = BUF_INIT;
    struct auth_who who;
    int err = service_identify(l->call, &who);
    if (err != 0) {
        finish_err(l, err);
        return;
    }
    bool is_add = l->which == WIRE_INTERNAL_AUTH_USER_ADD;
    gotext_base64(&text, buf_slice(&l->hash));
    buf_append_slice(&text, buf_slice(&l->given)); /* one of the two is empty */
    wire_append_bytes(&body, 1, buf_slice(&l->name));
    if (l->has_options) {
        wire_append_message(&body, 3, buf_slice(&l->options));
    }
    wire_append_bytes(&body, is_add ? 4 : 3, buf_slice(&text));
    to_core(l, CORE_PROPOSE);
    l->req.which = l->which;
    l->req.body = buf_slice(&body);
    l->req.response = &l->response;
    l->req.username = who.user;
    l->req.auth_revision = who.revision;
    driver_submit(l->service->driver, &l->req); /* copies body and name */
    buf_deinit(&body);
    buf_deinit(&text);
}

/* ---- Authenticate ---- */

static struct verified_login verified_of(const struct login *l)
{
    return (struct verified_login){.user = buf_slice(&l->name),
                                   .hash = buf_slice(&l->hash),
                                   .password = buf_slice(&l->password),
                                   .revision = l->revision};
}

static void check_password(struct login *l)
{
    struct service *s = l->service;
    struct auth_store *auth = core_auth(s->core);
    struct slice hash;
    l->revision = auth_revision(auth);
    int err = auth_password_of(auth, buf_slice(&l->name), &hash);
    if (err != 0) {
        finish_err(l, err);
        return;
    }
    buf_clear(&l->hash);
    buf_append_slice(&l->hash, hash);
    const struct verified_login v = verified_of(l);
    if (verified_has(&s->logins->verified, &v)) {
        propose_login(l);
    } else {
        work(l, LOGIN_VERIFY);
    }
}

static void login_applied(struct login *l)
{
    struct auth_store *auth = core_auth(l->service->core);
    struct env_clock *clock = env_of(l)->clock;
    if (auth_revision(auth) != l->revision) {
        check_password(l); /* he may have another password by now, or be gone */
        return;
    }
    l->tokens = auth_store_tokens(auth);
    if (l->tokens == NULL || auth_tokens_kind(l->tokens) != AUTH_TOKEN_JWT) {
        finish(l);
        return;
    }
    l->wall_ms = clock->ops->wall_ns(clock) / 1000000;
    work(l, LOGIN_SIGN);
}

/* ---- what comes back ---- */

static void token_signed(struct login *l)
{
    struct buf token = l->response;
    l->response = BUF_INIT;
    wire_append_bytes(&l->response, 2, buf_slice(&token));
    buf_deinit(&token);
    finish(l);
}

static void job_over(struct login *l)
{
    if (l->err != 0) {
        finish_err(l, l->err);
    } else if (l->work == LOGIN_HASH) {
        propose_password(l);
    } else if (l->work == LOGIN_SIGN) {
        token_signed(l);
    } else if (l->is_right) {
        const struct verified_login v = verified_of(l);
        verified_add(&l->service->logins->verified, &v);
        propose_login(l);
    } else {
        log_info("invalid password", LOG_SLICE("user-name", buf_slice(&l->name)));
        finish_err(l, ERR_RPC_AUTH_FAILED);
    }
}

static void on_core_reply(struct core_request *r)
{
    struct login *l = container_of(r, struct login, req);
    l->is_in_core = false;
    if (l->call == NULL) {
        login_free(l);
    } else if (r->err != 0) {
        finish_err(l, r->err);
    } else if (r->kind == CORE_BARRIER) {
        check_password(l);
    } else if (r->which == WIRE_INTERNAL_AUTHENTICATE) {
        login_applied(l);
    } else {
        finish(l);
    }
}

void login_on_cancel(struct grpc_call *call, int err)
{
    (void)err;
    struct login *l = *login_of(call);
    service_unhold(call);
    if (l == NULL) {
        return;
    }
    l->call = NULL;
    if (l->is_in_core) {
        driver_cancel(l->service->driver, &l->req);
    } else if (list_node_is_linked(&l->node)) {
        list_remove(&l->node);
        l->service->logins->waiting_count--;
        login_free(l);
    }
}

/* ---- requests ---- */

struct password_req {
    struct slice text[5]; /* by field */
    bool no_password;
    bool has_options;
};

static int options_take(struct password_req *r, struct slice in)
{
    struct wire_scan s;
    r->has_options = true;
    for (wire_scan_init(&s, in); wire_scan_next(&s);) {
        if (s.type == WIRE_VARINT && s.field == 1) {
            r->no_password = s.number != 0;
        }
    }
    return s.err;
}

/* All fields are texts but the options, field 3 of UserAdd. */
static int req_decode(struct slice msg, uint32_t options_field, struct password_req *out)
{
    struct password_req r = {{SLICE_NULL}, false, false};
    struct wire_scan s;
    int err = 0;
    for (wire_scan_init(&s, msg); err == 0 && wire_scan_next(&s);) {
        if (s.type != WIRE_LEN || s.field >= ARRAY_LEN(r.text)) {
            continue;
        }
        if (s.field == options_field) {
            err = options_take(&r, s.bytes);
        } else if (!wire_utf8_valid(s.bytes)) {
            err = ERR_MALFORMED;
        } else {
            r.text[s.field] = s.bytes;
        }
    }
    err = err != 0 ? err : s.err;
    if (err == 0) {
        *out = r;
    }
    return err;
}

void authenticate_on_message(struct grpc_call *call, struct slice msg)
{
    struct password_req r;
    int err = req_decode(msg, 0, &r);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    struct login *l = login_begin(call);
    buf_append_slice(&l->name, r.text[1]);
    buf_append_slice(&l->password, r.text[2]);
    to_core(l, CORE_BARRIER);
    driver_submit(l->service->driver, &l->req);
}

static void hash(struct login *l)
{
    struct env_rand *rand = env_of(l)->rand;
    unsigned cost = l->service->o.bcrypt_cost;
    rand->ops->fill(rand, l->salt, sizeof(l->salt));
    l->cost = cost == 0 ? AUTH_BCRYPT_COST_DEFAULT : cost;
    if (l->password.len > AUTH_PASSWORD_MAX) {
        finish_err(l, ERR_RPC_PASSWORD_TOO_LONG);
    } else {
        work(l, LOGIN_HASH);
    }
}

void user_add_on_message(struct grpc_call *call, struct slice msg)
{
    struct password_req r;
    int err = req_decode(msg, 3, &r);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    struct login *l = login_begin(call);
    l->which = WIRE_INTERNAL_AUTH_USER_ADD;
    l->has_options = r.has_options;
    wire_append_u64(&l->options, 1, r.no_password);
    buf_append_slice(&l->name, r.text[1]);
    if (r.no_password) {
        propose_password(l); /* whatever was given stays out of the log */
        return;
    }
    buf_append_slice(&l->password, r.text[2]);
    hash(l);
}

/* Without a password the client's own hash is taken, as etcd does. */
void change_password_on_message(struct grpc_call *call, struct slice msg)
{
    struct password_req r;
    int err = req_decode(msg, 0, &r);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    struct login *l = login_begin(call);
    l->which = WIRE_INTERNAL_AUTH_USER_CHANGE_PASSWORD;
    buf_append_slice(&l->name, r.text[1]);
    if (r.text[2].len > 0) {
        buf_append_slice(&l->password, r.text[2]);
        hash(l);
        return;
    }
    buf_append_slice(&l->given, r.text[3]);
    propose_password(l);
}

/* ---- all ---- */

static void on_tick(struct env_timer *t)
{
    struct logins *all = container_of(t, struct logins, tick);
    struct env *env = driver_env(all->service->driver);
    struct auth_tokens *tokens = auth_store_tokens(core_auth(all->service->core));
    if (tokens != NULL) {
        const struct auth_now now = {.mono_ms = env_mono_ms(env),
                                     .wall_ms = env->clock->ops->wall_ns(env->clock) / 1000000};
        auth_tokens_tick(tokens, now);
        env->exec->ops->timer_start(env->exec, &all->tick, AUTH_TOKEN_TICK_MS);
    }
}

void logins_start(struct service *s)
{
    on_tick(&s->logins->tick);
}

void logins_create(struct service *s)
{
    struct env_rand *rand = driver_env(s->driver)->rand;
    s->logins = mem_zalloc(sizeof(*s->logins));
    s->logins->service = s;
    s->logins->tick.fire = on_tick;
    list_init(&s->logins->waiting);
    rand->ops->fill(rand, s->logins->verified.key, sizeof(s->logins->verified.key));
}

void logins_stop(struct service *s)
{
    struct env_exec *exec = driver_env(s->driver)->exec;
    exec->ops->timer_stop(exec, &s->logins->tick);
    LIST_FOREACH (&s->logins->waiting, n) {
        list_remove(n);
        s->logins->waiting_count--;
        finish_err(LIST_ENTRY(n, struct login, node), ERR_RPC_STOPPED);
    }
}

void logins_destroy(struct service *s)
{
    mem_free(s->logins);
}
