/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/progress.h"

static raft_index min_index(raft_index a, raft_index b)
{
    return a < b ? a : b;
}

static raft_index max_index(raft_index a, raft_index b)
{
    return a > b ? a : b;
}

static void enter_state(struct raft_progress *pr, enum raft_progress_state state)
{
    pr->flow_paused = false;
    pr->pending_snapshot = 0;
    pr->state = state;
    raft_inflights_reset(&pr->inflights);
}

void raft_progress_become_probe(struct raft_progress *pr)
{
    /* A snapshot that was sent successfully is the place to go on from. */
    raft_index from = pr->state == RAFT_PROGRESS_SNAPSHOT ? pr->pending_snapshot : 0;
    enter_state(pr, RAFT_PROGRESS_PROBE);
    pr->next = max_index(pr->match, from) + 1;
    pr->sent_commit = min_index(pr->sent_commit, pr->next - 1);
}

void raft_progress_become_replicate(struct raft_progress *pr)
{
    enter_state(pr, RAFT_PROGRESS_REPLICATE);
    pr->next = pr->match + 1;
}

void raft_progress_become_snapshot(struct raft_progress *pr, raft_index snapshot_index)
{
    enter_state(pr, RAFT_PROGRESS_SNAPSHOT);
    pr->pending_snapshot = snapshot_index;
    pr->next = snapshot_index + 1;
    pr->sent_commit = snapshot_index;
}

void raft_progress_sent_entries(struct raft_progress *pr, size_t count, uint64_t bytes)
{
    ensure(pr->state != RAFT_PROGRESS_SNAPSHOT);
    if (pr->state == RAFT_PROGRESS_PROBE) {
        pr->flow_paused = pr->flow_paused || count > 0;
        return;
    }
    if (count > 0) {
        pr->next += count;
        raft_inflights_add(&pr->inflights, pr->next - 1, bytes);
    }
    /* A message with the window full (now or before) is a probe: one, then wait. */
    pr->flow_paused = raft_inflights_is_full(&pr->inflights);
}

bool raft_progress_can_bump_commit(const struct raft_progress *pr, raft_index commit)
{
    return commit > pr->sent_commit && pr->sent_commit < pr->next - 1;
}

bool raft_progress_maybe_update(struct raft_progress *pr, raft_index index)
{
    if (index <= pr->match) {
        return false;
    }
    pr->match = index;
    pr->next = max_index(pr->next, index + 1);
    pr->flow_paused = false;
    return true;
}

bool raft_progress_maybe_decrease(struct raft_progress *pr, raft_index rejected, raft_index hint)
{
    if (pr->state == RAFT_PROGRESS_REPLICATE) {
        if (rejected <= pr->match) {
            return false; /* overtaken by an acknowledgement */
        }
        pr->next = pr->match + 1;
        pr->sent_commit = min_index(pr->sent_commit, pr->next - 1);
        return true;
    }
    if (pr->next - 1 != rejected) {
        return false; /* not the probe that is out */
    }
    pr->next = max_index(min_index(rejected, hint + 1), pr->match + 1);
    pr->sent_commit = min_index(pr->sent_commit, pr->next - 1);
    pr->flow_paused = false;
    return true;
}

bool raft_progress_is_paused(const struct raft_progress *pr)
{
    return pr->state == RAFT_PROGRESS_SNAPSHOT || pr->flow_paused;
}

void raft_progress_reset(struct raft_progress *pr, raft_index match, raft_index next)
{
    struct raft_inflights window = pr->inflights;
    raft_inflights_reset(&window);
    *pr = (struct raft_progress){.id = pr->id,
                                 .match = match,
                                 .next = next,
                                 .is_learner = pr->is_learner,
                                 .inflights = window};
}

void raft_progress_check(const struct raft_progress *pr)
{
    ensure(pr->id != 0);
    ensure(pr->match < pr->next);
    ensure(pr->state == RAFT_PROGRESS_REPLICATE || pr->inflights.count == 0);
    raft_inflights_check(&pr->inflights);
}
