/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/raftpb: the bytes of raft's persistent values: Entry, HardState, ConfState, Snapshot,
 * ConfChange, and of walpb's Snapshot and the WAL metadata.
 *
 * Problem     3.5/3.6 write every scalar, zero included; 3.7 writes only what was set.  Every
 * reader takes both, but a member at a level should write what that level writes. Design Scanning
 * decoders: every field optional, default 0, unknown fields skipped, the last of a repeated scalar
 * wins, packed lists taken.  Encoders append to a buf and take the emission as an argument.
 * Ownership   Decoded slices live as long as the input.
 * Thread      any.
 * Failure     ERR_MALFORMED (wire format, unknown enum value), ERR_LIMIT (more than
 *             RAFT_MEMBERS_MAX ids in a list).  Out values untouched on failure.
 * See         storage-formats 3.4, 4.1; peer-protocol 3.1-3.4; test/unit/wal/raftpb_test.c.
 */
#ifndef WAL_RAFTPB_H
#define WAL_RAFTPB_H

#include "base/buf.h"
#include "raft/types.h"

enum raftpb_emission {
    RAFTPB_ZEROS,  /* 3.5, 3.6: scalars equal to 0 are written */
    RAFTPB_SPARSE, /* 3.7: Entry.Type of a normal entry and a ConfChange.id of 0 are left out */
};

enum { RAFTPB_ENTRY_HEAD_MAX = 40 };

/* ---- Entry ---- */

/* Everything before the data bytes (tag and length of data included); returns the length. */
size_t raftpb_entry_head(const struct raft_entry *e, enum raftpb_emission em,
                         uint8_t out[RAFTPB_ENTRY_HEAD_MAX]);
void raftpb_entry_encode(struct buf *out, const struct raft_entry *e, enum raftpb_emission em);
/* out->data borrows from in; out->owner is NULL. */
MUST_USE int raftpb_entry_decode(struct slice in, struct raft_entry *out);

/* ---- HardState ---- */

void raftpb_hard_state_encode(struct buf *out, const struct raft_hard_state *hs);
MUST_USE int raftpb_hard_state_decode(struct slice in, struct raft_hard_state *out);

/* ---- ConfState ---- */

void raftpb_conf_state_encode(struct buf *out, const struct raft_conf_state *cs,
                              enum raftpb_emission em);
/* Lists come out ascending and unique, whatever the order in the input. */
MUST_USE int raftpb_conf_state_decode(struct slice in, struct raft_conf_state *out);

/* ---- Snapshot (the `.snap` file, MsgSnap) ---- */

struct raftpb_snapshot {
    struct slice data; /* v2 store JSON */
    struct raft_snapshot_meta meta;
};

void raftpb_snapshot_meta_encode(struct buf *out, const struct raft_snapshot_meta *m,
                                 enum raftpb_emission em);
MUST_USE int raftpb_snapshot_meta_decode(struct slice in, struct raft_snapshot_meta *out);
void raftpb_snapshot_encode(struct buf *out, struct slice data, const struct raft_snapshot_meta *m,
                            enum raftpb_emission em);
MUST_USE int raftpb_snapshot_decode(struct slice in, struct raftpb_snapshot *out);

/* ---- ConfChange ---- */

void raftpb_conf_change_encode(struct buf *out, const struct raft_conf_change *cc,
                               enum raftpb_emission em);
MUST_USE int raftpb_conf_change_decode(struct slice in, struct raft_conf_change *out);

enum { RAFTPB_CHANGES_MAX = RAFT_MEMBERS_MAX };

/* Never written by etcd; read so that a foreign log is refused with a reason. */
struct raftpb_conf_change_v2 {
    uint32_t transition;
    uint32_t count;
    struct {
        enum raft_conf_change_type type;
        uint64_t node_id;
    } changes[RAFTPB_CHANGES_MAX];
    struct slice context;
};

MUST_USE int raftpb_conf_change_v2_decode(struct slice in, struct raftpb_conf_change_v2 *out);

/* ---- walpb.Snapshot and Metadata ---- */

/* conf_state is written for index > 0 (mandatory there, storage-formats 4.2). */
void raftpb_wal_snapshot_encode(struct buf *out, const struct raft_snapshot_meta *m,
                                enum raftpb_emission em);
MUST_USE int raftpb_wal_snapshot_decode(struct slice in, struct raft_snapshot_meta *out);

struct wal_metadata {
    uint64_t node_id;
    uint64_t cluster_id;
};

void raftpb_metadata_encode(struct buf *out, const struct wal_metadata *m);
MUST_USE int raftpb_metadata_decode(struct slice in, struct wal_metadata *out);

#endif
