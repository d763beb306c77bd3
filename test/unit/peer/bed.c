/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/unit/peer/bed.h"

/* ---- events and pages of the transport ----
 */

static int on_message(void *arg, const struct raft_message *m)
{
    struct bed *b = arg;
    buf_printf(&b->messages, "%d %llu %llu;", (int)m->type, (unsigned long long)m->from,
               (unsigned long long)m->index);
    return b->message_answer;
}

static int on_snapshot(void *arg, const struct peer_snapshot_in *in)
{
    struct bed *b = arg;
    b->snapshots_in++;
    assert_true(env_exists(b->us_env->disk, in->path));
    return b->snapshot_answer;
}

static bool is_removed(void *arg, uint64_t id)
{
    return ((struct bed *)arg)->removed == id;
}

static void on_unreachable(void *arg, uint64_t id)
{
    (void)id;
    ((struct bed *)arg)->unreachables++;
}

static void on_snapshot_status(void *arg, uint64_t id, bool has_failed)
{
    struct bed *b = arg;
    (void)id;
    b->snapshots_ok += has_failed ? 0 : 1;
    b->snapshots_failed += has_failed ? 1 : 0;
}

static void on_active(void *arg, uint64_t id, bool is_active)
{
    struct bed *b = arg;
    (void)id;
    b->actives += is_active ? 1 : 0;
    b->inactives += is_active ? 0 : 1;
}

static void on_removed(void *arg)
{
    ((struct bed *)arg)->told_removed++;
}

static const struct peer_events events = {
    .on_message = on_message,
    .on_snapshot = on_snapshot,
    .is_removed = is_removed,
    .on_unreachable = on_unreachable,
    .on_snapshot_status = on_snapshot_status,
    .on_active = on_active,
    .on_removed = on_removed,
};

static void page_members(void *arg, struct buf *out)
{
    (void)arg;
    buf_append_cstr(out, "[{\"id\":1}]");
}

static void page_version(void *arg, struct buf *out)
{
    (void)arg;
    buf_append_cstr(out, "{\"etcdserver\":\"3.6.14\"}");
}

static void request_note(struct bed *b, int64_t number, bool flag, struct peer_request *r)
{
    b->page_number = number;
    b->page_flag = flag;
    b->request = r;
}

static void page_promote(void *arg, uint64_t id, struct slice token, struct peer_request *r)
{
    struct bed *b = arg;
    buf_append_slice(&b->page_token, token);
    request_note(b, (int64_t)id, false, r);
}

static void page_hash_kv(void *arg, int64_t rev, struct peer_request *r)
{
    request_note(arg, rev, false, r);
}

static void page_lease_renew(void *arg, int64_t id, struct peer_request *r)
{
    request_note(arg, id, false, r);
}

static void page_lease_ttl(void *arg, int64_t id, bool wants_keys, struct peer_request *r)
{
    request_note(arg, id, wants_keys, r);
}

static void page_downgrade(void *arg, struct peer_request *r)
{
    request_note(arg, 0, false, r);
}

static const struct peer_pages pages = {
    .members = page_members,
    .version = page_version,
    .promote = page_promote,
    .hash_kv = page_hash_kv,
    .lease_renew = page_lease_renew,
    .lease_ttl = page_lease_ttl,
    .downgrade_enabled = page_downgrade,
};

/* ---- raw connections ----
 */

static void raw_on_data(void *arg, struct slice bytes)
{
    buf_append_slice(&((struct raw *)arg)->got, bytes);
}

static void raw_on_eof(void *arg)
{
    ((struct raw *)arg)->is_eof = true;
}

static void raw_on_drain(void *arg)
{
    (void)arg;
}

static void raw_on_close(void *arg, int err)
{
    struct raw *r = arg;
    (void)err;
    r->is_closed = true;
    r->conn = NULL;
}

static const struct env_conn_events raw_events = {raw_on_data, raw_on_eof, raw_on_drain,
                                                  raw_on_close};

static void on_accept(void *arg, struct env_conn *conn)
{
    struct bed *b = arg;
    assert_true(b->accepted_count < RAW_MAX);
    struct raw *r = &b->accepted[b->accepted_count++];
    *r = (struct raw){.conn = conn};
    conn->events = &raw_events;
    conn->arg = r;
    if (b->auto_answer != NULL) { /* before the question: it waits in the stream */
        struct slice s = slice_cstr(b->auto_answer);
        conn->ops->write(conn, &s, 1);
    }
}

void raw_open(struct bed *b, struct raw *r)
{
    *r = (struct raw){.conn = NULL};
    assert_int_equal(
        b->them_env->net->ops->connect(b->them_env->net, "us:2380", 1000, &raw_events, r, &r->conn),
        0);
    sim_advance_ms(b->sim, 10);
}

void raw_send_bytes(struct bed *b, struct raw *r, struct slice bytes)
{
    if (r->conn != NULL) {
        r->conn->ops->write(r->conn, &bytes, 1);
    }
    sim_advance_ms(b->sim, 10);
}

void raw_send(struct bed *b, struct raw *r, const char *text)
{
    raw_send_bytes(b, r, slice_cstr(text));
}

void raw_close(struct raw *r)
{
    static struct raw nobody; /* the caller's struct may be gone before on_close */
    if (r->conn != NULL) {
        r->conn->arg = &nobody;
        r->conn->ops->close(r->conn, 0);
        r->conn = NULL;
    }
    buf_deinit(&r->got);
    buf_init(&r->got);
}

