/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments, batches, views: what is handed over when, what readers see, and what is never handed
 * over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "backend/tail.h"
#include "base/limits.h"
#include "sim/disk.h"

static const char *const buckets[] = {"key", "meta"};

struct fixture {
    struct sim_disk *disk;
    struct backend *b;
    uint64_t last_index; /* what on_batch was told */
};

static void on_batch(void *arg, struct backend_batch *batch, uint64_t index, uint64_t term)
{
    struct fixture *f = arg;
    char text[32];
    (void)term;
    f->last_index = index;
    size_t n = (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)index);
    backend_batch_put(batch, 1, SLICE_LIT("index"), slice_make(text, n));
}

static void open_backend(struct fixture *f)
{
    struct backend_options o = {
        .disk = sim_disk_env(f->disk),
        .path = "db",
        .bucket_names = buckets,
        .bucket_count = 2,
        .on_batch = on_batch,
        .on_batch_arg = f,
    };
    assert_int_equal(backend_open(&o, &f->b), 0);
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    f->disk = sim_disk_create();
    open_backend(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    backend_close(f->b);
    sim_disk_destroy(f->disk);
    mem_free(f);
    return 0;
}

static struct backend_rev rev(int64_t main)
{
    return (struct backend_rev){main, 0, false};
}

static void record(struct fixture *f, int64_t main, const char *text)
{
    memcpy(backend_record_add(f->b, rev(main), strlen(text)), text, strlen(text));
}

static int commit(struct fixture *f, uint64_t durable, uint64_t now)
{
    struct backend_batch *batch = backend_batch_take(f->b, durable, now, true);
    if (batch == NULL) {
        return ERR_AGAIN;
    }
    int err = backend_batch_commit(batch);
    return backend_batch_done(f->b, batch, err);
}

static void expect(struct fixture *f, int64_t main, const char *text)
{
    struct backend_record r;
    int err = backend_record_get(f->b, rev(main), &r);
    if (err == ERR_COLD) {
        struct backend_view *v = backend_view_pin(f->b);
        err = backend_view_record_get(v, rev(main), &r);
        backend_view_unpin(v);
    }
    if (text == NULL) {
        assert_int_equal(err, ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(err, 0);
    assert_true(slice_equal_cstr(r.value, text));
    backend_record_release(&r);
}

static void from_tail_and_from_file(void **state)
{
    struct fixture *f = *state;
    record(f, 2, "two");
    record(f, 3, "three");
    expect(f, 2, "two");
    backend_seal(f->b, 5, 1, 100);
    assert_int_equal(commit(f, 5, 100), 0);
    assert_int_equal(backend_committed_index(f->b), 5);
    assert_int_equal(backend_tail_bytes(f->b), 0);
    expect(f, 2, "two");
    expect(f, 3, "three");
    expect(f, 4, NULL);
    backend_record_remove(f->b, rev(2));
    backend_seal(f->b, 6, 1, 100);
    assert_int_equal(commit(f, 6, 100), 0);
    expect(f, 2, NULL);
    backend_check(f->b);
}

static void never_above_the_durable_index(void **state)
{
    struct fixture *f = *state;
    record(f, 2, "a");
    backend_seal(f->b, 10, 1, 1);
    record(f, 3, "b");
    backend_seal(f->b, 11, 1, 1);
    record(f, 4, "c");
    backend_seal(f->b, 12, 1, 1);
    assert_int_equal(commit(f, 9, 1), ERR_AGAIN);
    assert_int_equal(commit(f, 11, 1), 0);
    assert_int_equal(f->last_index, 11);
    assert_int_equal(backend_committed_index(f->b), 11);
    expect(f, 4, "c"); /* still in the tail */
    assert_true(backend_tail_bytes(f->b) > 0);
    assert_int_equal(commit(f, 12, 1), 0);
    expect(f, 4, "c");
}

static void due_by_interval_and_by_operations(void **state)
{
    struct fixture *f = *state;
    record(f, 2, "a");
    backend_seal(f->b, 1, 1, 1000);
    assert_null(backend_batch_take(f->b, 1, 1000 + LIMIT_BATCH_INTERVAL_MS - 1, false));
    assert_int_equal(backend_due_ms(f->b), 1000 + LIMIT_BATCH_INTERVAL_MS);
    struct backend_batch *batch =
        backend_batch_take(f->b, 1, 1000 + LIMIT_BATCH_INTERVAL_MS, false);
    assert_non_null(batch);
    assert_true(backend_is_busy(f->b));
    assert_null(backend_batch_take(f->b, 1, 5000, true)); /* one at a time */
    assert_int_equal(backend_batch_done(f->b, batch, backend_batch_commit(batch)), 0);
    assert_int_equal(backend_due_ms(f->b), UINT64_MAX);
    for (int64_t i = 0; i < LIMIT_BATCH_OPS; i++) {
        record(f, 10 + i, "x");
    }
    backend_seal(f->b, 2, 1, 2000);
    batch = backend_batch_take(f->b, 2, 2000, false);
    assert_non_null(batch);
    assert_int_equal(backend_batch_done(f->b, batch, backend_batch_commit(batch)), 0);
}

static void an_empty_step_moves_the_index(void **state)
{
    struct fixture *f = *state;
    backend_seal(f->b, 7, 2, 1);
    assert_true(backend_is_dirty(f->b));
    assert_int_equal(commit(f, 7, 1), 0);
    assert_int_equal(f->last_index, 7);
    assert_false(backend_is_dirty(f->b));
    assert_int_equal(commit(f, 7, 1), ERR_AGAIN);
}

static void a_view_stays_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct backend_record r;
    record(f, 2, "a");
    backend_seal(f->b, 1, 1, 1);
    assert_int_equal(commit(f, 1, 1), 0);
    struct backend_view *v = backend_view_pin(f->b);
    for (int64_t i = 3; i < 40; i++) {
        record(f, i, "later");
        backend_record_remove(f->b, rev(i - 1));
        backend_seal(f->b, (uint64_t)i, 1, 1);
        assert_int_equal(commit(f, (uint64_t)i, 1), 0);
    }
    assert_int_equal(backend_view_index(v), 1);
    assert_int_equal(backend_view_record_get(v, rev(2), &r), 0);
    assert_true(slice_equal_cstr(r.value, "a"));
    backend_record_release(&r);
    assert_int_equal(backend_view_record_get(v, rev(5), &r), ERR_NOT_FOUND);
    backend_view_unpin(v);
    expect(f, 2, NULL);
    assert_int_equal(backend_open_views(f->b), 1);
}

static void other_buckets(void **state)
{
    struct fixture *f = *state;
    struct backend_record r;
    backend_put(f->b, 1, SLICE_LIT("k"), SLICE_LIT("v1"));
    backend_put(f->b, 1, SLICE_LIT("k"), SLICE_LIT("v2"));
    backend_put(f->b, 1, SLICE_LIT("gone"), SLICE_LIT("x"));
    backend_delete(f->b, 1, SLICE_LIT("gone"));
    backend_seal(f->b, 1, 1, 1);
    assert_int_equal(commit(f, 1, 1), 0);
    struct backend_view *v = backend_view_pin(f->b);
    assert_int_equal(backend_view_get(v, 1, SLICE_LIT("k"), &r), 0);
    assert_true(slice_equal_cstr(r.value, "v2"));
    backend_record_release(&r);
    assert_int_equal(backend_view_get(v, 1, SLICE_LIT("gone"), &r), ERR_NOT_FOUND);
    assert_int_equal(backend_view_get(v, 1, SLICE_LIT("index"), &r), 0);
    assert_true(slice_equal_cstr(r.value, "1"));
    backend_record_release(&r);
    backend_view_unpin(v);
}

static void full_by_operations(void **state)
{
    struct fixture *f = *state;
    int64_t i = 2;
    for (; !backend_is_full(f->b); i++) {
        assert_true(i < (int64_t)LIMIT_BATCH_OPS * (LIMIT_TAIL_BATCHES + 1));
        record(f, i, "x");
    }
    backend_seal(f->b, 1, 1, 1);
    assert_int_equal(commit(f, 1, 1), 0);
    assert_false(backend_is_full(f->b));
    expect(f, i - 1, "x");
}

static void full_by_bytes(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 2; !backend_is_full(f->b); i++) {
        assert_true(i < 100);
        memset(backend_record_add(f->b, rev(i), 1 << 20), 'x', 1 << 20);
    }
    assert_true(backend_tail_bytes(f->b) >= LIMIT_TAIL_BYTES);
    backend_seal(f->b, 1, 1, 1);
    assert_int_equal(commit(f, 1, 1), 0);
    assert_int_equal(backend_tail_bytes(f->b), 0);
}

static void defrag_while_applying_goes_on(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 2; i < 200; i++) {
        memset(backend_record_add(f->b, rev(i), 3000), 'x', 3000);
    }
    backend_seal(f->b, 1, 1, 1);
    assert_int_equal(commit(f, 1, 1), 0);
    for (int64_t i = 2; i < 199; i++) {
        backend_record_remove(f->b, rev(i));
    }
    backend_seal(f->b, 2, 1, 1);
    assert_int_equal(commit(f, 2, 1), 0);
    uint64_t before = backend_size_bytes(f->b);
    struct backend_view *old = backend_view_pin(f->b);
    struct backend_defrag *d = backend_defrag_begin(f->b, "1");
    record(f, 300, "meanwhile");
    backend_seal(f->b, 3, 1, 1);
    assert_null(backend_batch_take(f->b, 3, 100000, true));
    int err = backend_defrag_run(d);
    assert_int_equal(backend_defrag_done(f->b, d, err), 0);
    assert_true(backend_size_bytes(f->b) < before / 4);
    expect(f, 300, "meanwhile");
    assert_int_equal(commit(f, 3, 1), 0);
    expect(f, 300, "meanwhile");
    assert_int_equal(backend_view_index(old), 2);
    backend_view_unpin(old);
}

