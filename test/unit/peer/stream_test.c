/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams and posts byte by byte: replacement, slow readers, lanes, refusals, rubbish, silence,
 * overflow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "peer/frame.h"
#include "test/unit/peer/bed.h"

static const char STREAM_OK[] = "HTTP/1.1 200 OK\r\nX-Server-Version: 3.7.1\r\n"
                                "X-Etcd-Cluster-Id: c1\r\nTransfer-Encoding: chunked\r\n\r\n";

/* ---- streams that they dial ---- */

static int count_one(void *arg, const struct raft_message *m)
{
    (void)m;
    ++*(size_t *)arg;
    return 0;
}

static size_t count_messages(const struct raw *r, enum peer_channel channel)
{
    struct buf body = raw_chunks(r);
    struct peer_decoder d;
    size_t n = 0;
    peer_decoder_init(&d, channel);
    d.on_message = count_one;
    d.arg = &n;
    assert_int_equal(peer_decoder_feed(&d, buf_slice(&body)), 0);
    peer_decoder_deinit(&d);
    buf_deinit(&body);
    return n;
}

static void stream_carries_messages(void **state)
{
    struct bed *b = *state;
    struct raw msg, app;
    bed_peer_add(b);
    stream_open(b, &msg, "message");
    stream_open(b, &app, "msgapp");
    assert_true(raw_has(&msg, "X-Etcd-Cluster-Id: c1\r\n"));
    assert_true(raw_has(&msg, "X-Server-Version: 3.6.14\r\n"));
    assert_int_equal(b->actives, 1);
    struct raft_message m[3] = {message_to_2(RAFT_MSG_HEARTBEAT), message_to_2(RAFT_MSG_APP),
                                message_to_2(RAFT_MSG_VOTE)};
    peer_send(b->t, m, 3);
    m[0].to = 77; /* nobody */
    m[1].to = 0;
    m[2].type = RAFT_MSG_SNAP;
    peer_send(b->t, m, 3);
    sim_advance_ms(b->sim, 10);
    assert_int_equal(count_messages(&msg, PEER_CHANNEL_MESSAGE), 2);
    assert_int_equal(count_messages(&app, PEER_CHANNEL_MSGAPP), 1);
    struct peer_status s;
    assert_int_equal(peer_status(b->t, 2, &s), 0);
    assert_int_equal(s.stats.sent_messages, 3);
    assert_int_equal(s.version.minor, 6);
    /* Link heartbeats follow by themselves. */
    size_t before = msg.got.len;
    sim_advance_ms(b->sim, 4000);
    assert_true(msg.got.len > before);
    assert_int_equal(count_messages(&msg, PEER_CHANNEL_MESSAGE), 2);
    raw_close(&msg);
    raw_close(&app);
    sim_advance_ms(b->sim, 100);
    assert_int_equal(peer_status(b->t, 2, &s), 0);
    assert_false(s.can_send[PEER_CHANNEL_MESSAGE] || s.is_active);
    assert_int_equal(b->inactives, 1);
}

static void newer_stream_replaces(void **state)
{
    struct bed *b = *state;
    struct raw old, new;
    bed_peer_add(b);
    stream_open(b, &old, "message");
    stream_open(b, &new, "message");
    assert_true(raw_has(&old, "\r\n0\r\n\r\n")); /* a clean end */
    struct raft_message m = message_to_2(RAFT_MSG_HEARTBEAT);
    peer_send(b->t, &m, 1);
    sim_advance_ms(b->sim, 10);
    assert_int_equal(count_messages(&new, PEER_CHANNEL_MESSAGE), 1);
    raw_close(&old);
    raw_close(&new);
}

/* Acknowledgements that a later one of the same call covers are not sent; a refusal always is. */
static void acknowledgements_melt(void **state)
{
    struct bed *b = *state;
    struct raw msg;
    bed_peer_add(b);
    stream_open(b, &msg, "message");
    struct raft_message m[5];
    for (size_t i = 0; i < 5; i++) {
        m[i] = message_to_2(RAFT_MSG_APP_RESP);
        m[i].index = i + 1;
    }
    m[2].reject = true;
    peer_send(b->t, m, 5);
    sim_advance_ms(b->sim, 10);
    assert_int_equal(count_messages(&msg, PEER_CHANNEL_MESSAGE), 3); /* 2, the refusal, 5 */
    raw_close(&msg);
}

static void send_data(struct bed *b, enum raft_message_type type, size_t bytes)
{
    struct rcbuf *data = rcbuf_create(bytes);
    memset(data->data, 'd', bytes);
    data->len = bytes;
    struct raft_entry e = {.term = 1, .index = 1, .data = rcbuf_slice(data), .owner = data};
    struct raft_message m = message_to_2(type);
    m.entries = &e;
    m.entry_count = 1;
    peer_send(b->t, &m, 1);
    rcbuf_unref(data);
}

