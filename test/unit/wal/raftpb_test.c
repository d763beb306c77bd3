/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of peer-protocol 3 and storage-formats 3.4, 4.5, and what decoders must take or refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/prng.h"
#include "hex.h"
#include "wal/raftpb.h"

static void expect_bytes(struct buf *got, const char *want_hex)
{
    expect_hex(buf_slice(got), want_hex);
    buf_clear(got);
}

static void entry_emission(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct raft_entry e = {.term = 3, .index = 300};
    raftpb_entry_encode(&b, &e, RAFTPB_ZEROS);
    expect_bytes(&b, "0800 1003 18ac02");
    raftpb_entry_encode(&b, &e, RAFTPB_SPARSE);
    expect_bytes(&b, "1003 18ac02");
    e.type = RAFT_ENTRY_CONF_CHANGE;
    e.data = SLICE_LIT("ab");
    raftpb_entry_encode(&b, &e, RAFTPB_SPARSE);
    expect_bytes(&b, "0801 1003 18ac02 22026162");
    buf_deinit(&b);
}

static void entry_round_trip(void **state)
{
    (void)state;
    struct prng p;
    prng_init(&p, 7);
    for (int i = 0; i < 2000; i++) {
        uint8_t data[64];
        struct raft_entry e = {.term = prng_next(&p) >> prng_below(&p, 64),
                               .index = prng_next(&p) >> prng_below(&p, 64),
                               .type = (enum raft_entry_type)prng_below(&p, 3),
                               .data = slice_make(data, prng_below(&p, 64))};
        memset(data, i & 0xff, sizeof(data));
        struct buf b = BUF_INIT;
        struct raft_entry out;
        raftpb_entry_encode(&b, &e, i % 2 == 0 ? RAFTPB_ZEROS : RAFTPB_SPARSE);
        assert_int_equal(raftpb_entry_decode(buf_slice(&b), &out), 0);
        assert_true(out.term == e.term && out.index == e.index && out.type == e.type);
        assert_true(slice_equal(out.data, e.data));
        for (size_t n = 0; n < b.len; n++) { /* a cut message never reads behind its end */
            uint8_t *copy = mem_alloc(n + 1);
            memcpy(copy, b.data, n);
            int err = raftpb_entry_decode(slice_make(copy, n), &out);
            assert_true(err == 0 || err == ERR_MALFORMED);
            mem_free(copy);
        }
        buf_deinit(&b);
    }
}

static void unknown_fields_and_bad_types(void **state)
{
    (void)state;
    struct raft_entry e;
    struct buf b = hex("1003 2a03616263 3801 1805"); /* fields 5 and 7 are unknown */
    assert_int_equal(raftpb_entry_decode(buf_slice(&b), &e), 0);
    assert_true(e.term == 3 && e.index == 5 && e.type == RAFT_ENTRY_NORMAL);
    buf_deinit(&b);
    static const char *bad[] = {"0803", "0a00", "1003 18", "2205 61",
                                "03",   "00",   "2001",    "10ffffffffffffffffff7f"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        b = hex(bad[i]);
        assert_int_equal(raftpb_entry_decode(buf_slice(&b), &e), ERR_MALFORMED);
        buf_deinit(&b);
    }
}

static void conf_state_lists(void **state)
{
    (void)state;
    struct raft_conf_state cs = {.voters = {.count = 1, .ids = {UINT64_C(0x8aa3661ffa7eb5cf)}}};
    struct buf b = BUF_INIT;
    struct raft_conf_state out;
    raftpb_conf_state_encode(&b, &cs, RAFTPB_ZEROS);
    expect_bytes(&b, "08cfebfad3ffc3d9d18a01 2800");
    buf_deinit(&b);
    b = hex("0805 0801 0a020302 2801"); /* unpacked, unsorted, and packed */
    assert_int_equal(raftpb_conf_state_decode(buf_slice(&b), &out), 0);
    assert_int_equal(out.voters.count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        static const uint64_t want[] = {1, 2, 3, 5};
        assert_true(out.voters.ids[i] == want[i]);
    }
    assert_true(out.auto_leave);
    buf_clear(&b);
    for (unsigned i = 0; i <= RAFT_MEMBERS_MAX; i++) {
        buf_append_byte(&b, 0x10);
        buf_append_varint(&b, i + 1);
    }
    assert_int_equal(raftpb_conf_state_decode(buf_slice(&b), &out), ERR_LIMIT);
    buf_deinit(&b);
}

