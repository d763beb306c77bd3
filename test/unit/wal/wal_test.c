/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a log: created, appended, cut, closed, opened again; and what happens when the disk
 * refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/prng.h"
#include "wal_fixture.h"

static size_t count_names(struct memfs *fs, const char *suffix)
{
    size_t n = 0;
    for (size_t i = 0; i < fs->count; i++) {
        const char *p = fs->nodes[i]->path;
        size_t len = strlen(p);
        size_t m = strlen(suffix);
        n += !fs->nodes[i]->is_dir && len > m && strcmp(p + len - m, suffix) == 0 ? 1 : 0;
    }
    return n;
}

/* storage-formats 3.3: start of a real WAL of etcd. */
static void create_writes_the_bytes_of_etcd(void **state)
{
    (void)state;
    static const uint8_t want[] = {
        0x04, 0,    0,    0,    0,    0,    0,    0x84, 0x08, 0x04, 0x10, 0x00, 0,    0,
        0,    0, /* crc 0 */
        0x1e, 0,    0,    0,    0,    0,    0,    0x82, 0x08, 0x01, 0x10, 0xee, 0xc9, 0x80,
        0x90, 0x02, 0x1a, 0x14, 0x08, 0xcb, 0xc5, 0xcb, 0xb3, 0x98, 0x97, 0xfd, 0xb0, 0x23,
        0x10, 0xd9, 0xdd, 0xe5, 0xaf, 0xd5, 0x82, 0xe2, 0xb9, 0x2d, 0,    0, /* node, cluster */
        0x0e, 0,    0,    0,    0,    0,    0,    0x82, 0x08, 0x05, 0x10, 0xc0, 0x96, 0xe2,
        0x9e, 0x02, 0x1a, 0x04, 0x08, 0x00, 0x10, 0x00, 0,    0, /* snapshot 0 */
    };
    struct wal_fixture f;
    wal_fixture_init(&f);
    uint64_t node = 0;
    uint64_t cluster = 0;
    assert_int_equal(varint_get(want + 35, 9, &node), 9);
    assert_int_equal(varint_get(want + 45, 9, &cluster), 9);
    const struct wal_metadata m = {node, cluster};
    f.opts.segment_bytes = 4096;
    assert_int_equal(wal_create(&f.opts, &m, &f.wal), 0);
    struct memfs_node *n = memfs_find(f.fs, WAL_SEG0);
    assert_non_null(n);
    assert_int_equal(n->bytes.len, 4096); /* preallocated */
    assert_int_equal(n->mode, 0600);
    assert_memory_equal(n->bytes.data, want, sizeof(want));
    assert_int_equal(wal_offset(f.wal), sizeof(want));
    assert_null(memfs_find(f.fs, WAL_DIR ".tmp"));
    assert_null(memfs_find(f.fs, WAL_DIR "/.touch"));
    assert_true(wal_exists(&f.fs->disk, WAL_DIR));
    struct wal *second;
    assert_int_equal(wal_create(&f.opts, &m, &second), ERR_EXISTS);
    wal_fixture_deinit(&f);
}

/* storage-formats 4.5: the 280-byte WAL that three versions of etcd have started from. */
static const char SPEC_JSON[] =
    "{\"id\":9989940685970519503,\"peerURLs\":[\"http://127.0.0.1:21042\"],\"name\":\"n1\"}";
static const struct wal_metadata SPEC_IDS = {UINT64_C(0x8aa3661ffa7eb5cf),
                                             UINT64_C(0x3beec5db022e5356)};

static void add_hex(struct buf *b, const char *hex)
{
    for (const char *p = hex; *p != '\0'; p += 2) {
        unsigned v;
        assert_int_equal(sscanf(p, "%2x", &v), 1);
        buf_append_byte(b, (uint8_t)v);
    }
}

