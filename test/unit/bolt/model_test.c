/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt against a dumb model: random changes in buckets, commits, rollbacks, reopenings and pinned
 * readers, on a disk in memory, with tiny caches and several page sizes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/prng.h"
#include "bolt/bolt.h"
#include "sim/disk.h"

enum { KEYS = 400, BUCKETS = 3, STEPS = 6000, READERS_MAX = 4 };

/* value_len -1: not there. */
struct model {
    int32_t value_len[BUCKETS][KEYS];
    uint32_t value_seed[BUCKETS][KEYS];
};

struct reader {
    struct bolt_tx *tx;
    struct model *state;
};

struct world {
    struct sim_disk *disk;
    struct bolt_db *db;
    struct model committed;
    struct model now;
    struct bolt_tx *tx;
    struct reader readers[READERS_MAX];
    struct prng rng;
    uint32_t page_size;
};

static const char *const names[BUCKETS] = {"alpha", "key", "tiny"};

static void open_db(struct world *w)
{
    char text[BOLT_ERROR_TEXT_BYTES] = "";
    struct bolt_options o = {
        .disk = sim_disk_env(w->disk),
        .path = "db",
        .create = true,
        .page_cache_bytes = 64 * 1024,
        .page_size = w->page_size,
        .error_text = text,
        .error_text_size = sizeof(text),
    };
    int err = bolt_db_open(&o, &w->db);
    if (err != 0) {
        fail_msg("open: %s", text);
    }
}

static size_t key_of(unsigned bucket, unsigned i, char out[64])
{
    /* Numbers in order in one bucket, scattered lengths in the others. */
    return (size_t)snprintf(out, 64, bucket == 1 ? "%08u" : "%u/some-key-%.*s", i, (int)(i % 17),
                            "abcdefghijklmnopq");
}

static void value_of(uint32_t seed, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(seed + i * 31);
    }
}

static uint32_t random_len(struct world *w, unsigned bucket)
{
    if (bucket == 2) {
        return (uint32_t)prng_below(&w->rng, 12);
    }
    if (prng_chance(&w->rng, 1, 40)) {
        return (uint32_t)prng_below(&w->rng, 30000);
    }
    return (uint32_t)prng_below(&w->rng, 300);
}

static struct bolt_bucket *bucket_of(struct bolt_tx *tx, unsigned b)
{
    struct bolt_bucket *out;
    assert_int_equal(bolt_bucket_open(tx, NULL, 0, slice_cstr(names[b]), &out), 0);
    return out;
}

static void begin(struct world *w)
{
    if (w->tx != NULL) {
        return;
    }
    assert_int_equal(bolt_tx_begin(w->db, true, &w->tx), 0);
    for (unsigned b = 0; b < BUCKETS; b++) {
        struct bolt_bucket *bucket;
        assert_int_equal(bolt_bucket_create_if_missing(w->tx, NULL, slice_cstr(names[b]), &bucket),
                         0);
        if (b == 1) {
            bolt_bucket_fill_set(bucket, BOLT_FILL_APPEND);
        }
    }
}

static void put(struct world *w, unsigned b, unsigned i)
{
    char key[64];
    size_t key_len = key_of(b, i, key);
    uint32_t len = random_len(w, b), seed = (uint32_t)prng_next(&w->rng);
    uint8_t *value = malloc(len + 1);
    value_of(seed, value, len);
    assert_int_equal(
        bolt_bucket_put(bucket_of(w->tx, b), slice_make(key, key_len), slice_make(value, len)), 0);
    free(value);
    w->now.value_len[b][i] = (int32_t)len;
    w->now.value_seed[b][i] = seed;
}

static void del(struct world *w, unsigned b, unsigned i)
{
    char key[64];
    size_t key_len = key_of(b, i, key);
    assert_int_equal(bolt_bucket_delete_key(bucket_of(w->tx, b), slice_make(key, key_len)), 0);
    w->now.value_len[b][i] = -1;
}

/* Everything that a tx shows equals the state, by gets and by a cursor both ways. */
static void compare(struct bolt_tx *tx, const struct model *state)
{
    for (unsigned b = 0; b < BUCKETS; b++) {
        struct bolt_bucket *bucket;
        int err = bolt_bucket_open(tx, NULL, 0, slice_cstr(names[b]), &bucket);
        if (err == ERR_NOT_FOUND) {
            continue;
        }
        assert_int_equal(err, 0);
        size_t live = 0;
        struct bolt_value near = {.frame = NULL};
        for (unsigned i = 0; i < KEYS; i++) {
            char key[64];
            size_t key_len = key_of(b, i, key);
            struct bolt_value v;
            err = bolt_bucket_get(bucket, 0, slice_make(key, key_len), &v);
            struct bolt_value again;
            assert_int_equal(
                bolt_bucket_get_near(bucket, 0, slice_make(key, key_len), &near, &again), err);
            if (state->value_len[b][i] < 0) {
                assert_int_equal(err, ERR_NOT_FOUND);
                continue;
            }
            assert_true(slice_equal(v.value, again.value));
            bolt_value_release(&again);
            assert_int_equal(err, 0);
            assert_int_equal(v.value.len, state->value_len[b][i]);
            uint8_t *want = malloc(v.value.len + 1);
            value_of(state->value_seed[b][i], want, v.value.len);
            assert_int_equal(v.value.len == 0 ? 0 : memcmp(want, v.value.data, v.value.len), 0);
            free(want);
            bolt_value_release(&v);
            live++;
        }
        bolt_value_release(&near);
        struct bolt_cursor c;
        struct bolt_item item;
        size_t count = 0;
        struct buf last = BUF_INIT;
        bolt_cursor_init(&c, tx, bucket, 0);
        for (err = bolt_cursor_first(&c, &item); err == 0; err = bolt_cursor_next(&c, &item)) {
            assert_true(count == 0 || slice_compare(buf_slice(&last), item.key) < 0);
            buf_clear(&last);
            buf_append_slice(&last, item.key);
            count++;
        }
        assert_int_equal(err, ERR_END);
        assert_int_equal(count, live);
        for (err = bolt_cursor_last(&c, &item); err == 0; err = bolt_cursor_prev(&c, &item)) {
            count--;
        }
        assert_int_equal(err, ERR_END);
        assert_int_equal(count, 0);
        bolt_cursor_release(&c);
        buf_deinit(&last);
    }
}

