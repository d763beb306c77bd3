/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/state.h"

static int propose_as_leader(struct raft *r, const struct raft_message *m);

int raft_on_propose(struct raft *r, const struct raft_message *m)
{
    if (r->role == RAFT_LEADER) {
        return propose_as_leader(r, m);
    }
    if (r->role != RAFT_FOLLOWER || r->leader == 0) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_DROP_NO_LEADER, r->config.id, r->term);
        return raft_drop(r, RAFT_DROP_NO_LEADER);
    }
    if (r->config.no_proposal_forwarding) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_DROP_NO_FORWARDING, r->config.id, r->leader, r->term);
        return raft_drop(r, RAFT_DROP_NO_FORWARDING);
    }
    struct raft_message forward = *m;
    forward.to = r->leader;
    forward.term = 0;
    for (size_t i = 0; i < m->entry_count; i++) {
        raft_outbox_hold(&r->outbox, m->entries[i].owner);
    }
    raft_send(r, &forward);
    return 0;
}

/* Fills log slots behind the last entry with entries of this term. */
static void fill_slots(const struct raft *r, struct raft_entry *slots,
                       const struct raft_entry *entries, size_t count)
{
    raft_index last = raft_log_last(&r->log);
    for (size_t i = 0; i < count; i++) {
        slots[i] = entries[i];
        slots[i].term = r->term;
        slots[i].index = last + 1 + i;
    }
}

/*
 * Publishes filled slots, unless they would exceed the limit on the uncommitted tail.  An empty
 * tail takes a batch of any size, and entries without payload (a new leader's, an automatic leave)
 * are never refused.
 */
static bool publish_slots(struct raft *r, const struct raft_entry *slots, size_t count)
{
    uint64_t payload = 0;
    for (size_t i = 0; i < count; i++) {
        payload += slots[i].data.len;
    }
    uint64_t max = r->config.uncommitted_bytes_max;
    if (r->uncommitted_bytes > 0 && payload > 0 &&
        (payload > max || r->uncommitted_bytes > max - payload)) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_DROP_UNCOMMITTED, r->config.id);
        return false;
    }
    r->uncommitted_bytes += payload;
    for (size_t i = 0; i < count; i++) {
        rcbuf_ref(slots[i].owner);
    }
    raft_log_publish(&r->log, count);
    /* Our own acknowledgement, due when the entries are durable. */
    raft_send(r, &(struct raft_message){.type = RAFT_MSG_APP_RESP,
                                        .to = r->config.id,
                                        .index = raft_log_last(&r->log)});
    return true;
}

bool raft_append_entries(struct raft *r, const struct raft_entry *entries, size_t count)
{
    struct raft_entry *slots = raft_log_reserve(&r->log, count);
    fill_slots(r, slots, entries, count);
    return publish_slots(r, slots, count);
}

/* Conf changes that cannot be now become empty entries: the index of the others must not move. */
static int check_conf_changes(struct raft *r, struct raft_entry *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool keep = true;
        if (slots[i].type == RAFT_ENTRY_NORMAL) {
            continue;
        }
        int rv = raft_conf_proposal_check(r, &slots[i], slots[i].index, &keep);
        if (rv != 0) {
            return rv;
        }
        if (!keep) {
            slots[i] = (struct raft_entry){.term = slots[i].term, .index = slots[i].index};
        }
    }
    return 0;
}

static int propose_as_leader(struct raft *r, const struct raft_message *m)
{
    if (raft_members_get(&r->tracker.members, r->config.id) == NULL) {
        return raft_drop(r, RAFT_DROP_NOT_A_MEMBER);
    }
    if (r->transferee != 0) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_DROP_TRANSFERRING, r->config.id, r->term, r->transferee);
        return raft_drop(r, RAFT_DROP_TRANSFERRING);
    }
    struct raft_entry *slots = raft_log_reserve(&r->log, m->entry_count);
    fill_slots(r, slots, m->entries, m->entry_count);
    int rv = check_conf_changes(r, slots, m->entry_count);
    if (rv != 0) {
        return rv;
    }
    if (!publish_slots(r, slots, m->entry_count)) {
        return raft_drop(r, RAFT_DROP_UNCOMMITTED);
    }
    raft_broadcast_append(r);
    return 0;
}