static void spec_wal(struct buf *b)
{
    add_hex(b, "04000000000000840804100000000000");
    add_hex(b, "1f00000000000081");
    add_hex(b, "0801109499b9fd071a1508cfebfad3ffc3d9d18a0110d6a6b991b0bbb1f73b00");
    add_hex(b, "0e000000000000820805108fd2c9ff071a04080010000000");
    add_hex(b, "6f00000000000081");
    add_hex(b, "080210d7add8d60f1a65080110011801225d0800100018cfebfad3ffc3d9d18a01224c");
    buf_append(b, SPEC_JSON, sizeof(SPEC_JSON) - 1);
    add_hex(b, "001900000000000087");
    add_hex(b, "080310caa0b1c8041a0f080110cfebfad3ffc3d9d18a01180100000000000000");
    add_hex(b, "1b00000000000085");
    add_hex(b, "080510e4f4fcbb0f1a11080110011a0b08cfebfad3ffc3d9d18a010000000000");
    assert_int_equal(b->len, 280);
}

static void hand_made_280_bytes_are_read(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct wal_fixture f;
    spec_wal(&b);
    wal_fixture_init(&f);
    memfs_mkdir(f.fs, WAL_DIR);
    memfs_put(f.fs, WAL_SEG0, buf_slice(&b));
    buf_deinit(&b);
    struct raft_snapshot_meta *snaps;
    size_t count;
    assert_int_equal(wal_valid_snapshots(&f.opts, &snaps, &count), 0);
    assert_int_equal(count, 2);
    assert_true(snaps[1].index == 1 && snaps[1].term == 1 && snaps[1].conf.voters.count == 1);
    mem_free(snaps);
    assert_int_equal(wal_fixture_recover(&f, 0, 0), 0);
    assert_int_equal(f.contents.count, 1);
    assert_true(f.contents.metadata.node_id == SPEC_IDS.node_id &&
                f.contents.metadata.cluster_id == SPEC_IDS.cluster_id);
    assert_true(f.contents.hard_state.commit == 1 && f.contents.hard_state.term == 1);
    struct raft_conf_change cc;
    assert_int_equal(raftpb_conf_change_decode(f.contents.entries[0].data, &cc), 0);
    assert_true(slice_equal_cstr(cc.context, SPEC_JSON));
    assert_int_equal(wal_fixture_recover(&f, 1, 1), 0);
    assert_int_equal(f.contents.count, 0);
    assert_true(f.contents.has_snapshot);
    wal_fixture_deinit(&f);
}

static void hand_made_280_bytes_are_written(void **state)
{
    (void)state;
    struct buf want = BUF_INIT;
    struct buf data = BUF_INIT;
    struct wal_fixture f;
    spec_wal(&want);
    wal_fixture_init(&f);
    f.opts.segment_bytes = 4096;
    assert_int_equal(wal_create(&f.opts, &SPEC_IDS, &f.wal), 0);
    const struct raft_conf_change cc = {
        .type = RAFT_CONF_ADD_NODE, .node_id = SPEC_IDS.node_id, .context = slice_cstr(SPEC_JSON)};
    raftpb_conf_change_encode(&data, &cc, RAFTPB_ZEROS);
    const struct raft_entry e = {
        .term = 1, .index = 1, .type = RAFT_ENTRY_CONF_CHANGE, .data = buf_slice(&data)};
    const struct raft_hard_state hs = {1, SPEC_IDS.node_id, 1};
    struct raft_snapshot_meta s = {.index = 1, .term = 1};
    s.conf.voters = (struct raft_ids){1, {SPEC_IDS.node_id}};
    assert_int_equal(wal_append(f.wal, &e, 1, &hs), 0);
    assert_int_equal(wal_append_snapshot(f.wal, &s), 0);
    /* The example leaves auto_leave out; etcd's raft (and we) write it. */
    assert_int_equal(wal_offset(f.wal), 280);
    assert_memory_equal(memfs_find(f.fs, WAL_SEG0)->bytes.data, want.data, 240);
    buf_deinit(&data);
    buf_deinit(&want);
    wal_fixture_deinit(&f);
}

