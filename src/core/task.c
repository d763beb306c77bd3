/* SPDX-License-Identifier: Apache-2.0
 *
 * core/task: what needs the file as a whole: hashes, views, defragmentation; and compaction slices.
 *
 * A task waits until the file holds everything that was applied when it began (a commit is forced),
 * then pins the newest view; a work thread reads through it while everything goes on.
 */
#include <stdio.h>

#include "core/internal.h"

struct core_job *core_job_push(struct core *c, enum core_job_kind kind, struct core_request *r)
{
    struct core_job *job = mem_zalloc(sizeof(*job));
    list_node_init(&job->node);
    job->kind = kind;
    job->request = r;
    job->view = backend_view_pin(c->backend);
    c->jobs_running++;
    list_push_back(&c->jobs, &job->node);
    return job;
}

static bool is_in_file(struct core *c, uint64_t position)
{
    if (backend_committed_position(c->backend) >= position) {
        return true;
    }
    c->wants_commit = true;
    return false;
}

/* ---- requests ---- */

static int start_hash_kv(struct core *c, struct core_request *r)
{
    int err = mvcc_hash_begin(c->store, r->rev, &r->hash, &r->hash_run);
    if (err == 1) {
        core_reply(c, r, 0); /* a compaction's hash, from the cache */
        return 0;
    }
    if (err == 0) {
        list_push_back(&c->tasks, &r->node);
    }
    return err;
}

void core_task_start(struct core *c, struct core_request *r)
{
    r->stage = CORE_STAGE_TASK;
    r->header_rev = mvcc_rev(c->store);
    r->wait = backend_position(c->backend);
    if (r->kind != CORE_HASH_KV) {
        list_push_back(&c->tasks, &r->node);
        return;
    }
    int err = start_hash_kv(c, r);
    if (err != 0) {
        core_reply(c, r, err);
    }
}

static void run_hash_kv(struct core *c, struct core_request *r)
{
    if (mvcc_hash_collect(r->hash_run, CORE_COLLECT_KEYS) == ERR_AGAIN) {
        c->has_more = true;
        return;
    }
    if (!is_in_file(c, r->wait)) {
        return;
    }
    struct core_job *job = core_job_push(c, CORE_JOB_HASH, r);
    mvcc_hash_attach(r->hash_run);
    job->hash = r->hash_run;
    r->has_job = true;
}

static void run_defrag(struct core *c, struct core_request *r)
{
    if (c->batch_running != NULL || c->is_defragmenting || c->install_stage != CORE_INSTALL_NONE) {
        return;
    }
    if (!is_in_file(c, r->wait)) {
        return;
    }
    char suffix[32];
    (void)snprintf(suffix, sizeof(suffix), "%llu", (unsigned long long)(c->now_ms + c->round));
    struct core_job *job = core_job_push(c, CORE_JOB_DEFRAG, r);
    job->defrag = backend_defrag_begin(c->backend, suffix);
    c->is_defragmenting = true;
    r->has_job = true;
}

static void run_task(struct core *c, struct core_request *r)
{
    switch (r->kind) {
    case CORE_HASH_KV: run_hash_kv(c, r); break;
    case CORE_HASH:
        if (is_in_file(c, r->wait)) {
            (void)core_job_push(c, CORE_JOB_HASH_ALL, r);
            r->has_job = true;
        }
        break;
    case CORE_VIEW:
        if (is_in_file(c, r->wait)) {
            r->view = backend_view_pin(c->backend);
            core_reply(c, r, 0);
        }
        break;
    case CORE_DEFRAG: run_defrag(c, r); break;
    case CORE_PROPOSE:
    case CORE_RANGE:
    case CORE_TXN_READ:
    case CORE_BARRIER:
    case CORE_CATCH_UP:
    case CORE_CONF_CHANGE:
    case CORE_TRANSFER_LEADER:
    case CORE_LEASE_RENEW:
    case CORE_RAISE_LEVEL: ensure(false); break;
    }
}

void core_tasks_stop(struct core *c)
{
    LIST_FOREACH (&c->tasks, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (r->has_job) {
            r->is_canceled = true;
            continue;
        }
        if (r->hash_run != NULL) {
            mvcc_hash_end(r->hash_run, false);
            r->hash_run = NULL;
        }
        core_reply(c, r, ERR_RPC_STOPPED);
    }
}

static void restart_hash_kv(struct core *c, struct core_request *r)
{
    mvcc_hash_end(r->hash_run, false);
    r->hash_run = NULL;
    list_remove(&r->node);
    int err = start_hash_kv(c, r);
    if (err != 0) {
        core_reply(c, r, err);
    }
}

