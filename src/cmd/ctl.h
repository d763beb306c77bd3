/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl: what the commands of cairnctl share: settings from flags and environment, connecting,
 * asking, saying what went wrong.
 *
 * Design      A command is a function of struct cli_ctx that returns the exit status.  Failures go
 *             through ctl->fail (text behind "Error: "); output goes to ctl->out and ctl->err,
 *             which ctl_main writes at the end, or ctl_flush before a wait.
 * Ownership   struct ctl lives in ctl_main; clients belong to the command that made them.
 * Thread      main.
 */
#ifndef CMD_CTL_H
#define CMD_CTL_H

#include "client/client_sync.h"
#include "cmd/cli.h"
#include "cmd/ctl_rc.h"
#include "cmd/ctl_txn.h"
#include "cmd/print.h"
#include "rpc/tls_source.h"
#include "wire/pb.h"

enum { CTL_STDIN_MAX = 1 << 30 };

struct ctl_tls {
    struct tls_context *context; /* made at the first connection that wants it */
    struct rpc_tls_source source;
};

/* One cluster and how to come in: the command's own, or the destination of make-mirror. */
struct ctl_target {
    const struct slice *endpoints;
    size_t count;
    const char *cert; /* "" = none */
    const char *key;
    const char *ca;
    bool skips_verify;
    bool is_insecure; /* no TLS unless a file or an endpoint asks for it */
    const char *user; /* NULL: no login */
    const char *password;
    const char *token; /* NULL: none */
    struct ctl_tls *tls;
};

struct ctl {
    struct cli_ctx *cli;
    struct env *env;
    struct client_runner runner;
    struct printer printer;
    struct buf out;
    struct buf err;
    struct client_error error; /* of the last ask */
    struct ctl_fail fail;
    const char *const *environ_list;
    bool is_etcd_name; /* run as etcdctl: nothing on the terminal that etcdctl would not print */
    bool is_quiet;     /* fail.rc stands without an "Error:" line */
    struct ctl_tls tls;
    struct ctl_tls dest_tls; /* make-mirror's destination */
    /* Settings, after ctl_settings. */
    const char *user;
    const char *password;
    const char *token;
    bool has_settings;
};

static inline struct ctl *ctl_of(struct cli_ctx *ctx)
{
    return ctx->user;
}

/* Reads environment variables, checks the TLS flags, asks for a password, chooses the format: once.
 * Non-zero: exit status. */
MUST_USE int ctl_settings(struct ctl *c);
/* A client to these endpoints (settings done), logged in when a user is given. */
MUST_USE int ctl_connect_to(struct ctl *c, const struct slice *endpoints, size_t count,
                            struct client **out);
MUST_USE int ctl_connect_target(struct ctl *c, const struct ctl_target *target,
                                struct client **out);
/* "name:password" in two; without a password that is asked for with this prompt. */
MUST_USE int ctl_split_user(struct ctl *c, struct slice user, struct slice password,
                            const char *prompt, const char **out_user, const char **out_password);
/* ctl_settings and ctl_connect_to the --endpoints. */
MUST_USE int ctl_connect(struct ctl *c, struct client **out);
/* Endpoints of `endpoint` and `defrag`: as given, or with --cluster those of the member list. */
MUST_USE int ctl_endpoints(struct ctl *c, struct slice **out, size_t *out_count);

/* After a time limit: why no connection came about, as one warning on stderr, as etcdctl does. */
void ctl_log_failure(const struct client *client, const char *method);
/* At the end. */
void ctl_tls_close(struct ctl *c);

/* --command-timeout in milliseconds, at least 1. */
uint64_t ctl_timeout_ms(struct ctl *c);

enum ctl_ask_flag { CTL_READ = 1, CTL_NO_TIMEOUT = 2 };
/* One call; non-zero: exit status 1 with fail set (c->error has the parts). */
MUST_USE int ctl_ask(struct ctl *c, struct client *client, const char *method, unsigned flags,
                     struct slice body, struct buf *reply);
/* The same with generated messages; resp lives in the cli's arena, raw receives the bytes (may be
 * NULL). */
MUST_USE int ctl_ask_pb(struct ctl *c, struct client *client, const char *method, unsigned flags,
                        const ProtobufCMessage *req, const ProtobufCMessageDescriptor *desc,
                        ProtobufCMessage *resp, struct buf *raw);
