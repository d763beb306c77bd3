/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole files: those of real etcds, hand-made odd ones, stored freelists, copies, compaction, the
 * checker's words, read-only opening.
 */
#include "fixture.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "bolt/meta.h"
#include "bolt/page.h"

enum { PAGE = 4096 };

/* ---- a file made by hand ---- */

struct image {
    uint8_t *bytes;
    size_t pages;
};

static struct image image_create(size_t pages)
{
    return (struct image){calloc(pages, PAGE), pages};
}

static uint8_t *image_page(struct image *m, uint64_t id)
{
    return m->bytes + id * PAGE;
}

static void image_meta(struct image *m, uint64_t txid, uint64_t root, uint64_t freelist)
{
    struct meta meta = {
        .page_size = PAGE, .root = root, .freelist = freelist, .hwm = m->pages, .txid = txid};
    meta_encode(&meta, txid % 2, image_page(m, txid % 2));
}

/* keys: one letter each. */
static void image_leaf(struct image *m, uint64_t id, const char *keys)
{
    struct page_builder b;
    page_build_start(&b, image_page(m, id), PAGE, id, true, (uint32_t)strlen(keys), 0);
    for (; *keys != 0; keys++) {
        page_build_leaf(&b, 0, slice_make(keys, 1), SLICE_LIT("value"));
    }
}

static void image_branch(struct image *m, uint64_t id, const char *keys, const uint64_t *children)
{
    struct page_builder b;
    page_build_start(&b, image_page(m, id), PAGE, id, false, (uint32_t)strlen(keys), 0);
    for (; *keys != 0; keys++) {
        page_build_branch(&b, slice_make(keys, 1), *children++);
    }
}

/* The root leaf with one bucket "b" whose tree begins at `tree`. */
static void image_root(struct image *m, uint64_t id, uint64_t tree)
{
    uint8_t header[16] = {0};
    struct page_builder b;
    store_le64(header, tree);
    memset(image_page(m, id), 0, PAGE);
    page_build_start(&b, image_page(m, id), PAGE, id, true, 1, 0);
    page_build_leaf(&b, PAGE_ELEMENT_BUCKET, SLICE_LIT("b"), slice_make(header, sizeof(header)));
}

static void image_freelist(struct image *m, uint64_t id, const uint64_t *ids, size_t count)
{
    uint8_t *p = image_page(m, id);
    bool is_long = count >= 0xffff;
    size_t bytes = 16 + 8 * (count + is_long);
    page_header_put(p, id, PAGE_FREELIST, is_long ? 0xffff : (uint32_t)count,
                    (uint32_t)((bytes + PAGE - 1) / PAGE - 1));
    p += 16;
    if (is_long) {
        store_le64(p, count);
        p += 8;
    }
    for (size_t i = 0; i < count; i++) {
        store_le64(p + 8 * i, ids[i]);
    }
}

static struct sim_disk *image_disk(struct image *m)
{
    struct sim_disk *d = sim_disk_create();
    assert_int_equal(
        env_write_file(sim_disk_env(d), "db", slice_make(m->bytes, m->pages * PAGE), 0600), 0);
    free(m->bytes);
    return d;
}

static void put_one(struct bolt_db *db, const char *key)
{
    struct bolt_tx *tx = fixture_begin(db, true);
    struct bolt_bucket *b = fixture_bucket(tx, "b", true);
    assert_int_equal(bolt_bucket_put(b, slice_cstr(key), SLICE_LIT("x")), 0);
    assert_int_equal(bolt_tx_commit(tx), 0);
}

static char *keys_of(struct bolt_db *db)
{
    struct bolt_tx *tx = fixture_begin(db, false);
    struct buf out = BUF_INIT;
    struct bolt_cursor c;
    struct bolt_item item;
    bolt_cursor_init(&c, tx, fixture_bucket(tx, "b", false), 0);
    int err = bolt_cursor_first(&c, &item);
    for (; err == 0; err = bolt_cursor_next(&c, &item)) {
        buf_append_slice(&out, item.key);
    }
    assert_int_equal(err, ERR_END);
    size_t back = 0;
    for (err = bolt_cursor_last(&c, &item); err == 0; err = bolt_cursor_prev(&c, &item)) {
        back++;
    }
    assert_int_equal(back, out.len);
    bolt_cursor_release(&c);
    bolt_tx_rollback(tx);
    char *text = strdup(buf_cstr(&out));
    buf_deinit(&out);
    return text;
}

