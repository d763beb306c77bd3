/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/watch against the dumb model: every watcher gets exactly the changes of its keys, in order,
 * a revision at a time, whatever streams, compactions, cold pages and restarts do meanwhile.
 */
#include "store_model.h"

#include "wire/watch.h"

enum { STREAMS = 4, WATCHERS = 24, STEPS = 1500, TURNS_MAX = 10000 };

struct test_stream {
    struct watch_stream s;
    bool is_full;
};

struct test_watcher {
    struct watcher w;
    struct world *world;
    int from, to; /* keys of the model */
    int64_t start;
    size_t at; /* next change of the model to look at */
    int64_t last_rev;
    int64_t compacted; /* 0: no */
    bool is_in;
};

struct test_hub {
    struct world world;
    struct test_stream streams[STREAMS];
    struct test_watcher watchers[WATCHERS];
    struct watch_job *job; /* run, not done */
    size_t delivered;
    size_t behind_seen;
    size_t prevs;
    size_t compacted;
    struct arena arena;
};

static struct test_hub *t;

static bool is_wanted(const struct test_watcher *w, const struct change *c)
{
    return c->main >= w->start && c->key >= w->from && c->key < w->to &&
           (c->is_delete ? !w->w.no_delete : !w->w.no_put);
}

static const struct change *next_of(struct test_watcher *w)
{
    for (; w->at < t->world.changes_len; w->at++) {
        if (is_wanted(w, &t->world.changes[w->at])) {
            return &t->world.changes[w->at];
        }
    }
    return NULL;
}

static void expect_prev(const struct test_watcher *w, const struct change *c,
                        const struct wire_event *e)
{
    const struct change *old = model_at(&t->world, c->key, c->main - 1);
    if (!w->w.wants_prev || old == NULL) {
        assert_false(e->has_prev_kv);
        return;
    }
    assert_true(e->has_prev_kv || c->main - 1 < t->world.compacted);
    if (e->has_prev_kv) {
        assert_true(kv_is(&e->prev_kv, old));
        t->prevs++;
    }
}

static void expect_event(struct test_watcher *w, const struct wire_event *e)
{
    const struct change *c = next_of(w);
    assert_non_null(c);
    assert_true(e->has_kv);
    assert_int_equal(e->type, c->is_delete ? WIRE_EVENT_DELETE : WIRE_EVENT_PUT);
    if (c->is_delete) {
        assert_true(slice_equal(e->kv.key, world_key(c->key)));
        assert_int_equal(e->kv.mod_revision, c->main);
        assert_int_equal(e->kv.version, 0);
    } else {
        assert_true(kv_is(&e->kv, c));
    }
    expect_prev(w, c, e);
    w->at++;
}

static bool on_deliver(struct watcher *base, const struct watch_delivery *d)
{
    struct test_watcher *w = container_of(base, struct test_watcher, w);
    if (container_of(base->stream, struct test_stream, s)->is_full) {
        return false;
    }
    struct buf all = BUF_INIT;
    for (size_t i = 0; i < d->count; i++) {
        buf_append_slice(&all, rcbuf_slice(d->events[i]));
    }
    assert_int_equal(all.len, d->bytes);
    struct wire_watch_resp r;
    arena_reset(&t->arena);
    assert_int_equal(wire_watch_resp_decode(buf_slice(&all), &t->arena, &r), 0);
    assert_true(r.event_count == d->count && d->count > 0);
    assert_true(w->compacted == 0 && r.events[0].kv.mod_revision > w->last_rev);
    for (size_t i = 0; i < r.event_count; i++) {
        expect_event(w, &r.events[i]);
        w->last_rev = r.events[i].kv.mod_revision;
    }
    /* A revision is never cut. */
    const struct change *c = next_of(w);
    assert_true(c == NULL || c->main > w->last_rev);
    assert_true(d->header_rev >= w->last_rev && d->header_rev <= t->world.rev);
    t->delivered += d->count;
    buf_deinit(&all);
    return true;
}

static void on_compacted(struct watcher *base, int64_t compact_rev)
{
    struct test_watcher *w = container_of(base, struct test_watcher, w);
    assert_int_equal(compact_rev, t->world.compacted);
    w->compacted = compact_rev;
    t->compacted++;
}

