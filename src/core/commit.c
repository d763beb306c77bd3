/* SPDX-License-Identifier: Apache-2.0
 *
 * core/commit: what goes to disk: WAL appends, batches for the file, raft snapshots.
 *
 * Order (storage-formats 8, design.md 5): an entry is durable in the WAL before a batch with its
 * effects is handed over; the file holds index i before the `.snap` of i is written; that is
 * durable before the WAL record of i; only then the log is compacted.
 */
#include "core/internal.h"
#include "member/v2store.h"

/* ---- WAL ---- */

void core_append_free(struct core_append *a)
{
    for (size_t i = 0; i < a->entry_count; i++) {
        rcbuf_unref(a->entries[i].owner);
    }
    if (a->install != NULL) {
        core_install_free(a->install);
    }
    mem_free(a->entries);
    mem_free(a->messages);
    mem_free(a);
}

static struct core_append *append_new(struct core *c)
{
    struct list_node *n = list_first(&c->appends_free);
    if (n == NULL) {
        struct core_append *a = mem_zalloc(sizeof(*a));
        list_node_init(&a->node);
        return a;
    }
    list_remove(n);
    c->appends_free_count--;
    return LIST_ENTRY(n, struct core_append, node);
}

static void append_recycle(struct core *c, struct core_append *a)
{
    if (c->appends_free_count >= CORE_FREE_APPENDS_MAX) {
        core_append_free(a);
        return;
    }
    for (size_t i = 0; i < a->entry_count; i++) {
        rcbuf_unref(a->entries[i].owner);
    }
    a->entry_count = 0;
    a->message_count = 0;
    if (a->install != NULL) { /* it could not be written */
        core_install_free(a->install);
        a->install = NULL;
    }
    list_push_back(&c->appends_free, &a->node);
    c->appends_free_count++;
}

void core_append_push(struct core *c, const struct raft_update *u)
{
    struct core_append *a = append_new(c);
    if (u->entry_count > a->entry_cap) {
        a->entry_cap = u->entry_count * 2;
        a->entries = mem_realloc(a->entries, a->entry_cap * sizeof(*a->entries));
    }
    for (size_t i = 0; i < u->entry_count; i++) {
        a->entries[i] = u->entries[i];
        (void)rcbuf_ref(a->entries[i].owner);
    }
    a->entry_count = u->entry_count;
    if (u->messages_synced_count > a->message_cap) {
        a->message_cap = u->messages_synced_count;
        a->messages = mem_realloc(a->messages, a->message_cap * sizeof(*a->messages));
    }
    for (size_t i = 0; i < u->messages_synced_count; i++) {
        a->messages[i] = u->messages_synced[i];
    }
    a->message_count = u->messages_synced_count;
    a->hard = u->hard;
    a->has_hard = u->hard_changed;
    a->must_sync = u->must_sync;
    a->needs_ack = u->needs_ack;
    a->ack = u->ack;
    if (u->snapshot != NULL) {
        a->install = core_install_accept(c, u->snapshot);
    }
    if (c->appends_running++ == 0) {
        c->append_progress_ms = c->now_ms;
    }
    list_push_back(&c->appends, &a->node);
}

/* What had to wait for the write: to ourselves now, to others with the next take. */
static void deliver(struct core *c, const struct raft_message *m)
{
    if (m->to == c->config.member_id) {
        struct raft_event ev = {.type = RAFT_EV_MESSAGE, .message = m};
        int step = raft_step(c->raft, &ev);
        ensure(step == 0 || step == ERR_DROPPED || step == ERR_NOT_FOUND);
        return;
    }
    if (c->synced_count == c->synced_cap) {
        c->synced_cap = c->synced_cap == 0 ? 16 : c->synced_cap * 2;
        c->synced = mem_realloc(c->synced, c->synced_cap * sizeof(*c->synced));
    }
    c->synced[c->synced_count++] = *m;
}

