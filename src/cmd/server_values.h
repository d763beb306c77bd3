/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/server_values: where the server's values come from: the environment, or a file alone.
 *
 * Thread      main, at start. Failure -1 goes on; else the exit status, and *error has the text for
 *             "failed to verify flags" unless it is empty: then everything has been said.
 * See         cli.md 1.2, 1.3.
 */
#ifndef CMD_SERVER_VALUES_H
#define CMD_SERVER_VALUES_H

#include "env/env.h"
#include "server/flags.h"

/* --config-file, or ETCD_CONFIG_FILE; NULL for none. */
const char *server_config_file(const struct flags *f);
MUST_USE int server_take_environment(struct flags *f, struct buf *error);
MUST_USE int server_take_file(struct flags *f, struct env_disk *disk, const char *path,
                              struct buf *error);

#endif
