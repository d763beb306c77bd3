/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/confchange.h"

static enum raft_changer_error apply_all(struct raft_changer *c,
                                         const struct raft_conf_single *changes, uint32_t count);
static bool apply_one(struct raft_changer *c, const struct raft_conf_single *change);
static bool make_voter(struct raft_changer *c, uint64_t id);
static bool make_learner(struct raft_changer *c, uint64_t id);
static void remove_member(struct raft_changer *c, uint64_t id, bool keep_progress);
static bool init_progress(struct raft_changer *c, uint64_t id, bool is_learner);

static bool is_joint(const struct raft_changer *c)
{
    return c->members->conf.voters_outgoing.count > 0;
}

enum raft_changer_error raft_changer_simple(struct raft_changer *c,
                                            const struct raft_conf_single *changes, uint32_t count)
{
    struct raft_ids before = c->members->conf.voters;
    ensure(raft_members_are_consistent(c->members));
    if (is_joint(c)) {
        return RAFT_CHANGER_SIMPLE_IN_JOINT;
    }
    enum raft_changer_error err = apply_all(c, changes, count);
    if (err == RAFT_CHANGER_OK &&
        raft_ids_difference_count(&before, &c->members->conf.voters) > 1) {
        err = RAFT_CHANGER_MANY_VOTERS;
    }
    return err;
}

enum raft_changer_error raft_changer_enter_joint(struct raft_changer *c, bool auto_leave,
                                                 const struct raft_conf_single *changes,
                                                 uint32_t count)
{
    struct raft_conf_state *conf = &c->members->conf;
    ensure(raft_members_are_consistent(c->members));
    if (is_joint(c)) {
        return RAFT_CHANGER_ALREADY_JOINT;
    }
    if (conf->voters.count == 0) {
        return RAFT_CHANGER_NO_VOTERS_TO_JOIN;
    }
    conf->voters_outgoing = conf->voters;
    enum raft_changer_error err = apply_all(c, changes, count);
    conf->auto_leave = auto_leave;
    return err;
}

enum raft_changer_error raft_changer_leave_joint(struct raft_changer *c)
{
    struct raft_conf_state *conf = &c->members->conf;
    ensure(raft_members_are_consistent(c->members));
    if (!is_joint(c)) {
        return RAFT_CHANGER_NOT_JOINT;
    }
    for (uint32_t i = 0; i < conf->learners_next.count; i++) {
        uint64_t id = conf->learners_next.ids[i];
        if (!raft_ids_add(&conf->learners, id)) {
            return RAFT_CHANGER_TOO_MANY_MEMBERS;
        }
        raft_members_find(c->members, id)->is_learner = true;
    }
    for (uint32_t i = 0; i < conf->voters_outgoing.count; i++) {
        uint64_t id = conf->voters_outgoing.ids[i];
        if (!raft_ids_contains(&conf->voters, id) && !raft_ids_contains(&conf->learners, id)) {
            raft_members_remove(c->members, id);
        }
    }
    conf->learners_next.count = 0;
    conf->voters_outgoing.count = 0;
    conf->auto_leave = false;
    ensure(raft_members_are_consistent(c->members));
    return RAFT_CHANGER_OK;
}

/* Each id on its own, as a simple change. */
static enum raft_changer_error restore_each(struct raft_changer *c, const struct raft_ids *ids,
                                            enum raft_conf_change_type type)
{
    enum raft_changer_error err = RAFT_CHANGER_OK;
    for (uint32_t i = 0; i < ids->count && err == RAFT_CHANGER_OK; i++) {
        struct raft_conf_single change = {type, ids->ids[i]};
        err = raft_changer_simple(c, &change, 1);
    }
    return err;
}

static uint32_t add_changes(struct raft_conf_single *out, uint32_t n, const struct raft_ids *ids,
                            enum raft_conf_change_type type)
{
    for (uint32_t i = 0; i < ids->count; i++) {
        out[n++] = (struct raft_conf_single){type, ids->ids[i]};
    }
    return n;
}

/* The outgoing voters first, then one joint change that removes them and adds what is incoming. */
static enum raft_changer_error restore_joint(struct raft_changer *c,
                                             const struct raft_conf_state *conf)
{
    struct raft_conf_single in[4 * RAFT_MEMBERS_MAX];
    enum raft_changer_error err = restore_each(c, &conf->voters_outgoing, RAFT_CONF_ADD_NODE);
    if (err != RAFT_CHANGER_OK) {
        return err;
    }
    uint32_t n = add_changes(in, 0, &conf->voters_outgoing, RAFT_CONF_REMOVE_NODE);
    n = add_changes(in, n, &conf->voters, RAFT_CONF_ADD_NODE);
    n = add_changes(in, n, &conf->learners, RAFT_CONF_ADD_LEARNER);
    n = add_changes(in, n, &conf->learners_next, RAFT_CONF_ADD_LEARNER);
    return raft_changer_enter_joint(c, conf->auto_leave, in, n);
}

