/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/hash: HashKV and the hash of a compaction (storage-formats 6.5).
 */
#include "mvcc/hash.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"
#include "mvcc/store.h"

enum { KEEP_MIN = 64 };

/* ---- the rule, record by record ---- */

void mvcc_hasher_init(struct mvcc_hasher *h, int64_t rev, int64_t compact_rev,
                      const struct mvcc_item *keep, size_t keep_len, bool is_keep_empty)
{
    *h = (struct mvcc_hasher){crc32c(0, "key", 3), rev, compact_rev, keep, keep_len, 0,
                              is_keep_empty};
}

/* Records and keep ascend together. */
static bool is_kept(struct mvcc_hasher *h, const struct backend_rev *rev)
{
    while (h->keep_at < h->keep_len) {
        const struct mvcc_item *k = &h->keep[h->keep_at];
        if (k->main > rev->main || (k->main == rev->main && k->sub >= rev->sub)) {
            return k->main == rev->main && k->sub == rev->sub;
        }
        h->keep_at++;
    }
    return false;
}

int mvcc_hasher_add(struct mvcc_hasher *h, struct slice key, struct slice value)
{
    struct backend_rev rev;
    int err = backend_rev_decode(key, &rev);
    if (err != 0) {
        return err;
    }
    bool is_skipped = rev.main > h->rev ||
                      (rev.main <= h->compact_rev && !h->is_keep_empty && !is_kept(h, &rev)) ||
                      (rev.main == h->compact_rev && rev.is_tombstone);
    if (!is_skipped) {
        h->crc = crc32c(h->crc, key.data, key.len);
        h->crc = crc32c(h->crc, value.data, value.len);
    }
    return 0;
}

/* ---- one hash under way ---- */

struct mvcc_hash {
    struct mvcc_store *store;
    struct mvcc_pin pin;
    struct mvcc_hasher hasher;
    int64_t rev;
    int64_t compact_rev;
    struct mvcc_item *keep;
    size_t keep_len;
    size_t keep_cap;
    struct buf key; /* the walk goes on here */
    bool is_compaction;
    bool is_keep_empty;
    bool is_collected;
    bool is_attached;
    bool is_running;
    bool is_done;
};

static struct mvcc_hash *hash_create(struct mvcc_store *s, int64_t rev, int64_t compact_rev)
{
    struct mvcc_hash *h = mem_zalloc(sizeof(*h));
    h->store = s;
    h->rev = rev;
    h->compact_rev = compact_rev;
    h->is_keep_empty = true;
    h->is_collected = compact_rev < 0; /* then nothing is tested against the set */
    mvcc_pin_add(s, &h->pin, rev);
    s->holds++;
    return h;
}

static const struct mvcc_hash_value *cache_find(const struct mvcc_store *s, int64_t rev)
{
    for (size_t i = 0; i < s->hashes_len; i++) {
        if (s->hashes[i].rev == rev) {
            return &s->hashes[i];
        }
    }
    return NULL;
}

int mvcc_hash_begin(struct mvcc_store *s, int64_t rev, struct mvcc_hash_value *cached,
                    struct mvcc_hash **out)
{
    const struct mvcc_hash_value *known = cache_find(s, rev);
    if (known != NULL) {
        *cached = *known;
        return 1;
    }
    if (rev > 0 && rev < s->compact_rev) {
        return ERR_RPC_COMPACTED;
    }
    if (rev > s->current_rev) {
        return ERR_RPC_FUTURE_REV;
    }
    *out = hash_create(s, rev == 0 ? s->current_rev : rev, s->compact_rev);
    return 0;
}

struct mvcc_hash *mvcc_compact_hash_begin(struct mvcc_store *s)
{
    ensure(mvcc_compact_state(s) == MVCC_COMPACT_HASH);
    struct mvcc_hash *h = hash_create(s, s->compaction.target, s->compaction.prev);
    h->is_compaction = true;
    return h;
}

static void keep_add(struct mvcc_hash *h, const struct keyrev *rev)
{
    if (h->keep_len == h->keep_cap) {
        h->keep_cap = h->keep_cap == 0 ? KEEP_MIN : h->keep_cap * 2;
        h->keep = mem_realloc(h->keep, h->keep_cap * sizeof(*h->keep));
    }
    h->keep[h->keep_len++] = (struct mvcc_item){rev->main, (uint32_t)keyrev_sub(rev), rev->len};
}

