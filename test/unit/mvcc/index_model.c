/* SPDX-License-Identifier: Apache-2.0 */
#include "index_model.h"

#include <string.h>

#include "base/assert.h"

static struct model_gen *gen_add(struct model_key *k)
{
    ensure(k->gens < MODEL_GENS_MAX);
    struct model_gen *g = &k->gen[k->gens++];
    g->create_rev = 0;
    g->version = 0;
    g->count = 0;
    return g;
}

void model_put(struct model_key *k, struct model_rev rev)
{
    if (k->gens == 0) {
        gen_add(k);
    }
    struct model_gen *g = &k->gen[k->gens - 1];
    if (g->count == 0) {
        g->create_rev = rev.main;
    }
    ensure(g->count < MODEL_REVS_MAX);
    g->revs[g->count++] = rev;
    g->version++;
}

void model_tombstone(struct model_key *k, struct model_rev rev)
{
    ensure(k->gens > 0 && k->gen[k->gens - 1].count > 0);
    model_put(k, rev);
    gen_add(k);
}

void model_restore(struct model_key *k, struct model_rev rev, int64_t create_rev, int64_t version)
{
    struct model_gen *g = gen_add(k);
    g->create_rev = create_rev;
    g->version = version;
    g->revs[g->count++] = rev;
}

bool model_get(const struct model_key *k, int64_t at, struct model_state *out)
{
    for (int i = k->gens - 1; i >= 0; i--) {
        const struct model_gen *g = &k->gen[i];
        if (g->count == 0) {
            continue;
        }
        if (i != k->gens - 1 && g->revs[g->count - 1].main <= at) {
            return false;
        }
        if (g->revs[0].main > at) {
            continue;
        }
        int n = g->count - 1;
        while (g->revs[n].main > at) {
            n--;
        }
        const struct model_rev *r = &g->revs[n];
        *out = (struct model_state){
            r->main, r->sub, g->create_rev, g->version - (g->count - n - 1), r->len, r->lease};
        return true;
    }
    return false;
}

void model_find(const struct model_key *k, int64_t at, int *out_gen, int *out_idx)
{
    int i = 0;
    while (i < k->gens - 1 && k->gen[i].revs[k->gen[i].count - 1].main < at) {
        i++;
    }
    int n = k->gen[i].count - 1;
    while (n >= 0 && k->gen[i].revs[n].main > at) {
        n--;
    }
    *out_gen = i;
    *out_idx = n;
}

void model_compact(struct model_key *k, int64_t at)
{
    if (k->gens == 0) {
        return;
    }
    int gen;
    int idx;
    model_find(k, at, &gen, &idx);
    struct model_gen *g = &k->gen[gen];
    if (idx > 0) {
        memmove(&g->revs[0], &g->revs[idx], (size_t)(g->count - idx) * sizeof(g->revs[0]));
        g->count -= idx;
    }
    memmove(&k->gen[0], &k->gen[gen], (size_t)(k->gens - gen) * sizeof(k->gen[0]));
    k->gens -= gen;
    if (k->gens == 1 && k->gen[0].count == 0) {
        k->gens = 0;
    }
}

bool model_keep(const struct model_key *k, int64_t at, struct model_rev *out)
{
    if (k->gens == 0) {
        return false;
    }
    int gen;
    int idx;
    model_find(k, at, &gen, &idx);
    if (idx < 0 || (idx == k->gen[gen].count - 1 && gen != k->gens - 1)) {
        return false;
    }
    *out = k->gen[gen].revs[idx];
    return true;
}

bool model_is_live(const struct model_key *k)
{
    return k->gens > 0 && k->gen[k->gens - 1].count > 0;
}
