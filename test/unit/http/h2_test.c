/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of http/h2: client session against server session in memory, split at every byte, windows,
 * limits, hand-made frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/prng.h"
#include "http/h2.h"

/* One end: a session and what its streams saw. */
struct end {
    struct h2_session *s;
    struct end *other;
    struct buf log;
    struct buf data; /* received body bytes */
    size_t to_send;  /* body bytes left */
    uint8_t next;    /* pattern */
    bool is_server;
    bool no_consume;
    size_t unconsumed;
    struct h2_stream *st;
    uint32_t close_code;
    int closes, pings, goaways;
    uint64_t now_ms;
};

static void e_header(void *user, struct h2_stream *st, struct slice name, struct slice value)
{
    (void)st;
    struct end *e = user;
    buf_append_slice(&e->log, name);
    buf_append_byte(&e->log, '=');
    buf_append_slice(&e->log, value);
    buf_append_byte(&e->log, '\n');
}

static void e_headers_end(void *user, struct h2_stream *st, bool is_end)
{
    (void)st;
    struct end *e = user;
    buf_append_cstr(&e->log, is_end ? "end.\n" : "end\n");
}

static void e_data(void *user, struct h2_stream *st, struct slice bytes)
{
    struct end *e = user;
    buf_append_slice(&e->data, bytes);
    if (e->no_consume) {
        e->unconsumed += bytes.len;
    } else {
        h2_stream_consume(st, bytes.len);
    }
}

static const struct h2_header answer_headers[] = {
    H2_HEADER_LIT(":status", "200"),
    {{(const uint8_t *)"x-copied", 8}, {(const uint8_t *)"v", 1}, false},
};
static const struct h2_header trailer_headers[] = {H2_HEADER_LIT("t", "0")};

static void e_end(void *user, struct h2_stream *st)
{
    struct end *e = user;
    buf_append_cstr(&e->log, "fin\n");
    if (e->is_server) {
        assert_int_equal(h2_stream_respond(st, answer_headers, 2, true), 0);
    }
}

static enum h2_pull e_pull(void *user, struct h2_stream *st, struct h2_sink *sink)
{
    struct end *e = user;
    size_t n = e->to_send < sink->max ? e->to_send : sink->max;
    uint8_t *p = h2_sink_reserve(sink, n);
    for (size_t i = 0; i < n; i++) {
        p[i] = e->next++;
    }
    e->to_send -= n;
    if (e->to_send > 0) {
        return H2_PULL_MORE;
    }
    if (e->is_server) {
        assert_int_equal(h2_stream_trailers(st, trailer_headers, 1), 0);
    }
    return H2_PULL_END;
}

static void e_close(void *user, struct h2_stream *st, uint32_t code)
{
    (void)st;
    struct end *e = user;
    e->closes++;
    e->close_code = code;
    e->st = NULL;
}

static const struct h2_stream_ops stream_ops = {e_header, e_headers_end, e_data,
                                                e_end,    e_pull,        e_close};

static void e_begin(void *arg, struct h2_stream *st)
{
    struct end *e = arg;
    e->st = st;
    h2_stream_set_ops(st, &stream_ops, e);
}

static void e_ping(void *arg, bool is_ack, const uint8_t opaque[8])
{
    (void)is_ack;
    (void)opaque;
    ((struct end *)arg)->pings++;
}

static void e_goaway(void *arg, int32_t last_id, uint32_t code, struct slice debug)
{
    struct end *e = arg;
    e->goaways++;
    buf_printf(&e->log, "goaway %d %u %.*s\n", last_id, code, (int)debug.len,
               (const char *)debug.data);
}

static const struct h2_session_ops session_ops = {e_begin, e_ping, e_goaway, NULL};

struct pair {
    struct http_pool *pool;
    struct end c, s;
    size_t step;
};

static void pair_make(struct pair *p, size_t step, struct h2_options server)
{
    memset(p, 0, sizeof(*p));
    p->step = step;
    p->pool = http_pool_create();
    p->s.is_server = server.is_server = true;
    struct h2_options client = {0};
    assert_int_equal(h2_session_create(&server, p->pool, &session_ops, &p->s, &p->s.s), 0);
    assert_int_equal(h2_session_create(&client, p->pool, &session_ops, &p->c, &p->c.s), 0);
    p->c.other = &p->s;
    p->s.other = &p->c;
}

static void end_free(struct end *e)
{
    h2_session_destroy(e->s);
    buf_deinit(&e->log);
    buf_deinit(&e->data);
}

