/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages as bytes: what each version writes (peer-protocol 3.2), what must be taken, what not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/prng.h"
#include "peer/message.h"
#include "test/lib/hex.h"

static const enum level LEVELS[] = {LEVEL_3_5, LEVEL_3_6, LEVEL_3_7};

static void encodes(const struct raft_message *m, enum level level, const char *want)
{
    struct buf b = BUF_INIT;
    peer_message_encode(&b, m, NULL, level_rules(level));
    expect_hex(buf_slice(&b), want);
    buf_deinit(&b);
}

/* Captured from etcd (peer-protocol 3.2, 2.6). */
static void what_each_version_writes(void **state)
{
    (void)state;
    struct raft_message heartbeat = {.type = RAFT_MSG_HEARTBEAT};
    encodes(&heartbeat, LEVEL_3_7, "0808");
    encodes(&heartbeat, LEVEL_3_6, "0808100018002000280030004000500058006800");
    encodes(&heartbeat, LEVEL_3_5, "08081000180020002800300040004a0a12080a0228001000180050005800");
    struct raft_message pre = {
        .type = RAFT_MSG_VOTE, .term = 2, .log_term = 1, .index = 3, .to = 0x10, .from = 0x11};
    encodes(&pre, LEVEL_3_7, "0805 1010 1811 2002 2801 3003");
    encodes(&pre, LEVEL_3_6, "0805 1010 1811 2002 2801 3003 4000 5000 5800 6800");
    encodes(&pre, LEVEL_3_5, "0805 1010 1811 2002 2801 3003 4000 4a0a12080a0228001000180050005800");
}

static void entries_and_reads(void **state)
{
    (void)state;
    struct raft_entry e = {.term = 2, .index = 5, .data = SLICE_LIT("ab")};
    struct raft_message app = {.type = RAFT_MSG_APP,
                               .to = 1,
                               .from = 2,
                               .term = 2,
                               .log_term = 2,
                               .index = 4,
                               .commit = 3,
                               .entries = &e,
                               .entry_count = 1};
    encodes(&app, LEVEL_3_7, "0803 1001 1802 2002 2802 3004 3a08 1002180522026162 4003");
    encodes(&app, LEVEL_3_6,
            "0803 1001 1802 2002 2802 3004 3a0a 08001002180522026162 4003 5000 5800 6800");
    struct raft_message read = {.type = RAFT_MSG_READ_INDEX, .to = 1, .from = 2};
    read.context = (struct raft_context){.len = 2, .bytes = "xy"};
    encodes(&read, LEVEL_3_7, "080f 1001 1802 3a08 1000180022027879");
}

static uint64_t small_or_big(struct prng *p)
{
    switch (prng_below(p, 3)) {
    case 0: return 0;
    case 1: return prng_below(p, 200);
    default: return prng_next(p);
    }
}

static struct raft_message any_message(struct prng *p, struct raft_entry *entries)
{
    static const enum raft_message_type types[] = {
        RAFT_MSG_PROP,     RAFT_MSG_APP,         RAFT_MSG_APP_RESP,
        RAFT_MSG_VOTE,     RAFT_MSG_HEARTBEAT,   RAFT_MSG_READ_INDEX,
        RAFT_MSG_PRE_VOTE, RAFT_MSG_TIMEOUT_NOW, RAFT_MSG_READ_INDEX_RESP};
    struct raft_message m = {
        .type = types[prng_below(p, ARRAY_LEN(types))],
        .to = small_or_big(p),
        .from = small_or_big(p),
        .term = small_or_big(p),
        .log_term = small_or_big(p),
        .index = small_or_big(p),
        .commit = small_or_big(p),
        .reject = prng_below(p, 2) == 1,
        .reject_hint = small_or_big(p),
        .entries = entries,
    };
    static const uint8_t bytes[200] = "some data of an entry";
    if (m.type == RAFT_MSG_APP || m.type == RAFT_MSG_PROP) {
        m.entry_count = (size_t)prng_below(p, 5);
        for (size_t i = 0; i < m.entry_count; i++) {
            entries[i] = (struct raft_entry){.term = small_or_big(p),
                                             .index = small_or_big(p),
                                             .type = (enum raft_entry_type)prng_below(p, 3),
                                             .data = {bytes, (size_t)prng_below(p, 200)}};
        }
    } else {
        m.context.len = (uint8_t)prng_below(p, RAFT_CONTEXT_BYTES_MAX + 1);
        memcpy(m.context.bytes, bytes, m.context.len);
    }
    return m;
}

static void same(const struct raft_message *a, const struct raft_message *b)
{
    assert_int_equal(a->type, b->type);
    assert_true(a->to == b->to && a->from == b->from && a->term == b->term);
    assert_true(a->log_term == b->log_term && a->index == b->index && a->commit == b->commit);
    assert_true(a->reject == b->reject && a->reject_hint == b->reject_hint);
    assert_int_equal(a->context.len, b->context.len);
    assert_memory_equal(a->context.bytes, b->context.bytes, a->context.len);
    assert_int_equal(a->entry_count, b->entry_count);
    for (size_t i = 0; i < a->entry_count; i++) {
        const struct raft_entry *x = &a->entries[i], *y = &b->entries[i];
        assert_true(x->term == y->term && x->index == y->index && x->type == y->type);
        assert_true(slice_equal(x->data, y->data));
    }
}

