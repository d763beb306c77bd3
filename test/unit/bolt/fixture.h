/* SPDX-License-Identifier: Apache-2.0
 *
 * What the bolt tests share: a db on a disk in memory.
 */
#ifndef TEST_UNIT_BOLT_FIXTURE_H
#define TEST_UNIT_BOLT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/prng.h"
#include "bolt/bolt.h"
#include "bolt/db.h"
#include "sim/disk.h"

static inline int fixture_open(struct sim_disk *d, bool read_only, uint32_t page_size, char *text,
                               struct bolt_db **out)
{
    struct bolt_options o = {.disk = sim_disk_env(d),
                             .path = "db",
                             .create = !read_only,
                             .read_only = read_only,
                             .page_size = page_size,
                             .page_cache_bytes = 64 * 1024,
                             .error_text = text,
                             .error_text_size = text == NULL ? 0 : BOLT_ERROR_TEXT_BYTES};
    return bolt_db_open(&o, out);
}

static inline struct bolt_db *fixture_db(struct sim_disk *d, uint32_t page_size)
{
    struct bolt_db *db = NULL;
    char text[BOLT_ERROR_TEXT_BYTES] = "";
    if (fixture_open(d, false, page_size, text, &db) != 0) {
        fail_msg("open: %s", text);
    }
    return db;
}

static inline struct bolt_tx *fixture_begin(struct bolt_db *db, bool is_writable)
{
    struct bolt_tx *tx = NULL;
    assert_int_equal(bolt_tx_begin(db, is_writable, &tx), 0);
    return tx;
}

static inline struct bolt_bucket *fixture_bucket(struct bolt_tx *tx, const char *name, bool is_new)
{
    struct bolt_bucket *b = NULL;
    assert_int_equal(is_new ? bolt_bucket_create_if_missing(tx, NULL, slice_cstr(name), &b)
                            : bolt_bucket_open(tx, NULL, 0, slice_cstr(name), &b),
                     0);
    return b;
}

/* Problems that bolt_check finds, a line each. */
static inline void fixture_problem(void *arg, const char *text)
{
    struct buf *out = arg;
    buf_printf(out, "%s\n", text);
}

static inline int fixture_check(struct bolt_db *db, struct buf *out)
{
    struct bolt_tx *tx = fixture_begin(db, false);
    int err = bolt_check(tx, fixture_problem, out);
    bolt_tx_rollback(tx);
    return err;
}

static inline void fixture_check_clean(struct bolt_db *db)
{
    struct buf text = BUF_INIT;
    if (fixture_check(db, &text) != 0) {
        fail_msg("check: %s", buf_cstr(&text));
    }
    cache_check(&db->cache);
    buf_deinit(&text);
}

/* Everything below a bucket (NULL: the root), in order, as text: for comparing states. */
static inline void fixture_dump(struct bolt_tx *tx, struct bolt_bucket *b, struct buf *out)
{
    struct bolt_cursor c;
    struct bolt_item item;
    bolt_cursor_init(&c, tx, b, 0);
    int err = bolt_cursor_first(&c, &item);
    for (; err == 0; err = bolt_cursor_next(&c, &item)) {
        buf_append_slice(out, item.key);
        if (item.is_bucket) {
            struct bolt_bucket *child;
            assert_int_equal(bolt_bucket_open(tx, b, 0, item.key, &child), 0);
            buf_printf(out, "#%llu{", (unsigned long long)bolt_bucket_sequence(child));
            fixture_dump(tx, child, out);
            buf_append_cstr(out, "}");
        } else {
            buf_append_cstr(out, "=");
            buf_append_slice(out, item.value);
            buf_append_cstr(out, ";");
        }
    }
    assert_int_equal(err, ERR_END);
    bolt_cursor_release(&c);
}

#endif
