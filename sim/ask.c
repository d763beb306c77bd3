/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/ask: requests of the harness by the core's own face (membership, leadership, hashes): what a
 * service would ask.
 */
#include "sim/run.h"

static void on_reply(struct core_request *req)
{
    struct run_ask *q = container_of(req, struct run_ask, req);
    q->on_done(q);
    strs_deinit(&q->urls);
    buf_deinit(&q->body);
    buf_deinit(&q->response);
    mem_free(q);
}

struct run_ask *ask_new(struct run_slot *s, enum core_kind kind, void (*on_done)(struct run_ask *q))
{
    struct run_ask *q = mem_zalloc(sizeof(*q));
    core_request_init(&q->req, kind);
    q->req.on_reply = on_reply;
    q->run = s->run;
    q->slot = s;
    q->member = s->member;
    q->on_done = on_done;
    return q;
}

void ask_start(struct run_ask *q)
{
    q->req.body = buf_slice(&q->body);
    q->req.response = &q->response;
    if (q->req.kind == CORE_CONF_CHANGE) {
        q->req.peer_urls = &q->urls;
    }
    driver_submit(sim_member_driver(q->slot->member), &q->req);
}
