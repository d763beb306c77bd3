/* SPDX-License-Identifier: Apache-2.0
 *
 * server/config: from flags to a server's configuration: derived defaults, the checks at start with
 * etcd's texts (cli.md 1.6), and the lines that say what is started.
 *
 * Ownership   struct config owns the lists and texts that server_config points to, next to flags.
 * Thread      main, at start. Failure ERR_INVALID with the text appended.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "member/strs.h"
#include "server/flags.h"
#include "server/server.h"

enum { CONFIG_IP_MAX = 46 };

struct config {
    struct flags *flags;
    struct strs listen_client;
    struct strs listen_client_http;
    struct strs listen_metrics;
    struct strs cors;
    struct strs host_whitelist;
    struct strs listen_peer;
    struct strs advertise_peer_urls;
    struct strs advertise_client_urls;
    char *data_dir;
    char *initial_cluster;
    char *advertise_peer;   /* with commas */
    char *advertise_client; /* with commas */
    bool uses_host;
    char local_address[CONFIG_IP_MAX]; /* "": the kernel's choice */
    struct server_config server;
};

/* What --logger, --log-outputs and --log-format must be: before the log is opened. */
MUST_USE int config_check_log(const struct flags *f, struct buf *error);
/* The other checks of step 1, with the warnings among them.  ERR_NOT_FOUND: the advertised client
 * URLs are missing, which etcd says twice. */
MUST_USE int config_check(const struct flags *f, struct buf *error);
void config_warn_deprecated(const struct flags *f);
/* After config_check.  Replaces the host of default advertise URLs where a listen URL is 0.0.0.0:
 * default_host, "" for none. */
MUST_USE int config_make(struct flags *f, const char *default_host, struct config *out,
                         struct buf *error);
/* True when config_make has used the default host. */
bool config_uses_host(const struct config *c);
void config_deinit(struct config *c);
/* The checks of step 2 that need no file: their failure ends the start with "discovery failed". */
MUST_USE int config_check_listeners(const struct config *c, struct buf *error);
MUST_USE int config_check_cluster(const struct config *c, bool is_initialized, struct buf *error);

/* --auto-compaction-retention: nanoseconds or revisions, 0 = off; ERR_INVALID with etcd's text. */
MUST_USE int config_retention(const struct flags *f, int64_t *out, struct buf *error);

/* local_address: with the gate SetMemberLocalAddr the first usable IP of the advertised peer URLs;
 * etcd's lines about it. */
void config_infer_local_address(struct config *c);

/* The lines before the listeners are bound, "starting an etcd server" and "now serving ...". */
void config_log_listeners(const struct config *c);
void config_log_starting(const struct config *c, bool is_initialized);
void config_log_serving(const struct config *c, uint64_t member_id);
/* "closing etcd server", "closed etcd server". */
void config_log_closing(const struct config *c, const char *msg);

#endif
