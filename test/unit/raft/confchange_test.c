/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/confchange: random changes against a map of roles; restoring any configuration from its conf
 * state; the codec of conf-change entries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/prng.h"
#include "raft/confchange.h"

enum { IDS = 9, CASES = 4000, CHANGES_MAX = 6 };

enum role { ROLE_NONE, ROLE_VOTER, ROLE_LEARNER };

struct model {
    enum role roles[IDS + 1];
};

static struct raft_changer changer(struct raft_members *m)
{
    return (struct raft_changer){m, 10, 4, 0};
}

static uint32_t random_changes(struct prng *p, struct raft_conf_single *out)
{
    uint32_t n = (uint32_t)prng_below(p, CHANGES_MAX + 1);
    for (uint32_t i = 0; i < n; i++) {
        out[i].type = (enum raft_conf_change_type)prng_below(p, 4);
        out[i].node_id = prng_below(p, IDS + 1); /* 0 too: a refused change */
    }
    return n;
}

static void model_apply(struct model *m, const struct raft_conf_single *c)
{
    if (c->node_id == 0) {
        return;
    }
    switch (c->type) {
    case RAFT_CONF_ADD_NODE: m->roles[c->node_id] = ROLE_VOTER; break;
    case RAFT_CONF_ADD_LEARNER: m->roles[c->node_id] = ROLE_LEARNER; break;
    case RAFT_CONF_REMOVE_NODE: m->roles[c->node_id] = ROLE_NONE; break;
    case RAFT_CONF_UPDATE_NODE: break;
    }
}

static uint32_t model_voters(const struct model *m)
{
    uint32_t n = 0;
    for (int id = 1; id <= IDS; id++) {
        n += m->roles[id] == ROLE_VOTER ? 1 : 0;
    }
    return n;
}

static uint32_t model_voter_difference(const struct model *a, const struct model *b)
{
    uint32_t n = 0;
    for (int id = 1; id <= IDS; id++) {
        n += (a->roles[id] == ROLE_VOTER) != (b->roles[id] == ROLE_VOTER) ? 1 : 0;
    }
    return n;
}

static void assert_is_model(const struct raft_members *m, const struct model *model)
{
    assert_true(raft_members_are_consistent(m));
    assert_int_equal(m->conf.voters_outgoing.count, 0);
    for (uint64_t id = 1; id <= IDS; id++) {
        const struct raft_progress *pr = raft_members_get(m, id);
        assert_int_equal(raft_ids_contains(&m->conf.voters, id), model->roles[id] == ROLE_VOTER);
        assert_int_equal(raft_ids_contains(&m->conf.learners, id),
                         model->roles[id] == ROLE_LEARNER);
        assert_int_equal(pr != NULL, model->roles[id] != ROLE_NONE);
        assert_true(pr == NULL || pr->is_learner == (model->roles[id] == ROLE_LEARNER));
    }
}

/* A conf state builds the configuration it came from. */
static void assert_restores(const struct raft_members *m)
{
    struct raft_members again = {0};
    struct raft_changer c = changer(&again);
    if (m->conf.voters.count == 0) {
        return;
    }
    assert_int_equal(raft_changer_restore(&c, &m->conf), RAFT_CHANGER_OK);
    assert_int_equal(again.count, m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        assert_int_equal(again.list[i].id, m->list[i].id);
        assert_int_equal(again.list[i].is_learner, m->list[i].is_learner);
    }
}

static void step_simple(struct raft_members *m, struct model *model,
                        const struct raft_conf_single *changes, uint32_t n)
{
    struct raft_members changed = *m;
    struct model after = *model;
    struct raft_changer c = changer(&changed);
    enum raft_changer_error err = raft_changer_simple(&c, changes, n);
    for (uint32_t i = 0; i < n; i++) {
        model_apply(&after, &changes[i]);
    }
    if (model_voters(&after) == 0) {
        assert_int_equal(err, RAFT_CHANGER_REMOVED_ALL_VOTERS);
    } else if (model_voter_difference(model, &after) > 1) {
        assert_int_equal(err, RAFT_CHANGER_MANY_VOTERS);
    } else {
        assert_int_equal(err, RAFT_CHANGER_OK);
        assert_is_model(&changed, &after);
        assert_restores(&changed);
        *m = changed;
        *model = after;
    }
}

