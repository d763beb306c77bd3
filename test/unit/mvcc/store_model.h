/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/mvcc/store_model: a store over the fake backend beside a dumb model (the list of all
 * changes ever made), and the steps that both make.
 */
#ifndef TEST_STORE_MODEL_H
#define TEST_STORE_MODEL_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/prng.h"
#include "lease/lessor.h"
#include "lib/fake_backend.h"
#include "mvcc/hash.h"
#include "mvcc/mvcc.h"
#include "mvcc/txn.h"
#include "mvcc/watch.h"
#include "schema/level.h"
#include "wire/response.h"

enum { WORLD_KEYS = 32, WORLD_VALUE_MAX = 40 };

struct change {
    int64_t main, sub;
    int key;
    bool is_delete;
    char value[WORLD_VALUE_MAX];
    int64_t lease, create_rev, version;
};

struct world {
    struct backend *backend;
    struct lessor *lessor;
    const struct level_rules *rules;
    struct mvcc_store *store;
    struct mvcc_values *values;
    struct prng prng;
    struct change *changes;
    size_t changes_len;
    size_t changes_cap;
    int64_t rev;
    int64_t compacted;
    size_t events;
    struct watch_hub *hub; /* hears of the changes, or NULL */
    size_t fetches;
    struct buf body;
    struct arena arena;
};

void world_init(struct world *w, uint64_t seed);
void world_init_level(struct world *w, uint64_t seed, enum level level);
void world_deinit(struct world *w);
struct slice world_key(int i); /* ascending with i, static */

/* ---- the model ---- */

const struct change *model_at(const struct world *w, int key, int64_t rev);
void model_add(struct world *w, int64_t main, int64_t *sub, int key, bool is_delete,
               const char *value, int64_t lease);
/* Keys [from, to) at rev, in order; returns the count. */
size_t model_range(const struct world *w, int from, int to, int64_t rev,
                   const struct change *out[WORLD_KEYS]);
bool kv_is(const struct wire_kv *kv, const struct change *c);

/* ---- steps ---- */

/* Brings cold values until the prefetch is content. */
int world_put(struct world *w, const struct wire_put_req *req);
int world_delete(struct world *w, const struct wire_delete_req *req);
int world_txn(struct world *w, const struct wire_txn_req *req, int64_t *out_rev);
void world_fetch(struct world *w);
void world_random_step(struct world *w);
/* All slices of the compaction, with a hash (is_hashed) or without. */
void world_compact(struct world *w, int64_t rev);
void world_compact_finish(struct world *w, size_t records_max);
struct mvcc_hash_value world_hash(struct world *w, int64_t rev);
/* The index equals a restored one; invariants. */
void world_check(struct world *w);
/* A new store from the records, in place of the old one. */
void world_restart(struct world *w);
/* A plan of it, built and sorted, its values brought. */
int world_plan(struct world *w, const struct wire_range_req *req, struct mvcc_plan *plan);
/* The whole body of a range, cold pieces through slices. */
int world_range(struct world *w, const struct wire_range_req *req, size_t sink_max,
                struct buf *out);

#endif
