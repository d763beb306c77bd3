/* SPDX-License-Identifier: Apache-2.0
 *
 * service/turn: Lock and Campaign: a key of one's own under a prefix, and waiting until it is the
 * oldest there (client-api 2.7).
 *
 *     grant -> ACQUIRE -> [BEFORE -> WAIT]* -> OWN (Lock) -> answer
 *                    \-> PROCLAIM -> BEFORE      (Campaign: the key was there with another value)
 *
 * Each waits for the youngest key that is older than its own, so that a key that goes wakes one.
 * Whose client goes while it waits takes its key away.  A client that goes during ACQUIRE does too,
 * if it made the key; etcd leaves that one to the end of its lease.
 */
#include <inttypes.h>

#include "service/election_req.h"
#include "service/session.h"

enum turn_step {
    TURN_GRANT,
    TURN_ACQUIRE,
    TURN_PROCLAIM,
    TURN_RESIGN, /* err is why */
    TURN_BEFORE,
    TURN_WAIT,
    TURN_OWN,
};

static const struct session_ops lock_ops;

static bool is_lock(const struct session *x)
{
    return x->ops == &lock_ops;
}

/* ---- answers ---- */

static void answer(struct session *x)
{
    struct wire_header h = service_header(x->service, x->header_rev);
    struct buf *out = service_scratch(x->service);
    wire_append_header(out, &h);
    size_t start = out->len;
    if (is_lock(x)) {
        wire_append_bytes(out, 2, buf_slice(&x->key));
    } else {
        wire_append_bytes(out, 1, x->name);
        wire_append_bytes(out, 2, buf_slice(&x->key));
        wire_append_u64(out, 3, (uint64_t)x->rev);
        wire_append_u64(out, 4, (uint64_t)x->lease);
        wire_close_message(out, start, 2);
    }
    grpc_call_finish_unary(x->call, buf_slice(out));
    session_end(x);
}

static void release(struct session *x, struct service_call *sc)
{
    if (is_lock(x)) {
        session_release_delete(sc, x);
    } else {
        session_release_resign(sc, x);
    }
}

/* A candidate whose wait fails keeps its key, as in etcd. */
static void wait_failed(struct session *x, int err)
{
    if (is_lock(x)) {
        release(x, session_release_begin(x));
    }
    session_fail(x, err);
}

/* ---- steps ---- */

static void acquire(struct session *x)
{
    uint64_t id = (uint64_t)x->lease;
    x->step = TURN_ACQUIRE;
    buf_append_slice(&x->key, x->name);
    buf_printf(&x->key, "/%s%" PRIx64, x->lease < 0 ? "-" : "", x->lease < 0 ? 0 - id : id);
    struct session_txn *t = session_txn_new(x);
    struct wire_op put = session_op_put(x), own = session_op_get(x, buf_slice(&x->key));
    session_txn_if(t, buf_slice(&x->key), 0);
    session_txn_then(t, &put);
    session_txn_else(t, &own);
    if (is_lock(x)) {
        struct wire_op first = session_op_first(x);
        session_txn_then(t, &first);
        session_txn_else(t, &first);
    }
    session_txn(x, t);
}

static void ask_before(struct session *x)
{
    x->step = TURN_BEFORE;
    struct session_txn *t = session_txn_new(x);
    struct wire_op op = session_op_last(x, x->rev - 1);
    session_txn_then(t, &op);
    session_txn(x, t);
}

static void ask_own(struct session *x)
{
    x->step = TURN_OWN;
    struct session_txn *t = session_txn_new(x);
    struct wire_op op = session_op_get(x, buf_slice(&x->key));
    session_txn_then(t, &op);
    session_txn(x, t);
}

static void proclaim(struct session *x)
{
    x->step = TURN_PROCLAIM;
    struct session_txn *t = session_txn_new(x);
    struct wire_op put = session_op_put(x);
    session_txn_if(t, buf_slice(&x->key), x->rev);
    session_txn_then(t, &put);
    session_txn(x, t);
}

static void resign(struct session *x, int err)
{
    x->step = TURN_RESIGN;
    x->err = err;
    struct session_txn *t = session_txn_new(x);
    struct wire_op del = {.kind = WIRE_OP_DELETE, .del = {.key = buf_slice(&x->key)}};
    session_txn_if(t, buf_slice(&x->key), x->rev);
    session_txn_then(t, &del);
    session_txn(x, t);
}

