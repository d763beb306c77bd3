/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/mvcc/index_model: etcd's key index coded naively: per key a list of generations, each a
 * list of revisions (storage-formats 6.2-6.5).  The dumb half of the property tests.
 */
#ifndef TEST_INDEX_MODEL_H
#define TEST_INDEX_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum { MODEL_KEYS_MAX = 64, MODEL_GENS_MAX = 64, MODEL_REVS_MAX = 256 };

struct model_rev {
    int64_t main;
    int64_t sub;
    uint32_t len;
    int64_t lease;
};

struct model_gen {
    int64_t create_rev;
    int64_t version;
    int count;
    struct model_rev revs[MODEL_REVS_MAX];
};

struct model_key {
    int gens; /* 0: unknown key */
    struct model_gen gen[MODEL_GENS_MAX];
};

struct model_state {
    int64_t main, sub, create_rev, version;
    uint32_t len;
    int64_t lease;
};

void model_put(struct model_key *k, struct model_rev rev);
void model_tombstone(struct model_key *k, struct model_rev rev);
bool model_get(const struct model_key *k, int64_t at, struct model_state *out);
/* Restore of the first record of a key. */
void model_restore(struct model_key *k, struct model_rev rev, int64_t create_rev, int64_t version);
/* Generation and index of doCompact; index -1: none. */
void model_find(const struct model_key *k, int64_t at, int *out_gen, int *out_idx);
void model_compact(struct model_key *k, int64_t at);
bool model_keep(const struct model_key *k, int64_t at, struct model_rev *out);
bool model_is_live(const struct model_key *k);

#endif
