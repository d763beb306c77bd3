/* SPDX-License-Identifier: Apache-2.0
 *
 * The checker's report, word for word.
 *
 * The files here were also given to `etcdutl snapshot status` of 3.7.1; what it printed stands as
 * the expected text.  Rows marked OURS are those where bbolt panics, does not end, or sees nothing.
 */
#include "fixture.h"

#include "base/bytes.h"
#include "bolt/meta.h"
#include "bolt/page.h"

enum { PAGE = 4096, PAGES = 9 };
enum { FREELIST = 2, ROOT = 3, BRANCH = 4, LEFT = 5, RIGHT = 6, FREE_1 = 7, FREE_2 = 8 };

struct image {
    uint8_t bytes[PAGES][PAGE];
};

/* ---- building ---- */

/* A revision key, as etcd has it in the bucket `key`. */
static struct slice rev(uint8_t main, uint8_t out[17])
{
    memset(out, 0, 17);
    out[7] = main;
    out[8] = '_';
    return slice_make(out, 17);
}

static void put_leaf(struct image *m, unsigned id, uint8_t first, uint8_t second)
{
    struct page_builder b;
    uint8_t key[17];
    memset(m->bytes[id], 0, PAGE);
    page_build_start(&b, m->bytes[id], PAGE, id, true, 2, 0);
    page_build_leaf(&b, 0, rev(first, key), SLICE_LIT("\n\1a"));
    page_build_leaf(&b, 0, rev(second, key), SLICE_LIT("\n\1b"));
}

static void put_branch(struct image *m, uint8_t first, uint64_t left, uint8_t second,
                       uint64_t right)
{
    struct page_builder b;
    uint8_t key[17];
    memset(m->bytes[BRANCH], 0, PAGE);
    page_build_start(&b, m->bytes[BRANCH], PAGE, BRANCH, false, 2, 0);
    page_build_branch(&b, rev(first, key), left);
    page_build_branch(&b, rev(second, key), right);
}

static void put_freelist(struct image *m, unsigned count, const uint64_t *ids)
{
    memset(m->bytes[FREELIST], 0, PAGE);
    page_header_put(m->bytes[FREELIST], FREELIST, PAGE_FREELIST, count, 0);
    for (unsigned i = 0; i < count; i++) {
        store_le64(m->bytes[FREELIST] + PAGE_HEADER_BYTES + 8 * i, ids[i]);
    }
}

/* Root leaf: key (branch 4 over the leaves 5 and 6), meta (inline, empty). */
static void put_root(struct image *m)
{
    struct page_builder b;
    uint8_t key_bucket[PAGE_BUCKET_HEADER_BYTES] = {BRANCH};
    uint8_t meta_bucket[PAGE_BUCKET_HEADER_BYTES + PAGE_HEADER_BYTES] = {0};
    page_header_put(meta_bucket + PAGE_BUCKET_HEADER_BYTES, 0, PAGE_LEAF, 0, 0);
    page_build_start(&b, m->bytes[ROOT], PAGE, ROOT, true, 2, 0);
    page_build_leaf(&b, PAGE_ELEMENT_BUCKET, SLICE_LIT("key"),
                    slice_make(key_bucket, sizeof(key_bucket)));
    page_build_leaf(&b, PAGE_ELEMENT_BUCKET, SLICE_LIT("meta"),
                    slice_make(meta_bucket, sizeof(meta_bucket)));
}

static void build(struct image *m)
{
    memset(m, 0, sizeof(*m));
    for (uint64_t id = 0; id < 2; id++) {
        struct meta meta = {
            .page_size = PAGE, .root = ROOT, .freelist = FREELIST, .hwm = PAGES, .txid = 10 - id};
        meta_encode(&meta, id, m->bytes[id]);
    }
    put_freelist(m, 2, (const uint64_t[]){FREE_1, FREE_2});
    put_root(m);
    put_branch(m, 2, LEFT, 4, RIGHT);
    put_leaf(m, LEFT, 2, 3);
    put_leaf(m, RIGHT, 4, 5);
}

/* ---- damage ---- */

static void sound(struct image *m)
{
    (void)m;
}

static void leak(struct image *m)
{
    put_freelist(m, 1, (const uint64_t[]){FREE_1});
}

