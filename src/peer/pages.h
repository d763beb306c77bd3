/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/pages: the peer port's endpoints that need the member behind it: /members, /version, /leases
 * and the like (peer-protocol 2.13).
 *
 * Design      The transport checks method, cluster id and body and calls one function a page, which
 *             answers through the request, at once or later.  Statuses and texts of errors are
 *             made here.
 * Ownership   A request lives until it is answered; every one must be, once (also when the other
 *             end has gone: the answer is dropped).
 * Thread      the loop.
 */
#ifndef PEER_PAGES_H
#define PEER_PAGES_H

#include "base/buf.h"

struct peer_request;

/* arg: peer_config.arg.  A NULL function makes its page 404. */
struct peer_pages {
    /* The JSON array of all members, without newline: `[{"id":..}]` or `null`. */
    void (*members)(void *arg, struct buf *out);
    /* {"etcdserver":..,"etcdcluster":..[,"storage":..]} */
    void (*version)(void *arg, struct buf *out);
    /* token: the client's auth token, may be empty; borrowed for the call. */
    void (*promote)(void *arg, uint64_t id, struct slice token, struct peer_request *r);
    void (*hash_kv)(void *arg, int64_t rev, struct peer_request *r); /* rev 0: current */
    /* To be answered after applied >= the commit index of now (1 s, then ERR_TIMED_OUT). */
    void (*lease_renew)(void *arg, int64_t lease_id, struct peer_request *r);
    void (*lease_ttl)(void *arg, int64_t lease_id, bool wants_keys, struct peer_request *r);
    /* After a linearizable read. */
    void (*downgrade_enabled)(void *arg, struct peer_request *r);
};

/* The etcd answer to err on this page. */
void peer_request_fail(struct peer_request *r, int err);

/* Answers by page; the request is over. */
void peer_request_members(struct peer_request *r, struct slice json); /* promote */
struct peer_hash_kv {
    int64_t rev; /* of the store */
    uint32_t hash;
    int64_t compact_rev; /* -1: never compacted */
    int64_t hash_rev;
};
void peer_request_hash_kv(struct peer_request *r, const struct peer_hash_kv *h);
void peer_request_lease_renew(struct peer_request *r, int64_t lease_id, int64_t ttl_s);
struct peer_lease_ttl {
    int64_t lease_id;
    int64_t ttl_s;
    int64_t granted_ttl_s;
    const struct slice *keys;
    size_t key_count;
};
void peer_request_lease_ttl(struct peer_request *r, const struct peer_lease_ttl *l);
void peer_request_downgrade(struct peer_request *r, bool is_enabled);

#endif
