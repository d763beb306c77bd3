/* SPDX-License-Identifier: Apache-2.0 */
#include "bolt/page.h"

#include <stdarg.h>
#include <stdio.h>

#include "bolt/bolt.h"

_Static_assert(PAGE_HEADER_BYTES == 16 && PAGE_ELEMENT_BYTES == 16, "fixed by the format");

enum { ELEMENT_FLAGS_KNOWN = PAGE_ELEMENT_BUCKET };

int why_set(struct why *why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why->text, sizeof(why->text), fmt, ap);
    va_end(ap);
    return ERR_CORRUPT;
}

void page_header_put(uint8_t *p, uint64_t id, unsigned flags, uint32_t count, uint32_t overflow)
{
    ensure(count <= PAGE_COUNT_MAX + 1);
    store_le64(p, id);
    store_le16(p + 8, (uint16_t)flags);
    store_le16(p + 10, (uint16_t)count);
    store_le32(p + 12, overflow);
}

/* ---- search ---- */

/* Keys as numbers: their first 8 bytes, shorter ones with zeros behind.  a < b as numbers means
 * a < b as keys; equal numbers say nothing. */
static uint64_t head_of(struct slice key)
{
    if (key.len >= 8) {
        return load_be64(key.data);
    }
    uint8_t b[8] = {0};
    if (key.len > 0) {
        memcpy(b, key.data, key.len);
    }
    return load_be64(b);
}

static int head_compare(struct slice a, struct slice b, uint64_t b_head)
{
    uint64_t a_head = head_of(a);
    if (a_head != b_head) {
        return a_head < b_head ? -1 : 1;
    }
    return slice_compare(a, b);
}

/* Where key would stand if the keys were evenly spaced: revisions nearly are. */
static uint32_t guess(uint64_t first, uint64_t last, uint64_t head, uint32_t count)
{
    if (head <= first || count < 2) {
        return 0;
    }
    if (head >= last) {
        return count - 1;
    }
    return (uint32_t)((double)(head - first) / (double)(last - first) * (double)(count - 1));
}

struct bounds {
    uint32_t lo; /* keys before it are below the one that is looked for */
    uint32_t hi; /* keys from it on are not */
};

/* Is element i below key, or (or_equal) not above it? */
static bool is_before(const uint8_t *p, uint32_t i, struct slice key, uint64_t head, bool or_equal)
{
    int c = head_compare(page_key(p, i), key, head);
    return c < 0 || (or_equal && c == 0);
}

/* The first element that is not before key: a guess, steps that double around it, then halves. */
static uint32_t page_bound(const uint8_t *p, struct slice key, bool or_equal)
{
    struct bounds b = {0, page_count(p)};
    if (b.hi == 0) {
        return 0;
    }
    uint64_t head = head_of(key);
    uint32_t at = guess(head_of(page_key(p, 0)), head_of(page_key(p, b.hi - 1)), head, b.hi);
    for (uint32_t step = 1; b.lo < b.hi; step *= 2) {
        if (is_before(p, at, key, head, or_equal)) {
            b.lo = at + 1;
            at = b.hi - b.lo > step ? b.lo + step - 1 : b.lo + (b.hi - b.lo) / 2;
        } else {
            b.hi = at;
            at = b.hi - b.lo > step ? b.hi - step : b.lo + (b.hi - b.lo) / 2;
        }
    }
    return b.lo;
}

uint32_t page_leaf_search(const uint8_t *p, struct slice key, bool *out_exact)
{
    uint32_t i = page_bound(p, key, false);
    *out_exact = i < page_count(p) && slice_equal(page_leaf_key(p, i), key);
    return i;
}

uint32_t page_branch_search(const uint8_t *p, struct slice key)
{
    ensure(page_count(p) > 0);
    uint32_t i = page_bound(p, key, true);
    return i == 0 ? 0 : i - 1;
}

/* ---- validation ---- */

void page_type_text(unsigned flags, char out[16])
{
    switch (flags) {
    case PAGE_BRANCH: (void)snprintf(out, 16, "branch"); break;
    case PAGE_LEAF: (void)snprintf(out, 16, "leaf"); break;
    case PAGE_META: (void)snprintf(out, 16, "meta"); break;
    case PAGE_FREELIST: (void)snprintf(out, 16, "freelist"); break;
    default: (void)snprintf(out, 16, "unknown<%02x>", flags & 0xffff); break;
    }
}

