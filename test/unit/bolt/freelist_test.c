/* SPDX-License-Identifier: Apache-2.0
 *
 * freelist against a dumb model: every state keeps the set of its pages; a page handed out is in no
 * state that a reader holds, nor in the newest one (which must survive a power cut).
 */
#include "fixture.h"

#include "bolt/freelist.h"

enum { PAGES_MAX = 3000, RUNS_MAX = 600, READERS_MAX = 6, STEPS = 4000 };

/* runs[i] of the state; a page belongs to at most one. */
struct snapshot {
    uint64_t txid;
    uint64_t hwm;
    size_t count;
    struct page_run runs[RUNS_MAX];
};

struct world {
    struct freelist fl;
    struct snapshot now;
    struct snapshot *readers[READERS_MAX];
    struct prng rng;
    uint64_t reused; /* runs that did not raise hwm */
};

static bool has_page(const struct snapshot *s, uint64_t id, uint64_t count)
{
    for (size_t i = 0; i < s->count; i++) {
        if (id < s->runs[i].id + s->runs[i].count && s->runs[i].id < id + count) {
            return true;
        }
    }
    return false;
}

static void check_unreachable(struct world *w, uint64_t id, uint64_t count)
{
    assert_false(has_page(&w->now, id, count));
    for (int i = 0; i < READERS_MAX; i++) {
        assert_false(w->readers[i] != NULL && has_page(w->readers[i], id, count));
    }
}

static void allocate(struct world *w, struct snapshot *next)
{
    uint64_t count = prng_chance(&w->rng, 1, 5) ? 1 + prng_below(&w->rng, 9) : 1;
    uint64_t id = freelist_allocate(&w->fl, next->txid, count);
    if (id == 0) {
        if (next->hwm + count > PAGES_MAX) {
            return;
        }
        id = next->hwm;
        next->hwm += count;
        freelist_limit_set(&w->fl, next->hwm);
        freelist_allocated(&w->fl, next->txid, id, count);
    } else {
        w->reused++;
    }
    check_unreachable(w, id, count);
    assert_false(has_page(next, id, count));
    assert_true(next->count < RUNS_MAX);
    next->runs[next->count++] = (struct page_run){.id = id, .count = count};
}

static void release(struct world *w, struct snapshot *next)
{
    size_t old = w->now.count < next->count ? w->now.count : next->count;
    if (old == 0) {
        return;
    }
    size_t at = (size_t)prng_below(&w->rng, old);
    struct page_run run = next->runs[at];
    if (!has_page(&w->now, run.id, run.count)) {
        return; /* of this tx: nobody frees that */
    }
    assert_int_equal(freelist_free(&w->fl, next->txid, run.id, run.count), 0);
    assert_int_equal(freelist_free(&w->fl, next->txid, run.id, run.count), ERR_CORRUPT);
    next->runs[at] = next->runs[--next->count];
}

static void run_tx(struct world *w)
{
    struct snapshot *next = malloc(sizeof(*next));
    *next = w->now;
    next->txid++;
    freelist_release(&w->fl);
    for (uint64_t n = prng_below(&w->rng, 40); n > 0; n--) {
        if (next->count < RUNS_MAX / 2 ? !prng_chance(&w->rng, 1, 3) : prng_chance(&w->rng, 1, 3)) {
            allocate(w, next);
        } else {
            release(w, next);
        }
    }
    if (prng_chance(&w->rng, 1, 10)) {
        freelist_rollback(&w->fl, next->txid, w->now.hwm);
    } else {
        w->now = *next;
    }
    free(next);
    freelist_check(&w->fl);
}

static void reader_step(struct world *w)
{
    struct snapshot **r = &w->readers[prng_below(&w->rng, READERS_MAX)];
    if (*r != NULL) {
        freelist_reader_remove(&w->fl, (*r)->txid);
        free(*r);
        *r = NULL;
    } else {
        *r = malloc(sizeof(**r));
        **r = w->now;
        freelist_reader_add(&w->fl, w->now.txid);
    }
}

