/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/raft_text: raft's values in the words of etcd's raft, for golden scripts.
 */
#ifndef TEST_LIB_RAFT_TEXT_H
#define TEST_LIB_RAFT_TEXT_H

#include "base/buf.h"
#include "raft/quorum.h"
#include "raft/state.h"
#include "raft/trace.h"

enum raft_text_level {
    TEXT_DEBUG,
    TEXT_INFO,
    TEXT_WARN,
    TEXT_ERROR,
    TEXT_FATAL,
    TEXT_NONE,
};

/* etcd's storage messages and their "threads", which exist here only as text. */
enum {
    TEXT_MSG_STORAGE_APPEND = 19,
    TEXT_MSG_STORAGE_APPEND_RESP = 20,
    TEXT_MSG_STORAGE_APPLY = 21,
    TEXT_MSG_STORAGE_APPLY_RESP = 22,
};
#define TEXT_APPEND_THREAD UINT64_MAX
#define TEXT_APPLY_THREAD (UINT64_MAX - 1)

/* A message as etcd prints it: raft's own, or one of the four above. */
struct text_message {
    struct raft_message m; /* m.type holds the number of either kind */
    uint64_t vote;
    const struct text_message *responses;
    size_t response_count;
};

const char *text_level_name(enum raft_text_level level);
const char *text_message_type(unsigned type);
/* -1 when there is no such type. */
int text_message_type_from(const char *name);
const char *text_role(enum raft_role role);
/* "level: text" of a trace without the level. */
enum raft_text_level text_trace(struct buf *out, const struct raft *r,
                                const struct raft_trace_line *line);
void text_entry(struct buf *out, const struct raft_entry *e);
void text_entries(struct buf *out, const struct raft_entry *entries, size_t count);
void text_message(struct buf *out, const char *indent, const struct text_message *m);
void text_hard_state(struct buf *out, const struct raft_hard_state *hs);
void text_snapshot(struct buf *out, const struct raft_snapshot *s);
void text_ids(struct buf *out, const struct raft_ids *ids);
void text_config(struct buf *out, const struct raft_conf_state *c);
void text_progress(struct buf *out, const struct raft_progress *pr);
/* One line a member. */
void text_members(struct buf *out, const struct raft_members *m);
/* "v1 l2 r3 u4"; false on a word that is none. */
bool text_parse_changes(const char *s, struct raft_conf_change_v2 *out);
const char *text_changer_error(enum raft_changer_error err);
const char *text_quorum_result(enum quorum_result result);

#endif
