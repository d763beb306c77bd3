/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/probe: GET /raft/probing every 4 s: round trip and clock difference, for logs and metrics.
 */
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "peer/internal.h"

enum { PROBE_BODY_MAX = 4096 };

static void probe_failed(struct peer_probe *b, int err)
{
    b->sent_ns = 0;
    b->is_ok = false;
    rpc_http_client_destroy(b->client);
    b->client = NULL;
    if (!b->was_told && b->peer->active_since_ms != 0) {
        b->was_told = true;
        log_warn("prober detected unhealthy status", LOG_STR("remote-peer-id", b->peer->hex),
                 LOG_NS("rtt", (int64_t)b->rtt_ns), LOG_ERR(err));
    }
}

/* ---- the answer -------------------------------------------------------------------------------
 */

/* n digits at s+at as a number; false when there are others. */
static bool digits(struct slice s, size_t at, size_t n, int *out)
{
    int v = 0;
    for (size_t i = at; i < at + n; i++) {
        if (i >= s.len || s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }
        v = v * 10 + (s.data[i] - '0');
    }
    *out = v;
    return true;
}

/* 2026-11-24T11:28:30.123456789Z; Go members send UTC. */
static int time_parse(struct slice s, int64_t *out_ns)
{
    struct tm tm = {.tm_isdst = 0};
    if (s.len < 20 || !digits(s, 0, 4, &tm.tm_year) || !digits(s, 5, 2, &tm.tm_mon) ||
        !digits(s, 8, 2, &tm.tm_mday) || !digits(s, 11, 2, &tm.tm_hour) ||
        !digits(s, 14, 2, &tm.tm_min) || !digits(s, 17, 2, &tm.tm_sec) ||
        s.data[s.len - 1] != 'Z') {
        return ERR_MALFORMED;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t frac = 0, unit = 100000000;
    for (size_t i = 20; i + 1 < s.len && unit > 0; i++, unit /= 10) {
        int d = 0;
        if (!digits(s, i, 1, &d)) {
            return ERR_MALFORMED;
        }
        frac += d * unit;
    }
    *out_ns = (int64_t)timegm(&tm) * 1000000000 + frac;
    return 0;
}

int peer_probe_parse(struct slice body, int64_t *out_wall_ns)
{
    struct json_reader r;
    struct buf key = BUF_INIT, now = BUF_INIT;
    bool is_ok = false;
    json_init(&r, body);
    if (json_object_begin(&r)) {
        while (json_object_next(&r, &key)) {
            if (json_key_is(&key, "OK")) {
                json_bool(&r, &is_ok);
            } else if (json_key_is(&key, "Now")) {
                json_string(&r, &now);
            } else {
                json_skip(&r);
            }
        }
    }
    int err = json_end(&r);
    if (err == 0) {
        err = is_ok ? time_parse(buf_slice(&now), out_wall_ns) : ERR_MALFORMED;
    }
    buf_deinit(&key);
    buf_deinit(&now);
    return err;
}

static void clock_compare(struct peer_probe *b, int64_t their_ns)
{
    /* Their clock was read about half a round trip after the question. */
    int64_t diff = their_ns - (b->sent_wall_ns + (int64_t)(b->rtt_ns / 2));
    bool is_far = diff > PEER_CLOCK_DIFF_MS * 1000000LL || diff < -PEER_CLOCK_DIFF_MS * 1000000LL;
    if (is_far && !b->was_clock_told) {
        log_warn("prober found high clock drift", LOG_STR("remote-peer-id", b->peer->hex),
                 LOG_NS("clock-drift", diff), LOG_NS("rtt", (int64_t)b->rtt_ns));
    }
    b->was_clock_told = is_far;
}

static void on_response(void *arg, const struct h1_head *head)
{
    struct peer_probe *b = arg;
    b->status = head->status;
    buf_clear(&b->body);
}

static void on_body(void *arg, struct slice bytes)
{
    struct peer_probe *b = arg;
    if (b->body.len + bytes.len <= PROBE_BODY_MAX) {
        buf_append_slice(&b->body, bytes);
    }
}

static void tell_rtt(const struct peer_probe *b)
{
    const struct peer_transport *t = b->peer->transport;
    if (t->events->on_rtt != NULL) {
        t->events->on_rtt(t->arg, b->peer->id, b->rtt_ns);
    }
}

static void on_end(void *arg)
{
    struct peer_probe *b = arg;
    struct env_clock *clock = b->peer->transport->env->clock;
    int64_t their_ns = 0;
    int err = b->status == 200 ? peer_probe_parse(buf_slice(&b->body), &their_ns) : ERR_REFUSED;
    if (err != 0 || b->sent_ns == 0) {
        peer_url_rotate(b->peer);
        probe_failed(b, err);
        return;
    }
    b->rtt_ns = clock->ops->mono_ns(clock) - b->sent_ns;
    b->sent_ns = 0;
    b->is_ok = true;
    b->was_told = false;
    tell_rtt(b);
    clock_compare(b, their_ns);
}

static void on_down(void *arg, int err)
{
    struct peer_probe *b = arg;
    if (b->sent_ns != 0) {
        probe_failed(b, err);
        return;
    }
    rpc_http_client_destroy(b->client); /* closed while idle */
    b->client = NULL;
}

static const struct rpc_http_client_events events = {
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_end,
    .on_down = on_down,
};

/* ---- asking -----------------------------------------------------------------------------------
 */

static void probe_send(struct peer_probe *b)
{
    struct env_clock *clock = b->peer->transport->env->clock;
    if (b->client != NULL && !rpc_http_client_can_begin(b->client)) {
        rpc_http_client_destroy(b->client);
        b->client = NULL;
    }
    if (b->client == NULL) {
        int err = peer_client_open(b->peer, &events, b, &b->client);
        if (err != 0) {
            b->client = NULL;
            probe_failed(b, err);
            return;
        }
    }
    b->sent_ns = clock->ops->mono_ns(clock);
    b->sent_wall_ns = clock->ops->wall_ns(clock);
    rpc_http_client_request(b->client, "GET", "/raft/probing", NULL, 0, SLICE_NULL);
}

void peer_probe_tick(struct peer_probe *b, uint64_t now_ms)
{
    if (b->peer->is_remote || now_ms < b->next_ms) {
        return;
    }
    if (b->sent_ns != 0) {
        probe_failed(b, ERR_TIMED_OUT);
    }
    b->next_ms = now_ms + PEER_PROBE_MS;
    probe_send(b);
}

void peer_probe_init(struct peer_probe *b, struct peer *p)
{
    *b = (struct peer_probe){.peer = p};
    buf_init(&b->body);
}

void peer_probe_deinit(struct peer_probe *b)
{
    rpc_http_client_destroy(b->client);
    b->client = NULL;
    buf_deinit(&b->body);
}
