/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/log.h"

#include <string.h>

#include "base/bytes.h"
#include "raft/outbox.h"

enum { LOG_CAP_MIN = 64 };

static void make_room(struct raft_log *l, size_t count);
static void truncate_from(struct raft_log *l, raft_index from);
static void drop_front(struct raft_log *l);
static void add_run(struct raft_log *l, raft_index first, raft_term term);
static raft_index max_appliable(const struct raft_log *l, bool allow_unstable);
static size_t run_at(const struct raft_log *l, raft_index index);

void raft_log_init(struct raft_log *l, struct raft_entry_id base, size_t bytes_max,
                   uint64_t applying_bytes_max)
{
    *l = (struct raft_log){
        .mem_first = base.index + 1,
        .base = base,
        .bytes_max = bytes_max,
        .committed = base.index,
        .applying = base.index,
        .applied = base.index,
        .applying_bytes_max = applying_bytes_max,
        .unstable_first = base.index + 1,
        .unwritten_first = base.index + 1,
    };
    ensure(applying_bytes_max > 0);
}

void raft_log_deinit(struct raft_log *l)
{
    while (l->len > 0) {
        drop_front(l);
    }
    mem_free(l->array);
    mem_free(l->runs);
    l->array = NULL;
    l->runs = NULL;
}

raft_index raft_log_last(const struct raft_log *l)
{
    return l->mem_first + l->len - 1;
}

struct raft_entry_id raft_log_last_id(const struct raft_log *l)
{
    raft_index last = raft_log_last(l);
    raft_term term = 0;
    bool found = raft_log_term_at(l, last, &term);
    ensure(found);
    return (struct raft_entry_id){term, last};
}

bool raft_log_term_at(const struct raft_log *l, raft_index index, raft_term *out_term)
{
    if (index < l->base.index || index > raft_log_last(l)) {
        return false;
    }
    if (index == l->base.index) {
        *out_term = l->base.term;
    } else if (index >= l->mem_first) {
        *out_term = raft_log_at(l, index)->term;
    } else {
        *out_term = l->runs[run_at(l, index)].term;
    }
    return true;
}

raft_term raft_log_term_or_zero(const struct raft_log *l, raft_index index)
{
    raft_term term = 0;
    return raft_log_term_at(l, index, &term) ? term : 0;
}

bool raft_log_matches(const struct raft_log *l, struct raft_entry_id id)
{
    raft_term term;
    return raft_log_term_at(l, id.index, &term) && term == id.term;
}

bool raft_log_is_up_to_date(const struct raft_log *l, struct raft_entry_id last)
{
    struct raft_entry_id ours = raft_log_last_id(l);
    return last.term > ours.term || (last.term == ours.term && last.index >= ours.index);
}

struct raft_entry *raft_log_at(const struct raft_log *l, raft_index index)
{
    ensure(index >= l->mem_first && index - l->mem_first < l->len);
    return &l->array[l->head + (index - l->mem_first)];
}

raft_index raft_log_find_by_term(const struct raft_log *l, raft_index index, raft_term term,
                                 raft_term *out_term)
{
    *out_term = 0;
    if (index > raft_log_last(l) || index < l->base.index) {
        return index; /* unknown there, so it may match */
    }
    while (index > l->base.index) {
        const struct raft_term_run *run = &l->runs[run_at(l, index)];
        if (run->term <= term) {
            *out_term = run->term;
            return index;
        }
        index = run->first - 1 > l->base.index ? run->first - 1 : l->base.index;
    }
    if (index == 0) {
        return 0;
    }
    if (l->base.term <= term) {
        *out_term = l->base.term;
        return index;
    }
    return index - 1;
}

size_t raft_log_limit(const struct raft_log *l, raft_index lo, raft_index hi, uint64_t bytes_max)
{
    uint64_t bytes = 0;
    for (raft_index i = lo; i < hi; i++) {
        bytes += raft_entry_encoded_size(raft_log_at(l, i));
        if (bytes > bytes_max && i > lo) {
            return (size_t)(i - lo);
        }
    }
    return (size_t)(hi - lo);
}

