/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets in buckets and cursors against a dumb model: a sorted array of paths.
 */
#include "fixture.h"

enum { ITEMS_MAX = 4000, PATH_BYTES = 40, DEPTH = 3 };

/* path: names with '/' behind each bucket, "a/b/" a bucket, "a/b/key" a pair.  All names have the
 * same length, so that the order of paths is the order of a walk. */
struct item {
    char path[PATH_BYTES];
    uint32_t seed;
    uint32_t len;
    uint64_t sequence;
};

struct model {
    size_t count;
    struct item items[ITEMS_MAX];
};

static void path_copy(char *dst, const char *src)
{
    size_t len = strlen(src);
    assert_true(len < PATH_BYTES);
    memcpy(dst, src, len + 1);
}

static size_t model_find(const struct model *m, const char *path)
{
    size_t i = 0;
    while (i < m->count && strcmp(m->items[i].path, path) < 0) {
        i++;
    }
    return i;
}

static bool model_has(const struct model *m, const char *path)
{
    size_t i = model_find(m, path);
    return i < m->count && strcmp(m->items[i].path, path) == 0;
}

static struct item *model_put(struct model *m, const char *path)
{
    size_t i = model_find(m, path);
    if (i == m->count || strcmp(m->items[i].path, path) != 0) {
        assert_true(m->count < ITEMS_MAX);
        memmove(m->items + i + 1, m->items + i, (m->count - i) * sizeof(m->items[0]));
        m->count++;
        m->items[i] = (struct item){.seed = 0};
        path_copy(m->items[i].path, path);
    }
    return &m->items[i];
}

/* A pair, or a bucket and all below it. */
static void model_delete(struct model *m, const char *path)
{
    size_t i = model_find(m, path), n = i, len = strlen(path);
    bool is_bucket = path[len - 1] == '/';
    while (n < m->count && (is_bucket ? strncmp(m->items[n].path, path, len) == 0
                                      : strcmp(m->items[n].path, path) == 0)) {
        n++;
    }
    memmove(m->items + i, m->items + n, (m->count - n) * sizeof(m->items[0]));
    m->count -= n - i;
}

static void model_dump(const struct model *m, struct buf *out)
{
    char open[PATH_BYTES] = "";
    for (size_t i = 0; i <= m->count; i++) {
        const char *path = i < m->count ? m->items[i].path : "";
        while (open[0] != 0 && (i == m->count || strncmp(path, open, strlen(open)) != 0)) {
            buf_append_cstr(out, "}");
            open[strlen(open) - 1] = 0;
            char *slash = strrchr(open, '/');
            *(slash == NULL ? open : slash + 1) = 0;
        }
        if (i == m->count) {
            break;
        }
        const struct item *it = &m->items[i];
        const char *name = path + strlen(open);
        size_t len = strlen(name);
        if (name[len - 1] == '/') {
            buf_append(out, name, len - 1);
            buf_printf(out, "#%llu{", (unsigned long long)it->sequence);
            path_copy(open, path);
        } else {
            buf_printf(out, "%s=%0*u;", name, (int)it->len, it->seed);
        }
    }
}

struct world {
    struct sim_disk *disk;
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct model *now;
    struct model *committed;
    struct prng rng;
};

static void name_random(struct world *w, char *out, bool is_bucket)
{
    (void)snprintf(out, 8, "%c%03u", is_bucket ? 'b' : 'k',
                   (unsigned)prng_below(&w->rng, is_bucket ? 4 : 120));
}

/* Goes down some existing buckets; the path of the last in `path`. */
static struct bolt_bucket *bucket_random(struct world *w, char *path)
{
    struct bolt_bucket *b = NULL;
    path[0] = 0;
    for (int depth = 0; depth < DEPTH; depth++) {
        char name[8], next[PATH_BYTES + 8];
        name_random(w, name, true);
        (void)snprintf(next, sizeof(next), "%s%s/", path, name);
        if (!model_has(w->now, next) || (depth > 0 && prng_chance(&w->rng, 1, 3))) {
            break;
        }
        assert_int_equal(bolt_bucket_open(w->tx, b, 0, slice_cstr(name), &b), 0);
        path_copy(path, next);
    }
    return b;
}

static void put(struct world *w, struct bolt_bucket *b, const char *path, const char *name)
{
    char full[PATH_BYTES + 8];
    (void)snprintf(full, sizeof(full), "%s%s", path, name);
    struct item *it = model_put(w->now, full);
    it->seed = (uint32_t)prng_below(&w->rng, 1000000);
    it->len = (uint32_t)(prng_chance(&w->rng, 1, 30) ? 3000 : 10 + prng_below(&w->rng, 90));
    char value[3200];
    int len = snprintf(value, sizeof(value), "%0*u", (int)it->len, it->seed);
    assert_int_equal(bolt_bucket_put(b, slice_cstr(name), slice_make(value, (size_t)len)), 0);
}