static void expect_keys(struct bolt_db *db, const char *want)
{
    char *got = keys_of(db);
    assert_string_equal(got, want);
    free(got);
}

/* Empty leaves under a branch, leaves at different depths, a branch with one child. */
static void odd_shapes(void **state)
{
    (void)state;
    struct image m = image_create(9);
    image_meta(&m, 6, 2, META_NO_FREELIST);
    image_meta(&m, 7, 2, META_NO_FREELIST);
    image_root(&m, 2, 3);
    image_branch(&m, 3, "adgk", (const uint64_t[]){4, 5, 6, 7});
    image_leaf(&m, 4, "");
    image_leaf(&m, 5, "def");
    image_branch(&m, 6, "g", (const uint64_t[]){8});
    image_leaf(&m, 8, "gh");
    image_leaf(&m, 7, "");
    struct sim_disk *d = image_disk(&m);
    struct bolt_db *db = fixture_db(d, 0);
    expect_keys(db, "defgh");
    /* The leftmost leaf becomes a node without getting an element. */
    struct bolt_tx *tx = fixture_begin(db, true);
    assert_int_equal(bolt_bucket_sequence_set(fixture_bucket(tx, "b", false), 7), 0);
    assert_int_equal(bolt_tx_commit(tx), 0);
    expect_keys(db, "defgh");
    fixture_check_clean(db);
    put_one(db, "z");
    tx = fixture_begin(db, true);
    struct bolt_bucket *b = fixture_bucket(tx, "b", false);
    for (const char *k = "dfg"; *k != 0; k++) {
        assert_int_equal(bolt_bucket_delete_key(b, slice_make(k, 1)), 0);
    }
    assert_int_equal(bolt_tx_commit(tx), 0);
    expect_keys(db, "ehz");
    fixture_check_clean(db);
    bolt_db_close(db);
    sim_disk_destroy(d);
}

/* ---- stored freelists ---- */

static void stored_freelist(size_t extra)
{
    /* 0,1 metas; 2 root; 3 tree; 4.. the list; then `extra` free pages. */
    uint64_t list_pages = (16 + 8 * (extra + (extra >= 0xffff)) + PAGE - 1) / PAGE;
    struct image m = image_create(4 + (size_t)list_pages + extra);
    uint64_t *ids = calloc(extra, sizeof(*ids));
    for (size_t i = 0; i < extra; i++) {
        ids[i] = 4 + list_pages + i;
    }
    image_meta(&m, 6, 2, 4);
    image_meta(&m, 7, 2, 4);
    image_root(&m, 2, 3);
    image_leaf(&m, 3, "ab");
    image_freelist(&m, 4, ids, extra);
    free(ids);
    struct sim_disk *d = image_disk(&m);
    struct bolt_db *db;
    assert_int_equal(fixture_open(d, true, 0, NULL, &db), 0);
    fixture_check_clean(db);
    expect_keys(db, "ab");
    bolt_db_close(db);
    db = fixture_db(d, 0);
    struct bolt_numbers n;
    bolt_db_numbers(db, &n);
    assert_int_equal(n.free_pages, extra);
    fixture_check_clean(db);
    put_one(db, "c");
    fixture_check_clean(db);
    bolt_db_numbers(db, &n);
    /* The list's pages go once, with the commit that drops it; the bucket became inline. */
    assert_int_equal(n.free_pages + n.pending_pages, extra + list_pages + 1);
    assert_int_equal(n.hwm, m.pages);
    put_one(db, "d");
    fixture_check_clean(db);
    bolt_db_close(db);
    db = fixture_db(d, 0);
    expect_keys(db, "abcd");
    bolt_db_close(db);
    sim_disk_destroy(d);
}

static void stored_freelists(void **state)
{
    (void)state;
    stored_freelist(3);
    stored_freelist(600);
    stored_freelist(0xfffe);
    stored_freelist(0xffff); /* the number is in the first element */
}

/* ---- the checker's words ---- */

/* 2 root, 3 branch, 4 and 5 leaves, 6 freelist, 7 and 8 free. */
static struct image sound_image(void)
{
    struct image m = image_create(9);
    image_meta(&m, 6, 2, 6);
    image_meta(&m, 7, 2, 6);
    image_root(&m, 2, 3);
    image_branch(&m, 3, "ad", (const uint64_t[]){4, 5});
    image_leaf(&m, 4, "abc");
    image_leaf(&m, 5, "def");
    image_freelist(&m, 6, (const uint64_t[]){7, 8}, 2);
    return m;
}

