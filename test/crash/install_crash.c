/* SPDX-License-Identifier: Apache-2.0
 *
 * crash/install_crash: a power cut after every disk operation of a follower that receives a
 * snapshot and puts it in place (storage-formats 8, F1-F7).
 *
 * Three members; the one on the crashing disk was cut off until the log that it needs was
 * compacted. At each crash point all three lose their power: what is left must start, hold what the
 * member had acknowledged to the leader, become one cluster again with equal hashes, and have every
 * write that a client was told of.
 *
 * usage: install_crash [once | again | cut]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_fixture.h"
#include "crash.h"

enum { KEYS = 40 };

struct ctx {
    struct cluster_fixture f;
    bool is_open;
    struct sim_disk *end[3]; /* of the others, when it is over */
    unsigned acked;          /* keys k0 .. */
    raft_index promised;
};

static unsigned rounds; /* snapshots received in one run */

static void *ctx_create(void)
{
    return mem_zalloc(sizeof(struct ctx));
}

static void ctx_destroy(void *arg)
{
    struct ctx *c = arg;
    if (c->is_open) {
        cf_deinit(&c->f);
    }
    for (unsigned i = 0; i < 3; i++) {
        if (c->end[i] != NULL) {
            sim_disk_destroy(c->end[i]);
        }
    }
    mem_free(c);
}

static void configure(struct cluster_fixture *f, struct env_disk *disk)
{
    cf_init(f, 3, 1);
    f->members[0].test_disk = disk;
    for (unsigned i = 0; i < 3; i++) {
        f->members[i].config.snapshot_count = 8;
        f->members[i].config.snapshot_catchup = 2;
        f->members[i].config.wal_segment_bytes = 8192;
        f->members[i].config.max_wals = 1;
        f->members[i].config.max_snapshots = 1;
    }
}

static void key_of(char out[16], unsigned i)
{
    (void)snprintf(out, 16, "k%u", i);
}

static int put_some(struct ctx *c, unsigned count)
{
    char value[200];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        key_of(key, c->acked);
        int err = cf_put(&c->f, 1 + i % 2, key, value);
        if (err != 0) {
            return err;
        }
        c->acked++;
    }
    return 0;
}

/* A leader that is not the member on the disk. */
static int lead(struct ctx *c)
{
    if (cf_wait_leader(&c->f) == 0) {
        return cf_transfer(&c->f, 0, c->f.members[1].id);
    }
    return 0;
}

static int fall_behind(struct ctx *c)
{
    int err = lead(c);
    cf_isolate(&c->f, 0, true);
    for (unsigned i = 0; err == 0 && i < 3; i++) {
        err = put_some(c, 5);
        cf_run(&c->f, 250);
    }
    return err;
}

static int prepare(void *arg, struct env_disk *disk)
{
    struct ctx *c = arg;
    configure(&c->f, disk);
    c->is_open = true;
    cf_start_all(&c->f);
    int err = put_some(c, 4);
    cf_run(&c->f, 500);
    return err == 0 ? fall_behind(c) : err;
}

static bool is_in(struct cluster_fixture *f)
{
    if (f->members[0].is_failed) {
        return true;
    }
    struct core_status mine = cf_status(f, 0), theirs = cf_status(f, 1);
    return mine.applied == theirs.applied && theirs.applied == theirs.raft.last_index;
}

static int receive(struct ctx *c)
{
    unsigned before = c->f.members[0].epochs;
    cf_isolate(&c->f, 0, false);
    bool is_done = cf_run_until(&c->f, is_in, 20000);
    if (c->f.members[0].is_failed || !is_done || c->f.members[0].epochs != before + 1) {
        return ERR_IO;
    }
    int err = put_some(c, 3);
    cf_run(&c->f, 300);
    return c->f.members[0].is_failed ? ERR_IO : err;
}