/* ---- what comes of them ---- */

static const struct wire_range_resp *range_at(const struct session_answer *a, size_t i)
{
    ensure(i < a->txn->response_count && a->txn->responses[i].kind == WIRE_OP_RANGE);
    return &a->txn->responses[i].range;
}

static void acquired_lock(struct session *x, const struct session_answer *a)
{
    const struct wire_range_resp *first = range_at(a, 1);
    if (first->kv_count == 0 || first->kvs[0].create_revision == x->rev) {
        answer(x);
    } else {
        ask_before(x);
    }
}

static void acquired(struct session *x, const struct session_answer *a)
{
    const struct wire_range_resp *own = a->txn->succeeded ? NULL : range_at(a, 0);
    ensure(own == NULL || own->kv_count == 1);
    x->header_rev = a->rev;
    x->rev = own == NULL ? a->rev : own->kvs[0].create_revision;
    if (x->call == NULL) {
        if (own == NULL) {
            release(x, x->release);
            x->release = NULL;
        }
        session_end(x);
    } else if (is_lock(x)) {
        acquired_lock(x, a);
    } else if (own != NULL && !slice_equal(own->kvs[0].value, x->value)) {
        proclaim(x);
    } else {
        ask_before(x);
    }
}

static void before(struct session *x, const struct session_answer *a)
{
    const struct wire_range_resp *last = range_at(a, 0);
    if (last->kv_count > 0) {
        x->step = TURN_WAIT;
        session_watch(x, last->kvs[0].key, SLICE_LIT(""), a->rev, SESSION_DELETES);
    } else if (is_lock(x)) {
        ask_own(x);
    } else {
        answer(x);
    }
}

static void own(struct session *x, const struct session_answer *a)
{
    if (range_at(a, 0)->kv_count == 0) {
        session_fail_text(x, "mutex: session is expired");
    } else {
        x->header_rev = a->rev;
        answer(x);
    }
}

static void failed(struct session *x, int err)
{
    if (x->call == NULL) {
        session_end(x);
    } else if (x->step == TURN_PROCLAIM) {
        resign(x, err);
    } else if (x->step == TURN_RESIGN) {
        session_fail(x, x->err);
    } else if (x->step == TURN_BEFORE || x->step == TURN_OWN) {
        wait_failed(x, err);
    } else {
        session_fail(x, err);
    }
}

static void on_answer(struct session *x, const struct session_answer *a)
{
    if (a->err != 0) {
        failed(x, a->err);
        return;
    }
    switch ((enum turn_step)x->step) {
    case TURN_GRANT: acquire(x); break;
    case TURN_ACQUIRE: acquired(x, a); break;
    case TURN_PROCLAIM:
        if (a->txn->succeeded) {
            ask_before(x);
        } else {
            session_fail_text(x, "election: not leader");
        }
        break;
    case TURN_RESIGN: session_fail(x, x->err); break;
    case TURN_BEFORE: before(x, a); break;
    case TURN_OWN: own(x, a); break;
    case TURN_WAIT: break;
    }
}

static void on_wake(struct session *x, int err)
{
    if (err != 0) {
        wait_failed(x, err);
    } else {
        ask_before(x);
    }
}

static bool on_gone(struct session *x)
{
    if (x->step == TURN_ACQUIRE) {
        x->release = session_release_begin(x);
        x->release->call = NULL;
        return true;
    }
    if (x->step >= TURN_BEFORE) {
        release(x, session_release_begin(x));
    }
    return false;
}

static const struct session_ops lock_ops = {
    .on_answer = on_answer, .on_wake = on_wake, .on_gone = on_gone};
static const struct session_ops campaign_ops = {
    .on_answer = on_answer, .on_wake = on_wake, .on_gone = on_gone};

static void start(struct grpc_call *call, const struct session_ops *ops)
{
    struct contest_req r;
    struct session *x = session_begin_contest(call, ops, &r);
    if (x == NULL) {
        return;
    }
    x->value = is_lock(x) ? SLICE_LIT("") : r.value;
    x->lease = r.lease;
    x->step = TURN_GRANT;
    if (!session_grant(x)) {
        acquire(x);
    }
}

void turn_lock_on_message(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    start(call, &lock_ops);
}

void turn_campaign_on_message(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    start(call, &campaign_ops);
}
