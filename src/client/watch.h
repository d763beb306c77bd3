/* SPDX-License-Identifier: Apache-2.0
 *
 * client/watch: watches that outlive their connection; answers are taken, not pushed.
 *
 * Problem     A member goes down in the middle of a watch: it must go on elsewhere, right after the
 *             last revision seen, and a slow reader must hold the server back instead of filling
 *             memory.
 * Design      One Watch stream for all watches of a watcher.  Creates are sent one at a time, so
 * that the next `created` belongs to the one that was asked.  When the stream ends for a reason
 * that may pass (UNAVAILABLE, INTERNAL) all watches are created again from their next revision.
 * Answers queue up to CLIENT_WATCH_QUEUE_MAX, then the stream is paused.
 *
 *                 NEW -> ASKED -> ACTIVE       the stream's end: back to NEW, or the last answer
 *
 * Invariants  I1  every event comes once, in the order of revisions.
 *             I2  after an answer with is_end the watch is gone.
 * Ownership   The watcher owns its watches; answers taken belong to the caller.
 * Thread      the loop of the client's env.
 * Limits      CLIENT_WATCH_QUEUE_MAX answers, and what the stream's window lets through.
 * Failure     a watch that cannot go on ends with an answer that says why.
 * See         client-api 3; cli.md 2.4 watch; test/e2e/ctl_watch_test.py.
 */
#ifndef CLIENT_WATCH_H
#define CLIENT_WATCH_H

#include "client/client.h"
#include "wire/watch.h"

enum { CLIENT_WATCH_QUEUE_MAX = 64, CLIENT_WATCH_PAUSE_MS = 50 };

struct client_watcher;
struct client_watch;

struct client_watch_options {
    struct slice key; /* copied */
    struct slice range_end;
    int64_t revision; /* 0: from now on */
    bool prev_kv;
    bool progress_notify;
    void *arg; /* stands in the answers */
};

struct client_watch_answer {
    struct list_node node;
    void *arg;                   /* of the watch */
    struct wire_watch_resp resp; /* points into raw and arena */
    struct buf raw;              /* as received */
    struct arena arena;
    struct buf error; /* why it ended, when is_end */
    bool is_end;
};

/* on_ready: an answer waits, in a callback of the loop. */
struct client_watcher *client_watcher_create(struct client *c, struct env *env,
                                             void (*on_ready)(void *arg), void *arg);
/* Before the client's. */
void client_watcher_destroy(struct client_watcher *w);

struct client_watch *client_watch_start(struct client_watcher *w,
                                        const struct client_watch_options *opts);
/* No answer of it is taken any more. */
void client_watch_stop(struct client_watch *watch);
/* Asks for a progress notice, which all watches get. */
void client_watcher_progress(struct client_watcher *w);

/* The oldest answer, or NULL.  `created` answers do not come. */
struct client_watch_answer *client_watcher_take(struct client_watcher *w);
void client_watch_answer_free(struct client_watch_answer *a);
/* A notice without events. */
bool client_watch_is_progress(const struct client_watch_answer *a);

#endif
