/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_watch: watch, with programs (`-- CMD`) and interactive (`-i`).
 */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/ctl_run.h"
#include "cmd/ctl_watch_req.h"
#include "cmd/print_text.h"

enum { LINE_MAX_BYTES = 1 << 20 };

/* One watch: the `arg` of its answers. */
struct shown {
    struct ctl_watch_req req;
};

struct watching {
    struct ctl_run run;
    struct ctl_watch_env env;
    struct os_lines *lines;
    int rc;       /* non-zero: the command ends with it */
    bool is_over; /* the one watch of the command line ended */
};

/* ---- events ---- */

static char *env_entry(struct arena *a, const char *name, struct slice value)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s=", name);
    gotext_quote(&text, value);
    char *s = arena_strndup(a, text.data, text.len);
    buf_deinit(&text);
    return s;
}

/* `command ["sh" "-c"] error (WHY)` on stderr; then the program ends without more. */
static int program_failed(struct ctl *c, const struct ctl_watch_req *req, const char *why)
{
    buf_append_cstr(&c->err, "command [");
    for (size_t i = 0; i < req->exec_count; i++) {
        buf_append_cstr(&c->err, i > 0 ? " " : "");
        gotext_quote(&c->err, req->exec[i]);
    }
    buf_printf(&c->err, "] error (%s)\n", why);
    c->is_quiet = true;
    return CTL_RC_ERROR;
}

static int run_program(struct watching *w, const struct ctl_watch_req *req,
                       const struct wire_watch_resp *r, const struct wire_event *e)
{
    struct ctl *c = w->run.c;
    char revision[64];
    struct arena scratch;
    arena_init(&scratch, 0);
    snprintf(revision, sizeof(revision), "ETCD_WATCH_REVISION=%" PRId64, r->header.revision);
    const char *const extra[] = {
        revision,
        env_entry(&scratch, "ETCD_WATCH_EVENT_TYPE",
                  e->type == WIRE_EVENT_PUT ? SLICE_LIT("PUT") : SLICE_LIT("DELETE")),
        env_entry(&scratch, "ETCD_WATCH_KEY", e->kv.key),
        env_entry(&scratch, "ETCD_WATCH_VALUE", e->kv.value),
        NULL,
    };
    struct os_exit end;
    struct buf why = BUF_INIT;
    int rc = ctl_run_program(&w->run, req->exec, req->exec_count, extra, &end);
    if (rc != 0) {
        rc = program_failed(c, req, buf_cstr(&c->fail.text));
    } else if (end.code != 0 || end.signo != 0) {
        os_exit_text(&end, &why);
        rc = program_failed(c, req, buf_cstr(&why));
    }
    buf_deinit(&why);
    arena_deinit(&scratch);
    return rc;
}

static int show(struct watching *w, const struct client_watch_answer *a)
{
    struct ctl *c = w->run.c;
    const struct shown *shown = a->arg;
    if (a->is_end) {
        buf_append_cstr(&c->err, "watch was canceled (");
        buf_append_slice(&c->err, buf_slice(&a->error));
        buf_append_cstr(&c->err, ")\n");
    }
    if (client_watch_is_progress(a)) {
        buf_printf(&c->out, "progress notify: %" PRId64 "\n", a->resp.header.revision);
    }
    int rc = ctl_printed(c, print_watch(&c->printer, &a->resp));
    for (size_t i = 0; i < a->resp.event_count && rc == 0 && shown->req.exec_count > 0; i++) {
        rc = run_program(w, &shown->req, &a->resp, &a->resp.events[i]);
    }
    w->is_over = w->is_over || a->is_end;
    return rc;
}

/* All answers that wait. */
static void show_all(struct watching *w)
{
    struct client_watch_answer *a;
    while (w->rc == 0 && w->run.watcher != NULL &&
           (a = client_watcher_take(w->run.watcher)) != NULL) {
        w->rc = show(w, a);
        client_watch_answer_free(a);
    }
}

static void start(struct watching *w, const struct ctl_watch_req *req)
{
    struct shown *shown = arena_alloc(&w->run.c->cli->arena, sizeof(*shown));
    shown->req = *req;
    (void)ctl_run_watch(&w->run,
                        &(struct client_watch_options){.key = req->key,
                                                       .range_end = req->range_end,
                                                       .revision = req->revision,
                                                       .prev_kv = req->prev_kv,
                                                       .progress_notify = req->progress_notify,
                                                       .arg = shown});
}

/* ---- interactive ---- */

static void on_line(void *arg, struct slice line)
{
    struct watching *w = arg;
    struct ctl *c = w->run.c;
    struct ctl_watch_req req = {0};
    if (w->rc != 0) {
        return;
    }
    line = slice_make(ctl_cstr(c, line), line.len);
    buf_clear(&c->fail.text);
    switch (ctl_watch_line(line, &w->env, &c->cli->arena, &req, &c->fail)) {
    case CTL_WATCH_LINE_WATCH: start(w, &req); break;
    case CTL_WATCH_LINE_PROGRESS: client_watcher_progress(ctl_run_watcher(&w->run)); break;
    case CTL_WATCH_LINE_SKIP:
        buf_append_slice(&c->err, buf_slice(&c->fail.text));
        buf_append_byte(&c->err, '\n');
        ctl_flush(c);
        break;
    case CTL_WATCH_LINE_FATAL: w->rc = c->fail.rc; break;
    }
    os_loop_stop(c->env);
}

static void on_end(void *arg, int err)
{
    struct watching *w = arg;
    struct ctl *c = w->run.c;
    if (w->rc == 0) {
        w->rc = ctl_fail(&c->fail, CTL_RC_INVALID_INPUT, "error reading watch request line: %s",
                         err == ERR_END ? "EOF" : err_text(err));
    }
    os_loop_stop(c->env);
}

static int watch_lines(struct watching *w)
{
    int err = os_lines_start(w->run.c->env, LINE_MAX_BYTES, on_line, on_end, w, &w->lines);
    if (err != 0) {
        return ctl_fail(&w->run.c->fail, CTL_RC_INVALID_INPUT,
                        "error reading watch request line: %s", err_text(err));
    }
    while (w->rc == 0) {
        ctl_run_turn(&w->run);
        show_all(w);
    }
    os_lines_stop(w->lines);
    return w->rc;
}

/* ---- the command line ---- */

static int watch_one(struct watching *w, const struct ctl_watch_req *req)
{
    start(w, req);
    while (w->rc == 0 && !w->is_over) {
        ctl_run_turn(&w->run);
        show_all(w);
    }
    return w->rc != 0
               ? w->rc
               : ctl_fail(&w->run.c->fail, CTL_RC_INTERRUPTED, "watch is canceled by the server");
}

static struct slice variable(const char *name)
{
    const char *value = os_getenv(name);
    return value == NULL ? SLICE_NULL : slice_cstr(value);
}

int ctl_run_watch_cmd(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct ctl_watch_req req = {0};
    struct watching w = {
        .env = {variable("ETCDCTL_WATCH_KEY"), variable("ETCDCTL_WATCH_RANGE_END")}};
    bool is_interactive = cli_bool(ctx, "interactive");
    int rc = ctl_watch_env_check(&w.env, &c->fail);
    if (rc == 0 && !is_interactive) {
        rc = ctl_watch_req(ctx, &w.env, &req, &c->fail);
    }
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    ctl_run_init(&w.run, c, client);
    rc = is_interactive ? watch_lines(&w) : watch_one(&w, &req);
    ctl_flush(c);
    ctl_run_deinit(&w.run);
    client_destroy(client);
    return rc;
}
