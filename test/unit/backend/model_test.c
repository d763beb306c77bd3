/* SPDX-License-Identifier: Apache-2.0
 *
 * The backend against a list of what was done: any interleaving of segments, durable indexes,
 * batches under way, views, defragmentation and power cuts shows a prefix of that list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/prng.h"
#include "sim/disk.h"

enum { DONE_MAX = 20000, KEYS = 8, VIEWS = 3, STEPS = 700, VALUE_MAX = 900, BATCH_OPS = 40 };

static const char *const buckets[] = {"key", "other", "meta"};

enum kind { ADD, REMOVE, PUT, DELETE };

/* One change; its place in the list is also its value. */
struct change {
    enum kind kind;
    int64_t rev;  /* ADD, REMOVE */
    unsigned key; /* PUT, DELETE */
    uint64_t index;
};

struct pinned {
    struct backend_view *view;
    size_t count; /* changes that it shows */
};

struct world {
    struct prng prng;
    struct sim_disk *disk;
    struct backend *b;
    struct change done[DONE_MAX];
    size_t count;
    size_t sealed;    /* changes */
    size_t in_file;   /* changes */
    size_t base;      /* changes that the file held when it was opened */
    size_t in_batch;  /* changes in the file when the batch is done */
    uint64_t index;   /* sealed */
    uint64_t durable; /* what a WAL would have */
    uint64_t batch_index;
    int64_t rev;
    struct backend_batch *batch;
    bool is_written;
    struct pinned views[VIEWS];
};

static void on_batch(void *arg, struct backend_batch *batch, uint64_t index, uint64_t term)
{
    struct world *w = arg;
    char text[32];
    (void)term;
    assert_true(index <= w->durable);
    w->batch_index = index;
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)index);
    backend_batch_put(batch, 2, SLICE_LIT("index"), slice_make(text, (size_t)n));
}

static void open_backend(struct world *w)
{
    struct backend_options o = {
        .disk = sim_disk_env(w->disk),
        .path = "db",
        .bucket_names = buckets,
        .bucket_count = ARRAY_LEN(buckets),
        .batch_ops = BATCH_OPS,
        .page_cache_bytes = 64 * 1024,
        .on_batch = on_batch,
        .on_batch_arg = w,
    };
    assert_int_equal(backend_open(&o, &w->b), 0);
}

static size_t value_make(size_t n, uint8_t out[VALUE_MAX])
{
    size_t len = (n * 37) % VALUE_MAX;
    memset(out, (int)(n & 0xff), len);
    return len;
}

static bool is_value(struct slice s, size_t n)
{
    uint8_t want[VALUE_MAX];
    return slice_equal(s, slice_make(want, value_make(n, want)));
}

static struct backend_rev rev_of(int64_t main)
{
    return (struct backend_rev){main, 0, false};
}

/* ---- changes ---- */

static struct change *change_add(struct world *w, enum kind kind)
{
    assert_true(w->count < DONE_MAX);
    w->done[w->count] = (struct change){.kind = kind};
    return &w->done[w->count++];
}

static void add_record(struct world *w)
{
    uint8_t value[VALUE_MAX];
    size_t len = value_make(w->count, value);
    change_add(w, ADD)->rev = ++w->rev;
    memcpy(backend_record_add(w->b, rev_of(w->rev), len), value, len);
}

static void remove_record(struct world *w)
{
    if (w->rev == 0) {
        return;
    }
    int64_t rev = (int64_t)prng_below(&w->prng, (uint64_t)w->rev) + 1;
    change_add(w, REMOVE)->rev = rev;
    backend_record_remove(w->b, rev_of(rev));
}

static struct slice key_of(unsigned key, char out[8])
{
    int n = snprintf(out, 8, "k%u", key);
    return slice_make(out, (size_t)n);
}

