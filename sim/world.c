/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/world: the clock, the hosts, and whose step is next.
 */
#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "sim/impl.h"

/* Not 0, so that nobody takes a time for "unset"; wall time begins with 2026. */
static const uint64_t mono_begin_ns = UINT64_C(1000000000);
static const int64_t wall_begin_ns = INT64_C(1767225600) * 1000000000;

/* ---- clock, rand ---- */

uint64_t sim_host_mono_ns(const struct sim_host *h)
{
    int64_t passed = (int64_t)(h->sim->now_ns - h->drift_ns);
    return h->drift_mono_ns + (uint64_t)(passed + passed / 1000 * h->drift_ppm / 1000);
}

static uint64_t clock_mono_ns(struct env_clock *c)
{
    return sim_host_mono_ns(container_of(c, struct sim_host, clock));
}

static int64_t clock_wall_ns(struct env_clock *c)
{
    const struct sim_host *h = container_of(c, struct sim_host, clock);
    return wall_begin_ns + (int64_t)h->sim->now_ns + h->wall_offset_ns;
}

static void rand_fill(struct env_rand *r, void *out, size_t len)
{
    struct sim_host *h = container_of(r, struct sim_host, rand);
    uint8_t *at = out;
    for (size_t i = 0; i < len; i++) {
        at[i] = (uint8_t)prng_next(&h->secrets);
    }
}

static const struct env_clock_ops clock_ops = {clock_mono_ns, clock_wall_ns};
static const struct env_rand_ops rand_ops = {rand_fill};

/* ---- world ---- */

struct sim *sim_create(uint64_t seed)
{
    struct sim *s = mem_zalloc(sizeof(*s));
    list_init(&s->hosts);
    prng_init(&s->prng, seed);
    s->now_ns = mono_begin_ns;
    return s;
}

static void host_free(struct sim_host *h)
{
    list_remove(&h->node);
    sim_exec_deinit(h);
    sim_disk_destroy(h->disk);
    mem_free(h->name);
    mem_free(h);
}

void sim_destroy(struct sim *s)
{
    LIST_FOREACH (&s->hosts, node) {
        sim_net_reset(LIST_ENTRY(node, struct sim_host, node));
    }
    LIST_FOREACH (&s->hosts, node2) {
        host_free(LIST_ENTRY(node2, struct sim_host, node));
    }
    mem_free(s);
}

void sim_order_set(struct sim *s, enum sim_order order)
{
    s->order = order;
}

struct prng *sim_prng(struct sim *s)
{
    return &s->prng;
}

uint64_t sim_now_ns(const struct sim *s)
{
    return s->now_ns;
}

/* ---- steps ---- */

static void host_remove_now(struct sim_host *h);

static struct sim_host *host_after(struct sim *s, struct sim_host *h)
{
    struct list_node *next = h->node.next == &s->hosts.head ? s->hosts.head.next : h->node.next;
    return LIST_ENTRY(next, struct sim_host, node);
}

static size_t host_count(const struct sim *s)
{
    size_t n = 0;
    LIST_FOREACH (&s->hosts, node) {
        n++;
    }
    return n;
}

bool sim_step(struct sim *s)
{
    size_t count = host_count(s);
    if (count == 0) {
        return false;
    }
    struct sim_host *h = s->next_host;
    if (s->order == SIM_ORDER_SEED) {
        for (uint64_t skip = prng_below(&s->prng, count); skip > 0; skip--) {
            h = host_after(s, h);
        }
    }
    for (size_t i = 0; i < count; i++, h = host_after(s, h)) {
        s->next_host = host_after(s, h);
        s->last_host = h;
        if (!h->is_paused && sim_exec_step(h)) {
            if (h->is_leaving && sim_exec_is_idle(h)) {
                host_remove_now(h);
            }
            return true;
        }
    }
    return false;
}

struct sim_host *sim_last_host(const struct sim *s)
{
    return s->last_host;
}

