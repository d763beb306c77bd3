/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/ask: see ask.h.
 *
 *     url 0 --failed--> url 1 --failed--> ... --> on_answer(err)
 *        `--status-->  on_answer(status, body)
 *
 * Every step is made from a timer, so that on_answer and destroying the client never happen inside
 * one of the client's events.
 */
#include "peer/ask.h"

#include <stdio.h>

#include "base/limits.h"
#include "member/url.h"
#include "peer/internal.h"

struct peer_ask {
    struct peer_question q;
    struct strs urls;
    char *path;
    struct buf body;
    struct buf token;
    struct pool_conn *conn;
    struct env_timer timer; /* the limit of an attempt, and the next step */
    struct buf answer_body;
    int status;
    uint64_t cluster_id;
    size_t url;
    int err;          /* of the attempt that is over */
    bool is_over;     /* the attempt: what comes of it is decided by the timer */
    bool must_be_new; /* the connection: an old one was closed */
};

static void timer_start(struct peer_ask *a, uint64_t ms)
{
    a->q.env->exec->ops->timer_start(a->q.env->exec, &a->timer, ms);
}

static void attempt_over(struct peer_ask *a, int err)
{
    if (!a->is_over) {
        a->is_over = true;
        a->err = err;
        timer_start(a, 0);
    }
}

/* ---- events of the connection -----------------------------------------------------------------
 */

static void on_response(void *arg, const struct h1_head *head)
{
    struct peer_ask *a = arg;
    a->status = head->status;
    struct slice cluster = h1_head_get(head, "X-Etcd-Cluster-Id");
    if (peer_hex_parse(cluster, &a->cluster_id) != 0) {
        a->cluster_id = 0;
    }
}

static void on_body(void *arg, struct slice bytes)
{
    struct peer_ask *a = arg;
    if (a->answer_body.len + bytes.len > LIMIT_PEER_ANSWER_BYTES) {
        attempt_over(a, ERR_TOO_LARGE);
    } else if (!a->is_over) {
        buf_append_slice(&a->answer_body, bytes);
    }
}

static void on_end(void *arg)
{
    struct peer_ask *a = arg;
    bool counts = a->q.takes_any_status || a->status == 200 || a->status == 404 || a->status == 412;
    attempt_over(a, counts ? 0 : ERR_REFUSED);
}

static void on_down(void *arg, int err)
{
    attempt_over(arg, err);
}

static const struct rpc_http_client_events events = {
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_end,
    .on_down = on_down,
};

/* ---- attempts ---------------------------------------------------------------------------------
 */

static void ask_free(struct peer_ask *a)
{
    pool_conn_drop(a->conn);
    strs_deinit(&a->urls);
    mem_free(a->path);
    buf_deinit(&a->body);
    buf_deinit(&a->token);
    buf_deinit(&a->answer_body);
    mem_free(a);
}

static void request(struct peer_ask *a)
{
    struct h1_header headers[3];
    char cluster[PEER_HEX_MAX];
    size_t n = 0;
    if (a->q.content_type != NULL) {
        headers[n++] = (struct h1_header){SLICE_LIT("Content-Type"), slice_cstr(a->q.content_type)};
    }
    if (a->q.cluster_id != 0) {
        snprintf(cluster, sizeof(cluster), "%llx", (unsigned long long)a->q.cluster_id);
        headers[n++] = (struct h1_header){SLICE_LIT("X-Etcd-Cluster-Id"), slice_cstr(cluster)};
    }
    if (a->token.len > 0) {
        headers[n++] = (struct h1_header){SLICE_LIT("Authorization"), buf_slice(&a->token)};
    }
    rpc_http_client_request(pool_conn_client(a->conn), a->q.method, a->path, headers, n,
                            buf_slice(&a->body));
}

static int attempt(struct peer_ask *a)
{
    const struct pool_want want = {
        .env = a->q.env,
        .tls = a->q.tls,
        .url = a->urls.items[a->url],
        .timeout_ms = a->q.url_timeout_ms,
        .must_be_new = a->must_be_new,
        .events = &events,
        .arg = a,
    };
    int err = pool_conn_take(a->q.pool, &want, &a->conn);
    if (err == 0) {
        request(a);
    }
    return err;
}

static void finish(struct peer_ask *a)
{
    struct peer_answer answer = {
        .err = a->err,
        .status = a->status,
        .cluster_id = a->cluster_id,
        .body = buf_slice(&a->answer_body),
        .url = a->url,
    };
    a->q.on_answer(a->q.arg, &answer);
    ask_free(a);
}

static void next_attempt(struct peer_ask *a)
{
    a->is_over = false;
    a->status = 0;
    a->cluster_id = 0;
    buf_clear(&a->answer_body);
    timer_start(a, a->q.url_timeout_ms);
    int err = attempt(a);
    if (err != 0) {
        attempt_over(a, err);
    }
}

static void conn_end(struct peer_ask *a, bool has_answer)
{
    if (has_answer) {
        pool_conn_give(a->conn);
    } else {
        pool_conn_drop(a->conn);
    }
    a->conn = NULL;
}

/* The attempt is over, or its time is. */
static void timer_fire(struct env_timer *timer)
{
    struct peer_ask *a = container_of(timer, struct peer_ask, timer);
    bool has_answer = a->is_over && a->err == 0;
    bool was_closed =
        a->is_over && a->err != 0 && a->status == 0 && a->conn != NULL && pool_conn_is_old(a->conn);
    a->err = a->is_over ? a->err : ERR_TIMED_OUT;
    conn_end(a, has_answer);
    a->must_be_new = was_closed;
    if (was_closed) {
        next_attempt(a);
        return;
    }
    if (!has_answer && a->url + 1 < a->urls.count) {
        a->url++;
        next_attempt(a);
        return;
    }
    finish(a);
}

struct peer_ask *peer_ask_start(const struct peer_question *q)
{
    struct peer_ask *a = mem_zalloc(sizeof(*a));
    a->q = *q;
    strs_copy(&a->urls, q->urls);
    a->path = mem_strdup(q->path);
    buf_append_slice(&a->body, q->body);
    buf_append_slice(&a->token, q->token);
    a->timer.fire = timer_fire;
    if (a->urls.count == 0) {
        attempt_over(a, ERR_NOT_FOUND);
    } else {
        next_attempt(a);
    }
    return a;
}

void peer_ask_cancel(struct peer_ask *a)
{
    if (a == NULL) {
        return;
    }
    if (a->timer.is_active) {
        a->q.env->exec->ops->timer_stop(a->q.env->exec, &a->timer);
    }
    ask_free(a);
}
