/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_lock: lock and elect: the recipes of etcd's client library (keys NAME/LEASE under one
 * prefix; the oldest holds, the others wait for the next older one to go).
 */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/ctl_kv_req.h"
#include "cmd/ctl_run.h"

/* Own place in the queue of a name. */
struct place {
    struct ctl_run run;
    char *prefix; /* "NAME/" */
    char *key;    /* "NAME/<lease>" */
    int64_t created;
    int64_t revision; /* of the answer that gave the lock */
};

static char *text_of(struct ctl *c, const char *prefix, bool has_id, int64_t id)
{
    struct buf text = BUF_INIT;
    buf_append_cstr(&text, prefix);
    if (has_id) {
        buf_printf(&text, "%s%" PRIx64, id < 0 ? "-" : "",
                   id < 0 ? 0 - (uint64_t)id : (uint64_t)id);
    } else {
        buf_append_byte(&text, '/');
    }
    char *s = ctl_cstr(c, buf_slice(&text));
    buf_deinit(&text);
    return s;
}

/* ---- requests ---- */

static struct wire_range_req oldest_of(struct place *p)
{
    return (struct wire_range_req){
        .key = slice_cstr(p->prefix),
        .range_end = ctl_prefix_end(&p->run.c->cli->arena, slice_cstr(p->prefix)),
        .limit = 1,
        .sort_order = WIRE_SORT_ASCEND,
        .sort_target = WIRE_SORT_CREATE,
    };
}

static int transact(struct place *p, const struct wire_txn_req *txn, struct wire_txn_resp *resp)
{
    struct ctl *c = p->run.c;
    struct buf body = BUF_INIT;
    struct buf raw = BUF_INIT;
    wire_txn_req_encode(&body, txn);
    int rc =
        ctl_ask(c, p->run.client, "/etcdserverpb.KV/Txn", CTL_NO_TIMEOUT, buf_slice(&body), &raw);
    /* What the answer points into stays with the command. */
    struct slice kept = slice_make(ctl_cstr(c, buf_slice(&raw)), raw.len);
    int err = rc != 0 ? 0 : wire_txn_resp_decode(kept, &c->cli->arena, resp);
    buf_deinit(&body);
    buf_deinit(&raw);
    return err != 0 ? ctl_bad_reply(c, err) : rc;
}

/* Enters the queue; *out_owner: the revision at which the oldest key was made, 0 = unknown. */
static int enter(struct place *p, const char *value, bool asks_owner, int64_t *out_owner)
{
    struct ctl *c = p->run.c;
    int64_t lease = client_session_lease(p->run.session);
    struct wire_txn_resp resp = {0};
    p->key = text_of(c, p->prefix, true, lease);
    struct wire_compare is_new = {.result = WIRE_EQUAL,
                                  .target = WIRE_COMPARE_CREATE,
                                  .key = slice_cstr(p->key),
                                  .operand_field = 5};
    struct wire_op owner = {.kind = WIRE_OP_RANGE, .range = oldest_of(p)};
    struct wire_op put = {
        .kind = WIRE_OP_PUT,
        .put = {.key = slice_cstr(p->key), .value = slice_cstr(value), .lease = lease}};
    struct wire_op get = {.kind = WIRE_OP_RANGE, .range = {.key = slice_cstr(p->key)}};
    struct wire_op success[] = {put, owner};
    struct wire_op failure[] = {get, owner};
    size_t ops = asks_owner ? 2 : 1;
    struct wire_txn_req txn = {&is_new, success, failure, 1, ops, ops};
    int rc = transact(p, &txn, &resp);
    if (rc != 0) {
        return rc;
    }
    if (resp.response_count != ops || (!resp.succeeded && resp.responses[0].range.kv_count == 0)) {
        return ctl_bad_reply(c, ERR_MALFORMED);
    }
    p->revision = resp.header.revision;
    p->created =
        resp.succeeded ? resp.header.revision : resp.responses[0].range.kvs[0].create_revision;
    *out_owner = 0;
    if (asks_owner) {
        const struct wire_range_resp *o = &resp.responses[1].range;
        *out_owner = o->kv_count == 0 ? p->created : o->kvs[0].create_revision;
    }
    return 0;
}

