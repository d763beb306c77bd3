/* SPDX-License-Identifier: Apache-2.0
 *
 * core/cluster: what the member says about itself through the log, and what changes its membership.
 *
 * At each start the member publishes its name and client URLs; the leader of a cluster without a
 * version sets it to the level (peer-protocol 6.3, 6.4).  Only then the member is ready.
 */
#include "base/log.h"
#include "core/internal.h"

void core_soft_state(struct core *c, uint64_t leader, enum raft_role role)
{
    if (leader != 0 && leader != c->leader) {
        c->leader_changes++;
    }
    bool was_leader = c->role == RAFT_LEADER;
    c->leader = leader;
    c->role = role;
    if (role == RAFT_LEADER && !was_leader) {
        lessor_promote(c->lessor, c->now_ms,
                       (uint64_t)c->config.election_ticks * c->config.heartbeat_ms);
    } else if (role != RAFT_LEADER && was_leader) {
        lessor_demote(c->lessor);
    }
    core_cluster_tick(c);
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
    core_propose_internal(c, WIRE_INTERNAL_MEMBER_ATTR_SET, buf_slice(&body));
    buf_deinit(&attr);
    buf_deinit(&body);
}

static void set_version(struct core *c)
{
    struct buf body = BUF_INIT;
    const char *version = level_cluster_version(c->config.level);
    wire_append_bytes(&body, 1, slice_cstr(version));
    c->is_version_proposed = true;
    log_info("setting up initial cluster version using v3 API",
             LOG_STR("cluster-version", version));
    core_propose_internal(c, WIRE_INTERNAL_CLUSTER_VERSION_SET, buf_slice(&body));
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
    if (c->role == RAFT_LEADER && apply_cluster_version(c->apply) == NULL &&
        !c->is_version_proposed) {
        set_version(c);
    }
    c->is_ready = c->is_published && apply_cluster_version(c->apply) != NULL;
}

void core_applied_result(struct core *c, const struct apply_result *res)
{
    if (res->is_over_quota) {
        core_raise_nospace(c);
    }
    if (res->published && !c->is_published) {
        c->is_published = true;
        log_info("published local member to cluster through raft",
                 LOG_HEX("local-member-id", c->config.member_id),
                 LOG_HEX("cluster-id", c->config.cluster_id));
    }
    if (res->version_changed) {
        log_info("cluster version is updated",
                 LOG_STR("cluster-version", apply_cluster_version(c->apply)));
    }
    if (res->version_lowered) {
        c->is_snapshot_forced = true;
    }
    if (res->published || res->version_changed) {
        c->is_ready = c->is_published && apply_cluster_version(c->apply) != NULL;
    }
}

/* peer-protocol 4.7: a refused change still clears raft's gate. */
void core_conf_change(struct core *c, const struct raft_entry *e)
{
    struct raft_conf_change_v2 change;
    struct raft_conf_change v1 = {0};
    int err = raft_conf_change_decode(e->type, e->data, &change);
    if (err == 0 && e->type == RAFT_ENTRY_CONF_CHANGE) {
        err = raft_conf_change_v1_decode(e->data, &v1);
    }
    if (err != 0) {
        core_fail(c, err, "applying a membership change");
        return;
    }
    int refused = ERR_RPC_INTERNAL;
    if (e->type == RAFT_ENTRY_CONF_CHANGE) {
        refused = member_apply_conf_change(c->members, &v1, c->backend);
    }
    if (refused != 0) {
        for (uint32_t i = 0; i < change.count; i++) {
            change.changes[i].node_id = 0;
        }
    }
    struct raft_conf_state conf;
    if (raft_apply_conf_change(c->raft, &change, &conf) != 0) {
        core_fail(c, ERR_CORRUPT, "applying a membership change");
        return;
    }
    c->conf = conf;
    struct core_request *r = core_waiter_take(c, v1.id);
    if (r != NULL) {
        r->header_rev = mvcc_rev(c->store);
        core_waiter_done(c, r, refused);
    }
}
