/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/pipeline: POST /raft, one message a request: for peers without an attached stream.
 *
 * Up to PEER_PIPES connections work on two lists, urgent messages first.  A message is tried once;
 * its failure is reported and the next one gets the next URL.  After a dial that failed, messages
 * are dropped for PEER_REDIAL_MIN_MS instead of dialling for each.
 */
#include "base/log.h"
#include "peer/internal.h"

static void pipe_work(struct peer_pipe *pipe);

static uint64_t now_of(const struct peer *p)
{
    return env_mono_ms(p->transport->env);
}

static void post_free(struct peer_post *post)
{
    buf_deinit(&post->body);
    mem_free(post);
}

static void pipe_close(struct peer_pipe *pipe)
{
    rpc_http_client_destroy(pipe->client);
    pipe->client = NULL;
    if (pipe->post != NULL) {
        post_free(pipe->post);
        pipe->post = NULL;
    }
}

static void post_failed(struct peer_pipe *pipe, int err)
{
    struct peer *p = pipe->peer;
    p->stats.sent_failures++;
    p->pipeline.retry_ms = now_of(p) + PEER_REDIAL_MIN_MS;
    peer_report_add(p->transport, p->id, PEER_REPORT_UNREACHABLE);
    peer_deactivate(p, "post", err);
    peer_url_rotate(p);
    pipe_close(pipe);
}

/* ---- events of a connection -------------------------------------------------------------------
 */

static void on_response(void *arg, const struct h1_head *head)
{
    struct peer_pipe *pipe = arg;
    pipe->status = head->status;
    peer_version_heard(pipe->peer, h1_head_get(head, "X-Server-Version"));
}

static void on_end(void *arg)
{
    struct peer_pipe *pipe = arg;
    struct peer *p = pipe->peer;
    if (pipe->post == NULL) {
        return;
    }
    if (pipe->status == 204) {
        p->stats.sent_bytes += pipe->post->body.len;
        peer_activate(p);
        post_free(pipe->post);
        pipe->post = NULL;
    } else {
        if (pipe->status == 403) {
            peer_report_add(p->transport, p->id, PEER_REPORT_REMOVED);
        }
        post_failed(pipe, ERR_REFUSED);
    }
    pipe_work(pipe);
}

static void on_down(void *arg, int err)
{
    struct peer_pipe *pipe = arg;
    if (pipe->post != NULL) {
        post_failed(pipe, err);
    } else {
        pipe_close(pipe);
    }
    pipe_work(pipe);
}

static const struct rpc_http_client_events events = {
    .on_response = on_response,
    .on_end = on_end,
    .on_down = on_down,
};

/* ---- work -------------------------------------------------------------------------------------
 */

static struct peer_post *next_post(struct peer_pipeline *l)
{
    struct list_node *n = list_first(&l->urgent);
    n = n != NULL ? n : list_first(&l->bulk);
    if (n == NULL) {
        return NULL;
    }
    struct peer_post *post = LIST_ENTRY(n, struct peer_post, node);
    list_remove(n);
    l->count--;
    l->bytes -= post->body.len;
    return post;
}

static void post_send(struct peer_pipe *pipe)
{
    struct h1_header headers[PEER_HEADERS_MAX];
    size_t n = peer_request_headers(pipe->peer, headers);
    headers[n++] = (struct h1_header){SLICE_LIT("Content-Type"), SLICE_LIT("application/protobuf")};
    pipe->status = 0;
    pipe->used_ms = now_of(pipe->peer);
    rpc_http_client_request(pipe->client, "POST", "/raft", headers, n,
                            buf_slice(&pipe->post->body));
}

/* Takes the next message, if the pipe is free. */
static void pipe_work(struct peer_pipe *pipe)
{
    struct peer *p = pipe->peer;
    while (!p->is_dead && pipe->post == NULL) {
        pipe->post = next_post(&p->pipeline);
        if (pipe->post == NULL) {
            return;
        }
        if (pipe->client != NULL && !rpc_http_client_can_begin(pipe->client)) {
            rpc_http_client_destroy(pipe->client);
            pipe->client = NULL;
        }
        int err = pipe->client != NULL ? 0 : peer_client_open(p, &events, pipe, &pipe->client);
        if (err != 0) {
            pipe->client = NULL;
            post_failed(pipe, err);
            continue;
        }
        post_send(pipe);
    }
}

static bool is_full(const struct peer_pipeline *l, size_t more)
{
    return l->count == LIMIT_PEER_POSTS ||
           (l->count > 0 && l->bytes + more > LIMIT_PEER_POST_BYTES);
}

bool peer_pipeline_push(struct peer *p, const struct raft_message *m)
{
    struct peer_pipeline *l = &p->pipeline;
    if (is_full(l, peer_message_size_hint(m)) || now_of(p) < l->retry_ms) {
        return false;
    }
    struct peer_post *post = mem_zalloc(sizeof(*post));
    peer_message_encode(&post->body, m, NULL, p->transport->rules);
    bool is_data = m->type == RAFT_MSG_APP || m->type == RAFT_MSG_PROP;
    list_push_back(is_data ? &l->bulk : &l->urgent, &post->node);
    l->count++;
    l->bytes += post->body.len;
    struct peer_pipe *free_pipe = NULL;
    for (size_t i = 0; i < PEER_PIPES; i++) {
        struct peer_pipe *pipe = &l->pipes[i];
        bool is_better = free_pipe == NULL || (free_pipe->client == NULL && pipe->client != NULL);
        if (pipe->post == NULL && is_better) {
            free_pipe = pipe;
        }
    }
    if (free_pipe != NULL) {
        pipe_work(free_pipe);
    }
    return true;
}

void peer_pipeline_tick(struct peer *p, uint64_t now_ms)
{
    for (size_t i = 0; i < PEER_PIPES; i++) {
        struct peer_pipe *pipe = &p->pipeline.pipes[i];
        uint64_t age = now_ms - pipe->used_ms;
        if (pipe->post != NULL && age >= PEER_POST_TIMEOUT_MS) {
            post_failed(pipe, ERR_TIMED_OUT);
            pipe_work(pipe);
        } else if (pipe->post == NULL && pipe->client != NULL && age >= PEER_PIPE_IDLE_MS) {
            pipe_close(pipe);
        }
    }
}

/* ---- life -------------------------------------------------------------------------------------
 */

void peer_pipeline_init(struct peer *p)
{
    list_init(&p->pipeline.urgent);
    list_init(&p->pipeline.bulk);
    for (size_t i = 0; i < PEER_PIPES; i++) {
        p->pipeline.pipes[i].peer = p;
    }
}

void peer_pipeline_deinit(struct peer *p)
{
    for (struct peer_post *post = next_post(&p->pipeline); post != NULL;
         post = next_post(&p->pipeline)) {
        post_free(post);
    }
    for (size_t i = 0; i < PEER_PIPES; i++) {
        pipe_close(&p->pipeline.pipes[i]);
    }
}
