/* SPDX-License-Identifier: Apache-2.0
 *
 * service/observe: Election.Observe: the leader's values as they come, and those of the next ones
 * (client-api 2.7).
 *
 *     FIRST: read the oldest key -> send it -> KEY: its puts are sent, its deletion -> FIRST
 *         \- none: NEXT: the first put under the prefix is sent -> KEY
 *
 * As in etcd an error ends the stream with OK.
 */
#include "service/election_req.h"
#include "service/session.h"
#include "wire/watch.h"

enum observe_step { OBSERVE_FIRST, OBSERVE_NEXT, OBSERVE_KEY };

enum { EVENT_TYPE = 1, EVENT_KV = 2 };

/* LeaderResponse{1: header, 2: kv} */
static void say(struct session *x, int64_t rev, struct slice kv)
{
    struct wire_header h = service_header(x->service, rev);
    struct buf *out = service_scratch(x->service);
    wire_append_header(out, &h);
    wire_append_message(out, 2, kv);
    grpc_call_send(x->call, buf_slice(out));
}

static void ask_first(struct session *x)
{
    x->step = OBSERVE_FIRST;
    struct session_txn *t = session_txn_new(x);
    struct wire_op first = session_op_first(x);
    session_txn_then(t, &first);
    session_txn(x, t);
}

static void watch_key(struct session *x)
{
    x->step = OBSERVE_KEY;
    session_watch(x, buf_slice(&x->key), SLICE_LIT(""), x->rev + 1, SESSION_PUTS | SESSION_DELETES);
}

static void watch_prefix(struct session *x, int64_t rev)
{
    struct buf prefix = BUF_INIT;
    uint8_t *end = mem_alloc(x->name.len + 1);
    x->step = OBSERVE_NEXT;
    buf_append_slice(&prefix, x->name);
    buf_append_byte(&prefix, '/');
    session_watch(x, buf_slice(&prefix), wire_prefix_end(buf_slice(&prefix), end), rev,
                  SESSION_PUTS);
    buf_deinit(&prefix);
    mem_free(end);
}

static void on_answer(struct session *x, const struct session_answer *a)
{
    if (a->err != 0) {
        grpc_call_finish(x->call);
        session_end(x);
        return;
    }
    ensure(a->txn->response_count == 1 && a->txn->responses[0].kind == WIRE_OP_RANGE);
    const struct wire_range_resp *first = &a->txn->responses[0].range;
    if (first->kv_count == 0) {
        watch_prefix(x, a->rev);
        return;
    }
    struct buf kv = BUF_INIT;
    uint8_t *bytes = buf_extend(&kv, wire_kv_size(&first->kvs[0]));
    wire_kv_encode(&first->kvs[0], bytes);
    say(x, a->rev, buf_slice(&kv));
    buf_deinit(&kv);
    buf_clear(&x->key);
    buf_append_slice(&x->key, first->kvs[0].key);
    x->rev = a->rev;
    watch_key(x);
}

static void on_wake(struct session *x, int err)
{
    if (err != 0) {
        grpc_call_finish(x->call);
        session_end(x);
    } else if (x->step == OBSERVE_NEXT) {
        watch_key(x);
    } else {
        ask_first(x);
    }
}

/* The Event behind its tag and length, as the hub shares it: true for a put. */
static bool event_open(const struct rcbuf *event, struct slice *kv)
{
    struct wire_scan outer, s;
    bool is_put = true;
    wire_scan_init(&outer, rcbuf_slice(event));
    ensure(wire_scan_next(&outer) && outer.field == WIRE_WATCH_EVENTS);
    for (wire_scan_init(&s, outer.bytes); wire_scan_next(&s);) {
        if (s.field == EVENT_TYPE) {
            is_put = s.number == WIRE_EVENT_PUT;
        } else if (s.field == EVENT_KV) {
            *kv = s.bytes;
        }
    }
    ensure(s.err == 0);
    return is_put;
}

static bool on_events(struct session *x, const struct watch_delivery *d)
{
    for (size_t i = 0; i < d->count; i++) {
        struct slice bytes = SLICE_LIT("");
        struct wire_kv kv;
        bool is_put = event_open(d->events[i], &bytes);
        if (x->step == OBSERVE_KEY && is_put) {
            say(x, d->header_rev, bytes);
            continue;
        }
        if (x->step == OBSERVE_NEXT) {
            int err = wire_kv_decode(bytes, &kv);
            ensure(err == 0);
            say(x, kv.mod_revision, bytes);
            buf_clear(&x->key);
            buf_append_slice(&x->key, kv.key);
            x->rev = kv.mod_revision;
        }
        return true;
    }
    return false;
}

static const struct session_ops observe_ops = {
    .on_answer = on_answer, .on_wake = on_wake, .on_events = on_events};

void observe_on_message(struct grpc_call *call, struct slice msg)
{
    struct contest_req r;
    (void)msg;
    struct session *x = session_begin_contest(call, &observe_ops, &r);
    if (x == NULL) {
        return;
    }
    session_want_leader(x);
    ask_first(x);
}