static void pair_free(struct pair *p)
{
    end_free(&p->c);
    end_free(&p->s);
    http_pool_destroy(p->pool);
}

/* Moves what `from` has to say; returns the bytes moved. */
static size_t move(struct pair *p, struct end *from)
{
    struct http_out o;
    http_out_init(&o);
    assert_int_equal(h2_session_send(from->s, &o, 100000), 0);
    struct buf flat = BUF_INIT;
    for (size_t i = 0; i < o.count; i++) {
        buf_append_slice(&flat, o.parts[i]);
    }
    http_out_deinit(&o);
    struct slice rest = buf_slice(&flat);
    size_t total = rest.len;
    while (rest.len > 0) {
        size_t n = rest.len < p->step ? rest.len : p->step;
        int err = h2_session_recv(from->other->s, slice_make(rest.data, n), 1000);
        if (err != 0) {
            break;
        }
        rest = slice_skip(rest, n);
    }
    buf_deinit(&flat);
    return total;
}

static void settle(struct pair *p)
{
    while (move(p, &p->c) + move(p, &p->s) > 0) {
    }
}

static const struct h2_header request_headers[] = {
    H2_HEADER_LIT(":method", "POST"),
    H2_HEADER_LIT(":scheme", "http"),
    H2_HEADER_LIT(":path", "/a/b"),
    H2_HEADER_LIT(":authority", "h"),
};

static void request(struct pair *p)
{
    assert_int_equal(
        h2_session_request(p->c.s, request_headers, 4, true, &stream_ops, &p->c, &p->c.st), 0);
}

static void check_pattern(const struct buf *b, size_t len)
{
    assert_int_equal(b->len, len);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(b->data[i], (uint8_t)i);
    }
}

static void bodies_of_every_size_at_every_split(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 9, 16383, 16384, 16385, 65535, 65536, 200000};
    static const size_t steps[] = {1, 2, 9, 1000, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
            struct pair p;
            pair_make(&p, steps[k], (struct h2_options){0});
            p.c.to_send = sizes[i];
            p.s.to_send = sizes[ARRAY_LEN(sizes) - 1 - i];
            request(&p);
            settle(&p);
            check_pattern(&p.s.data, sizes[i]);
            check_pattern(&p.c.data, sizes[ARRAY_LEN(sizes) - 1 - i]);
            assert_string_equal(buf_cstr(&p.s.log), ":method=POST\n:scheme=http\n:path=/a/b\n"
                                                    ":authority=h\nend\nfin\n");
            assert_string_equal(buf_cstr(&p.c.log),
                                ":status=200\nx-copied=v\nend\nt=0\nend.\nfin\n");
            assert_int_equal(p.c.closes, 1);
            assert_int_equal(p.s.closes, 1);
            assert_int_equal(p.s.close_code, H2_NO_ERROR);
            assert_int_equal(h2_session_stream_count(p.s.s), 0);
            pair_free(&p);
        }
    }
}

/* A request with one more field, or with an authority of its own. */
static uint32_t close_code_of(struct h2_header authority, struct h2_header more, const char *seen)
{
    struct h2_header headers[5];
    memcpy(headers, request_headers, sizeof(request_headers));
    headers[3] = authority;
    headers[4] = more;
    struct pair p;
    pair_make(&p, 7, (struct h2_options){0});
    p.c.to_send = 10;
    assert_int_equal(h2_session_request(p.c.s, headers, 5, true, &stream_ops, &p.c, &p.c.st), 0);
    settle(&p);
    assert_int_equal(p.c.closes, 1);
    assert_int_equal(p.s.closes, 1);
    assert_int_equal(h2_session_stream_count(p.s.s), 0);
    assert_int_equal(strstr(buf_cstr(&p.s.log), seen) != NULL, 1);
    uint32_t code = p.c.close_code;
    /* The connection goes on. */
    request(&p);
    settle(&p);
    assert_int_equal(p.s.closes, 2);
    assert_int_equal(p.s.close_code, H2_NO_ERROR);
    pair_free(&p);
    return code;
}

