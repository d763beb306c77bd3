/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_kv: get, put, del, txn, compaction.
 */
#include <inttypes.h>

#include "cmd/ctl.h"
#include "cmd/ctl_kv_req.h"
#include "cmd/print_text.h"
#include "os/os.h"
#include "wire/response.h"

enum { DEL_WAIT_MS = 2000 };

/* ---- get
 * ----------------------------------------------------------------------------------------- */

/* The parts of a streamed result, one behind the other. */
struct parts {
    struct buf raw; /* every part's bytes */
    size_t *ends;
    size_t count;
    size_t cap;
};

static int parts_add(void *arg, struct slice msg)
{
    struct parts *p = arg;
    if (buf_try_reserve(&p->raw, msg.len) != 0) {
        return ERR_NOMEM;
    }
    buf_append_slice(&p->raw, msg);
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 16 : p->cap * 2;
        p->ends = mem_realloc(p->ends, p->cap * sizeof(*p->ends));
    }
    p->ends[p->count++] = p->raw.len;
    return 0;
}

/* One response out of the parts: the last header, more and count, and all pairs. */
static int parts_join(const struct parts *p, struct arena *a, struct wire_range_resp *out)
{
    struct wire_range_resp *list = arena_alloc(a, (p->count + 1) * sizeof(*list));
    size_t total = 0;
    size_t start = 0;
    *out = (struct wire_range_resp){0};
    for (size_t i = 0; i < p->count; i++) {
        struct slice part = slice_make(p->raw.data + start, p->ends[i] - start);
        int err = wire_range_stream_resp_decode(part, a, &list[i]);
        if (err != 0) {
            return err;
        }
        start = p->ends[i];
        total += list[i].kv_count;
        if (list[i].has_header) {
            out->has_header = true;
            out->header = list[i].header;
        }
        out->more = out->more || list[i].more;
        out->count = list[i].count != 0 ? list[i].count : out->count;
    }
    out->kvs = arena_try_alloc(a, (total + 1) * sizeof(*out->kvs));
    if (out->kvs == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < p->count; i++) {
        if (list[i].kv_count > 0) {
            memcpy(out->kvs + out->kv_count, list[i].kvs, list[i].kv_count * sizeof(*out->kvs));
        }
        out->kv_count += list[i].kv_count;
    }
    return 0;
}

static int get_stream(struct ctl *c, struct client *client, struct slice body, struct parts *p,
                      struct buf *raw, struct wire_range_resp *out)
{
    struct client_request req = {.method = "/etcdserverpb.KV/RangeStream",
                                 .body = body,
                                 .is_read = true,
                                 .timeout_ms = ctl_timeout_ms(c)};
    int err = client_ask_stream(client, &c->runner, &req, parts_add, p, &c->error);
    if (err != 0) {
        return ctl_fail(&c->fail, CTL_RC_ERROR, "%s",
                        err == ERR_NOMEM ? err_text(err) : buf_cstr(&c->error.text));
    }
    err = parts_join(p, &c->cli->arena, out);
    if (err != 0) {
        return ctl_bad_reply(c, err);
    }
    if (c->printer.format == PRINT_PROTOBUF) {
        wire_range_resp_encode(raw, out);
    }
    return 0;
}

static int get_once(struct ctl *c, struct client *client, struct slice body, struct buf *raw,
                    struct wire_range_resp *out)
{
    int rc = ctl_ask(c, client, "/etcdserverpb.KV/Range", CTL_READ, body, raw);
    if (rc != 0) {
        return rc;
    }
    int err = wire_range_resp_decode(buf_slice(raw), &c->cli->arena, out);
    return err == 0 ? 0 : ctl_bad_reply(c, err);
}

static int get_print(struct ctl *c, struct slice raw, const struct wire_range_resp *resp)
{
    if (cli_bool(c->cli, "count-only") && c->printer.format != PRINT_FIELDS) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "--count-only is only for `--write-out=fields`");
    }
    if (cli_bool(c->cli, "print-value-only")) {
        if (c->printer.format != PRINT_SIMPLE) {
            return ctl_fail(&c->fail, CTL_RC_BAD_ARGS,
                            "print-value-only is only for `--write-out=simple`");
        }
        c->printer.is_value_only = true;
    }
    return ctl_printed(c, print_get(&c->printer, raw, resp));
}