size_t sim_run_ready(struct sim *s)
{
    size_t steps = 0;
    while (sim_step(s)) {
        ensure(++steps < SIM_STEPS_MAX);
    }
    return steps;
}

static uint64_t next_event_ns(struct sim *s)
{
    uint64_t next = UINT64_MAX;
    LIST_FOREACH (&s->hosts, node) {
        struct sim_host *h = LIST_ENTRY(node, struct sim_host, node);
        if (h->is_paused) {
            continue;
        }
        uint64_t timer = sim_exec_next_ns(h), net = sim_net_next_ns(h);
        next = timer < next ? timer : next;
        next = net < next ? net : next;
    }
    return next;
}

bool sim_advance_next(struct sim *s, uint64_t end_ns)
{
    uint64_t next = next_event_ns(s);
    ensure(next > s->now_ns); /* what is due would have been a step */
    s->now_ns = next < end_ns ? next : end_ns;
    return next <= end_ns;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

bool sim_run_until(struct sim *s, bool (*pred)(void *arg), void *arg, uint64_t ms)
{
    uint64_t end_ns = s->now_ns + ms * 1000000;
    for (size_t steps = 0;; steps++) {
        ensure(steps < SIM_STEPS_MAX);
        if (pred(arg)) {
            return true;
        }
        if (sim_step(s)) {
            continue;
        }
        if (!sim_advance_next(s, end_ns)) {
            return false;
        }
    }
}

void sim_advance_ms(struct sim *s, uint64_t ms)
{
    (void)sim_run_until(s, never, NULL, ms);
}

/* ---- hosts ---- */

static unsigned number_free(const struct sim *s)
{
    uint64_t taken = 0;
    LIST_FOREACH (&s->hosts, node) {
        taken |= UINT64_C(1) << LIST_ENTRY(node, struct sim_host, node)->number;
    }
    ensure(taken != UINT64_MAX);
    static_assert(SIM_HOSTS_MAX == 64, "a bit each");
    return (unsigned)__builtin_ctzll(~taken);
}

struct sim_host *sim_host_add(struct sim *s, const char *name)
{
    struct sim_host *h = mem_zalloc(sizeof(*h));
    h->sim = s;
    h->number = number_free(s);
    h->drift_ns = h->drift_mono_ns = s->now_ns;
    h->name = mem_strdup(name);
    h->clock.ops = &clock_ops;
    h->rand.ops = &rand_ops;
    prng_init(&h->secrets, prng_next(&s->prng));
    h->disk = sim_disk_create();
    sim_exec_init(h);
    sim_net_init(h);
    h->env = (struct env){&h->clock, &h->rand, sim_disk_env(h->disk), &h->exec.base, &h->net.base};
    list_push_back(&s->hosts, &h->node);
    s->next_host = LIST_ENTRY(list_first(&s->hosts), struct sim_host, node);
    return h;
}

struct env *sim_host_env(struct sim_host *h)
{
    return &h->env;
}

struct sim_disk *sim_host_disk(struct sim_host *h)
{
    return h->disk;
}

void sim_host_crash(struct sim_host *h)
{
    sim_exec_reset(h);
    sim_net_reset(h);
}

struct sim_host *sim_host_of(struct env *env)
{
    struct sim_host *h = container_of(env, struct sim_host, env);
    ensure(h->env.clock == &h->clock && h->clock.ops == &clock_ops);
    return h;
}

struct sim_host *sim_host_by_name(struct sim *s, const char *name)
{
    LIST_FOREACH (&s->hosts, node) {
        struct sim_host *h = LIST_ENTRY(node, struct sim_host, node);
        if (strcmp(h->name, name) == 0) {
            return h;
        }
    }
    return NULL;
}

void sim_wall_offset_set(struct env *env, int64_t ns)
{
    sim_host_of(env)->wall_offset_ns = ns;
}

/* ---- a host that dies ---- */

struct sim_host *sim_host_replace(struct sim_host *h, bool is_silent)
{
    struct sim *s = h->sim;
    struct sim_host *next = sim_host_add(s, h->name);
    unsigned number = next->number;
    next->number = h->number;
    h->number = number;
    memset(s->links[number], 0, sizeof(s->links[number]));
    for (unsigned i = 0; i < SIM_HOSTS_MAX; i++) {
        s->links[i][number] = (struct sim_link){.is_cut = false};
    }
    sim_disk_destroy(next->disk);
    next->disk = sim_disk_clone(h->disk);
    next->env.disk = sim_disk_env(next->disk);
    next->wall_offset_ns = h->wall_offset_ns;
    next->is_off = true;
    sim_disk_power_cut_after(h->disk, sim_disk_op_count(h->disk));
    h->name[0] = '~';
    h->is_paused = false;
    h->is_retired = true;
    for (int lane = 0; lane < ENV_LANE_COUNT; lane++) {
        h->exec.is_held[lane] = false;
        h->exec.job_min_ns[lane] = h->exec.job_max_ns[lane] = 0;
    }
    sim_net_retire(h, next, is_silent);
    return next;
}

static void host_remove_now(struct sim_host *h)
{
    struct sim *s = h->sim;
    host_free(h);
    s->next_host =
        list_is_empty(&s->hosts) ? NULL : LIST_ENTRY(list_first(&s->hosts), struct sim_host, node);
    s->last_host = s->last_host == h ? NULL : s->last_host;
}

void sim_host_remove(struct sim_host *h)
{
    h->name[0] = '~';
    h->is_leaving = true;
    h->is_retired = true;
    h->is_paused = false;
    sim_net_forget(h);
    if (sim_exec_is_idle(h)) {
        host_remove_now(h);
    }
}

void sim_host_power(struct sim_host *h, bool is_on)
{
    h->is_off = !is_on;
}

void sim_host_pause(struct sim_host *h, bool is_paused)
{
    h->is_paused = is_paused;
}

void sim_host_drift_set(struct sim_host *h, int64_t ppm)
{
    ensure(ppm > -1000000);
    h->drift_mono_ns = sim_host_mono_ns(h);
    h->drift_ns = h->sim->now_ns;
    h->drift_ppm = ppm;
}

const char *sim_host_name(const struct sim_host *h)
{
    return h->name;
}

/* ---- links ---- */

void sim_net_cut_one_way(struct sim_host *from, struct sim_host *to, bool is_cut)
{
    from->sim->links[from->number][to->number].is_cut = is_cut;
}

void sim_net_cut(struct sim *s, const char *host_a, const char *host_b, bool is_cut)
{
    struct sim_host *a = sim_host_by_name(s, host_a), *b = sim_host_by_name(s, host_b);
    ensure(a != NULL && b != NULL);
    sim_net_cut_one_way(a, b, is_cut);
    sim_net_cut_one_way(b, a, is_cut);
}

void sim_net_latency_set(struct sim_host *from, struct sim_host *to, uint64_t min_ns,
                         uint64_t max_ns)
{
    struct sim_link *l = &from->sim->links[from->number][to->number];
    l->latency_min_ns = min_ns;
    l->latency_max_ns = max_ns;
}

void sim_net_options_set(struct sim *s, const struct sim_net_options *opts)
{
    s->net = *opts;
}

/* ---- short form ---- */

struct env *sim_env_create(uint64_t seed)
{
    /* The name makes peers look as they do on one real machine. */
    return sim_host_env(sim_host_add(sim_create(seed), "127.0.0.1"));
}

struct sim *sim_of(struct env *env)
{
    return sim_host_of(env)->sim;
}

void sim_env_destroy(struct env *env)
{
    sim_destroy(sim_of(env));
}

struct sim_disk *sim_disk_of(struct env *env)
{
    return sim_host_of(env)->disk;
}