static void malformed_requests_are_reset(void **state)
{
    (void)state;
    const struct h2_header host = H2_HEADER_LIT(":authority", "h"), x = H2_HEADER_LIT("x", "y");
    const struct h2_header endpoint = H2_HEADER_LIT(":authority", "http://127.0.0.1:2379");
    const struct h2_header name = H2_HEADER_LIT("a b", "v");
    const struct h2_header ten = H2_HEADER_LIT("content-length", "10");
    const struct h2_header nine = H2_HEADER_LIT("content-length", "9");
    const struct h2_header eleven = H2_HEADER_LIT("content-length", "11");
    const struct h2_header path = H2_HEADER_LIT(":path", "/");
    const struct h2_header value = H2_HEADER_LIT("x", "a\r\nb: c");
    assert_int_equal(close_code_of(host, x, "x=y"), H2_NO_ERROR);
    assert_int_equal(close_code_of(endpoint, x, ":authority=http://127.0.0.1:2379"), H2_NO_ERROR);
    assert_int_equal(close_code_of(host, name, ":authority=h"), H2_PROTOCOL_ERROR);
    assert_int_equal(close_code_of(host, value, ":authority=h"), H2_PROTOCOL_ERROR);
    assert_int_equal(close_code_of(host, ten, "fin"), H2_NO_ERROR);
    assert_int_equal(close_code_of(host, path, ":path"), H2_PROTOCOL_ERROR);
    assert_int_equal(close_code_of(host, nine, "end"), H2_PROTOCOL_ERROR);
    assert_int_equal(close_code_of(host, eleven, "end"), H2_PROTOCOL_ERROR);
    assert_int_equal(close_code_of(x, host, ":path"), H2_PROTOCOL_ERROR);
}

static void a_stream_that_is_not_consumed_stops_at_its_window(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 5000, (struct h2_options){.conn_window = 1 << 20});
    p.s.no_consume = true;
    p.c.to_send = 300000;
    request(&p);
    settle(&p);
    assert_int_equal(p.s.data.len, 65535);
    h2_stream_consume(p.s.st, p.s.unconsumed);
    p.s.no_consume = false;
    settle(&p);
    check_pattern(&p.s.data, 300000);
    pair_free(&p);
}

static void resets_reach_the_other_side(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 1000, (struct h2_options){0});
    p.c.to_send = 1000000;
    p.s.no_consume = true;
    request(&p);
    settle(&p);
    h2_stream_reset(p.c.st, H2_CANCEL);
    settle(&p);
    assert_int_equal(p.s.closes, 1);
    assert_int_equal(p.s.close_code, H2_CANCEL);
    pair_free(&p);
}

static void an_early_answer_ends_the_stream_without_error(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 1000, (struct h2_options){0});
    p.c.to_send = 1000000;
    p.s.no_consume = true;
    request(&p);
    settle(&p);
    assert_int_equal(h2_stream_respond(p.s.st, answer_headers, 1, false), 0);
    settle(&p);
    assert_int_equal(p.s.closes, 1);
    assert_int_equal(p.s.close_code, H2_NO_ERROR);
    assert_int_equal(p.c.closes, 1);
    pair_free(&p);
}

static void goaway_in_two_steps(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 3, (struct h2_options){0});
    p.c.no_consume = true;
    p.s.to_send = 100000;
    request(&p);
    settle(&p);
    h2_session_shutdown_notice(p.s.s, SLICE_LIT("graceful_stop"));
    settle(&p);
    assert_int_equal(p.c.goaways, 1);
    assert_non_null(strstr(buf_cstr(&p.c.log), "goaway 2147483647 0 graceful_stop\n"));
    h2_session_goaway(p.s.s, H2_NO_ERROR, SLICE_NULL);
    settle(&p);
    assert_non_null(strstr(buf_cstr(&p.c.log), "goaway 1 0 \n"));
    assert_false(h2_session_is_done(p.s.s));
    h2_stream_consume(p.c.st, p.c.unconsumed);
    p.c.no_consume = false;
    settle(&p);
    check_pattern(&p.c.data, 100000);
    assert_true(h2_session_is_done(p.s.s));
    pair_free(&p);
}

static void a_request_after_goaway_is_refused(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 1000, (struct h2_options){0});
    request(&p);
    settle(&p);
    h2_session_goaway(p.s.s, H2_NO_ERROR, SLICE_NULL);
    settle(&p);
    struct h2_stream *st = NULL;
    int before = p.c.closes;
    int err = h2_session_request(p.c.s, request_headers, 4, true, &stream_ops, &p.c, &st);
    settle(&p);
    assert_true(err != 0 || p.c.closes == before + 1);
    if (err == 0) {
        assert_int_equal(p.c.close_code, H2_REFUSED_STREAM);
    }
    pair_free(&p);
}