static void on_problem(void *arg, const char *text)
{
    (void)arg;
    print_error("%s\n", text);
}

static void check_db(struct world *w)
{
    struct bolt_tx *tx;
    assert_int_equal(bolt_tx_begin(w->db, false, &tx), 0);
    assert_int_equal(bolt_check(tx, on_problem, NULL), 0);
    compare(tx, &w->committed);
    bolt_tx_rollback(tx);
}

static void end_tx(struct world *w, bool is_commit)
{
    if (w->tx == NULL) {
        return;
    }
    if (is_commit) {
        assert_int_equal(bolt_tx_commit(w->tx), 0);
        w->committed = w->now;
    } else {
        bolt_tx_rollback(w->tx);
        w->now = w->committed;
    }
    w->tx = NULL;
}

static void reader_step(struct world *w)
{
    struct reader *r = &w->readers[prng_below(&w->rng, READERS_MAX)];
    if (r->tx == NULL) {
        assert_int_equal(bolt_tx_begin(w->db, false, &r->tx), 0);
        r->state = malloc(sizeof(*r->state));
        *r->state = w->committed;
        return;
    }
    compare(r->tx, r->state);
    bolt_tx_rollback(r->tx);
    free(r->state);
    *r = (struct reader){0};
}

static void readers_end(struct world *w)
{
    for (int i = 0; i < READERS_MAX; i++) {
        if (w->readers[i].tx != NULL) {
            compare(w->readers[i].tx, w->readers[i].state);
            bolt_tx_rollback(w->readers[i].tx);
            free(w->readers[i].state);
            w->readers[i] = (struct reader){0};
        }
    }
}

static void step(struct world *w)
{
    unsigned b = (unsigned)prng_below(&w->rng, BUCKETS);
    unsigned i = (unsigned)prng_below(&w->rng, b == 2 ? 12 : KEYS);
    uint64_t what = prng_below(&w->rng, 100);
    if (what < 55) {
        begin(w);
        put(w, b, i);
    } else if (what < 88) {
        begin(w);
        del(w, b, i);
    } else if (what < 94) {
        end_tx(w, true);
    } else if (what < 95) {
        end_tx(w, false);
    } else if (what < 99) {
        reader_step(w);
    } else if (prng_chance(&w->rng, 1, 4)) {
        end_tx(w, true);
        readers_end(w);
        check_db(w);
        bolt_db_close(w->db);
        open_db(w);
        check_db(w);
    }
}

/* BOLT_SAVE_DIR=dir keeps the files, to be looked at with bbolt's tools. */
static void save_maybe(struct world *w, uint64_t seed)
{
    const char *dir = getenv("BOLT_SAVE_DIR");
    if (dir == NULL) {
        return;
    }
    char path[512];
    struct buf bytes = BUF_INIT;
    assert_int_equal(env_read_file(sim_disk_env(w->disk), "db", 1 << 30, &bytes), 0);
    (void)snprintf(path, sizeof(path), "%s/model-%llu.db", dir, (unsigned long long)seed);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, f), bytes.len);
    (void)fclose(f);
    buf_deinit(&bytes);
}

static void run_world(uint64_t seed, uint32_t page_size)
{
    struct world *w = calloc(1, sizeof(*w));
    memset(w->now.value_len, 0xff, sizeof(w->now.value_len));
    w->committed = w->now;
    w->disk = sim_disk_create();
    w->page_size = page_size;
    prng_init(&w->rng, seed);
    open_db(w);
    const char *steps = getenv("BOLT_MODEL_STEPS");
    for (long i = steps == NULL ? STEPS : atol(steps); i > 0; i--) {
        step(w);
    }
    end_tx(w, true);
    readers_end(w);
    check_db(w);
    struct bolt_numbers n;
    bolt_db_numbers(w->db, &n);
    assert_int_equal(n.open_readers, 0);
    bolt_db_close(w->db);
    save_maybe(w, seed);
    sim_disk_destroy(w->disk);
    free(w);
}

static void random_4096(void **state)
{
    (void)state;
    run_world(1, 4096);
    run_world(2, 4096);
}

static void random_1024(void **state)
{
    (void)state;
    run_world(3, 1024);
}

static void random_65536(void **state)
{
    (void)state;
    run_world(4, 65536);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_4096),
        cmocka_unit_test(random_1024),
        cmocka_unit_test(random_65536),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