bool raft_log_has_unstable(const struct raft_log *l)
{
    return l->unstable_first <= raft_log_last(l);
}

struct raft_entry *raft_log_reserve(struct raft_log *l, size_t count)
{
    make_room(l, count);
    return &l->array[l->head + l->len];
}

void raft_log_publish(struct raft_log *l, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct raft_entry *e = &l->array[l->head + l->len];
        ensure(e->index == raft_log_last(l) + 1);
        l->len++;
        l->bytes += raft_entry_memory(e);
        add_run(l, e->index, e->term);
    }
}

void raft_log_append(struct raft_log *l, const struct raft_entry *entries, size_t count)
{
    raft_index from = entries[0].index;
    ensure(count > 0 && from > l->committed && from <= raft_log_last(l) + 1);
    if (from <= raft_log_last(l)) {
        if (from <= l->unstable_first) {
            RAFT_TRACE(l->tracer, RAFT_TRACE_LOG_REPLACED, from);
            l->unstable_first = from;
            l->unwritten_first = from;
        } else {
            RAFT_TRACE(l->tracer, RAFT_TRACE_LOG_TRUNCATED, from);
            l->unwritten_first = l->unwritten_first < from ? l->unwritten_first : from;
        }
        truncate_from(l, from);
    }
    struct raft_entry *slots = raft_log_reserve(l, count);
    memcpy(slots, entries, count * sizeof(*slots));
    for (size_t i = 0; i < count; i++) {
        rcbuf_ref(slots[i].owner);
    }
    raft_log_publish(l, count);
}

raft_index raft_log_find_conflict(const struct raft_log *l, const struct raft_entry *entries,
                                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct raft_entry *e = &entries[i];
        if (!raft_log_matches(l, (struct raft_entry_id){e->term, e->index})) {
            if (e->index <= raft_log_last(l)) {
                RAFT_TRACE(l->tracer, RAFT_TRACE_LOG_CONFLICT, e->index,
                           raft_log_term_or_zero(l, e->index), e->term);
            }
            return e->index;
        }
    }
    return 0;
}

void raft_log_restore(struct raft_log *l, const struct raft_snapshot *snapshot)
{
    ensure(snapshot->meta.index > l->committed);
    RAFT_TRACE(l->tracer, RAFT_TRACE_RESTORING, snapshot->meta.index, snapshot->meta.term);
    while (l->len > 0) {
        drop_front(l);
    }
    l->base = (struct raft_entry_id){snapshot->meta.term, snapshot->meta.index};
    l->mem_first = l->base.index + 1;
    l->run_count = 0;
    l->committed = l->base.index;
    /* What was handed out before is acknowledged without a size: it is not in memory any more. */
    l->applying_bytes = 0;
    l->applying_paused = false;
    l->unstable_first = l->mem_first;
    l->unwritten_first = l->mem_first;
    l->snapshot = *snapshot;
    l->has_snapshot = true;
    l->snapshot_is_written = false;
}

void raft_log_commit_to(struct raft_log *l, raft_index index)
{
    if (index > l->committed) {
        ensure(index <= raft_log_last(l));
        l->committed = index;
    }
}

const struct raft_entry *raft_log_next_committed(const struct raft_log *l, bool allow_unstable,
                                                 size_t *out_count)
{
    *out_count = 0;
    if (!raft_log_has_next_committed(l, allow_unstable)) {
        return NULL;
    }
    ensure(l->applying_bytes < l->applying_bytes_max);
    *out_count = raft_log_limit(l, l->applying + 1, max_appliable(l, allow_unstable) + 1,
                                l->applying_bytes_max - l->applying_bytes);
    return raft_log_at(l, l->applying + 1);
}

bool raft_log_has_next_committed(const struct raft_log *l, bool allow_unstable)
{
    /* With a snapshot to install it would not be clear what comes first. */
    return !l->applying_paused && !l->has_snapshot &&
           l->applying < max_appliable(l, allow_unstable);
}