/* Gives the place up, if it is still ours. */
static int leave(struct place *p)
{
    struct ctl *c = p->run.c;
    struct wire_txn_resp resp;
    struct wire_compare is_ours = {.result = WIRE_EQUAL,
                                   .target = WIRE_COMPARE_CREATE,
                                   .key = slice_cstr(p->key),
                                   .operand_field = 5,
                                   .number = p->created};
    struct wire_op del = {.kind = WIRE_OP_DELETE, .del = {.key = slice_cstr(p->key)}};
    struct wire_txn_req txn = {&is_ours, &del, NULL, 1, 1, 0};
    (void)c;
    return transact(p, &txn, &resp);
}

/* ---- waiting ---- */

static int cancelled(struct ctl *c)
{
    return ctl_fail(&c->fail, CTL_RC_ERROR, "context canceled");
}

static bool has_delete(const struct wire_watch_resp *r)
{
    for (size_t i = 0; i < r->event_count; i++) {
        if (r->events[i].type == WIRE_EVENT_DELETE) {
            return true;
        }
    }
    return false;
}

/* Until key is deleted, or a signal. */
static int wait_for_delete(struct place *p, struct slice key, int64_t revision)
{
    struct ctl *c = p->run.c;
    struct client_watch *watch =
        ctl_run_watch(&p->run, &(struct client_watch_options){.key = key, .revision = revision});
    bool is_gone = false, is_ended = false;
    int rc = 0;
    while (rc == 0 && !is_gone && !is_ended) {
        struct client_watch_answer *a = client_watcher_take(p->run.watcher);
        if (a != NULL) {
            is_gone = has_delete(&a->resp);
            is_ended = a->is_end;
            if (is_ended) {
                rc = ctl_fail(&c->fail, CTL_RC_ERROR, "%s", buf_cstr(&a->error));
            }
            client_watch_answer_free(a);
        } else if (p->run.is_interrupted) {
            rc = cancelled(c);
        } else {
            ctl_run_turn(&p->run);
        }
    }
    if (!is_ended) {
        client_watch_stop(watch);
    }
    return rc;
}

/* Until no key of the prefix is older than ours. */
static int wait_for_turn(struct place *p)
{
    struct buf raw = BUF_INIT;
    struct wire_range_resp older;
    int rc;
    for (;;) {
        struct wire_range_req req = oldest_of(p);
        req.sort_order = WIRE_SORT_DESCEND;
        req.max_create_revision = p->created - 1;
        rc = ctl_run_range(&p->run, &req, &p->run.c->cli->arena, &raw, &older);
        if (rc != 0 || older.kv_count == 0) {
            break;
        }
        rc = wait_for_delete(p, older.kvs[0].key, older.header.revision);
        if (rc != 0) {
            break;
        }
    }
    buf_deinit(&raw);
    return rc;
}

/* The own key as a `get`; fails when it is gone. */
static int own_key(struct place *p, struct buf *raw, struct wire_range_resp *resp,
                   const char *lost_text)
{
    struct wire_range_req req = {.key = slice_cstr(p->key)};
    int rc = ctl_run_range(&p->run, &req, &p->run.c->cli->arena, raw, resp);
    if (rc == 0 && resp->kv_count == 0 && lost_text != NULL) {
        rc = ctl_fail(&p->run.c->fail, CTL_RC_ERROR, "%s", lost_text);
    }
    return rc;
}

static int lock(struct place *p)
{
    struct buf raw = BUF_INIT;
    struct wire_range_resp resp;
    int64_t owner = 0;
    int rc = enter(p, "", true, &owner);
    if (rc != 0 || owner == p->created) {
        return rc;
    }
    rc = wait_for_turn(p);
    rc = rc != 0 ? rc : own_key(p, &raw, &resp, "mutex: session is expired");
    if (rc == 0) {
        p->revision = resp.header.revision;
    } else {
        struct ctl_fail why = p->run.c->fail; /* what counts, whatever leaving says */
        ctl_fail_init(&p->run.c->fail);
        (void)!leave(p);
        ctl_fail_deinit(&p->run.c->fail);
        p->run.c->fail = why;
    }
    buf_deinit(&raw);
    return rc;
}

/* Prints the own key, then holds it until a signal or the end of the lease. */
static int hold(struct place *p, const char *lost_text, const char *expired_text)
{
    struct ctl *c = p->run.c;
    struct buf raw = BUF_INIT;
    struct wire_range_resp resp;
    int rc = own_key(p, &raw, &resp, lost_text);
    rc = rc != 0 ? rc : ctl_printed(c, print_get(&c->printer, buf_slice(&raw), &resp));
    buf_deinit(&raw);
    while (rc == 0 && !p->run.is_interrupted && !client_session_is_lost(p->run.session)) {
        ctl_run_turn(&p->run);
    }
    if (rc != 0) {
        return rc;
    }
    return p->run.is_interrupted ? leave(p) : ctl_fail(&c->fail, CTL_RC_ERROR, "%s", expired_text);
}

