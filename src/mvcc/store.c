/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/store: life of a store: create, restore, destroy, check.
 */
#include "mvcc/store.h"

#include "base/err.h"
#include "lease/lessor.h"
#include "schema/level.h"

struct mvcc_store *mvcc_create(const struct mvcc_options *opts)
{
    struct mvcc_store *s = mem_zalloc(sizeof(*s));
    s->opts = *opts;
    if (s->opts.rules == NULL) {
        s->opts.rules = level_rules(LEVEL_NEW);
    }
    s->current_rev = 1;
    s->compact_rev = -1;
    s->scheduled_rev = -1;
    s->finished_rev = -1;
    keyindex_init(&s->index);
    list_init(&s->pins);
    compact_init(s);
    return s;
}

void mvcc_rules_set(struct mvcc_store *s, const struct level_rules *rules)
{
    s->opts.rules = rules;
}

void mvcc_destroy(struct mvcc_store *s)
{
    if (s == NULL) {
        return;
    }
    ensure(list_is_empty(&s->pins));
    keyindex_deinit(&s->index);
    compact_deinit(s);
    buf_deinit(&s->path);
    mem_free(s);
}

int64_t mvcc_rev(const struct mvcc_store *s)
{
    return s->current_rev;
}

int64_t mvcc_compact_rev(const struct mvcc_store *s)
{
    return s->compact_rev;
}

uint64_t mvcc_key_count(const struct mvcc_store *s)
{
    return s->index.tree.live.count;
}

const struct mvcc_counts *mvcc_counts(const struct mvcc_store *s)
{
    return &s->counts;
}

void mvcc_pin_add(struct mvcc_store *s, struct mvcc_pin *pin, int64_t rev)
{
    pin->rev = rev;
    list_push_back(&s->pins, &pin->node);
}

void mvcc_pin_remove(struct mvcc_pin *pin)
{
    list_remove(&pin->node);
}

bool mvcc_is_pinned(const struct mvcc_store *s)
{
    return !list_is_empty(&s->pins);
}

/* ---- restore ---- */

static int restore_record(struct keyindex *x, struct slice key, struct slice value,
                          int64_t *last_main)
{
    struct backend_rev rev;
    struct wire_kv kv;
    int err = backend_rev_decode(key, &rev);
    if (err == 0) {
        err = wire_kv_decode(value, &kv);
    }
    if (err != 0) {
        return err;
    }
    if (rev.main < *last_main || rev.main == INT64_MAX || rev.sub < 0 || rev.sub > KEYREC_SUB_MAX ||
        kv.key.len > KEYREC_KEY_MAX || value.len > INT32_MAX) {
        return ERR_CORRUPT;
    }
    *last_main = rev.main;
    struct keyrec_state state = {rev.main, rev.sub, kv.create_revision, kv.version,
                                 (uint32_t)value.len};
    enum keyindex_restored how =
        rev.is_tombstone ? keyindex_restore_tombstone(x, kv.key, rev.main, rev.sub, state.len)
                         : keyindex_restore_put(x, kv.key, &state, kv.lease);
    return how == KEYINDEX_BROKEN ? ERR_CORRUPT : 0;
}

int restore_records(struct keyindex *x, const struct mvcc_source *records, int64_t *last_main)
{
    struct slice key;
    struct slice value;
    int err = 0;
    while (err == 0) {
        err = records->next(records->arg, &key, &value);
        if (err == 0) {
            err = restore_record(x, key, value, last_main);
        }
    }
    return err == ERR_END ? 0 : err;
}

/* The newest put of every key decides (storage-formats 6.3). */
static void leases_attach(struct mvcc_store *s)
{
    struct keytree_path path;
    const struct keyrec *rec = keytree_seek(&s->index.tree, SLICE_NULL, &path);
    for (; rec != NULL; rec = keytree_next(&s->index.tree, &path)) {
        if (rec->lease != 0 && !lessor_attach(s->opts.lessor, rec->lease, keyrec_key(rec))) {
            s->has_stray_leases = true;
        }
    }
}

int mvcc_restore(struct mvcc_store *s, const struct mvcc_source *records, int64_t finished,
                 int64_t scheduled)
{
    ensure(list_is_empty(&s->pins) && s->txn_main == 0 && s->holds == 0);
    keyindex_deinit(&s->index);
    keyindex_init(&s->index);
    compact_deinit(s);
    compact_init(s);
    s->has_stray_leases = false;
    s->hashes_len = 0;
    int64_t last_main = 1;
    int err = restore_records(&s->index, records, &last_main);
    if (err != 0) {
        keyindex_deinit(&s->index);
        keyindex_init(&s->index);
        s->current_rev = 1;
        s->compact_rev = -1;
        return err;
    }
    s->compact_rev = finished;
    s->finished_rev = finished;
    s->scheduled_rev = scheduled;
    s->current_rev = last_main > finished ? last_main : finished;
    s->current_rev = s->current_rev > scheduled ? s->current_rev : scheduled;
    leases_attach(s);
    compact_resume(s, scheduled);
    return 0;
}

/* ---- check ---- */

void mvcc_check(const struct mvcc_store *s)
{
    ensure(s->current_rev >= 1 && s->compact_rev >= -1 && s->compact_rev <= s->current_rev);
    ensure(s->txn_main == 0 && s->txn_sub == 0 && s->revoking == 0);
    keyindex_check(&s->index);
    struct keytree_path path;
    const struct keyrec *rec = keytree_seek(&s->index.tree, SLICE_NULL, &path);
    for (; rec != NULL; rec = keytree_next(&s->index.tree, &path)) {
        ensure(keyrec_revs(rec)[rec->count - 1].main <= s->current_rev);
    }
    for (size_t i = 1; i < s->hashes_len; i++) {
        ensure(s->hashes[i - 1].rev <= s->hashes[i].rev);
    }
}

bool mvcc_check_records(const struct mvcc_store *s, const struct mvcc_source *records)
{
    struct keyindex x;
    keyindex_init(&x);
    int64_t last_main = 1;
    bool is_equal = restore_records(&x, records, &last_main) == 0 && keyindex_equal(&s->index, &x);
    keyindex_deinit(&x);
    return is_equal;
}
