/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt on damaged files: bit flips, truncation, failing disk calls: an error with a text, or an
 * answer; never a crash, a hang or a read out of bounds (run under asan too).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/prng.h"
#include "bolt/bolt.h"
#include "sim/disk.h"

enum { FLIPS = 1000 };

static int open_at(struct sim_disk *d, bool read_only, struct bolt_db **out, char *text)
{
    text[0] = 0;
    struct bolt_options o = {.disk = sim_disk_env(d),
                             .path = "db",
                             .create = !read_only,
                             .read_only = read_only,
                             .error_text = text,
                             .error_text_size = BOLT_ERROR_TEXT_BYTES};
    return bolt_db_open(&o, out);
}

static int fill(struct bolt_db *db, unsigned from, unsigned to)
{
    struct bolt_tx *tx;
    struct bolt_bucket *b;
    int err = bolt_tx_begin(db, true, &tx);
    if (err != 0) {
        return err;
    }
    err = bolt_bucket_create_if_missing(tx, NULL, SLICE_LIT("key"), &b);
    for (unsigned i = from; err == 0 && i < to; i++) {
        char key[32], value[200];
        size_t n = (size_t)snprintf(key, sizeof(key), "key-%05u", i);
        size_t m = (size_t)snprintf(value, sizeof(value), "%*u", (int)(i % 150) + 1, i);
        err = bolt_bucket_put(b, slice_make(key, n), slice_make(value, m));
    }
    if (err == 0) {
        err = bolt_bucket_create_if_missing(tx, NULL, SLICE_LIT("meta"), &b);
    }
    if (err == 0) {
        err = bolt_bucket_put(b, SLICE_LIT("x"), SLICE_LIT("y"));
    }
    if (err != 0) {
        bolt_tx_rollback(tx);
        return err;
    }
    return bolt_tx_commit(tx);
}

static struct sim_disk *make_file(void)
{
    struct sim_disk *d = sim_disk_create();
    struct bolt_db *db;
    char text[BOLT_ERROR_TEXT_BYTES];
    assert_int_equal(open_at(d, false, &db, text), 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(fill(db, i * 100, i * 100 + 300), 0);
    }
    bolt_db_close(db);
    return d;
}

static void walk_all(struct bolt_db *db)
{
    struct bolt_tx *tx;
    assert_int_equal(bolt_tx_begin(db, false, &tx), 0);
    (void)!bolt_check(tx, NULL, NULL);
    struct bolt_bucket *b;
    struct bolt_cursor c;
    struct bolt_item item;
    if (bolt_bucket_open(tx, NULL, 0, SLICE_LIT("key"), &b) == 0) {
        size_t count = 0;
        bolt_cursor_init(&c, tx, b, 0);
        for (int err = bolt_cursor_first(&c, &item); err == 0 && count < 100000; count++) {
            err = bolt_cursor_next(&c, &item);
        }
        bolt_cursor_release(&c);
        assert_true(count < 100000);
        struct bolt_value v = {0};
        if (bolt_bucket_get(b, 0, SLICE_LIT("key-00123"), &v) == 0) {
            bolt_value_release(&v);
        }
    }
    bolt_tx_rollback(tx);
}

static void look(struct sim_disk *d, unsigned *refused)
{
    struct bolt_db *db;
    char text[BOLT_ERROR_TEXT_BYTES];
    if (open_at(d, true, &db, text) == 0) {
        walk_all(db);
        bolt_db_close(db);
    }
    if (open_at(d, false, &db, text) != 0) {
        assert_true(text[0] != 0);
        (*refused)++;
        return;
    }
    walk_all(db);
    (void)!fill(db, 1000, 1050); /* an error or not; no damage may end the process */
    bolt_db_close(db);
}

static void bit_flips(void **state)
{
    (void)state;
    struct sim_disk *good = make_file();
    struct env_stat st;
    assert_int_equal(sim_disk_env(good)->ops->stat(sim_disk_env(good), "db", &st), 0);
    struct prng rng;
    prng_init(&rng, 7);
    unsigned refused = 0;
    for (int i = 0; i < FLIPS; i++) {
        struct sim_disk *d = sim_disk_clone(good);
        assert_int_equal(sim_disk_flip_bit(d, "db", prng_below(&rng, st.size * 8)), 0);
        look(d, &refused);
        sim_disk_destroy(d);
    }
    print_message("%d flips, %u refused at open\n", FLIPS, refused);
    assert_true(refused > 0);
    sim_disk_destroy(good);
}

