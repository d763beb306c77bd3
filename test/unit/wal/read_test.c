/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers beside the log lane, and the end of old segments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "wal_fixture.h"

static void range_follows_the_log(void **state)
{
    (void)state;
    struct wal_fixture f;
    struct prng p;
    prng_init(&p, 3);
    wal_fixture_init(&f);
    wal_fixture_create(&f, 4096);
    for (raft_index i = 1; i <= 291; i += 10) {
        wal_fixture_append(&f, i, 10, 1, 80, i + 5);
    }
    /* The log lane has it open and locked all the while. */
    for (int i = 0; i < 200; i++) {
        raft_index lo = 1 + prng_below(&p, 300);
        raft_index hi = lo + 1 + prng_below(&p, 301 - lo);
        size_t max = prng_below(&p, 4000);
        struct wal_contents c;
        wal_contents_init(&c);
        assert_int_equal(wal_read_range(&f.opts, lo, hi, max, NULL, &c), 0);
        size_t want = max == 0 ? 1 : (max + 79) / 80;
        want = want < hi - lo ? want : (size_t)(hi - lo);
        assert_int_equal(c.count, want);
        wal_fixture_expect(&c, 0, lo, c.count, 1, 80);
        wal_contents_deinit(&c);
    }
    struct wal_contents c;
    wal_contents_init(&c);
    assert_int_equal(wal_read_range(&f.opts, 301, 302, 100, NULL, &c), ERR_NOT_FOUND);
    assert_int_equal(c.count, 0);
    wal_fixture_deinit(&f);
}

static void cursor_goes_on_where_it_ended(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 64 << 10);
    for (raft_index i = 1; i <= 400; i += 10) {
        wal_fixture_append(&f, i, 10, 1, 200, i + 9);
    }
    struct wal_cursor cursor = {.seq = 0};
    struct wal_contents c;
    wal_contents_init(&c);
    raft_index lo = 1;
    while (lo <= 400) {
        size_t before = c.count;
        assert_int_equal(wal_read_range(&f.opts, lo, 401, 2000, &cursor, &c), 0);
        assert_true(c.count > before);
        lo += c.count - before;
        assert_true(cursor.next_index == lo);
    }
    assert_int_equal(c.count, 400);
    wal_fixture_expect(&c, 0, 1, 400, 1, 200);
    wal_contents_deinit(&c);
    wal_fixture_deinit(&f);
}

/* Entries that a newer leader replaced are never returned, wherever the reader starts. */
static void range_skips_replaced_entries(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 64 << 10);
    wal_fixture_append(&f, 1, 20, 1, 40, 10);
    wal_fixture_append(&f, 15, 10, 2, 40, 14); /* 15..24 replace 15..20 */
    wal_fixture_append(&f, 25, 3, 2, 40, 27);
    for (raft_index lo = 10; lo <= 27; lo++) {
        struct wal_contents c;
        wal_contents_init(&c);
        assert_int_equal(wal_read_range(&f.opts, lo, 28, 1 << 20, NULL, &c), 0);
        assert_int_equal(c.count, 28 - lo);
        for (size_t i = 0; i < c.count; i++) {
            wal_fixture_expect(&c, i, lo + i, 1, lo + i < 15 ? 1 : 2, 40);
        }
        wal_contents_deinit(&c);
        /* Full after one or two: the scan must still see the replacement. */
        assert_int_equal(wal_read_range(&f.opts, lo, 28, 41, NULL, &c), 0);
        wal_fixture_expect(&c, 0, lo, 1, lo < 15 ? 1 : 2, 40);
        wal_contents_deinit(&c);
    }
    wal_fixture_deinit(&f);
}

/* A reader does not stumble over what the log lane is just writing. */
static void range_with_half_a_record_behind(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 64 << 10);
    wal_fixture_append(&f, 1, 10, 1, 40, 0);
    uint64_t off = wal_offset(f.wal);
    wal_fixture_append(&f, 11, 1, 1, 900, 0);
    struct memfs_node *n = memfs_find(f.fs, WAL_SEG0);
    n->bytes.data[off + 400] ^= 1;
    struct wal_contents c;
    wal_contents_init(&c);
    assert_int_equal(wal_read_range(&f.opts, 5, 11, 1 << 20, NULL, &c), 0);
    assert_int_equal(c.count, 6);
    wal_contents_deinit(&c);
    assert_int_equal(wal_read_range(&f.opts, 11, 12, 1 << 20, NULL, &c), ERR_CHECKSUM);
    wal_fixture_deinit(&f);
}

