/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/raft: the face: start, refusals, limits, rubbish from the network, and that a warm leader
 * allocates nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/prng.h"
#include "raft/state.h"

/* malloc and friends are wrapped by the linker (meson.build). */
static size_t alloc_count;
void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_malloc(size_t n)
{
    alloc_count++;
    return __real_malloc(n);
}

void *__wrap_realloc(void *p, size_t n)
{
    alloc_count++;
    return __real_realloc(p, n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    alloc_count++;
    return __real_calloc(n, size);
}

static struct raft_config config(uint64_t id)
{
    return (struct raft_config){.id = id,
                                .election_ticks = 10,
                                .heartbeat_ticks = 1,
                                .seed = 1,
                                .msg_bytes_max = 1 << 20,
                                .inflight_max = 512,
                                .pre_vote = true,
                                .check_quorum = true};
}

static struct raft *start(const struct raft_config *c, uint32_t voters)
{
    struct raft_boot boot = {.base = {1, 5}};
    struct raft *r = NULL;
    for (uint64_t id = 1; id <= voters; id++) {
        raft_ids_add(&boot.conf.voters, id);
    }
    assert_int_equal(raft_create(c, &boot, &r), 0);
    raft_check(r);
    return r;
}

static int step(struct raft *r, struct raft_event ev)
{
    int rv = raft_step(r, &ev);
    raft_check(r);
    return rv;
}

static int receive(struct raft *r, struct raft_message m)
{
    return step(r, (struct raft_event){.type = RAFT_EV_MESSAGE, .message = &m});
}

/* Takes updates and does what they ask for until there is nothing; messages to others are lost.
 * Returns how many entries were handed out. */
static size_t drain(struct raft *r)
{
    size_t committed = 0;
    while (raft_has_update(r)) {
        struct raft_update u;
        struct raft_message self[8];
        size_t n = 0;
        raft_take(r, &u);
        for (size_t i = 0; i < u.messages_synced_count; i++) {
            if (u.messages_synced[i].to == r->config.id) {
                assert_true(n < ARRAY_LEN(self));
                self[n++] = u.messages_synced[i];
            }
        }
        raft_index applied = u.committed_count > 0 ? u.committed[u.committed_count - 1].index : 0;
        committed += u.committed_count;
        for (size_t i = 0; i < n; i++) {
            (void)receive(r, self[i]);
        }
        if (u.needs_ack) {
            assert_int_equal(step(r, (struct raft_event){.type = RAFT_EV_APPENDED, .ack = u.ack}),
                             0);
        }
        if (applied > 0) {
            step(r, (struct raft_event){.type = RAFT_EV_APPLIED, .index = applied});
        }
    }
    return committed;
}

static struct raft *single_leader(const struct raft_config *c)
{
    struct raft *r = start(c, 1);
    step(r, (struct raft_event){.type = RAFT_EV_CAMPAIGN});
    drain(r);
    assert_int_equal(r->role, RAFT_LEADER);
    return r;
}

static int propose(struct raft *r, const char *text)
{
    struct raft_entry e = {.data = slice_cstr(text)};
    return step(r, (struct raft_event){.type = RAFT_EV_PROPOSE, .entries = &e, .entry_count = 1});
}

static void test_create_refuses(void **state)
{
    struct raft *r = NULL;
    struct raft_boot boot = {0};
    struct raft_config c = config(0);
    struct raft_entry gap[2] = {{.term = 1, .index = 1}, {.term = 1, .index = 3}};
    (void)state;
    assert_int_equal(raft_create(&c, &boot, &r), ERR_INVALID);
    c = config(1);
    c.election_ticks = 1;
    assert_int_equal(raft_create(&c, &boot, &r), ERR_INVALID);
    c = config(1);
    c.read_mode = RAFT_READ_LEASE_BASED;
    c.check_quorum = false;
    assert_int_equal(raft_create(&c, &boot, &r), ERR_INVALID);
    c = config(1);
    boot.hard = (struct raft_hard_state){1, 0, 0};
    boot.entries = gap;
    boot.entry_count = 2;
    assert_int_equal(raft_create(&c, &boot, &r), ERR_CORRUPT);
    boot.entry_count = 1;
    boot.hard.commit = 2; /* beyond the log */
    assert_int_equal(raft_create(&c, &boot, &r), ERR_CORRUPT);
    boot.hard.commit = 1;
    boot.conf = (struct raft_conf_state){.learners = {1, {1}}}; /* no voters */
    assert_int_equal(raft_create(&c, &boot, &r), ERR_CORRUPT);
    assert_null(r);
}

static void test_start_applied_beyond_commit(void **state)
{
    struct raft_config c = config(1);
    struct raft_entry e[3] = {
        {.term = 1, .index = 1}, {.term = 1, .index = 2}, {.term = 1, .index = 3}};
    struct raft_boot boot = {.hard = {1, 0, 1}, .entries = e, .entry_count = 3, .applied = 2};
    struct raft *r = NULL;
    (void)state;
    boot.conf.voters = (struct raft_ids){1, {1}};
    assert_int_equal(raft_create(&c, &boot, &r), 0);
    raft_check(r);
    assert_int_equal(r->log.committed, 2); /* what is applied was committed */
    raft_destroy(r);
}

static void test_bootstrap(void **state)
{
    struct raft_config c = config(1);
    struct raft_boot boot = {0};
    struct raft *r = NULL;
    struct raft_entry e = {.type = RAFT_ENTRY_CONF_CHANGE, .data = SLICE_LIT("\x18\x01")};
    struct raft_entry bad = {.type = RAFT_ENTRY_CONF_CHANGE, .data = SLICE_LIT("\x18")};
    struct raft_update u;
    (void)state;
    assert_int_equal(raft_create(&c, &boot, &r), 0);
    assert_int_equal(raft_bootstrap(r, &bad, 1), ERR_INVALID);
    assert_int_equal(raft_bootstrap(r, &e, 1), 0);
    raft_check(r);
    raft_take(r, &u);
    assert_true(u.hard_changed && u.hard.term == 1 && u.hard.commit == 1);
    assert_int_equal(u.entry_count, 1);
    assert_int_equal(u.entries[0].index, 1);
    assert_int_equal(u.committed_count, 0); /* not durable yet */
    assert_int_equal(step(r, (struct raft_event){.type = RAFT_EV_APPENDED, .ack = u.ack}), 0);
    raft_take(r, &u);
    assert_int_equal(u.committed_count, 1);
    assert_int_equal(raft_bootstrap(r, &e, 1), ERR_INVALID);
    raft_destroy(r);
}

static void test_drops(void **state)
{
    struct raft_config c = config(1);
    struct raft *r = start(&c, 3);
    (void)state;
    assert_int_equal(propose(r, "x"), ERR_DROPPED);
    assert_int_equal(raft_drop_reason(r), RAFT_DROP_NO_LEADER);
    assert_int_equal(step(r, (struct raft_event){.type = RAFT_EV_READ_INDEX}), ERR_DROPPED);
    raft_destroy(r);

    c.uncommitted_bytes_max = 10;
    r = single_leader(&c);
    assert_int_equal(propose(r, "a single one may be larger"), 0);
    assert_int_equal(propose(r, "x"), ERR_DROPPED);
    assert_int_equal(raft_drop_reason(r), RAFT_DROP_UNCOMMITTED);
    assert_int_equal(propose(r, ""), 0); /* empty ones are never refused */
    drain(r);
    assert_int_equal(propose(r, "x"), 0);
    struct raft_entry bad = {.type = RAFT_ENTRY_CONF_CHANGE, .data = SLICE_LIT("\xff")};
    assert_int_equal(
        step(r, (struct raft_event){.type = RAFT_EV_PROPOSE, .entries = &bad, .entry_count = 1}),
        ERR_DROPPED);
    assert_int_equal(raft_drop_reason(r), RAFT_DROP_BAD_CONF_CHANGE);
    raft_destroy(r);
}

static void test_forwarding(void **state)
{
    struct raft_config c = config(1);
    struct raft *r = start(&c, 3);
    struct raft_update u;
    (void)state;
    assert_int_equal(
        receive(r,
                (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .to = 1, .term = 4}),
        0);
    struct raft_entry e = {.owner = rcbuf_from(SLICE_LIT("data"))};
    e.data = rcbuf_slice(e.owner);
    struct raft_event ev = {.type = RAFT_EV_PROPOSE, .entries = &e, .entry_count = 1};
    assert_int_equal(step(r, ev), 0);
    rcbuf_unref(e.owner); /* the update keeps the data */
    raft_take(r, &u);
    assert_true(u.soft_changed && u.leader == 2);
    assert_int_equal(u.message_count, 2);
    const struct raft_message *m = &u.messages[1];
    assert_int_equal(m->type, RAFT_MSG_PROP);
    assert_int_equal(m->term, 0);
    assert_int_equal(m->to, 2);
    assert_true(slice_equal_cstr(m->entries[0].data, "data"));
    raft_destroy(r);
}

static void test_malformed_messages(void **state)
{
    struct raft_config c = config(1);
    struct raft *r = start(&c, 3);
    struct raft_entry gap = {.term = 1, .index = 9};
    struct raft_message m = {.type = RAFT_MSG_APP,
                             .from = 2,
                             .to = 1,
                             .term = 2,
                             .index = 5,
                             .log_term = 1,
                             .entries = &gap,
                             .entry_count = 1};
    (void)state;
    assert_int_equal(receive(r, m), ERR_MALFORMED);
    gap = (struct raft_entry){.term = 3, .index = 6}; /* above the leader's term */
    assert_int_equal(receive(r, m), ERR_MALFORMED);
    m.entry_count = 0;
    m.from = 0;
    assert_int_equal(receive(r, m), ERR_MALFORMED);
    m.from = 1; /* nobody speaks in our name */
    assert_int_equal(receive(r, m), ERR_MALFORMED);
    m.from = 2;
    m.term = 0;
    assert_int_equal(receive(r, m), ERR_MALFORMED);
    m = (struct raft_message){.type = RAFT_MSG_SNAP, .from = 2, .term = 2};
    assert_int_equal(receive(r, m), ERR_MALFORMED);
    m = (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 2, .commit = 6};
    assert_int_equal(receive(r, m), ERR_CORRUPT);
    m = (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = 77, .term = 2};
    assert_int_equal(receive(r, m), ERR_NOT_FOUND);
    m = (struct raft_message){.type = (enum raft_message_type)12, .from = 2, .term = 2};
    assert_int_equal(receive(r, m), ERR_MALFORMED);
    assert_int_equal(r->term, 0); /* nothing of this was obeyed */
    raft_destroy(r);
}

static void test_committed_conflict(void **state)
{
    struct raft_config c = config(1);
    struct raft *r = start(&c, 3);
    struct raft_entry e = {.term = 2, .index = 6};
    struct raft_message m = {.type = RAFT_MSG_APP,
                             .from = 2,
                             .term = 2,
                             .index = 5,
                             .log_term = 1,
                             .entries = &e,
                             .entry_count = 1,
                             .commit = 6};
    (void)state;
    assert_int_equal(receive(r, m), 0);
    assert_int_equal(r->log.committed, 6);
    m.index = 6; /* says that the committed entry is another one: only rejected */
    m.log_term = 3;
    m.term = 3;
    e = (struct raft_entry){.term = 3, .index = 7};
    assert_int_equal(receive(r, m), 0);
    assert_int_equal(raft_log_last(&r->log), 6);
    raft_destroy(r);
}

/* Whatever comes from the network: an error code, or a step that keeps the invariants. */
static void test_rubbish(void **state)
{
    struct prng p;
    (void)state;
    prng_init(&p, 99);
    for (int round = 0; round < 60; round++) {
        struct raft_config c = config(1);
        c.check_quorum = prng_chance(&p, 1, 2);
        struct raft *r = start(&c, 3);
        for (int i = 0; i < 300; i++) {
            struct raft_entry e[3];
            struct raft_snapshot s = {
                .meta = {.index = prng_below(&p, 20), .term = prng_below(&p, 5)}};
            s.meta.conf.voters = (struct raft_ids){3, {3, 1, prng_below(&p, 3)}};
            s.meta.conf.learners = (struct raft_ids){1, {prng_below(&p, 6)}};
            struct raft_message m = {.type = (enum raft_message_type)prng_below(&p, 24),
                                     .from = prng_below(&p, 5),
                                     .term = prng_below(&p, 3) + r->term,
                                     .log_term = prng_below(&p, 4),
                                     .index = prng_below(&p, 14),
                                     .commit = prng_below(&p, 8),
                                     .reject = prng_chance(&p, 1, 2),
                                     .reject_hint = prng_next(&p) >> prng_below(&p, 64),
                                     .entries = e,
                                     .entry_count = prng_below(&p, 4)};
            for (size_t k = 0; k < m.entry_count; k++) {
                e[k] = (struct raft_entry){
                    .type = (enum raft_entry_type)(prng_chance(&p, 1, 8) ? 1 : 0),
                    .term = m.log_term,
                    .index = m.index + 1 + k};
            }
            m.snapshot = m.type == RAFT_MSG_SNAP ? &s : NULL;
            m.context.len = (uint8_t)prng_below(&p, 40);
            if (m.type == RAFT_MSG_SNAP && prng_chance(&p, 9, 10)) {
                continue; /* else hardly anything else happens */
            }
            (void)receive(r, m);
            if (prng_chance(&p, 1, 4)) {
                drain(r);
            }
            step(r, (struct raft_event){.type = RAFT_EV_TICK});
        }
        raft_destroy(r);
    }
}

static void test_conf_change_errors(void **state)
{
    struct raft_config c = config(1);
    struct raft *r = single_leader(&c);
    struct raft_conf_change_v2 cc = {.count = 1, .changes = {{RAFT_CONF_REMOVE_NODE, 1}}};
    struct raft_conf_change_v2 leave = {0};
    struct raft_conf_state conf;
    struct raft_member_status members[2];
    (void)state;
    assert_int_equal(raft_apply_conf_change(r, &cc, &conf), ERR_INVALID);
    assert_int_equal(raft_apply_conf_change(r, &leave, &conf), ERR_INVALID);
    cc.changes[0] = (struct raft_conf_single){RAFT_CONF_ADD_LEARNER, 2};
    assert_int_equal(raft_apply_conf_change(r, &cc, &conf), 0);
    assert_int_equal(conf.learners.count, 1);
    assert_int_equal(raft_member_statuses(r, members, 2), 2);
    assert_true(members[1].is_learner);
    raft_check(r);
    raft_destroy(r);
}

/* Followers' voices for a leader of three. */
static void answer_all(struct raft *r)
{
    for (uint64_t id = 2; id <= 3; id++) {
        (void)receive(r, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                               .from = id,
                                               .term = r->term,
                                               .index = raft_log_last(&r->log)});
    }
}

