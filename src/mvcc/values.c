/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/values: the value set of one request.
 *
 * Problem     A write must not find out halfway that a page is cold; and what was warm a moment ago
 *             may be evicted by a work thread.
 * Design      A set of (revision, bytes). Prefetch takes what is in memory into the set: the first
 *             MVCC_HELD_MAX as references that keep the page, the others as copies. What is cold is
 *             listed, read by a fetch and added as a copy. References are dropped when the round
 *             ends cold, because bytes of the tail do not outlive the turn; copies stay.
 * Invariants  I1 a slot of the table is 0 or 1 + the position of an entry.
 * Thread      main loop; mvcc_fetch_run: any.
 */
#include "base/err.h"
#include "mvcc/store.h"

enum { MVCC_HELD_MAX = 64, SLOTS_MIN = 16 };

struct entry {
    int64_t main;
    int64_t sub;
    struct slice bytes;
    struct backend_record record; /* is_held */
    bool is_held;
};

struct mvcc_values {
    struct mvcc_store *store;
    struct arena bytes;
    struct entry *entries;
    uint32_t *slots;
    size_t len;
    size_t cap;
    size_t slots_cap; /* power of two */
    size_t held;
    struct backend_rev *missing;
    size_t missing_len;
    size_t missing_cap;
};

struct mvcc_values *mvcc_values_create(struct mvcc_store *s)
{
    struct mvcc_values *v = mem_zalloc(sizeof(*v));
    v->store = s;
    arena_init(&v->bytes, 0);
    return v;
}

static void held_release(struct mvcc_values *v)
{
    for (size_t i = 0; v->held > 0 && i < v->len; i++) {
        if (v->entries[i].is_held) {
            backend_record_release(&v->entries[i].record);
            v->held--;
        }
    }
}

void mvcc_values_clear(struct mvcc_values *v)
{
    held_release(v);
    if (v->len > 0) {
        memset(v->slots, 0, v->slots_cap * sizeof(*v->slots));
    }
    v->len = 0;
    v->missing_len = 0;
    arena_reset(&v->bytes);
}

void mvcc_values_destroy(struct mvcc_values *v)
{
    if (v == NULL) {
        return;
    }
    held_release(v);
    arena_deinit(&v->bytes);
    mem_free(v->entries);
    mem_free(v->slots);
    mem_free(v->missing);
    mem_free(v);
}

