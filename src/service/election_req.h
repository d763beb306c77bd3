/* SPDX-License-Identifier: Apache-2.0
 *
 * service/election_req: the requests of Lock and Election, decoded.  Private to service.
 *
 * Ownership   Byte fields are slices into the message.
 * Failure     ERR_MALFORMED, ERR_TRUNCATED; out untouched.
 * See         client-api 1.5, 2.7; test/unit/service/lock_test.c.
 */
#ifndef SERVICE_ELECTION_REQ_H
#define SERVICE_ELECTION_REQ_H

#include "wire/kv.h"

/* LockRequest, CampaignRequest, LeaderRequest{1: name, 2: lease, 3: value}; what a message has not
 * got is empty. */
struct contest_req {
    struct slice name;
    int64_t lease;
    struct slice value;
};

/* ProclaimRequest and ResignRequest{1: LeaderKey{1: name, 2: key, 3: rev, 4: lease}, 2: value}. */
struct leader_req {
    bool has_leader;
    struct slice key;
    int64_t rev;
    int64_t lease;
    struct slice value;
};

MUST_USE int contest_req_decode(struct slice msg, struct contest_req *out);
MUST_USE int leader_req_decode(struct slice msg, struct leader_req *out);

#endif
