/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/model: what the store must be, from the committed entries alone: the dumb second
 * implementation that members and clients are compared with.
 *
 * Design      Entries are applied in order of index to one growing list of records (nothing is ever
 *             removed, a compaction only moves a number), so the state at any revision can be asked
 *             for at any time. Linear searches over the keys: there are a few dozen.
 * Ownership   model_create .. model_destroy; records live as long. Thread one.
 * Limits      Only what the simulator's clients send: no nested transactions, no auth.
 * Failure     model_apply: false when the entry is none that a member could have written.
 * See         client-api 2; test/unit/sim/model_test.c.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "base/arena.h"
#include "raft/types.h"
#include "wire/response.h"

struct model;

struct model_record {
    int64_t rev;
    uint32_t sub;
    bool is_delete;
    struct wire_kv kv; /* of a deletion: key and mod_revision */
    size_t prev;       /* the key's record before, MODEL_NONE */
    raft_index index;  /* of the entry */
};

#define MODEL_NONE SIZE_MAX

struct model_lease {
    int64_t id;
    int64_t ttl_s;
    bool is_alive;
    raft_index granted;
    raft_index revoked; /* 0: not yet */
};

struct model *model_create(void);
void model_destroy(struct model *m);

/* The entry at this index, in order. */
MUST_USE bool model_apply(struct model *m, const struct raft_entry *e);

int64_t model_rev(const struct model *m);
int64_t model_compact_rev(const struct model *m); /* -1: none */
raft_index model_index(const struct model *m);
/* Behind the entry at index, which is at most model_index. */
int64_t model_rev_at(const struct model *m, raft_index index);
int64_t model_compact_rev_at(const struct model *m, raft_index index);
/* Of all records up to rev: equal histories have equal digests. */
uint64_t model_digest_at(const struct model *m, int64_t rev);

size_t model_record_count(const struct model *m);
const struct model_record *model_record(const struct model *m, size_t i);
/* Position of the first record with a revision >= rev. */
size_t model_find(const struct model *m, int64_t rev);
/* range_end as in requests: empty = the key alone, "\0" = from key on. */
bool model_in_range(struct slice key, struct slice range_end, struct slice k);
/* The key's record as of rev: NULL when there is none, or it is deleted. */
const struct model_record *model_get(const struct model *m, struct slice key, int64_t rev);
/* Live keys of the range at rev, ascending; out has room for max.  Returns how many there are. */
size_t model_range(const struct model *m, struct slice key, struct slice range_end, int64_t rev,
                   const struct model_record **out, size_t max);

/* NULL: never granted. */
const struct model_lease *model_lease(const struct model *m, int64_t id);
size_t model_lease_count(const struct model *m);
const struct model_lease *model_lease_at(const struct model *m, size_t i);

/* Active alarms: a body that deactivates one of them; false: there is none. */
bool model_alarm_off(const struct model *m, struct buf *body);

/* Would the compares hold at rev? */
bool model_compare(const struct model *m, const struct wire_txn_req *txn, int64_t rev);

#endif
