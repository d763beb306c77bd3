/* SPDX-License-Identifier: Apache-2.0
 *
 * core/cluster: what the member says about itself through the log, and what changes its membership.
 *
 * At each start the member publishes its name and client URLs (peer-protocol 6.3); with that, and
 * when the cluster has a version (version.c), the member is ready.
 */
#include "base/failpoint.h"
#include "base/log.h"
#include "core/internal.h"

void core_soft_state(struct core *c, uint64_t leader, enum raft_role role)
{
    bool is_new = leader != 0 && leader != c->leader;
    bool was_leader = c->role == RAFT_LEADER;
    c->leader = leader;
    c->role = role;
    if (role != RAFT_LEADER && was_leader) {
        lessor_demote(c->lessor);
        c->leases_changed = true;
    }
    if (is_new) {
        c->leader_changes++;
        if (role == RAFT_LEADER) {
            c->leader_elected_ms = c->now_ms;
        }
        core_reads_leader_changed(c);
    }
    core_transfers_check(c, false);
    core_cluster_tick(c);
}

/* Everything of the terms before is applied: from here on the leases are this leader's. */
void core_term_begun(struct core *c)
{
    if (c->role == RAFT_LEADER) {
        lessor_promote(c->lessor, c->now_ms,
                       (uint64_t)c->config.election_ticks * c->config.heartbeat_ms);
        c->versions_ms = c->now_ms;
    }
}

/* ClusterMemberAttrSetRequest{1: member id, 2: Attributes{1: name, 2: client urls}} */
static void publish(struct core *c)
{
    struct buf attr = BUF_INIT, body = BUF_INIT;
    wire_append_bytes(&attr, 1, slice_cstr(c->name));
    for (size_t i = 0; i < c->config.client_url_count; i++) {
        wire_append_bytes(&attr, 2, slice_cstr(c->client_urls[i]));
    }
    wire_append_u64(&body, 1, c->config.member_id);
    wire_append_message(&body, 2, buf_slice(&attr));
    c->is_publishing = true;
    FAILPOINT(beforePublishing);
    core_propose_internal(c, WIRE_INTERNAL_MEMBER_ATTR_SET, buf_slice(&body));
    buf_deinit(&attr);
    buf_deinit(&body);
}

void core_cluster_tick(struct core *c)
{
    if (c->is_stopping || c->leader == 0) {
        return;
    }
    if (!c->is_published && !c->is_publishing) {
        publish(c);
    }
    core_version_tick(c);
    c->is_ready = c->is_published && !semver_is_none(apply_cluster_version(c->apply));
}

/* Only what this run has asked for counts as published: an entry of an earlier one that is applied
 * again may have other URLs, and more of the log behind it. */
static bool is_own_publication(const struct core_request *r, const struct apply_result *res)
{
    return res->published && r != NULL && r->is_internal &&
           r->which == WIRE_INTERNAL_MEMBER_ATTR_SET;
}

void core_applied_result(struct core *c, const struct core_request *r,
                         const struct apply_result *res)
{
    if (res->is_over_quota) {
        core_raise_nospace(c);
    }
    c->leases_changed = c->leases_changed || res->lease_removed;
    c->leases_granted += res->lease_granted;
    c->leases_revoked += res->lease_removed;
    if (is_own_publication(r, res) && !c->is_published) {
        c->is_published = true;
        log_info("published local member to cluster through raft",
                 LOG_HEX("local-member-id", c->config.member_id),
                 LOG_HEX("cluster-id", c->config.cluster_id));
    }
    core_version_applied(c, res);
    if (res->published || res->version_changed) {
        c->is_ready = c->is_published && !semver_is_none(apply_cluster_version(c->apply));
    }
}

static const char *const change_names[] = {
    [RAFT_CONF_ADD_NODE] = "ConfChangeAddNode",
    [RAFT_CONF_REMOVE_NODE] = "ConfChangeRemoveNode",
    [RAFT_CONF_UPDATE_NODE] = "ConfChangeUpdateNode",
    [RAFT_CONF_ADD_LEARNER] = "ConfChangeAddLearnerNode",
};

/* What the change did to the list, into the file. */
static void store_effect(struct core *c, const struct raft_conf_change *cc,
                         enum member_effect effect)
{
    switch (effect) {
    case MEMBER_EFFECT_NONE: break;
    case MEMBER_EFFECT_ADDED:
    case MEMBER_EFFECT_PROMOTED:
    case MEMBER_EFFECT_UPDATED:
        member_put(c->backend, membership_find(c->members, cc->node_id));
        break;
    case MEMBER_EFFECT_REMOVED: schema_remove_member(c->backend, cc->node_id); break;
    }
    c->members_changed = c->members_changed || effect != MEMBER_EFFECT_NONE;
    if (effect == MEMBER_EFFECT_REMOVED && cc->node_id == c->config.member_id) {
        c->removed_ms = c->now_ms + CORE_REMOVED_MS; /* the others are to hear of it from here */
    }
}

/* 0, or why the change is refused (client errors), or what must stop the member. */
static int change_members(struct core *c, const struct raft_conf_change *cc)
{
    int err = membership_conf_change_check(c->members, cc, c->config.max_learners);
    enum member_effect effect;
    if (err == 0) {
        err = membership_conf_change_apply(c->members, cc, &effect);
    }
    if (err == 0) {
        store_effect(c, cc, effect);
    }
    return err;
}

/* peer-protocol 4.7: a refused change still clears raft's gate, with no node in it. */
void core_conf_change(struct core *c, const struct raft_entry *e)
{
    struct raft_conf_change_v2 change;
    struct raft_conf_change v1 = {0};
    int err = raft_conf_change_decode(e->type, e->data, &change);
    int refused = ERR_RPC_INTERNAL; /* etcd never writes a V2 change: no members behind it */
    if (err == 0 && e->type == RAFT_ENTRY_CONF_CHANGE) {
        err = raft_conf_change_v1_decode(e->data, &v1);
        refused = err == 0 ? change_members(c, &v1) : err;
    }
    if (err != 0 || (refused != 0 && !err_is_rpc(refused))) {
        core_fail(c, err != 0 ? err : refused, "applying a membership change");
        return;
    }
    for (uint32_t i = 0; refused != 0 && i < change.count; i++) {
        change.changes[i].node_id = 0;
    }
    if (raft_apply_conf_change(c->raft, &change, &c->conf) != 0) {
        core_fail(c, ERR_CORRUPT, "applying a membership change");
        return;
    }
    struct core_request *r = core_waiter_take(c, v1.id);
    if (r != NULL) {
        log_info("applied a configuration change through raft",
                 LOG_HEX("local-member-id", c->config.member_id),
                 LOG_STR("raft-conf-change", change_names[v1.type]),
                 LOG_HEX("raft-conf-change-node-id", v1.node_id));
        r->header_rev = mvcc_rev(c->store);
        core_waiter_done(c, r, refused);
    }
}