static void expect_problem(struct image m, const char *want)
{
    struct sim_disk *d = image_disk(&m);
    struct bolt_db *db;
    struct buf text = BUF_INIT;
    assert_int_equal(fixture_open(d, true, 0, NULL, &db), 0);
    int err = fixture_check(db, &text);
    assert_int_equal(err, want[0] == 0 ? 0 : ERR_CORRUPT);
    if (strstr(buf_cstr(&text), want) == NULL) {
        fail_msg("'%s' does not say '%s'", buf_cstr(&text), want);
    }
    buf_deinit(&text);
    bolt_db_close(db);
    sim_disk_destroy(d);
}

static void check_words(void **state)
{
    (void)state;
    struct image m = sound_image();
    expect_problem(m, "");
    m = sound_image();
    image_freelist(&m, 6, (const uint64_t[]){7}, 1);
    expect_problem(m, "page 8: unreachable unfreed\n");
    m = sound_image();
    image_freelist(&m, 6, (const uint64_t[]){7, 7, 8}, 3);
    expect_problem(m, "page 7: already freed\n");
    m = sound_image();
    image_freelist(&m, 6, (const uint64_t[]){5, 7, 8}, 3);
    expect_problem(m, "page 5: reachable freed\n");
    m = sound_image();
    image_branch(&m, 3, "ad", (const uint64_t[]){4, 4});
    expect_problem(m, "page 4: multiple references");
    m = sound_image();
    image_branch(&m, 3, "ad", (const uint64_t[]){4, 6});
    expect_problem(m, "page 6: invalid type: freelist");
    m = sound_image();
    image_branch(&m, 3, "ad", (const uint64_t[]){4, 99});
    expect_problem(m, "page 99: out of bounds: 9");
    m = sound_image();
    image_branch(&m, 3, "bd", (const uint64_t[]){4, 5});
    expect_problem(m, "the first key[0]=(hex)61 on leaf page(4) needs to be >= the key in the "
                      "ancestor (62).");
    m = sound_image();
    memset(image_page(&m, 4), 0, PAGE);
    image_leaf(&m, 4, "acb");
    expect_problem(m,
                   "key[2]=(hex)62 on leaf page(4) needs to be > (found <) than previous element "
                   "(hex)63.");
    m = sound_image();
    image_leaf(&m, 4, "abb");
    expect_problem(m,
                   "key[2]=(hex)62 on leaf page(4) needs to be > (found =) than previous element "
                   "(hex)62.");
    m = sound_image();
    image_leaf(&m, 4, "abd");
    expect_problem(m,
                   "key[2]=(hex)64 on leaf page(4) needs to be < than key of the next element in "
                   "ancestor (hex)62."); /* bbolt names the key before it there */
    m = sound_image();
    image_branch(&m, 3, "ad", (const uint64_t[]){3, 5});
    expect_problem(m, "page 3: multiple references");
    m = sound_image();
    store_le64(image_page(&m, 5), 55);
    expect_problem(m, "page 5: says it is page 55");
}

/* What the checker finds, opening for writing refuses (but for the list, which it does not use). */
static void damaged_trees_are_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct image m = sound_image();
        switch (i) {
        case 0: image_branch(&m, 3, "ad", (const uint64_t[]){4, 4}); break;
        case 1: image_branch(&m, 3, "ad", (const uint64_t[]){4, 6}); break;
        case 2: image_branch(&m, 3, "bd", (const uint64_t[]){4, 5}); break;
        case 3: image_leaf(&m, 4, "abd"); break;
        default: image_root(&m, 2, 2); break;
        }
        struct sim_disk *d = image_disk(&m);
        struct bolt_db *db;
        char text[BOLT_ERROR_TEXT_BYTES] = "";
        assert_int_equal(fixture_open(d, false, 0, text, &db), ERR_CORRUPT);
        assert_non_null(strstr(text, "db: page "));
        sim_disk_destroy(d);
    }
}

/* ---- compaction and copies ---- */

