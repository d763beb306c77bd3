/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/prng.h"
#include "memfs.h"
#include "snap/snap.h"

#define DIR "/snap"

static struct raft_snapshot_meta meta(raft_term term, raft_index index)
{
    struct raft_snapshot_meta m = {.index = index, .term = term};
    m.conf.voters = (struct raft_ids){2, {5, UINT64_C(0xffffffffffffffff)}};
    return m;
}

static struct memfs *make(void)
{
    struct memfs *fs = memfs_create();
    memfs_mkdir(fs, DIR);
    return fs;
}

static void save(struct memfs *fs, raft_term term, raft_index index)
{
    struct raft_snapshot_meta m = meta(term, index);
    struct buf data = BUF_INIT;
    buf_printf(&data, "{\"n\":%u}", (unsigned)index);
    assert_int_equal(snap_save(&fs->disk, DIR, buf_slice(&data), &m, RAFTPB_ZEROS), 0);
    buf_deinit(&data);
}

static void names_and_bytes(void **state)
{
    (void)state;
    struct memfs *fs = make();
    save(fs, 3, 23);
    struct memfs_node *n = memfs_find(fs, DIR "/0000000000000003-0000000000000017.snap");
    assert_non_null(n);
    assert_int_equal(n->mode, 0666); /* minus umask, as etcd */
    assert_int_equal(n->bytes.data[0], 0x08);
    assert_null(memfs_find(fs, DIR "/tmp.0000000000000003-0000000000000017.snap"));
    assert_true(fs->calls[MEMFS_SYNC] == 1 && fs->calls[MEMFS_SYNC_DIR] == 1);
    struct snap_file s;
    snap_file_init(&s);
    assert_int_equal(snap_read(&fs->disk, n->path, &s), 0);
    assert_true(slice_equal_cstr(buf_slice(&s.data), "{\"n\":23}"));
    struct raft_snapshot_meta want = meta(3, 23);
    assert_memory_equal(&s.meta, &want, sizeof(want));
    snap_file_deinit(&s);
    memfs_destroy(fs);
}

static void newest_of_those_in_the_wal(void **state)
{
    (void)state;
    struct memfs *fs = make();
    struct snap_file s;
    snap_file_init(&s);
    assert_int_equal(snap_load_newest(&fs->disk, DIR, NULL, 0, &s), ERR_NOT_FOUND);
    save(fs, 1, 10);
    save(fs, 1, 20);
    save(fs, 2, 15);
    struct raft_snapshot_meta wal[2] = {meta(1, 10), meta(1, 20)};
    assert_int_equal(snap_load_newest(&fs->disk, DIR, NULL, 0, &s), 0);
    assert_true(s.meta.term == 2 && s.meta.index == 15);
    assert_int_equal(snap_load_newest(&fs->disk, DIR, wal, 2, &s), 0);
    assert_true(s.meta.term == 1 && s.meta.index == 20);
    assert_int_equal(snap_load_newest(&fs->disk, DIR, wal, 1, &s), 0);
    assert_true(s.meta.index == 10);
    assert_int_equal(snap_load_newest(&fs->disk, DIR, wal, 0, &s), ERR_NOT_FOUND);
    /* A broken one is put aside and the next one taken. */
    memfs_find(fs, DIR "/0000000000000001-0000000000000014.snap")->bytes.data[20] ^= 1;
    memfs_put(fs, DIR "/0000000000000009-0000000000000014.snap", SLICE_LIT(""));
    assert_int_equal(snap_load_newest(&fs->disk, DIR, wal, 2, &s), 0);
    assert_true(s.meta.index == 10);
    assert_non_null(memfs_find(fs, DIR "/0000000000000001-0000000000000014.snap.broken"));
    assert_non_null(memfs_find(fs, DIR "/0000000000000009-0000000000000014.snap.broken"));
    /* A disk that cannot be read condemns nothing. */
    memfs_fail(fs, MEMFS_READ, 0, ERR_IO);
    assert_int_equal(snap_load_newest(&fs->disk, DIR, NULL, 0, &s), ERR_IO);
    assert_int_equal(snap_load_newest(&fs->disk, DIR, NULL, 0, &s), 0);
    assert_true(s.meta.index == 15);
    snap_file_deinit(&s);
    memfs_destroy(fs);
}

static void save_fails_whole(void **state)
{
    (void)state;
    static const enum memfs_op ops[] = {MEMFS_OPEN, MEMFS_WRITE, MEMFS_SYNC, MEMFS_RENAME};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        struct memfs *fs = make();
        struct raft_snapshot_meta m = meta(1, 1);
        memfs_fail(fs, ops[i], 0, ERR_NO_SPACE);
        assert_int_equal(snap_save(&fs->disk, DIR, SLICE_LIT("{}"), &m, RAFTPB_SPARSE),
                         ERR_NO_SPACE);
        assert_int_equal(fs->count, 2); /* "/" and the directory */
        memfs_destroy(fs);
    }
}