static struct raft *leader_of_three(const struct raft_config *c)
{
    struct raft *r = start(c, 3);
    step(r, (struct raft_event){.type = RAFT_EV_CAMPAIGN});
    drain(r);
    receive(r, (struct raft_message){.type = RAFT_MSG_PRE_VOTE_RESP, .from = 2, .term = 1});
    drain(r);
    receive(r, (struct raft_message){.type = RAFT_MSG_VOTE_RESP, .from = 2, .term = 1});
    drain(r);
    answer_all(r);
    drain(r);
    assert_int_equal(r->role, RAFT_LEADER);
    assert_int_equal(r->log.committed, 6);
    return r;
}

static void run_batches(struct raft *r, int count, bool has_followers)
{
    struct raft_entry e[32];
    struct rcbuf *owner = rcbuf_from(SLICE_LIT("0123456789abcdef"));
    for (size_t i = 0; i < ARRAY_LEN(e); i++) {
        e[i] = (struct raft_entry){.data = rcbuf_slice(owner), .owner = owner};
    }
    struct raft_event ev = {.type = RAFT_EV_PROPOSE, .entries = e, .entry_count = ARRAY_LEN(e)};
    for (int i = 0; i < count; i++) {
        size_t before = r->log.applied;
        assert_int_equal(raft_step(r, &ev), 0);
        if (has_followers) {
            answer_all(r);
        }
        drain(r);
        assert_int_equal(r->log.applied, before + ARRAY_LEN(e));
    }
    assert_true(r->log.bytes <= r->config.log_bytes_max + 64 * 1024);
    rcbuf_unref(owner);
}