void raft_log_accept_applying(struct raft_log *l, raft_index index, bool allow_unstable)
{
    ensure(index <= l->committed && index > l->applying);
    for (raft_index i = l->applying + 1; i <= index; i++) {
        l->applying_bytes += raft_entry_encoded_size(raft_log_at(l, i));
    }
    l->applying = index;
    /* Stopping short of what may be applied means that the next entry did not fit. */
    l->applying_paused =
        l->applying_bytes >= l->applying_bytes_max || index < max_appliable(l, allow_unstable);
}

uint64_t raft_log_applied_to(struct raft_log *l, raft_index index)
{
    uint64_t payload = 0;
    uint64_t encoded = 0;
    ensure(index >= l->applied && index <= l->committed);
    raft_index first = l->applied + 1 > l->mem_first ? l->applied + 1 : l->mem_first;
    for (raft_index i = first; i <= index; i++) {
        payload += raft_log_at(l, i)->data.len;
        encoded += raft_entry_encoded_size(raft_log_at(l, i));
    }
    l->applied = index;
    l->applying = l->applying > index ? l->applying : index;
    l->applying_bytes -= encoded < l->applying_bytes ? encoded : l->applying_bytes;
    l->applying_paused = l->applying_bytes >= l->applying_bytes_max;
    raft_log_maybe_evict(l);
    return payload;
}

void raft_log_accept_unstable(struct raft_log *l)
{
    if (raft_log_has_unstable(l)) {
        l->unwritten_first = raft_log_last(l) + 1;
    }
    l->snapshot_is_written = l->has_snapshot;
}

void raft_log_stable_to(struct raft_log *l, struct raft_entry_id id)
{
    if (id.index < l->unstable_first && l->has_snapshot && id.index == l->base.index) {
        RAFT_TRACE(l->tracer, RAFT_TRACE_STABLE_SNAPSHOT, id.index);
        return;
    }
    if (id.index < l->unstable_first || id.index > raft_log_last(l)) {
        RAFT_TRACE(l->tracer, RAFT_TRACE_STABLE_MISSING, id.index);
        return;
    }
    raft_term term = raft_log_at(l, id.index)->term;
    if (term != id.term) {
        RAFT_TRACE(l->tracer, RAFT_TRACE_STABLE_MISMATCH, id.index, id.term, term);
        return; /* replaced while it was being written */
    }
    l->unstable_first = id.index + 1;
    if (l->unwritten_first < l->unstable_first) {
        l->unwritten_first = l->unstable_first;
    }
    raft_log_maybe_evict(l);
}

void raft_log_snapshot_installed(struct raft_log *l, raft_index index)
{
    if (l->has_snapshot && l->snapshot.meta.index == index) {
        l->has_snapshot = false;
        l->snapshot_is_written = false;
    }
}

void raft_log_forget_to(struct raft_log *l, raft_index index)
{
    if (index <= l->base.index) {
        return;
    }
    ensure(index <= l->applied && index < l->unstable_first);
    l->base = (struct raft_entry_id){raft_log_term_or_zero(l, index), index};
    while (l->len > 0 && l->mem_first <= index) {
        drop_front(l);
    }
    l->mem_first = l->mem_first > index ? l->mem_first : index + 1;
    size_t gone = 0;
    while (gone + 1 < l->run_count && l->runs[gone + 1].first <= index + 1) {
        gone++;
    }
    l->run_count -= gone;
    memmove(l->runs, l->runs + gone, l->run_count * sizeof(l->runs[0]));
}

void raft_log_maybe_evict(struct raft_log *l)
{
    while (l->bytes > l->bytes_max && l->len > 0 && l->mem_first <= l->applied &&
           l->mem_first < l->unstable_first) {
        drop_front(l);
    }
}