static void every_byte_matters(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct raft_snapshot_meta m = meta(1, 1);
    struct snap_file s;
    snap_file_init(&s);
    snap_encode(&b, SLICE_LIT("{\"a\":1}"), &m, RAFTPB_ZEROS);
    assert_int_equal(snap_decode(buf_slice(&b), &s), 0);
    for (size_t i = 0; i < b.len; i++) {
        assert_int_not_equal(snap_decode(slice_make(b.data, i), &s), 0);
        b.data[i] ^= 0x10;
        /* Bits of the varint above the crc's 32 do not count. */
        if (snap_decode(buf_slice(&b), &s) == 0) {
            assert_memory_equal(&s.meta, &m, sizeof(m));
            assert_true(slice_equal_cstr(buf_slice(&s.data), "{\"a\":1}"));
        }
        b.data[i] ^= 0x10;
    }
    assert_int_equal(snap_decode(SLICE_NULL, &s), ERR_TRUNCATED);
    buf_deinit(&b);
    snap_file_deinit(&s);
}

static void leftovers(void **state)
{
    (void)state;
    struct memfs *fs = make();
    static const char *const names[] = {"tmp123",
                                        "tmp.x.snap",
                                        "db.tmp.77",
                                        "db",
                                        "0000000000000005.snap.db",
                                        "000000000000000a.snap.db",
                                        "zz.snap.db",
                                        "x.snap.broken"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *p = env_path_join(DIR, names[i]);
        memfs_put(fs, p, SLICE_LIT("x"));
        mem_free(p);
    }
    assert_int_equal(snap_clean(&fs->disk, DIR), 0);
    assert_null(memfs_find(fs, DIR "/tmp123"));
    assert_null(memfs_find(fs, DIR "/tmp.x.snap"));
    assert_null(memfs_find(fs, DIR "/db.tmp.77"));
    assert_non_null(memfs_find(fs, DIR "/db"));
    assert_int_equal(snap_release_dbs(&fs->disk, DIR, 10), 0);
    assert_null(memfs_find(fs, DIR "/0000000000000005.snap.db"));
    assert_non_null(memfs_find(fs, DIR "/000000000000000a.snap.db"));
    assert_non_null(memfs_find(fs, DIR "/zz.snap.db"));
    for (raft_index i = 1; i <= 7; i++) {
        save(fs, 1, i);
    }
    assert_int_equal(snap_purge(&fs->disk, DIR, "snap", 5), 0);
    assert_null(memfs_find(fs, DIR "/0000000000000001-0000000000000002.snap"));
    assert_non_null(memfs_find(fs, DIR "/0000000000000001-0000000000000003.snap"));
    assert_int_equal(snap_purge(&fs->disk, DIR, "snap.db", 0), 0);
    assert_non_null(memfs_find(fs, DIR "/000000000000000a.snap.db"));
    memfs_destroy(fs);
}

static void received_database(void **state)
{
    (void)state;
    struct memfs *fs = make();
    struct snap_db_writer w;
    assert_int_equal(snap_db_begin(&w, &fs->disk, DIR, 12345), 0);
    assert_non_null(memfs_find(fs, DIR "/tmp12345"));
    assert_int_equal(snap_db_write(&w, SLICE_LIT("abc")), 0);
    assert_int_equal(snap_db_write(&w, SLICE_LIT("def")), 0);
    assert_int_equal(snap_db_commit(&w, 0x1f), 0);
    struct memfs_node *n = memfs_find(fs, DIR "/000000000000001f.snap.db");
    assert_true(n != NULL && n->bytes.len == 6 && n->mode == 0600);
    /* A second one of the same index is dropped. */
    assert_int_equal(snap_db_begin(&w, &fs->disk, DIR, 9), 0);
    assert_int_equal(snap_db_write(&w, SLICE_LIT("other")), 0);
    assert_int_equal(snap_db_commit(&w, 0x1f), 0);
    assert_int_equal(memfs_find(fs, DIR "/000000000000001f.snap.db")->bytes.len, 6);
    assert_null(memfs_find(fs, DIR "/tmp9"));
    /* Given up, and failed. */
    assert_int_equal(snap_db_begin(&w, &fs->disk, DIR, 10), 0);
    snap_db_abort(&w);
    snap_db_abort(&w);
    assert_null(memfs_find(fs, DIR "/tmp10"));
    assert_int_equal(snap_db_begin(&w, &fs->disk, DIR, 11), 0);
    memfs_fail(fs, MEMFS_WRITE, 0, ERR_NO_SPACE);
    assert_int_equal(snap_db_write(&w, SLICE_LIT("x")), ERR_NO_SPACE);
    assert_int_equal(snap_db_write(&w, SLICE_LIT("x")), ERR_NO_SPACE);
    assert_int_equal(snap_db_commit(&w, 0x20), ERR_NO_SPACE);
    assert_null(memfs_find(fs, DIR "/tmp11"));
    assert_int_equal(snap_db_install(&fs->disk, DIR, 0x20), ERR_NOT_FOUND);
    assert_int_equal(snap_db_install(&fs->disk, DIR, 0x1f), 0);
    assert_int_equal(memfs_find(fs, DIR "/db")->bytes.len, 6);
    memfs_destroy(fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_bytes),  cmocka_unit_test(newest_of_those_in_the_wal),
        cmocka_unit_test(save_fails_whole), cmocka_unit_test(every_byte_matters),
        cmocka_unit_test(leftovers),        cmocka_unit_test(received_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
