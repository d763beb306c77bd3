/* SPDX-License-Identifier: Apache-2.0
 *
 * What mvcc reads from a bolt file: restore, HashKV of a file, hash of all buckets, status;
 * of made files and of two that etcds wrote (test/data/bolt).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "lease/lessor.h"
#include "lib/memfs.h"
#include "mvcc/hash.h"
#include "os/os.h"
#include "schema/schema.h"

struct file {
    struct memfs *fs;
    struct bolt_db *db;
};

static void file_open(struct file *f)
{
    f->fs = memfs_create();
    struct bolt_options o = {.disk = &f->fs->disk, .path = "/db", .create = true};
    assert_int_equal(bolt_db_open(&o, &f->db), 0);
}

static void file_close(struct file *f)
{
    bolt_db_close(f->db);
    memfs_destroy(f->fs);
}

static void row_put(struct bolt_tx *tx, const char *bucket, struct slice key, struct slice value)
{
    struct bolt_bucket *b;
    assert_int_equal(bolt_bucket_create_if_missing(tx, NULL, slice_cstr(bucket), &b), 0);
    assert_int_equal(bolt_bucket_put(b, key, value), 0);
}

static void record_put(struct bolt_tx *tx, struct backend_rev rev, const struct wire_kv *kv)
{
    uint8_t key[BACKEND_TOMBSTONE_BYTES];
    uint8_t value[256];
    size_t n = backend_rev_encode(rev, key);
    wire_kv_encode(kv, value);
    row_put(tx, "key", slice_make(key, n), slice_make(value, wire_kv_size(kv)));
}

/* The ten changes of storage-formats 6.5. */
static void vector_put(struct bolt_tx *tx)
{
    static const struct {
        struct backend_rev rev;
        struct wire_kv kv;
    } rows[] = {
        {{2, 0, false}, {SLICE_LIT("foo"), 2, 2, 1, SLICE_LIT("1"), 0}},
        {{3, 0, false}, {SLICE_LIT("foo"), 2, 3, 2, SLICE_LIT("2"), 0}},
        {{4, 0, false}, {SLICE_LIT("bar"), 4, 4, 1, SLICE_LIT("1"), 0}},
        {{5, 0, true}, {.key = SLICE_LIT("bar")}},
        {{6, 0, false}, {SLICE_LIT("baz"), 6, 6, 1, SLICE_LIT("1"), 0}},
        {{7, 0, false}, {SLICE_LIT("foo"), 2, 7, 3, SLICE_LIT("3"), 0}},
        {{8, 0, true}, {.key = SLICE_LIT("foo")}},
        {{9, 0, false}, {SLICE_LIT("q"), 9, 9, 1, SLICE_LIT("1"), 0}},
        {{10, 0, false}, {SLICE_LIT("foo"), 10, 10, 1, SLICE_LIT("4"), 0}},
        {{11, 0, false}, {SLICE_LIT("bar"), 11, 11, 1, SLICE_LIT("9"), 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        record_put(tx, rows[i].rev, &rows[i].kv);
    }
}

static void compact_rev_put(struct bolt_tx *tx, const char *name, int64_t rev)
{
    uint8_t value[BACKEND_TOMBSTONE_BYTES];
    size_t n = backend_rev_encode((struct backend_rev){rev, 0, false}, value);
    row_put(tx, "meta", slice_cstr(name), slice_make(value, n));
}

static void expect_hash(struct bolt_tx *tx, int64_t rev, uint32_t hash, int64_t compact_rev)
{
    struct mvcc_hash_value v;
    int64_t current;
    assert_int_equal(mvcc_hash_file(tx, rev, &v, &current), 0);
    assert_int_equal(v.hash, hash);
    assert_int_equal(v.compact_rev, compact_rev);
    assert_int_equal(current, 11);
}

static void test_vector(void **state)
{
    (void)state;
    struct file f;
    struct bolt_tx *tx;
    file_open(&f);
    assert_int_equal(bolt_tx_begin(f.db, true, &tx), 0);
    vector_put(tx);
    row_put(tx, "meta", SLICE_LIT("consistent_index"), SLICE_LIT("12345678"));
    assert_int_equal(bolt_tx_commit(tx), 0);
    assert_int_equal(bolt_tx_begin(f.db, false, &tx), 0);
    expect_hash(tx, 5, 3223888553u, -1);
    expect_hash(tx, 8, 4040846227u, -1);
    expect_hash(tx, 0, 162030792u, -1);
    struct mvcc_file_status s;
    assert_int_equal(mvcc_file_status(tx, &s), 0);
    assert_int_equal(s.revision, 11);
    assert_int_equal(s.key_count, 4);
    assert_int_equal(s.pair_count, 11);
    struct mvcc_hash_value v;
    int64_t current;
    assert_int_equal(mvcc_hash_file(tx, 12, &v, &current), ERR_RPC_FUTURE_REV);
    bolt_tx_rollback(tx);

    /* Scheduled but not finished: the keep set hides what is still there. */
    assert_int_equal(bolt_tx_begin(f.db, true, &tx), 0);
    compact_rev_put(tx, "scheduledCompactRev", 8);
    assert_int_equal(bolt_tx_commit(tx), 0);
    assert_int_equal(bolt_tx_begin(f.db, false, &tx), 0);
    expect_hash(tx, 8, 1645425002u, 8);
    expect_hash(tx, 9, 1833930795u, 8);
    expect_hash(tx, 11, 437712208u, 8);
    assert_int_equal(mvcc_hash_file(tx, 7, &v, &current), ERR_RPC_COMPACTED);
    bolt_tx_rollback(tx);
    file_close(&f);
}

static void test_hash_all(void **state)
{
    (void)state;
    struct file f;
    struct bolt_tx *tx;
    file_open(&f);
    assert_int_equal(bolt_tx_begin(f.db, true, &tx), 0);
    row_put(tx, "meta", SLICE_LIT("consistent_index"), SLICE_LIT("12345678"));
    row_put(tx, "meta", SLICE_LIT("storageVersion"), SLICE_LIT("3.7.0"));
    row_put(tx, "meta", SLICE_LIT("term"), SLICE_LIT("12345678"));
    row_put(tx, "meta", SLICE_LIT("x"), SLICE_LIT("y"));
    row_put(tx, "alarm", SLICE_LIT("term"), SLICE_NULL);
    row_put(tx, "key", SLICE_LIT("not a revision"), SLICE_NULL);
    assert_int_equal(bolt_tx_commit(tx), 0);
    assert_int_equal(bolt_tx_begin(f.db, false, &tx), 0);
    uint32_t hash;
    assert_int_equal(mvcc_hash_all(tx, &hash), 0);
    assert_int_equal(hash, crc32c(0, "alarmtermkeynot a revisionmetaxy", 32));
    struct mvcc_file_status s;
    assert_int_equal(mvcc_file_status(tx, &s), ERR_MALFORMED);
    bolt_tx_rollback(tx);
    file_close(&f);
}

static void test_restore(void **state)
{
    (void)state;
    struct file f;
    struct bolt_tx *tx;
    file_open(&f);
    struct lessor_options lo = {.min_ttl_s = 2};
    struct lessor *l = lessor_create(&lo);
    struct mvcc_options mo = {.lessor = l};
    struct mvcc_store *s = mvcc_create(&mo);
    assert_int_equal(bolt_tx_begin(f.db, false, &tx), 0);
    assert_int_equal(mvcc_restore_tx(s, tx), ERR_CORRUPT); /* no buckets */
    bolt_tx_rollback(tx);
    assert_int_equal(bolt_tx_begin(f.db, true, &tx), 0);
    vector_put(tx);
    compact_rev_put(tx, "scheduledCompactRev", 3);
    compact_rev_put(tx, "finishedCompactRev", 3);
    assert_int_equal(bolt_tx_commit(tx), 0);
    assert_int_equal(bolt_tx_begin(f.db, false, &tx), 0);
    assert_int_equal(mvcc_restore_tx(s, tx), 0);
    assert_int_equal(mvcc_rev(s), 11);
    assert_int_equal(mvcc_compact_rev(s), 3);
    assert_int_equal(mvcc_compact_state(s), MVCC_COMPACT_IDLE);
    assert_int_equal(mvcc_key_count(s), 4);
    struct mvcc_tx_source *src;
    assert_int_equal(mvcc_tx_source_open(tx, &src), 0);
    struct mvcc_source records = mvcc_tx_source_of(src);
    assert_true(mvcc_check_records(s, &records));
    mvcc_tx_source_close(src);
    mvcc_check(s);
    bolt_tx_rollback(tx);
    mvcc_destroy(s);
    lessor_destroy(l);
    file_close(&f);
}

/* Files of real etcds; the numbers are those of their own etcdutl (snapshot status, hashkv). */
static void check_file(const char *name, uint32_t status_hash)
{
    char path[1024];
    const char *dir = getenv("BOLT_TEST_DATA");
    if (dir == NULL) {
        skip(); /* meson sets it */
    }
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    struct env *env;
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct os_options eo = {.no_lanes = true};
    assert_int_equal(os_env_create(&eo, &env), 0);
    struct bolt_options o = {.disk = env->disk, .path = path, .read_only = true};
    assert_int_equal(bolt_db_open(&o, &db), 0);
    assert_int_equal(bolt_tx_begin(db, false, &tx), 0);
    struct mvcc_file_status s;
    struct mvcc_hash_value v;
    int64_t current;
    assert_int_equal(mvcc_file_status(tx, &s), 0);
    assert_int_equal(s.hash, status_hash);
    assert_int_equal(s.revision, 45);
    assert_int_equal(mvcc_hash_file(tx, 0, &v, &current), 0);
    assert_int_equal(v.hash, 1073049669);
    assert_int_equal(v.compact_rev, 20);
    assert_int_equal(v.rev, 45);
    bolt_tx_rollback(tx);
    bolt_db_close(db);
    os_env_destroy(env);
}

static void test_real_files(void **state)
{
    (void)state;
    check_file("etcd-3.5.33.db", 0xb7abb79);
    check_file("etcd-3.7.1.db", 0x2dde9a7f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_hash_all),
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
