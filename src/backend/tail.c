/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/tail.h"

#include <string.h>

enum { TAIL_RING_MIN = 64, TAIL_SLAB_BYTES = 256 * 1024 };

void *tail_ring_at(const struct tail_ring *r, uint64_t seq)
{
    ensure(seq >= r->first && seq < r->end);
    return r->data + ((size_t)seq & (r->cap - 1)) * r->elem;
}

static void ring_grow(struct tail_ring *r)
{
    size_t cap = r->cap == 0 ? TAIL_RING_MIN : r->cap * 2;
    uint8_t *data = mem_alloc_array(cap, r->elem);
    for (uint64_t seq = r->first; seq < r->end; seq++) {
        memcpy(data + ((size_t)seq & (cap - 1)) * r->elem, tail_ring_at(r, seq), r->elem);
    }
    mem_free(r->data);
    r->data = data;
    r->cap = cap;
}

void *tail_ring_push(struct tail_ring *r)
{
    if (r->end - r->first == r->cap) {
        ring_grow(r);
    }
    r->end++;
    return tail_ring_at(r, r->end - 1);
}

static void ring_init(struct tail_ring *r, size_t elem)
{
    *r = (struct tail_ring){.elem = elem};
}

void tail_init(struct tail *t)
{
    *t = (struct tail){0};
    ring_init(&t->records, sizeof(struct tail_record));
    ring_init(&t->ops, sizeof(struct tail_op));
    ring_init(&t->marks, sizeof(struct tail_mark));
    ring_init(&t->slabs, sizeof(struct tail_slab));
}

static void slab_release(struct tail *t, struct tail_slab *s)
{
    t->bytes -= s->len;
    if (s->cap == TAIL_SLAB_BYTES && t->spare == NULL) {
        t->spare = s->data;
    } else {
        mem_free(s->data);
    }
}

void tail_deinit(struct tail *t)
{
    for (uint64_t i = t->slabs.first; i < t->slabs.end; i++) {
        slab_release(t, tail_ring_at(&t->slabs, i));
    }
    mem_free(t->spare);
    mem_free(t->records.data);
    mem_free(t->ops.data);
    mem_free(t->marks.data);
    mem_free(t->slabs.data);
}

uint8_t *tail_bytes(struct tail *t, size_t len)
{
    struct tail_slab *s = NULL;
    if (t->slabs.end > t->slabs.first) {
        s = tail_ring_at(&t->slabs, t->slabs.end - 1);
    }
    if (s == NULL || s->cap - s->len < len) {
        s = tail_ring_push(&t->slabs);
        bool is_usual = len <= TAIL_SLAB_BYTES;
        *s = (struct tail_slab){.cap = is_usual ? TAIL_SLAB_BYTES : len};
        if (is_usual && t->spare != NULL) {
            s->data = t->spare;
            t->spare = NULL;
        } else {
            s->data = mem_alloc(s->cap);
        }
    }
    uint8_t *p = s->data + s->len;
    s->len += len;
    t->bytes += len;
    return p;
}

struct slice tail_copy(struct tail *t, struct slice s)
{
    if (s.len == 0) {
        return SLICE_NULL;
    }
    uint8_t *p = tail_bytes(t, s.len);
    memcpy(p, s.data, s.len);
    return slice_make(p, s.len);
}

static int rev_compare(struct backend_rev a, struct backend_rev b)
{
    if (a.main != b.main) {
        return a.main < b.main ? -1 : 1;
    }
    return a.sub == b.sub ? 0 : (a.sub < b.sub ? -1 : 1);
}

const struct tail_record *tail_from(const struct tail *t, struct backend_rev rev)
{
    uint64_t lo = t->records.first, hi = t->records.end;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        const struct tail_record *r = tail_ring_at(&t->records, mid);
        if (rev_compare(r->rev, rev) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < t->records.end ? tail_ring_at(&t->records, lo) : NULL;
}

const struct tail_record *tail_find(const struct tail *t, struct backend_rev rev)
{
    const struct tail_record *r = tail_from(t, rev);
    bool is_it =
        r != NULL && rev_compare(r->rev, rev) == 0 && r->rev.is_tombstone == rev.is_tombstone;
    return is_it ? r : NULL;
}

void tail_drop(struct tail *t, const struct tail_mark *upto)
{
    struct tail_mark m = *upto;
    ensure(m.record_end >= t->records.first && m.record_end <= t->records.end);
    t->records.first = m.record_end;
    t->ops.first = m.op_end;
    while (t->marks.first < t->marks.end) {
        const struct tail_mark *front = tail_ring_at(&t->marks, t->marks.first);
        if (front->index > m.index || front->record_end > m.record_end ||
            front->op_end > m.op_end) {
            break;
        }
        t->marks.first++;
    }
    /* The slab that was open at the mark may hold bytes of what came later: it stays. */
    while (t->slabs.first + 1 < m.slab_end) {
        slab_release(t, tail_ring_at(&t->slabs, t->slabs.first));
        t->slabs.first++;
    }
    bool is_empty = t->records.first == t->records.end && t->ops.first == t->ops.end;
    while (is_empty && t->slabs.first < t->slabs.end) {
        slab_release(t, tail_ring_at(&t->slabs, t->slabs.first));
        t->slabs.first++;
    }
}

void tail_check(const struct tail *t)
{
    struct backend_rev last = {0, -1, false};
    for (uint64_t i = t->records.first; i < t->records.end; i++) {
        const struct tail_record *r = tail_ring_at(&t->records, i);
        ensure(rev_compare(last, r->rev) < 0);
        last = r->rev;
    }
    uint64_t index = 0, record_end = 0, op_end = 0;
    for (uint64_t i = t->marks.first; i < t->marks.end; i++) {
        const struct tail_mark *m = tail_ring_at(&t->marks, i);
        ensure(m->index >= index && m->record_end >= record_end && m->op_end >= op_end);
        ensure(m->record_end <= t->records.end && m->op_end <= t->ops.end);
        index = m->index;
        record_end = m->record_end;
        op_end = m->op_end;
    }
}
