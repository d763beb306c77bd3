/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/log: the log in memory, and where it stands between proposed, durable, committed and
 * applied.
 *
 *          base     mem_first        applied   applying   committed      last
 *   ........|..........|.................|.........|..........|............|
 *   compacted  evicted    <- in memory, contiguous in one array ->
 *                                   stable: [.., unstable_first) is durable,
 *                                   [unstable_first, unwritten_first) is being written,
 *                                   [unwritten_first, last] is not handed out yet
 *
 * Problem     etcd keeps the log in a Storage and a separate unstable tail. Here one array holds
 *             both, so that appending and committing a batch copies no entry twice; but memory must
 *             be bounded, and every decision needs terms of entries that are not in memory.
 * Design      Entries are in one growing array with free room at both ends (slid to the front when
 *             the end is reached, which costs less than one move an entry), so any range is one
 *             pointer. Terms are kept for the whole log as runs (first index, term): terms never
 *             fall along a log, so there are as many runs as elections. Entries that are applied
 *             and durable are evicted when the bytes exceed the bound.
 * Invariants  L1 base.index <= applied <= applying <= committed <= last, but while a snapshot waits
 *             to be installed applied and applying may be below base. L2 mem_first - 1 <= applied
 *             (or <= base while a snapshot waits): what is to be applied is in memory. L3
 *             unstable_first <= unwritten_first <= last + 1; mem_first <= unstable_first. L4
 *             indexes are contiguous; runs agree with entries; bytes is the sum.
 * Ownership   One rcbuf reference an entry. What leaves the log while messages may still point to
 *             its data is handed to the graveyard (outbox.h) instead of being released.
 * See         log_unstable.go and log.go of etcd's raft, which this joins into one.
 */
#ifndef RAFT_LOG_H
#define RAFT_LOG_H

#include "raft/trace.h"

struct raft_outbox;

struct raft_term_run {
    raft_index first;
    raft_term term;
};

struct raft_log {
    struct raft_entry *array; /* array[head] has index mem_first */
    size_t cap;
    size_t head;
    size_t len;
    raft_index mem_first;
    struct raft_entry_id base; /* last compacted entry */
    size_t bytes;              /* raft_entry_memory() over what is in memory */
    size_t bytes_max;

    struct raft_term_run *runs; /* runs[0].first <= base.index + 1 */
    size_t run_count;
    size_t run_cap;

    raft_index committed;
    raft_index applying; /* handed out to be applied */
    raft_index applied;
    uint64_t applying_bytes; /* encoded size of (applied, applying] */
    uint64_t applying_bytes_max;
    bool applying_paused; /* until an acknowledgement makes room */

    raft_index unstable_first;
    raft_index unwritten_first;
    bool has_snapshot;        /* received, not yet installed */
    bool snapshot_is_written; /* handed out */
    struct raft_snapshot snapshot;

    struct raft_outbox *outbox; /* graveyard of references */
    const struct raft_tracer *tracer;
};

void raft_log_init(struct raft_log *l, struct raft_entry_id base, size_t bytes_max,
                   uint64_t applying_bytes_max);
void raft_log_deinit(struct raft_log *l);

/* Queries. */
raft_index raft_log_last(const struct raft_log *l);
struct raft_entry_id raft_log_last_id(const struct raft_log *l);
/* False outside [base, last]. */
bool raft_log_term_at(const struct raft_log *l, raft_index index, raft_term *out_term);
raft_term raft_log_term_or_zero(const struct raft_log *l, raft_index index);
bool raft_log_matches(const struct raft_log *l, struct raft_entry_id id);
/* Would a voter with this log vote for a candidate whose log ends there? */
bool raft_log_is_up_to_date(const struct raft_log *l, struct raft_entry_id last);
/* Pointer to an entry in memory. */
struct raft_entry *raft_log_at(const struct raft_log *l, raft_index index);
/* Largest index <= `index` whose term is <= `term`, or unknown (*out_term = 0). */
raft_index raft_log_find_by_term(const struct raft_log *l, raft_index index, raft_term term,
                                 raft_term *out_term);
/* How many entries of [lo, hi) fit in bytes_max of encoded size; at least one if there is one. */
size_t raft_log_limit(const struct raft_log *l, raft_index lo, raft_index hi, uint64_t bytes_max);
bool raft_log_has_unstable(const struct raft_log *l);

/* Growth.  Slots behind last, filled by the caller (index, term, own reference), then published. */
struct raft_entry *raft_log_reserve(struct raft_log *l, size_t count);
void raft_log_publish(struct raft_log *l, size_t count);
/* Entries of a leader, after checks: cuts the log at entries[0].index if needed, takes references.
 */
void raft_log_append(struct raft_log *l, const struct raft_entry *entries, size_t count);
/* First index where the entries differ from the log; 0 = they are all there. */
raft_index raft_log_find_conflict(const struct raft_log *l, const struct raft_entry *entries,
                                  size_t count);
/* Replaces everything by a snapshot that is to be installed. */
void raft_log_restore(struct raft_log *l, const struct raft_snapshot *snapshot);

/* Progress. */
void raft_log_commit_to(struct raft_log *l, raft_index index);
/* Entries that may be handed out for applying now; *out_count 0 = none. */
const struct raft_entry *raft_log_next_committed(const struct raft_log *l, bool allow_unstable,
                                                 size_t *out_count);
bool raft_log_has_next_committed(const struct raft_log *l, bool allow_unstable);
void raft_log_accept_applying(struct raft_log *l, raft_index index, bool allow_unstable);
/* Payload bytes of the newly applied entries are returned. */
uint64_t raft_log_applied_to(struct raft_log *l, raft_index index);
void raft_log_accept_unstable(struct raft_log *l);
void raft_log_stable_to(struct raft_log *l, struct raft_entry_id id);
void raft_log_snapshot_installed(struct raft_log *l, raft_index index);

/* Shrinking. */
void raft_log_forget_to(struct raft_log *l, raft_index index);
void raft_log_maybe_evict(struct raft_log *l);

void raft_log_check(const struct raft_log *l);

/* Encoded size (raftpb.Entry, all scalars written). */
uint64_t raft_entry_encoded_size(const struct raft_entry *e);
/* Memory: the array is up to twice as long as what is in it. */
static inline size_t raft_entry_memory(const struct raft_entry *e)
{
    return 2 * sizeof(*e) + e->data.len;
}

#endif