static void create(struct world *w, struct bolt_bucket *b, const char *path)
{
    char name[8], full[PATH_BYTES + 8];
    struct bolt_bucket *child;
    name_random(w, name, true);
    (void)snprintf(full, sizeof(full), "%s%s/", path, name);
    int err = bolt_bucket_create(w->tx, b, slice_cstr(name), &child);
    assert_int_equal(err, model_has(w->now, full) ? ERR_EXISTS : 0);
    if (err == 0) {
        (void)model_put(w->now, full);
    }
}

static void step(struct world *w)
{
    char path[PATH_BYTES], name[8], full[PATH_BYTES + 8];
    struct bolt_bucket *b = bucket_random(w, path);
    uint64_t what = prng_below(&w->rng, 100);
    if (what < 12 || b == NULL) {
        if (strlen(path) < PATH_BYTES / 2) {
            create(w, b, path);
        }
        return;
    }
    if (what < 60) {
        for (uint64_t n = prng_chance(&w->rng, 1, 5) ? 60 : 1; n > 0; n--) {
            name_random(w, name, false);
            put(w, b, path, name);
        }
    } else if (what < 92) {
        for (uint64_t n = prng_chance(&w->rng, 1, 5) ? 100 : 1; n > 0; n--) {
            name_random(w, name, false);
            (void)snprintf(full, sizeof(full), "%s%s", path, name);
            assert_int_equal(bolt_bucket_delete_key(b, slice_cstr(name)), 0);
            model_delete(w->now, full);
        }
    } else if (what < 95) {
        uint64_t sequence = prng_below(&w->rng, 1000);
        assert_int_equal(bolt_bucket_sequence_set(b, sequence), 0);
        model_put(w->now, path)->sequence = sequence;
    } else {
        name_random(w, name, true);
        (void)snprintf(full, sizeof(full), "%s%s/", path, name);
        assert_int_equal(bolt_bucket_delete(w->tx, b, slice_cstr(name)),
                         model_has(w->now, full) ? 0 : ERR_NOT_FOUND);
        if (model_has(w->now, full)) {
            model_delete(w->now, full);
        }
    }
}

static void compare(struct bolt_tx *tx, const struct model *m)
{
    struct buf got = BUF_INIT, want = BUF_INIT;
    fixture_dump(tx, NULL, &got);
    model_dump(m, &want);
    assert_string_equal(buf_cstr(&got), buf_cstr(&want));
    buf_deinit(&got);
    buf_deinit(&want);
}

static void run_tx(struct world *w)
{
    w->tx = fixture_begin(w->db, true);
    for (uint64_t n = prng_below(&w->rng, 60); n > 0; n--) {
        step(w);
    }
    compare(w->tx, w->now);
    if (prng_chance(&w->rng, 1, 6)) {
        bolt_tx_rollback(w->tx);
        *w->now = *w->committed;
    } else {
        assert_int_equal(bolt_tx_commit(w->tx), 0);
        *w->committed = *w->now;
    }
    fixture_check_clean(w->db);
    struct bolt_tx *tx = fixture_begin(w->db, false);
    compare(tx, w->now);
    bolt_tx_rollback(tx);
}

static void run_world(uint64_t seed, uint32_t page_size)
{
    struct world w = {.disk = sim_disk_create(),
                      .now = calloc(1, sizeof(struct model)),
                      .committed = calloc(1, sizeof(struct model))};
    prng_init(&w.rng, seed);
    w.db = fixture_db(w.disk, page_size);
    for (int i = 0; i < 100; i++) {
        run_tx(&w);
        if (prng_chance(&w.rng, 1, 8)) {
            bolt_db_close(w.db);
            w.db = fixture_db(w.disk, page_size);
        }
    }
    bolt_db_close(w.db);
    sim_disk_destroy(w.disk);
    free(w.now);
    free(w.committed);
}

static void nested_buckets(void **state)
{
    (void)state;
    run_world(1, 1024);
    run_world(2, 4096);
    run_world(3, 65536);
}