static void one_write_and_one_sync_a_batch(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 1 << 20);
    unsigned writes = f.fs->calls[MEMFS_WRITE];
    unsigned syncs = f.fs->calls[MEMFS_SYNC_DATA];
    wal_fixture_append(&f, 1, 100, 1, 100, 50);
    assert_int_equal(f.fs->calls[MEMFS_WRITE], writes + 1);
    assert_int_equal(f.fs->calls[MEMFS_SYNC_DATA], syncs + 1);
    assert_int_equal(wal_sync(f.wal), 0); /* nothing to do */
    assert_int_equal(f.fs->calls[MEMFS_SYNC_DATA], syncs + 1);
    const struct raft_hard_state moved = {1, 1, 60};
    assert_int_equal(wal_append(f.wal, NULL, 0, &moved), 0);
    assert_false(wal_needs_sync(f.wal)); /* a moved commit alone */
    const struct raft_hard_state voted = {2, 1, 60};
    assert_int_equal(wal_append(f.wal, NULL, 0, &voted), 0);
    assert_true(wal_needs_sync(f.wal));
    assert_int_equal(wal_sync(f.wal), 0);
    assert_false(wal_needs_sync(f.wal));
    wal_fixture_deinit(&f);
}

/* Random batches, segments and emissions against a plain list of entries. */
static void model_of_append_and_reopen(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct prng p;
        struct wal_fixture f;
        struct raft_entry_id model[4096];
        size_t lens[4096];
        size_t n = 0;
        raft_term term = 1;
        struct raft_hard_state hs = {0, 0, 0};
        prng_init(&p, seed);
        wal_fixture_init(&f);
        f.opts.emission = seed % 2 == 0 ? RAFTPB_SPARSE : RAFTPB_ZEROS;
        wal_fixture_create(&f, 2048 + prng_below(&p, 8192));
        for (int step = 0; step < 60; step++) {
            if (prng_chance(&p, 1, 6) && n > hs.commit) { /* a new leader replaces a tail */
                term++;
                n = (size_t)(hs.commit + prng_below(&p, n - hs.commit + 1));
            }
            size_t count = prng_below(&p, 12);
            size_t len = prng_chance(&p, 1, 10) ? 3000 : prng_below(&p, 200);
            for (size_t i = 0; i < count; i++) {
                model[n + i] = (struct raft_entry_id){term, n + i + 1};
                lens[n + i] = len;
            }
            raft_index commit = count == 0 ? 0 : n + prng_below(&p, count) + 1;
            commit = commit > hs.commit ? commit : hs.commit;
            wal_fixture_append(&f, n + 1, count, term, len, commit);
            n += count;
            if (commit > 0) {
                hs = (struct raft_hard_state){term, 1, commit};
            }
            if (prng_chance(&p, 1, 8)) {
                wal_emission_set(f.wal, prng_chance(&p, 1, 2) ? RAFTPB_SPARSE : RAFTPB_ZEROS);
                assert_int_equal(wal_fixture_recover(&f, 0, 0), 0);
            }
        }
        assert_int_equal(wal_fixture_recover(&f, 0, 0), 0);
        assert_int_equal(f.contents.count, n);
        assert_true(f.contents.hard_state.commit == hs.commit &&
                    f.contents.hard_state.term == hs.term);
        for (size_t i = 0; i < n; i++) {
            wal_fixture_expect(&f.contents, i, model[i].index, 1, model[i].term, lens[i]);
        }
        wal_fixture_deinit(&f);
    }
}

