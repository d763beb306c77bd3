/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_mirror: make-mirror: copies a prefix to another cluster, then every change.
 */
#include <inttypes.h>

#include "cmd/ctl_kv_req.h"
#include "cmd/ctl_run.h"

enum { PAGE_KEYS = 1000, REPORT_MS = 30000 };

struct mirror {
    struct ctl_run run; /* of the source */
    struct client *dest;
    struct env_timer report;
    struct slice prefix;
    struct slice dest_prefix;
    size_t ops_max;
    int64_t total;    /* keys and deletions done */
    int64_t revision; /* the last one copied */
    struct wire_op *ops;
    size_t op_count;
    struct arena arena; /* of what goes out next */
};

static void on_report(struct env_timer *t)
{
    struct mirror *m = container_of(t, struct mirror, report);
    struct ctl *c = m->run.c;
    buf_printf(&c->out, "%" PRId64 "\n", m->total);
    ctl_flush(c);
    c->env->exec->ops->timer_start(c->env->exec, &m->report, REPORT_MS);
}

/* The key with the destination's prefix instead of the source's. */
static struct slice renamed(struct mirror *m, struct slice key)
{
    size_t cut = m->prefix.len <= key.len ? m->prefix.len : 0;
    struct slice rest = slice_skip(key, cut);
    size_t len = m->dest_prefix.len + rest.len;
    uint8_t *to = arena_alloc(&m->arena, len + 1);
    if (m->dest_prefix.len > 0) {
        memcpy(to, m->dest_prefix.data, m->dest_prefix.len);
    }
    if (rest.len > 0) {
        memcpy(to + m->dest_prefix.len, rest.data, rest.len);
    }
    return slice_make(to, len);
}

/* ---- everything first ---- */

static int put_all(struct mirror *m, const struct wire_range_resp *page)
{
    struct ctl *c = m->run.c;
    struct buf body = BUF_INIT;
    struct buf reply = BUF_INIT;
    int rc = 0;
    for (size_t i = 0; i < page->kv_count && rc == 0; i++) {
        struct wire_put_req put = {.key = renamed(m, page->kvs[i].key),
                                   .value = page->kvs[i].value};
        buf_clear(&body);
        wire_put_req_encode(&body, &put);
        rc = ctl_ask(c, m->dest, "/etcdserverpb.KV/Put", CTL_NO_TIMEOUT, buf_slice(&body), &reply);
        m->total += rc == 0 ? 1 : 0;
    }
    buf_deinit(&body);
    buf_deinit(&reply);
    return rc;
}

/* All keys as they are at one revision, page by page. */
static int copy_base(struct mirror *m)
{
    struct buf raw = BUF_INIT;
    struct buf from = BUF_INIT;
    struct wire_range_resp resp;
    struct slice zero = slice_make("", 1);
    bool has_prefix = m->prefix.len > 0;
    struct wire_range_req probe = {.key = has_prefix ? m->prefix : SLICE_LIT("foo")};
    int rc = ctl_run_range(&m->run, &probe, &m->arena, &raw, &resp);
    m->revision = rc == 0 ? resp.header.revision : 0;
    struct wire_range_req req = {
        .range_end = has_prefix ? ctl_prefix_end(&m->run.c->cli->arena, m->prefix) : zero,
        .limit = PAGE_KEYS,
        .revision = m->revision,
        .sort_order = WIRE_SORT_ASCEND,
        .sort_target = WIRE_SORT_KEY,
    };
    buf_append_slice(&from, has_prefix ? m->prefix : zero);
    bool has_more = rc == 0;
    while (has_more) {
        arena_reset(&m->arena);
        req.key = buf_slice(&from);
        rc = ctl_run_range(&m->run, &req, &m->arena, &raw, &resp);
        rc = rc != 0 ? rc : put_all(m, &resp);
        has_more = rc == 0 && resp.more && resp.kv_count > 0;
        if (has_more) {
            buf_clear(&from);
            buf_append_slice(&from, resp.kvs[resp.kv_count - 1].key);
            buf_append_byte(&from, 0);
        }
    }
    buf_deinit(&raw);
    buf_deinit(&from);
    return rc;
}

/* ---- then every change ---- */

static int flush_ops(struct mirror *m)
{
    struct ctl *c = m->run.c;
    struct buf body = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct wire_txn_req txn = {.success = m->ops, .success_count = m->op_count};
    int rc = 0;
    if (m->op_count > 0) {
        wire_txn_req_encode(&body, &txn);
        rc = ctl_ask(c, m->dest, "/etcdserverpb.KV/Txn", CTL_NO_TIMEOUT, buf_slice(&body), &reply);
    }
    m->op_count = 0;
    buf_deinit(&body);
    buf_deinit(&reply);
    return rc;
}

static void add_op(struct mirror *m, const struct wire_event *e)
{
    struct slice key = renamed(m, e->kv.key);
    m->ops[m->op_count++] =
        e->type == WIRE_EVENT_DELETE
            ? (struct wire_op){.kind = WIRE_OP_DELETE, .del = {.key = key}}
            : (struct wire_op){.kind = WIRE_OP_PUT, .put = {.key = key, .value = e->kv.value}};
    m->total++;
}

