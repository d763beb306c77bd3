/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_snapshot: snapshot save; status and restore as etcdctl 3.5 had them.
 *
 * save        FILE.part is written while the stream comes, synced and renamed when the size says
 *             that the checksum is there: FILE appears whole or not at all.
 */
#include <inttypes.h>

#include "base/gotext.h"
#include "base/log.h"
#include "cmd/ctl.h"
#include "cmd/utl.h"
#include "os/os.h"

enum { SHA_BYTES = 32, SECTOR_BYTES = 512, PROGRESS_AFTER_MS = 2000, PROGRESS_EVERY_MS = 500 };

struct save {
    struct ctl *c;
    const char *path;
    char *part;
    const char *endpoint;
    struct env_file *file;
    uint64_t size;
    uint64_t start_ms;
    uint64_t shown_ms; /* last progress line, 0 = none */
    bool has_begun;
    char version[32]; /* storage version, "" before 3.6 */
};

static int fail_io(struct ctl *c, const char *what)
{
    return ctl_fail(&c->fail, CTL_RC_INTERRUPTED, "%s: %s", what, os_last_text_go());
}

/* Only for people who watch a terminal, and only under our own names. */
static void show_progress(struct save *s, uint64_t remaining)
{
    uint64_t now = env_mono_ms(s->c->env);
    if (s->c->is_etcd_name || !os_is_tty(OS_STDERR) || now - s->start_ms < PROGRESS_AFTER_MS ||
        now - s->shown_ms < PROGRESS_EVERY_MS) {
        return;
    }
    struct buf line = BUF_INIT;
    s->shown_ms = now;
    buf_append_cstr(&line, "\r\033[K");
    gotext_size(&line, s->size);
    buf_append_cstr(&line, " of ");
    gotext_size(&line, s->size + remaining);
    (void)!os_write(OS_STDERR, buf_slice(&line));
    buf_deinit(&line);
}

static void end_progress(struct save *s)
{
    if (s->shown_ms != 0) {
        (void)!os_write(OS_STDERR, SLICE_LIT("\r\033[K"));
    }
}

static int on_chunk(void *arg, struct slice msg)
{
    struct save *s = arg;
    struct wire_scan scan;
    struct slice blob = SLICE_NULL;
    uint64_t remaining = 0;
    wire_scan_init(&scan, msg);
    while (wire_scan_next(&scan)) {
        if (scan.field == 2 && scan.type == WIRE_VARINT) {
            remaining = scan.number;
        } else if (scan.field == 3 && scan.type == WIRE_LEN) {
            blob = scan.bytes;
        } else if (scan.field == 4 && scan.type == WIRE_LEN &&
                   scan.bytes.len < sizeof(s->version)) {
            memcpy(s->version, scan.bytes.data, scan.bytes.len);
            s->version[scan.bytes.len] = '\0';
        }
    }
    if (scan.err != 0) {
        return scan.err;
    }
    if (!s->has_begun) {
        s->has_begun = true;
        log_info("fetching snapshot", LOG_STR("endpoint", s->endpoint));
    }
    int err = blob.len == 0 ? 0 : s->file->ops->write_at(s->file, &blob, 1, s->size);
    s->size += blob.len;
    show_progress(s, remaining);
    return err;
}

static int fetch(struct save *s, struct client *client)
{
    struct ctl *c = s->c;
    /* No time limit unless the flag is there: a snapshot takes as long as it takes. */
    struct client_request req = {
        .method = "/etcdserverpb.Maintenance/Snapshot",
        .is_read = true,
        .timeout_ms = cli_is_changed(c->cli, "command-timeout") ? ctl_timeout_ms(c) : 0};
    log_info("opened snapshot stream; downloading");
    int err = client_ask_stream(client, &c->runner, &req, on_chunk, s, &c->error);
    end_progress(s);
    if (err == 0) {
        log_info("completed snapshot read; closing");
        return 0;
    }
    if (c->error.code != GRPC_OK) {
        return ctl_fail(&c->fail, CTL_RC_INTERRUPTED, "%s%s",
                        s->has_begun ? "could not write snapshot: " : "", buf_cstr(&c->error.text));
    }
    return ctl_fail(&c->fail, CTL_RC_INTERRUPTED, "could not write snapshot: write %s: %s", s->part,
                    err == ERR_MALFORMED || err == ERR_TRUNCATED ? err_text(err)
                                                                 : os_last_text_go());
}