static void put_or_delete(struct world *w)
{
    char name[8];
    uint8_t value[VALUE_MAX];
    unsigned key = (unsigned)prng_below(&w->prng, KEYS);
    size_t len = value_make(w->count, value);
    if (prng_chance(&w->prng, 1, 3)) {
        change_add(w, DELETE)->key = key;
        backend_delete(w->b, 1, key_of(key, name));
    } else {
        change_add(w, PUT)->key = key;
        backend_put(w->b, 1, key_of(key, name), slice_make(value, len));
    }
}

static void segment(struct world *w)
{
    unsigned changes = (unsigned)prng_below(&w->prng, 8);
    for (unsigned i = 0; i < changes; i++) {
        uint64_t dice = prng_below(&w->prng, 10);
        if (dice < 6) {
            add_record(w);
        } else if (dice < 8) {
            remove_record(w);
        } else {
            put_or_delete(w);
        }
    }
    /* Without an entry too (compaction), and for many at once. */
    w->index += prng_below(&w->prng, 4);
    backend_seal(w->b, w->index, 1, 1000);
    for (; w->sealed < w->count; w->sealed++) {
        w->done[w->sealed].index = w->index;
    }
}

/* ---- what a view must show ---- */

static void expect_key(struct world *w, struct backend_view *v, unsigned key, size_t count)
{
    char name[8];
    struct backend_record r;
    size_t at = count; /* the last change of this key below count */
    while (at > 0 && (w->done[at - 1].kind < PUT || w->done[at - 1].key != key)) {
        at--;
    }
    int err = backend_view_get(v, 1, key_of(key, name), &r);
    if (at == 0 || w->done[at - 1].kind == DELETE) {
        assert_int_equal(err, ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(err, 0);
    assert_true(is_value(r.value, at - 1));
    backend_record_release(&r);
}

static void expect_view(struct world *w, struct backend_view *v, size_t count)
{
    size_t *place = mem_zalloc(((size_t)w->rev + 1) * sizeof(*place)); /* of the record + 1 */
    for (size_t i = 0; i < count; i++) {
        if (w->done[i].kind == ADD) {
            place[w->done[i].rev] = i + 1;
        } else if (w->done[i].kind == REMOVE) {
            place[w->done[i].rev] = 0;
        }
    }
    for (int64_t rev = 1; rev <= w->rev; rev++) {
        struct backend_record r;
        int err = backend_view_record_get(v, rev_of(rev), &r);
        assert_int_equal(err, place[rev] == 0 ? ERR_NOT_FOUND : 0);
        if (err == 0) {
            assert_true(is_value(r.value, place[rev] - 1));
            backend_record_release(&r);
        }
    }
    for (unsigned key = 0; key < KEYS; key++) {
        expect_key(w, v, key, count);
    }
    mem_free(place);
}

static void expect_newest(struct world *w)
{
    struct backend_view *v = backend_view_pin(w->b);
    expect_view(w, v, w->in_file);
    backend_view_unpin(v);
}

/* What is not in the file is read from the tail. */
static void expect_tail(struct world *w)
{
    for (size_t i = w->in_file; i < w->count; i++) {
        struct backend_record r;
        if (w->done[i].kind == ADD) {
            assert_int_equal(backend_record_get(w->b, rev_of(w->done[i].rev), &r), 0);
            assert_true(is_value(r.value, i));
            backend_record_release(&r);
        }
    }
}

/* ---- steps ---- */

static void batch_take(struct world *w)
{
    if (w->batch != NULL) {
        assert_null(backend_batch_take(w->b, w->durable, 5000, true));
        return;
    }
    w->batch = backend_batch_take(w->b, w->durable, 5000, true);
    w->is_written = false;
    size_t reach = w->in_file;
    for (size_t i = w->in_file; i < w->sealed && w->done[i].index <= w->durable; i++) {
        reach = i + 1;
    }
    if (w->batch == NULL) {
        assert_int_equal(reach, w->in_file); /* no change is left behind that may go */
        return;
    }
    w->in_batch = reach;
}

static void batch_go_on(struct world *w)
{
    if (w->batch == NULL) {
        return;
    }
    if (!w->is_written) {
        assert_int_equal(backend_batch_commit(w->batch), 0);
        w->is_written = true;
        return;
    }
    assert_int_equal(backend_batch_done(w->b, w->batch, 0), 0);
    w->batch = NULL;
    w->in_file = w->in_batch;
    assert_int_equal(backend_committed_position(w->b) + w->base, w->in_file);
    assert_int_equal(backend_committed_index(w->b), w->batch_index);
    expect_newest(w);
}

static void views_unpin(struct world *w)
{
    for (size_t i = 0; i < VIEWS; i++) {
        if (w->views[i].view != NULL) {
            backend_view_unpin(w->views[i].view);
            w->views[i].view = NULL;
        }
    }
}

static void view_turn(struct world *w)
{
    struct pinned *p = &w->views[prng_below(&w->prng, VIEWS)];
    if (p->view == NULL) {
        *p = (struct pinned){backend_view_pin(w->b), w->in_file};
        return;
    }
    expect_view(w, p->view, p->count);
    backend_view_unpin(p->view);
    p->view = NULL;
}

static void defrag(struct world *w)
{
    if (w->batch != NULL) {
        return;
    }
    struct backend_defrag *d = backend_defrag_begin(w->b, "7");
    segment(w);
    bool is_failing = prng_chance(&w->prng, 1, 3);
    if (is_failing) {
        sim_disk_fail_match(w->disk, SIM_OP_ANY_CHANGE, "db.tmp*", 1 + prng_below(&w->prng, 6),
                            false, ERR_NO_SPACE);
    }
    int err = backend_defrag_run(d);
    sim_disk_faults_clear(w->disk);
    assert_int_equal(backend_defrag_done(w->b, d, err), err);
    assert_true(err == 0 || is_failing);
    assert_false(backend_is_lost(w->b));
    expect_newest(w);
}

/* The machine dies: what a commit promised is there, and nothing else. */
static void power_cut(struct world *w)
{
    sim_disk_crash(w->disk, (enum sim_crash_policy)prng_below(&w->prng, SIM_CRASH_POLICIES_COUNT),
                   prng_next(&w->prng));
    uint64_t index = backend_committed_index(w->b);
    if (w->batch != NULL) {
        (void)backend_batch_done(w->b, w->batch, ERR_IO);
        if (w->is_written) {
            w->in_file = w->in_batch;
            index = w->batch_index;
        }
        w->batch = NULL;
    }
    views_unpin(w);
    backend_close(w->b);
    open_backend(w);
    backend_committed_index_init(w->b, index, 1);
    w->base = w->count = w->sealed = w->in_file;
    w->index = w->durable = index;
    expect_newest(w);
}

static void step(struct world *w)
{
    uint64_t dice = prng_below(&w->prng, 100);
    if (dice < 40) {
        segment(w);
    } else if (dice < 55) {
        w->durable += prng_below(&w->prng, w->index - w->durable + 1);
    } else if (dice < 70) {
        batch_take(w);
    } else if (dice < 85) {
        batch_go_on(w);
    } else if (dice < 93) {
        view_turn(w);
    } else if (dice < 97) {
        expect_tail(w);
    } else if (dice < 99) {
        defrag(w);
    } else {
        power_cut(w);
    }
    backend_check(w->b);
}

static void run(uint64_t seed)
{
    struct world *w = mem_zalloc(sizeof(*w));
    prng_init(&w->prng, seed);
    w->disk = sim_disk_create();
    open_backend(w);
    for (int i = 0; i < STEPS; i++) {
        step(w);
    }
    while (w->batch != NULL) {
        batch_go_on(w);
    }
    w->durable = w->index;
    batch_take(w);
    while (w->batch != NULL) {
        batch_go_on(w);
    }
    assert_int_equal(w->in_file, w->sealed);
    assert_false(backend_is_dirty(w->b));
    power_cut(w);
    backend_close(w->b);
    sim_disk_destroy(w->disk);
    mem_free(w);
}

static void every_interleaving_shows_a_prefix(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        run(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_interleaving_shows_a_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