/* Events of one revision go as one transaction, cut at ops_max. */
static int copy_events(struct mirror *m, const struct wire_watch_resp *r)
{
    int64_t last = 0;
    int rc = 0;
    size_t most = r->event_count < m->ops_max ? r->event_count : m->ops_max;
    arena_reset(&m->arena);
    m->ops = arena_alloc(&m->arena, (most + 1) * sizeof(*m->ops));
    for (size_t i = 0; i < r->event_count && rc == 0; i++) {
        int64_t revision = r->events[i].kv.mod_revision;
        if ((last != 0 && revision > last) || m->op_count == m->ops_max) {
            rc = flush_ops(m);
        }
        last = revision;
        if (rc == 0) {
            add_op(m, &r->events[i]);
        }
    }
    return rc != 0 ? rc : flush_ops(m);
}

static int copy_changes(struct mirror *m)
{
    struct ctl *c = m->run.c;
    struct slice zero = slice_make("", 1);
    bool has_prefix = m->prefix.len > 0;
    (void)ctl_run_watch(
        &m->run, &(struct client_watch_options){
                     .key = has_prefix ? m->prefix : zero,
                     .range_end = has_prefix ? ctl_prefix_end(&c->cli->arena, m->prefix) : zero,
                     .revision = m->revision + 1});
    int rc = 0;
    bool is_over = false;
    while (rc == 0 && !is_over) {
        struct client_watch_answer *a = client_watcher_take(m->run.watcher);
        if (a == NULL) {
            ctl_run_turn(&m->run);
            continue;
        }
        is_over = a->is_end;
        rc = is_over ? ctl_fail(&c->fail, CTL_RC_ERROR, "%s", buf_cstr(&a->error))
                     : copy_events(m, &a->resp);
        client_watch_answer_free(a);
    }
    return rc;
}

/* ---- the command ---- */

static int connect_dest(struct ctl *c, struct client **out)
{
    struct cli_ctx *ctx = c->cli;
    struct slice endpoint = ctx->args[0];
    struct ctl_target target = {.endpoints = &endpoint,
                                .count = 1,
                                .cert = ctl_cstr(c, cli_text(ctx, "dest-cert")),
                                .key = ctl_cstr(c, cli_text(ctx, "dest-key")),
                                .ca = ctl_cstr(c, cli_text(ctx, "dest-cacert")),
                                .is_insecure = cli_bool(ctx, "dest-insecure-transport"),
                                .tls = &c->dest_tls};
    ctl_flush(c);
    int rc = ctl_split_user(c, cli_text(ctx, "dest-user"), cli_text(ctx, "dest-password"),
                            "Destination Password: ", &target.user, &target.password);
    return rc != 0 ? rc : ctl_connect_target(c, &target, out);
}

static int mirror(struct mirror *m)
{
    struct ctl *c = m->run.c;
    struct env_exec *exec = c->env->exec;
    int64_t revision = cli_number(c->cli, "rev");
    bool has_dest = cli_text(c->cli, "dest-prefix").len > 0;
    bool has_none = cli_bool(c->cli, "no-dest-prefix");
    uint64_t ops_max = (uint64_t)cli_number(c->cli, "max-txn-ops");
    if (has_none && has_dest) {
        return ctl_fail(
            &c->fail, CTL_RC_BAD_ARGS,
            "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one");
    }
    m->prefix = cli_text(c->cli, "prefix");
    m->dest_prefix = cli_text(c->cli, "dest-prefix");
    m->ops_max = ops_max == 0 || ops_max > INT32_MAX ? INT32_MAX : ops_max;
    m->revision = revision - 1;
    m->report.fire = on_report;
    exec->ops->timer_start(exec, &m->report, REPORT_MS);
    int rc = 0;
    if (m->revision <= 0) {
        /* With --rev alone the prefix goes, as in the reference. */
        m->dest_prefix = has_none || has_dest ? m->dest_prefix : m->prefix;
        rc = copy_base(m);
    }
    rc = rc != 0 ? rc : copy_changes(m);
    exec->ops->timer_stop(exec, &m->report);
    return rc;
}

int ctl_run_make_mirror(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct mirror m = {0};
    int rc = ctl_need_args(c, 1, "make-mirror takes one destination argument");
    rc = rc != 0 ? rc : ctl_settings(c);
    rc = rc != 0 ? rc : connect_dest(c, &m.dest);
    if (rc != 0) {
        return rc;
    }
    rc = ctl_connect(c, &client);
    if (rc != 0) {
        client_destroy(m.dest);
        return rc;
    }
    ctl_run_init(&m.run, c, client);
    arena_init(&m.arena, 0);
    rc = mirror(&m);
    arena_deinit(&m.arena);
    ctl_flush(c);
    ctl_run_deinit(&m.run);
    client_destroy(client);
    client_destroy(m.dest);
    return rc;
}
