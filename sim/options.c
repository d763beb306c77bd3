/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/options: what a run is like: each seed picks its own mix (swarm testing), so that rare faults
 * do not hide behind frequent ones.
 */
#include "base/limits.h"
#include "sim/run.h"

static uint64_t draw(struct prng *p, uint64_t lo, uint64_t hi)
{
    return lo + prng_below(p, hi - lo + 1);
}

static uint64_t pick(struct prng *p, const uint64_t *of, size_t count)
{
    return of[prng_below(p, count)];
}

#define PICK(p, ...)                                                                               \
    pick(p, (const uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void draw_storage(struct run_options *o, struct prng *p)
{
    o->snapshot_count = PICK(p, 10, 30, 100, 1000, 10000);
    o->snapshot_catchup = PICK(p, 1, 5, 20, 200, 5000);
    o->log_bytes_max = PICK(p, 0, 0, 4096, 65536);
    o->wal_segment_bytes = PICK(p, 16384, 65536, 262144, 1 << 20);
    o->batch_interval_ms = PICK(p, 5, 50, 100, 100, 1000);
    o->batch_ops = (uint32_t)PICK(p, 1, 10, 100, 10000);
    o->page_cache_bytes = PICK(p, 1 << 18, 1 << 20, 32 << 20);
    o->compaction_batch = (uint32_t)PICK(p, 1, 10, 1000);
    o->disk_min_ns = PICK(p, 10000, 100000, 500000);
    o->disk_max_ns = o->disk_min_ns * PICK(p, 1, 3, 20, 100);
}

static void draw_net(struct run_options *o, struct prng *p)
{
    o->net_min_ns = PICK(p, 50000, 200000, 1000000);
    o->net_max_ns = o->net_min_ns * PICK(p, 1, 2, 10, 50);
    o->split = prng_chance(p, 1, 4) != 0;
    o->heartbeat_ms = (uint32_t)PICK(p, 100, 100, 50);
    o->election_ms = 10 * o->heartbeat_ms;
    o->pre_vote = prng_chance(p, 3, 4) != 0;
}

static void draw_clients(struct run_options *o, struct prng *p)
{
    o->clients = (unsigned)draw(p, 1, 4);
    o->watchers = (unsigned)draw(p, 1, 3);
    o->keys = (unsigned)PICK(p, 1, 4, 10, 40);
    o->value_bytes_max = (unsigned)PICK(p, 16, 100, 1000, 20000);
    o->think_max_ms = PICK(p, 5, 20, 100);
    o->timeout_max_ms = PICK(p, 500, 2000, 8000);
    static const unsigned most[OP_COUNT] = {
        [OP_PUT] = 10,    [OP_GET] = 10,  [OP_DELETE] = 4, [OP_TXN] = 6,
        [OP_COMPACT] = 2, [OP_GRANT] = 2, [OP_REVOKE] = 1, [OP_KEEPALIVE] = 2,
    };
    for (int i = 0; i < OP_COUNT; i++) {
        o->weights[i] = (unsigned)draw(p, 0, most[i]);
    }
    o->weights[OP_PUT]++;
    o->weights[OP_GET]++;
    o->lease_checkpoints = prng_chance(p, 1, 4) != 0;
    o->no_fast_keep_alive = prng_chance(p, 1, 2) != 0;
}

void run_options_draw(struct run_options *o, uint64_t seed)
{
    struct prng p;
    *o = (struct run_options){.seed = seed};
    prng_init(&p, seed ^ UINT64_C(0x51a7));
    o->duration_ms = draw(&p, 15000, 45000);
    o->members = (unsigned)PICK(&p, 1, 2, 3, 3, 3, 3, 3, 4, 5, 5);
    o->level = (enum level)PICK(&p, LEVEL_3_5, LEVEL_3_6, LEVEL_3_7, LEVEL_3_7);
    draw_storage(o, &p);
    draw_net(o, &p);
    draw_clients(o, &p);
    for (int i = 0; i < FAULT_COUNT; i++) {
        if (prng_chance(&p, 1, 3)) {
            o->faults |= 1u << i;
        }
    }
    if (prng_chance(&p, 1, 20)) {
        o->faults = 0;
    }
    o->fault_min_ms = PICK(&p, 10, 100, 500);
    o->fault_max_ms = o->fault_min_ms * PICK(&p, 2, 5, 10);
}