/* An inner bucket goes first, then the outer one, in one tx. */
static void delete_inner_then_outer(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct bolt_db *db = fixture_db(d, 1024);
    struct bolt_tx *tx = fixture_begin(db, true);
    struct bolt_bucket *outer = fixture_bucket(tx, "outer", true), *inner;
    char value[600];
    memset(value, 'v', sizeof(value));
    assert_int_equal(bolt_bucket_create(tx, outer, SLICE_LIT("inner"), &inner), 0);
    assert_int_equal(bolt_bucket_put(inner, SLICE_LIT("k"), slice_make(value, sizeof(value))), 0);
    assert_int_equal(bolt_bucket_put(outer, SLICE_LIT("k"), slice_make(value, sizeof(value))), 0);
    assert_int_equal(bolt_tx_commit(tx), 0);

    tx = fixture_begin(db, true);
    outer = fixture_bucket(tx, "outer", false);
    assert_int_equal(bolt_bucket_delete(tx, outer, SLICE_LIT("inner")), 0);
    assert_int_equal(bolt_bucket_delete(tx, NULL, SLICE_LIT("outer")), 0);
    assert_int_equal(bolt_bucket_delete(tx, NULL, SLICE_LIT("outer")), ERR_NOT_FOUND);
    assert_int_equal(bolt_tx_commit(tx), 0);
    fixture_check_clean(db);
    bolt_db_close(db);
    sim_disk_destroy(d);
}

/* A read that fails while a bucket is deleted changes nothing, also when the tx is committed. */
static void delete_fails_whole(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct sim_disk *d = sim_disk_create();
        struct bolt_db *db = fixture_db(d, 1024);
        struct bolt_tx *tx = fixture_begin(db, true);
        struct bolt_bucket *b = fixture_bucket(tx, "b", true);
        for (unsigned i = 0; i < 1500; i++) {
            char key[16];
            int n = snprintf(key, sizeof(key), "%06u", i);
            assert_int_equal(
                bolt_bucket_put(b, slice_make(key, (size_t)n), SLICE_LIT("0123456789")), 0);
        }
        assert_int_equal(bolt_tx_commit(tx), 0);
        tx = fixture_begin(db, true);
        sim_disk_fail_match(d, SIM_OP_BIT(SIM_OP_READ), "db", nth, true, ERR_IO);
        int err = bolt_bucket_delete(tx, NULL, SLICE_LIT("b"));
        sim_disk_faults_clear(d);
        assert_int_equal(bolt_tx_commit(tx), 0);
        fixture_check_clean(db);
        tx = fixture_begin(db, false);
        assert_int_equal(bolt_bucket_open(tx, NULL, 0, SLICE_LIT("b"), &b),
                         err == 0 ? ERR_NOT_FOUND : 0);
        bolt_tx_rollback(tx);
        bolt_db_close(db);
        sim_disk_destroy(d);
    }
}

/* ---- cursors in a tx that changes what they walk over ---- */

enum { NUMBERS = 500 };

static struct slice key_of(unsigned i, char out[8])
{
    return slice_make(out, (size_t)snprintf(out, 8, "%05u", i));
}

static void expect_item(int err, const struct bolt_item *item, long want)
{
    char key[8];
    if (want < 0 || want >= NUMBERS) {
        assert_int_equal(err, ERR_END);
        return;
    }
    assert_int_equal(err, 0);
    assert_true(slice_equal(item->key, key_of((unsigned)want, key)));
}

static long next_there(const bool *is_there, long from, int step)
{
    for (from += step; from >= 0 && from < NUMBERS && !is_there[from]; from += step) {
    }
    return from;
}

static void cursor_among_changes(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct bolt_db *db = fixture_db(d, 1024);
    struct prng rng;
    bool is_there[NUMBERS] = {false};
    prng_init(&rng, 11);
    for (int round = 0; round < 30; round++) {
        struct bolt_tx *tx = fixture_begin(db, true);
        struct bolt_bucket *b = fixture_bucket(tx, "b", true);
        struct bolt_cursor c;
        struct bolt_item item;
        char key[8];
        long at = -1;
        bolt_cursor_init(&c, tx, b, 0);
        for (int i = 0; i < 400; i++) {
            long k = (long)prng_below(&rng, NUMBERS), want;
            switch (prng_below(&rng, 8)) {
            case 0:
            case 1:
                is_there[k] = true;
                assert_int_equal(bolt_bucket_put(b, key_of((unsigned)k, key), SLICE_LIT("val")), 0);
                continue;
            case 2:
                is_there[k] = false;
                assert_int_equal(bolt_bucket_delete_key(b, key_of((unsigned)k, key)), 0);
                continue;
            case 3:
                want = is_there[k] ? k : next_there(is_there, k, 1);
                expect_item(bolt_cursor_seek(&c, key_of((unsigned)k, key), &item), &item, want);
                break;
            case 4:
                want = next_there(is_there, -1, 1);
                expect_item(bolt_cursor_first(&c, &item), &item, want);
                break;
            case 5:
                want = next_there(is_there, NUMBERS, -1);
                expect_item(bolt_cursor_last(&c, &item), &item, want);
                break;
            case 6:
                if (at < 0) {
                    continue;
                }
                want = next_there(is_there, at, 1);
                expect_item(bolt_cursor_next(&c, &item), &item, want);
                break;
            default:
                if (at < 0) {
                    continue;
                }
                want = next_there(is_there, at, -1);
                expect_item(bolt_cursor_prev(&c, &item), &item, want);
                break;
            }
            at = want >= 0 && want < NUMBERS ? want : at; /* at the end it stays where it stood */
        }
        bolt_cursor_release(&c);
        assert_int_equal(bolt_tx_commit(tx), 0);
    }
    fixture_check_clean(db);
    bolt_db_close(db);
    sim_disk_destroy(d);
}

