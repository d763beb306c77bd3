/* SPDX-License-Identifier: Apache-2.0
 *
 * service/election: v3lockpb.Lock and v3electionpb.Election (client-api 2.7); Lock and Campaign are
 * turn.c's, Observe observe.c's.
 */
#include "service/election_req.h"
#include "service/session.h"

static void answer_header(struct session *x, const struct session_answer *a)
{
    struct wire_header h = service_header(x->service, a->rev);
    struct buf *out = service_scratch(x->service);
    wire_append_header(out, &h);
    grpc_call_finish_unary(x->call, buf_slice(out));
    session_end(x);
}

/* ---- Unlock ---- */

static void unlocked(struct session *x, const struct session_answer *a)
{
    if (a->err != 0) {
        session_fail(x, a->err);
    } else {
        answer_header(x, a);
    }
}

static const struct session_ops unlock_ops = {.on_answer = unlocked};

static void unlock_on_message(struct grpc_call *call, struct slice msg)
{
    struct slice key;
    struct session *x = session_begin(call, &unlock_ops, &msg);
    if (x == NULL) {
        return;
    }
    int err = service_text_of(msg, 1, &key);
    if (err != 0) {
        session_malformed(x, err);
    } else {
        session_delete(x, key);
    }
}

/* ---- Proclaim and Resign: only if the key is still the leader's own ---- */

enum { LEAD_GRANT, LEAD_CHANGE };

static const struct session_ops proclaim_ops;

static void change(struct session *x)
{
    x->step = LEAD_CHANGE;
    struct session_txn *t = session_txn_new(x);
    struct wire_op op = {.kind = WIRE_OP_DELETE, .del = {.key = buf_slice(&x->key)}};
    if (x->ops == &proclaim_ops) {
        op = session_op_put(x);
    }
    session_txn_if(t, buf_slice(&x->key), x->rev);
    session_txn_then(t, &op);
    session_txn(x, t);
}

static void changed(struct session *x, const struct session_answer *a)
{
    if (a->err != 0) {
        session_fail(x, a->err);
    } else if (x->step == LEAD_GRANT) {
        change(x);
    } else if (x->ops == &proclaim_ops && !a->txn->succeeded) {
        session_fail_text(x, "election: not leader");
    } else {
        answer_header(x, a);
    }
}

static const struct session_ops proclaim_ops = {.on_answer = changed};
static const struct session_ops resign_ops = {.on_answer = changed};

static void lead(struct grpc_call *call, const struct session_ops *ops)
{
    struct slice msg;
    struct leader_req r;
    struct session *x = session_begin(call, ops, &msg);
    if (x == NULL) {
        return;
    }
    int err = leader_req_decode(msg, &r);
    if (err != 0) {
        session_malformed(x, err);
        return;
    }
    if (!r.has_leader) {
        session_fail_text(x, "\"leader\" field must be provided");
        return;
    }
    buf_append_slice(&x->key, r.key);
    x->value = r.value;
    x->lease = r.lease;
    x->rev = r.rev;
    x->step = LEAD_GRANT;
    if (!session_grant(x)) {
        change(x);
    }
}

static void proclaim_on_message(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    lead(call, &proclaim_ops);
}

static void resign_on_message(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    lead(call, &resign_ops);
}

/* ---- Leader ---- */

static void leader_found(struct session *x, const struct session_answer *a)
{
    if (a->err != 0) {
        session_fail(x, a->err);
        return;
    }
    ensure(a->txn->response_count == 1 && a->txn->responses[0].kind == WIRE_OP_RANGE);
    const struct wire_range_resp *first = &a->txn->responses[0].range;
    if (first->kv_count == 0) {
        session_fail_text(x, "election: no leader");
        return;
    }
    struct wire_header h = service_header(x->service, a->rev);
    struct buf *out = service_scratch(x->service);
    wire_append_header(out, &h);
    wire_append_kv(out, 2, &first->kvs[0]);
    grpc_call_finish_unary(x->call, buf_slice(out));
    session_end(x);
}

static const struct session_ops leader_ops = {.on_answer = leader_found};

static void leader_on_message(struct grpc_call *call, struct slice msg)
{
    struct contest_req r;
    (void)msg;
    struct session *x = session_begin_contest(call, &leader_ops, &r);
    if (x == NULL) {
        return;
    }
    struct session_txn *t = session_txn_new(x);
    struct wire_op first = session_op_first(x);
    session_txn_then(t, &first);
    session_txn(x, t);
}

#define LOCK "v3lockpb.Lock"
#define ELECTION "v3electionpb.Election"

static const struct grpc_method election_methods[] = {
    {.service = LOCK,
     .name = "Lock",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = turn_lock_on_message,
     .on_cancel = session_on_cancel},
    {.service = LOCK,
     .name = "Unlock",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = unlock_on_message,
     .on_cancel = session_on_cancel},
    {.service = ELECTION,
     .name = "Campaign",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = turn_campaign_on_message,
     .on_cancel = session_on_cancel},
    {.service = ELECTION,
     .name = "Proclaim",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = proclaim_on_message,
     .on_cancel = session_on_cancel},
    {.service = ELECTION,
     .name = "Leader",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = leader_on_message,
     .on_cancel = session_on_cancel},
    {.service = ELECTION,
     .name = "Observe",
     .kind = GRPC_KIND_SERVER_STREAM,
     .on_start = service_on_start,
     .on_message = observe_on_message,
     .on_cancel = session_on_cancel,
     .on_writable = session_on_writable},
    {.service = ELECTION,
     .name = "Resign",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = resign_on_message,
     .on_cancel = session_on_cancel},
};

void election_register(struct service *s, struct grpc_server *server)
{
    grpc_server_add(server, election_methods, ARRAY_LEN(election_methods), s);
}