int ctl_run_get(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct wire_range_req req;
    struct client *client;
    int rc = ctl_get_req(ctx, &req, &c->fail);
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    struct buf body = BUF_INIT;
    struct buf raw = BUF_INIT;
    struct parts parts = {.raw = BUF_INIT};
    struct wire_range_resp resp;
    wire_range_req_encode(&body, &req);
    rc = cli_bool(ctx, "stream") ? get_stream(c, client, buf_slice(&body), &parts, &raw, &resp)
                                 : get_once(c, client, buf_slice(&body), &raw, &resp);
    rc = rc != 0 ? rc : get_print(c, buf_slice(&raw), &resp);
    client_destroy(client);
    buf_deinit(&body);
    buf_deinit(&raw);
    buf_deinit(&parts.raw);
    mem_free(parts.ends);
    return rc;
}

/* ---- put, del, compaction
 * ------------------------------------------------------------------------ */

static bool value_from_stdin(void *arg, struct slice *out)
{
    struct buf *text = arg;
    if (os_read_stdin(text, CTL_STDIN_MAX) != 0 || text->len == 0) {
        return false;
    }
    *out = buf_slice(text);
    return true;
}

int ctl_run_put(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct buf text = BUF_INIT;
    struct buf body = BUF_INIT;
    struct buf raw = BUF_INIT;
    struct wire_put_req req;
    struct wire_put_resp resp;
    struct client *client;
    int rc = ctl_put_req(ctx, value_from_stdin, &text, &req, &c->fail);
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc == 0) {
        wire_put_req_encode(&body, &req);
        rc = ctl_ask(c, client, "/etcdserverpb.KV/Put", 0, buf_slice(&body), &raw);
        int err = rc != 0 ? 0 : wire_put_resp_decode(buf_slice(&raw), &resp);
        rc = err != 0 ? ctl_bad_reply(c, err) : rc;
        rc = rc != 0 ? rc : ctl_printed(c, print_put(&c->printer, buf_slice(&raw), &resp));
        client_destroy(client);
    }
    buf_deinit(&text);
    buf_deinit(&body);
    buf_deinit(&raw);
    return rc;
}

/* The pause before a range is deleted, in which the user may interrupt. */
static void del_wait(struct ctl *c)
{
    if (c->fail.is_delayed_del) {
        buf_append_slice(&c->err, buf_slice(&c->fail.before));
        buf_clear(&c->fail.before);
        c->fail.is_delayed_del = false;
        ctl_flush(c);
        os_loop_run_for(c->env, DEL_WAIT_MS);
    }
}

int ctl_run_del(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct buf body = BUF_INIT;
    struct buf raw = BUF_INIT;
    struct wire_delete_req req;
    struct wire_delete_resp resp;
    struct client *client;
    int rc = ctl_del_req(ctx, &req, &c->fail);
    if (rc == 0) {
        del_wait(c);
        rc = ctl_connect(c, &client);
    }
    if (rc == 0) {
        wire_delete_req_encode(&body, &req);
        rc = ctl_ask(c, client, "/etcdserverpb.KV/DeleteRange", 0, buf_slice(&body), &raw);
        int err = rc != 0 ? 0 : wire_delete_resp_decode(buf_slice(&raw), &ctx->arena, &resp);
        rc = err != 0 ? ctl_bad_reply(c, err) : rc;
        rc = rc != 0 ? rc : ctl_printed(c, print_del(&c->printer, buf_slice(&raw), &resp));
        client_destroy(client);
    }
    buf_deinit(&body);
    buf_deinit(&raw);
    return rc;
}

int ctl_run_compaction(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct buf reason = BUF_INIT;
    struct buf body = BUF_INIT;
    struct buf raw = BUF_INIT;
    struct wire_compaction_req req = {.physical = cli_bool(ctx, "physical")};
    struct client *client;
    int rc = ctl_need_args(c, 1, "compaction command needs 1 argument");
    if (rc == 0 && text_parse_i64(ctx->args[0], 10, &req.revision, &reason) != 0) {
        rc = ctl_fail(&c->fail, CTL_RC_ERROR, "%s", buf_cstr(&reason));
    }
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc == 0) {
        wire_compaction_req_encode(&body, &req);
        rc = ctl_ask(c, client, "/etcdserverpb.KV/Compact", 0, buf_slice(&body), &raw);
        client_destroy(client);
    }
    if (rc == 0) {
        buf_printf(&c->out, "compacted revision %" PRId64 "\n", req.revision);
    }
    buf_deinit(&reason);
    buf_deinit(&body);
    buf_deinit(&raw);
    return rc;
}

/* ---- txn
 * ----------------------------------------------------------------------------------------- */

