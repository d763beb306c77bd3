/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/log against a dumb array of terms, with eviction, compaction and truncation; raft/inflights
 * and raft/progress.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/prng.h"
#include "raft/log.h"
#include "raft/outbox.h"
#include "raft/progress.h"

enum { LEN_MAX = 3000 };

struct model {
    raft_term terms[LEN_MAX]; /* by index; [0] = 0 */
    raft_index last;
    raft_index base;
    raft_index applied;
    raft_index stable;
};

struct fixture {
    struct raft_log log;
    struct raft_outbox outbox;
    struct raft_tracer tracer;
    struct model m;
    struct prng prng;
};

static void fixture_init(struct fixture *f, uint64_t seed, size_t bytes_max)
{
    *f = (struct fixture){0};
    prng_init(&f->prng, seed);
    raft_log_init(&f->log, (struct raft_entry_id){0, 0}, bytes_max, 1000);
    f->log.outbox = &f->outbox;
    f->log.tracer = &f->tracer;
}

static void fixture_deinit(struct fixture *f)
{
    raft_log_deinit(&f->log);
    raft_outbox_deinit(&f->outbox);
}

static raft_index between(struct fixture *f, raft_index lo, raft_index hi)
{
    return lo + prng_below(&f->prng, hi - lo + 1);
}

static void append_some(struct fixture *f)
{
    struct raft_entry e[4];
    struct model *m = &f->m;
    raft_index from = between(f, f->log.committed + 1, m->last + 1);
    raft_term term = m->terms[m->last] + prng_below(&f->prng, 2);
    term = term == 0 ? 1 : term;
    if (prng_chance(&f->prng, 3, 4)) {
        from = m->last + 1;
    } else {
        term = m->terms[m->last] + 1; /* what replaces is of a later term */
    }
    size_t n = (size_t)between(f, 1, 4);
    struct rcbuf *owner = rcbuf_from(SLICE_LIT("0123456789"));
    for (size_t i = 0; i < n; i++) {
        e[i] = (struct raft_entry){
            .term = term, .index = from + i, .data = rcbuf_slice(owner), .owner = owner};
        m->terms[from + i] = term;
    }
    raft_log_append(&f->log, e, n);
    rcbuf_unref(owner);
    m->last = from + n - 1;
    m->stable = m->stable < from - 1 ? m->stable : from - 1;
}

static void compare(struct fixture *f)
{
    const struct raft_log *l = &f->log;
    const struct model *m = &f->m;
    raft_log_check(l);
    assert_int_equal(raft_log_last(l), m->last);
    assert_int_equal(l->unstable_first, m->stable + 1);
    for (raft_index i = 0; i <= m->last + 1; i++) {
        raft_term term;
        bool found = raft_log_term_at(l, i, &term);
        assert_int_equal(found, i >= m->base && i <= m->last);
        assert_true(!found || term == m->terms[i]);
    }
}

/* The largest index with a term not above, walking down one by one as etcd does. */
static raft_index model_find(const struct model *m, raft_index index, raft_term term,
                             raft_term *out_term)
{
    *out_term = 0;
    for (; index > 0; index--) {
        if (index > m->last || index < m->base) {
            return index;
        }
        if (m->terms[index] <= term) {
            *out_term = m->terms[index];
            return index;
        }
    }
    return 0;
}

static void compare_find(struct fixture *f)
{
    raft_term ours;
    raft_term theirs;
    raft_index index = between(f, 0, f->m.last + 2);
    raft_term term = prng_below(&f->prng, f->m.terms[f->m.last] + 2);
    raft_index a = raft_log_find_by_term(&f->log, index, term, &ours);
    raft_index b = model_find(&f->m, index, term, &theirs);
    assert_int_equal(a, b);
    assert_int_equal(ours, theirs);
}

static void move_on(struct fixture *f)
{
    struct raft_log *l = &f->log;
    struct model *m = &f->m;
    raft_log_accept_unstable(l);
    if (m->last > m->stable) {
        raft_index to = between(f, m->stable + 1, m->last);
        raft_log_stable_to(l, (struct raft_entry_id){m->terms[to], to});
        m->stable = to;
    }
    raft_log_commit_to(
        l, between(f, l->committed, m->stable > l->committed ? m->stable : l->committed));
    size_t n;
    const struct raft_entry *e = raft_log_next_committed(l, false, &n);
    if (n > 0) {
        assert_int_equal(e[0].index, l->applying + 1);
        raft_log_accept_applying(l, e[n - 1].index, false);
    }
    m->applied = between(f, l->applied, l->applying);
    raft_log_applied_to(l, m->applied);
    if (prng_chance(&f->prng, 1, 10)) {
        m->base = between(f, m->base, m->applied < m->stable ? m->applied : m->stable);
        raft_log_forget_to(l, m->base);
    }
}