/* storage-formats 3.7: header and name of the next segment, the old one cut to its contents. */
static void cut_makes_the_next_segment(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 1024);
    struct wal_spare_job job;
    assert_true(wal_spare_begin(f.wal, &job));
    assert_false(wal_spare_begin(f.wal, &(struct wal_spare_job){.err = 0}));
    wal_spare_run(&job);
    assert_int_equal(wal_spare_end(f.wal, &job), 0);
    assert_non_null(memfs_find(f.fs, WAL_DIR "/0.tmp"));
    wal_fixture_append(&f, 1, 20, 1, 100, 5);
    assert_int_equal(wal_seq(f.wal), 1);
    struct memfs_node *one = memfs_find(f.fs, WAL_DIR "/0000000000000001-0000000000000015.wal");
    assert_non_null(one);
    assert_null(memfs_find(f.fs, WAL_DIR "/0.tmp"));
    struct memfs_node *zero = memfs_find(f.fs, WAL_SEG0);
    assert_true(zero->bytes.len > 2000 && zero->bytes.len % 8 == 0);
    assert_int_equal(one->bytes.len, 1024);
    /* crc record first: the chain at the end of segment 0 */
    assert_int_equal(load_le64(one->bytes.data) & 0xff, one->bytes.data[7] == 0 ? 8 : 7);
    assert_int_equal(one->bytes.data[8], 0x08);
    assert_int_equal(one->bytes.data[9], 0x04);
    assert_int_equal(wal_segment_count(f.wal), 2);
    /* the other name next */
    assert_true(wal_spare_begin(f.wal, &job));
    wal_spare_run(&job);
    assert_int_equal(wal_spare_end(f.wal, &job), 0);
    assert_non_null(memfs_find(f.fs, WAL_DIR "/1.tmp"));
    assert_int_equal(wal_fixture_recover(&f, 0, 0), 0); /* a clean stop removes the spare */
    assert_null(memfs_find(f.fs, WAL_DIR "/1.tmp"));
    assert_int_equal(f.contents.count, 20);
    assert_true(f.contents.hard_state.commit == 5);
    wal_fixture_deinit(&f);
}

/* What a crash left in a spare must not shine through behind a shorter header. */
static void stale_spare_is_emptied(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 1024);
    uint8_t junk[1024];
    memset(junk, 0xff, sizeof(junk));
    memfs_put(f.fs, WAL_DIR "/0.tmp", slice_make(junk, sizeof(junk)));
    wal_fixture_append(&f, 1, 20, 1, 100, 5);
    wal_fixture_append(&f, 21, 1, 1, 10, 21);
    assert_int_equal(wal_fixture_recover(&f, 0, 0), 0);
    assert_int_equal(f.contents.count, 21);
    wal_fixture_deinit(&f);
}

static void full_disk_keeps_the_log_going(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 4096);
    f.fs->space = 3000; /* no room for another segment, some to grow this one */
    struct wal_spare_job job;
    assert_true(wal_spare_begin(f.wal, &job));
    wal_spare_run(&job);
    assert_int_equal(wal_spare_end(f.wal, &job), ERR_NO_SPACE);
    assert_true(wal_is_short_of_space(f.wal));
    assert_null(memfs_find(f.fs, WAL_DIR "/0.tmp")); /* nothing is held back */
    wal_fixture_append(&f, 1, 40, 1, 100, 40);       /* past the size: the cut is put off */
    assert_int_equal(wal_seq(f.wal), 0);
    f.fs->space = 1 << 20;
    wal_fixture_append(&f, 41, 1, 1, 10, 41);
    assert_int_equal(wal_seq(f.wal), 1);
    assert_false(wal_is_short_of_space(f.wal));
    f.fs->space = 0;
    memfs_fail(f.fs, MEMFS_WRITE, 0, ERR_NO_SPACE);
    struct raft_entry e = {.term = 1, .index = 42};
    assert_int_equal(wal_append(f.wal, &e, 1, NULL), ERR_NO_SPACE);
    assert_int_equal(wal_append(f.wal, &e, 1, NULL), ERR_NO_SPACE); /* for ever */
    assert_int_equal(wal_sync(f.wal), ERR_NO_SPACE);
    assert_true(strstr(wal_error(f.wal), "write failed") != NULL);
    wal_fixture_deinit(&f);
}

