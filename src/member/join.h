/* SPDX-License-Identifier: Apache-2.0
 *
 * member/join: what a member without a log asks the others before it starts: a new cluster's
 * whether it is late, an existing one's who is in it and at which version.
 *
 * Problem     A member must not begin a second life in a cluster, nor join one that its flags do
 *             not describe or whose version it cannot speak; and the texts are etcd's.
 * Design      A state machine without I/O: it names the next page to ask, the caller brings the
 *             answer, until there is none left to ask.
 *
 *                 join_create -> (join_question -> ask -> join_answer)* -> join_finish
 *
 * new: /members of the others' URLs, the first good answer counts existing: the same, then /version
 * of every other member
 * Ownership   join_destroy; the result is the caller's (join_result_deinit).
 * Thread      any. Limits those of member/peer_body; one question at a time.
 * Failure     ERR_* and etcd's text appended to *error.
 * See         peer-protocol 6.1, 6.2; cli.md 1.6; test/unit/member/join_test.c.
 */
#ifndef MEMBER_JOIN_H
#define MEMBER_JOIN_H

#include "member/initial.h"
#include "member/version.h"

enum { JOIN_TIMEOUT_NEW_MS = 1000, JOIN_TIMEOUT_EXISTING_MS = 10000 };

struct join;

struct join_options {
    const char *initial_cluster; /* name=url,... */
    const char *token;
    const char *name;
    const struct strs *advertised;       /* own peer URLs; only a new cluster compares them */
    const struct url_resolver *resolver; /* NULL: compare the text */
    bool is_existing;
    bool has_discovery;
    size_t max_learners;
    uint32_t request_timeout_ms; /* of /version: T of client-api 2.0.4 */
};

/* The checks of the flags. */
MUST_USE int join_create(const struct join_options *opts, struct join **out, struct buf *error);
void join_destroy(struct join *j);

struct join_question {
    const char *url; /* "http://10.0.0.2:2380"; the page is url + path; GET */
    const char *path;
    uint32_t timeout_ms;
};

/* False: nothing more to ask, finish.  The texts live until the answer. */
bool join_question(const struct join *j, struct join_question *out);

struct join_reply {
    int err;             /* 0, or why there is no answer */
    uint64_t cluster_id; /* X-Etcd-Cluster-ID; 0: none that can be read */
    struct slice body;
};

void join_answer(struct join *j, const struct join_reply *reply);

struct join_result {
    uint64_t member_id;
    uint64_t cluster_id;
    enum level level;          /* at which to start: the cluster's; LEVEL_NEW for a new one */
    struct membership members; /* of the flags, with their ids */
    struct membership remotes; /* as the existing cluster has them; empty for a new one */
};

MUST_USE int join_finish(struct join *j, struct join_result *out, struct buf *error);
void join_result_deinit(struct join_result *r);

#endif