static void compact_keeps_all(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create(), *d2 = sim_disk_create();
    struct bolt_db *db = fixture_db(d, 1024), *to = fixture_db(d2, 4096);
    struct bolt_tx *tx = fixture_begin(db, true);
    struct bolt_bucket *b, *inner;
    for (unsigned i = 0; i < 900; i++) {
        char key[16], name[2] = {(char)('a' + i % 3), 0};
        int n = snprintf(key, sizeof(key), "%u", i);
        b = fixture_bucket(tx, name, true);
        assert_int_equal(bolt_bucket_create_if_missing(tx, b, SLICE_LIT("inner"), &inner), 0);
        assert_int_equal(
            bolt_bucket_put(i % 5 == 0 ? inner : b, slice_make(key, (size_t)n), SLICE_LIT("abc")),
            0);
        assert_int_equal(bolt_bucket_sequence_set(b, 5), 0);
    }
    assert_int_equal(bolt_tx_commit(tx), 0);
    struct buf got = BUF_INIT, want = BUF_INIT;
    tx = fixture_begin(db, false);
    assert_int_equal(bolt_compact_to(tx, to, 7), 0);
    fixture_dump(tx, NULL, &want);
    bolt_tx_rollback(tx);
    fixture_check_clean(to);
    tx = fixture_begin(to, false);
    fixture_dump(tx, NULL, &got);
    bolt_tx_rollback(tx);
    assert_string_equal(buf_cstr(&got), buf_cstr(&want));
    buf_deinit(&got);
    buf_deinit(&want);
    bolt_db_close(db);
    bolt_db_close(to);
    sim_disk_destroy(d);
    sim_disk_destroy(d2);
}

/* The root holds a pair that is no bucket: an error, not a crash. */
static void compact_refuses_plain_root(void **state)
{
    (void)state;
    struct image m = image_create(3);
    image_meta(&m, 6, 2, META_NO_FREELIST);
    image_meta(&m, 7, 2, META_NO_FREELIST);
    image_leaf(&m, 2, "a");
    struct sim_disk *d = image_disk(&m), *d2 = sim_disk_create();
    struct bolt_db *db = fixture_db(d, 0), *to = fixture_db(d2, 0);
    struct bolt_tx *tx = fixture_begin(db, false);
    assert_int_equal(bolt_compact_to(tx, to, 100), ERR_CORRUPT);
    char text[BOLT_ERROR_TEXT_BYTES];
    bolt_tx_error(tx, text, sizeof(text));
    assert_non_null(strstr(text, "no bucket"));
    bolt_tx_rollback(tx);
    bolt_db_close(db);
    bolt_db_close(to);
    sim_disk_destroy(d);
    sim_disk_destroy(d2);
}

static int append(void *arg, struct slice chunk)
{
    buf_append_slice(arg, chunk);
    return 0;
}

static int refuse(void *arg, struct slice chunk)
{
    (void)arg;
    (void)chunk;
    return ERR_CLOSED;
}

/* Even and odd T, while the original goes on; the copy is a whole db, with one meta too. */
static void copies_open(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct bolt_db *db = fixture_db(d, 0);
    for (unsigned i = 0; i < 6; i++) {
        char key[2] = {(char)('a' + i), 0};
        put_one(db, key);
        struct bolt_tx *tx = fixture_begin(db, false);
        put_one(db, "zz");
        struct buf copy = BUF_INIT;
        assert_int_equal(bolt_tx_write_to(tx, append, &copy), 0);
        assert_int_equal(bolt_tx_write_to(tx, refuse, NULL), ERR_CLOSED);
        assert_int_equal(copy.len, bolt_tx_size_bytes(tx));
        struct meta m0, m1;
        assert_int_equal(meta_decode(copy.data, &m0), 0);
        assert_int_equal(meta_decode(copy.data + PAGE, &m1), 0);
        assert_int_equal(m0.txid, bolt_tx_id(tx));
        assert_int_equal(m1.txid, bolt_tx_id(tx) - 1);
        assert_int_equal(m0.root, m1.root);
        /* In odd pieces it is the same. */
        uint8_t piece[777];
        for (uint64_t off = 0; off < copy.len; off += sizeof(piece)) {
            size_t n = copy.len - off < sizeof(piece) ? copy.len - (size_t)off : sizeof(piece);
            assert_int_equal(bolt_copy_read(tx, off, piece, n), 0);
            assert_memory_equal(piece, copy.data + off, n);
        }
        bolt_tx_rollback(tx);
        for (int bad = -1; bad < 2; bad++) {
            struct sim_disk *d2 = sim_disk_create();
            assert_int_equal(env_write_file(sim_disk_env(d2), "db", buf_slice(&copy), 0600), 0);
            if (bad >= 0) {
                assert_int_equal(sim_disk_flip_bit(d2, "db", ((uint64_t)bad * PAGE + 70) * 8), 0);
            }
            struct bolt_db *db2 = fixture_db(d2, 0);
            put_one(db2, "new");
            put_one(db2, "newer");
            fixture_check_clean(db2);
            bolt_db_close(db2);
            sim_disk_destroy(d2);
        }
        buf_deinit(&copy);
    }
    bolt_db_close(db);
    sim_disk_destroy(d);
}