static void slow_reader(void **state)
{
    struct bed *b = *state;
    struct raw app;
    bed_peer_add(b);
    stream_open(b, &app, "msgapp");
    app.conn->ops->read_pause(app.conn);
    for (int i = 0; i < 100; i++) {
        send_data(b, RAFT_MSG_APP, 1 << 20);
        peer_transport_check(b->t);
    }
    sim_advance_ms(b->sim, 10);
    assert_int_equal(b->unreachables, 1); /* one a turn says it */
    struct peer_status s;
    assert_int_equal(peer_status(b->t, 2, &s), 0);
    assert_in_range(s.stats.sent_messages, 60, 70);
    assert_int_equal(s.stats.sent_failures, 100 - s.stats.sent_messages);
    /* Nothing is taken for long: the stream is given up. */
    sim_advance_ms(b->sim, 7000);
    assert_int_equal(peer_status(b->t, 2, &s), 0);
    assert_false(s.can_send[PEER_CHANNEL_MSGAPP]);
    assert_int_equal(b->unreachables, 2);
    raw_close(&app);
}

/* Finds the first message of a type in the stream. */
struct search {
    enum raft_message_type type;
    bool is_found;
};

static int search_one(void *arg, const struct raft_message *m)
{
    struct search *s = arg;
    s->is_found = s->is_found || m->type == s->type;
    return s->is_found ? ERR_CLOSED : 0;
}

static size_t bytes_before(struct slice body, enum raft_message_type type)
{
    struct search s = {.type = type};
    struct peer_decoder d;
    peer_decoder_init(&d, PEER_CHANNEL_MESSAGE);
    d.on_message = search_one;
    d.arg = &s;
    size_t n = 0;
    while (n < body.len && !s.is_found) {
        int err = peer_decoder_feed(&d, slice_make(body.data + n, 1));
        assert_true(err == 0 || s.is_found);
        n++;
    }
    peer_decoder_deinit(&d);
    assert_true(s.is_found);
    return n;
}

static void heartbeats_overtake_data(void **state)
{
    struct bed *b = *state;
    struct raw msg;
    bed_peer_add(b);
    stream_open(b, &msg, "message");
    msg.conn->ops->read_pause(msg.conn);
    for (int i = 0; i < 30; i++) {
        send_data(b, RAFT_MSG_PROP, 1 << 18);
    }
    struct raft_message m = message_to_2(RAFT_MSG_HEARTBEAT);
    peer_send(b->t, &m, 1);
    msg.conn->ops->read_resume(msg.conn);
    sim_advance_ms(b->sim, 1000);
    assert_int_equal(count_messages(&msg, PEER_CHANNEL_MESSAGE), 31);
    struct buf body = raw_chunks(&msg);
    /* The connection's own buffer, the network's, and one piece. */
    assert_true(bytes_before(buf_slice(&body), RAFT_MSG_HEARTBEAT) <
                LIMIT_CONN_OUT_BYTES + (1u << 20));
    buf_deinit(&body);
    raw_close(&msg);
}

static void urgent_has_a_bound(void **state)
{
    struct bed *b = *state;
    struct raw msg;
    bed_peer_add(b);
    stream_open(b, &msg, "message");
    msg.conn->ops->read_pause(msg.conn);
    struct raft_message m = message_to_2(RAFT_MSG_HEARTBEAT);
    for (int i = 0; i < 100000; i++) {
        peer_send(b->t, &m, 1);
    }
    peer_transport_check(b->t);
    sim_advance_ms(b->sim, 10);
    assert_int_equal(b->unreachables, 1);
    raw_close(&msg);
}

/* ---- streams that we dial ---- */

static void dialled_as_etcd_does(void **state)
{
    struct bed *b = *state;
    b->auto_answer = STREAM_OK;
    bed_peer_add(b);
    sim_advance_ms(b->sim, 200);
    assert_int_equal(raw_count_asked(b, "GET /raft/stream/message/1 HTTP/1.1\r\n"), 1);
    assert_int_equal(raw_count_asked(b, "GET /raft/stream/msgapp/1 HTTP/1.1\r\n"), 1);
    assert_true(raw_has(&b->accepted[0], "X-Raft-To: 2\r\n"));
    assert_true(raw_has(&b->accepted[0], "X-Server-From: 1\r\n"));
    assert_true(raw_has(&b->accepted[0], "X-Server-Version: 3.6.14\r\n"));
    assert_true(raw_has(&b->accepted[0], "X-Min-Cluster-Version: 3.0.0\r\n"));
    assert_true(raw_has(&b->accepted[0], "X-Peerurls: http://us:2380\r\n"));
    assert_true(raw_has(&b->accepted[0], "X-Etcd-Cluster-Id: c1\r\n"));
    struct peer_status s;
    assert_int_equal(peer_status(b->t, 2, &s), 0);
    assert_true(s.can_receive[0] && s.can_receive[1] && s.is_active);
    assert_int_equal(s.version.minor, 7);
}

