/* SPDX-License-Identifier: Apache-2.0
 *
 * env/mailbox: messages from one loop's thread to another's.
 *
 * Problem     A net thread and the core's thread exchange requests and replies; a lock or a wake-up
 *             for each would cost more than the request itself, and no push may ever block.
 * Design      A mail is embedded in the sender's struct.  What is pushed in a turn gathers in a
 *             list of the sender's own; at the end of the turn the whole list goes over under one
 *             short lock, with one wake-up.  The receiver takes everything that is there under one
 *             lock and calls each mail's deliver, in the order of the pushes.
 *
 *                 push push push -> pending --end of turn--> shared --wake--> deliver deliver ...
 *
 * Invariants  I1 order of delivery is order of push. I2 no lock is held in deliver.
 * Ownership   The mail belongs to the mailbox from push to deliver, then to deliver. What was never
 *             delivered is given to drop by env_mailbox_deinit.
 * Thread      push, has_room: the sender's. deliver: the receiver's. init and deinit: one thread,
 *             before both sides begin and after both have ended.
 * Limits      has_room says no above LIMIT_MAIL_COUNT mails or LIMIT_MAIL_BYTES that are on their
 *             way; who admits requests asks it, what answers them is bounded by what was admitted.
 */
#ifndef ENV_MAILBOX_H
#define ENV_MAILBOX_H

#include <pthread.h>

#include "env/env.h"

struct env_mail {
    struct list_node node;
    void (*deliver)(struct env_mail *m);
    void (*drop)(struct env_mail *m); /* frees it undelivered */
    size_t bytes;                     /* against LIMIT_MAIL_BYTES */
};

struct env_mail_count {
    uint64_t mails;
    uint64_t bytes;
};

struct env_mailbox {
    /* The sender's. */
    struct env *from;
    struct list pending;
    bool is_deferred;
    struct env_mail_count sent;
    struct env_mail_count seen_taken; /* as of the last look */

    pthread_mutex_t mutex; /* for these: */
    struct list shared;
    struct env_waker *waker; /* NULL: nobody receives (yet, or any more) */
    struct env_mail_count taken;

    /* The receiver's. */
    struct env_mail_count delivered;
};

void env_mailbox_init(struct env_mailbox *mb);
/* Both sides have ended, or never began. */
void env_mailbox_deinit(struct env_mailbox *mb);

/* The sender's thread. */
void env_mailbox_sender_set(struct env_mailbox *mb, struct env *from);
void env_mailbox_push(struct env_mailbox *mb, struct env_mail *m);
bool env_mailbox_has_room(struct env_mailbox *mb);

/* The receiver's thread.  After close mails stay where they are until deinit. */
MUST_USE int env_mailbox_receiver_open(struct env_mailbox *mb, struct env *to);
void env_mailbox_receiver_close(struct env_mailbox *mb);

#endif