/* Meta 1 of a new file is damaged: txid 0 rules, and its copy is sound. */
static void copy_of_txid_zero(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    bolt_db_close(fixture_db(d, 0));
    assert_int_equal(sim_disk_flip_bit(d, "db", (PAGE + 40) * 8), 0);
    struct bolt_db *db = fixture_db(d, 0);
    struct bolt_tx *tx = fixture_begin(db, false);
    assert_int_equal(bolt_tx_id(tx), 0);
    struct buf copy = BUF_INIT;
    assert_int_equal(bolt_tx_write_to(tx, append, &copy), 0);
    bolt_tx_rollback(tx);
    bolt_db_close(db);
    assert_int_equal(env_write_file(sim_disk_env(d), "db", buf_slice(&copy), 0600), 0);
    db = fixture_db(d, 0);
    put_one(db, "k");
    expect_keys(db, "k");
    fixture_check_clean(db);
    bolt_db_close(db);
    buf_deinit(&copy);
    sim_disk_destroy(d);
}

/* ---- opening ---- */

static void read_only_writes_nothing(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct bolt_db *db;
    struct bolt_tx *tx;
    char text[BOLT_ERROR_TEXT_BYTES];
    assert_int_equal(fixture_open(d, true, 0, text, &db), ERR_NOT_FOUND);
    db = fixture_db(d, 0);
    put_one(db, "k");
    bolt_db_close(db);
    uint64_t ops = sim_disk_op_count(d);
    struct bolt_db *second;
    assert_int_equal(fixture_open(d, true, 0, NULL, &db), 0);
    assert_int_equal(fixture_open(d, true, 0, NULL, &second), 0); /* shared lock */
    bolt_db_close(second);
    assert_int_equal(fixture_open(d, false, 0, text, &second), ERR_LOCKED);
    assert_int_equal(bolt_tx_begin(db, true, &tx), ERR_ACCESS);
    expect_keys(db, "k");
    fixture_check_clean(db);
    bolt_db_close(db);
    assert_int_equal(sim_disk_op_count(d), ops);
    sim_disk_destroy(d);
}

static int wait_thrice(void *arg, unsigned attempt)
{
    struct bolt_db **held = arg;
    if (attempt == 3) {
        bolt_db_close(*held);
    }
    return attempt > 3 ? ERR_TIMED_OUT : 0;
}

static void waits_for_the_lock(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct bolt_db *held = fixture_db(d, 0), *db;
    struct bolt_options o = {.disk = sim_disk_env(d),
                             .path = "db",
                             .on_lock_wait = wait_thrice,
                             .on_lock_wait_arg = &held};
    assert_int_equal(bolt_db_open(&o, &db), 0);
    bolt_db_close(db);
    sim_disk_destroy(d);
}

/* A new file, byte by byte: storage-formats 1.2. */
static void new_file_bytes(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    bolt_db_close(fixture_db(d, 0));
    struct buf file = BUF_INIT;
    assert_int_equal(env_read_file(sim_disk_env(d), "db", 1 << 20, &file), 0);
    assert_int_equal(file.len, 4 * PAGE);
    for (uint64_t id = 0; id < 2; id++) {
        struct meta m;
        assert_int_equal(meta_decode(file.data + id * PAGE, &m), 0);
        assert_int_equal(m.txid, id);
        assert_int_equal(m.root, 3);
        assert_int_equal(m.freelist, 2);
        assert_int_equal(m.hwm, 4);
    }
    assert_int_equal(page_flags(file.data + 2 * PAGE), PAGE_FREELIST);
    assert_int_equal(page_flags(file.data + 3 * PAGE), PAGE_LEAF);
    assert_false(env_exists(sim_disk_env(d), "db.tmp.new"));
    buf_deinit(&file);
    sim_disk_destroy(d);
}

/* What cannot become a database leaves nothing behind. */
static void new_file_fails(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct bolt_db *db;
    assert_int_equal(fixture_open(d, false, 1000, NULL, &db), ERR_INVALID);
    assert_int_equal(fixture_open(d, false, 512, NULL, &db), ERR_INVALID);
    sim_disk_fail_match(d, SIM_OP_BIT(SIM_OP_WRITE), NULL, 1, false, ERR_NO_SPACE);
    assert_int_equal(fixture_open(d, false, 0, NULL, &db), ERR_NO_SPACE);
    assert_false(env_exists(sim_disk_env(d), "db"));
    assert_false(env_exists(sim_disk_env(d), "db.tmp.new"));
    sim_disk_destroy(d);
}

