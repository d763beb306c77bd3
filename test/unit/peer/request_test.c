/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes to the peer port besides streams: messages, databases, pages; right, wrong and cut.
 * (The refusals' bytes are compared with etcd's own in test/interop/peer_test.py.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "peer/frame.h"
#include "sim/disk.h"
#include "test/unit/peer/bed.h"

static void post(struct bed *b, struct raw *r, const char *path, struct slice body,
                 const char *more)
{
    struct buf text = BUF_INIT, headers = BUF_INIT;
    buf_printf(&headers, "Content-Length: %zu\r\n%s", body.len, more);
    peer_request_text(&text, "POST", path, buf_cstr(&headers));
    buf_append_slice(&text, body);
    raw_open(b, r);
    raw_send_bytes(b, r, buf_slice(&text));
    sim_advance_ms(b->sim, 50);
    buf_deinit(&text);
    buf_deinit(&headers);
}

static void post_expect(struct bed *b, const char *path, struct slice body, const char *status)
{
    struct raw r;
    post(b, &r, path, body, "");
    if (!raw_has(&r, status)) {
        print_error("want %s in: %s\n", status, buf_cstr(&r.got));
        fail();
    }
    raw_close(&r);
}

static struct buf message(enum raft_message_type type, uint64_t from, uint64_t to)
{
    struct buf out = BUF_INIT;
    struct raft_message m = {.type = type, .from = from, .to = to, .term = 3, .index = 6};
    peer_message_encode(&out, &m, NULL, level_rules(LEVEL_3_6));
    return out;
}

static void post_message(struct bed *b, enum raft_message_type type, uint64_t from, uint64_t to,
                         const char *status)
{
    struct buf m = message(type, from, to);
    post_expect(b, "/raft", buf_slice(&m), status);
    buf_deinit(&m);
}

static void messages(void **state)
{
    struct bed *b = *state;
    post_message(b, RAFT_MSG_HEARTBEAT, 2, 1, "204 No Content");
    assert_string_equal(buf_cstr(&b->messages), "8 2 6;");
    post_message(b, RAFT_MSG_HEARTBEAT, 2, 7, "500 Internal");
    b->removed = 2;
    post_message(b, RAFT_MSG_HEARTBEAT, 2, 1, "500 Internal");
    b->removed = 0;
    post_message(b, (enum raft_message_type)10, 2, 1, "204 No Content"); /* local: ignored */
    post_message(b, RAFT_MSG_SNAP, 2, 1, "500 Internal");                /* without a database */
    b->message_answer = ERR_DROPPED;
    post_message(b, RAFT_MSG_PROP, 2, 1, "204 No Content");
    b->message_answer = ERR_MALFORMED;
    post_message(b, RAFT_MSG_VOTE, 2, 1, "500 Internal");
    post_expect(b, "/raft", SLICE_LIT("\xff"), "400 Bad Request");
    assert_string_equal(buf_cstr(&b->messages), "8 2 6;2 2 6;5 2 6;");
}

static void bodies_have_a_bound(void **state)
{
    struct bed *b = *state;
    struct raw r[3];
    struct buf text = BUF_INIT;
    static uint8_t block[1 << 20];
    peer_request_text(&text, "POST", "/raft", "Content-Length: 300000000\r\n");
    for (size_t i = 0; i < 3; i++) {
        raw_ask(b, &r[i], buf_cstr(&text));
    }
    for (size_t mb = 0; mb < 60; mb++) {
        for (size_t i = 0; i < 3; i++) {
            raw_send_bytes(b, &r[i], slice_make(block, sizeof(block)));
            peer_transport_check(b->t);
        }
    }
    sim_advance_ms(b->sim, 100);
    unsigned refused = 0;
    for (size_t i = 0; i < 3; i++) {
        refused += raw_has(&r[i], "400 Bad Request") ? 1 : 0;
        raw_close(&r[i]);
    }
    assert_int_equal(refused, 1); /* together above LIMIT_PEER_BODIES_BYTES */
    sim_advance_ms(b->sim, 100);
    buf_deinit(&text);
}

static void strangers_become_remotes(void **state)
{
    struct bed *b = *state;
    struct buf m = message(RAFT_MSG_HEARTBEAT, 2, 1);
    struct raw r;
    struct peer_status s;
    post(b, &r, "/raft", buf_slice(&m), "X-PeerURLs: no url\r\n");
    raw_close(&r);
    assert_int_equal(peer_status(b->t, 2, &s), ERR_NOT_FOUND);
    post(b, &r, "/raft", buf_slice(&m), "X-PeerURLs: http://them:2380\r\n");
    raw_close(&r);
    assert_int_equal(peer_status(b->t, 2, &s), 0);
    assert_true(s.is_remote);
    struct raft_message back = message_to_2(RAFT_MSG_HEARTBEAT_RESP);
    peer_send(b->t, &back, 1);
    sim_advance_ms(b->sim, 50);
    assert_int_equal(raw_count_asked(b, "POST /raft "), 1);
    bed_peer_add(b); /* now it is a member: streams */
    sim_advance_ms(b->sim, 200);
    assert_int_equal(raw_count_asked(b, "GET /raft/stream/message/1 "), 1);
    buf_deinit(&m);
    /* Unknown ones are bounded. */
    struct strs urls = {NULL, 0};
    strs_add(&urls, SLICE_LIT("http://them:1"));
    for (uint64_t id = 100; id < 300; id++) {
        peer_remote_add(b->t, id, &urls);
    }
    strs_deinit(&urls);
    assert_int_equal(peer_statuses(b->t, NULL, 0), 1 + LIMIT_PEER_REMOTES);
}

/* ---- databases that arrive ---- */

static struct buf snapshot_body(size_t db_bytes, enum raft_message_type type)
{
    struct raft_snapshot_meta meta = {.index = 0x1234, .term = 3};
    struct raft_message m = {.type = type, .from = 2, .to = 1, .term = 3};
    struct peer_snapshot_part part = {.meta = &meta, .v2_json = SLICE_LIT("{}")};
    struct buf out = BUF_INIT;
    (void)buf_extend(&out, 8);
    peer_message_encode(&out, &m, &part, level_rules(LEVEL_3_6));
    store_be64(out.data, out.len - 8);
    for (size_t i = 0; i < db_bytes; i++) {
        buf_append_byte(&out, (uint8_t)(i * 7 >> 4));
    }
    return out;
}

static int count_name(void *arg, const char *name)
{
    (void)name;
    ++*(size_t *)arg;
    return 0;
}

static size_t files(struct bed *b)
{
    size_t n = 0;
    assert_int_equal(b->us_env->disk->ops->list(b->us_env->disk, "/snap", count_name, &n), 0);
    return n;
}

static void snapshot_arrives(void **state)
{
    struct bed *b = *state;
    static const size_t sizes[] = {1, 5000, 3000000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct buf body = snapshot_body(sizes[i], RAFT_MSG_SNAP);
        struct buf file = BUF_INIT;
        post_expect(b, "/raft/snapshot", buf_slice(&body), "204 No Content");
        assert_int_equal(b->snapshots_in, i + 1);
        assert_int_equal(
            env_read_file(b->us_env->disk, "/snap/0000000000001234.snap.db", 1 << 30, &file), 0);
        assert_int_equal(file.len, sizes[i]);
        assert_memory_equal(file.data, body.data + body.len - sizes[i], sizes[i]);
        assert_int_equal(files(b), 1);
        assert_int_equal(
            b->us_env->disk->ops->unlink(b->us_env->disk, "/snap/0000000000001234.snap.db"), 0);
        buf_deinit(&file);
        buf_deinit(&body);
    }
}

static void snapshot_refused(void **state)
{
    struct bed *b = *state;
    struct buf body = snapshot_body(100, RAFT_MSG_APP);
    post_expect(b, "/raft/snapshot", buf_slice(&body), "wrong raft message type");
    buf_deinit(&body);
    body = snapshot_body(0, RAFT_MSG_SNAP);
    post_expect(b, "/raft/snapshot", buf_slice(&body), "failed to save KV snapshot");
    store_be64(body.data, (64u << 20) + 1);
    post_expect(b, "/raft/snapshot", buf_slice(&body), "rafthttp: error limit exceeded");
    store_be64(body.data, 10);
    post_expect(b, "/raft/snapshot", slice_make(body.data, 18), "failed to decode raft message");
    post_expect(b, "/raft/snapshot", SLICE_NULL, "failed to decode raft message (EOF)");
    buf_deinit(&body);
    body = snapshot_body(100, RAFT_MSG_SNAP);
    b->removed = 2;
    post_expect(b, "/raft/snapshot", buf_slice(&body), "failed to process raft message");
    b->removed = 0;
    b->snapshot_answer = ERR_DROPPED;
    post_expect(b, "/raft/snapshot", buf_slice(&body), "failed to process raft message");
    assert_int_equal(b->snapshots_in, 1);
    buf_deinit(&body);
}

/* A body that stops coming, one that is cut, and a disk that fails: no file stays. */
static void snapshot_breaks_off(void **state)
{
    struct bed *b = *state;
    struct buf body = snapshot_body(2000000, RAFT_MSG_SNAP), text = BUF_INIT;
    struct raw r;
    peer_request_text(&text, "POST", "/raft/snapshot", "Content-Length: 90000000\r\n");
    raw_ask(b, &r, buf_cstr(&text));
    raw_send_bytes(b, &r, buf_slice(&body));
    sim_advance_ms(b->sim, 7000);
    assert_true(raw_has(&r, "failed to save KV snapshot (i/o timeout)"));
    raw_close(&r);
    assert_int_equal(files(b), 0);

    raw_ask(b, &r, buf_cstr(&text));
    raw_send_bytes(b, &r, buf_slice(&body));
    raw_close(&r);
    sim_advance_ms(b->sim, 100);
    assert_int_equal(files(b), 0);

    struct sim_disk *disk = sim_disk_of(b->us_env);
    for (uint64_t at = 1; at <= 6; at++) {
        sim_disk_fail_match(disk, SIM_OP_ANY_CHANGE, NULL, at, false, ERR_NO_SPACE);
        struct raw s;
        post(b, &s, "/raft/snapshot", buf_slice(&body), "");
        sim_disk_faults_clear(disk);
        assert_true(raw_has(&s, "500 Internal") || raw_has(&s, "204 No Content"));
        raw_close(&s);
        if (env_exists(b->us_env->disk, "/snap/0000000000001234.snap.db")) {
            assert_int_equal(
                b->us_env->disk->ops->unlink(b->us_env->disk, "/snap/0000000000001234.snap.db"), 0);
        }
        assert_int_equal(files(b), 0);
    }
    buf_deinit(&text);
    buf_deinit(&body);
}

/* A held work lane: two pieces wait in memory, the socket is not read further; then all goes on. */
static void snapshot_waits_for_disk(void **state)
{
    struct bed *b = *state;
    struct buf body = snapshot_body(6000000, RAFT_MSG_SNAP);
    struct raw r;
    sim_lane_hold(b->us_env, ENV_LANE_WORK, true);
    post(b, &r, "/raft/snapshot", buf_slice(&body), "");
    sim_advance_ms(b->sim, 20000); /* our own slowness is no gap */
    assert_int_equal(r.got.len, 0);
    assert_true(r.conn->ops->queued(r.conn) > 1000000);
    sim_lane_hold(b->us_env, ENV_LANE_WORK, false);
    sim_advance_ms(b->sim, 1000);
    assert_true(raw_has(&r, "204 No Content"));
    raw_close(&r);
    /* Stopped in the middle of the next. */
    sim_lane_hold(b->us_env, ENV_LANE_WORK, true);
    post(b, &r, "/raft/snapshot", buf_slice(&body), "");
    peer_transport_stop(b->t);
    sim_lane_hold(b->us_env, ENV_LANE_WORK, false);
    sim_advance_ms(b->sim, 100);
    assert_int_equal(files(b), 1);
    raw_close(&r);
    buf_deinit(&body);
}

/* ---- databases that leave ---- */

static int db_read(void *arg, uint64_t off, void *dst, size_t len)
{
    struct bed *b = arg;
    (void)off;
    memset(dst, 'D', len);
    return b->read_err;
}

static void db_release(void *arg)
{
    ((struct bed *)arg)->released++;
}

static void snapshot_send(struct bed *b, uint64_t bytes)
{
    struct raft_snapshot_meta meta = {.index = 9, .term = 1};
    struct raft_message m = message_to_2(RAFT_MSG_SNAP);
    struct peer_snapshot s = {.message = &m,
                              .meta = &meta,
                              .v2_json = SLICE_LIT("{}"),
                              .db_bytes = bytes,
                              .read = db_read,
                              .release = db_release,
                              .arg = b};
    peer_send_snapshot(b->t, &s);
}

static void snapshot_leaves(void **state)
{
    struct bed *b = *state;
    struct strs urls = {NULL, 0};
    strs_add(&urls, SLICE_LIT("http://them:2380"));
    snapshot_send(b, 10); /* to nobody */
    sim_advance_ms(b->sim, 10);
    assert_true(b->snapshots_failed == 1 && b->unreachables == 1 && b->released == 1);
    peer_remote_add(b->t, 2, &urls);
    strs_deinit(&urls);
    snapshot_send(b, 2000000);
    sim_advance_ms(b->sim, 100);
    struct raw *r = &b->accepted[0];
    assert_true(raw_has(r, "POST /raft/snapshot HTTP/1.1\r\n"));
    assert_true(raw_has(r, "Transfer-Encoding: chunked\r\n"));
    assert_true(raw_has(r, "\r\n0\r\n\r\n"));
    struct buf body = raw_chunks(r);
    assert_int_equal(body.len, 8 + load_be64(body.data) + 2000000);
    buf_deinit(&body);
    raw_send(b, r, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_true(b->snapshots_ok == 1 && b->released == 2 && b->actives == 1);

    snapshot_send(b, 2000000);
    sim_advance_ms(b->sim, 100);
    raw_send(b, &b->accepted[1], "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    assert_true(b->snapshots_failed == 2 && b->released == 3);

    b->read_err = ERR_IO;
    snapshot_send(b, 2000000);
    sim_advance_ms(b->sim, 100);
    assert_true(b->snapshots_failed == 3 && b->released == 4);
    b->read_err = 0;

    /* One that takes nothing, and more than may be under way. */
    for (int i = 0; i < LIMIT_PEER_SNAPSHOTS + 3; i++) {
        snapshot_send(b, 1000);
    }
    peer_transport_check(b->t);
    sim_advance_ms(b->sim, 100);
    assert_int_equal(b->snapshots_failed, 6);
    peer_remove(b->t, 2);
    sim_advance_ms(b->sim, 100);
    assert_int_equal(b->released, 4 + LIMIT_PEER_SNAPSHOTS + 3);
    assert_int_equal(b->snapshots_failed, 6 + LIMIT_PEER_SNAPSHOTS);
}

/* ---- pages ---- */

static void page_ask(struct bed *b, struct raw *r, const char *method, const char *path,
                     struct slice body)
{
    struct buf text = BUF_INIT, headers = BUF_INIT;
    buf_printf(&headers, "Content-Length: %zu\r\nAuthorization: tok\r\n", body.len);
    peer_request_text(&text, method, path, buf_cstr(&headers));
    buf_append_slice(&text, body);
    raw_open(b, r);
    raw_send_bytes(b, r, buf_slice(&text));
    buf_deinit(&text);
    buf_deinit(&headers);
}

static void expect_end(struct bed *b, struct raw *r, const char *status, struct slice body)
{
    sim_advance_ms(b->sim, 10);
    assert_true(raw_has(r, status));
    assert_true(r->got.len >= body.len);
    assert_memory_equal(r->got.data + r->got.len - body.len, body.data, body.len);
    raw_close(r);
}

static void pages_at_once(void **state)
{
    struct bed *b = *state;
    struct raw r;
    page_ask(b, &r, "GET", "/members", SLICE_NULL);
    assert_true(raw_has(&r, "X-Etcd-Cluster-Id: c1\r\n"));
    expect_end(b, &r, "200 OK", SLICE_LIT("\r\n\r\n[{\"id\":1}]\n"));
    page_ask(b, &r, "GET", "/version", SLICE_NULL);
    assert_false(raw_has(&r, "X-Etcd-Cluster-Id"));
    expect_end(b, &r, "200 OK", SLICE_LIT("\r\n\r\n{\"etcdserver\":\"3.6.14\"}"));
    page_ask(b, &r, "GET", "/raft/probing", SLICE_NULL);
    assert_true(raw_has(&r, "{\"OK\":true,\"Now\":\""));
    raw_close(&r);
}

static void pages_later(void **state)
{
    struct bed *b = *state;
    struct raw r;
    page_ask(b, &r, "POST", "/members/promote/18446744073709551615", SLICE_NULL);
    assert_int_equal((uint64_t)b->page_number, UINT64_MAX);
    assert_string_equal(buf_cstr(&b->page_token), "tok");
    peer_request_members(b->request, SLICE_LIT("[]"));
    expect_end(b, &r, "200 OK", SLICE_LIT("\r\n\r\n[]\n"));
    page_ask(b, &r, "POST", "/members/promote/7", SLICE_NULL);
    peer_request_fail(b->request, ERR_RPC_TIMEOUT);
    expect_end(b, &r, "500 Internal", SLICE_LIT("{\"message\":\"Internal Server Error\"}"));
    page_ask(b, &r, "GET", "/members/hashkv", SLICE_LIT("{\"revision\":77}"));
    assert_int_equal(b->page_number, 77);
    peer_request_hash_kv(b->request, &(struct peer_hash_kv){80, 0xffffffff, -1, 77});
    expect_end(b, &r, "200 OK",
               SLICE_LIT("{\"header\":{\"revision\":80},\"hash\":4294967295,"
                         "\"compact_revision\":-1,\"hash_revision\":77}"));
    page_ask(b, &r, "POST", "/leases", SLICE_LIT("\x08\x84\x84\x8f\x8c\xc2\xc1\xe8\x8f\x21"));
    peer_request_lease_renew(b->request, b->page_number, 60);
    expect_end(b, &r, "200 OK", SLICE_LIT("\x10\x84\x84\x8f\x8c\xc2\xc1\xe8\x8f\x21\x18\x3c"));
    page_ask(b, &r, "POST", "/leases/internal", SLICE_LIT("\x0a\x04\x08\x05\x10\x01"));
    assert_true(b->page_number == 5 && b->page_flag);
    struct slice keys[] = {SLICE_LIT("k"), SLICE_LIT("")};
    peer_request_lease_ttl(b->request, &(struct peer_lease_ttl){5, 9, 10, keys, 2});
    expect_end(b, &r, "200 OK",
               SLICE_LIT("\x0a\x0d\x0a\x00\x10\x05\x18\x09\x20\x0a\x2a\x01k\x2a\x00"));
    page_ask(b, &r, "GET", "/downgrade/enabled", SLICE_NULL);
    peer_request_downgrade(b->request, true);
    expect_end(b, &r, "200 OK", SLICE_LIT("\r\n\r\ntrue"));
    page_ask(b, &r, "GET", "/downgrade/enabled", SLICE_NULL);
    peer_request_fail(b->request, ERR_RPC_TIMEOUT);
    expect_end(b, &r, "500 Internal", SLICE_LIT("etcdserver: request timed out\n"));
}

static void pages_broken(void **state)
{
    struct bed *b = *state;
    struct raw r;
    static uint8_t big[LIMIT_PEER_SMALL_BODY_BYTES + 1];
    page_ask(b, &r, "POST", "/leases", slice_make(big, sizeof(big)));
    expect_end(b, &r, "413 Request Entity Too Large", SLICE_LIT("request body too large\n"));
    /* Gone before the answer, and before the question was whole. */
    page_ask(b, &r, "POST", "/members/promote/7", SLICE_NULL);
    raw_close(&r);
    sim_advance_ms(b->sim, 100);
    peer_request_members(b->request, SLICE_LIT("[]"));
    struct buf text = BUF_INIT;
    peer_request_text(&text, "POST", "/leases", "Content-Length: 10\r\n");
    raw_ask(b, &r, buf_cstr(&text));
    buf_deinit(&text);
    raw_close(&r);
    sim_advance_ms(b->sim, 100);
    /* The transport stops before the answer. */
    page_ask(b, &r, "POST", "/members/promote/7", SLICE_NULL);
    struct peer_request *late = b->request;
    bed_stop(b);
    peer_request_fail(late, ERR_RPC_TIMEOUT);
    raw_close(&r);
}

/* ---- questions to others ---- */

struct asked {
    int err, status;
    uint64_t cluster;
    struct buf body;
    unsigned count;
    size_t url;
};

static void on_answer(void *arg, const struct peer_answer *a)
{
    struct asked *g = arg;
    g->err = a->err;
    g->status = a->status;
    g->cluster = a->cluster_id;
    g->url = a->url;
    g->count++;
    buf_clear(&g->body);
    buf_append_slice(&g->body, a->body);
}

static struct peer_ask *ask(struct bed *b, struct asked *g, const char *url)
{
    struct strs urls = {NULL, 0};
    strs_add(&urls, SLICE_LIT("http://us:9")); /* nobody */
    strs_add(&urls, slice_cstr(url));
    struct peer_question q = {.env = b->them_env,
                              .urls = &urls,
                              .method = "GET",
                              .path = "/members",
                              .cluster_id = 0xc1,
                              .token = SLICE_LIT("t"),
                              .url_timeout_ms = 2000,
                              .on_answer = on_answer,
                              .arg = g};
    struct peer_ask *a = peer_ask_start(&q);
    strs_deinit(&urls);
    return a;
}

static void questions(void **state)
{
    struct bed *b = *state;
    struct asked g = {.body = BUF_INIT};
    (void)ask(b, &g, "http://us:2380");
    sim_advance_ms(b->sim, 100);
    assert_true(g.count == 1 && g.err == 0 && g.status == 200 && g.cluster == 0xc1 && g.url == 1);
    assert_string_equal(buf_cstr(&g.body), "[{\"id\":1}]\n");
    (void)ask(b, &g, "http://us:8"); /* nobody either */
    sim_advance_ms(b->sim, 100);
    assert_true(g.count == 2 && g.err == ERR_REFUSED);
    (void)ask(b, &g, "http://them:2380"); /* never answers */
    sim_advance_ms(b->sim, 3000);
    assert_true(g.count == 3 && g.err == ERR_TIMED_OUT);
    b->auto_answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    (void)ask(b, &g, "http://them:2380");
    sim_advance_ms(b->sim, 100);
    assert_true(g.count == 4 && g.err == ERR_REFUSED && g.status == 500);
    struct peer_ask *a = ask(b, &g, "http://us:2380");
    peer_ask_cancel(a);
    peer_ask_cancel(NULL);
    sim_advance_ms(b->sim, 3000);
    assert_int_equal(g.count, 4);
    buf_deinit(&g.body);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(messages),
        CASE(bodies_have_a_bound),
        CASE(strangers_become_remotes),
        CASE(snapshot_arrives),
        CASE(snapshot_refused),
        CASE(snapshot_breaks_off),
        CASE(snapshot_waits_for_disk),
        CASE(snapshot_leaves),
        CASE(pages_at_once),
        CASE(pages_later),
        CASE(pages_broken),
        CASE(questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
