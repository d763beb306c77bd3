/* SPDX-License-Identifier: Apache-2.0
 *
 * server/config: from flags to a server's configuration: derived defaults, the checks at start with
 * etcd's texts (cli.md 1.6), and the lines that say what is started.
 *
 * Ownership   struct config owns the lists and texts that server_config points to, next to flags.
 * Thread      main, at start.   Failure  ERR_INVALID with the text appended.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "member/strs.h"
#include "server/flags.h"
#include "server/server.h"

struct config {
    struct flags *flags;
    struct strs listen_client;
    struct strs listen_client_http;
    struct strs listen_metrics;
    struct strs listen_peer;
    char *data_dir;
    char *initial_cluster;
    char *advertise_client;
    struct server_config server;
};

/* The checks of step 1. A second reason (the advise of etcd's second line) may be in *advice. */
MUST_USE int config_check(const struct flags *f, struct buf *error);
/* After config_check. */
MUST_USE int config_make(struct flags *f, struct config *out, struct buf *error);
void config_deinit(struct config *c);
/* "starting an etcd server" and what etcd says before it. */
void config_log_start(const struct config *c, char *const *argv, size_t count, bool is_initialized);

#endif
