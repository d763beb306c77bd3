/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/ask: one HTTP question to another member over its peer URLs: /members, /version, /leases,
 * /members/promote, /members/hashkv (peer-protocol 2.13, 6.2).
 *
 * Design      The URLs are tried in order, each for at most url_timeout_ms, until one gives an
 *             answer that is wanted: status 200, or one of the statuses that end the asking. With a
 *             pool a connection may have been used before; when it turns out to be closed before a
 *             byte of the answer came, the same URL is asked once more over a new one. So only
 *             questions that may be asked twice have a pool.
 * Ownership   The asker holds the ask until on_answer; cancel ends it without on_answer.
 * Thread      the loop of env. Limits LIMIT_PEER_ANSWER_BYTES.
 * Failure     on_answer with err != 0: no URL answered; the last reason.
 */
#ifndef PEER_ASK_H
#define PEER_ASK_H

#include "env/env.h"
#include "member/strs.h"
#include "peer/pool.h"
#include "rpc/tls.h"

struct peer_ask;

struct peer_answer {
    int err; /* 0: there is a status */
    int status;
    uint64_t cluster_id; /* X-Etcd-Cluster-Id; 0: none or unreadable */
    struct slice body;   /* borrowed */
    size_t url;          /* which of the URLs answered */
};

struct peer_question {
    struct env *env;
    struct peer_pool *pool; /* NULL: a connection of its own */
    const struct rpc_tls_factory *tls;
    const struct strs *urls;  /* copied */
    const char *method;       /* "GET", "POST": static */
    const char *path;         /* copied */
    struct slice body;        /* copied */
    const char *content_type; /* static; NULL: none */
    uint64_t cluster_id;      /* sent when not 0 */
    struct slice token;       /* Authorization; copied; empty: none */
    uint64_t url_timeout_ms;
    bool takes_any_status; /* the first answer counts; else only 200, 404 and 412 */
    void (*on_answer)(void *arg, const struct peer_answer *a); /* from a call of its own */
    void *arg;
};

struct peer_ask *peer_ask_start(const struct peer_question *q);
void peer_ask_cancel(struct peer_ask *a);

#endif
