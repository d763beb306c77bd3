/* SPDX-License-Identifier: Apache-2.0
 *
 * Damage: torn tails are cut and reported, everything else is refused, nothing crashes
 * (storage-formats 3.10).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "wal_fixture.h"

enum { LAST_RECORD_BYTES = 3044, ENTRIES = 10 };

/* Ten entries; the last record is about 3 KB, as in the matrix of the spec. */
static uint64_t make(struct wal_fixture *f)
{
    wal_fixture_init(f);
    wal_fixture_create(f, 64 << 10);
    wal_fixture_append(f, 1, ENTRIES - 1, 1, 50, ENTRIES - 1);
    uint64_t off = wal_offset(f->wal);
    wal_fixture_append(f, ENTRIES, 1, 1, 3000, 0);
    wal_fixture_close(f);
    return off; /* of the last record's length field */
}

static struct buf *segment(struct wal_fixture *f)
{
    return &memfs_find(f->fs, WAL_SEG0)->bytes;
}

static void expect_repaired(struct wal_fixture *f)
{
    assert_int_equal(wal_fixture_recover(f, 0, 0), 0);
    assert_int_equal(f->contents.count, ENTRIES - 1);
    wal_fixture_expect(&f->contents, 0, 1, ENTRIES - 1, 1, 50);
    assert_non_null(memfs_find(f->fs, WAL_SEG0 ".broken"));
    wal_fixture_append(f, ENTRIES, 3, 2, 60, ENTRIES); /* and it goes on */
    assert_int_equal(wal_fixture_recover(f, 0, 0), 0);
    assert_int_equal(f->contents.count, ENTRIES + 2);
    wal_fixture_deinit(f);
}

static void cut_in_the_middle(void **state)
{
    (void)state;
    struct wal_fixture f;
    uint64_t off = make(&f);
    segment(&f)->len = off + 1500;
    expect_repaired(&f);
}

static void cut_in_the_length_field(void **state)
{
    (void)state;
    struct wal_fixture f;
    uint64_t off = make(&f);
    segment(&f)->len = off + 5;
    expect_repaired(&f);
}

static void one_sector_zeroed(void **state)
{
    (void)state;
    struct wal_fixture f;
    uint64_t off = make(&f);
    memset(segment(&f)->data + (off / 512 + 2) * 512, 0, 512);
    expect_repaired(&f);
}

static void second_half_zeroed(void **state)
{
    (void)state;
    struct wal_fixture f;
    uint64_t off = make(&f);
    memset(segment(&f)->data + off + 1500, 0, 2000);
    expect_repaired(&f);
}

static void length_beyond_the_file(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {UINT64_C(1) << 40, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct wal_fixture f;
        uint64_t off = make(&f);
        store_le64(segment(&f)->data + off, lengths[i]);
        expect_repaired(&f);
    }
}

static void damage_inside_a_sector_is_refused(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct wal_fixture f;
        uint64_t off = make(&f);
        if (kind == 0) {
            memset(segment(&f)->data + (off / 512 + 2) * 512 + 50, 0, 400);
        } else {
            segment(&f)->data[off + 700] ^= 4;
        }
        assert_int_equal(wal_fixture_recover(&f, 0, 0), ERR_CHECKSUM);
        assert_true(strstr(f.detail.text,
                           "walpb: crc mismatch: in file "
                           "'0000000000000000-0000000000000000.wal' at position: ") != NULL);
        assert_null(memfs_find(f.fs, WAL_SEG0 ".broken"));
        wal_fixture_deinit(&f);
    }
}

static void garbage_behind_a_zero_length_is_zeroed(void **state)
{
    (void)state;
    struct wal_fixture f;
    uint64_t off = make(&f);
    store_le64(segment(&f)->data + off, 0);
    assert_int_equal(wal_fixture_recover(&f, 0, 0), 0);
    assert_int_equal(f.contents.count, ENTRIES - 1);
    assert_int_equal(segment(&f)->len, 64 << 10);
    for (uint64_t i = off; i < segment(&f)->len; i++) {
        assert_int_equal(segment(&f)->data[i], 0);
    }
    assert_null(memfs_find(f.fs, WAL_SEG0 ".broken"));
    wal_fixture_deinit(&f);
}

