/* SPDX-License-Identifier: Apache-2.0 */
#include "bolt/meta.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "bolt/bolt.h"
#include "bolt/page.h"

_Static_assert(META_OFFSET + META_SUM_BYTES + 8 == META_PAGE_BYTES, "checksum is the last field");

uint64_t meta_raw_txid(const uint8_t *page)
{
    return load_le64(page + 64);
}

int meta_decode(const uint8_t *page, struct meta *out)
{
    if (load_le32(page + 16) != META_MAGIC) {
        return ERR_CORRUPT;
    }
    if (load_le32(page + 20) != META_VERSION) {
        return ERR_VERSION;
    }
    if (load_le64(page + 72) != fnv1a64(page + META_OFFSET, META_SUM_BYTES)) {
        return ERR_CHECKSUM;
    }
    *out = (struct meta){
        .page_size = load_le32(page + 24),
        .flags = load_le32(page + 28),
        .root = load_le64(page + 32),
        .sequence = load_le64(page + 40),
        .freelist = load_le64(page + 48),
        .hwm = load_le64(page + 56),
        .txid = load_le64(page + 64),
    };
    return 0;
}

void meta_encode(const struct meta *m, uint64_t id, uint8_t *page)
{
    ensure(id < 2);
    ensure(m->root >= 2 && m->root < m->hwm);
    page_header_put(page, id, PAGE_META, 0, 0);
    store_le32(page + 16, META_MAGIC);
    store_le32(page + 20, META_VERSION);
    store_le32(page + 24, m->page_size);
    store_le32(page + 28, m->flags);
    store_le64(page + 32, m->root);
    store_le64(page + 40, m->sequence);
    store_le64(page + 48, m->freelist);
    store_le64(page + 56, m->hwm);
    store_le64(page + 64, m->txid);
    store_le64(page + 72, fnv1a64(page + META_OFFSET, META_SUM_BYTES));
}

int meta_choose(const uint8_t *page0, const uint8_t *page1, struct meta *out)
{
    bool is_first_newer = meta_raw_txid(page0) >= meta_raw_txid(page1);
    if (meta_decode(is_first_newer ? page0 : page1, out) == 0 ||
        meta_decode(is_first_newer ? page1 : page0, out) == 0) {
        return 0;
    }
    return meta_decode(page0, out);
}

bool meta_page_size_is_usable(uint32_t page_size)
{
    return page_size >= BOLT_PAGE_SIZE_MIN && page_size <= BOLT_PAGE_SIZE_MAX &&
           (page_size & (page_size - 1)) == 0;
}

int meta_validate(const struct meta *m, uint64_t file_bytes, struct why *why)
{
    uint64_t size = m->page_size;
    if (!meta_page_size_is_usable(m->page_size)) {
        return why_set(why, "page size %u is not usable", m->page_size);
    }
    if (m->hwm > file_bytes / size) {
        return why_set(why, "the file has %llu bytes, the meta page counts %llu pages of %u",
                       (unsigned long long)file_bytes, (unsigned long long)m->hwm, m->page_size);
    }
    if (m->root < 2 || m->root >= m->hwm) {
        return why_set(why, "root page %llu is out of bounds (%llu)", (unsigned long long)m->root,
                       (unsigned long long)m->hwm);
    }
    if (m->txid > META_TXID_MAX) {
        return why_set(why, "transaction %llu cannot be followed by another",
                       (unsigned long long)m->txid);
    }
    if (m->freelist != META_NO_FREELIST && (m->freelist < 2 || m->freelist >= m->hwm)) {
        return why_set(why, "freelist page %llu is out of bounds (%llu)",
                       (unsigned long long)m->freelist, (unsigned long long)m->hwm);
    }
    return 0;
}

const char *meta_error_text(int err)
{
    switch (err) {
    case ERR_VERSION: return "version mismatch";
    case ERR_CHECKSUM: return "checksum error";
    default: return "invalid database";
    }
}