/* ---- files of real etcds ---- */

static void text_value(struct buf *out, struct slice v)
{
    if (v.len > 64) {
        buf_printf(out, "fnv1a64:%016llx/%zu\n", (unsigned long long)fnv1a64(v.data, v.len), v.len);
        return;
    }
    for (size_t i = 0; i < v.len; i++) {
        buf_printf(out, "%02x", v.data[i]);
    }
    buf_append_cstr(out, "\n");
}

static void dump_like_the_reference(struct bolt_tx *tx, struct buf *out)
{
    struct bolt_cursor roots, c;
    struct bolt_item bucket, item;
    bolt_cursor_init(&roots, tx, NULL, 0);
    for (int e = bolt_cursor_first(&roots, &bucket); e == 0;
         e = bolt_cursor_next(&roots, &bucket)) {
        struct bolt_bucket *b;
        buf_printf(out, "bucket %.*s\n", (int)bucket.key.len, bucket.key.data);
        assert_int_equal(bolt_bucket_open(tx, NULL, 0, bucket.key, &b), 0);
        bolt_cursor_init(&c, tx, b, 0);
        for (int err = bolt_cursor_first(&c, &item); err == 0; err = bolt_cursor_next(&c, &item)) {
            for (size_t i = 0; i < item.key.len; i++) {
                buf_printf(out, "%02x", item.key.data[i]);
            }
            buf_append_cstr(out, " ");
            text_value(out, item.value);
        }
        bolt_cursor_release(&c);
    }
    bolt_cursor_release(&roots);
}

static void read_real(const char *name, struct buf *out)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", getenv("BOLT_TEST_DATA"), name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    for (int c = fgetc(f); c != EOF; c = fgetc(f)) {
        buf_append_byte(out, (uint8_t)c);
    }
    (void)fclose(f);
}

static void real_file(const char *db_name, const char *text_name)
{
    struct buf file = BUF_INIT, want = BUF_INIT, got = BUF_INIT;
    struct sim_disk *d = sim_disk_create();
    struct bolt_db *db;
    read_real(db_name, &file);
    read_real(text_name, &want);
    assert_int_equal(env_write_file(sim_disk_env(d), "db", buf_slice(&file), 0600), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture_open(d, i == 0, 0, NULL, &db), 0);
        struct bolt_tx *tx = fixture_begin(db, false);
        buf_clear(&got);
        dump_like_the_reference(tx, &got);
        bolt_tx_rollback(tx);
        assert_string_equal(buf_cstr(&got), buf_cstr(&want));
        fixture_check_clean(db);
        if (i == 1) { /* changed and changed back */
            tx = fixture_begin(db, true);
            assert_int_equal(
                bolt_bucket_put(fixture_bucket(tx, "key", false), SLICE_LIT("k"), SLICE_LIT("v")),
                0);
            assert_int_equal(bolt_tx_commit(tx), 0);
            tx = fixture_begin(db, true);
            assert_int_equal(
                bolt_bucket_delete_key(fixture_bucket(tx, "key", false), SLICE_LIT("k")), 0);
            assert_int_equal(bolt_tx_commit(tx), 0);
        }
        bolt_db_close(db);
    }
    buf_deinit(&file);
    buf_deinit(&want);
    buf_deinit(&got);
    sim_disk_destroy(d);
}

static void real_files(void **state)
{
    (void)state;
    if (getenv("BOLT_TEST_DATA") == NULL) {
        skip();
    }
    real_file("etcd-3.5.33.db", "etcd-3.5.33.txt");
    real_file("etcd-3.7.1.db", "etcd-3.7.1.txt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_shapes),
        cmocka_unit_test(stored_freelists),
        cmocka_unit_test(check_words),
        cmocka_unit_test(damaged_trees_are_refused),
        cmocka_unit_test(compact_keeps_all),
        cmocka_unit_test(compact_refuses_plain_root),
        cmocka_unit_test(copies_open),
        cmocka_unit_test(copy_of_txid_zero),
        cmocka_unit_test(read_only_writes_nothing),
        cmocka_unit_test(waits_for_the_lock),
        cmocka_unit_test(new_file_bytes),
        cmocka_unit_test(new_file_fails),
        cmocka_unit_test(real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
