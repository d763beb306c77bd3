/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/state.h"

static void transfer_as_leader(struct raft *r, uint64_t to);
static void start(struct raft *r, struct raft_progress *pr);

/* m->from is the transferee. */
int raft_on_transfer_leader(struct raft *r, const struct raft_message *m)
{
    if (r->role == RAFT_LEADER) {
        transfer_as_leader(r, m->from);
    } else if (r->role == RAFT_FOLLOWER && r->leader == 0) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_TRANSFER_NO_LEADER, r->config.id, r->term);
    } else if (r->role == RAFT_FOLLOWER) {
        raft_send(r, &(struct raft_message){
                         .type = RAFT_MSG_TRANSFER_LEADER, .from = m->from, .to = r->leader});
    }
    return 0;
}

void raft_send_timeout_now(struct raft *r, uint64_t to)
{
    raft_send(r, &(struct raft_message){.type = RAFT_MSG_TIMEOUT_NOW, .to = to});
}

static void transfer_as_leader(struct raft *r, uint64_t to)
{
    uint64_t id = r->config.id;
    struct raft_progress *pr = raft_leader_progress(r, to);
    if (pr == NULL) {
        return;
    }
    if (pr->is_learner) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_TRANSFER_LEARNER, id);
        return;
    }
    if (r->transferee == to) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_TRANSFER_SAME, id, r->term, to);
        return;
    }
    if (r->transferee != 0) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_TRANSFER_ABORTED, id, r->term, r->transferee);
        r->transferee = 0;
    }
    if (to == id) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_TRANSFER_SELF, id);
        return;
    }
    start(r, pr);
}

/* It must be done in one election timeout, hence the clock starts anew. */
static void start(struct raft *r, struct raft_progress *pr)
{
    RAFT_TRACE(&r->tracer, RAFT_TRACE_TRANSFER_STARTED, r->config.id, r->term, pr->id);
    r->election_elapsed = 0;
    r->transferee = pr->id;
    if (pr->match == raft_log_last(&r->log)) {
        raft_send_timeout_now(r, pr->id);
        RAFT_TRACE(&r->tracer, RAFT_TRACE_TRANSFER_IMMEDIATE, r->config.id, pr->id);
    } else {
        (void)raft_maybe_send_append(r, pr, true);
    }
}
