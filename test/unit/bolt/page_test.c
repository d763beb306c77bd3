/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of pages and metas: what etcd wrote, read and written again; what the gate refuses.
 */
#include "fixture.h"

#include "bolt/meta.h"
#include "bolt/page.h"

/* storage-formats 1.2: a fresh server after 9 transactions. */
static const uint8_t golden_meta[META_PAGE_BYTES] = {
    0x01, 0,    0,    0,    0,    0,    0,    0,    0x04, 0,    0,    0,    0,    0,    0,    0,
    0xed, 0xda, 0x0c, 0xed, 0x02, 0,    0,    0,    0,    0x10, 0,    0,    0,    0,    0,    0,
    0x02, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x05, 0,    0,    0,    0,    0,    0,    0,
    0x09, 0,    0,    0,    0,    0,    0,    0,    0x2d, 0xc7, 0x21, 0xa3, 0x93, 0x6a, 0x2b, 0xd6,
};

/* storage-formats 1.3, cut to its first two elements: inline buckets alarm (empty) and auth. */
static const uint8_t golden_leaf[] = {
    0x02, 0,    0,   0,    0,    0,    0,   0,   0x02, 0,   0x02, 0,   0,    0,    0,   0,
    0x01, 0,    0,   0,    0x20, 0,    0,   0,   0x05, 0,   0,    0,   0x20, 0,    0,   0,
    0x01, 0,    0,   0,    0x35, 0,    0,   0,   0x04, 0,   0,    0,   0x44, 0,    0,   0,
    'a',  'l',  'a', 'r',  'm',  0,    0,   0,   0,    0,   0,    0,   0,    0,    0,   0,
    0,    0,    0,   0,    0,    0,    0,   0,   0,    0,   0,    0,   0,    0x02, 0,   0,
    0,    0,    0,   0,    0,    'a',  'u', 't', 'h',  0,   0,    0,   0,    0,    0,   0,
    0,    0,    0,   0,    0,    0,    0,   0,   0,    0,   0,    0,   0,    0,    0,   0,
    0,    0x02, 0,   0x01, 0,    0,    0,   0,   0,    0,   0,    0,   0,    0x10, 0,   0,
    0,    0x0c, 0,   0,    0,    0x08, 0,   0,   0,    'a', 'u',  't', 'h',  'R',  'e', 'v',
    'i',  's',  'i', 'o',  'n',  0,    0,   0,   0,    0,   0,    0,   1,
};

static void meta_golden(void **state)
{
    (void)state;
    struct meta m;
    assert_int_equal(meta_decode(golden_meta, &m), 0);
    assert_int_equal(m.page_size, 4096);
    assert_int_equal(m.root, 2);
    assert_true(m.freelist == META_NO_FREELIST);
    assert_int_equal(m.hwm, 5);
    assert_int_equal(m.txid, 9);
    uint8_t page[META_PAGE_BYTES];
    meta_encode(&m, 1, page);
    assert_memory_equal(page, golden_meta, sizeof(page));
}

static void meta_refused(void **state)
{
    (void)state;
    for (size_t i = META_OFFSET; i < META_PAGE_BYTES; i++) {
        uint8_t page[META_PAGE_BYTES];
        struct meta m;
        memcpy(page, golden_meta, sizeof(page));
        page[i] ^= 0x10;
        int want = i < 20 ? ERR_CORRUPT : (i < 24 ? ERR_VERSION : ERR_CHECKSUM);
        assert_int_equal(meta_decode(page, &m), want);
        assert_string_equal(meta_error_text(want), i < 20   ? "invalid database"
                                                   : i < 24 ? "version mismatch"
                                                            : "checksum error");
    }
}

static void meta_choice(void **state)
{
    (void)state;
    struct meta m = {.page_size = 4096, .root = 2, .freelist = META_NO_FREELIST, .hwm = 5}, got;
    uint8_t a[META_PAGE_BYTES], b[META_PAGE_BYTES];
    m.txid = 6;
    meta_encode(&m, 0, a);
    m.txid = 7;
    meta_encode(&m, 1, b);
    assert_int_equal(meta_choose(a, b, &got), 0);
    assert_int_equal(got.txid, 7);
    b[40] ^= 1; /* the newer one is torn: the older rules */
    assert_int_equal(meta_choose(a, b, &got), 0);
    assert_int_equal(got.txid, 6);
    a[20] ^= 1; /* both: the error of page 0 */
    assert_int_equal(meta_choose(a, b, &got), ERR_VERSION);
}

