/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/state.h"

static int read_as_leader(struct raft *r, const struct raft_message *m);
static void answer(struct raft *r, const struct raft_read_request *req, raft_index index);
static void serve(struct raft *r, const struct raft_read_request *req);

int raft_on_read_index(struct raft *r, const struct raft_message *m)
{
    if (r->role == RAFT_LEADER) {
        return read_as_leader(r, m);
    }
    if (r->role != RAFT_FOLLOWER || r->leader == 0) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_READ_NO_LEADER, r->config.id, r->term);
        return raft_drop(r, RAFT_DROP_NO_LEADER);
    }
    struct raft_message forward = *m; /* from stays: the answer goes to who asked */
    forward.to = r->leader;
    forward.term = 0;
    forward.entry_count = 0;
    raft_send(r, &forward);
    return 0;
}

int raft_on_read_index_resp(struct raft *r, const struct raft_message *m)
{
    if (r->role == RAFT_FOLLOWER) {
        raft_outbox_push_read(&r->outbox, m->index, &m->context);
    }
    return 0;
}

/* Called when the commit index moved: then an entry of this term is committed. */
void raft_release_early_reads(struct raft *r)
{
    struct raft_readonly *ro = &r->reads;
    size_t n = ro->early.len;
    if (n == 0 || raft_log_term_or_zero(&r->log, r->log.committed) != r->term) {
        return;
    }
    ro->early.len = 0;
    for (size_t i = 0; i < n; i++) {
        serve(r, &ro->early.data[i]);
    }
}

void raft_reads_confirm(struct raft *r, uint64_t from, const struct raft_context *context)
{
    size_t n;
    if (r->config.read_mode != RAFT_READ_SAFE || context->len == 0) {
        return;
    }
    raft_readonly_ack(&r->reads, from, context);
    const struct raft_read_request *req =
        raft_readonly_advance(&r->reads, &r->tracker.members.conf, &n);
    for (size_t i = 0; i < n; i++) {
        answer(r, &req[i], req[i].index);
    }
}

/*
 * etcd answers at once in a group of one.  Two cases where that would be a stale read are not so
 * here: before the first commit of the term (the commit index of before a restart is saved lazily),
 * and at a leader that was removed from the group of one that it still leads.
 */
static int read_as_leader(struct raft *r, const struct raft_message *m)
{
    struct raft_read_request req = {m->from, 0, m->context};
    if (raft_readonly_is_full(&r->reads)) {
        return raft_drop(r, RAFT_DROP_TOO_MANY_READS);
    }
    if (raft_log_term_or_zero(&r->log, r->log.committed) != r->term) {
        raft_readonly_add_early(&r->reads, &req);
    } else {
        serve(r, &req);
    }
    return 0;
}

static void answer(struct raft *r, const struct raft_read_request *req, raft_index index)
{
    if (req->from == 0 || req->from == r->config.id) {
        raft_outbox_push_read(&r->outbox, index, &req->context);
        return;
    }
    raft_send(r, &(struct raft_message){.type = RAFT_MSG_READ_INDEX_RESP,
                                        .to = req->from,
                                        .index = index,
                                        .context = req->context});
}

static void serve(struct raft *r, const struct raft_read_request *req)
{
    struct raft_read_request numbered = *req;
    bool is_alone = raft_tracker_is_singleton(&r->tracker) &&
                    raft_members_is_voter(&r->tracker.members, r->config.id);
    if (is_alone || r->config.read_mode == RAFT_READ_LEASE_BASED) {
        answer(r, req, r->log.committed);
        return;
    }
    numbered.index = r->log.committed;
    raft_readonly_add(&r->reads, &numbered);
    struct raft_context context = raft_readonly_context(&r->reads);
    raft_readonly_ack(&r->reads, r->config.id, &context); /* we agree */
    raft_broadcast_heartbeat(r);
}