void raw_ask(struct bed *b, struct raw *r, const char *text)
{
    raw_open(b, r);
    raw_send(b, r, text);
}

bool raw_has(const struct raw *r, const char *text)
{
    return r->got.len > 0 && memmem(r->got.data, r->got.len, text, strlen(text)) != NULL;
}

void peer_request_text(struct buf *out, const char *method, const char *path, const char *more)
{
    buf_printf(out,
               "%s %s HTTP/1.1\r\nHost: us\r\nX-Etcd-Cluster-ID: c1\r\nX-Server-Version: 3.6.14\r\n"
               "X-Min-Cluster-Version: 3.0.0\r\nX-Server-From: 2\r\nX-Raft-To: 1\r\n%s\r\n",
               method, path, more);
}

void stream_open(struct bed *b, struct raw *r, const char *kind)
{
    struct buf text = BUF_INIT, path = BUF_INIT;
    buf_printf(&path, "/raft/stream/%s/2", kind);
    peer_request_text(&text, "GET", buf_cstr(&path), "");
    raw_ask(b, r, buf_cstr(&text));
    assert_true(raw_has(r, "HTTP/1.1 200 OK\r\n"));
    buf_deinit(&text);
    buf_deinit(&path);
}

struct raft_message message_to_2(enum raft_message_type type)
{
    return (struct raft_message){.type = type, .to = 2, .from = 1, .term = 1};
}

struct buf raw_chunks(const struct raw *r)
{
    struct buf out = BUF_INIT;
    const uint8_t *at = r->got.data == NULL ? NULL : memmem(r->got.data, r->got.len, "\r\n\r\n", 4);
    if (at == NULL) {
        return out;
    }
    struct slice s = slice_skip(buf_slice(&r->got), (size_t)(at + 4 - r->got.data));
    while (s.data != NULL && s.len > 0) {
        const uint8_t *eol = memmem(s.data, s.len, "\r\n", 2);
        if (eol == NULL) {
            break;
        }
        size_t n = strtoull((const char *)s.data, NULL, 16);
        s = slice_skip(s, (size_t)(eol + 2 - s.data));
        if (n == 0 || n > s.len) {
            break;
        }
        buf_append(&out, s.data, n);
        if (n + 2 > s.len) {
            break;
        }
        s = slice_skip(s, n + 2);
    }
    return out;
}

size_t raw_count_asked(const struct bed *b, const char *text)
{
    size_t n = 0;
    for (size_t i = 0; i < b->accepted_count; i++) {
        n += raw_has(&b->accepted[i], text) ? 1 : 0;
    }
    return n;
}

/* ---- life ----
 */

void bed_peer_add(struct bed *b)
{
    struct strs urls = {NULL, 0};
    strs_add(&urls, SLICE_LIT("http://them:2380"));
    peer_add(b->t, 2, &urls);
    strs_deinit(&urls);
}

static void transport_make(struct bed *b)
{
    struct strs urls = {NULL, 0};
    strs_add(&urls, SLICE_LIT("http://us:2380"));
    struct peer_config config = {
        .env = b->us_env,
        .local_id = 1,
        .cluster_id = 0xc1,
        .level = LEVEL_3_6,
        .urls = &urls,
        .snap_dir = "/snap",
        .election_ms = 1000,
        .events = &events,
        .pages = &pages,
        .arg = b,
    };
    b->t = peer_transport_create(&config);
    strs_deinit(&urls);
}

void bed_make(struct bed *b)
{
    *b = (struct bed){.sim = sim_create(1)};
    sim_order_set(b->sim, SIM_ORDER_FIFO);
    b->us_env = sim_host_env(sim_host_add(b->sim, "us"));
    b->them_env = sim_host_env(sim_host_add(b->sim, "them"));
    assert_int_equal(env_mkdir_all(b->us_env->disk, "/snap", 0700), 0);
    transport_make(b);
    struct rpc_server_options so = {.env = b->us_env};
    struct rpc_listen_options lo = {.accept = RPC_ACCEPT_HTTP, .has_plain = true};
    b->rpc = rpc_server_create(&so);
    lo.handlers = peer_handlers(b->t, &lo.handler_count);
    assert_int_equal(rpc_server_listen(b->rpc, "us:2380", &lo, &b->listener), 0);
    struct env_listen_options no = {.reuse_port = false};
    assert_int_equal(
        b->them_env->net->ops->listen(b->them_env->net, "them:2380", &no, on_accept, b, &b->them),
        0);
}

static void on_stopped(void *arg)
{
    ((struct bed *)arg)->rpc_stopped = true;
}

void bed_stop(struct bed *b)
{
    if (b->rpc_stopped) {
        return;
    }
    peer_transport_check(b->t);
    peer_transport_stop(b->t);
    rpc_server_stop(b->rpc, 1000, on_stopped, b);
    sim_advance_ms(b->sim, 12000);
    assert_true(b->rpc_stopped);
}

void bed_free(struct bed *b)
{
    bed_stop(b);
    peer_transport_destroy(b->t);
    rpc_server_destroy(b->rpc);
    b->them->ops->close(b->them);
    for (size_t i = 0; i < b->accepted_count; i++) {
        raw_close(&b->accepted[i]);
    }
    sim_advance_ms(b->sim, 1000);
    buf_deinit(&b->messages);
    buf_deinit(&b->page_token);
    sim_destroy(b->sim);
}

int bed_setup(void **state)
{
    static struct bed bed;
    *state = &bed;
    bed_make(&bed);
    return 0;
}

int bed_teardown(void **state)
{
    bed_free(*state);
    return 0;
}