static void test_no_malloc_when_warm(void **state)
{
    struct raft_config c = config(1);
    (void)state;
    c.log_bytes_max = 256 * 1024;
    for (int followers = 0; followers < 2; followers++) {
        struct raft *r = followers == 0 ? single_leader(&c) : leader_of_three(&c);
        run_batches(r, 300, followers == 1);
        size_t before = alloc_count;
        run_batches(r, 300, followers == 1);
        assert_int_equal(alloc_count - before, 1); /* the test's own buffer */
        raft_destroy(r);
    }
}

static void test_single_commits_only_when_durable(void **state)
{
    struct raft_config c = config(1);
    struct raft *r = single_leader(&c);
    struct raft_update u;
    (void)state;
    assert_int_equal(propose(r, "x"), 0);
    raft_take(r, &u);
    assert_true(u.must_sync && u.entry_count == 1 && u.messages_synced_count == 1);
    assert_int_equal(u.committed_count, 0);
    struct raft_message self = u.messages_synced[0];
    struct raft_append_ack ack = u.ack;
    assert_int_equal(receive(r, self), 0);
    assert_int_equal(step(r, (struct raft_event){.type = RAFT_EV_APPENDED, .ack = ack}), 0);
    raft_take(r, &u);
    assert_int_equal(u.committed_count, 1);
    assert_true(u.hard_changed && !u.must_sync);
    assert_false(raft_has_update(r));
    assert_non_null(raft_log_entries(r, 7, 8));
    assert_null(raft_log_entries(r, 7, 9));
    raft_destroy(r);
}