static void truncated(void **state)
{
    (void)state;
    struct sim_disk *good = make_file();
    struct env_disk *e = sim_disk_env(good);
    struct env_stat st;
    assert_int_equal(e->ops->stat(e, "db", &st), 0);
    unsigned refused = 0, count = 0;
    for (uint64_t size = 0; size < st.size; size += 1531, count++) {
        struct sim_disk *d = sim_disk_clone(good);
        struct env_file *f;
        assert_int_equal(sim_disk_env(d)->ops->open(sim_disk_env(d), "db",
                                                    ENV_OPEN_READ | ENV_OPEN_WRITE, 0, &f),
                         0);
        assert_int_equal(f->ops->truncate(f, size), 0);
        f->ops->close(f);
        look(d, &refused);
        sim_disk_destroy(d);
    }
    assert_true(refused > count / 2);
    sim_disk_destroy(good);
}

static void failing_write_is_final(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct sim_disk *d = make_file();
        struct bolt_db *db;
        char text[BOLT_ERROR_TEXT_BYTES];
        assert_int_equal(open_at(d, false, &db, text), 0);
        sim_disk_fail_match(d, SIM_OP_BIT(SIM_OP_WRITE) | SIM_OP_ANY_SYNC, "db", nth, false,
                            ERR_IO);
        int err = fill(db, 0, 400);
        sim_disk_faults_clear(d);
        if (err != 0) {
            assert_int_equal(err, ERR_IO);
            assert_int_equal(fill(db, 0, 10), ERR_IO);
            assert_int_equal(bolt_db_failed(db), ERR_IO);
            walk_all(db);
        }
        bolt_db_close(db);
        /* What is on the disk is the old or the new state, whole. */
        unsigned refused = 0;
        look(d, &refused);
        assert_int_equal(refused, 0);
        sim_disk_destroy(d);
    }
}

static void failing_reads(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 60; nth++) {
        struct sim_disk *d = make_file();
        struct bolt_db *db;
        char text[BOLT_ERROR_TEXT_BYTES];
        sim_disk_fail_match(d, SIM_OP_BIT(SIM_OP_READ), "db", nth, false, ERR_IO);
        if (open_at(d, false, &db, text) == 0) {
            walk_all(db);
            (void)!fill(db, 0, 50);
            sim_disk_faults_clear(d);
            assert_int_equal(bolt_db_failed(db), 0);
            assert_int_equal(fill(db, 0, 50), 0);
            bolt_db_close(db);
        }
        sim_disk_destroy(d);
    }
}

static void cold_reads(void **state)
{
    (void)state;
    struct sim_disk *d = make_file();
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct bolt_bucket *b;
    struct bolt_value v;
    char text[BOLT_ERROR_TEXT_BYTES];
    assert_int_equal(open_at(d, true, &db, text), 0);
    assert_int_equal(bolt_tx_begin(db, false, &tx), 0);
    assert_int_equal(bolt_bucket_open(tx, NULL, BOLT_READ_CACHED, SLICE_LIT("key"), &b), ERR_COLD);
    assert_int_equal(bolt_bucket_open(tx, NULL, 0, SLICE_LIT("key"), &b), 0);
    assert_int_equal(bolt_bucket_get(b, BOLT_READ_CACHED, SLICE_LIT("key-00100"), &v), ERR_COLD);
    assert_int_equal(bolt_bucket_get(b, 0, SLICE_LIT("key-00100"), &v), 0);
    bolt_value_release(&v);
    assert_int_equal(bolt_bucket_get(b, BOLT_READ_CACHED, SLICE_LIT("key-00100"), &v), 0);
    bolt_value_release(&v);
    bolt_tx_rollback(tx);
    bolt_db_close(db);
    sim_disk_destroy(d);
}

static void copy_has_two_metas(void **state)
{
    (void)state;
    struct sim_disk *d = make_file();
    struct bolt_db *db;
    struct bolt_tx *tx;
    char text[BOLT_ERROR_TEXT_BYTES];
    assert_int_equal(open_at(d, false, &db, text), 0);
    assert_int_equal(bolt_tx_begin(db, false, &tx), 0);
    size_t size = (size_t)bolt_tx_size_bytes(tx);
    uint8_t *copy = mem_alloc(size);
    assert_int_equal(bolt_copy_read(tx, 0, copy, size), 0);
    assert_int_equal(copy[64], bolt_tx_id(tx));            /* meta 0: T */
    assert_int_equal(copy[4096 + 64], bolt_tx_id(tx) - 1); /* meta 1: T - 1 */
    struct env_disk *e = sim_disk_env(d);
    assert_int_equal(env_write_file(e, "copy", slice_make(copy, size), 0600), 0);
    bolt_tx_rollback(tx);
    bolt_db_close(db);
    assert_int_equal(e->ops->rename(e, "copy", "db"), 0);
    unsigned refused = 0;
    look(d, &refused);
    assert_int_equal(refused, 0);
    mem_free(copy);
    sim_disk_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bit_flips),     cmocka_unit_test(truncated),
        cmocka_unit_test(failing_reads), cmocka_unit_test(failing_write_is_final),
        cmocka_unit_test(cold_reads),    cmocka_unit_test(copy_has_two_metas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