static struct raw *asked(struct bed *b, const char *path)
{
    for (size_t i = b->accepted_count; i > 0; i--) {
        if (raw_has(&b->accepted[i - 1], path)) {
            return &b->accepted[i - 1];
        }
    }
    fail();
    return NULL;
}

static void chunk_send(struct bed *b, struct raw *r, struct slice bytes)
{
    struct buf chunk = BUF_INIT;
    buf_printf(&chunk, "%zx\r\n", bytes.len);
    buf_append_slice(&chunk, bytes);
    buf_append_cstr(&chunk, "\r\n");
    raw_send_bytes(b, r, buf_slice(&chunk));
    buf_deinit(&chunk);
}

static void messages_arrive(void **state)
{
    struct bed *b = *state;
    b->auto_answer = STREAM_OK;
    bed_peer_add(b);
    sim_advance_ms(b->sim, 200);
    struct raw *r = asked(b, "GET /raft/stream/message");
    struct buf frame = BUF_INIT;
    struct raft_message m = {.type = RAFT_MSG_HEARTBEAT, .to = 1, .from = 2, .term = 5};
    peer_frame_message(&frame, &m, level_rules(LEVEL_3_7));
    m.to = 3; /* not for us: dropped */
    peer_frame_message(&frame, &m, level_rules(LEVEL_3_7));
    m.to = 1;
    m.from = 9; /* removed */
    b->removed = 9;
    peer_frame_message(&frame, &m, level_rules(LEVEL_3_7));
    m.from = 2;
    m.index = 4;
    peer_frame_message(&frame, &m, level_rules(LEVEL_3_7));
    chunk_send(b, r, buf_slice(&frame));
    assert_string_equal(buf_cstr(&b->messages), "8 2 0;8 2 4;");
    /* What no correct member sends ends the stream. */
    b->message_answer = ERR_MALFORMED;
    chunk_send(b, r, buf_slice(&frame));
    assert_true(r->is_eof || r->is_closed);
    buf_deinit(&frame);
}

static void rubbish_is_redialled(void **state)
{
    struct bed *b = *state;
    b->auto_answer = STREAM_OK;
    bed_peer_add(b);
    sim_advance_ms(b->sim, 200);
    struct raw *r = asked(b, "GET /raft/stream/msgapp");
    chunk_send(b, r, SLICE_LIT("\x07rubbish"));
    assert_true(r->is_eof || r->is_closed);
    assert_int_equal(b->inactives, 1);
    sim_advance_ms(b->sim, 500);
    assert_int_equal(raw_count_asked(b, "GET /raft/stream/msgapp"), 2);
    assert_int_equal(b->actives, 2);
}

static void not_http_is_redialled(void **state)
{
    struct bed *b = *state;
    b->auto_answer = "SSH-2.0-OpenSSH_9.2\r\n";
    bed_peer_add(b);
    sim_advance_ms(b->sim, 3000);
    assert_in_range(b->accepted_count, 6, 30);
    assert_int_equal(b->actives, 0);
}

static void silence_is_redialled(void **state)
{
    struct bed *b = *state;
    b->auto_answer = STREAM_OK;
    bed_peer_add(b);
    sim_advance_ms(b->sim, 7000);
    assert_int_equal(raw_count_asked(b, "GET /raft/stream/msgapp"), 1);
    sim_advance_ms(b->sim, 3000);
    assert_int_equal(raw_count_asked(b, "GET /raft/stream/msgapp"), 2);
}

/* Attempts get rarer, to a bound; a sign of life makes the next one come soon. */
static void refused_backs_off(void **state)
{
    struct bed *b = *state;
    b->auto_answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    bed_peer_add(b);
    sim_advance_ms(b->sim, 10000);
    size_t n = b->accepted_count; /* two streams, and three probes */
    assert_in_range(n, 25, 45);
    assert_int_equal(b->told_removed, 0);
    struct raw msg;
    stream_open(b, &msg, "message");
    sim_advance_ms(b->sim, 150);
    assert_true(b->accepted_count >= n + 2);
    raw_close(&msg);
}

static void gone_is_removed(void **state)
{
    struct bed *b = *state;
    b->auto_answer = "HTTP/1.1 410 Gone\r\nContent-Length: 15\r\n\r\nremoved member\n";
    bed_peer_add(b);
    sim_advance_ms(b->sim, 3000);
    assert_int_equal(b->told_removed, 1); /* once */
}

