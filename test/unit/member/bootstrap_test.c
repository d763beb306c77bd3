/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "member/bootstrap.h"
#include "member/initial.h"

static struct membership members(const char *text, const char *token)
{
    struct initial_cluster ic;
    struct membership ms;
    assert_int_equal(initial_cluster_parse(text, &ic, NULL), 0);
    assert_int_equal(initial_cluster_members(&ic, token, &ms, NULL), 0);
    initial_cluster_deinit(&ic);
    return ms;
}

/* The entry of the 280-byte WAL of storage-formats 4.5. */
static void one_member(void **state)
{
    (void)state;
    struct membership ms = members("n1=http://127.0.0.1:21042", "tok1");
    struct member_bootstrap b;
    assert_int_equal(member_bootstrap_build(&ms, RAFTPB_ZEROS, false, &b), 0);
    assert_int_equal(b.count, 1);
    assert_true(b.entries[0].term == 1 && b.entries[0].index == 1 &&
                b.entries[0].type == RAFT_ENTRY_CONF_CHANGE);
    assert_int_equal(b.entries[0].data.len, 0x5d);
    struct raft_conf_change cc;
    assert_int_equal(raftpb_conf_change_decode(b.entries[0].data, &cc), 0);
    assert_true(cc.id == 0 && cc.type == RAFT_CONF_ADD_NODE && cc.node_id == ms.members[0].id);
    assert_true(slice_equal_cstr(cc.context, "{\"id\":9989940685970519503,\"peerURLs\":[\"http://"
                                             "127.0.0.1:21042\"],\"name\":\"n1\"}"));
    assert_true(b.hard_state.term == 1 && b.hard_state.vote == 0 && b.hard_state.commit == 1);
    assert_true(b.snapshot.index == 1 && b.snapshot.conf.voters.count == 1);
    member_bootstrap_deinit(&b);
    membership_deinit(&ms);
}

static void restore_of_three(void **state)
{
    (void)state;
    struct membership ms = members("a=http://h:1,b=http://h:2,c=http://h:3", "t");
    struct member_bootstrap b;
    assert_int_equal(member_bootstrap_build(&ms, RAFTPB_SPARSE, true, &b), 0);
    assert_int_equal(b.count, 3);
    for (size_t i = 0; i < 3; i++) {
        struct raft_conf_change cc;
        assert_int_equal(raftpb_conf_change_decode(b.entries[i].data, &cc), 0);
        assert_true(cc.node_id == ms.members[i].id && b.entries[i].index == i + 1);
        assert_int_equal(b.entries[i].data.data[0], 0x10); /* no id */
    }
    assert_true(b.hard_state.vote == ms.members[0].id && b.hard_state.commit == 3);
    assert_true(b.snapshot.index == 3 && b.snapshot.conf.voters.count == 3);
    member_bootstrap_deinit(&b);
    struct membership none;
    membership_init(&none);
    assert_int_equal(member_bootstrap_build(&none, RAFTPB_SPARSE, true, &b), ERR_LIMIT);
    membership_deinit(&ms);
}

static void force_new_cluster(void **state)
{
    (void)state;
    struct raft_conf_state conf = {.voters = {2, {1, 2}}, .learners = {1, {7}}};
    struct buf add = BUF_INIT;
    struct buf del = BUF_INIT;
    raftpb_conf_change_encode(
        &add, &(struct raft_conf_change){.type = RAFT_CONF_ADD_NODE, .node_id = 5}, RAFTPB_ZEROS);
    raftpb_conf_change_encode(
        &del, &(struct raft_conf_change){.type = RAFT_CONF_REMOVE_NODE, .node_id = 2},
        RAFTPB_ZEROS);
    const struct raft_entry log[] = {
        {.index = 10, .type = RAFT_ENTRY_CONF_CHANGE, .data = buf_slice(&add)},
        {.index = 11, .data = SLICE_LIT("junk")},
        {.index = 12, .type = RAFT_ENTRY_CONF_CHANGE, .data = buf_slice(&del)},
    };
    struct member_bootstrap b;
    /* left: 1, 5, 7; self is 1 */
    assert_int_equal(member_bootstrap_force_new(&conf, log, 3, 1, 4, 12, RAFTPB_ZEROS, &b), 0);
    assert_int_equal(b.count, 2);
    static const uint64_t want[] = {5, 7};
    for (size_t i = 0; i < 2; i++) {
        struct raft_conf_change cc;
        assert_int_equal(raftpb_conf_change_decode(b.entries[i].data, &cc), 0);
        assert_true(cc.type == RAFT_CONF_REMOVE_NODE && cc.node_id == want[i]);
        assert_true(b.entries[i].index == 13 + i && b.entries[i].term == 4);
    }
    member_bootstrap_deinit(&b);
    /* self is 2, which was removed: it is added first */
    assert_int_equal(member_bootstrap_force_new(&conf, log, 3, 2, 4, 12, RAFTPB_ZEROS, &b), 0);
    assert_int_equal(b.count, 4);
    struct raft_conf_change cc;
    assert_int_equal(raftpb_conf_change_decode(b.entries[0].data, &cc), 0);
    assert_true(cc.type == RAFT_CONF_ADD_NODE && cc.node_id == 2);
    assert_true(
        slice_equal_cstr(cc.context, "{\"id\":2,\"peerURLs\":[\"http://localhost:2380\"]}"));
    member_bootstrap_deinit(&b);
    buf_deinit(&add);
    buf_deinit(&del);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_member),
        cmocka_unit_test(restore_of_three),
        cmocka_unit_test(force_new_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