static void failed_sync_is_never_retried(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 4096);
    struct raft_entry e = {.term = 1, .index = 1};
    assert_int_equal(wal_append(f.wal, &e, 1, NULL), 0);
    memfs_fail(f.fs, MEMFS_SYNC_DATA, 0, ERR_IO);
    assert_int_equal(wal_sync(f.wal), ERR_IO);
    unsigned syncs = f.fs->calls[MEMFS_SYNC_DATA];
    assert_int_equal(wal_sync(f.wal), ERR_IO);
    assert_int_equal(wal_append(f.wal, &e, 1, NULL), ERR_IO);
    assert_int_equal(wal_close(f.wal), ERR_IO);
    f.wal = NULL;
    assert_int_equal(f.fs->calls[MEMFS_SYNC_DATA], syncs);
    wal_fixture_deinit(&f);
}

/* Every disk call of a life fails once: an error comes back, nothing crashes, and what was synced
 * before is there afterwards. */
static void each_call_fails_once(void **state)
{
    (void)state;
    for (int op = MEMFS_OPEN; op < MEMFS_OPS; op++) {
        for (unsigned after = 0; after < 60; after++) {
            struct wal_fixture f;
            wal_fixture_init(&f);
            f.opts.segment_bytes = 1024;
            const struct wal_metadata m = {1, 2};
            memfs_fail(f.fs, (enum memfs_op)op, after, ERR_IO);
            int err = wal_create(&f.opts, &m, &f.wal);
            raft_index synced = 0;
            for (raft_index i = 1; err == 0 && i <= 30; i++) {
                struct raft_entry e = {.term = 1,
                                       .index = i,
                                       .data = SLICE_LIT("some data here, "
                                                         "and more of it")};
                const struct raft_hard_state hs = {1, 1, i};
                err = wal_append(f.wal, &e, 1, &hs);
                err = err == 0 ? wal_sync(f.wal) : err;
                synced = err == 0 ? i : synced;
            }
            f.fs->fail_op = MEMFS_NONE;
            if (wal_exists(&f.fs->disk, WAL_DIR)) {
                assert_int_equal(wal_fixture_recover(&f, 0, 0), 0);
                assert_true(f.contents.count >= synced);
            } else {
                assert_int_equal(synced, 0);
            }
            wal_fixture_deinit(&f);
        }
    }
}

static void create_failure_after_rename_puts_it_aside(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    const struct wal_metadata m = {1, 2};
    f.opts.segment_bytes = 1024;
    f.opts.wall_ns = INT64_C(1700000000123456789);
    /* The first is of the directory that is made, the second of its parent. */
    memfs_fail(f.fs, MEMFS_SYNC_DIR, 1, ERR_IO);
    assert_int_equal(wal_create(&f.opts, &m, &f.wal), ERR_IO);
    assert_non_null(memfs_find(f.fs, WAL_DIR ".broken.20231114.221320.123456"));
    assert_null(memfs_find(f.fs, WAL_DIR));
    assert_int_equal(count_names(f.fs, ".wal"), 1);
    f.wal = NULL;
    wal_fixture_deinit(&f);
}

static void no_malloc_grows_with_records(void **state)
{
    (void)state;
    struct wal_fixture f;
    wal_fixture_init(&f);
    wal_fixture_create(&f, 1 << 24);
    wal_fixture_append(&f, 1, 1000, 1, 64, 1);
    uint64_t before = wal_bytes_written(f.wal);
    wal_fixture_append(&f, 1001, 1000, 1, 64, 1001);
    assert_true(wal_bytes_written(f.wal) - before > 1000 * 64);
    assert_int_equal(wal_sync_count(f.wal), 3);
    wal_fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_writes_the_bytes_of_etcd),
        cmocka_unit_test(hand_made_280_bytes_are_read),
        cmocka_unit_test(hand_made_280_bytes_are_written),
        cmocka_unit_test(one_write_and_one_sync_a_batch),
        cmocka_unit_test(model_of_append_and_reopen),
        cmocka_unit_test(cut_makes_the_next_segment),
        cmocka_unit_test(stale_spare_is_emptied),
        cmocka_unit_test(full_disk_keeps_the_log_going),
        cmocka_unit_test(failed_sync_is_never_retried),
        cmocka_unit_test(each_call_fails_once),
        cmocka_unit_test(create_failure_after_rename_puts_it_aside),
        cmocka_unit_test(no_malloc_grows_with_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