/* With no reader everything that the state does not have is free two transactions later. */
static void check_all_comes_back(struct world *w)
{
    for (int i = 0; i < READERS_MAX; i++) {
        if (w->readers[i] != NULL) {
            freelist_reader_remove(&w->fl, w->readers[i]->txid);
            free(w->readers[i]);
        }
    }
    freelist_release(&w->fl);
    assert_int_equal(freelist_open_readers(&w->fl), 0);
    assert_int_equal(w->fl.pending_count, 0);
    for (uint64_t id = 4; id < w->now.hwm; id++) {
        assert_int_equal(freelist_is_freed(&w->fl, id), !has_page(&w->now, id, 1));
    }
    assert_int_equal(w->fl.alloc_txids.len, 0);
}

static void random_world(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct world *w = calloc(1, sizeof(*w));
        prng_init(&w->rng, seed);
        freelist_init(&w->fl);
        freelist_limit_set(&w->fl, 4);
        w->now.txid = 1;
        w->now.hwm = 4;
        for (int i = 0; i < STEPS / 6; i++) {
            if (prng_chance(&w->rng, 1, 3)) {
                reader_step(w);
            } else {
                run_tx(w);
            }
        }
        check_all_comes_back(w);
        assert_true(w->reused > 100);
        freelist_deinit(&w->fl);
        free(w);
    }
}

/* One old reader does not keep what was written and freed after it began. */
static void gap_is_reused(void **state)
{
    (void)state;
    struct freelist fl;
    freelist_init(&fl);
    freelist_limit_set(&fl, 10);
    freelist_add(&fl, 5);
    freelist_add(&fl, 6);
    freelist_reader_add(&fl, 10);
    freelist_release(&fl);
    assert_int_equal(freelist_allocate(&fl, 11, 1), 5);
    assert_int_equal(freelist_free(&fl, 11, 3, 1), 0); /* 3 is older than the reader */
    freelist_release(&fl);
    assert_int_equal(freelist_allocate(&fl, 12, 1), 6);
    assert_int_equal(freelist_free(&fl, 12, 5, 1), 0); /* 5: allocated by 11, freed by 12 */
    freelist_reader_add(&fl, 11);
    freelist_release(&fl);
    assert_int_equal(freelist_allocate(&fl, 13, 1), 0); /* reader 11 still sees 5 */
    freelist_reader_remove(&fl, 11);
    freelist_release(&fl);
    assert_int_equal(freelist_allocate(&fl, 13, 1), 5);
    assert_int_equal(freelist_allocate(&fl, 13, 1), 0); /* 3: reader 10 */
    freelist_reader_remove(&fl, 10);
    freelist_release(&fl);
    assert_int_equal(freelist_allocate(&fl, 14, 1), 3);
    freelist_check(&fl);
    freelist_deinit(&fl);
}

static void bad_frees(void **state)
{
    (void)state;
    struct freelist fl;
    freelist_init(&fl);
    freelist_limit_set(&fl, 10);
    freelist_add(&fl, 5);
    assert_int_equal(freelist_free(&fl, 2, 1, 1), ERR_CORRUPT);
    assert_int_equal(freelist_free(&fl, 2, 4, 2), ERR_CORRUPT); /* 5 is free */
    assert_int_equal(freelist_free(&fl, 2, 9, 2), ERR_CORRUPT);
    assert_int_equal(freelist_free(&fl, 2, UINT64_MAX, 1), ERR_CORRUPT);
    assert_int_equal(freelist_free(&fl, 2, 6, UINT64_MAX), ERR_CORRUPT);
    assert_int_equal(freelist_allocate(&fl, 2, 1), 5);
    assert_int_equal(freelist_free(&fl, 2, 5, 1), ERR_CORRUPT); /* its own */
    freelist_check(&fl);
    assert_int_equal(fl.pending_count, 0);
    freelist_deinit(&fl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_world),
        cmocka_unit_test(gap_is_reused),
        cmocka_unit_test(bad_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