/* etcd answers a group of one at once; before the first commit of a term that could be stale. */
static void test_single_read_waits_for_first_commit(void **state)
{
    struct raft_config c = config(1);
    struct raft_boot boot = {.hard = {1, 0, 5}, .base = {1, 5}};
    struct raft *r = NULL;
    struct raft_update u;
    (void)state;
    raft_ids_add(&boot.conf.voters, 1);
    assert_int_equal(raft_create(&c, &boot, &r), 0);
    step(r, (struct raft_event){.type = RAFT_EV_CAMPAIGN});
    for (int i = 0; i < 2; i++) { /* pre-vote, vote */
        raft_take(r, &u);
        struct raft_message self = u.messages_synced[0];
        receive(r, self);
    }
    assert_int_equal(r->role, RAFT_LEADER);
    assert_int_equal(step(r, (struct raft_event){.type = RAFT_EV_READ_INDEX}), 0);
    raft_take(r, &u);
    assert_int_equal(u.read_count, 0);
    struct raft_message self = u.messages_synced[0];
    receive(r, self);
    raft_take(r, &u);
    assert_int_equal(u.read_count, 1);
    assert_int_equal(u.reads[0].index, 6);
    raft_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_refuses),
        cmocka_unit_test(test_start_applied_beyond_commit),
        cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_drops),
        cmocka_unit_test(test_forwarding),
        cmocka_unit_test(test_malformed_messages),
        cmocka_unit_test(test_committed_conflict),
        cmocka_unit_test(test_rubbish),
        cmocka_unit_test(test_conf_change_errors),
        cmocka_unit_test(test_no_malloc_when_warm),
        cmocka_unit_test(test_single_commits_only_when_durable),
        cmocka_unit_test(test_single_read_waits_for_first_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
