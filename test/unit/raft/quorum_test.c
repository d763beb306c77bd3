/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/quorum and raft/ids against dumb models: counting, not sorting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/prng.h"
#include "raft/ids.h"
#include "raft/quorum.h"

enum { IDS = 12, CASES = 20000 };

struct world {
    raft_index acked[IDS + 1];
    enum quorum_vote votes[IDS + 1];
};

static raft_index acked(const void *arg, uint64_t id)
{
    return ((const struct world *)arg)->acked[id];
}

static enum quorum_vote vote(const void *arg, uint64_t id)
{
    return ((const struct world *)arg)->votes[id];
}

static struct raft_ids random_ids(struct prng *p)
{
    struct raft_ids ids = {0};
    uint64_t n = prng_below(p, IDS + 1);
    for (uint64_t i = 0; i < n; i++) {
        raft_ids_add(&ids, 1 + prng_below(p, IDS));
    }
    return ids;
}

static struct world random_world(struct prng *p)
{
    struct world w = {0};
    for (uint64_t id = 1; id <= IDS; id++) {
        w.acked[id] = prng_below(p, 10);
        w.votes[id] = (enum quorum_vote)prng_below(p, 3);
    }
    return w;
}

/* Largest index that more than half hold, by trying each. */
static raft_index model_committed(const struct raft_ids *c, const struct world *w)
{
    raft_index best = 0;
    if (c->count == 0) {
        return RAFT_INDEX_MAX;
    }
    for (raft_index index = 0; index < 10; index++) {
        uint32_t holders = 0;
        for (uint32_t i = 0; i < c->count; i++) {
            holders += w->acked[c->ids[i]] >= index ? 1 : 0;
        }
        best = holders * 2 > c->count ? index : best;
    }
    return best;
}

/* Won if it is won whatever the silent ones say; lost if it cannot be won whatever they say. */
static enum quorum_result model_vote(const struct raft_ids *c, const struct world *w)
{
    uint32_t yes = 0;
    uint32_t no = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        yes += w->votes[c->ids[i]] == QUORUM_VOTE_YES ? 1 : 0;
        no += w->votes[c->ids[i]] == QUORUM_VOTE_NO ? 1 : 0;
    }
    if (c->count == 0 || yes * 2 > c->count) {
        return QUORUM_WON;
    }
    return (c->count - no) * 2 > c->count ? QUORUM_PENDING : QUORUM_LOST;
}

static enum quorum_result model_joint(enum quorum_result a, enum quorum_result b)
{
    if (a == QUORUM_LOST || b == QUORUM_LOST) {
        return QUORUM_LOST;
    }
    return a == QUORUM_WON && b == QUORUM_WON ? QUORUM_WON : QUORUM_PENDING;
}

static void test_against_model(void **state)
{
    struct prng p;
    (void)state;
    prng_init(&p, 7);
    for (int i = 0; i < CASES; i++) {
        struct raft_ids a = random_ids(&p);
        struct raft_ids b = random_ids(&p);
        struct world w = random_world(&p);
        raft_index ca = model_committed(&a, &w);
        raft_index cb = model_committed(&b, &w);
        assert_int_equal(quorum_majority_committed(&a, acked, &w), ca);
        assert_int_equal(quorum_joint_committed(&a, &b, acked, &w), ca < cb ? ca : cb);
        assert_int_equal(quorum_majority_vote(&a, vote, &w), model_vote(&a, &w));
        assert_int_equal(quorum_joint_vote(&a, &b, vote, &w),
                         model_joint(model_vote(&a, &w), model_vote(&b, &w)));
    }
}

static void test_ids_against_bits(void **state)
{
    struct prng p;
    (void)state;
    prng_init(&p, 8);
    for (int round = 0; round < 500; round++) {
        struct raft_ids ids = {0};
        uint64_t bits = 0;
        for (int i = 0; i < 40; i++) {
            uint64_t id = 1 + prng_below(&p, 40);
            if (prng_chance(&p, 2, 3)) {
                assert_true(raft_ids_add(&ids, id));
                bits |= 1ull << id;
            } else {
                raft_ids_remove(&ids, id);
                bits &= ~(1ull << id);
            }
            assert_int_equal(ids.count, __builtin_popcountll(bits));
            for (uint64_t q = 1; q <= 40; q++) {
                assert_int_equal(raft_ids_contains(&ids, q), (bits >> q) & 1);
            }
        }
    }
}

static void test_ids_limit(void **state)
{
    struct raft_ids ids = {0};
    (void)state;
    for (uint64_t id = RAFT_MEMBERS_MAX; id > 0; id--) {
        assert_true(raft_ids_add(&ids, id));
    }
    assert_true(raft_ids_add(&ids, 5)); /* already there */
    assert_false(raft_ids_add(&ids, 1000));
    struct raft_ids unsorted = {.count = 5, .ids = {9, 0, 3, 9, 1}};
    raft_ids_normalize(&unsorted);
    assert_int_equal(unsorted.count, 3);
    assert_int_equal(unsorted.ids[0], 1);
    assert_int_equal(unsorted.ids[2], 9);
    assert_int_equal(raft_ids_difference_count(&unsorted, &ids), RAFT_MEMBERS_MAX - 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_ids_against_bits),
        cmocka_unit_test(test_ids_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