static void freed_twice(struct image *m)
{
    put_freelist(m, 3, (const uint64_t[]){FREE_1, FREE_1, FREE_2});
}

static void reachable_freed(struct image *m)
{
    put_freelist(m, 3, (const uint64_t[]){LEFT, FREE_1, FREE_2});
}

static void leaf_twice(struct image *m)
{
    put_branch(m, 2, LEFT, 4, LEFT);
    put_freelist(m, 3, (const uint64_t[]){RIGHT, FREE_1, FREE_2});
}

static void out_of_order(struct image *m)
{
    put_leaf(m, LEFT, 3, 2);
}

static void equal_keys(struct image *m)
{
    put_leaf(m, LEFT, 2, 2);
}

static void below_parent(struct image *m)
{
    put_leaf(m, RIGHT, 3, 5);
}

static void above_next(struct image *m)
{
    put_leaf(m, LEFT, 2, 7);
}

static void branch_order(struct image *m)
{
    put_branch(m, 4, LEFT, 2, RIGHT);
}

static void wrong_type(struct image *m)
{
    memset(m->bytes[RIGHT], 0, PAGE);
    page_header_put(m->bytes[RIGHT], RIGHT, PAGE_FREELIST, 0, 0);
}

static void branch_loop(struct image *m)
{
    put_branch(m, 2, LEFT, 4, BRANCH);
    put_freelist(m, 3, (const uint64_t[]){RIGHT, FREE_1, FREE_2});
}

static void wrong_id(struct image *m)
{
    m->bytes[RIGHT][0] = 66;
}

static void outside(struct image *m)
{
    put_branch(m, 2, LEFT, 4, 99);
    put_freelist(m, 3, (const uint64_t[]){RIGHT, FREE_1, FREE_2});
}

static void unknown_flags(struct image *m)
{
    m->bytes[RIGHT][8] = 0x22;
}

static void key_of_no_bytes(struct image *m)
{
    store_le32(m->bytes[LEFT] + PAGE_HEADER_BYTES + 8, 0);
}

static void freelist_is_a_leaf(struct image *m)
{
    m->bytes[FREELIST][8] = PAGE_LEAF;
}

static void freelist_too_long(struct image *m)
{
    store_le16(m->bytes[FREELIST] + 10, 600);
}

static void freed_outside(struct image *m)
{
    put_freelist(m, 3, (const uint64_t[]){FREE_1, FREE_2, 77});
}

/* ---- report ---- */

#define K(n) "000000000000000" #n "5f0000000000000000"

static const struct {
    void (*damage)(struct image *m);
    const char *report;
} rows[] = {
    {sound, ""},
    {leak, "page 8: unreachable unfreed\n"},
    {freed_twice, "page 7: already freed\n"},
    {reachable_freed, "page 5: reachable freed\n"},
    {leaf_twice, "page 5: multiple references (stack: [4 5])\n"
                 "the first key[0]=(hex)" K(2) " on leaf page(5) needs to be >= the key in the "
                                               "ancestor (" K(4) "). Stack: [4 5]\n"},
    {out_of_order, "key[1]=(hex)" K(2) " on leaf page(5) needs to be > (found <) than previous "
                                       "element (hex)" K(3) ". Stack: [4 5]\n"},
    {equal_keys, "key[1]=(hex)" K(2) " on leaf page(5) needs to be > (found =) than previous "
                                     "element (hex)" K(2) ". Stack: [4 5]\n"},
    {below_parent, "the first key[0]=(hex)" K(3) " on leaf page(6) needs to be >= the key in the "
                                                 "ancestor (" K(4) "). Stack: [4 6]\n"},
    {above_next,
     "key[1]=(hex)" K(7) " on leaf page(5) needs to be < than key of the next element "
                         "in ancestor (hex)" K(
                             2) ". Pages stack: [4 5]\n"
                                "key[1]=(hex)" K(
                                    4) " on branch page(6) needs to be > (found <) than previous "
                                       "element (hex)" K(7) ". Stack: [4]\n"},
    {branch_order,
     "the first key[0]=(hex)" K(
         2) " on leaf page(5) needs to be >= the key in the "
            "ancestor (" K(4) "). Stack: [4 5]\n"
                              "key[0]=(hex)" K(
                                  2) " on leaf page(5) needs to be < than key of the next element"
                                     " in ancestor (hex)" K(
                                         4) ". Pages stack: [4 5]\n"
                                            "key[1]=(hex)" K(
                                                3) " on leaf page(5) needs to be < than key of the "
                                                   "next element"
                                                   " in ancestor (hex)" K(
                                                       2) ". Pages stack: [4 5]\n"
                                                          "key[1]=(hex)" K(
                                                              2) " on branch page(6) needs to be > "
                                                                 "(found <) than previous "
                                                                 "element (hex)" K(
                                                                     3) ". Stack: [4]\n"},
    /* bbolt goes on into the page and panics. */
    {wrong_type, "page 6: invalid type: freelist (stack: [4 6])\n"
                 "unexpected page type (flags: 10) for pgId:6\n"},
    /* OURS */
    {branch_loop, "page 4: multiple references (stack: [4 4])\n"},
    {wrong_id, "page 6: says it is page 66 (stack: [4 6])\n"},
    {outside, "page 99: out of bounds: 9 (stack: [4 99])\n"},
    {unknown_flags, "page 6: unknown type, flags 0x22 (stack: [4 6])\n"},
    {key_of_no_bytes, "page 5: element 0 has a key of 0 bytes (stack: [4 5])\n"},
    {freelist_is_a_leaf, "page 2: no freelist page, flags 0x2\n"},
    {freelist_too_long, "page 2: 600 free pages do not fit\n"
                        "page 7: unreachable unfreed\n"
                        "page 8: unreachable unfreed\n"},
    {freed_outside, "page 77: out of bounds: 9 (freelist)\n"},
};