static void step_joint(struct prng *p, struct raft_members *m, struct model *model,
                       const struct raft_conf_single *changes, uint32_t n)
{
    struct raft_members changed = *m;
    struct model after = *model;
    struct raft_changer c = changer(&changed);
    bool auto_leave = prng_chance(p, 1, 2);
    enum raft_changer_error err = raft_changer_enter_joint(&c, auto_leave, changes, n);
    for (uint32_t i = 0; i < n; i++) {
        model_apply(&after, &changes[i]);
    }
    if (model_voters(model) == 0) {
        assert_int_equal(err, RAFT_CHANGER_NO_VOTERS_TO_JOIN);
        return;
    }
    if (model_voters(&after) == 0) {
        assert_int_equal(err, RAFT_CHANGER_REMOVED_ALL_VOTERS);
        return;
    }
    assert_int_equal(err, RAFT_CHANGER_OK);
    assert_true(raft_members_are_consistent(&changed));
    assert_true(raft_ids_equal(&changed.conf.voters_outgoing, &m->conf.voters));
    assert_int_equal(changed.conf.auto_leave, auto_leave);
    assert_restores(&changed);
    struct raft_members joint = changed;
    struct raft_changer cj = changer(&joint);
    assert_int_equal(raft_changer_simple(&cj, changes, n), RAFT_CHANGER_SIMPLE_IN_JOINT);
    assert_int_equal(raft_changer_enter_joint(&cj, false, changes, n), RAFT_CHANGER_ALREADY_JOINT);
    assert_int_equal(raft_changer_leave_joint(&c), RAFT_CHANGER_OK);
    assert_int_equal(raft_changer_leave_joint(&c), RAFT_CHANGER_NOT_JOINT);
    assert_is_model(&changed, &after);
    *m = changed;
    *model = after;
}

static void test_against_model(void **state)
{
    struct raft_members *m = mem_zalloc(sizeof(*m));
    struct model model = {0};
    struct prng p;
    (void)state;
    prng_init(&p, 21);
    for (int i = 0; i < CASES; i++) {
        struct raft_conf_single changes[CHANGES_MAX];
        uint32_t n = random_changes(&p, changes);
        if (i % 50 == 0) { /* anew */
            *m = (struct raft_members){0};
            model = (struct model){0};
        }
        if (prng_chance(&p, 1, 2)) {
            step_simple(m, &model, changes, n);
        } else {
            step_joint(&p, m, &model, changes, n);
        }
    }
    mem_free(m);
}

static void test_restore_refuses(void **state)
{
    struct raft_members m = {0};
    struct raft_changer c = changer(&m);
    struct raft_conf_state twice = {.voters = {2, {1, 2}}, .learners = {1, {2}}};
    struct raft_conf_state no_voters = {.learners = {1, {2}}};
    struct raft_conf_state next = {.voters = {1, {1}}, .learners_next = {1, {2}}};
    (void)state;
    assert_int_not_equal(raft_changer_restore(&c, &twice), RAFT_CHANGER_OK);
    m.count = 0;
    m.conf = (struct raft_conf_state){0};
    assert_int_not_equal(raft_changer_restore(&c, &no_voters), RAFT_CHANGER_OK);
    m.count = 0;
    m.conf = (struct raft_conf_state){0};
    assert_int_equal(raft_changer_restore(&c, &next), RAFT_CHANGER_INCONSISTENT);
}

static void test_too_many(void **state)
{
    struct raft_members *m = mem_zalloc(sizeof(*m));
    struct raft_changer c = changer(m);
    (void)state;
    for (uint64_t id = 1; id <= RAFT_MEMBERS_MAX; id++) {
        struct raft_conf_single change = {RAFT_CONF_ADD_NODE, id};
        assert_int_equal(raft_changer_simple(&c, &change, 1), RAFT_CHANGER_OK);
    }
    struct raft_conf_single one_more = {RAFT_CONF_ADD_NODE, 1000};
    assert_int_equal(raft_changer_simple(&c, &one_more, 1), RAFT_CHANGER_TOO_MANY_MEMBERS);
    mem_free(m);
}