static bool conf_states_equal(const struct raft_conf_state *a, const struct raft_conf_state *b)
{
    return raft_ids_equal(&a->voters, &b->voters) && raft_ids_equal(&a->learners, &b->learners) &&
           raft_ids_equal(&a->voters_outgoing, &b->voters_outgoing) &&
           raft_ids_equal(&a->learners_next, &b->learners_next) && a->auto_leave == b->auto_leave;
}

enum raft_changer_error raft_changer_restore(struct raft_changer *c,
                                             const struct raft_conf_state *conf)
{
    struct raft_conf_state sorted = *conf;
    enum raft_changer_error err;
    ensure(c->members->count == 0);
    raft_ids_normalize(&sorted.voters);
    raft_ids_normalize(&sorted.learners);
    raft_ids_normalize(&sorted.voters_outgoing);
    raft_ids_normalize(&sorted.learners_next);
    if (sorted.voters_outgoing.count > 0) {
        err = restore_joint(c, &sorted);
    } else {
        err = restore_each(c, &sorted.voters, RAFT_CONF_ADD_NODE);
        if (err == RAFT_CHANGER_OK) {
            err = restore_each(c, &sorted.learners, RAFT_CONF_ADD_LEARNER);
        }
    }
    if (err == RAFT_CHANGER_OK && !conf_states_equal(&sorted, &c->members->conf)) {
        return RAFT_CHANGER_INCONSISTENT;
    }
    return err;
}

bool raft_conf_change_leaves_joint(const struct raft_conf_change_v2 *cc)
{
    return cc->transition == RAFT_TRANSITION_AUTO && cc->count == 0;
}

bool raft_conf_change_enters_joint(const struct raft_conf_change_v2 *cc, bool *out_auto_leave)
{
    if (cc->transition == RAFT_TRANSITION_AUTO && cc->count <= 1) {
        return false;
    }
    *out_auto_leave = cc->transition != RAFT_TRANSITION_JOINT_EXPLICIT;
    return true;
}

static enum raft_changer_error apply_all(struct raft_changer *c,
                                         const struct raft_conf_single *changes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        /* Id 0 marks a change that the member refused while applying. */
        if (changes[i].node_id != 0 && !apply_one(c, &changes[i])) {
            return RAFT_CHANGER_TOO_MANY_MEMBERS;
        }
    }
    if (c->members->conf.voters.count == 0) {
        return RAFT_CHANGER_REMOVED_ALL_VOTERS;
    }
    return RAFT_CHANGER_OK;
}

static bool apply_one(struct raft_changer *c, const struct raft_conf_single *change)
{
    switch (change->type) {
    case RAFT_CONF_ADD_NODE: return make_voter(c, change->node_id);
    case RAFT_CONF_ADD_LEARNER: return make_learner(c, change->node_id);
    case RAFT_CONF_REMOVE_NODE: remove_member(c, change->node_id, false); return true;
    case RAFT_CONF_UPDATE_NODE: return true;
    }
    return true;
}

static bool make_voter(struct raft_changer *c, uint64_t id)
{
    struct raft_conf_state *conf = &c->members->conf;
    struct raft_progress *pr = raft_members_find(c->members, id);
    if (pr == NULL) {
        return init_progress(c, id, false);
    }
    pr->is_learner = false;
    raft_ids_remove(&conf->learners, id);
    raft_ids_remove(&conf->learners_next, id);
    return raft_ids_add(&conf->voters, id);
}

/*
 * A voter of the outgoing half cannot be a learner at the same time (I2): it is noted in
 * learners_next and becomes one when the joint configuration is left.
 */
static bool make_learner(struct raft_changer *c, uint64_t id)
{
    struct raft_conf_state *conf = &c->members->conf;
    struct raft_progress *pr = raft_members_find(c->members, id);
    if (pr == NULL) {
        return init_progress(c, id, true);
    }
    if (pr->is_learner) {
        return true;
    }
    remove_member(c, id, true);
    if (raft_ids_contains(&conf->voters_outgoing, id)) {
        return raft_ids_add(&conf->learners_next, id);
    }
    pr->is_learner = true;
    return raft_ids_add(&conf->learners, id);
}

static void remove_member(struct raft_changer *c, uint64_t id, bool keep_progress)
{
    struct raft_conf_state *conf = &c->members->conf;
    raft_ids_remove(&conf->voters, id);
    raft_ids_remove(&conf->learners, id);
    raft_ids_remove(&conf->learners_next, id);
    if (!keep_progress && !raft_ids_contains(&conf->voters_outgoing, id)) {
        raft_members_remove(c->members, id);
    }
}

static bool init_progress(struct raft_changer *c, uint64_t id, bool is_learner)
{
    struct raft_conf_state *conf = &c->members->conf;
    if (!raft_ids_add(is_learner ? &conf->learners : &conf->voters, id)) {
        return false;
    }
    struct raft_progress *pr = raft_members_insert(c->members, id);
    if (pr == NULL) {
        return false;
    }
    /* Probing starts at our end: a joiner rejects it with what it has.  It counts as active, or
     * the next quorum check could depose us before it had a chance to speak. */
    pr->next = c->last_index > 1 ? c->last_index : 1;
    pr->is_learner = is_learner;
    pr->recent_active = true;
    raft_inflights_init(&pr->inflights, c->inflight_max, c->inflight_bytes_max);
    return true;
}