static size_t slot_of(const struct mvcc_values *v, int64_t main, int64_t sub)
{
    uint64_t h = ((uint64_t)main * UINT64_C(0x9e3779b97f4a7c15)) ^
                 ((uint64_t)sub * UINT64_C(0xc2b2ae3d27d4eb4f));
    h ^= h >> 29;
    return (size_t)(h * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (v->slots_cap - 1);
}

static struct entry *entry_find(const struct mvcc_values *v, int64_t main, int64_t sub)
{
    if (v->len == 0) {
        return NULL;
    }
    for (size_t i = slot_of(v, main, sub); v->slots[i] != 0; i = (i + 1) & (v->slots_cap - 1)) {
        struct entry *e = &v->entries[v->slots[i] - 1];
        if (e->main == main && e->sub == sub) {
            return e;
        }
    }
    return NULL;
}

static void slot_fill(struct mvcc_values *v, size_t entry)
{
    size_t i = slot_of(v, v->entries[entry].main, v->entries[entry].sub);
    while (v->slots[i] != 0) {
        i = (i + 1) & (v->slots_cap - 1);
    }
    v->slots[i] = (uint32_t)entry + 1;
}

static void slots_remake(struct mvcc_values *v, size_t cap)
{
    if (cap != v->slots_cap) {
        mem_free(v->slots);
        v->slots = mem_alloc_array(cap, sizeof(*v->slots));
        v->slots_cap = cap;
    }
    memset(v->slots, 0, cap * sizeof(*v->slots));
    for (size_t i = 0; i < v->len; i++) {
        slot_fill(v, i);
    }
}

static struct entry *entry_add(struct mvcc_values *v, int64_t main, int64_t sub)
{
    ensure(v->len < UINT32_MAX / 4);
    if (v->len == v->cap) {
        v->cap = v->cap == 0 ? SLOTS_MIN / 2 : v->cap * 2;
        v->entries = mem_realloc(v->entries, v->cap * sizeof(*v->entries));
        slots_remake(v, v->cap * 2);
    }
    struct entry *e = &v->entries[v->len++];
    *e = (struct entry){.main = main, .sub = sub};
    slot_fill(v, v->len - 1);
    return e;
}

static void entry_copy(struct mvcc_values *v, struct entry *e, struct slice bytes)
{
    uint8_t *p = arena_alloc(&v->bytes, bytes.len);
    if (bytes.len > 0) {
        memcpy(p, bytes.data, bytes.len);
    }
    e->bytes = slice_make(p, bytes.len);
}

void mvcc_values_add(struct mvcc_values *v, struct backend_rev rev, struct slice stored)
{
    if (entry_find(v, rev.main, rev.sub) == NULL) {
        entry_copy(v, entry_add(v, rev.main, rev.sub), stored);
    }
}

/* ---- prefetch ---- */

/* Drops the references; they were good for one turn. */
static void held_drop(struct mvcc_values *v)
{
    if (v->held == 0) {
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < v->len; i++) {
        if (v->entries[i].is_held) {
            backend_record_release(&v->entries[i].record);
        } else {
            v->entries[kept++] = v->entries[i];
        }
    }
    v->len = kept;
    v->held = 0;
    slots_remake(v, v->slots_cap);
}

void values_round(struct mvcc_values *v)
{
    held_drop(v);
    v->missing_len = 0;
}

static void missing_add(struct mvcc_values *v, int64_t main, int64_t sub)
{
    if (v->missing_len == v->missing_cap) {
        v->missing_cap = v->missing_cap == 0 ? SLOTS_MIN : v->missing_cap * 2;
        v->missing = mem_realloc(v->missing, v->missing_cap * sizeof(*v->missing));
    }
    v->missing[v->missing_len++] = (struct backend_rev){main, sub, false};
}

int values_need(struct mvcc_values *v, int64_t main, int64_t sub)
{
    if (entry_find(v, main, sub) != NULL) {
        return 0;
    }
    struct backend_record record;
    int err =
        backend_record_get(v->store->opts.backend, (struct backend_rev){main, sub, false}, &record);
    if (err == ERR_COLD) {
        missing_add(v, main, sub);
        return 0;
    }
    if (err != 0) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    struct entry *e = entry_add(v, main, sub);
    if (v->held < MVCC_HELD_MAX) {
        e->bytes = record.value;
        e->record = record;
        e->is_held = true;
        v->held++;
    } else {
        entry_copy(v, e, record.value);
        backend_record_release(&record);
    }
    return 0;
}

int values_done(struct mvcc_values *v)
{
    if (v->missing_len == 0) {
        return 0;
    }
    held_drop(v);
    return ERR_COLD;
}

size_t mvcc_values_missing_count(const struct mvcc_values *v)
{
    return v->missing_len;
}

/* ---- lookup ---- */

struct slice values_at_hand(const struct mvcc_values *v, int64_t main, int64_t sub)
{
    const struct entry *e = entry_find(v, main, sub);
    ensure(e != NULL);
    return e->bytes;
}

int value_get(const struct mvcc_store *s, const struct mvcc_values *v, int64_t main, int64_t sub,
              struct value_ref *out)
{
    const struct entry *e = v == NULL ? NULL : entry_find(v, main, sub);
    if (e != NULL) {
        *out = (struct value_ref){.bytes = e->bytes};
        return 0;
    }
    struct value_ref r = {.bytes = SLICE_NULL};
    int err =
        backend_record_get(s->opts.backend, (struct backend_rev){main, sub, false}, &r.record);
    if (err != 0) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    r.bytes = r.record.value;
    *out = r;
    return 0;
}

void value_release(struct value_ref *r)
{
    if (r->record.value.data != NULL) {
        backend_record_release(&r->record);
    }
    *r = (struct value_ref){.bytes = SLICE_NULL};
}

/* ---- fetch ---- */

struct mvcc_fetch {
    struct arena bytes;
    size_t count;
    size_t done;
    struct slice *values;
    struct backend_rev revs[];
};

struct mvcc_fetch *mvcc_fetch_create(const struct mvcc_values *v)
{
    struct mvcc_fetch *f = mem_alloc(sizeof(*f) + v->missing_len * sizeof(f->revs[0]));
    arena_init(&f->bytes, 0);
    f->count = v->missing_len;
    f->done = 0;
    f->values = mem_alloc_array(f->count, sizeof(*f->values));
    if (f->count > 0) {
        memcpy(f->revs, v->missing, f->count * sizeof(f->revs[0]));
    }
    return f;
}

int mvcc_fetch_run(struct mvcc_fetch *f, struct backend_view *view)
{
    for (; f->done < f->count; f->done++) {
        struct backend_record record;
        int err = backend_view_record_get(view, f->revs[f->done], &record);
        if (err != 0) {
            return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
        }
        size_t len = record.value.len;
        uint8_t *p = arena_try_alloc(&f->bytes, len);
        if (p != NULL && len > 0) {
            memcpy(p, record.value.data, len);
        }
        backend_record_release(&record);
        if (p == NULL) {
            return ERR_NOMEM;
        }
        f->values[f->done] = slice_make(p, len);
    }
    return 0;
}

void mvcc_fetch_finish(struct mvcc_fetch *f, struct mvcc_values *v)
{
    for (size_t i = 0; v != NULL && i < f->done; i++) {
        mvcc_values_add(v, f->revs[i], f->values[i]);
    }
    arena_deinit(&f->bytes);
    mem_free(f->values);
    mem_free(f);
}