static void round_trip(void **state)
{
    (void)state;
    struct prng p;
    struct peer_decoded d;
    prng_init(&p, 7);
    peer_decoded_init(&d);
    for (int i = 0; i < 3000; i++) {
        struct raft_entry entries[8];
        struct raft_message m = any_message(&p, entries);
        struct buf b = BUF_INIT;
        peer_message_encode(&b, &m, NULL, level_rules(LEVELS[i % 3]));
        assert_true(b.len <= peer_message_size_hint(&m) + 64);
        assert_int_equal(peer_message_decode(buf_slice(&b), &d), 0);
        same(&m, &d.m);
        assert_int_equal(peer_decoded_own(&d, buf_slice(&b)), 0);
        memset(b.data, 0xee, b.len); /* what is owned does not need the input */
        same(&m, &d.m);
        buf_deinit(&b);
    }
    peer_decoded_deinit(&d);
}

static void snapshot_round_trip(void **state)
{
    (void)state;
    struct raft_snapshot_meta meta = {.index = 9, .term = 4};
    meta.conf.voters = (struct raft_ids){.count = 2, .ids = {3, 8}};
    struct raft_message m = {.type = RAFT_MSG_SNAP, .to = 1, .from = 2, .term = 4};
    struct peer_snapshot_part part = {.meta = &meta, .v2_json = SLICE_LIT("{\"a\":1}")};
    struct peer_decoded d;
    peer_decoded_init(&d);
    for (size_t i = 0; i < ARRAY_LEN(LEVELS); i++) {
        struct buf b = BUF_INIT;
        peer_message_encode(&b, &m, &part, level_rules(LEVELS[i]));
        assert_int_equal(peer_message_decode(buf_slice(&b), &d), 0);
        assert_non_null(d.m.snapshot);
        assert_int_equal(d.m.snapshot->meta.index, 9);
        assert_int_equal(d.m.snapshot->meta.conf.voters.ids[1], 8);
        assert_true(slice_equal(d.v2_json, part.v2_json));
        buf_deinit(&b);
    }
    peer_decoded_deinit(&d);
}

static int decode(const char *text, struct peer_decoded *d)
{
    struct buf b = hex(text);
    int err = peer_message_decode(buf_slice(&b), d);
    buf_deinit(&b);
    return err;
}

static void taken_and_refused(void **state)
{
    (void)state;
    struct peer_decoded d;
    peer_decoded_init(&d);
    /* 3.5's empty snapshot in another message is none; unknown fields and vote are skipped. */
    assert_int_equal(decode("0808 1001 4a0a12080a02280010001800 6805 720100 a20601ff", &d), 0);
    assert_null(d.m.snapshot);
    /* Any order; the last of a scalar wins. */
    assert_int_equal(decode("2007 1002 1001 0804 2003", &d), 0);
    assert_true(d.m.type == RAFT_MSG_APP_RESP && d.m.to == 1 && d.m.term == 3);
    /* Local types, unknown types and a negative one; to is known nevertheless. */
    assert_int_equal(decode("0801 1005", &d), ERR_UNSUPPORTED);
    assert_int_equal(d.m.to, 5);
    assert_int_equal(decode("", &d), ERR_UNSUPPORTED);
    assert_int_equal(decode("0813", &d), ERR_UNSUPPORTED);
    assert_int_equal(decode("08ffffffffffffffffff01", &d), ERR_UNSUPPORTED);
    /* A ReadIndex has one entry. */
    assert_int_equal(decode("080f 1001", &d), ERR_UNSUPPORTED);
    assert_int_equal(decode("080f 3a0322016a 3a0322016a", &d), ERR_UNSUPPORTED);
    assert_int_equal(decode("080f 3a0322016a", &d), 0);
    assert_int_equal(d.m.context.len, 1);
    /* Longer than any context. */
    assert_int_equal(decode("0808 6221 00000000000000000000000000000000 "
                            "0000000000000000000000000000000000",
                            &d),
                     ERR_UNSUPPORTED);
    /* Broken. */
    assert_int_equal(decode("0803 3a05 1002", &d), ERR_MALFORMED);
    assert_int_equal(decode("0803 3a02 0807", &d), ERR_MALFORMED);
    assert_int_equal(decode("0803 10", &d), ERR_MALFORMED);
    assert_int_equal(decode("0a00", &d), ERR_MALFORMED);
    assert_int_equal(decode("0803 3800", &d), ERR_MALFORMED);
    peer_decoded_deinit(&d);
}

static void entries_have_a_bound(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct peer_decoded d;
    peer_decoded_init(&d);
    buf_append(&b, "\x08\x03", 2);
    for (size_t i = 0; i <= PEER_ENTRIES_MAX; i++) {
        buf_append(&b, "\x3a\x00", 2);
    }
    assert_int_equal(peer_message_decode(buf_slice(&b), &d), ERR_LIMIT);
    b.len -= 2;
    assert_int_equal(peer_message_decode(buf_slice(&b), &d), 0);
    assert_int_equal(d.m.entry_count, PEER_ENTRIES_MAX);
    assert_int_equal(peer_decoded_own(&d, buf_slice(&b)), 0);
    assert_null(d.owner); /* no data, nothing to own */
    peer_decoded_deinit(&d);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_each_version_writes),
        cmocka_unit_test(entries_and_reads),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(snapshot_round_trip),
        cmocka_unit_test(taken_and_refused),
        cmocka_unit_test(entries_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