static void meta_bounds(void **state)
{
    (void)state;
    const struct meta good = {
        .page_size = 4096, .root = 2, .freelist = META_NO_FREELIST, .hwm = 5, .txid = 9};
    struct why why;
    assert_int_equal(meta_validate(&good, 5 * 4096, &why), 0);
    struct meta bad[] = {good, good, good, good, good, good, good, good};
    bad[0].page_size = 512;
    bad[1].page_size = 5000;
    bad[2].page_size = 32 << 20;
    bad[3].hwm = 6;
    bad[4].root = 1;
    bad[5].root = 5;
    bad[6].freelist = 5;
    bad[7].txid = UINT64_MAX;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(meta_validate(&bad[i], 5 * 4096, &why), ERR_CORRUPT);
    }
}

static void leaf_golden(void **state)
{
    (void)state;
    struct why why;
    uint8_t page[4096] = {0}, again[4096] = {0};
    memcpy(page, golden_leaf, sizeof(golden_leaf));
    assert_int_equal(page_validate(page, sizeof(page), 2, 5, &why), 0);
    assert_int_equal(page_count(page), 2);
    struct slice auth = page_leaf_value(page, 1);
    assert_int_equal(page_bucket_root(auth), 0);
    const uint8_t *inner = auth.data + PAGE_BUCKET_HEADER_BYTES;
    assert_true(slice_equal_cstr(page_leaf_key(inner, 0), "authRevision"));
    assert_int_equal(page_leaf_value(inner, 0).len, 8);

    struct page_builder b;
    page_build_start(&b, again, sizeof(again), 2, true, 2, 0);
    page_build_leaf(&b, 1, page_leaf_key(page, 0), page_leaf_value(page, 0));
    page_build_leaf(&b, 1, page_leaf_key(page, 1), auth);
    assert_memory_equal(page, again, sizeof(page));
}

static void branch_bytes(void **state)
{
    (void)state;
    static const uint8_t want[] = {
        7,  0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0,   0, /* page 7, branch, 2 */
        32, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0,   0,   17, 0,
        0,  0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 'a', 'b', 'c'};
    uint8_t page[1024] = {0};
    struct page_builder b;
    struct why why;
    page_build_start(&b, page, sizeof(page), 7, false, 2, 0);
    page_build_branch(&b, SLICE_LIT("a"), 3);
    page_build_branch(&b, SLICE_LIT("bc"), 4);
    assert_memory_equal(page, want, sizeof(want));
    assert_int_equal(page_validate(page, sizeof(page), 7, 8, &why), 0);
    assert_int_equal(page_branch_search(page, SLICE_LIT("A")), 0);
    assert_int_equal(page_branch_search(page, SLICE_LIT("b")), 0);
    assert_int_equal(page_branch_search(page, SLICE_LIT("bc")), 1);
    assert_int_equal(page_branch_child(page, 1), 4);
}

static void expect_refused(size_t off, uint64_t value, size_t width, const char *what)
{
    uint8_t page[1024] = {0};
    struct page_builder b;
    struct why why;
    page_build_start(&b, page, sizeof(page), 3, true, 3, 0);
    page_build_leaf(&b, 0, SLICE_LIT("a"), SLICE_LIT("1"));
    page_build_leaf(&b, 0, SLICE_LIT("b"), SLICE_LIT("2"));
    page_build_leaf(&b, 1, SLICE_LIT("c"), SLICE_LIT("0123456789abcdef"));
    assert_int_equal(page_validate(page, sizeof(page), 3, 4, &why), 0);
    memcpy(page + off, &value, width);
    assert_int_equal(page_validate(page, sizeof(page), 3, 4, &why), ERR_CORRUPT);
    if (strstr(why.text, what) == NULL) {
        fail_msg("'%s' does not say '%s'", why.text, what);
    }
}