static const struct watch_stream_ops ops = {on_deliver, on_compacted};

static void setup(struct test_hub *th, uint64_t seed)
{
    t = th;
    memset(th, 0, sizeof(*th));
    world_init(&th->world, seed);
    arena_init(&th->arena, 0);
    th->world.hub = watch_hub_create();
    watch_hub_attach(th->world.hub, th->world.store);
    for (int i = 0; i < STREAMS; i++) {
        watch_stream_init(&th->streams[i].s, &ops);
    }
}

static void watcher_close(struct test_watcher *w)
{
    watcher_remove(t->world.hub, &w->w);
    w->is_in = false;
}

static void teardown(void)
{
    for (int i = 0; i < WATCHERS; i++) {
        if (t->watchers[i].is_in) {
            watcher_close(&t->watchers[i]);
        }
    }
    watch_hub_check(t->world.hub);
    watch_hub_destroy(t->world.hub);
    world_deinit(&t->world);
    arena_deinit(&t->arena);
}

static void watcher_open(struct test_watcher *w, struct test_stream *s, int from, int to,
                         int64_t start)
{
    bool prev = w->w.wants_prev, no_put = w->w.no_put, no_delete = w->w.no_delete;
    *w = (struct test_watcher){.from = from, .to = to, .is_in = true};
    w->w.wants_prev = prev;
    w->w.no_put = no_put;
    w->w.no_delete = no_delete;
    w->start = start == 0 ? t->world.rev + 1 : start;
    struct slice key = world_key(from);
    struct slice end = to == from + 1     ? SLICE_NULL
                       : to == WORLD_KEYS ? SLICE_LIT("\0")
                                          : world_key(to);
    watcher_add(t->world.hub, &s->s, &w->w, key, end, start);
}

static void job_end(void)
{
    if (t->job != NULL) {
        watch_hub_job_done(t->world.hub, t->job);
        t->job = NULL;
    }
}

static void turn(void)
{
    int err = watch_hub_flush(t->world.hub);
    assert_true(err == 0 || err == ERR_AGAIN);
    struct watch_job *j = watch_hub_job(t->world.hub);
    if (j != NULL) {
        watch_job_run(j);
        t->job = j;
    }
    t->behind_seen += watch_hub_behind(t->world.hub);
}

static void drain(void)
{
    for (int i = 0; i < STREAMS; i++) {
        t->streams[i].is_full = false;
        watch_stream_unblock(t->world.hub, &t->streams[i].s);
    }
    for (int i = 0; i < TURNS_MAX && (i == 0 || watch_hub_behind(t->world.hub) > 0); i++) {
        turn();
        job_end();
    }
    assert_int_equal(watch_hub_behind(t->world.hub), 0);
    for (int i = 0; i < WATCHERS; i++) {
        struct test_watcher *w = &t->watchers[i];
        if (w->is_in && w->compacted == 0) {
            assert_null(next_of(w));
        }
    }
}

/* ---- random ---- */

static uint64_t pick(uint64_t below)
{
    return prng_below(&t->world.prng, below);
}

static void random_watcher(void)
{
    struct test_watcher *w = &t->watchers[pick(WATCHERS)];
    if (w->is_in) {
        if (pick(4) == 0) {
            watcher_close(w);
        }
        return;
    }
    int from = (int)pick(WORLD_KEYS);
    int to = pick(2) == 0 ? from + 1 : from + 1 + (int)pick((uint64_t)(WORLD_KEYS - from));
    w->w.wants_prev = pick(2) == 0;
    w->w.no_put = pick(8) == 0;
    w->w.no_delete = pick(8) == 0;
    int64_t start = pick(3) == 0 ? 0 : 1 + (int64_t)pick((uint64_t)t->world.rev + 20);
    watcher_open(w, &t->streams[pick(STREAMS)], from, to, start);
}

static void random_stream(void)
{
    struct test_stream *s = &t->streams[pick(STREAMS)];
    s->is_full = !s->is_full;
    if (!s->is_full) {
        watch_stream_unblock(t->world.hub, &s->s);
    }
}

static void random_file(void)
{
    int64_t to = t->world.rev - (int64_t)pick(10);
    fake_backend_view_set(t->world.backend, to);
    fake_backend_cold_set(t->world.backend, (unsigned)pick(100), to, pick(1000));
}