static void nobody_listens(void **state)
{
    struct bed *b = *state;
    struct strs urls = {NULL, 0};
    strs_add(&urls, SLICE_LIT("http://us:9"));
    strs_add(&urls, SLICE_LIT("https://us:10")); /* no TLS here */
    strs_add(&urls, SLICE_LIT("http://them:2380"));
    b->auto_answer = STREAM_OK;
    peer_add(b->t, 2, &urls);
    strs_deinit(&urls);
    sim_advance_ms(b->sim, 2000);
    struct peer_status s;
    assert_int_equal(peer_status(b->t, 2, &s), 0);
    assert_true(s.can_receive[0] && s.can_receive[1]); /* the third URL */
}

/* ---- posts ---- */

static void post_when_no_stream(void **state)
{
    struct bed *b = *state;
    struct strs urls = {NULL, 0};
    strs_add(&urls, SLICE_LIT("http://them:2380"));
    peer_remote_add(b->t, 2, &urls);
    strs_deinit(&urls);
    struct raft_message m = message_to_2(RAFT_MSG_HEARTBEAT_RESP);
    peer_send(b->t, &m, 1);
    sim_advance_ms(b->sim, 100);
    assert_int_equal(b->accepted_count, 1); /* a remote has no streams */
    struct raw *r = &b->accepted[0];
    assert_true(raw_has(r, "POST /raft HTTP/1.1\r\n"));
    assert_true(raw_has(r, "Content-Type: application/protobuf\r\n"));
    assert_true(raw_has(r, "X-Server-From: 1\r\n"));
    raw_send(b, r, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(b->actives, 1);
    buf_clear(&r->got);
    peer_send(b->t, &m, 1); /* the connection is used again */
    sim_advance_ms(b->sim, 100);
    assert_true(raw_has(r, "POST /raft HTTP/1.1\r\n"));
    raw_send(b, r, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(b->unreachables, 1);
    assert_int_equal(b->inactives, 1);
    sim_advance_ms(b->sim, 200);
    peer_send(b->t, &m, 1);
    sim_advance_ms(b->sim, 100);
    raw_send(b, &b->accepted[1], "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(b->told_removed, 1);
}

static void posts_have_a_bound(void **state)
{
    struct bed *b = *state;
    struct strs urls = {NULL, 0};
    strs_add(&urls, SLICE_LIT("http://them:2380"));
    peer_remote_add(b->t, 2, &urls);
    strs_deinit(&urls);
    struct raft_message m = message_to_2(RAFT_MSG_HEARTBEAT_RESP);
    for (int i = 0; i < 80; i++) {
        peer_send(b->t, &m, 1);
        peer_transport_check(b->t);
    }
    sim_advance_ms(b->sim, 100);
    struct peer_status s;
    assert_int_equal(peer_status(b->t, 2, &s), 0);
    assert_int_equal(s.stats.sent_messages, LIMIT_PEER_POSTS + 4);
    assert_int_equal(b->unreachables, 1);
    /* No answer ever: they time out, and the next ones go. */
    sim_advance_ms(b->sim, 11000);
    assert_true(b->accepted_count > 4);
}

static void updated_urls_are_used(void **state)
{
    struct bed *b = *state;
    struct strs urls = {NULL, 0};
    strs_add(&urls, SLICE_LIT("http://us:9"));
    b->auto_answer = STREAM_OK;
    peer_add(b->t, 2, &urls);
    sim_advance_ms(b->sim, 1000);
    assert_int_equal(b->actives, 0);
    strs_deinit(&urls);
    strs_add(&urls, SLICE_LIT("http://them:2380"));
    peer_update(b->t, 2, &urls);
    strs_deinit(&urls);
    sim_advance_ms(b->sim, 1000);
    assert_int_equal(b->actives, 1);
    peer_remove(b->t, 2);
    sim_advance_ms(b->sim, 100);
    assert_int_equal(peer_status(b->t, 2, &(struct peer_status){0}), ERR_NOT_FOUND);
    for (size_t i = 0; i < b->accepted_count; i++) {
        assert_true(b->accepted[i].is_eof || b->accepted[i].is_closed);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(stream_carries_messages),  CASE(newer_stream_replaces),
        CASE(acknowledgements_melt),    CASE(slow_reader),
        CASE(heartbeats_overtake_data), CASE(urgent_has_a_bound),
        CASE(dialled_as_etcd_does),     CASE(messages_arrive),
        CASE(rubbish_is_redialled),     CASE(not_http_is_redialled),
        CASE(silence_is_redialled),     CASE(refused_backs_off),
        CASE(gone_is_removed),          CASE(nobody_listens),
        CASE(post_when_no_stream),      CASE(posts_have_a_bound),
        CASE(updated_urls_are_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
