/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/message: raft's messages as raftpb.Message bytes and back.
 *
 * Problem     3.5 and 3.6 write every scalar, 3.7 what was set; some write fields others lack.
 *             Readers take all of it; a member writes what its level writes.
 * Design      A scanning decoder with every field optional, into a struct that is used again; an
 *             encoder that appends. raft keeps the data of a ReadIndex's one entry in the context
 *             (raft/types.h): translated here.
 * Ownership   A decoded message borrows from the input, but for the data of its entries when owner
 *             was asked for: those lie in one rcbuf of the input's size, which the struct holds.
 * Thread      any. Limits PEER_ENTRIES_MAX, RAFT_CONTEXT_BYTES_MAX, RAFT_MEMBERS_MAX.
 * Failure     ERR_MALFORMED wire format; ERR_LIMIT, ERR_NOMEM; ERR_UNSUPPORTED a message that is
 *             none of raft's network messages (or a ReadIndex without exactly one entry): ignored
 *             by etcd.
 * See         peer-protocol 3; test/unit/peer/message_test.c; test/fuzz/peer_message_fuzz.c.
 */
#ifndef PEER_MESSAGE_H
#define PEER_MESSAGE_H

#include "raft/types.h"
#include "schema/level.h"

enum { PEER_ENTRIES_MAX = 1 << 18 }; /* in one message */

/* Of a MsgSnap: what raft/types.h does not hold. */
struct peer_snapshot_part {
    const struct raft_snapshot_meta *meta;
    struct slice v2_json;
};

/* snapshot: MsgSnap only, else NULL. */
void peer_message_encode(struct buf *out, const struct raft_message *m,
                         const struct peer_snapshot_part *snapshot,
                         const struct level_rules *rules);
/* Bytes that entries add to an encoded message: enough for bounds, not exact. */
size_t peer_message_size_hint(const struct raft_message *m);

struct peer_entries {
    struct raft_entry *items;
    size_t count;
    size_t cap;
};

struct peer_decoded {
    struct raft_message m; /* m.entries and m.snapshot point into this struct */
    struct peer_entries entries;
    struct raft_snapshot snapshot;
    struct slice v2_json;
    struct rcbuf *owner;
};

void peer_decoded_init(struct peer_decoded *d);
void peer_decoded_deinit(struct peer_decoded *d);
/* Forgets the message and its owner; keeps the array. */
void peer_decoded_clear(struct peer_decoded *d);
/* Appends; ERR_MALFORMED, ERR_LIMIT, ERR_NOMEM. */
MUST_USE int peer_entries_add(struct peer_entries *e, struct slice bytes);
/* Entry data that lie inside `in` get an owner: one copy of all of it.  ERR_NOMEM. */
MUST_USE int peer_decoded_own(struct peer_decoded *d, struct slice in);
MUST_USE int peer_message_decode(struct slice in, struct peer_decoded *d);

#endif
