/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/world: the clock, the hosts, and whose step is next.
 */
#include <string.h>

#include "base/assert.h"
#include "sim/impl.h"

/* Not 0, so that nobody takes a time for "unset"; wall time begins with 2026. */
static const uint64_t mono_begin_ns = UINT64_C(1000000000);
static const int64_t wall_begin_ns = INT64_C(1767225600) * 1000000000;

/* ---- clock, rand ---- */

static uint64_t clock_mono_ns(struct env_clock *c)
{
    return container_of(c, struct sim_host, clock)->sim->now_ns;
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
    list_init(&s->cuts);
    prng_init(&s->prng, seed);
    s->now_ns = mono_begin_ns;
    return s;
}

static void cut_free(struct sim_cut *c)
{
    list_remove(&c->node);
    mem_free(c->a);
    mem_free(c->b);
    mem_free(c);
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
    LIST_FOREACH (&s->cuts, node3) {
        cut_free(LIST_ENTRY(node3, struct sim_cut, node));
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
        if (sim_exec_step(h)) {
            return true;
        }
    }
    return false;
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
        uint64_t timer = sim_exec_next_ns(h), net = sim_net_next_ns(h);
        next = timer < next ? timer : next;
        next = net < next ? net : next;
    }
    return next;
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
        uint64_t next = next_event_ns(s);
        ensure(next > s->now_ns); /* what is due would have been a step */
        if (next > end_ns) {
            s->now_ns = end_ns;
            return false;
        }
        s->now_ns = next;
    }
}

void sim_advance_ms(struct sim *s, uint64_t ms)
{
    (void)sim_run_until(s, never, NULL, ms);
}

/* ---- hosts ---- */

struct sim_host *sim_host_add(struct sim *s, const char *name)
{
    struct sim_host *h = mem_zalloc(sizeof(*h));
    h->sim = s;
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

/* ---- cuts ---- */

static struct sim_cut *cut_find(const struct sim *s, const char *a, const char *b)
{
    LIST_FOREACH (&s->cuts, node) {
        struct sim_cut *c = LIST_ENTRY(node, struct sim_cut, node);
        if ((strcmp(c->a, a) == 0 && strcmp(c->b, b) == 0) ||
            (strcmp(c->a, b) == 0 && strcmp(c->b, a) == 0)) {
            return c;
        }
    }
    return NULL;
}

bool sim_is_cut(const struct sim *s, const struct sim_host *a, const struct sim_host *b)
{
    return cut_find(s, a->name, b->name) != NULL;
}

void sim_net_cut(struct sim *s, const char *host_a, const char *host_b, bool is_cut)
{
    struct sim_cut *c = cut_find(s, host_a, host_b);
    if (!is_cut && c != NULL) {
        cut_free(c);
    } else if (is_cut && c == NULL) {
        c = mem_zalloc(sizeof(*c));
        c->a = mem_strdup(host_a);
        c->b = mem_strdup(host_b);
        list_push_back(&s->cuts, &c->node);
    }
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
