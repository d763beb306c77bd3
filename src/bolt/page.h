/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/page: the bytes of a page run: reading, searching, validating, building.
 *
 * Problem     Offsets inside a page come from outside.  bbolt trusts them at every access.
 * Design      page_validate is the one gate: after it every accessor below is safe without a check.
 *             All loads go through memcpy, so an inline bucket's page may lie at any address.
 *
 *   run:  0 id u64 | 8 flags u16 | 10 count u16 | 12 overflow u32 | 16 elements (16 bytes each)
 *   branch element:  0 pos u32 | 4 ksize u32 | 8 child u64
 *   leaf element:    0 flags u32 | 4 pos u32 | 8 ksize u32 | 12 vsize u32
 *   pos counts from the start of its element.
 *   bucket value:    0 root u64 (0: inline) | 8 sequence u64 | 16 inline page
 *
 * Thread      any; pure functions of the bytes.
 * See         storage-formats.md 1.1, 1.3, 1.4; test/unit/bolt/page_test.c,
 * test/fuzz/bolt_page_fuzz.c
 */
#ifndef BOLT_PAGE_H
#define BOLT_PAGE_H

#include "base/bytes.h"
#include "base/slice.h"
#include "bolt/why.h"

enum {
    PAGE_HEADER_BYTES = 16,
    PAGE_ELEMENT_BYTES = 16,
    PAGE_COUNT_MAX = 65534,
    PAGE_BUCKET_HEADER_BYTES = 16,
};

enum page_flag {
    PAGE_BRANCH = 0x01,
    PAGE_LEAF = 0x02,
    PAGE_META = 0x04,
    PAGE_FREELIST = 0x10,
};

enum { PAGE_ELEMENT_BUCKET = 1 };

/* ---- header ---- */

static inline uint64_t page_id(const uint8_t *p)
{
    return load_le64(p);
}

static inline unsigned page_flags(const uint8_t *p)
{
    return load_le16(p + 8);
}

static inline uint32_t page_count(const uint8_t *p)
{
    return load_le16(p + 10);
}

static inline uint32_t page_overflow(const uint8_t *p)
{
    return load_le32(p + 12);
}

static inline bool page_is_leaf(const uint8_t *p)
{
    return (page_flags(p) & PAGE_LEAF) != 0;
}

void page_header_put(uint8_t *p, uint64_t id, unsigned flags, uint32_t count, uint32_t overflow);

/* ---- elements; only of a validated page, i < count ---- */

static inline const uint8_t *page_element(const uint8_t *p, uint32_t i)
{
    return p + PAGE_HEADER_BYTES + (size_t)i * PAGE_ELEMENT_BYTES;
}

static inline struct slice page_branch_key(const uint8_t *p, uint32_t i)
{
    const uint8_t *e = page_element(p, i);
    return slice_make(e + load_le32(e), load_le32(e + 4));
}

static inline uint64_t page_branch_child(const uint8_t *p, uint32_t i)
{
    return load_le64(page_element(p, i) + 8);
}

static inline uint32_t page_leaf_flags(const uint8_t *p, uint32_t i)
{
    return load_le32(page_element(p, i));
}

static inline struct slice page_leaf_key(const uint8_t *p, uint32_t i)
{
    const uint8_t *e = page_element(p, i);
    return slice_make(e + load_le32(e + 4), load_le32(e + 8));
}

static inline struct slice page_leaf_value(const uint8_t *p, uint32_t i)
{
    const uint8_t *e = page_element(p, i);
    return slice_make(e + load_le32(e + 4) + load_le32(e + 8), load_le32(e + 12));
}

static inline struct slice page_key(const uint8_t *p, uint32_t i)
{
    return page_is_leaf(p) ? page_leaf_key(p, i) : page_branch_key(p, i);
}

/* First element with a key >= key, count if none; *out_exact tells equality. */
uint32_t page_leaf_search(const uint8_t *p, struct slice key, bool *out_exact);
/* The child that key belongs to: the last element with a key <= key, or 0. count >= 1. */
uint32_t page_branch_search(const uint8_t *p, struct slice key);

/* ---- validation ---- */

/* The first page of a run: id, single flag, run inside [2, hwm). len >= PAGE_HEADER_BYTES. */
MUST_USE int page_validate_header(const uint8_t *p, uint64_t id, uint64_t hwm, struct why *why);
/* Element bounds, bucket values and inline buckets in the whole run of len bytes. */
MUST_USE int page_validate_elements(const uint8_t *p, size_t len, struct why *why);
/* Keys strictly ascending, also in inline buckets. */
MUST_USE int page_validate_order(const uint8_t *p, struct why *why);
/* All three, of a branch or leaf run. */
MUST_USE int page_validate(const uint8_t *p, size_t len, uint64_t id, uint64_t hwm,
                           struct why *why);
/* "branch", "leaf", "meta", "freelist", "unknown<XX>": bbolt's words. */
void page_type_text(unsigned flags, char out[16]);

/* ---- bucket values; validated ---- */

static inline uint64_t page_bucket_root(struct slice value)
{
    return load_le64(value.data);
}

static inline uint64_t page_bucket_sequence(struct slice value)
{
    return load_le64(value.data + 8);
}

/* ---- building ---- */

struct page_builder {
    uint8_t *page;
    size_t len;      /* of the run or image */
    size_t data_off; /* where the next key goes */
    uint32_t next;
};

/* page is zeroed memory of len bytes; exactly count elements follow. */
void page_build_start(struct page_builder *b, uint8_t *page, size_t len, uint64_t id, bool is_leaf,
                      uint32_t count, uint32_t overflow);
void page_build_branch(struct page_builder *b, struct slice key, uint64_t child);
void page_build_leaf(struct page_builder *b, uint32_t flags, struct slice key, struct slice value);

#endif
