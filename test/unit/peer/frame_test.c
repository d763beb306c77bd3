/* SPDX-License-Identifier: Apache-2.0
 *
 * The two streams: what is written is read back whatever the pieces, and rubbish ends the stream.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/prng.h"
#include "peer/frame.h"
#include "test/lib/hex.h"

/* What came out of a decoder, as bytes of one kind. */
struct got {
    struct buf bytes;
    size_t count;
    int answer;
};

static void note(struct buf *out, const struct raft_message *m)
{
    peer_message_encode(out, m, NULL, level_rules(LEVEL_3_6));
    for (size_t i = 0; i < m->entry_count; i++) {
        assert_true(m->entries[i].data.len == 0 || m->entries[i].owner != NULL);
    }
}

static int on_message(void *arg, const struct raft_message *m)
{
    struct got *g = arg;
    note(&g->bytes, m);
    g->count++;
    return g->answer;
}

static void decoder_make(struct peer_decoder *d, enum peer_channel channel, struct got *g)
{
    peer_decoder_init(d, channel);
    d->from = 2;
    d->to = 1;
    d->on_message = on_message;
    d->arg = g;
}

static void fixed_bytes(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct peer_position pos = {0, 0};
    struct raft_entry e[2] = {{.term = 2, .index = 5}, {.term = 2, .index = 6}};
    struct raft_message m = {.type = RAFT_MSG_APP,
                             .to = 1,
                             .from = 2,
                             .term = 2,
                             .log_term = 1,
                             .index = 4,
                             .commit = 3,
                             .entries = e,
                             .entry_count = 1};
    const struct level_rules *rules = level_rules(LEVEL_3_7);
    peer_frame_msgapp(&b, &pos, &m, rules);
    assert_true(pos.term == 2 && pos.index == 5);
    m = (struct raft_message){.type = RAFT_MSG_APP,
                              .to = 1,
                              .from = 2,
                              .term = 2,
                              .log_term = 2,
                              .index = 5,
                              .commit = 4,
                              .entries = &e[1],
                              .entry_count = 1};
    peer_frame_msgapp(&b, &pos, &m, rules);
    m.index = 6;
    m.entry_count = 0;
    m.commit = 6;
    peer_frame_msgapp(&b, &pos, &m, rules);
    peer_frame_link_heartbeat(&b, PEER_CHANNEL_MSGAPP, rules);
    peer_frame_link_heartbeat(&b, PEER_CHANNEL_MESSAGE, rules);
    expect_hex(buf_slice(&b),
               "02 0000000000000014 0803 1001 1802 2002 2801 3004 3a04 1002 1805 4003 "
               "01 0000000000000001 0000000000000004 1002 1806 0000000000000004 "
               "01 0000000000000000 0000000000000006 "
               "00 0000000000000002 0808");
    buf_deinit(&b);
}

/* A leader's life on one stream: mostly in order, sometimes probing elsewhere, terms rising. */
struct leader {
    struct prng p;
    raft_term term;
    raft_index next;
    struct raft_entry entries[6];
};

static struct raft_message leader_next(struct leader *l)
{
    static const uint8_t data[3000] = "data";
    if (prng_below(&l->p, 20) == 0) {
        l->term++;
    }
    if (prng_below(&l->p, 10) == 0) {
        l->next = 1 + prng_below(&l->p, 50);
    }
    struct raft_message m = {.type = RAFT_MSG_APP,
                             .to = 1,
                             .from = 2,
                             .term = l->term,
                             .log_term = prng_below(&l->p, 5) == 0 ? l->term - 1 : l->term,
                             .index = l->next - 1,
                             .commit = l->next / 2,
                             .entries = l->entries,
                             .entry_count = (size_t)prng_below(&l->p, 6)};
    for (size_t i = 0; i < m.entry_count; i++) {
        l->entries[i] = (struct raft_entry){
            .term = l->term, .index = l->next++, .data = {data, (size_t)prng_below(&l->p, 3000)}};
    }
    return m;
}

static void feed_in_pieces(struct peer_decoder *d, struct slice all, struct prng *p, size_t max)
{
    while (all.len > 0) {
        size_t n = 1 + (size_t)prng_below(p, max);
        n = n < all.len ? n : all.len;
        assert_int_equal(peer_decoder_feed(d, slice_make(all.data, n)), 0);
        all = slice_skip(all, n);
    }
}

static void msgapp_any_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 300, 5000, 100000};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct leader l = {.term = 3, .next = 10};
        struct peer_position pos = {0, 0};
        struct buf wire = BUF_INIT, want = BUF_INIT;
        struct got g = {.bytes = BUF_INIT};
        struct peer_decoder d;
        prng_init(&l.p, i);
        for (int k = 0; k < 200; k++) {
            struct raft_message m = leader_next(&l);
            peer_frame_msgapp(&wire, &pos, &m, level_rules(LEVEL_3_5));
            peer_message_encode(&want, &m, NULL, level_rules(LEVEL_3_6));
            if (k % 9 == 0) {
                peer_frame_link_heartbeat(&wire, PEER_CHANNEL_MSGAPP, level_rules(LEVEL_3_5));
            }
        }
        decoder_make(&d, PEER_CHANNEL_MSGAPP, &g);
        feed_in_pieces(&d, buf_slice(&wire), &l.p, pieces[i]);
        assert_int_equal(g.count, 200);
        assert_true(slice_equal(buf_slice(&g.bytes), buf_slice(&want)));
        assert_int_equal(d.held.len, 0);
        peer_decoder_deinit(&d);
        buf_deinit(&g.bytes);
        buf_deinit(&wire);
        buf_deinit(&want);
    }
}