/* Durable, closed, renamed. */
static int finish(struct save *s)
{
    struct ctl *c = s->c;
    struct env_disk *disk = c->env->disk;
    if (s->size % SECTOR_BYTES != SHA_BYTES) {
        return ctl_fail(&c->fail, CTL_RC_INTERRUPTED,
                        "sha256 checksum not found [bytes: %" PRIu64 "]", s->size);
    }
    if (s->file->ops->sync(s->file) != 0) {
        return fail_io(c, "could not fsync snapshot");
    }
    s->file->ops->close(s->file);
    s->file = NULL;
    struct buf size = BUF_INIT;
    gotext_size(&size, s->size);
    log_info("fetched snapshot", LOG_STR("endpoint", s->endpoint), LOG_STR("size", buf_cstr(&size)),
             LOG_NS("took", (env_mono_ms(c->env) - s->start_ms) * 1000000),
             LOG_STR("etcd-version", s->version));
    buf_deinit(&size);
    if (disk->ops->rename(disk, s->part, s->path) != 0) {
        return ctl_fail(&c->fail, CTL_RC_INTERRUPTED,
                        "could not rename %s to %s (rename %s %s: %s)", s->part, s->path, s->part,
                        s->path, os_last_text_go());
    }
    char *dir = env_path_dir(s->path);
    int err = disk->ops->sync_dir(disk, dir);
    mem_free(dir);
    if (err != 0) {
        return fail_io(c, "could not fsync directory");
    }
    log_info("saved", LOG_STR("path", s->path));
    return 0;
}

static int save_to(struct save *s, struct client *client)
{
    struct ctl *c = s->c;
    struct env_disk *disk = c->env->disk;
    int err = disk->ops->open(disk, s->part, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNC,
                              0600, &s->file);
    if (err != 0) {
        return ctl_fail(&c->fail, CTL_RC_INTERRUPTED, "could not open %s (open %s: %s)", s->part,
                        s->part, os_last_text_go());
    }
    log_info("created temporary db file", LOG_STR("path", s->part));
    s->start_ms = env_mono_ms(c->env);
    int rc = fetch(s, client);
    rc = rc != 0 ? rc : finish(s);
    if (s->file != NULL) {
        s->file->ops->close(s->file);
    }
    if (rc != 0) {
        (void)disk->ops->unlink(disk, s->part);
    }
    return rc;
}

static int check_one_endpoint(struct ctl *c)
{
    const struct cli_value *v = cli_value(c->cli, "endpoints");
    if (v->list_count == 1) {
        return 0;
    }
    (void)ctl_fail(&c->fail, CTL_RC_INTERRUPTED,
                   "snapshot must be requested to one selected node, not multiple [");
    for (size_t i = 0; i < v->list_count; i++) {
        buf_append_cstr(&c->fail.text, i > 0 ? " " : "");
        buf_append_slice(&c->fail.text, v->list[i]);
    }
    buf_append_byte(&c->fail.text, ']');
    return CTL_RC_INTERRUPTED;
}

int ctl_run_snapshot_save(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    int rc = ctl_need_args(c, 1, "snapshot save expects one argument <filename>");
    rc = rc != 0 ? rc : ctl_settings(c);
    rc = rc != 0 ? rc : check_one_endpoint(c);
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc == CTL_RC_BAD_CONNECTION ? (c->fail.rc = CTL_RC_INTERRUPTED) : rc;
    }
    struct save s = {.c = c,
                     .path = ctl_cstr(c, ctx->args[0]),
                     .endpoint = ctl_cstr(c, cli_value(ctx, "endpoints")->list[0])};
    struct buf part = BUF_INIT;
    buf_printf(&part, "%s.part", s.path);
    s.part = ctl_cstr(c, buf_slice(&part));
    buf_deinit(&part);
    rc = save_to(&s, client);
    client_destroy(client);
    if (rc == 0) {
        buf_printf(&c->out, "Snapshot saved at %s\n", s.path);
        if (s.version[0] != '\0') {
            buf_printf(&c->out, "Server version %s\n", s.version);
        }
    }
    return rc;
}

/* ---- 3.5's offline commands
 * ------------------------------------------------------------------------ */

static void deprecated(struct ctl *c, const char *what)
{
    buf_printf(&c->err, "Deprecated: Use `%s snapshot %s` instead.\n\n",
               c->is_etcd_name ? "etcdutl" : "cairnutl", what);
    ctl_flush(c);
}

int ctl_run_snapshot_status(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct utl_status st;
    deprecated(c, "status");
    if (!print_format_parse(cli_text(ctx, "write-out"), &c->printer.format)) {
        return ctl_fail(&c->fail, CTL_RC_BAD_FEATURE, "unsupported output format");
    }
    int rc = ctl_need_args(c, 1, "snapshot status requires exactly one argument");
    if (rc != 0) {
        return rc;
    }
    if (utl_status(c->env, ctl_cstr(c, ctx->args[0]), &st, &c->fail.text) != 0) {
        return CTL_RC_ERROR;
    }
    return ctl_printed(
        c, print_db_status(&c->printer, &(struct print_db_status){.hash = st.hash,
                                                                  .revision = st.revision,
                                                                  .total_key = st.total_pair,
                                                                  .total_size = st.total_size}));
}

int ctl_run_snapshot_restore(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    deprecated(c, "restore");
    return utl_restore_cmd(ctx, c->env, &c->fail.text);
}
