/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/impl: the structs behind a world and its hosts; private to sim/world.c, host.c and net.c.
 */
#ifndef SIM_IMPL_H
#define SIM_IMPL_H

#include "base/list.h"
#include "base/prng.h"
#include "env/env.h"
#include "env/timer_heap.h"
#include "sim/disk.h"
#include "sim/sim.h"

struct sim_deferred {
    void (*fn)(void *arg);
    void *arg;
};

struct sim_deferred_list {
    struct sim_deferred *at;
    size_t len;
    size_t cap;
};

struct sim_exec {
    struct env_exec base;
    struct list lanes[ENV_LANE_COUNT];
    bool is_held[ENV_LANE_COUNT];
    uint64_t due_ns[ENV_LANE_COUNT];     /* of the next job: it is through then */
    uint64_t job_min_ns[ENV_LANE_COUNT]; /* how long a job takes */
    uint64_t job_max_ns[ENV_LANE_COUNT];
    size_t waiting[ENV_LANE_COUNT]; /* submitted and not yet run */
    struct list done;
    struct timer_heap timers;
    struct sim_deferred_list deferred;
    struct sim_deferred_list running;
    unsigned epoch;     /* grows at each reset */
    unsigned turn_left; /* events before the deferred calls are run */
};

struct sim_net {
    struct env_net base;
    struct list ends; /* conns of this host */
    struct list listeners;
    bool is_accept_failing;
    unsigned next_port;
};

struct sim_host {
    struct env env;
    struct list_node node;
    struct sim *sim;
    char *name;
    unsigned number; /* in sim.links */
    bool is_paused;  /* the process stands still, its sockets do not */
    bool is_off;     /* no power: nobody answers */
    bool is_retired; /* what runs on after its power cut: it reaches nobody */
    bool is_leaving; /* goes when nothing is under way on it */
    struct env_clock clock;
    struct env_rand rand;
    struct prng secrets;
    int64_t wall_offset_ns;
    int64_t drift_ppm; /* of the monotonic clock, since drift_ns of the world */
    uint64_t drift_ns;
    uint64_t drift_mono_ns; /* what it showed then */
    struct sim_exec exec;
    struct sim_net net;
    struct sim_disk *disk;
};

/* From one host to another. */
struct sim_link {
    bool is_cut;
    uint64_t latency_min_ns; /* max 0: the world's */
    uint64_t latency_max_ns;
};

struct sim {
    struct list hosts;
    struct prng prng;
    enum sim_order order;
    uint64_t now_ns;

    struct sim_net_options net;
    struct sim_host *next_host; /* FIFO: whose step is next */
    struct sim_host *last_host; /* whose step was the last */
    struct sim_link links[SIM_HOSTS_MAX][SIM_HOSTS_MAX];
};

static inline struct sim_host *sim_host_of_exec(struct env_exec *e)
{
    return container_of(e, struct sim_host, exec.base);
}

/* ---- exec.c ---- */
void sim_exec_init(struct sim_host *h);
/* Forgets jobs, timers and deferred calls. */
void sim_exec_reset(struct sim_host *h);
void sim_exec_deinit(struct sim_host *h);
/* One job, done, timer, delivery or round of deferred calls; false when nothing is ready. */
bool sim_exec_step(struct sim_host *h);
/* When the next timer is due. */
uint64_t sim_exec_next_ns(const struct sim_host *h);

/* Nothing is under way; timers may be. */
bool sim_exec_is_idle(const struct sim_host *h);

/* ---- net.c ---- */
void sim_net_init(struct sim_host *h);
/* Forgets conns and listeners without a callback here; the other ends see a reset. */
void sim_net_reset(struct sim_host *h);
/* One delivery to this host; false when none is due. */
bool sim_net_step(struct sim_host *h);
bool sim_net_is_ready(struct sim_host *h);
uint64_t sim_net_next_ns(struct sim_host *h);

/* All ends break (silently: the others do not hear of it); ends elsewhere that belong to h now
 * belong to its successor. */
void sim_net_retire(struct sim_host *h, struct sim_host *successor, bool is_silent);

/* h goes: nobody may point to it. */
void sim_net_forget(struct sim_host *h);

/* ---- world.c ---- */
struct sim_host *sim_host_by_name(struct sim *s, const char *name);
uint64_t sim_host_mono_ns(const struct sim_host *h);
/* Nothing gets from a to b. */
static inline bool sim_is_cut(const struct sim *s, const struct sim_host *a,
                              const struct sim_host *b)
{
    ensure(a != NULL && b != NULL);
    return s->links[a->number][b->number].is_cut || a->is_off || b->is_off;
}

#endif
