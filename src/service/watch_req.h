/* SPDX-License-Identifier: Apache-2.0
 *
 * service/watch_req: a WatchRequest, decoded.  Private to service.
 *
 * Ownership   Byte fields are slices into the message.
 * Failure     ERR_MALFORMED, ERR_TRUNCATED; out untouched.
 * See         client-api 1.3, 2.2; test/unit/service/watch_test.c.
 */
#ifndef SERVICE_WATCH_REQ_H
#define SERVICE_WATCH_REQ_H

#include "wire/kv.h"

enum watch_req_kind { WATCH_REQ_NONE, WATCH_REQ_CREATE, WATCH_REQ_CANCEL, WATCH_REQ_PROGRESS };

struct watch_req {
    enum watch_req_kind kind;
    int64_t watch_id; /* CREATE: 0 = to be chosen; CANCEL */
    struct slice key;
    struct slice range_end;
    int64_t start_rev;
    bool progress_notify;
    bool no_put;
    bool no_delete;
    bool prev_kv;
    bool fragment;
};

MUST_USE int watch_req_decode(struct slice msg, struct watch_req *out);

#endif