static void random_step(void)
{
    uint64_t r = pick(100);
    if (r < 50) {
        world_random_step(&t->world);
    } else if (r < 60) {
        random_watcher();
    } else if (r < 66) {
        random_stream();
    } else if (r < 70) {
        turn();
        random_file();
    } else if (r < 71 && t->world.rev > t->world.compacted + 60) {
        job_end();
        world_compact(&t->world, t->world.rev - 20 - (int64_t)pick(40));
    } else if (r < 72) {
        watch_hub_check(t->world.hub);
    } else if (r < 85) {
        job_end();
    } else {
        turn();
    }
}

static void test_random(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct test_hub th;
        setup(&th, seed);
        for (int i = 0; i < STEPS; i++) {
            random_step();
            if (i % 500 == 499) {
                drain();
            }
            if (i % 700 == 699) {
                /* As a snapshot installed: another store goes on. */
                world_restart(&th.world);
                watch_hub_attach(th.world.hub, th.world.store);
            }
        }
        job_end();
        drain();
        assert_true(th.delivered > 0 && th.behind_seen > 0 && th.prevs > 0);
        teardown();
    }
}

/* ---- by hand ---- */

static void put(const char *key, const char *value)
{
    struct wire_put_req req = {.key = slice_cstr(key), .value = slice_cstr(value)};
    int64_t sub = 0;
    int k = 0;
    while (!slice_equal_cstr(world_key(k), key)) {
        k++;
    }
    assert_int_equal(world_put(&t->world, &req), 0);
    model_add(&t->world, ++t->world.rev, &sub, k, false, value, 0);
}

static void test_live(void **state)
{
    (void)state;
    struct test_hub th;
    setup(&th, 1);
    watcher_open(&th.watchers[0], &th.streams[0], 0, 1, 0);
    watcher_open(&th.watchers[1], &th.streams[0], 0, WORLD_KEYS, th.world.rev + 2);
    assert_true(watcher_is_synced(th.world.hub, &th.watchers[0].w));
    assert_false(watcher_is_synced(th.world.hub, &th.watchers[1].w));
    put("k00", "a");
    turn();
    assert_int_equal(th.delivered, 1);
    put("k00", "b");
    put("k04", "c");
    turn();
    assert_int_equal(th.delivered, 1 + 1 + 2);
    assert_true(watcher_is_synced(th.world.hub, &th.watchers[1].w));
    assert_int_equal(watch_hub_rev(th.world.hub), th.world.rev);
    drain();
    teardown();
}

static void test_slow(void **state)
{
    (void)state;
    struct test_hub th;
    setup(&th, 1);
    th.watchers[0].w.wants_prev = true;
    watcher_open(&th.watchers[0], &th.streams[0], 0, WORLD_KEYS, 0);
    th.streams[0].is_full = true;
    for (int i = 0; i < 2500; i++) {
        put("k00", i % 2 == 0 ? "x" : "y");
        if (i % 100 == 0) {
            turn();
        }
    }
    turn();
    assert_int_equal(th.delivered, 0);
    assert_int_equal(watch_hub_behind(th.world.hub), 1);
    /* Most of it is in the file and cold, and is read in several chunks. */
    fake_backend_view_set(th.world.backend, 2400);
    fake_backend_cold_set(th.world.backend, 100, 2400, 0);
    drain();
    assert_int_equal(th.delivered, 2500);
    assert_int_equal(th.prevs, 2499);
    teardown();
}

static void test_compacted(void **state)
{
    (void)state;
    struct test_hub th;
    setup(&th, 1);
    for (int i = 0; i < 10; i++) {
        put("k00", "x");
    }
    world_compact(&th.world, 6);
    watcher_open(&th.watchers[0], &th.streams[0], 0, 1, 5);
    watcher_open(&th.watchers[1], &th.streams[0], 0, 1, 6);
    turn();
    assert_int_equal(th.compacted, 1);
    assert_int_equal(th.watchers[0].compacted, 6);
    drain();
    assert_int_equal(th.delivered, 6);
    assert_int_equal(watch_hub_count(th.world.hub), 1);
    teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_compacted),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