/* A reply that does not parse. */
MUST_USE int ctl_bad_reply(struct ctl *c, int err);
/* Turns a printer's result into an exit status. */
MUST_USE int ctl_printed(struct ctl *c, int err);

/* Writes out and err now. */
void ctl_flush(struct ctl *c);
/* NUL-terminated copy in the cli's arena. */
char *ctl_cstr(struct ctl *c, struct slice s);
/* 128 and fail set unless the command has exactly n arguments. */
MUST_USE int ctl_need_args(struct ctl *c, size_t n, const char *text);

extern const struct cli_cmd ctl_root;
/* The same without what is Cairn's own: under etcd's name. */
extern const struct cli_cmd ctl_root_etcd;
extern const struct cli_group ctl_groups[];

int ctl_run_get(struct cli_ctx *ctx);
int ctl_run_put(struct cli_ctx *ctx);
int ctl_run_del(struct cli_ctx *ctx);
int ctl_run_txn(struct cli_ctx *ctx);
int ctl_run_compaction(struct cli_ctx *ctx);
int ctl_run_endpoint_health(struct cli_ctx *ctx);
int ctl_run_endpoint_status(struct cli_ctx *ctx);
int ctl_run_endpoint_hashkv(struct cli_ctx *ctx);
int ctl_run_member_list(struct cli_ctx *ctx);
int ctl_run_member_add(struct cli_ctx *ctx);
int ctl_run_member_remove(struct cli_ctx *ctx);
int ctl_run_member_update(struct cli_ctx *ctx);
int ctl_run_member_promote(struct cli_ctx *ctx);
int ctl_run_alarm_list(struct cli_ctx *ctx);
int ctl_run_alarm_disarm(struct cli_ctx *ctx);
int ctl_run_defrag(struct cli_ctx *ctx);
int ctl_run_snapshot_save(struct cli_ctx *ctx);
int ctl_run_snapshot_status(struct cli_ctx *ctx);
int ctl_run_snapshot_restore(struct cli_ctx *ctx);
int ctl_run_move_leader(struct cli_ctx *ctx);
int ctl_run_downgrade_validate(struct cli_ctx *ctx);
int ctl_run_downgrade_enable(struct cli_ctx *ctx);
int ctl_run_downgrade_cancel(struct cli_ctx *ctx);
int ctl_run_lease_grant(struct cli_ctx *ctx);
int ctl_run_lease_revoke(struct cli_ctx *ctx);
int ctl_run_lease_time_to_live(struct cli_ctx *ctx);
int ctl_run_lease_list(struct cli_ctx *ctx);
int ctl_run_lease_keep_alive(struct cli_ctx *ctx);
int ctl_run_watch_cmd(struct cli_ctx *ctx);
int ctl_run_lock(struct cli_ctx *ctx);
int ctl_run_elect(struct cli_ctx *ctx);
int ctl_run_make_mirror(struct cli_ctx *ctx);
int ctl_run_check_perf(struct cli_ctx *ctx);
int ctl_run_check_datascale(struct cli_ctx *ctx);
int ctl_run_auth_enable(struct cli_ctx *ctx);
int ctl_run_auth_disable(struct cli_ctx *ctx);
int ctl_run_auth_status(struct cli_ctx *ctx);
int ctl_run_user_add(struct cli_ctx *ctx);
int ctl_run_user_delete(struct cli_ctx *ctx);
int ctl_run_user_get(struct cli_ctx *ctx);
int ctl_run_user_list(struct cli_ctx *ctx);
int ctl_run_user_passwd(struct cli_ctx *ctx);
int ctl_run_user_grant_role(struct cli_ctx *ctx);
int ctl_run_user_revoke_role(struct cli_ctx *ctx);
int ctl_run_role_add(struct cli_ctx *ctx);
int ctl_run_role_delete(struct cli_ctx *ctx);
int ctl_run_role_get(struct cli_ctx *ctx);
int ctl_run_role_list(struct cli_ctx *ctx);
int ctl_run_role_grant(struct cli_ctx *ctx);
int ctl_run_role_revoke(struct cli_ctx *ctx);
int ctl_run_upgrade_finish(struct cli_ctx *ctx);
int ctl_run_version(struct cli_ctx *ctx);
int ctl_run_completion(struct cli_ctx *ctx);
int ctl_run_options(struct cli_ctx *ctx);

#endif