static void message_any_pieces(void **state)
{
    (void)state;
    struct prng p;
    struct buf wire = BUF_INIT, want = BUF_INIT;
    struct got g = {.bytes = BUF_INIT};
    struct peer_decoder d;
    prng_init(&p, 3);
    for (uint64_t k = 0; k < 300; k++) {
        struct raft_message m = {
            .type = RAFT_MSG_HEARTBEAT_RESP, .to = 1, .from = 2, .term = k, .commit = k * k};
        peer_frame_message(&wire, &m, level_rules(LEVEL_3_7));
        peer_message_encode(&want, &m, NULL, level_rules(LEVEL_3_6));
        for (int v = LEVEL_3_5; v <= LEVEL_3_7; v++) {
            peer_frame_link_heartbeat(&wire, PEER_CHANNEL_MESSAGE, level_rules((enum level)v));
        }
    }
    decoder_make(&d, PEER_CHANNEL_MESSAGE, &g);
    feed_in_pieces(&d, buf_slice(&wire), &p, 90);
    assert_int_equal(g.count, 300);
    assert_true(slice_equal(buf_slice(&g.bytes), buf_slice(&want)));
    peer_decoder_deinit(&d);
    buf_deinit(&g.bytes);
    buf_deinit(&wire);
    buf_deinit(&want);
}

static int feed_hex(enum peer_channel channel, const char *text)
{
    struct buf b = hex(text);
    struct got g = {.bytes = BUF_INIT};
    struct peer_decoder d;
    decoder_make(&d, channel, &g);
    int err = peer_decoder_feed(&d, buf_slice(&b));
    peer_decoder_deinit(&d);
    buf_deinit(&g.bytes);
    buf_deinit(&b);
    return err;
}

static void rubbish(void **state)
{
    (void)state;
    assert_int_equal(feed_hex(PEER_CHANNEL_MSGAPP, "03"), ERR_MALFORMED);
    assert_int_equal(feed_hex(PEER_CHANNEL_MSGAPP, "00 00 47"), ERR_MALFORMED);
    assert_int_equal(feed_hex(PEER_CHANNEL_MSGAPP, "02 ffffffffffffffff"), ERR_TOO_LARGE);
    assert_int_equal(feed_hex(PEER_CHANNEL_MSGAPP, "02 0000000020000001"), ERR_TOO_LARGE);
    assert_int_equal(feed_hex(PEER_CHANNEL_MSGAPP, "02 0000000020000000"), 0); /* may still come */
    assert_int_equal(feed_hex(PEER_CHANNEL_MSGAPP, "01 0000000000040001"), ERR_LIMIT);
    assert_int_equal(feed_hex(PEER_CHANNEL_MSGAPP, "01 0000000000000001 ffffffffffffffff"),
                     ERR_TOO_LARGE);
    assert_int_equal(
        feed_hex(PEER_CHANNEL_MSGAPP, "01 0000000000000001 0000000000000001 08 0000000000000000"),
        ERR_MALFORMED);
    assert_int_equal(feed_hex(PEER_CHANNEL_MESSAGE, "4745542f20485454"), ERR_TOO_LARGE);
    assert_int_equal(feed_hex(PEER_CHANNEL_MESSAGE, "0000000000000002 0a00"), ERR_MALFORMED);
    assert_int_equal(feed_hex(PEER_CHANNEL_MESSAGE, "0000000000000000"), 0); /* type 0: ignored */
}

/* The receiver's refusal ends the stream, and nothing behind it is told. */
static void refusal_stops(void **state)
{
    (void)state;
    struct got g = {.bytes = BUF_INIT, .answer = ERR_CLOSED};
    struct peer_decoder d;
    struct buf wire = BUF_INIT;
    struct raft_message m = {.type = RAFT_MSG_VOTE, .to = 1, .from = 2, .term = 1};
    peer_frame_message(&wire, &m, level_rules(LEVEL_3_7));
    peer_frame_message(&wire, &m, level_rules(LEVEL_3_7));
    decoder_make(&d, PEER_CHANNEL_MESSAGE, &g);
    assert_int_equal(peer_decoder_feed(&d, buf_slice(&wire)), ERR_CLOSED);
    assert_int_equal(g.count, 1);
    peer_decoder_deinit(&d);
    buf_deinit(&g.bytes);
    buf_deinit(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_bytes),        cmocka_unit_test(msgapp_any_pieces),
        cmocka_unit_test(message_any_pieces), cmocka_unit_test(rubbish),
        cmocka_unit_test(refusal_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
