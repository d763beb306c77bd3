/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/outbox: what accumulates between two raft_take(): messages, reads, and references that must
 * outlive them.
 *
 * Design      Arrays that are emptied and reused, so a warm outbox costs no malloc.  Messages refer
 *             to their entries and snapshots by position while the arrays may still move;
 *             raft_outbox_resolve() turns positions into pointers when the update is taken.
 *             Entries of messages are copies of the structs, without references of their own: an
 *             entry that leaves the log meanwhile gives its reference to the graveyard, which is
 *             emptied when the update dies.
 * Ownership   raft owns it; an update borrows from it until the next mutating call.
 */
#ifndef RAFT_OUTBOX_H
#define RAFT_OUTBOX_H

#include "raft/raft.h"

/* A growing array of one type. */
#define RAFT_VEC(type)                                                                             \
    struct {                                                                                       \
        type *data;                                                                                \
        size_t len;                                                                                \
        size_t cap;                                                                                \
    }

struct raft_message_refs { /* beside each message */
    size_t entry_at;
    size_t snapshot_at;
};

struct raft_outbox {
    RAFT_VEC(struct raft_message) messages;
    RAFT_VEC(struct raft_message_refs) refs;
    RAFT_VEC(struct raft_message) synced; /* without pointers */
    RAFT_VEC(struct raft_entry) entries;  /* of messages */
    RAFT_VEC(struct raft_snapshot) snapshots;
    RAFT_VEC(struct raft_read_state) reads;
    RAFT_VEC(struct raft_log_read) log_reads;
    RAFT_VEC(struct rcbuf *) graveyard;
    bool is_taken; /* an update points here */
};

void raft_outbox_deinit(struct raft_outbox *o);
/* Before anything is changed: ends the life of the update that was taken. */
void raft_outbox_recycle(struct raft_outbox *o);
bool raft_outbox_is_empty(const struct raft_outbox *o);

/* A message that may leave at once, with a copy of its entries and snapshot. */
void raft_outbox_push(struct raft_outbox *o, const struct raft_message *m);
/* A message that waits for the write. */
void raft_outbox_push_synced(struct raft_outbox *o, const struct raft_message *m);
void raft_outbox_push_read(struct raft_outbox *o, raft_index index,
                           const struct raft_context *context);
void raft_outbox_push_log_read(struct raft_outbox *o, const struct raft_log_read *read);
/* Keeps data of a borrowed entry alive until the update dies. */
void raft_outbox_hold(struct raft_outbox *o, struct rcbuf *owner);
/* Takes over a reference: released when no message can need it any more. */
void raft_outbox_bury(struct raft_outbox *o, struct rcbuf *owner);
/* Fills the message and read parts of an update. */
void raft_outbox_resolve(struct raft_outbox *o, struct raft_update *out);

/* For RAFT_VEC: room for one more element; returns the (perhaps moved) data. */
void *raft_vec_grow(void *data, size_t len, size_t *cap, size_t element_size);
#define RAFT_VEC_PUSH(vec, value)                                                                  \
    do {                                                                                           \
        (vec)->data = raft_vec_grow((vec)->data, (vec)->len, &(vec)->cap, sizeof((vec)->data[0])); \
        (vec)->data[(vec)->len++] = (value);                                                       \
    } while (0)

#endif