static void defrag_that_fails_leaves_the_file(void **state)
{
    struct fixture *f = *state;
    record(f, 2, "a");
    backend_seal(f->b, 1, 1, 1);
    assert_int_equal(commit(f, 1, 1), 0);
    struct backend_defrag *d = backend_defrag_begin(f->b, "1");
    sim_disk_fail_match(f->disk, SIM_OP_BIT(SIM_OP_WRITE), "db.tmp.*", 2, false, ERR_NO_SPACE);
    int err = backend_defrag_run(d);
    assert_int_equal(err, ERR_NO_SPACE);
    assert_int_equal(backend_defrag_done(f->b, d, err), ERR_NO_SPACE);
    assert_false(env_exists(sim_disk_env(f->disk), "db.tmp.1"));
    record(f, 3, "b");
    backend_seal(f->b, 2, 1, 1);
    assert_int_equal(commit(f, 2, 1), 0);
    expect(f, 2, "a");
    expect(f, 3, "b");
}

/* Behind the rename the file in use has no name: what it would take is gone at the next start. */
static void a_defrag_that_fails_behind_the_rename_ends_writing(void **state)
{
    struct fixture *f = *state;
    record(f, 2, "a");
    backend_seal(f->b, 1, 1, 1);
    assert_int_equal(commit(f, 1, 1), 0);
    struct backend_defrag *d = backend_defrag_begin(f->b, "1");
    record(f, 3, "b");
    backend_seal(f->b, 2, 1, 1);
    sim_disk_fail_match(f->disk, SIM_OP_BIT(SIM_OP_SYNC_DIR), NULL, 2, false, ERR_IO);
    int err = backend_defrag_run(d);
    assert_int_equal(err, ERR_IO);
    assert_int_equal(backend_defrag_done(f->b, d, err), ERR_IO);
    assert_true(backend_is_lost(f->b));
    assert_int_equal(commit(f, 2, 1000), ERR_AGAIN);
    expect(f, 2, "a"); /* reads go on */
    backend_close(f->b);
    open_backend(f);
    assert_false(backend_is_lost(f->b));
    expect(f, 2, "a");
    expect(f, 3, NULL);
}

