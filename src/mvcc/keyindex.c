/* SPDX-License-Identifier: Apache-2.0 */
#include "mvcc/keyindex.h"

#include "base/assert.h"

void keyindex_init(struct keyindex *x)
{
    keytree_init(&x->tree);
}

void keyindex_deinit(struct keyindex *x)
{
    keytree_deinit(&x->tree);
}

struct keyrange keyrange_make(struct slice key, struct slice range_end)
{
    bool is_open_end = range_end.len == 1 && range_end.data[0] == 0;
    return (struct keyrange){key, range_end, range_end.len == 0, is_open_end};
}

bool keyindex_get(const struct keyindex *x, struct slice key, int64_t at, struct keyrec_state *out)
{
    const struct keyrec *rec = keytree_get(&x->tree, key);
    return rec != NULL && keyrec_state_at(rec, at, out);
}

void keyindex_find(const struct keyindex *x, struct slice key, struct keyindex_pos *out)
{
    out->rec = keytree_find(&x->tree, key, &out->path);
}

void keyindex_put(struct keyindex *x, struct keyindex_pos *pos, struct slice key, int64_t main,
                  int64_t sub, uint32_t len, int64_t lease)
{
    if (pos->rec == NULL) {
        struct keyrec_state first = {main, sub, main, 1, len};
        keytree_insert(&x->tree, &pos->path, keyrec_create(key, &first, lease));
        return;
    }
    struct keysum before = keyrec_sum(pos->rec);
    pos->rec = keyrec_put(pos->rec, main, sub, len, lease);
    keytree_replace(&x->tree, &pos->path, pos->rec, before);
}

void keyindex_tombstone(struct keyindex *x, struct keyindex_pos *pos, int64_t main, int64_t sub,
                        uint32_t len)
{
    struct keysum before = keyrec_sum(pos->rec);
    pos->rec = keyrec_tombstone(pos->rec, main, sub, len);
    keytree_replace(&x->tree, &pos->path, pos->rec, before);
}

/* What keyrec asserts, for bytes of a file. */
static bool can_follow(const struct keyrec *rec, int64_t main, int64_t sub)
{
    const struct keyrev *last = keyrec_revs(rec) + rec->count - 1;
    return main > last->main || (main == last->main && sub > keyrev_sub(last));
}

enum keyindex_restored keyindex_restore_put(struct keyindex *x, struct slice key,
                                            const struct keyrec_state *state, int64_t lease)
{
    struct keyindex_pos pos;
    keyindex_find(x, key, &pos);
    if (pos.rec != NULL) {
        if (!can_follow(pos.rec, state->main, state->sub)) {
            return KEYINDEX_BROKEN;
        }
        keyindex_put(x, &pos, key, state->main, state->sub, state->len, lease);
        return KEYINDEX_RESTORED;
    }
    /* The marker of `snapshot restore --bump-revision` has create revision and version 0. */
    struct keyrec_state first = *state;
    if (first.create_rev < 0 || first.create_rev > first.main || first.version < 0) {
        return KEYINDEX_BROKEN;
    }
    first.version = first.version == 0 ? 1 : first.version;
    keytree_insert(&x->tree, &pos.path, keyrec_create(key, &first, lease));
    return KEYINDEX_RESTORED;
}

enum keyindex_restored keyindex_restore_tombstone(struct keyindex *x, struct slice key,
                                                  int64_t main, int64_t sub, uint32_t len)
{
    struct keyindex_pos pos;
    keyindex_find(x, key, &pos);
    if (pos.rec == NULL) {
        keytree_insert(&x->tree, &pos.path, keyrec_create_tombstone(key, main, sub, len));
        return KEYINDEX_RESTORED;
    }
    if (!can_follow(pos.rec, main, sub)) {
        return KEYINDEX_BROKEN;
    }
    if (!keyrec_is_live(pos.rec)) {
        return KEYINDEX_IGNORED;
    }
    keyindex_tombstone(x, &pos, main, sub, len);
    return KEYINDEX_RESTORED;
}

/* ---- ranges ---- */

static void iter_enter_leaf(struct keyindex_iter *it)
{
    it->is_leaf_inside =
        it->is_open_end || slice_compare(keytree_leaf_last(&it->path), it->end) < 0;
}

void keyindex_iter_init(struct keyindex_iter *it, const struct keyindex *x, struct slice from,
                        struct slice end, bool is_open_end, int64_t at)
{
    it->x = x;
    it->end = end;
    it->is_open_end = is_open_end;
    it->at = at;
    it->rec = keytree_seek(&x->tree, from, &it->path);
    if (it->rec != NULL) {
        iter_enter_leaf(it);
    }
}

struct keyrec *keyindex_iter_any(struct keyindex_iter *it)
{
    struct keyrec *rec = it->rec;
    if (rec == NULL) {
        return NULL;
    }
    if (!it->is_leaf_inside && slice_compare(keyrec_key(rec), it->end) >= 0) {
        it->rec = NULL;
        return NULL;
    }
    it->rec = keytree_next(&it->x->tree, &it->path);
    if (it->rec != NULL && it->path.at == 0) {
        iter_enter_leaf(it);
    }
    return rec;
}

struct keyrec *keyindex_iter_next(struct keyindex_iter *it, struct keyrec_state *out)
{
    struct keyrec *rec = keyindex_iter_any(it);
    while (rec != NULL && !keyrec_state_at(rec, it->at, out)) {
        rec = keyindex_iter_any(it);
    }
    return rec;
}

struct keysum keyindex_sum(const struct keyindex *x, const struct keyrange *r)
{
    struct keysum from = keytree_rank(&x->tree, r->key);
    struct keysum to = r->is_open_end ? x->tree.live : keytree_rank(&x->tree, r->end);
    if (to.count <= from.count) {
        return (struct keysum){0, 0};
    }
    return (struct keysum){to.count - from.count, to.bytes - from.bytes};
}

bool keyindex_drop(struct keyindex *x, struct keyindex_pos *pos, uint32_t n)
{
    struct keysum before = keyrec_sum(pos->rec);
    struct keyrec *rec = keyrec_drop(pos->rec, n);
    pos->rec = rec;
    if (rec == NULL) {
        keytree_remove(&x->tree, &pos->path, before);
        return false;
    }
    keytree_replace(&x->tree, &pos->path, rec, before);
    return true;
}

void keyindex_check(const struct keyindex *x)
{
    keytree_check(&x->tree);
}

bool keyindex_equal(const struct keyindex *a, const struct keyindex *b)
{
    struct keytree_path pa;
    struct keytree_path pb;
    const struct keyrec *ra = keytree_seek(&a->tree, SLICE_NULL, &pa);
    const struct keyrec *rb = keytree_seek(&b->tree, SLICE_NULL, &pb);
    while (ra != NULL && rb != NULL && keyrec_equal(ra, rb)) {
        ra = keytree_next(&a->tree, &pa);
        rb = keytree_next(&b->tree, &pb);
    }
    return ra == NULL && rb == NULL;
}