static void gate_refuses(void **state)
{
    (void)state;
    enum { E0 = PAGE_HEADER_BYTES, E1 = E0 + 16, E2 = E1 + 16 };
    expect_refused(0, 4, 8, "says it is page 4");
    expect_refused(8, 3, 2, "unknown type");
    expect_refused(8, PAGE_META, 2, "a meta page where");
    expect_refused(8, PAGE_FREELIST, 2, "a freelist page where");
    expect_refused(10, 64, 2, "64 elements do not fit");
    expect_refused(10, 0xffff, 2, "do not fit");
    expect_refused(12, 1, 4, "beyond the high-water mark");
    expect_refused(12, UINT32_MAX, 4, "beyond the high-water mark");
    expect_refused(E0, 2, 4, "flags 0x2");
    expect_refused(E0 + 4, 15, 4, "outside");
    expect_refused(E0 + 4, 1007, 4, "outside");
    expect_refused(E0 + 4, UINT32_MAX, 4, "outside");
    expect_refused(E0 + 8, 0, 4, "key of 0 bytes");
    expect_refused(E0 + 8, 40000, 4, "key of 40000");
    expect_refused(E0 + 12, UINT32_MAX, 4, "outside");
    expect_refused(E0 + 12, 950, 4, "overlap");
    expect_refused(E1 + 4, 32, 4, "not above");
    expect_refused(E2 + 12, 15, 4, "bucket header of 15");
    expect_refused(E0, 1, 4, "bucket header of 1 ");
    /* root 0: an inline page should follow */
    expect_refused(E2 + 16 + 4 + 1, 0, 8, "inline bucket of 0");
}

static void inline_refused(void **state)
{
    (void)state;
    struct why why;
    uint8_t page[512];
    size_t at = sizeof(golden_leaf) - 36; /* the inner element of auth */
    for (int i = 0; i < 4; i++) {
        memset(page, 0, sizeof(page));
        memcpy(page, golden_leaf, sizeof(golden_leaf));
        switch (i) {
        case 0: page[at] = 1; break;      /* a bucket in an inline bucket */
        case 1: page[at + 12] = 9; break; /* a value beyond the image */
        case 2: page[at - 8] = PAGE_BRANCH; break;
        default: page[at - 6] = 2; break; /* an element that does not fit */
        }
        assert_int_equal(page_validate(page, sizeof(page), 2, 5, &why), ERR_CORRUPT);
    }
}

static void search_equals_scan(void **state)
{
    (void)state;
    struct prng rng;
    prng_init(&rng, 5);
    for (int round = 0; round < 200; round++) {
        uint8_t page[4096] = {0};
        uint8_t keys[128];
        uint32_t count = (uint32_t)prng_below(&rng, 100), k = 0;
        for (unsigned v = 0; k < count && v < 256; v++) {
            if (prng_chance(&rng, 1, 2)) {
                keys[k++] = (uint8_t)v;
            }
        }
        count = k;
        struct page_builder b;
        page_build_start(&b, page, sizeof(page), 2, true, count, 0);
        for (uint32_t i = 0; i < count; i++) {
            page_build_leaf(&b, 0, slice_make(&keys[i], 1), SLICE_NULL);
        }
        for (unsigned v = 0; v < 256; v++) {
            uint8_t probe = (uint8_t)v;
            bool exact;
            uint32_t want = 0;
            while (want < count && keys[want] < probe) {
                want++;
            }
            assert_int_equal(page_leaf_search(page, slice_make(&probe, 1), &exact), want);
            assert_int_equal(exact, want < count && keys[want] == probe);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meta_golden),        cmocka_unit_test(meta_refused),
        cmocka_unit_test(meta_choice),        cmocka_unit_test(meta_bounds),
        cmocka_unit_test(leaf_golden),        cmocka_unit_test(branch_bytes),
        cmocka_unit_test(gate_refuses),       cmocka_unit_test(inline_refused),
        cmocka_unit_test(search_equals_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
