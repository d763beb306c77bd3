/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/peer/bed: one transport ("us", id 1) and a host of raw sockets ("them", id 2) in the
 * simulated network: what is on the wire is written and read by hand.
 */
#ifndef TEST_PEER_BED_H
#define TEST_PEER_BED_H

#include "peer/ask.h"
#include "peer/pages.h"
#include "peer/peer.h"
#include "rpc/rpc.h"
#include "sim/sim.h"

enum { RAW_MAX = 512 };

/* One raw connection, of either side. */
struct raw {
    struct env_conn *conn;
    struct buf got;
    bool is_eof, is_closed;
};

struct bed {
    struct sim *sim;
    struct env *us_env, *them_env;
    struct peer_transport *t;
    struct rpc_server *rpc;
    struct rpc_listener *listener;
    struct env_listener *them; /* http://them:2380 */
    struct raw accepted[RAW_MAX];
    size_t accepted_count;
    const char *auto_answer; /* sent once to each accepted connection that has asked; NULL: none */
    uint64_t removed;        /* this id is */
    int message_answer;
    int snapshot_answer;
    struct buf messages; /* "type from index;" of what arrived */
    unsigned unreachables, snapshots_ok, snapshots_failed, snapshots_in, told_removed, released;
    unsigned actives, inactives;
    int read_err;
    struct peer_request *request; /* the last page's, not answered yet */
    int64_t page_number;
    bool page_flag;
    struct buf page_token;
    bool rpc_stopped;
};

void bed_make(struct bed *b);
void bed_free(struct bed *b);
/* The same for cmocka: *state is the program's own bed. */
int bed_setup(void **state);
int bed_teardown(void **state);
void bed_peer_add(struct bed *b);
/* Stops the transport and the listener, and waits. */
void bed_stop(struct bed *b);

void raw_open(struct bed *b, struct raw *r); /* to us */
void raw_send(struct bed *b, struct raw *r, const char *text);
void raw_send_bytes(struct bed *b, struct raw *r, struct slice bytes);
void raw_close(struct raw *r);
/* Opens, sends, runs a while; got is what came back. */
void raw_ask(struct bed *b, struct raw *r, const char *text);
bool raw_has(const struct raw *r, const char *text);
/* "GET path" with the headers of a correct peer (id 2) and more, a "\r\n"-ended list or "". */
void peer_request_text(struct buf *out, const char *method, const char *path, const char *more);
/* Asks for a stream of ours; the answer's head is there when this returns. */
void stream_open(struct bed *b, struct raw *r, const char *kind);
struct raft_message message_to_2(enum raft_message_type type);
/* The body of a chunked answer so far. */
struct buf raw_chunks(const struct raw *r);
size_t raw_count_asked(const struct bed *b, const char *text);

#endif