static int workload(void *arg, struct env_disk *disk)
{
    struct ctx *c = arg;
    int err = receive(c);
    for (unsigned i = 1; err == 0 && i < rounds; i++) {
        err = fall_behind(c);
        cf_run(&c->f, 31000); /* no compaction before */
        err = err == 0 ? fall_behind(c) : err;
        err = err == 0 ? receive(c) : err;
    }
    if (c->f.members[0].driver != NULL) {
        cf_stop(&c->f, 0);
    }
    c->promised = c->f.members[0].promised;
    for (unsigned i = 1; i < 3; i++) {
        c->end[i] = sim_disk_clone(c->f.members[i].disk);
    }
    cf_deinit(&c->f);
    c->is_open = false;
    return err == 0 ? disk->ops->mkdir(disk, "end", 0700) : err;
}

static int start(struct cluster_fixture *f, unsigned i, struct buf *out)
{
    int err = cf_start(f, i);
    if (err != 0) {
        buf_printf(out, "member %u does not start: %s", i, f->members[i].text);
    }
    return err;
}

static int has_all_keys(struct cluster_fixture *f, unsigned count, struct buf *out)
{
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        struct buf value = BUF_INIT;
        key_of(key, i);
        int err = cf_get(f, i % 3, key, true, &value);
        buf_deinit(&value);
        if (err != 0) {
            buf_printf(out, "%s was acknowledged and is gone: %s", key, err_text(err));
            return err;
        }
    }
    return 0;
}

static int look(const struct ctx *c, struct cluster_fixture *f, struct buf *out)
{
    raft_index promised = c->is_open ? c->f.members[0].promised : c->promised;
    int err = start(f, 0, out);
    if (err == 0 && cf_status(f, 0).raft.last_index < promised) {
        buf_printf(out, "acknowledged %llu to the leader and has %llu",
                   (unsigned long long)promised,
                   (unsigned long long)cf_status(f, 0).raft.last_index);
        err = ERR_MISMATCH;
    }
    for (unsigned i = 1; err == 0 && i < 3; i++) {
        err = start(f, i, out);
    }
    if (err == 0 && !cf_wait_ready(f)) {
        buf_append_cstr(out, "the cluster does not become ready");
        err = ERR_TIMED_OUT;
    }
    if (err == 0) {
        err = cf_put(f, 0, "after", "crash");
    }
    if (err == 0) {
        err = cf_equal(f, out);
    }
    return err == 0 ? has_all_keys(f, c->acked, out) : err;
}

static int check(void *arg, struct env_disk *disk, struct buf *out)
{
    const struct ctx *c = arg;
    struct cluster_fixture *f = mem_alloc(sizeof(*f));
    struct sim_disk *others[3] = {NULL};
    configure(f, disk);
    for (unsigned i = 1; i < 3; i++) {
        others[i] = sim_disk_clone(c->is_open ? c->f.members[i].disk : c->end[i]);
        sim_disk_crash(others[i], SIM_CRASH_LOSE_ALL, 1);
        f->members[i].disk = others[i];
    }
    int err = look(c, f, out);
    for (unsigned i = 0; i < 3; i++) {
        if (f->members[i].driver != NULL) {
            cf_stop(f, i);
        }
    }
    cf_deinit(f);
    for (unsigned i = 1; i < 3; i++) {
        sim_disk_destroy(others[i]);
    }
    mem_free(f);
    return err;
}

static int run(const char *name, unsigned count, unsigned stride, bool is_cut)
{
    const struct crash_case c = {
        .name = name,
        .ctx_create = ctx_create,
        .ctx_destroy = ctx_destroy,
        .prepare = prepare,
        .workload = workload,
        .check = check,
        .seeds = 3,
        .stride = stride,
        .is_cut_mode = is_cut,
    };
    struct crash_report r;
    rounds = count;
    int err = crash_run(&c, &r);
    printf("%s %s (F1 F2 F3 F4 F6 F7): %llu operations, %llu crashes\n", err == 0 ? "ok" : "FAILED",
           name, (unsigned long long)r.ops, (unsigned long long)r.crashes);
    return err;
}

int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "once";
    int err = ERR_INVALID;
    if (strcmp(which, "once") == 0) {
        err = run("install", 1, 1, false);
    } else if (strcmp(which, "again") == 0) {
        err = run("install_again", 2, 1, false);
    } else if (strcmp(which, "cut") == 0) {
        err = run("install_cut", 1, 1, true);
    }
    return err == 0 ? 0 : 1;
}