static void test_log_against_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fixture *f = mem_zalloc(sizeof(*f));
        fixture_init(f, seed, seed % 2 == 0 ? 2000 : SIZE_MAX);
        while (f->m.last + 8 < 400) {
            append_some(f);
            compare(f);
            move_on(f);
            compare(f);
            compare_find(f);
        }
        if (seed % 2 == 0) { /* bounded: old entries are out, their terms are not */
            assert_true(f->log.mem_first > 300);
        }
        fixture_deinit(f);
        mem_free(f);
    }
}

static void test_log_limit(void **state)
{
    struct fixture f;
    struct raft_entry e[3] = {{.term = 1, .index = 1},
                              {.term = 1, .index = 2},
                              {.term = 1, .index = 3, .data = SLICE_LIT("abc")}};
    (void)state;
    fixture_init(&f, 1, SIZE_MAX);
    raft_log_append(&f.log, e, 3);
    /* type, term, index: 2 bytes each; data: 2 + 3 */
    assert_int_equal(raft_entry_encoded_size(&e[0]), 6);
    assert_int_equal(raft_entry_encoded_size(&e[2]), 11);
    assert_int_equal(raft_log_limit(&f.log, 1, 4, 0), 1);
    assert_int_equal(raft_log_limit(&f.log, 1, 4, 11), 1);
    assert_int_equal(raft_log_limit(&f.log, 1, 4, 12), 2);
    assert_int_equal(raft_log_limit(&f.log, 1, 4, 23), 3);
    fixture_deinit(&f);
}

static void test_log_restore(void **state)
{
    struct fixture f;
    struct raft_entry e[2] = {{.term = 1, .index = 1}, {.term = 1, .index = 2}};
    struct raft_snapshot s = {.meta = {.index = 9, .term = 3}};
    size_t n;
    (void)state;
    fixture_init(&f, 1, SIZE_MAX);
    raft_log_append(&f.log, e, 2);
    raft_log_restore(&f.log, &s);
    raft_log_check(&f.log);
    assert_int_equal(raft_log_last(&f.log), 9);
    assert_int_equal(raft_log_term_or_zero(&f.log, 9), 3);
    assert_null(raft_log_next_committed(&f.log, true, &n));
    raft_log_snapshot_installed(&f.log, 9);
    raft_log_applied_to(&f.log, 9);
    raft_log_check(&f.log);
    assert_false(f.log.has_snapshot);
    fixture_deinit(&f);
}

static void test_inflights(void **state)
{
    struct raft_inflights in;
    struct prng p;
    raft_index oldest = 1;
    raft_index newest = 0;
    (void)state;
    prng_init(&p, 3);
    raft_inflights_init(&in, 13, 400);
    for (int i = 0; i < 5000; i++) {
        uint64_t bytes = (newest + 1 - oldest) * 50; /* 50 each: full at 8 */
        assert_int_equal(raft_inflights_is_full(&in), bytes >= 400);
        if (!raft_inflights_is_full(&in) && prng_chance(&p, 2, 3)) {
            raft_inflights_add(&in, ++newest, 50);
        } else {
            raft_index to = prng_below(&p, newest + 2);
            raft_inflights_free_to(&in, to);
            oldest = to + 1 > oldest ? (to > newest ? newest + 1 : to + 1) : oldest;
        }
        raft_inflights_check(&in);
        assert_int_equal(in.count, newest + 1 - oldest);
    }
    raft_inflights_reset(&in);
    assert_int_equal(in.count, 0);
    raft_inflights_deinit(&in);
}

static void test_progress(void **state)
{
    struct raft_progress pr = {.id = 1, .match = 3, .next = 8};
    (void)state;
    raft_inflights_init(&pr.inflights, 2, 0);
    assert_false(raft_progress_maybe_decrease(&pr, 5, 2)); /* not the probe that is out */
    assert_true(raft_progress_maybe_decrease(&pr, 7, 5));
    assert_int_equal(pr.next, 6);
    raft_progress_become_replicate(&pr);
    raft_progress_sent_entries(&pr, 2, 10);
    assert_false(raft_progress_is_paused(&pr));
    raft_progress_sent_entries(&pr, 1, 10);
    assert_true(raft_progress_is_paused(&pr));
    assert_int_equal(pr.next, 7);
    assert_false(raft_progress_maybe_update(&pr, 3));
    assert_true(raft_progress_maybe_update(&pr, 5));
    assert_false(raft_progress_maybe_decrease(&pr, 5, 1)); /* stale: acknowledged since */
    raft_progress_become_snapshot(&pr, 20);
    assert_true(raft_progress_is_paused(&pr));
    raft_progress_become_probe(&pr);
    assert_int_equal(pr.next, 21);
    raft_progress_check(&pr);
    raft_inflights_deinit(&pr.inflights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_against_model), cmocka_unit_test(test_log_limit),
        cmocka_unit_test(test_log_restore),       cmocka_unit_test(test_inflights),
        cmocka_unit_test(test_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