int page_validate_header(const uint8_t *p, uint64_t id, uint64_t hwm, struct why *why)
{
    unsigned flags = page_flags(p);
    if (page_id(p) != id) {
        return why_set(why, "says it is page %llu", (unsigned long long)page_id(p));
    }
    if (flags != PAGE_BRANCH && flags != PAGE_LEAF && flags != PAGE_META &&
        flags != PAGE_FREELIST) {
        return why_set(why, "unknown type, flags 0x%x", flags);
    }
    if (id >= hwm || page_overflow(p) >= hwm - id) {
        return why_set(why, "%u overflow pages reach beyond the high-water mark %llu",
                       page_overflow(p), (unsigned long long)hwm);
    }
    return 0;
}

static int validate_leaf_bounds(const uint8_t *p, size_t len, bool is_inline, struct why *why);

static int validate_inline(struct slice image, struct why *why)
{
    if (image.len < PAGE_HEADER_BYTES) {
        return why_set(why, "inline bucket of %zu bytes", image.len);
    }
    if (page_flags(image.data) != PAGE_LEAF) {
        return why_set(why, "inline bucket is no leaf, flags 0x%x", page_flags(image.data));
    }
    return validate_leaf_bounds(image.data, image.len, true, why);
}

static int validate_bucket_value(struct slice value, struct why *why)
{
    if (value.len < PAGE_BUCKET_HEADER_BYTES) {
        return why_set(why, "bucket header of %zu bytes", value.len);
    }
    if (page_bucket_root(value) != 0) {
        return 0;
    }
    return validate_inline(slice_skip(value, PAGE_BUCKET_HEADER_BYTES), why);
}

static int validate_count(const uint8_t *p, size_t len, struct why *why)
{
    uint32_t count = page_count(p);
    if (count > PAGE_COUNT_MAX || (len - PAGE_HEADER_BYTES) / PAGE_ELEMENT_BYTES < count) {
        return why_set(why, "%u elements do not fit", count);
    }
    return 0;
}

/* Elements that share bytes: rewritten, such a page could grow without bound. */
static int validate_total(uint64_t total, size_t len, struct why *why)
{
    return total <= len ? 0
                        : why_set(why, "elements of %llu bytes overlap", (unsigned long long)total);
}

static int validate_leaf_bounds(const uint8_t *p, size_t len, bool is_inline, struct why *why)
{
    int err = validate_count(p, len, why);
    uint32_t count = page_count(p);
    uint64_t total = PAGE_HEADER_BYTES;
    for (uint32_t i = 0; err == 0 && i < count; i++) {
        const uint8_t *e = page_element(p, i);
        size_t room = len - (size_t)(e - p);
        uint64_t pos = load_le32(e + 4);
        uint64_t ksize = load_le32(e + 8);
        uint64_t vsize = load_le32(e + 12);
        uint32_t flags = load_le32(e);
        if (ksize == 0 || ksize > BOLT_KEY_BYTES_MAX) {
            return why_set(why, "element %u has a key of %llu bytes", i, (unsigned long long)ksize);
        }
        if (pos < PAGE_ELEMENT_BYTES || pos + ksize + vsize > room) {
            return why_set(why, "element %u lies outside the page", i);
        }
        total += PAGE_ELEMENT_BYTES + ksize + vsize;
        if ((flags & ~(uint32_t)ELEMENT_FLAGS_KNOWN) != 0 || (is_inline && flags != 0)) {
            return why_set(why, "element %u has flags 0x%x", i, flags);
        }
        if (flags == PAGE_ELEMENT_BUCKET) {
            err = validate_bucket_value(slice_make(e + pos + ksize, (size_t)vsize), why);
        }
    }
    return err != 0 ? err : validate_total(total, len, why);
}