/* ---- shapes and errors ---- */

static uint64_t pages_of(struct bolt_db *db)
{
    struct bolt_numbers n;
    bolt_db_numbers(db, &n);
    return n.hwm - n.free_pages - n.pending_pages;
}

/* 16 + 16 + 1 + vsize: 1024 is inline on 4 KiB pages, 1025 is not (storage-formats 1.4). */
static void inline_limit(void **state)
{
    (void)state;
    static const size_t sizes[] = {991, 992, 991, 4096 * 3, 10};
    static const uint64_t pages[] = {3, 4, 3, 7, 3}; /* metas, root, the bucket's own */
    struct sim_disk *d = sim_disk_create();
    struct bolt_db *db = fixture_db(d, 4096);
    uint8_t value[4096 * 3] = {0};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct bolt_tx *tx = fixture_begin(db, true);
        struct bolt_bucket *b = fixture_bucket(tx, "b", true);
        assert_int_equal(bolt_bucket_put(b, SLICE_LIT("k"), slice_make(value, sizes[i])), 0);
        assert_int_equal(bolt_tx_commit(tx), 0);
        assert_int_equal(pages_of(db), pages[i]);
        fixture_check_clean(db);
    }
    bolt_db_close(db);
    sim_disk_destroy(d);
}

static void refused_arguments(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct bolt_db *db = fixture_db(d, 4096);
    struct bolt_tx *tx = fixture_begin(db, true), *other;
    struct bolt_bucket *b = fixture_bucket(tx, "b", true), *inner;
    static uint8_t big[BOLT_KEY_BYTES_MAX + 1];
    struct bolt_value v;
    assert_int_equal(bolt_tx_begin(db, true, &other), ERR_BUSY);
    assert_int_equal(bolt_bucket_put(b, SLICE_NULL, SLICE_LIT("v")), ERR_INVALID);
    assert_int_equal(bolt_bucket_put(b, slice_make(big, sizeof(big)), SLICE_LIT("v")),
                     ERR_TOO_LARGE);
    assert_int_equal(bolt_bucket_put(b, slice_make(big, sizeof(big) - 1), SLICE_LIT("v")), 0);
    assert_int_equal(bolt_bucket_create(tx, b, SLICE_LIT("inner"), &inner), 0);
    assert_int_equal(bolt_bucket_put(b, SLICE_LIT("inner"), SLICE_LIT("v")), ERR_INVALID);
    assert_int_equal(bolt_bucket_delete_key(b, SLICE_LIT("inner")), ERR_INVALID);
    assert_int_equal(bolt_bucket_get(b, 0, SLICE_LIT("inner"), &v), ERR_NOT_FOUND);
    assert_int_equal(bolt_bucket_put(b, SLICE_LIT("pair"), SLICE_LIT("v")), 0);
    assert_int_equal(bolt_bucket_open(tx, b, 0, SLICE_LIT("pair"), &inner), ERR_INVALID);
    assert_int_equal(bolt_bucket_create(tx, b, SLICE_LIT("pair"), &inner), ERR_INVALID);
    assert_int_equal(bolt_bucket_create(tx, b, SLICE_NULL, &inner), ERR_INVALID);
    assert_int_equal(bolt_bucket_create(tx, b, SLICE_LIT("inner"), &inner), ERR_EXISTS);
    for (int i = 0; i < BOLT_NEST_MAX; i++) {
        int err = bolt_bucket_create(tx, b, SLICE_LIT("deep"), &inner);
        if (err != 0) {
            assert_int_equal(err, ERR_LIMIT);
            assert_int_equal(i, BOLT_NEST_MAX - 1);
            break;
        }
        b = inner;
    }
    assert_int_equal(bolt_tx_commit(tx), 0);
    fixture_check_clean(db);
    bolt_db_close(db);
    sim_disk_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nested_buckets),     cmocka_unit_test(delete_inner_then_outer),
        cmocka_unit_test(delete_fails_whole), cmocka_unit_test(cursor_among_changes),
        cmocka_unit_test(inline_limit),       cmocka_unit_test(refused_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