/* A WAL that lags must still reach the changes, however many empty steps follow them. */
static void empty_steps_do_not_carry_changes_along(void **state)
{
    struct fixture *f = *state;
    record(f, 2, "a");
    backend_seal(f->b, 10, 1, 1);
    for (uint64_t i = 11; i < 30; i++) {
        backend_seal(f->b, i, 1, 1);
        backend_check(f->b);
    }
    assert_int_equal(commit(f, 10, 1000), 0);
    assert_int_equal(f->last_index, 10);
    assert_int_equal(backend_tail_bytes(f->b), 0);
    assert_int_equal(commit(f, 28, 1000), ERR_AGAIN);
    assert_int_equal(commit(f, 29, 1000), 0);
    assert_int_equal(f->last_index, 29);
    assert_false(backend_is_dirty(f->b));
}

static void a_failed_commit_is_final(void **state)
{
    struct fixture *f = *state;
    record(f, 2, "a");
    backend_seal(f->b, 1, 1, 1);
    sim_disk_fail_match(f->disk, SIM_OP_BIT(SIM_OP_SYNC_DATA), "db", 1, false, ERR_IO);
    assert_int_equal(commit(f, 1, 1), ERR_IO);
    sim_disk_faults_clear(f->disk);
    record(f, 3, "b");
    backend_seal(f->b, 2, 1, 1);
    assert_int_equal(commit(f, 2, 1), ERR_IO);
    expect(f, 2, "a"); /* the tail still answers */
}