static struct sim_disk *disk_of(const struct image *m)
{
    struct sim_disk *d = sim_disk_create();
    struct env_disk *e = sim_disk_env(d);
    assert_int_equal(env_write_file(e, "db", slice_make(m->bytes, sizeof(m->bytes)), 0600), 0);
    return d;
}

static void reports(void **state)
{
    (void)state;
    static struct image m;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        build(&m);
        rows[i].damage(&m);
        struct sim_disk *d = disk_of(&m);
        struct bolt_db *db;
        struct buf text = BUF_INIT;
        assert_int_equal(fixture_open(d, true, 0, NULL, &db), 0);
        assert_int_equal(fixture_check(db, &text), rows[i].report[0] == 0 ? 0 : ERR_CORRUPT);
        assert_string_equal(buf_cstr(&text), rows[i].report);
        buf_deinit(&text);
        bolt_db_close(db);
        sim_disk_destroy(d);
    }
}

/* Nested buckets come after the tree that they are in; every stack begins anew. */
static void inner_buckets_last(void **state)
{
    (void)state;
    static struct image m;
    build(&m);
    uint8_t header[PAGE_BUCKET_HEADER_BYTES] = {RIGHT};
    uint8_t key[17];
    struct page_builder b;
    memset(m.bytes[BRANCH], 0, PAGE);
    page_build_start(&b, m.bytes[BRANCH], PAGE, BRANCH, true, 3, 0);
    page_build_leaf(&b, PAGE_ELEMENT_BUCKET, rev(1, key), slice_make(header, sizeof(header)));
    page_build_leaf(&b, 0, rev(3, key), SLICE_LIT("x"));
    page_build_leaf(&b, 0, rev(2, key), SLICE_LIT("x"));
    put_leaf(&m, RIGHT, 5, 4);
    put_freelist(&m, 3, (const uint64_t[]){LEFT, FREE_1, FREE_2});
    struct sim_disk *d = disk_of(&m);
    struct bolt_db *db;
    struct buf text = BUF_INIT;
    assert_int_equal(fixture_open(d, true, 0, NULL, &db), 0);
    assert_int_equal(fixture_check(db, &text), ERR_CORRUPT);
    assert_string_equal(
        buf_cstr(&text),
        "key[2]=(hex)" K(2) " on leaf page(4) needs to be > (found <) than previous"
                            " element (hex)" K(
                                3) ". Stack: [4]\n"
                                   "key[1]=(hex)" K(
                                       4) " on leaf page(6) needs to be > (found <) than previous"
                                          " element (hex)" K(5) ". Stack: [6]\n");
    buf_deinit(&text);
    bolt_db_close(db);
    sim_disk_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports),
        cmocka_unit_test(inner_buckets_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
