/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole bolt file: opened both ways, walked, checked, copied, written to, compacted.  If the last
 * byte is odd, the checksums of the metas are set right first, so that their fields are tried too.
 * deps: bolt_dep, sim_dep
 */
#include "base/bytes.h"
#include "base/hash.h"
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

/* One element of every kind goes from each bucket that the root has, or the bucket itself. */
static int shrink(struct bolt_tx *tx)
{
    struct bolt_cursor roots, c;
    struct bolt_item bucket, item;
    unsigned count = 0;
    bolt_cursor_init(&roots, tx, NULL, 0);
    int err = bolt_cursor_first(&roots, &bucket);
    for (; err == 0; err = bolt_cursor_next(&roots, &bucket)) {
        struct bolt_bucket *b;
        if (!bucket.is_bucket) {
            continue;
        }
        if (++count % 3 == 0) {
            err = bolt_bucket_delete(tx, NULL, bucket.key);
        } else if ((err = bolt_bucket_open(tx, NULL, 0, bucket.key, &b)) == 0) {
            bolt_cursor_init(&c, tx, b, 0);
            for (err = bolt_cursor_first(&c, &item); err == 0; err = bolt_cursor_next(&c, &item)) {
                err = item.is_bucket ? bolt_bucket_delete(tx, b, item.key)
                                     : bolt_bucket_delete_key(b, item.key);
                if (err != 0) {
                    break;
                }
            }
            bolt_cursor_release(&c);
        }
        if (err != 0 && err != ERR_END) {
            break;
        }
    }
    bolt_cursor_release(&roots);
    return err == ERR_END ? 0 : err;
}

static int grow(struct bolt_tx *tx)
{
    struct bolt_bucket *b;
    int err = bolt_bucket_create_if_missing(tx, NULL, SLICE_LIT("key"), &b);
    if (err == 0) {
        err = bolt_bucket_put(b, SLICE_LIT("a"), SLICE_LIT("b"));
    }
    return err == 0 ? bolt_bucket_sequence_set(b, 1) : err;
}

static void change(struct bolt_db *db, int (*fn)(struct bolt_tx *tx))
{
    struct bolt_tx *tx;
    if (bolt_tx_begin(db, true, &tx) != 0) {
        return;
    }
    if (fn(tx) == 0) {
        (void)!bolt_tx_commit(tx);
    } else {
        bolt_tx_rollback(tx);
    }
}

static void compact(struct bolt_db *db, struct env_disk *e)
{
    struct bolt_options o = {.disk = e, .path = "to", .create = true, .page_size = 1024};
    struct bolt_db *to;
    struct bolt_tx *tx;
    if (bolt_db_open(&o, &to) != 0) {
        return;
    }
    if (bolt_tx_begin(db, false, &tx) == 0) {
        (void)!bolt_compact_to(tx, to, 16);
        bolt_tx_rollback(tx);
    }
    bolt_db_close(to);
}

static void write_file(struct env_disk *e, const uint8_t *data, size_t size)
{
    struct buf file = BUF_INIT;
    buf_append(&file, data, size);
    if (size >= 4096 && data[size - 1] % 2 == 1) {
        uint32_t page_size = load_le32(file.data + 24);
        for (uint64_t at = 0; at + 80 <= size && at <= page_size; at += page_size) {
            store_le64(file.data + at + 72, fnv1a64(file.data + at + 16, 56));
            if (page_size == 0) {
                break;
            }
        }
    }
    (void)!env_write_file(e, "db", buf_slice(&file), 0600);
    buf_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sim_disk *d = sim_disk_create();
    struct env_disk *e = sim_disk_env(d);
    struct bolt_db *db;
    write_file(e, data, size);
    for (int i = 0; i < 2; i++) {
        struct bolt_options o = {
            .disk = e, .path = "db", .read_only = i == 0, .page_cache_bytes = 32768};
        if (bolt_db_open(&o, &db) == 0) {
            look(db);
            compact(db, e);
            if (i == 1) {
                change(db, grow);
                change(db, shrink);
                look(db);
            }
            bolt_db_close(db);
        }
    }
    sim_disk_destroy(d);
    return 0;
}
