/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ctl_run.h"
#include "cmd/print_text.h"

#include <signal.h>

void ctl_run_init(struct ctl_run *r, struct ctl *c, struct client *client)
{
    *r = (struct ctl_run){.c = c, .client = client};
}

void ctl_run_deinit(struct ctl_run *r)
{
    client_watcher_destroy(r->watcher);
    client_session_close(r->session);
    if (r->has_signals) {
        os_signal_unwatch(r->c->env, SIGINT);
        os_signal_unwatch(r->c->env, SIGTERM);
    }
}

static void on_event(void *arg)
{
    struct ctl_run *r = arg;
    os_loop_stop(r->c->env);
}

void ctl_run_turn(struct ctl_run *r)
{
    ctl_flush(r->c);
    os_loop_run(r->c->env);
}

static void on_signal(void *arg, int signo)
{
    struct ctl_run *r = arg;
    (void)signo;
    r->is_interrupted = true;
    on_event(r);
}

int ctl_run_signals(struct ctl_run *r)
{
    r->has_signals = true;
    int err = os_signal_watch(r->c->env, SIGINT, on_signal, r);
    err = err != 0 ? err : os_signal_watch(r->c->env, SIGTERM, on_signal, r);
    return err == 0 ? 0 : ctl_fail(&r->c->fail, CTL_RC_ERROR, "%s", err_text(err));
}

struct client_watcher *ctl_run_watcher(struct ctl_run *r)
{
    if (r->watcher == NULL) {
        r->watcher = client_watcher_create(r->client, r->c->env, on_event, r);
    }
    return r->watcher;
}

struct client_watch *ctl_run_watch(struct ctl_run *r, const struct client_watch_options *opts)
{
    return client_watch_start(ctl_run_watcher(r), opts);
}

int ctl_run_session(struct ctl_run *r, int64_t ttl_s)
{
    struct ctl *c = r->c;
    Etcdserverpb__LeaseGrantRequest req = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__LeaseGrantResponse resp;
    req.ttl = ttl_s;
    int rc = ctl_ask_pb(c, r->client, "/etcdserverpb.Lease/LeaseGrant", CTL_NO_TIMEOUT, &req.base,
                        &etcdserverpb__lease_grant_response__descriptor, &resp.base, NULL);
    if (rc != 0) {
        return rc;
    }
    uint64_t ttl = resp.ttl > 0 && resp.ttl < INT32_MAX ? (uint64_t)resp.ttl : 1;
    r->session = client_session_open(&(struct client_session_options){.client = r->client,
                                                                      .env = c->env,
                                                                      .lease = resp.id,
                                                                      .first_wait_ms = ttl * 1000,
                                                                      .on_lost = on_event,
                                                                      .arg = r});
    return 0;
}

/* ---- requests ---- */

int ctl_run_range(struct ctl_run *r, const struct wire_range_req *req, struct arena *arena,
                  struct buf *raw, struct wire_range_resp *resp)
{
    struct buf body = BUF_INIT;
    wire_range_req_encode(&body, req);
    int rc = ctl_ask(r->c, r->client, "/etcdserverpb.KV/Range", CTL_READ | CTL_NO_TIMEOUT,
                     buf_slice(&body), raw);
    int err = rc != 0 ? 0 : wire_range_resp_decode(buf_slice(raw), arena, resp);
    buf_deinit(&body);
    return err != 0 ? ctl_bad_reply(r->c, err) : rc;
}

/* ---- programs ---- */

static void on_child(void *arg, int signo)
{
    (void)signo;
    on_event(arg);
}

static int not_started(struct ctl *c, const char *name, int err)
{
    ensure(name != NULL);
    if (strchr(name, '/') != NULL) {
        return ctl_fail(&c->fail, CTL_RC_ERROR, "fork/exec %s: %s", name, os_last_text_go());
    }
    (void)ctl_fail(&c->fail, CTL_RC_ERROR, "exec: ");
    gotext_quote(&c->fail.text, slice_cstr(name));
    buf_printf(&c->fail.text, ": %s",
               err == ERR_NOT_FOUND ? "executable file not found in $PATH" : os_last_text_go());
    return CTL_RC_ERROR;
}

int ctl_run_program(struct ctl_run *r, const struct slice *argv, size_t argc,
                    const char *const env_extra[], struct os_exit *out)
{
    struct ctl *c = r->c;
    struct arena scratch;
    arena_init(&scratch, 0);
    char **words = arena_alloc(&scratch, (argc + 1) * sizeof(*words));
    int pid = -1;
    for (size_t i = 0; i < argc; i++) {
        words[i] = arena_strndup(&scratch, argv[i].len == 0 ? "" : (const char *)argv[i].data,
                                 argv[i].len);
    }
    words[argc] = NULL;
    ctl_flush(c); /* what came before stands before what the program says */
    int err = os_signal_watch(c->env, SIGCHLD, on_child, r);
    err = err != 0 ? err : os_spawn(words, env_extra, &pid);
    int rc = err == 0 ? 0 : not_started(c, words[0], err);
    while (rc == 0 && !os_child_try_wait(pid, out)) {
        os_loop_run(c->env);
    }
    os_signal_unwatch(c->env, SIGCHLD);
    arena_deinit(&scratch);
    return rc;
}
