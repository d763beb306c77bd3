/* SPDX-License-Identifier: Apache-2.0
 *
 * core/install: a snapshot of the leader takes the place of everything here (peer-protocol 5.11,
 * storage-formats 4.4).
 *
 *     received -> raft takes it -> [`.snap`, WAL record, hard state, sync] -> what uses the file
 *              ends -> [rename over db, open, rebuild] -> the core goes on with the new epoch
 *
 * From the moment raft has taken it nothing is applied and no batch is made: what the log held
 * below the snapshot is part of it.  Reads go on with the old store until the new one is there;
 * plans and views that are open then keep what they have, everything else starts again.
 */
#include "base/log.h"
#include "core/internal.h"

void core_install_free(struct core_install *in)
{
    buf_deinit(&in->v2_json);
    mem_free(in);
}

/* All that raft did not take. */
void core_received_clear(struct core *c)
{
    LIST_FOREACH (&c->received, n) {
        list_remove(n);
        core_install_free(LIST_ENTRY(n, struct core_install, node));
    }
}

int core_snapshot_received(struct core *c, const struct raft_message *m, struct slice v2_json)
{
    if (m->type != RAFT_MSG_SNAP || m->snapshot == NULL ||
        m->snapshot->meta.conf.voters.count == 0) {
        return ERR_MALFORMED;
    }
    if (c->install_stage != CORE_INSTALL_NONE || c->is_stopping || c->fatal != 0) {
        return ERR_DROPPED; /* one at a time */
    }
    struct core_install *in = mem_zalloc(sizeof(*in));
    list_node_init(&in->node);
    in->meta = m->snapshot->meta;
    buf_append_slice(&in->v2_json, v2_json);
    list_push_back(&c->received, &in->node);
    struct raft_snapshot snapshot = {.meta = in->meta, .handle = in};
    struct raft_message copy = *m;
    copy.snapshot = &snapshot;
    struct raft_event ev = {.type = RAFT_EV_MESSAGE, .message = &copy};
    return raft_step(c->raft, &ev);
}

struct core_install *core_install_accept(struct core *c, const struct raft_snapshot *s)
{
    struct core_install *in = s->handle;
    ensure(c->install_stage == CORE_INSTALL_NONE && in != NULL);
    list_remove(&in->node);
    log_info("applying snapshot", LOG_U64("current-snapshot-index", c->snapshot_index),
             LOG_U64("current-applied-index", c->applied),
             LOG_U64("incoming-leader-snapshot-index", in->meta.index),
             LOG_U64("incoming-leader-snapshot-term", in->meta.term));
    core_queue_drop(c);
    c->committed_queued = in->meta.index;
    if (c->committed < in->meta.index) {
        c->committed = in->meta.index;
    }
    if (c->save_stage == CORE_SAVE_WAITS) {
        core_save_free(c->save);
        c->save = NULL;
        c->save_stage = CORE_SAVE_NONE;
    }
    c->install_stage = CORE_INSTALL_WRITES;
    return in;
}

void core_install_written(struct core *c, struct core_install *in)
{
    c->install = in;
    c->install_stage = CORE_INSTALL_WAITS;
    if (c->durable < in->meta.index) {
        c->durable = in->meta.index;
    }
}

struct core_install *core_install_take(struct core *c)
{
    if (c->install_stage != CORE_INSTALL_WAITS || c->batch_running != NULL || c->is_defragmenting ||
        c->is_fetching) {
        return NULL;
    }
    c->install_stage = CORE_INSTALL_RUNS;
    return c->install;
}

static void take_over(struct core *c, const struct core_boot *boot)
{
    mvcc_values_destroy(c->values);
    apply_destroy(c->apply);
    c->backend = boot->backend;
    c->store = boot->store;
    c->lessor = boot->lessor;
    c->auth = boot->auth;
    c->leases_changed = true;
    c->members = boot->members;
    c->values = mvcc_values_create(c->store);
    c->epoch++;
    core_apply_make(c, boot->schema);
    core_reads_restart(c);
    core_tasks_restart(c);
    c->epoch_changed = true;
    c->members_changed = true;
}

/* What the member itself has proposed may be in the snapshot: it is looked at, and proposed, anew.
 * Clients' requests wait for their time-out: nobody can tell what became of them. */
static void forget_own_proposals(struct core *c)
{
    LIST_FOREACH (&c->pending, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (r->is_internal) {
            core_answer_waiting(c, r, ERR_RPC_TIMEOUT);
        }
    }
}

void core_installed(struct core *c, const struct core_boot *boot, int err)
{
    ensure(c->install_stage == CORE_INSTALL_RUNS);
    struct core_install *in = c->install;
    c->install = NULL;
    c->install_stage = CORE_INSTALL_NONE;
    if (err != 0) {
        core_fail(c, err, "putting the leader's database in place");
        core_install_free(in);
        return;
    }
    take_over(c, boot);
    forget_own_proposals(c);
    c->applied = c->acked = in->meta.index;
    c->applied_term = in->meta.term;
    c->snapshot_index = in->meta.index;
    raft_conf_state(c->raft, &c->conf);
    struct raft_snapshot snapshot = {.meta = in->meta};
    raft_set_snapshot(c->raft, &snapshot);
    log_info("applied snapshot", LOG_U64("current-snapshot-index", c->snapshot_index),
             LOG_U64("current-applied-index", c->applied),
             LOG_U64("incoming-leader-snapshot-index", in->meta.index),
             LOG_U64("incoming-leader-snapshot-term", in->meta.term));
    core_install_free(in);
}