/* Lines of stdin, read one by one so that prompts and answers alternate. */
struct txn_input {
    struct ctl *c;
    struct buf line;
    bool is_interactive;
};

/* 0 with the trimmed line, or exit status. */
static int next_line(struct txn_input *in, struct slice *out)
{
    buf_clear(&in->line);
    int err = os_read_line(&in->line, CTL_STDIN_MAX);
    if (err != 0) {
        return ctl_fail(&in->c->fail, CTL_RC_INVALID_INPUT, "%s",
                        err == ERR_END ? "EOF" : err_text(err));
    }
    *out = text_trim(buf_slice(&in->line));
    /* What the parsers return points into the line. */
    *out = slice_make(ctl_cstr(in->c, *out), out->len);
    return 0;
}

static void prompt(struct txn_input *in, const char *text)
{
    if (in->is_interactive) {
        buf_printf(&in->c->out, "%s\n", text);
        ctl_flush(in->c);
    }
}

static void *grow(struct arena *a, void *list, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) {
        return list;
    }
    size_t bigger = *cap == 0 ? 16 : *cap * 2;
    void *to = arena_alloc(a, bigger * size);
    if (count > 0) {
        memcpy(to, list, count * size);
    }
    *cap = bigger;
    return to;
}

static int read_compares(struct txn_input *in, struct wire_txn_req *txn)
{
    struct arena *a = &in->c->cli->arena;
    struct slice line = {0};
    size_t cap = 0;
    int rc;
    prompt(in, "compares:");
    while ((rc = next_line(in, &line)) == 0 && line.len > 0) {
        txn->compares = grow(a, txn->compares, txn->compare_count, &cap, sizeof(*txn->compares));
        rc = ctl_txn_compare(line, a, &txn->compares[txn->compare_count], &in->c->fail);
        if (rc != 0) {
            return rc;
        }
        txn->compare_count++;
    }
    return rc;
}

static int read_ops(struct txn_input *in, struct wire_op **ops, size_t *count)
{
    struct arena *a = &in->c->cli->arena;
    struct slice line = {0};
    size_t cap = 0;
    int rc;
    while ((rc = next_line(in, &line)) == 0 && line.len > 0) {
        *ops = grow(a, *ops, *count, &cap, sizeof(**ops));
        rc = ctl_txn_op(line, a, &(*ops)[*count], &in->c->fail);
        if (rc != 0) {
            return rc;
        }
        del_wait(in->c);
        (*count)++;
    }
    return rc;
}

static int read_txn(struct txn_input *in, struct wire_txn_req *txn)
{
    int rc = read_compares(in, txn);
    if (rc == 0) {
        prompt(in, "success requests (get, put, del):");
        rc = read_ops(in, &txn->success, &txn->success_count);
    }
    if (rc == 0) {
        prompt(in, "failure requests (get, put, del):");
        rc = read_ops(in, &txn->failure, &txn->failure_count);
    }
    return rc;
}

static bool is_read_only(const struct wire_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind != WIRE_OP_RANGE) {
            return false;
        }
    }
    return true;
}

static int send_txn(struct ctl *c, struct client *client, const struct wire_txn_req *txn)
{
    struct buf body = BUF_INIT;
    struct buf raw = BUF_INIT;
    struct wire_txn_resp resp;
    bool is_read = is_read_only(txn->success, txn->success_count) &&
                   is_read_only(txn->failure, txn->failure_count);
    wire_txn_req_encode(&body, txn);
    int rc = ctl_ask(c, client, "/etcdserverpb.KV/Txn",
                     CTL_NO_TIMEOUT | (is_read ? (unsigned)CTL_READ : 0), buf_slice(&body), &raw);
    int err = rc != 0 ? 0 : wire_txn_resp_decode(buf_slice(&raw), &c->cli->arena, &resp);
    rc = err != 0 ? ctl_bad_reply(c, err) : rc;
    rc = rc != 0 ? rc : ctl_printed(c, print_txn(&c->printer, buf_slice(&raw), &resp));
    buf_deinit(&body);
    buf_deinit(&raw);
    return rc;
}

int ctl_run_txn(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct wire_txn_req txn = {0};
    struct txn_input in = {
        .c = c, .line = BUF_INIT, .is_interactive = cli_bool(ctx, "interactive")};
    int rc = ctl_need_args(c, 0, "txn command does not accept argument");
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = read_txn(&in, &txn);
    rc = rc != 0 ? rc : send_txn(c, client, &txn);
    client_destroy(client);
    buf_deinit(&in.line);
    return rc;
}