static void big_records_cross_chunks(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 8 << 20);
    raft_index i = 1;
    for (; i <= 8; i++) {
        wal_fixture_append(&f, i, 1, 1, 700000, i);
    }
    wal_fixture_append(&f, i, 1, 1, 3000000, i);
    assert_int_equal(wal_fixture_recover(&f, 0, 0), 0);
    assert_int_equal(f.contents.count, 9);
    wal_fixture_expect(&f.contents, 0, 1, 8, 1, 700000);
    wal_fixture_expect(&f.contents, 8, 9, 1, 1, 3000000);
    wal_fixture_deinit(&f);
}

/* Small entries share chunks: far fewer buffers than entries. */
static void entries_share_buffers(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 8 << 20);
    wal_fixture_append(&f, 1, 20000, 1, 60, 20000);
    assert_int_equal(wal_fixture_recover(&f, 0, 0), 0);
    size_t owners = 0;
    for (size_t i = 0; i < f.contents.count; i++) {
        owners += i == 0 || f.contents.entries[i].owner != f.contents.entries[i - 1].owner ? 1 : 0;
    }
    assert_true(owners <= 4);
    wal_fixture_deinit(&f);
}

static void snapshots_above_the_commit_are_left_out(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 1024);
    struct raft_snapshot_meta s = {.term = 1};
    s.conf.voters = (struct raft_ids){1, {1}};
    wal_fixture_append(&f, 1, 20, 1, 60, 12);
    for (raft_index i = 5; i <= 20; i += 5) {
        s.index = i;
        assert_int_equal(wal_append_snapshot(f.wal, &s), 0);
    }
    struct raft_snapshot_meta *snaps;
    size_t count;
    assert_int_equal(wal_valid_snapshots(&f.opts, &snaps, &count), 0);
    assert_int_equal(count, 3);
    assert_true(snaps[0].index == 0 && snaps[1].index == 5 && snaps[2].index == 10);
    mem_free(snaps);
    wal_fixture_append(&f, 21, 1, 1, 60, 20);
    assert_int_equal(wal_valid_snapshots(&f.opts, &snaps, &count), 0);
    assert_int_equal(count, 5);
    assert_true(snaps[4].conf.voters.count == 1);
    mem_free(snaps);
    wal_fixture_deinit(&f);
}

static size_t segments_on_disk(struct memfs *fs)
{
    size_t n = 0;
    for (size_t i = 0; i < fs->count; i++) {
        n += strstr(fs->nodes[i]->path, ".wal") != NULL ? 1 : 0;
    }
    return n;
}

static void purge_stops_at_a_lock(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 1024);
    for (raft_index i = 1; i <= 91; i += 10) {
        wal_fixture_append(&f, i, 10, 1, 120, i + 9);
    }
    size_t all = wal_segment_count(f.wal); /* names 0, b, 15, 1f, ... */
    assert_int_equal(segments_on_disk(f.fs), all);
    assert_int_equal(wal_purge(&f.fs->disk, WAL_DIR, 2), 0);
    assert_int_equal(segments_on_disk(f.fs), all); /* all are locked */
    wal_release_to(f.wal, 35);
    /* 0x1f = 31 holds 35 and stays, with all behind it. */
    assert_int_equal(wal_segment_count(f.wal), all - 3);
    assert_int_equal(wal_purge(&f.fs->disk, WAL_DIR, 0), 0);
    assert_int_equal(segments_on_disk(f.fs), all);
    assert_int_equal(wal_purge(&f.fs->disk, WAL_DIR, (unsigned)all - 1), 0);
    assert_int_equal(segments_on_disk(f.fs), all - 1);
    assert_int_equal(wal_purge(&f.fs->disk, WAL_DIR, 2), 0);
    assert_int_equal(segments_on_disk(f.fs), all - 3);
    wal_release_to(f.wal, 100000);
    assert_int_equal(wal_segment_count(f.wal), 1);
    struct wal_contents c;
    wal_contents_init(&c);
    assert_int_equal(wal_read_range(&f.opts, 20, 30, 100, NULL, &c), ERR_NOT_FOUND);
    struct raft_snapshot_meta s = {.index = 35, .term = 1};
    s.conf.voters = (struct raft_ids){1, {1}};
    assert_int_equal(wal_append_snapshot(f.wal, &s), 0);
    assert_int_equal(wal_fixture_recover(&f, 35, 1), 0);
    assert_int_equal(f.contents.count, 65);
    wal_fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(range_follows_the_log),
        cmocka_unit_test(cursor_goes_on_where_it_ended),
        cmocka_unit_test(range_skips_replaced_entries),
        cmocka_unit_test(range_with_half_a_record_behind),
        cmocka_unit_test(big_records_cross_chunks),
        cmocka_unit_test(entries_share_buffers),
        cmocka_unit_test(snapshots_above_the_commit_are_left_out),
        cmocka_unit_test(purge_stops_at_a_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