/* The conf change entry and snapshot record of storage-formats 4.5. */
static void spec_examples(void **state)
{
    (void)state;
    const uint64_t id = UINT64_C(0x8aa3661ffa7eb5cf);
    struct buf b = BUF_INIT;
    struct raft_conf_change cc = {
        .type = RAFT_CONF_ADD_NODE, .node_id = id, .context = SLICE_LIT("{}")};
    struct raft_conf_change back;
    raftpb_conf_change_encode(&b, &cc, RAFTPB_ZEROS);
    assert_int_equal(raftpb_conf_change_decode(buf_slice(&b), &back), 0);
    assert_true(back.node_id == id && back.type == RAFT_CONF_ADD_NODE && back.context.len == 2);
    expect_bytes(&b, "0800 1000 18cfebfad3ffc3d9d18a01 22027b7d");
    raftpb_conf_change_encode(&b, &cc, RAFTPB_SPARSE);
    expect_bytes(&b, "1000 18cfebfad3ffc3d9d18a01 22027b7d");

    struct raft_snapshot_meta m = {.index = 1, .term = 1};
    m.conf.voters = (struct raft_ids){1, {id}};
    raftpb_wal_snapshot_encode(&b, &m, RAFTPB_ZEROS);
    struct raft_snapshot_meta meta;
    assert_int_equal(raftpb_wal_snapshot_decode(buf_slice(&b), &meta), 0);
    assert_true(meta.index == 1 && meta.term == 1 && meta.conf.voters.ids[0] == id);
    expect_bytes(&b, "0801 1001 1a0d08cfebfad3ffc3d9d18a01 2800");
    m = (struct raft_snapshot_meta){.index = 0};
    raftpb_wal_snapshot_encode(&b, &m, RAFTPB_ZEROS);
    expect_bytes(&b, "0800 1000");

    struct raft_hard_state hs = {1, id, 1};
    struct raft_hard_state hs2;
    raftpb_hard_state_encode(&b, &hs);
    assert_int_equal(raftpb_hard_state_decode(buf_slice(&b), &hs2), 0);
    assert_true(hs2.term == 1 && hs2.vote == id && hs2.commit == 1);
    expect_bytes(&b, "0801 10cfebfad3ffc3d9d18a01 1801");

    struct wal_metadata md = {id, UINT64_C(0x3beec5db022e5356)};
    raftpb_metadata_encode(&b, &md);
    expect_bytes(&b, "08cfebfad3ffc3d9d18a01 10d6a6b991b0bbb1f73b");
    buf_deinit(&b);
}

static void snapshot_and_v2(void **state)
{
    (void)state;
    struct raft_snapshot_meta m = {.index = 23, .term = 3};
    m.conf.voters = (struct raft_ids){2, {4, 9}};
    m.conf.learners = (struct raft_ids){1, {7}};
    struct buf b = BUF_INIT;
    struct raftpb_snapshot s;
    raftpb_snapshot_encode(&b, SLICE_LIT("json"), &m, RAFTPB_ZEROS);
    assert_int_equal(raftpb_snapshot_decode(buf_slice(&b), &s), 0);
    assert_true(slice_equal_cstr(s.data, "json"));
    assert_memory_equal(&s.meta, &m, sizeof(m));
    buf_deinit(&b);
    struct raftpb_conf_change_v2 v2;
    b = hex("0802 1204 0801 1005 1204 0803 1006 1a0178");
    assert_int_equal(raftpb_conf_change_v2_decode(buf_slice(&b), &v2), 0);
    assert_int_equal(v2.transition, 2);
    assert_int_equal(v2.count, 2);
    assert_true(v2.changes[0].type == RAFT_CONF_REMOVE_NODE && v2.changes[0].node_id == 5);
    assert_true(v2.changes[1].type == RAFT_CONF_ADD_LEARNER && v2.changes[1].node_id == 6);
    assert_true(slice_equal_cstr(v2.context, "x"));
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_emission),
        cmocka_unit_test(entry_round_trip),
        cmocka_unit_test(unknown_fields_and_bad_types),
        cmocka_unit_test(conf_state_lists),
        cmocka_unit_test(spec_examples),
        cmocka_unit_test(snapshot_and_v2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
