/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/meta: the two meta pages: which state of the file rules.
 *
 *   in the page:  16 magic u32 | 20 version u32 | 24 pageSize u32 | 28 flags u32 | 32 root u64 |
 *                 40 root sequence u64 | 48 freelist u64 | 56 hwm u64 | 64 txid u64 |
 *                 72 FNV-1a 64 of bytes 16..71
 *
 * Thread      any; pure functions of the bytes.
 * See         storage-formats.md 1.2; test/unit/bolt/meta_test.c
 */
#ifndef BOLT_META_H
#define BOLT_META_H

#include "base/slice.h"
#include "bolt/why.h"

enum {
    META_OFFSET = 16,     /* behind the page header */
    META_SUM_BYTES = 56,  /* that the checksum covers */
    META_PAGE_BYTES = 80, /* of a page that say something */
};
#define META_MAGIC 0xED0CDAEDu
#define META_VERSION 2u
#define META_NO_FREELIST UINT64_MAX
#define META_TXID_MAX (UINT64_MAX / 2) /* txids only rise, and never wrap */

struct meta {
    uint32_t page_size;
    uint32_t flags;
    uint64_t root;
    uint64_t sequence;
    uint64_t freelist; /* page, or META_NO_FREELIST */
    uint64_t hwm;
    uint64_t txid;
};

/* page holds at least META_PAGE_BYTES. ERR_CORRUPT (magic), ERR_VERSION, ERR_CHECKSUM. */
MUST_USE int meta_decode(const uint8_t *page, struct meta *out);
/* Magic, version and checksum aside: what a raw txid is compared by. */
uint64_t meta_raw_txid(const uint8_t *page);
/* Writes header and meta of page id; the rest of the page is the caller's. */
void meta_encode(const struct meta *m, uint64_t id, uint8_t *page);
/* The rule of 1.2 over both pages; the error is that of page 0. */
MUST_USE int meta_choose(const uint8_t *page0, const uint8_t *page1, struct meta *out);
/* Fields that the checksum cannot vouch for: page size, root, freelist and hwm against the file. */
MUST_USE int meta_validate(const struct meta *m, uint64_t file_bytes, struct why *why);
/* A power of two in BOLT_PAGE_SIZE_MIN .. BOLT_PAGE_SIZE_MAX. */
bool meta_page_size_is_usable(uint32_t page_size);
/* bbolt's words for an error of meta_decode. */
const char *meta_error_text(int err);

#endif