void core_tasks_restart(struct core *c)
{
    struct list again;
    list_init(&again);
    LIST_FOREACH (&c->tasks, n) {
        list_remove(n);
        list_push_back(&again, n);
    }
    LIST_FOREACH (&again, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        list_remove(n);
        list_push_back(&c->tasks, n);
        r->wait = backend_position(c->backend);
        if (r->kind == CORE_HASH_KV && !r->has_job) {
            restart_hash_kv(c, r);
        }
    }
    LIST_FOREACH (&c->physical, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        r->wait = r->is_finished ? backend_position(c->backend) : r->wait;
    }
    if (c->compact_hash != NULL && c->compact_stage != CORE_HASH_RUNS) {
        mvcc_hash_end(c->compact_hash, false);
        c->compact_hash = NULL;
        c->compact_stage = CORE_HASH_NONE;
    }
    c->next_slice_ms = 0;
}

/* ---- compaction ---- */

static void compaction_hash(struct core *c)
{
    switch (c->compact_stage) {
    case CORE_HASH_NONE:
        c->compact_hash = mvcc_compact_hash_begin(c->store);
        c->compact_position = backend_position(c->backend);
        c->compact_stage = CORE_HASH_COLLECTS;
        c->has_more = true;
        break;
    case CORE_HASH_COLLECTS:
        if (mvcc_hash_collect(c->compact_hash, CORE_COLLECT_KEYS) != ERR_AGAIN) {
            c->compact_stage = CORE_HASH_WAITS;
        }
        c->has_more = true;
        break;
    case CORE_HASH_WAITS:
        if (is_in_file(c, c->compact_position)) {
            struct core_job *job = core_job_push(c, CORE_JOB_HASH, NULL);
            mvcc_hash_attach(c->compact_hash);
            job->hash = c->compact_hash;
            c->compact_stage = CORE_HASH_RUNS;
        }
        break;
    case CORE_HASH_RUNS: break;
    }
}

static void compaction_run(struct core *c)
{
    switch (mvcc_compact_state(c->store)) {
    case MVCC_COMPACT_HASH: compaction_hash(c); break;
    case MVCC_COMPACT_RUN:
        if (c->now_ms >= c->next_slice_ms && !backend_is_full(c->backend)) {
            (void)mvcc_compact_step(c->store, c->config.compaction_batch);
            backend_seal(c->backend, c->applied, c->applied_term, c->now_ms);
            c->next_slice_ms = c->now_ms + c->config.compaction_sleep_ms;
        }
        break;
    case MVCC_COMPACT_IDLE:
    case MVCC_COMPACT_HELD: break;
    }
}

/* physical=true: answered when the removal is in the file. */
static void physical_replies(struct core *c)
{
    LIST_FOREACH (&c->physical, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (!r->is_finished) {
            if (mvcc_compact_finished_rev(c->store) < (int64_t)r->wait) {
                continue;
            }
            r->is_finished = true;
            r->wait = backend_position(c->backend);
        }
        if (is_in_file(c, r->wait)) {
            core_reply(c, r, r->err);
        }
    }
}

void core_tasks_run(struct core *c)
{
    c->has_more = false;
    LIST_FOREACH (&c->tasks, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (!r->has_job) {
            run_task(c, r);
        }
    }
    if (!c->is_stopping && c->install_stage == CORE_INSTALL_NONE) {
        compaction_run(c);
    }
    physical_replies(c);
}

uint64_t core_tasks_wake_ms(const struct core *c)
{
    bool has_slices = !c->is_stopping && mvcc_compact_state(c->store) == MVCC_COMPACT_RUN &&
                      !backend_is_full(c->backend);
    return has_slices ? c->next_slice_ms : UINT64_MAX;
}

/* ---- jobs that came back ---- */

static void compaction_hashed(struct core *c, const struct core_job *job)
{
    mvcc_hash_end(c->compact_hash, job->err == 0);
    c->compact_hash = NULL;
    c->compact_stage = CORE_HASH_NONE;
}

void core_task_job_done(struct core *c, struct core_job *job)
{
    struct core_request *r = job->request;
    int err = job->err;
    if (job->kind == CORE_JOB_DEFRAG) {
        c->is_defragmenting = false;
        err = backend_defrag_done(c->backend, job->defrag, err);
        if (err != 0 && backend_is_lost(c->backend)) {
            core_fail(c, err, "putting the rewritten database file in place");
        }
    } else if (r == NULL) {
        compaction_hashed(c, job);
        return;
    }
    r->has_job = false;
    if (job->kind == CORE_JOB_HASH) {
        r->hash = mvcc_hash_result(r->hash_run);
        mvcc_hash_end(r->hash_run, err == 0);
        r->hash_run = NULL;
    } else if (job->kind == CORE_JOB_HASH_ALL) {
        r->hash.hash = job->hash_all;
    }
    core_reply(c, r, err);
}