static int place_open(struct place *p, struct ctl *c, struct client *client, int64_t ttl)
{
    ctl_run_init(&p->run, c, client);
    p->prefix = text_of(c, ctl_cstr(c, c->cli->args[0]), false, 0);
    int rc = ctl_run_session(&p->run, ttl);
    return rc != 0 ? rc : ctl_run_signals(&p->run);
}

static void place_close(struct place *p)
{
    ctl_flush(p->run.c);
    ctl_run_deinit(&p->run);
    client_destroy(p->run.client);
}

/* ---- lock ---- */

/* The program's own end is ours. */
static int program_status(struct ctl *c, const struct os_exit *end)
{
    if (end->code == 0 && end->signo == 0) {
        return 0;
    }
    (void)ctl_fail(&c->fail, end->signo != 0 ? 255 : end->code, "%s", "");
    os_exit_text(end, &c->fail.text);
    return c->fail.rc;
}

static int run_locked(struct place *p, const struct slice *argv, size_t argc)
{
    struct ctl *c = p->run.c;
    struct os_exit end;
    struct buf key = BUF_INIT;
    char revision[64];
    buf_printf(&key, "ETCD_LOCK_KEY=%s", p->key);
    snprintf(revision, sizeof(revision), "ETCD_LOCK_REV=%" PRId64, p->revision);
    const char *const extra[] = {buf_cstr(&key), revision, NULL};
    int rc = ctl_run_program(&p->run, argv, argc, extra, &end);
    rc = rc != 0 ? rc : program_status(c, &end);
    buf_deinit(&key);
    struct ctl_fail why = c->fail; /* the program's failure counts before the unlock's */
    ctl_fail_init(&c->fail);
    int unlock_rc = leave(p);
    if (rc != 0) {
        ctl_fail_deinit(&c->fail);
        c->fail = why;
        return rc;
    }
    ctl_fail_deinit(&why);
    return unlock_rc;
}

int ctl_run_lock(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct place p = {0};
    if (ctx->arg_count == 0) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS,
                        "lock takes a lock name argument and an optional command to execute");
    }
    int rc = ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = place_open(&p, c, client, cli_number(ctx, "ttl"));
    rc = rc != 0 ? rc : lock(&p);
    if (rc == 0) {
        rc = ctx->arg_count > 1 ? run_locked(&p, ctx->args + 1, ctx->arg_count - 1)
                                : hold(&p, "lock lost on init", "session expired");
    }
    place_close(&p);
    return rc;
}

/* ---- elect ---- */

static int campaign(struct place *p, const char *value)
{
    int64_t unused;
    int rc = enter(p, value, false, &unused);
    if (rc != 0) {
        return rc;
    }
    rc = wait_for_turn(p);
    if (rc != 0 && p->run.is_interrupted) {
        (void)!leave(p);
        return cancelled(p->run.c);
    }
    return rc != 0 ? rc : hold(p, NULL, "elect: session expired");
}

/* A pair as a `get` that has it alone. */
static int print_leader(struct ctl *c, const struct wire_header *header, const struct wire_kv *kv)
{
    struct wire_kv one = *kv;
    struct wire_range_resp resp = {
        .has_header = true, .header = *header, .kvs = &one, .kv_count = 1};
    struct buf raw = BUF_INIT;
    wire_range_resp_encode(&raw, &resp);
    int rc = ctl_printed(c, print_get(&c->printer, buf_slice(&raw), &resp));
    buf_deinit(&raw);
    ctl_flush(c);
    return rc;
}

static int observer_lost(struct ctl *c)
{
    return ctl_fail(&c->fail, CTL_RC_ERROR, "elect: observer lost");
}

/* The next answer of the one watch, or NULL with *rc set, or NULL and 0 for a signal. */
static struct client_watch_answer *next_answer(struct place *p, int *rc)
{
    struct client_watch_answer *a;
    while ((a = client_watcher_take(p->run.watcher)) == NULL) {
        if (p->run.is_interrupted) {
            return NULL;
        }
        ctl_run_turn(&p->run);
    }
    if (a->is_end) {
        client_watch_answer_free(a);
        *rc = observer_lost(p->run.c);
        return NULL;
    }
    return a;
}

