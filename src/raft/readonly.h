/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/readonly: reads at a leader that wait for proof that it still leads.
 *
 * Design      Requests are numbered in arrival order. A heartbeat carries, as its context, the
 *             number of the newest waiting request (8 bytes, little-endian); its echo confirms that
 *             request and all before it. When a quorum of voters has echoed n, requests <= n may be
 *             answered with the commit index that held when they arrived. Requests that come before
 *             the leader committed an entry of its own term wait in `early`: until then the commit
 *             index may be behind what was acknowledged elsewhere.
 * Limits      RAFT_PENDING_READS_MAX over both lists.
 * See         peer-protocol 5.7; Ongaro's dissertation, 6.4.
 */
#ifndef RAFT_READONLY_H
#define RAFT_READONLY_H

#include "raft/outbox.h"
#include "raft/tracker.h"

struct raft_read_request {
    uint64_t from; /* the member that asked; our own id for local reads */
    raft_index index;
    struct raft_context context;
};

struct raft_read_ack {
    uint64_t id;
    uint64_t number;
};

struct raft_readonly {
    RAFT_VEC(struct raft_read_request) waiting;
    size_t waiting_head; /* requests before it are answered */
    RAFT_VEC(struct raft_read_request) early;
    uint64_t confirmed; /* number of the last request that left `waiting` */
    uint32_t ack_count;
    struct raft_read_ack acks[RAFT_PROGRESS_MAX];
};

void raft_readonly_deinit(struct raft_readonly *ro);
/* Forgets all requests and acknowledgements (new term or role). */
void raft_readonly_reset(struct raft_readonly *ro);
size_t raft_readonly_count(const struct raft_readonly *ro);
bool raft_readonly_is_full(const struct raft_readonly *ro);
void raft_readonly_add_early(struct raft_readonly *ro, const struct raft_read_request *req);
void raft_readonly_add(struct raft_readonly *ro, const struct raft_read_request *req);
/* Context of heartbeats; empty when nothing waits. */
struct raft_context raft_readonly_context(const struct raft_readonly *ro);
/* An echo of a member.  Contexts that are not ours are ignored. */
void raft_readonly_ack(struct raft_readonly *ro, uint64_t from, const struct raft_context *context);
/* Requests that are confirmed now; *out_count of them, borrowed until the next add. */
const struct raft_read_request *raft_readonly_advance(struct raft_readonly *ro,
                                                      const struct raft_conf_state *conf,
                                                      size_t *out_count);
void raft_readonly_check(const struct raft_readonly *ro);

#endif
