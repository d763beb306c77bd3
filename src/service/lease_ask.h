/* SPDX-License-Identifier: Apache-2.0
 *
 * service/lease_ask: one lease renewed or looked at, here or by the leader (client-api 2.3,
 * peer-protocol 2.13).  Private to service.
 *
 *     leads here: own core --NOT_LEADER--+
 *     else: the leader's /leases or /leases/internal --no use--> pause --> again   until T is over
 *
 * Ownership   The asker holds the ask until on_done (once, never from inside start); cancel ends it
 *             without on_done.
 * Limits      LEASE_ASKS_MAX questions to the leader at a time; others wait for their turn.
 * Failure     ERR_RPC_LEASE_NOT_FOUND, _NO_LEADER, _TIMEOUT, _TIMEOUT_WAIT_APPLIED, _STOPPED;
 *             a renewal also _NOT_PRIMARY_LESSOR and why it is not permitted, a look
 * _LEADER_CHANGED.
 */
#ifndef SERVICE_LEASE_ASK_H
#define SERVICE_LEASE_ASK_H

#include "service/service.h"

enum { LEASE_ASKS_MAX = 256 };

struct lease_ask;

struct lease_question {
    int64_t id;
    bool is_renewal;
    bool wants_keys; /* not of a renewal */
    /* Who renews; lives as long as the ask. NULL: another member, which has looked at it. */
    const struct auth_caller *caller;
};

/* answer: borrowed, NULL when err is not 0; of a renewal only ttl_s. */
struct lease_ask *lease_ask_start(struct service *s, const struct lease_question *q,
                                  void (*on_done)(void *user, int err,
                                                  const struct service_lease *answer),
                                  void *user);
void lease_ask_cancel(struct lease_ask *a);
/* Ends those that wait for the leader. */
void lease_asks_stop(struct service *s);

/* The lease as this member knows it, to on_done with its keys. */
void lease_look(struct service *s, const struct lease_question *q, int not_primary_err,
                void (*on_done)(void *user, int err, const struct service_lease *answer),
                void *user);

#endif
