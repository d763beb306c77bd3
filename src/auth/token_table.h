/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/token_table: tokens by text, in the order of their last use (private to auth).
 *
 * Both kinds of tokens live here: simple ones, whose equal TTLs make the order of use the order of
 * expiry, and JWTs that were verified already.  The texts that are put in are never a client's
 * choice (a prefix of a member's own, or something signed); those that are looked up are, which
 * costs them a chain of random length.
 *
 * Ownership   The table owns its entries and copies what it is given.  Limits: count_max of create.
 * Thread      main loop.
 */
#ifndef AUTH_TOKEN_TABLE_H
#define AUTH_TOKEN_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"

struct token_entry {
    struct list_node node;    /* in order of use, the oldest first */
    struct token_entry *next; /* of the same bucket */
    struct slice text;        /* both behind this struct */
    struct slice user;
    uint64_t hash;
    uint64_t expiry_ms; /* monotonic for simple tokens, wall for JWTs */
    uint64_t start_ms;  /* of a JWT: its nbf */
    uint64_t revision;  /* of a JWT */
};

struct token_table {
    struct token_entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    size_t count_max;
    uint64_t seed;
    struct list order;
};

void token_table_init(struct token_table *t, size_t count_max, uint64_t seed);
void token_table_deinit(struct token_table *t);
/* A new entry, last in order; one with the same text goes first, and at count_max the oldest. */
struct token_entry *token_table_put(struct token_table *t, struct slice text, struct slice user);
/* NULL when there is none. */
struct token_entry *token_table_find(const struct token_table *t, struct slice text);
void token_table_touch(struct token_table *t, struct token_entry *e);
void token_table_remove(struct token_table *t, struct token_entry *e);
void token_table_clear(struct token_table *t);
void token_table_check(const struct token_table *t);

#endif