static void test_codec_v1(void **state)
{
    /* As etcd 3.5 writes it: every scalar, context only when set. */
    static const uint8_t bytes[] = {0x08, 0x07, 0x10, 0x03, 0x18, 0xac, 0x02, 0x22, 0x02, 'h', 'i'};
    struct raft_conf_change cc = {7, RAFT_CONF_ADD_LEARNER, 300, SLICE_LIT("hi")};
    struct raft_conf_change back;
    struct raft_conf_change_v2 v2;
    struct buf b = BUF_INIT;
    (void)state;
    raft_conf_change_v1_encode(&cc, &b);
    assert_int_equal(b.len, sizeof(bytes));
    assert_memory_equal(b.data, bytes, sizeof(bytes));
    assert_int_equal(raft_conf_change_v1_decode(buf_slice(&b), &back), 0);
    assert_int_equal(back.id, 7);
    assert_int_equal(back.node_id, 300);
    assert_true(slice_equal_cstr(back.context, "hi"));
    assert_int_equal(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE, buf_slice(&b), &v2), 0);
    assert_int_equal(v2.count, 1);
    assert_int_equal(v2.changes[0].type, RAFT_CONF_ADD_LEARNER);
    for (size_t n = 1; n < b.len; n++) { /* cut anywhere: refused or a shorter message */
        int rv = raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE, slice_make(b.data, n), &v2);
        assert_true(rv == 0 || rv == ERR_MALFORMED);
    }
    buf_deinit(&b);
}

static void test_codec_v2(void **state)
{
    struct raft_conf_change_v2 cc = {.transition = RAFT_TRANSITION_JOINT_EXPLICIT, .count = 2};
    struct raft_conf_change_v2 back;
    struct buf b = BUF_INIT;
    (void)state;
    cc.changes[0] = (struct raft_conf_single){RAFT_CONF_ADD_NODE, UINT64_MAX};
    cc.changes[1] = (struct raft_conf_single){RAFT_CONF_REMOVE_NODE, 3};
    raft_conf_change_v2_encode(&cc, &b);
    assert_int_equal(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, buf_slice(&b), &back), 0);
    assert_int_equal(back.count, 2);
    assert_int_equal(back.transition, RAFT_TRANSITION_JOINT_EXPLICIT);
    assert_true(back.changes[0].node_id == UINT64_MAX);
    assert_int_equal(back.changes[1].type, RAFT_CONF_REMOVE_NODE);
    /* Nothing at all is the empty change that leaves a joint configuration. */
    assert_int_equal(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, SLICE_NULL, &back), 0);
    assert_true(raft_conf_change_leaves_joint(&back));
    b.len = 0;
    for (int i = 0; i <= RAFT_MEMBERS_MAX; i++) {
        buf_append(&b, "\x12\x02\x10\x05", 4);
    }
    assert_int_equal(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, buf_slice(&b), &back),
                     ERR_LIMIT);
    struct slice bad_type = SLICE_LIT("\x12\x02\x08\x09");
    struct slice bad_transition = SLICE_LIT("\x08\x03");
    struct slice bad_key = SLICE_LIT("\x00\x01");
    struct slice unknown = SLICE_LIT("\x2d\x01\x02\x03\x04\x31\x01\x02\x03\x04\x05\x06\x07\x08");
    assert_int_equal(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, bad_type, &back),
                     ERR_MALFORMED);
    assert_int_equal(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, bad_transition, &back),
                     ERR_MALFORMED);
    assert_int_equal(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, bad_key, &back),
                     ERR_MALFORMED);
    assert_int_equal(raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, unknown, &back), 0);
    assert_int_equal(raft_conf_change_decode(RAFT_ENTRY_NORMAL, unknown, &back), ERR_INVALID);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model), cmocka_unit_test(test_restore_refuses),
        cmocka_unit_test(test_too_many),      cmocka_unit_test(test_codec_v1),
        cmocka_unit_test(test_codec_v2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