static void damage_before_the_last_record_is_refused(void **state)
{
    (void)state;
    struct wal_fixture f;
    (void)make(&f);
    segment(&f)->data[200] ^= 1;
    assert_int_equal(wal_fixture_recover(&f, 0, 0), ERR_CHECKSUM);
    wal_fixture_deinit(&f);
}

/* Only the last segment may be torn. */
static void torn_segment_in_the_middle_is_refused(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 1024);
    wal_fixture_append(&f, 1, 20, 1, 100, 20);
    wal_fixture_append(&f, 21, 5, 1, 100, 25);
    wal_fixture_close(&f);
    segment(&f)->len -= 20;
    assert_int_equal(wal_fixture_recover(&f, 0, 0), ERR_TRUNCATED);
    assert_true(f.detail.text[0] != '\0');
    wal_fixture_deinit(&f);
}

/* Whatever the length of the last file: a prefix of what was written, or a plain refusal. */
static void cut_at_every_byte(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 2048);
    wal_fixture_append(&f, 1, 12, 1, 30, 12);
    uint64_t end = wal_offset(f.wal);
    wal_fixture_close(&f);
    for (uint64_t len = 0; len <= end; len++) {
        struct wal_fixture g = {.fs = memfs_clone(f.fs)};
        g.opts = f.opts;
        g.opts.disk = &g.fs->disk;
        segment(&g)->len = len;
        int err = wal_fixture_recover(&g, 0, 0);
        if (err == 0) {
            wal_fixture_expect(&g.contents, 0, 1, g.contents.count, 1, 30);
            assert_true(len < end || g.contents.count == 12);
        } else {
            assert_true(len < 60); /* not even the metadata */
        }
        wal_fixture_deinit(&g);
    }
    wal_fixture_deinit(&f);
}

static void flipped_bits(void **state)
{
    (void)state;
    struct wal_fixture f;
    struct prng p;
    prng_init(&p, 42);
    wal_fixture_init(&f);
    wal_fixture_create(&f, 1024);
    wal_fixture_append(&f, 1, 15, 1, 70, 5);
    wal_fixture_append(&f, 16, 6, 1, 30, 20);
    uint64_t end = wal_offset(f.wal);
    wal_fixture_close(&f);
    static const char *const names[] = {WAL_SEG0, WAL_DIR "/0000000000000001-0000000000000010.wal"};
    for (int i = 0; i < 1000; i++) {
        struct wal_fixture g = {.fs = memfs_clone(f.fs)};
        g.opts = f.opts;
        g.opts.disk = &g.fs->disk;
        struct memfs_node *n = memfs_find(g.fs, names[i % 2]);
        uint64_t size = i % 2 == 1 ? end : n->bytes.len;
        for (uint64_t k = 1 + prng_below(&p, 3); k > 0; k--) {
            uint64_t at = prng_below(&p, size);
            n->bytes.data[at] = (uint8_t)(n->bytes.data[at] ^ (1 << prng_below(&p, 8)));
        }
        int err = wal_fixture_recover(&g, 0, 0);
        if (err == 0) {
            /* What was read is what was written, if not all of it. */
            for (size_t k = 0; k < g.contents.count; k++) {
                wal_fixture_expect(&g.contents, k, k + 1, 1, 1, k < 15 ? 70 : 30);
            }
        }
        struct wal_cursor c = {.seq = 0};
        struct wal_contents out;
        struct raft_snapshot_meta *snaps;
        size_t count;
        wal_contents_init(&out);
        if (wal_read_range(&g.opts, 3, 18, 1 << 20, &c, &out) == 0) {
            wal_fixture_expect(&out, 0, 3, out.count < 13 ? out.count : 13, 1, 70);
        }
        wal_contents_deinit(&out);
        if (wal_valid_snapshots(&g.opts, &snaps, &count) == 0) {
            mem_free(snaps);
        }
        wal_fixture_deinit(&g);
    }
    wal_fixture_deinit(&f);
}

