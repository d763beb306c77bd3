/* SPDX-License-Identifier: Apache-2.0
 *
 * core/reconfig: a client wants other members: guards, then a ConfChange entry (peer-protocol 4.5,
 * 6.6).
 *
 * The guards are the serving member's own opinion, as in etcd; what the list itself forbids is
 * decided where the entry is applied, on all members alike (cluster.c).
 */
#include "base/failpoint.h"
#include "base/log.h"
#include "core/internal.h"

static size_t quorum(size_t voters)
{
    return voters / 2 + 1;
}

static uint64_t healthy_since(const struct core *c)
{
    return c->now_ms > CORE_HEALTHY_MS ? c->now_ms - CORE_HEALTHY_MS : 0;
}

static int refuse(const struct core *c, const struct core_request *r, int err, const char *what)
{
    log_warn(what, LOG_HEX("local-member-id", c->config.member_id),
             LOG_HEX("requested-member-id", r->member_id), LOG_ERR(err));
    return err;
}

static int may_add(const struct core *c, const struct core_request *r)
{
    const struct membership *ms = c->members;
    if (r->op == CORE_MEMBER_ADD && !membership_is_ready_to_add_voter(ms)) {
        return refuse(c, r, ERR_RPC_MEMBER_NOT_ENOUGH_STARTED,
                      "rejecting member add request; not enough healthy members");
    }
    size_t voters = membership_voter_count(ms);
    if (voters > 1 && core_connected_voters(c, healthy_since(c)) < quorum(voters + 1)) {
        return refuse(c, r, ERR_RPC_UNHEALTHY,
                      "rejecting member add request; local member has not been connected to "
                      "majority peers, reconfigure breaks active quorum");
    }
    return 0;
}

static int may_remove(const struct core *c, const struct core_request *r)
{
    const struct membership *ms = c->members;
    const struct member *m = membership_find(ms, r->member_id);
    if (m != NULL && m->is_learner) {
        return 0;
    }
    if (!membership_is_ready_to_remove_voter(ms, r->member_id)) {
        return refuse(c, r, ERR_RPC_MEMBER_NOT_ENOUGH_STARTED,
                      "rejecting member remove request; not enough healthy members");
    }
    if (r->member_id != c->config.member_id && core_peer_active_since_ms(c, r->member_id) == 0) {
        return 0; /* it is down: no part of the quorum that works */
    }
    size_t left = 1 + (membership_voter_count(ms) - 1) / 2;
    if (core_connected_voters(c, healthy_since(c)) < left + 1) {
        return refuse(c, r, ERR_RPC_UNHEALTHY,
                      "rejecting member remove request; local member has not been connected to "
                      "all peers, reconfigure breaks active quorum");
    }
    return 0;
}

/* Leader only: nobody else knows how far a learner is. */
static int may_promote(const struct core *c, const struct core_request *r)
{
    struct raft_member_status st[2 * RAFT_MEMBERS_MAX];
    if (c->role != RAFT_LEADER) {
        return ERR_RPC_NOT_LEADER;
    }
    size_t count = raft_member_statuses(c->raft, st, ARRAY_LEN(st));
    bool is_found = false;
    raft_index match = 0, own = 0;
    for (size_t i = 0; i < count && i < ARRAY_LEN(st); i++) {
        if (st[i].id == r->member_id) {
            is_found = true;
            match = st[i].match;
        }
        own = st[i].id == c->config.member_id ? st[i].match : own;
    }
    if (!is_found) {
        return ERR_RPC_MEMBER_NOT_FOUND;
    }
    if ((double)match < (double)own * 0.9) {
        return refuse(c, r, ERR_RPC_LEARNER_NOT_READY,
                      "rejecting promote learner: learner is not ready");
    }
    if (c->config.strict_reconfig_check && !membership_is_ready_to_promote(c->members)) {
        return refuse(c, r, ERR_RPC_MEMBER_NOT_ENOUGH_STARTED,
                      "rejecting member promote request; not enough healthy members");
    }
    return 0;
}

static int may(const struct core *c, const struct core_request *r)
{
    FAILPOINT(afterIsMemberExist);
    switch (r->op) {
    case CORE_MEMBER_ADD:
    case CORE_MEMBER_ADD_LEARNER: return c->config.strict_reconfig_check ? may_add(c, r) : 0;
    case CORE_MEMBER_REMOVE: return c->config.strict_reconfig_check ? may_remove(c, r) : 0;
    case CORE_MEMBER_PROMOTE: return may_promote(c, r);
    case CORE_MEMBER_UPDATE: return 0;
    }
    return ERR_INVALID;
}

/* ---- the entry ---- */

/* The change's context, and the id of a new member. */
static void context_make(struct core_request *r, struct buf *json)
{
    struct member m;
    bool is_add = r->op == CORE_MEMBER_ADD || r->op == CORE_MEMBER_ADD_LEARNER;
    if (r->op == CORE_MEMBER_PROMOTE) {
        member_promote_json(json, r->member_id);
        return;
    }
    member_init(&m);
    strs_copy(&m.peer_urls, r->peer_urls);
    if (is_add) {
        r->member_id = member_id_compute(r->peer_urls, "", r->unix_s);
        m.is_learner = r->op == CORE_MEMBER_ADD_LEARNER;
    }
    m.id = r->member_id;
    member_json(json, &m);
    member_deinit(&m);
}

static enum raft_conf_change_type change_type(enum core_member_op op)
{
    switch (op) {
    case CORE_MEMBER_ADD:
    case CORE_MEMBER_PROMOTE: return RAFT_CONF_ADD_NODE;
    case CORE_MEMBER_ADD_LEARNER: return RAFT_CONF_ADD_LEARNER;
    case CORE_MEMBER_REMOVE: return RAFT_CONF_REMOVE_NODE;
    case CORE_MEMBER_UPDATE: return RAFT_CONF_UPDATE_NODE;
    }
    ensure(false);
    return RAFT_CONF_ADD_NODE;
}

static int entry_make(struct core *c, struct core_request *r)
{
    struct buf json = BUF_INIT, bytes = BUF_INIT;
    if (r->op != CORE_MEMBER_REMOVE) {
        context_make(r, &json);
    }
    const struct raft_conf_change cc = {
        .id = r->id,
        .type = change_type(r->op),
        .node_id = r->member_id,
        .context = buf_slice(&json),
    };
    raftpb_conf_change_encode(&bytes, &cc, level_rules(c->config.level)->emission);
    uint8_t *data = core_slab_take(c, bytes.len);
    if (data != NULL) {
        memcpy(data, bytes.data, bytes.len);
        r->entry = slice_make(data, bytes.len);
        r->entry_owner = rcbuf_ref(c->slab);
    }
    buf_deinit(&json);
    buf_deinit(&bytes);
    return data != NULL ? 0 : ERR_RPC_TOO_MANY_REQUESTS;
}

static void propose(struct core *c, struct core_request *r)
{
    int err = may(c, r);
    if (err == 0) {
        r->deadline_ms = UINT64_MAX; /* as in etcd: only the client gives up */
        r->id = core_new_id(c);
        err = entry_make(c, r);
    }
    if (err != 0) {
        r->header_rev = mvcc_rev(c->store);
        core_reply(c, r, err);
    } else {
        core_propose_made(c, r);
    }
}

void core_promote_caught_up(struct core *c, struct core_request *r)
{
    propose(c, r);
}

void core_conf_request(struct core *c, struct core_request *r)
{
    if (r->op == CORE_MEMBER_PROMOTE) {
        core_catch_up(c, r);
    } else {
        propose(c, r);
    }
}
