/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/tracker.h"

#include <string.h>

static uint32_t lower_bound(const struct raft_members *m, uint64_t id);
static bool all_have_progress(const struct raft_members *m, const struct raft_ids *ids);
static bool learners_are_consistent(const struct raft_members *m);

struct raft_progress *raft_members_find(struct raft_members *m, uint64_t id)
{
    uint32_t i = lower_bound(m, id);
    return i < m->count && m->list[i].id == id ? &m->list[i] : NULL;
}

const struct raft_progress *raft_members_get(const struct raft_members *m, uint64_t id)
{
    uint32_t i = lower_bound(m, id);
    return i < m->count && m->list[i].id == id ? &m->list[i] : NULL;
}

struct raft_progress *raft_members_insert(struct raft_members *m, uint64_t id)
{
    uint32_t i = lower_bound(m, id);
    ensure(i == m->count || m->list[i].id != id);
    if (m->count == RAFT_PROGRESS_MAX) {
        return NULL;
    }
    memmove(&m->list[i + 1], &m->list[i], (m->count - i) * sizeof(m->list[0]));
    m->count++;
    m->list[i] = (struct raft_progress){.id = id};
    return &m->list[i];
}

void raft_members_remove(struct raft_members *m, uint64_t id)
{
    uint32_t i = lower_bound(m, id);
    if (i < m->count && m->list[i].id == id) {
        m->count--;
        memmove(&m->list[i], &m->list[i + 1], (m->count - i) * sizeof(m->list[0]));
    }
}

bool raft_members_is_voter(const struct raft_members *m, uint64_t id)
{
    return raft_ids_contains(&m->conf.voters, id) ||
           raft_ids_contains(&m->conf.voters_outgoing, id);
}

bool raft_members_are_consistent(const struct raft_members *m)
{
    const struct raft_conf_state *c = &m->conf;
    for (uint32_t i = 0; i < m->count; i++) {
        uint64_t id = m->list[i].id;
        if (!raft_members_is_voter(m, id) && !raft_ids_contains(&c->learners, id)) {
            return false;
        }
    }
    if (!all_have_progress(m, &c->voters) || !all_have_progress(m, &c->voters_outgoing) ||
        !all_have_progress(m, &c->learners) || !learners_are_consistent(m)) {
        return false;
    }
    return c->voters_outgoing.count > 0 || (c->learners_next.count == 0 && !c->auto_leave);
}

void raft_tracker_init(struct raft_tracker *t, uint32_t inflight_max, uint64_t inflight_bytes_max)
{
    *t = (struct raft_tracker){.inflight_max = inflight_max,
                               .inflight_bytes_max = inflight_bytes_max};
}

void raft_tracker_deinit(struct raft_tracker *t)
{
    for (uint32_t i = 0; i < t->members.count; i++) {
        raft_inflights_deinit(&t->members.list[i].inflights);
    }
    t->members.count = 0;
}

void raft_tracker_replace(struct raft_tracker *t, const struct raft_members *changed)
{
    /* Copies share the windows' memory: free those that no copy carried on. */
    for (uint32_t i = 0; i < t->members.count; i++) {
        struct raft_progress *old = &t->members.list[i];
        const struct raft_progress *kept = raft_members_get(changed, old->id);
        if (kept == NULL || kept->inflights.ring != old->inflights.ring) {
            raft_inflights_deinit(&old->inflights);
        }
    }
    t->members = *changed;
}

bool raft_tracker_is_singleton(const struct raft_tracker *t)
{
    return t->members.conf.voters.count == 1 && t->members.conf.voters_outgoing.count == 0;
}

static raft_index acked_match(const void *arg, uint64_t id)
{
    const struct raft_tracker *t = arg;
    const struct raft_progress *pr = raft_members_get(&t->members, id);
    return pr == NULL ? 0 : pr->match;
}

raft_index raft_tracker_committed(const struct raft_tracker *t)
{
    const struct raft_conf_state *c = &t->members.conf;
    return quorum_joint_committed(&c->voters, &c->voters_outgoing, acked_match, t);
}

static enum quorum_vote vote_active(const void *arg, uint64_t id)
{
    const struct raft_tracker *t = arg;
    const struct raft_progress *pr = raft_members_get(&t->members, id);
    if (pr == NULL || pr->is_learner) {
        return QUORUM_VOTE_NONE;
    }
    return pr->recent_active ? QUORUM_VOTE_YES : QUORUM_VOTE_NO;
}

bool raft_tracker_quorum_is_active(const struct raft_tracker *t)
{
    const struct raft_conf_state *c = &t->members.conf;
    return quorum_joint_vote(&c->voters, &c->voters_outgoing, vote_active, t) == QUORUM_WON;
}

void raft_tracker_reset_votes(struct raft_tracker *t)
{
    t->votes.count = 0;
}

static enum quorum_vote vote_recorded(const void *arg, uint64_t id)
{
    const struct raft_votes *v = &((const struct raft_tracker *)arg)->votes;
    for (uint32_t i = 0; i < v->count; i++) {
        if (v->ids[i] == id) {
            return v->granted[i] ? QUORUM_VOTE_YES : QUORUM_VOTE_NO;
        }
    }
    return QUORUM_VOTE_NONE;
}

void raft_tracker_record_vote(struct raft_tracker *t, uint64_t id, bool granted)
{
    struct raft_votes *v = &t->votes;
    if (vote_recorded(t, id) == QUORUM_VOTE_NONE && v->count < RAFT_PROGRESS_MAX) {
        v->ids[v->count] = id;
        v->granted[v->count++] = granted;
    }
}

struct raft_tally raft_tracker_tally(const struct raft_tracker *t)
{
    const struct raft_conf_state *c = &t->members.conf;
    struct raft_tally tally = {0};
    for (uint32_t i = 0; i < t->members.count; i++) {
        const struct raft_progress *pr = &t->members.list[i];
        enum quorum_vote v = pr->is_learner ? QUORUM_VOTE_NONE : vote_recorded(t, pr->id);
        tally.granted += v == QUORUM_VOTE_YES ? 1 : 0;
        tally.rejected += v == QUORUM_VOTE_NO ? 1 : 0;
    }
    tally.result = quorum_joint_vote(&c->voters, &c->voters_outgoing, vote_recorded, t);
    return tally;
}

static uint32_t lower_bound(const struct raft_members *m, uint64_t id)
{
    uint32_t i = 0;
    while (i < m->count && m->list[i].id < id) {
        i++;
    }
    return i;
}

static bool all_have_progress(const struct raft_members *m, const struct raft_ids *ids)
{
    for (uint32_t i = 0; i < ids->count; i++) {
        if (raft_members_get(m, ids->ids[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool learners_are_consistent(const struct raft_members *m)
{
    const struct raft_conf_state *c = &m->conf;
    for (uint32_t i = 0; i < c->learners_next.count; i++) {
        const struct raft_progress *pr = raft_members_get(m, c->learners_next.ids[i]);
        if (pr == NULL || pr->is_learner || !raft_ids_contains(&c->voters_outgoing, pr->id)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < c->learners.count; i++) {
        const struct raft_progress *pr = raft_members_get(m, c->learners.ids[i]);
        if (!pr->is_learner || raft_members_is_voter(m, pr->id)) {
            return false;
        }
    }
    return true;
}