void core_appended(struct core *c, struct core_append *a, int err)
{
    c->appends_running--;
    c->append_progress_ms = c->now_ms;
    if (err != 0) {
        core_fail(c, err, "writing the WAL");
    } else {
        if (a->install != NULL) {
            core_install_written(c, a->install);
            a->install = NULL;
        }
        if (a->entry_count > 0) {
            c->durable = a->entries[a->entry_count - 1].index;
        }
        for (size_t i = 0; i < a->message_count; i++) {
            deliver(c, &a->messages[i]);
        }
        if (a->needs_ack) {
            struct raft_event ev = {.type = RAFT_EV_APPENDED, .ack = a->ack};
            int step = raft_step(c->raft, &ev);
            ensure(step == 0);
        }
    }
    append_recycle(c, a);
}

/* ---- the file ---- */

void core_batch_maybe(struct core *c)
{
    if (c->batch_running != NULL || c->is_defragmenting || c->install_stage != CORE_INSTALL_NONE) {
        return;
    }
    bool is_wanted = c->wants_commit || c->is_stopping || c->save_stage == CORE_SAVE_WAITS ||
                     backend_is_full(c->backend);
#ifdef CAIRN_MUTANT_SEAL_PAST_DURABLE
    uint64_t durable = UINT64_MAX; /* test/crash proves that this is found */
#else
    uint64_t durable = c->durable;
#endif
    c->batch = backend_batch_take(c->backend, durable, c->now_ms, is_wanted);
    c->batch_running = c->batch;
    c->wants_commit = false;
}

void core_batch_done(struct core *c, struct backend_batch *batch, int err)
{
    ensure(batch == c->batch_running);
    c->batch_running = NULL;
    err = backend_batch_done(c->backend, batch, err);
    if (err != 0) {
        core_fail(c, err, "writing the database file");
    }
}

/* ---- raft snapshots (storage-formats 4.2) ---- */

void core_save_free(struct core_save *save)
{
    buf_deinit(&save->v2_json);
    mem_free(save);
}

static void save_prepare(struct core *c)
{
    struct core_save *save = mem_zalloc(sizeof(*save));
    save->meta.index = c->applied;
    save->meta.term = c->applied_term;
    save->meta.conf = c->conf;
    v2store_encode(&save->v2_json, c->members, apply_cluster_version(c->apply));
    c->save = save;
    c->save_stage = CORE_SAVE_WAITS;
    c->is_snapshot_forced = false;
}

void core_snapshot_maybe(struct core *c)
{
    if (c->install_stage != CORE_INSTALL_NONE) {
        return;
    }
    if (c->save_stage == CORE_SAVE_NONE && !c->is_stopping && !c->is_short_of_space &&
        !core_is_log_held(c) &&
        (c->is_snapshot_forced || c->applied - c->snapshot_index > c->config.snapshot_count) &&
        c->applied > c->snapshot_index) {
        save_prepare(c);
    }
    if (c->save_stage == CORE_SAVE_WAITS && c->is_stopping) {
        core_save_free(c->save);
        c->save = NULL;
        c->save_stage = CORE_SAVE_NONE;
    } else if (c->save_stage == CORE_SAVE_WAITS &&
               backend_committed_index(c->backend) >= c->save->meta.index) {
        c->save_stage = CORE_SAVE_RUNS;
    }
}

/* What followers may still need stays; all goes when something in it would end them. */
static void compact_log(struct core *c)
{
    raft_index keep = c->is_compaction_whole ? 0 : c->config.snapshot_catchup;
    c->is_compaction_whole = false;
    if (c->snapshot_index > keep && c->snapshot_index - keep >= raft_log_first_index(c->raft)) {
        raft_log_compact(c->raft, c->snapshot_index - keep);
    }
}

void core_saved(struct core *c, struct core_save *save, int err)
{
    ensure(c->save_stage == CORE_SAVE_RUNS);
    c->save_stage = CORE_SAVE_NONE;
    if (err != 0) {
        core_fail(c, err, "saving a raft snapshot");
    } else if (c->install_stage == CORE_INSTALL_NONE && save->meta.index > c->snapshot_index) {
        struct raft_snapshot snapshot = {.meta = save->meta};
        c->snapshot_index = save->meta.index;
        raft_set_snapshot(c->raft, &snapshot);
        compact_log(c);
    }
    core_save_free(save);
}