static void gap_and_mismatch(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 64 << 10);
    wal_fixture_append(&f, 1, 3, 1, 10, 3);
    wal_fixture_append(&f, 5, 1, 1, 10, 3); /* 4 is missing */
    wal_fixture_close(&f);
    assert_int_equal(wal_fixture_recover(&f, 0, 0), ERR_GAP);
    assert_true(strstr(f.detail.text,
                       "wal: slice bounds out of range, snapshot[Index: 0, Term: 0], "
                       "current entry[Index: 5, Term: 1], len(ents): 3") != NULL);
    wal_fixture_deinit(&f);

    wal_fixture_init(&f);
    wal_fixture_create(&f, 64 << 10);
    wal_fixture_append(&f, 1, 3, 1, 10, 3);
    struct raft_snapshot_meta s = {.index = 3, .term = 1};
    s.conf.voters = (struct raft_ids){1, {1}};
    assert_int_equal(wal_append_snapshot(f.wal, &s), 0);
    wal_fixture_close(&f);
    assert_int_equal(wal_fixture_recover(&f, 3, 2), ERR_MISMATCH);
    assert_string_equal(f.detail.text, "wal: snapshot mismatch");
    assert_int_equal(wal_fixture_recover(&f, 3, 1), 0);
    assert_true(f.contents.has_snapshot);
    /* Writing: a missing record is no failure; reading: it is. */
    assert_int_equal(wal_fixture_recover(&f, 2, 1), 0);
    assert_false(f.contents.has_snapshot);
    assert_int_equal(f.contents.count, 1);
    struct wal *r;
    wal_fixture_close(&f);
    assert_int_equal(wal_open(&f.opts, (struct raft_entry_id){1, 2}, false, &r), 0);
    assert_int_equal(wal_read_all(r, &f.contents), ERR_NOT_FOUND);
    assert_int_equal(f.contents.count, 1);
    assert_string_equal(wal_error(r), "wal: snapshot not found");
    assert_int_equal(wal_close(r), 0);
    wal_fixture_deinit(&f);
}

static void selection_of_segments(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 1024);
    for (raft_index i = 1; i <= 91; i += 10) {
        wal_fixture_append(&f, i, 10, 1, 120, i);
    }
    assert_true(wal_segment_count(f.wal) > 4);
    struct wal *other;
    assert_int_equal(wal_open(&f.opts, (struct raft_entry_id){0, 0}, true, &other), ERR_LOCKED);
    wal_fixture_close(&f);
    assert_int_equal(wal_fixture_recover(&f, 55, 1), 0);
    assert_int_equal(f.contents.count, 45);
    assert_true(wal_segment_count(f.wal) < 9);
    wal_fixture_close(&f);
    /* A hole in the sequence. */
    assert_int_equal(
        f.opts.disk->ops->unlink(f.opts.disk, WAL_DIR "/0000000000000003-000000000000001f.wal"), 0);
    assert_int_equal(wal_fixture_recover(&f, 0, 0), ERR_GAP);
    assert_string_equal(f.detail.text, "wal: file sequence numbers (starting from 0) do not "
                                       "increase continuously");
    assert_int_equal(wal_fixture_recover(&f, 55, 1), 0);
    wal_fixture_close(&f);
    assert_int_equal(f.opts.disk->ops->unlink(f.opts.disk, WAL_SEG0), 0);
    assert_int_equal(wal_fixture_recover(&f, 0, 0), 0 + ERR_NOT_FOUND);
    assert_string_equal(f.detail.text, "wal: file not found which matches the snapshot index '0'");
    wal_fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_in_the_middle),
        cmocka_unit_test(cut_in_the_length_field),
        cmocka_unit_test(one_sector_zeroed),
        cmocka_unit_test(second_half_zeroed),
        cmocka_unit_test(length_beyond_the_file),
        cmocka_unit_test(damage_inside_a_sector_is_refused),
        cmocka_unit_test(garbage_behind_a_zero_length_is_zeroed),
        cmocka_unit_test(damage_before_the_last_record_is_refused),
        cmocka_unit_test(torn_segment_in_the_middle_is_refused),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(gap_and_mismatch),
        cmocka_unit_test(selection_of_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