static void rev_keys(void **state)
{
    (void)state;
    uint8_t key[BACKEND_TOMBSTONE_BYTES];
    struct backend_rev out, t = {0x0102030405060708, 9, true};
    assert_int_equal(backend_rev_encode(t, key), 18);
    static const uint8_t want[] = {1, 2, 3, 4, 5, 6, 7, 8, '_', 0, 0, 0, 0, 0, 0, 0, 9, 't'};
    assert_memory_equal(key, want, sizeof(want));
    assert_int_equal(backend_rev_decode(slice_make(key, 18), &out), 0);
    assert_true(out.main == t.main && out.sub == 9 && out.is_tombstone);
    assert_int_equal(backend_rev_decode(slice_make(key, 17), &out), 0);
    assert_false(out.is_tombstone);
    assert_int_equal(backend_rev_decode(slice_make(key, 16), &out), ERR_MALFORMED);
    key[17] = 'x';
    assert_int_equal(backend_rev_decode(slice_make(key, 18), &out), ERR_MALFORMED);
    key[8] = '-';
    assert_int_equal(backend_rev_decode(slice_make(key, 17), &out), ERR_MALFORMED);
    key[8] = '_';
    key[0] = 0x80;
    assert_int_equal(backend_rev_decode(slice_make(key, 17), &out), ERR_MALFORMED);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(from_tail_and_from_file),
        TEST(never_above_the_durable_index),
        TEST(due_by_interval_and_by_operations),
        TEST(an_empty_step_moves_the_index),
        TEST(a_view_stays_as_it_was),
        TEST(other_buckets),
        TEST(full_by_operations),
        TEST(full_by_bytes),
        TEST(defrag_while_applying_goes_on),
        TEST(defrag_that_fails_leaves_the_file),
        TEST(a_defrag_that_fails_behind_the_rename_ends_writing),
        TEST(empty_steps_do_not_carry_changes_along),
        TEST(a_failed_commit_is_final),
        cmocka_unit_test(rev_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
