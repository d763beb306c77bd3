/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/raft_quorum_script: handlers of the scripts quorum/ *.txt and confchange/ *.txt.
 */
#ifndef TEST_LIB_RAFT_QUORUM_SCRIPT_H
#define TEST_LIB_RAFT_QUORUM_SCRIPT_H

#include "raft/confchange.h"
#include "test/lib/raft_script.h"

/* arg is not used. */
void quorum_script_handle(void *arg, const struct script_cmd *cmd, struct buf *out);

struct confchange_script {
    struct raft_members members;
    raft_index last_index; /* grows by one a command */
};

void confchange_script_handle(void *arg, const struct script_cmd *cmd, struct buf *out);

#endif
