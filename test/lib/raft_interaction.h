/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/raft_interaction: the environment of interaction scripts: members with a storage in
 * memory, a network that only delivers when told, and everything said about it as text.
 *
 * Commands are those of etcd's rafttest (interaction/ *.txt).  For what etcd does not have, scripts
 * of ours may also use: add-nodes ... log-bytes=N     in-memory bound of raft's log
 *   process-log-reads <id>        answer "read back from the WAL" requests
 *   read-index <id> <word>        a linearizable read; read states show in Ready
 *   tick <id> <n>
 *   crash <id>                    restart from what is durable
 * Both forms of etcd's Ready are made of the one update that raft gives out: with
 * async-storage-writes=true as it is, else written and acknowledged at once.
 */
#ifndef TEST_LIB_RAFT_INTERACTION_H
#define TEST_LIB_RAFT_INTERACTION_H

#include "test/lib/raft_script.h"

struct interaction;

struct interaction *interaction_create(void);
void interaction_destroy(struct interaction *env);
/* A script_handler; arg is the struct interaction. */
void interaction_handle(void *arg, const struct script_cmd *cmd, struct buf *out);

#endif
