/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/bits: one bit a page (64 KiB for a file of 2 GiB).  Pages beyond the words are clear.
 */
#include "base/buf.h"
#include "bolt/freelist.h"

enum { WORD_BITS = 64 };

void bits_deinit(struct bits *b)
{
    mem_free(b->words);
    *b = (struct bits){0};
}

void bits_reserve(struct bits *b, uint64_t count)
{
    size_t need = (size_t)(count / WORD_BITS + 1);
    if (need <= b->word_count) {
        return;
    }
    /* A half more: hwm rises a few pages a commit. */
    need += need / 2;
    b->words = mem_realloc(b->words, need * sizeof(*b->words));
    for (size_t i = b->word_count; i < need; i++) {
        b->words[i] = 0;
    }
    b->word_count = need;
}

bool bits_get(const struct bits *b, uint64_t i)
{
    size_t w = (size_t)(i / WORD_BITS);
    return w < b->word_count && (b->words[w] >> (i % WORD_BITS) & 1) != 0;
}

void bits_set(struct bits *b, uint64_t i)
{
    size_t w = (size_t)(i / WORD_BITS);
    ensure(w < b->word_count);
    b->words[w] |= UINT64_C(1) << (i % WORD_BITS);
}

void bits_clear(struct bits *b, uint64_t i)
{
    size_t w = (size_t)(i / WORD_BITS);
    ensure(w < b->word_count);
    b->words[w] &= ~(UINT64_C(1) << (i % WORD_BITS));
}

/* First bit that differs from those in `flip` (0: first set, all ones: first clear). */
static uint64_t next_bit(const struct bits *b, uint64_t from, uint64_t limit, uint64_t flip)
{
    while (from < limit) {
        size_t w = (size_t)(from / WORD_BITS);
        uint64_t word = (w < b->word_count ? b->words[w] : 0) ^ flip;
        word &= UINT64_MAX << (from % WORD_BITS);
        if (word != 0) {
            uint64_t at = (uint64_t)w * WORD_BITS + (uint64_t)__builtin_ctzll(word);
            return at < limit ? at : limit;
        }
        from = ((uint64_t)w + 1) * WORD_BITS;
    }
    return limit;
}

uint64_t bits_next_set(const struct bits *b, uint64_t from, uint64_t limit)
{
    return next_bit(b, from, limit, 0);
}

uint64_t bits_next_clear(const struct bits *b, uint64_t from, uint64_t limit)
{
    return next_bit(b, from, limit, UINT64_MAX);
}