static int validate_branch_bounds(const uint8_t *p, size_t len, struct why *why)
{
    int err = validate_count(p, len, why);
    if (err != 0) {
        return err;
    }
    uint32_t count = page_count(p);
    if (count == 0) {
        return why_set(why, "branch without elements");
    }
    uint64_t total = PAGE_HEADER_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *e = page_element(p, i);
        size_t room = len - (size_t)(e - p);
        uint64_t pos = load_le32(e);
        uint64_t ksize = load_le32(e + 4);
        if (ksize == 0 || ksize > BOLT_KEY_BYTES_MAX) {
            return why_set(why, "element %u has a key of %llu bytes", i, (unsigned long long)ksize);
        }
        if (pos < PAGE_ELEMENT_BYTES || pos + ksize > room) {
            return why_set(why, "element %u lies outside the page", i);
        }
        total += PAGE_ELEMENT_BYTES + ksize;
    }
    return validate_total(total, len, why);
}

int page_validate_elements(const uint8_t *p, size_t len, struct why *why)
{
    ensure(len >= PAGE_HEADER_BYTES);
    switch (page_flags(p)) {
    case PAGE_LEAF: return validate_leaf_bounds(p, len, false, why);
    case PAGE_BRANCH: return validate_branch_bounds(p, len, why);
    default: {
        char type[16];
        page_type_text(page_flags(p), type);
        return why_set(why, "a %s page where a tree page should be", type);
    }
    }
}

int page_validate_order(const uint8_t *p, struct why *why)
{
    uint32_t count = page_count(p);
    bool is_leaf = page_is_leaf(p);
    struct slice prev = SLICE_NULL;
    for (uint32_t i = 0; i < count; i++) {
        struct slice key = is_leaf ? page_leaf_key(p, i) : page_branch_key(p, i);
        if (i > 0 && slice_compare(prev, key) >= 0) {
            return why_set(why, "key %u is not above the key before it", i);
        }
        prev = key;
        if (is_leaf && page_leaf_flags(p, i) == PAGE_ELEMENT_BUCKET) {
            struct slice value = page_leaf_value(p, i);
            if (page_bucket_root(value) == 0) {
                int err = page_validate_order(value.data + PAGE_BUCKET_HEADER_BYTES, why);
                if (err != 0) {
                    return err;
                }
            }
        }
    }
    return 0;
}

int page_validate(const uint8_t *p, size_t len, uint64_t id, uint64_t hwm, struct why *why)
{
    int err = page_validate_header(p, id, hwm, why);
    if (err == 0) {
        err = page_validate_elements(p, len, why);
    }
    return err != 0 ? err : page_validate_order(p, why);
}

/* ---- building ---- */

void page_build_start(struct page_builder *b, uint8_t *page, size_t len, uint64_t id, bool is_leaf,
                      uint32_t count, uint32_t overflow)
{
    ensure(count <= PAGE_COUNT_MAX);
    page_header_put(page, id, is_leaf ? PAGE_LEAF : PAGE_BRANCH, count, overflow);
    *b = (struct page_builder){
        .page = page,
        .len = len,
        .data_off = PAGE_HEADER_BYTES + (size_t)count * PAGE_ELEMENT_BYTES,
    };
    ensure(b->data_off <= len);
}

static uint8_t *build_element(struct page_builder *b, size_t bytes, uint32_t *out_pos)
{
    ensure(b->next < page_count(b->page));
    ensure(bytes <= b->len - b->data_off);
    size_t at = PAGE_HEADER_BYTES + (size_t)b->next * PAGE_ELEMENT_BYTES;
    ensure(b->data_off - at <= UINT32_MAX);
    *out_pos = (uint32_t)(b->data_off - at);
    b->next++;
    return b->page + at;
}

static void build_bytes(struct page_builder *b, struct slice s)
{
    if (s.len > 0) {
        memcpy(b->page + b->data_off, s.data, s.len);
        b->data_off += s.len;
    }
}

void page_build_branch(struct page_builder *b, struct slice key, uint64_t child)
{
    uint32_t pos;
    uint8_t *e = build_element(b, key.len, &pos);
    store_le32(e, pos);
    store_le32(e + 4, (uint32_t)key.len);
    store_le64(e + 8, child);
    build_bytes(b, key);
}

void page_build_leaf(struct page_builder *b, uint32_t flags, struct slice key, struct slice value)
{
    uint32_t pos;
    uint8_t *e = build_element(b, key.len + value.len, &pos);
    store_le32(e, flags);
    store_le32(e + 4, pos);
    store_le32(e + 8, (uint32_t)key.len);
    store_le32(e + 12, (uint32_t)value.len);
    build_bytes(b, key);
    build_bytes(b, value);
}