static void check_order(const struct raft_log *l)
{
    raft_index last = raft_log_last(l);
    ensure(l->base.index < l->mem_first && l->base.index <= l->committed);
    ensure(l->applied <= l->applying && l->applying <= l->committed && l->committed <= last);
    ensure(l->has_snapshot || l->base.index <= l->applied);
    ensure(l->has_snapshot ? l->mem_first == l->base.index + 1 : l->mem_first - 1 <= l->applied);
    ensure(l->mem_first <= l->unstable_first && l->unstable_first <= l->unwritten_first);
    ensure(l->unwritten_first <= last + 1);
    ensure(!l->has_snapshot || l->snapshot.meta.index == l->base.index);
}

void raft_log_check(const struct raft_log *l)
{
    size_t bytes = 0;
    raft_term before = l->base.term;
    check_order(l);
    for (raft_index i = l->mem_first; i <= raft_log_last(l); i++) {
        const struct raft_entry *e = raft_log_at(l, i);
        bytes += raft_entry_memory(e);
        ensure(e->index == i && e->term >= before);
        ensure(l->runs[run_at(l, i)].term == e->term);
        before = e->term;
    }
    ensure(bytes == l->bytes);
    for (size_t i = 1; i < l->run_count; i++) {
        ensure(l->runs[i - 1].first < l->runs[i].first && l->runs[i - 1].term < l->runs[i].term);
    }
}

uint64_t raft_entry_encoded_size(const struct raft_entry *e)
{
    uint64_t size = 4 + varint_len(e->term) + varint_len(e->index);
    return e->data.data == NULL ? size : size + 1 + varint_len(e->data.len) + e->data.len;
}

/* Room for count entries behind the last one. */
static void make_room(struct raft_log *l, size_t count)
{
    size_t needed = l->len + count;
    if (l->head + needed <= l->cap) {
        return;
    }
    if (needed > l->cap / 2) {
        size_t cap = needed * 2 > LOG_CAP_MIN ? needed * 2 : LOG_CAP_MIN;
        struct raft_entry *array = mem_alloc_array(cap, sizeof(*array));
        if (l->len > 0) {
            memcpy(array, &l->array[l->head], l->len * sizeof(*array));
        }
        mem_free(l->array);
        l->array = array;
        l->cap = cap;
    } else {
        memmove(l->array, &l->array[l->head], l->len * sizeof(l->array[0]));
    }
    l->head = 0;
}

static void truncate_from(struct raft_log *l, raft_index from)
{
    ensure(from > l->committed && from >= l->mem_first);
    while (raft_log_last(l) >= from) {
        struct raft_entry *e = raft_log_at(l, raft_log_last(l));
        l->bytes -= raft_entry_memory(e);
        raft_outbox_bury(l->outbox, e->owner);
        l->len--;
    }
    while (l->run_count > 0 && l->runs[l->run_count - 1].first >= from) {
        l->run_count--;
    }
}

static void drop_front(struct raft_log *l)
{
    struct raft_entry *e = &l->array[l->head];
    l->bytes -= raft_entry_memory(e);
    raft_outbox_bury(l->outbox, e->owner);
    l->head++;
    l->len--;
    l->mem_first++;
}

static void add_run(struct raft_log *l, raft_index first, raft_term term)
{
    if (l->run_count > 0 && l->runs[l->run_count - 1].term == term) {
        return;
    }
    ensure(l->run_count == 0 ? term >= l->base.term : l->runs[l->run_count - 1].term < term);
    l->runs = raft_vec_grow(l->runs, l->run_count, &l->run_cap, sizeof(l->runs[0]));
    l->runs[l->run_count++] = (struct raft_term_run){first, term};
}

static raft_index max_appliable(const struct raft_log *l, bool allow_unstable)
{
    if (allow_unstable || l->committed < l->unstable_first) {
        return l->committed;
    }
    return l->unstable_first - 1;
}

/* The run of an entry in (base, last]; searched from the end, where the questions are. */
static size_t run_at(const struct raft_log *l, raft_index index)
{
    size_t i = l->run_count;
    while (i > 0 && l->runs[i - 1].first > index) {
        i--;
    }
    ensure(i > 0);
    return i - 1;
}
