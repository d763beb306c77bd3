/* SPDX-License-Identifier: Apache-2.0
 *
 * server/join: what a member without a log asks the others before it starts (member/join), over the
 * network.
 *
 * Ownership   The result is the caller's (join_result_deinit).
 * Thread      main; runs the loop of env until all is answered, each question with its time-out.
 * Failure     ERR_* and etcd's text in *error.
 * See         peer-protocol 6.1, 6.2.
 */
#ifndef SERVER_JOIN_H
#define SERVER_JOIN_H

#include "member/join.h"
#include "server/config.h"

MUST_USE int server_join(struct env *env, const struct config *config, struct join_result *out,
                         struct buf *error);

#endif