/* Waits for the first key under the prefix; its pair goes out.  *out_revision: the pair's. */
static int wait_for_leader(struct place *p, int64_t revision, struct buf *key,
                           int64_t *out_revision)
{
    struct slice prefix = slice_cstr(p->prefix);
    struct client_watch *watch = ctl_run_watch(
        &p->run,
        &(struct client_watch_options){.key = prefix,
                                       .range_end = ctl_prefix_end(&p->run.c->cli->arena, prefix),
                                       .revision = revision});
    struct client_watch_answer *a = NULL;
    int rc = 0;
    *out_revision = 0;
    while (*out_revision == 0 && rc == 0 && (a = next_answer(p, &rc)) != NULL) {
        for (size_t i = 0; i < a->resp.event_count && *out_revision == 0; i++) {
            const struct wire_event *e = &a->resp.events[i];
            if (e->type == WIRE_EVENT_PUT) {
                struct wire_header header = a->resp.header;
                header.revision = *out_revision = e->kv.mod_revision;
                buf_append_slice(key, e->kv.key);
                rc = print_leader(p->run.c, &header, &e->kv);
            }
        }
        client_watch_answer_free(a);
    }
    if (rc == 0) {
        client_watch_stop(watch);
    }
    return rc;
}

/* Prints every change of the leader's key until it goes. */
static int follow_leader(struct place *p, struct slice key, int64_t revision)
{
    struct client_watch *watch = ctl_run_watch(
        &p->run, &(struct client_watch_options){.key = key, .revision = revision + 1});
    struct client_watch_answer *a;
    bool is_gone = false;
    int rc = 0;
    while (!is_gone && rc == 0 && (a = next_answer(p, &rc)) != NULL) {
        for (size_t i = 0; i < a->resp.event_count && rc == 0 && !is_gone; i++) {
            const struct wire_event *e = &a->resp.events[i];
            is_gone = e->type == WIRE_EVENT_DELETE;
            rc = is_gone ? 0 : print_leader(p->run.c, &a->resp.header, &e->kv);
        }
        client_watch_answer_free(a);
    }
    if (rc == 0) {
        client_watch_stop(watch);
    }
    return rc;
}

static int observe(struct place *p)
{
    int rc = 0;
    while (rc == 0 && !p->run.is_interrupted) {
        struct buf raw = BUF_INIT;
        struct buf key = BUF_INIT;
        struct wire_range_resp resp = {0};
        struct wire_range_req req = oldest_of(p);
        int64_t revision = 0;
        rc = ctl_run_range(&p->run, &req, &p->run.c->cli->arena, &raw, &resp) != 0
                 ? observer_lost(p->run.c)
                 : 0;
        if (rc == 0 && resp.kv_count == 0) {
            rc = wait_for_leader(p, resp.header.revision, &key, &revision);
        } else if (rc == 0) {
            buf_append_slice(&key, resp.kvs[0].key);
            revision = resp.header.revision;
            rc = print_leader(p->run.c, &resp.header, &resp.kvs[0]);
        }
        if (rc == 0 && !p->run.is_interrupted) {
            rc = follow_leader(p, buf_slice(&key), revision);
        }
        buf_deinit(&raw);
        buf_deinit(&key);
    }
    return rc;
}

static int elect_args(struct cli_ctx *ctx, struct ctl *c)
{
    bool is_observer = cli_bool(ctx, "listen");
    if (ctx->arg_count != 1 && ctx->arg_count != 2) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS,
                        "elect takes one election name argument and an optional proposal argument");
    }
    if (ctx->arg_count == 1 && !is_observer) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "no proposal argument but -l not set");
    }
    if (ctx->arg_count == 2 && is_observer) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "proposal given but -l is set");
    }
    return 0;
}

int ctl_run_elect(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct place p = {0};
    bool is_candidate = ctx->arg_count == 2;
    int rc = ctx->arg_count == 1 || ctx->arg_count == 2 ? 0 : elect_args(ctx, c);
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = elect_args(ctx, c);
    if (rc != 0) {
        client_destroy(client);
        return rc;
    }
    rc = place_open(&p, c, client, CLIENT_SESSION_TTL_DEFAULT_S);
    if (rc == 0) {
        rc = is_candidate ? campaign(&p, ctl_cstr(c, ctx->args[1])) : observe(&p);
    }
    place_close(&p);
    return rc;
}