static void key_collect(struct mvcc_hash *h, const struct keyrec *rec)
{
    struct keyrev rev;
    bool any = false;
    bool is_in = keyrec_keep(rec, h->rev, &rev, &any);
    if (is_in || (any && h->is_compaction)) {
        h->is_keep_empty = false;
    }
    if (is_in && rev.main <= h->compact_rev) {
        keep_add(h, &rev);
    }
}

int mvcc_hash_collect(struct mvcc_hash *h, size_t keys_max)
{
    if (h->is_collected) {
        return 0;
    }
    struct keytree_path path;
    const struct keytree *tree = &h->store->index.tree;
    const struct keyrec *rec = keytree_seek(tree, buf_slice(&h->key), &path);
    for (size_t i = 0; rec != NULL; i++) {
        if (i == keys_max) {
            buf_clear(&h->key);
            buf_append_slice(&h->key, keyrec_key(rec));
            return ERR_AGAIN;
        }
        key_collect(h, rec);
        rec = keytree_next(tree, &path);
    }
    h->is_collected = true;
    return 0;
}

void mvcc_hash_attach(struct mvcc_hash *h)
{
    ensure(!h->is_attached && h->store->holds > 0);
    h->is_attached = true;
    h->store->holds--;
}

static int keep_order(const void *x, const void *y)
{
    const struct mvcc_item *a = x;
    const struct mvcc_item *b = y;
    if (a->main != b->main) {
        return a->main < b->main ? -1 : 1;
    }
    return a->sub < b->sub ? -1 : (a->sub > b->sub ? 1 : 0);
}

static void run_begin(struct mvcc_hash *h)
{
    ensure(h->is_collected);
    if (h->keep_len > 0) {
        qsort(h->keep, h->keep_len, sizeof(*h->keep), keep_order);
    }
    mvcc_hasher_init(&h->hasher, h->rev, h->compact_rev, h->keep, h->keep_len, h->is_keep_empty);
    h->is_running = true;
}

int mvcc_hash_run(struct mvcc_hash *h, const struct mvcc_source *records, size_t records_max)
{
    if (!h->is_running) {
        run_begin(h);
    }
    for (size_t i = 0; i < records_max; i++) {
        struct slice key;
        struct slice value;
        int err = records->next(records->arg, &key, &value);
        if (err == ERR_END) {
            h->is_done = true;
            return 0;
        }
        err = err != 0 ? err : mvcc_hasher_add(&h->hasher, key, value);
        if (err != 0) {
            return err;
        }
    }
    return ERR_AGAIN;
}

struct mvcc_hash_value mvcc_hash_result(const struct mvcc_hash *h)
{
    return (struct mvcc_hash_value){h->hasher.crc, h->compact_rev, h->rev};
}

void hashes_add(struct mvcc_store *s, struct mvcc_hash_value value)
{
    size_t at = s->hashes_len;
    while (at > 0 && s->hashes[at - 1].rev > value.rev) {
        at--;
    }
    if (s->hashes_len == MVCC_HASHES_MAX) {
        if (at == 0) {
            return;
        }
        memmove(&s->hashes[0], &s->hashes[1], (at - 1) * sizeof(s->hashes[0]));
        s->hashes[at - 1] = value;
        return;
    }
    memmove(&s->hashes[at + 1], &s->hashes[at], (s->hashes_len - at) * sizeof(s->hashes[0]));
    s->hashes[at] = value;
    s->hashes_len++;
}

size_t mvcc_hash_cached(const struct mvcc_store *s, struct mvcc_hash_value out[MVCC_HASHES_MAX])
{
    memcpy(out, s->hashes, s->hashes_len * sizeof(s->hashes[0]));
    return s->hashes_len;
}

void mvcc_compact_hash_skip(struct mvcc_store *s)
{
    s->compaction.needs_hash = false;
}

void mvcc_hash_end(struct mvcc_hash *h, bool is_ok)
{
    struct mvcc_store *s = h->store;
    if (!h->is_attached) {
        s->holds--;
    }
    mvcc_pin_remove(&h->pin);
    if (h->is_compaction && s->compaction.target == h->rev) {
        s->compaction.needs_hash = false;
        if (is_ok && h->is_done) {
            hashes_add(s, mvcc_hash_result(h));
        }
    }
    mem_free(h->keep);
    buf_deinit(&h->key);
    mem_free(h);
}
