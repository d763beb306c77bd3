/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole bolt file: opened both ways, walked, checked, copied, written to.
 * deps: bolt_dep, sim_dep
 */
#include "bolt/bolt.h"
#include "sim/disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct bolt_tx *tx, struct bolt_bucket *bucket, int depth)
{
    struct bolt_cursor c;
    struct bolt_item item;
    bolt_cursor_init(&c, tx, bucket, 0);
    for (int err = bolt_cursor_first(&c, &item); err == 0; err = bolt_cursor_next(&c, &item)) {
        struct bolt_bucket *child;
        if (item.is_bucket && depth < 4 && bolt_bucket_open(tx, bucket, 0, item.key, &child) == 0) {
            walk(tx, child, depth + 1);
        }
    }
    bolt_cursor_release(&c);
}

static int drop(void *arg, struct slice chunk)
{
    (void)arg;
    (void)chunk;
    return 0;
}

static void look(struct bolt_db *db)
{
    struct bolt_tx *tx;
    if (bolt_tx_begin(db, false, &tx) != 0) {
        return;
    }
    (void)!bolt_check(tx, NULL, NULL);
    walk(tx, NULL, 0);
    (void)!bolt_tx_write_to(tx, drop, NULL);
    bolt_tx_rollback(tx);
}

static void change(struct bolt_db *db)
{
    struct bolt_tx *tx;
    struct bolt_bucket *b;
    if (bolt_tx_begin(db, true, &tx) != 0) {
        return;
    }
    int err = bolt_bucket_create_if_missing(tx, NULL, SLICE_LIT("key"), &b);
    if (err == 0) {
        err = bolt_bucket_put(b, SLICE_LIT("a"), SLICE_LIT("b"));
    }
    if (err == 0) {
        (void)!bolt_tx_commit(tx);
    } else {
        bolt_tx_rollback(tx);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sim_disk *d = sim_disk_create();
    struct env_disk *e = sim_disk_env(d);
    struct bolt_db *db;
    (void)!env_write_file(e, "db", slice_make(data, size), 0600);
    for (int i = 0; i < 2; i++) {
        struct bolt_options o = {
            .disk = e, .path = "db", .read_only = i == 0, .page_cache_bytes = 32768};
        if (bolt_db_open(&o, &db) == 0) {
            look(db);
            if (i == 1) {
                change(db);
                look(db);
            }
            bolt_db_close(db);
        }
    }
    sim_disk_destroy(d);
    return 0;
}