static void streams_above_the_bound_are_refused(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 100000, (struct h2_options){.streams_max = 3});
    p.s.no_consume = true;
    p.c.to_send = 1000000000; /* shared by all: none ends */
    for (int i = 0; i < 5; i++) {
        request(&p);
    }
    settle(&p);
    assert_int_equal(h2_session_stream_count(p.s.s), 3);
    assert_int_equal(p.c.closes, 2);
    assert_int_equal(p.c.close_code, H2_REFUSED_STREAM);
    pair_free(&p);
}

static void large_header_lists_are_refused(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 100000, (struct h2_options){.header_list_max = 4000});
    static char big[5000];
    memset(big, 'a', sizeof(big));
    struct h2_header h[5];
    memcpy(h, request_headers, sizeof(request_headers));
    h[4] = (struct h2_header){SLICE_LIT("x"), slice_make(big, sizeof(big)), false};
    assert_int_equal(h2_session_request(p.c.s, h, 5, true, &stream_ops, &p.c, &p.c.st), 0);
    settle(&p);
    assert_int_equal(p.c.closes, 1);
    assert_int_not_equal(p.c.close_code, H2_NO_ERROR);
    assert_int_equal(h2_session_stream_count(p.s.s), 0);
    pair_free(&p);
}

static void rapid_resets_end_the_connection(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 100000, (struct h2_options){0});
    p.s.no_consume = true;
    int i = 0;
    for (; i < 2 * H2_RESET_BURST && p.c.goaways == 0; i++) {
        p.c.to_send = 10;
        request(&p);
        move(&p, &p.c);
        if (p.c.st != NULL) {
            h2_stream_reset(p.c.st, H2_CANCEL);
        }
        settle(&p);
    }
    assert_in_range(i, H2_RESET_BURST, H2_RESET_BURST + 3);
    assert_non_null(strstr(buf_cstr(&p.c.log), " 11 "));
    pair_free(&p);
}

static void pings_and_their_answers_are_told(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 1, (struct h2_options){0});
    static const uint8_t opaque[8] = {1, 2, 3};
    h2_session_ping(p.c.s, opaque);
    settle(&p);
    assert_int_equal(p.s.pings, 1);
    assert_int_equal(p.c.pings, 1);
    pair_free(&p);
}

static void a_ping_flood_is_an_error(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 100000, (struct h2_options){0});
    settle(&p);
    uint8_t ping[17] = {0, 0, 8, 6, 0};
    int err = 0;
    int i = 0;
    for (; i < 100000 && err == 0; i++) {
        err = h2_session_recv(p.s.s, slice_make(ping, sizeof(ping)), 1);
    }
    assert_int_equal(err, ERR_LIMIT);
    pair_free(&p);
}

static void rubbish_never_hurts(void **state)
{
    (void)state;
    struct prng r;
    prng_init(&r, 5);
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (int i = 0; i < 2000; i++) {
        struct pair p;
        pair_make(&p, 100, (struct h2_options){0});
        /* A recorded conversation with a few bytes changed. */
        p.c.to_send = 50;
        request(&p);
        struct http_out o;
        http_out_init(&o);
        assert_int_equal(h2_session_send(p.c.s, &o, 100000), 0);
        struct buf flat = BUF_INIT;
        for (size_t k = 0; k < o.count; k++) {
            buf_append_slice(&flat, o.parts[k]);
        }
        for (uint64_t k = prng_below(&r, 6); k > 0; k--) {
            size_t at = sizeof(preface) - 1 + prng_below(&r, flat.len - sizeof(preface) + 1);
            flat.data[at] = (uint8_t)prng_next(&r);
        }
        http_out_reset(&o);
        int recv_err = h2_session_recv(p.s.s, buf_slice(&flat), 1);
        int send_err = h2_session_send(p.s.s, &o, 100000);
        assert_true(recv_err <= 0 && send_err <= 0);
        http_out_deinit(&o);
        buf_deinit(&flat);
        pair_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_every_size_at_every_split),
        cmocka_unit_test(malformed_requests_are_reset),
        cmocka_unit_test(a_stream_that_is_not_consumed_stops_at_its_window),
        cmocka_unit_test(resets_reach_the_other_side),
        cmocka_unit_test(an_early_answer_ends_the_stream_without_error),
        cmocka_unit_test(goaway_in_two_steps),
        cmocka_unit_test(a_request_after_goaway_is_refused),
        cmocka_unit_test(streams_above_the_bound_are_refused),
        cmocka_unit_test(large_header_lists_are_refused),
        cmocka_unit_test(rapid_resets_end_the_connection),
        cmocka_unit_test(pings_and_their_answers_are_told),
        cmocka_unit_test(a_ping_flood_is_an_error),
        cmocka_unit_test(rubbish_never_hurts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
