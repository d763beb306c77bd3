/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/raft_post: messages that own all they point to, and queues of them.
 */
#ifndef TEST_LIB_RAFT_POST_H
#define TEST_LIB_RAFT_POST_H

#include "test/lib/raft_store.h"
#include "test/lib/raft_text.h"

enum { POST_QUEUE_MAX = 4096 };

/* An owned copy of a message with its entries, snapshot and responses. */
struct post {
    struct text_message t;
    struct store_entries entries;
    struct raft_snapshot snapshot;
    struct raft_append_ack ack; /* of a MsgStorageAppendResp */
    struct post *responses;
    struct text_message *response_texts;
};

struct post_queue {
    struct post *items[POST_QUEUE_MAX];
    size_t len;
};

struct post *post_create(const struct raft_message *m);
void post_destroy(struct post *p);
/* Attaches a copy, to be delivered when the post was dealt with; ack may be NULL. */
void post_respond(struct post *p, const struct raft_message *m, const struct raft_append_ack *ack);

void post_queue_push(struct post_queue *q, struct post *p);
struct post *post_queue_take(struct post_queue *q, size_t i);
void post_queue_deinit(struct post_queue *q);

#endif
