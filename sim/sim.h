/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/sim: the simulated world: hosts with an env each, one clock, one network, one seed.
 *
 * Problem     Unit fixtures and the simulator must run whole members in one thread and replay a
 *             failure from its seed.
 * Design      A world holds the clock (moves only when the caller says so, or when nothing is ready
 *             and the caller lets it run), a prng and the hosts.  A host has the five env tables: a
 *             disk (sim/disk.h), lanes as queues, timers on the simulated clock, deferred calls,
 *             byte-stream sockets.  One step runs one thing on one host: a job of a lane, a done, a
 *             due timer, the delivery of some bytes, or (when the ready things of a turn are
 *             through) its deferred calls.  SIM_ORDER_FIFO takes the oldest ready thing,
 *             SIM_ORDER_SEED draws host and thing, splits deliveries and delays them.
 *
 *                 struct env *env = sim_env_create(seed);      one host, FIFO
 *                 ... hand env to the code under test ...
 *                 sim_run_ready(sim_of(env));                  until nothing is ready at this time
 *                 sim_advance_ms(sim_of(env), 100);            timers due on the way fire
 *                 sim_env_destroy(env);
 *
 * Ownership   The world owns hosts and their disks.  A disk outlives sim_host_crash.
 * Thread      one; disk calls run inline on it.
 * Limits      Queues grow as the code under test fills them; SIM_STEPS_MAX bounds one run call.
 * See         docs: style.md 3.3; test/unit/sim.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env/env.h"

enum {
    SIM_STEPS_MAX = 50000000, /* a run call above this aborts: the code spins */
    SIM_HOSTS_MAX = 64,
};

enum sim_order {
    SIM_ORDER_FIFO,
    SIM_ORDER_SEED,
};

struct sim;
struct sim_host;
struct sim_disk;
struct prng;

/* ---- world ---- */

struct sim *sim_create(uint64_t seed);
void sim_destroy(struct sim *s);
void sim_order_set(struct sim *s, enum sim_order order);
struct prng *sim_prng(struct sim *s);
uint64_t sim_now_ns(const struct sim *s);

/* One step if something is ready now; false when nothing is. */
bool sim_step(struct sim *s);
/* Whose step the last one was; NULL when it has gone since. */
struct sim_host *sim_last_host(const struct sim *s);
/* The clock goes to what comes next, at most to end_ns; false: nothing does until then. */
bool sim_advance_next(struct sim *s, uint64_t end_ns);
/* Steps until nothing is ready at the current time; number of steps. */
size_t sim_run_ready(struct sim *s);
/* Runs what is ready, then moves the clock to the next timer or delivery, and so on until ms have
 * passed. */
void sim_advance_ms(struct sim *s, uint64_t ms);
/* Advances until pred(arg) holds, at most ms; true when it did. */
bool sim_run_until(struct sim *s, bool (*pred)(void *arg), void *arg, uint64_t ms);

/* ---- hosts ---- */

/* name is also its network name ("m1:2380" reaches its listener on port 2380; a listener on
 * 0.0.0.0, 127.0.0.1, localhost or the name itself is the same one).  The disk is empty and new. */
struct sim_host *sim_host_add(struct sim *s, const char *name);
struct env *sim_host_env(struct sim_host *h);
struct sim_disk *sim_host_disk(struct sim_host *h);
/* The machine loses power: jobs, timers, deferred calls, sockets and open files are forgotten
 * without a callback (peers see a reset).  Afterwards the code under test frees its memory itself;
 * its env stays valid and is a fresh one.  The disk keeps its unsynced writes and open files:
 * decide them with sim_disk_crash.  Not from a callback of this host's net. */
void sim_host_crash(struct sim_host *h);
/* Power cut, or with is_silent false the process dies alone (its kernel resets its connections).
 * The code under test cannot be stopped in the middle, so h lives on retired: it reaches nobody,
 * its disk refuses everything, and when the code has ended in order the caller removes it.  The
 * host that is returned takes its name, its links and a clone of its disk (sim_disk_crash it after
 * a power cut), and is off until sim_host_power. */
struct sim_host *sim_host_replace(struct sim_host *h, bool is_silent);
/* Nothing of it is used any more: it goes as soon as its sockets have said their last word. */
void sim_host_remove(struct sim_host *h);
void sim_host_power(struct sim_host *h, bool is_on);
/* The process stands still; its kernel goes on taking bytes. */
void sim_host_pause(struct sim_host *h, bool is_paused);
/* The monotonic clock goes faster by so many parts in a million (> -1000000) from now on. */
void sim_host_drift_set(struct sim_host *h, int64_t ppm);
const char *sim_host_name(const struct sim_host *h);
/* How long a job of this lane takes; 0, 0: no time. */
void sim_lane_time_set(struct env *env, enum env_lane lane, uint64_t min_ns, uint64_t max_ns);
/* Jobs of this lane wait until it is released. */
void sim_lane_hold(struct env *env, enum env_lane lane, bool is_held);
/* Jobs that wait to be run. */
size_t sim_lane_jobs(const struct env *env, enum env_lane lane);
/* Moves this host's wall clock against the world's. */
void sim_wall_offset_set(struct env *env, int64_t ns);

/* ---- short form: a world with one host ---- */

struct env *sim_env_create(uint64_t seed);
/* Destroys the whole world of this env. */
void sim_env_destroy(struct env *env);
struct sim *sim_of(struct env *env);
struct sim_disk *sim_disk_of(struct env *env);
struct sim_host *sim_host_of(struct env *env);

/* ---- network ---- */

struct sim_net_options {
    uint64_t latency_min_ns; /* of a delivery, per direction, never reorders a stream */
    uint64_t latency_max_ns;
    size_t window_bytes;    /* bytes under way in one direction before write queues; 0: 256 KiB */
    size_t chunk_max_bytes; /* longest slice of on_data; 0: 64 KiB */
    bool split;             /* SEED order: deliveries are cut at random places */
};

void sim_net_options_set(struct sim *s, const struct sim_net_options *opts);
/* While cut, nothing moves between the two (connects wait, then time out). */
void sim_net_cut(struct sim *s, const char *host_a, const char *host_b, bool is_cut);
/* The same in one direction only (a connection needs both to come about). */
void sim_net_cut_one_way(struct sim_host *from, struct sim_host *to, bool is_cut);
/* Instead of the world's latency; 0, 0: the world's again. */
void sim_net_latency_set(struct sim_host *from, struct sim_host *to, uint64_t min_ns,
                         uint64_t max_ns);
/* All connections between the two are reset. */
void sim_net_reset_between(struct sim_host *a, struct sim_host *b);
/* Both ends of the conn see a reset. */
void sim_conn_reset(struct env_conn *c);
/* Accepting on this host fails as with EMFILE until switched off. */
void sim_net_accept_fail(struct env *env, bool is_failing);

#endif
