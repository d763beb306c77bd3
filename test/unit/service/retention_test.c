/* SPDX-License-Identifier: Apache-2.0
 *
 * service/retention: when and to what it compacts, over simulated time, beside etcd's loop written
 * down as it is told (a list of all revisions noted).
 */
#include "service/retention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MINUTE_MS UINT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define NS(ms) ((int64_t)(ms)*1000000)

enum { NOTES_MAX = 4096, ROUNDS = 2000 };

/* One revision a second. */
static int64_t rev_at(uint64_t now_ms)
{
    return (int64_t)(now_ms / 1000) + 1;
}

static void nothing_before_a_period_is_over(void **state)
{
    (void)state;
    struct retention r;
    uint64_t now = 5000;
    int64_t to = 0, first = rev_at(now);
    retention_init(&r, SERVICE_COMPACT_PERIODIC, NS(HOUR_MS), now);
    for (int i = 0; i < 9; i++) {
        uint64_t wait = retention_wait(&r, rev_at(now));
        assert_int_equal(wait, 6 * MINUTE_MS);
        now += wait;
        assert_false(retention_is_due(&r, now, rev_at(now), true, &to));
    }
    now += retention_wait(&r, rev_at(now));
    assert_true(retention_is_due(&r, now, rev_at(now), true, &to));
    assert_int_equal(to, first);
    retention_deinit(&r);
}

/* etcd's: all notes in a list, the one of a period ago counted from its end. */
struct model {
    int64_t notes[NOTES_MAX];
    size_t count;
    uint64_t last_ms;
    int64_t last_rev;
    bool is_first;
};

static bool model_due(struct model *m, uint64_t period, uint64_t now, int64_t *to)
{
    uint64_t interval = period > HOUR_MS ? HOUR_MS : period;
    size_t kept = (size_t)(period / (interval / 10)) + 1;
    *to = m->notes[m->count > kept ? m->count - kept : 0];
    if (now - m->last_ms < (m->is_first ? period : interval) || *to == m->last_rev) {
        return false;
    }
    m->is_first = false;
    return true;
}

static void run_beside_model(uint64_t period, unsigned fail_each, unsigned follow_each)
{
    static struct model m;
    struct retention r;
    uint64_t now = 1000;
    unsigned attempts = 0;
    m = (struct model){.last_ms = now, .is_first = true};
    retention_init(&r, SERVICE_COMPACT_PERIODIC, NS(period), now);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        int64_t to = 0, want = 0;
        m.notes[m.count++] = rev_at(now);
        now += retention_wait(&r, rev_at(now));
        bool is_leader = follow_each == 0 || i % follow_each != 0;
        bool is_due = retention_is_due(&r, now, rev_at(now), is_leader, &to);
        assert_int_equal(is_due, is_leader && model_due(&m, period, now, &want));
        if (!is_due) {
            continue;
        }
        assert_int_equal(to, want);
        now += 7; /* it takes a while */
        if (fail_each == 0 || ++attempts % fail_each != 0) {
            retention_done(&r, now, to);
            m.last_ms = now;
            m.last_rev = to;
        }
    }
    retention_deinit(&r);
}

static void as_the_model(void **state)
{
    (void)state;
    static const uint64_t periods[] = {100,         5000,         59 * MINUTE_MS, HOUR_MS,
                                       2 * HOUR_MS, 24 * HOUR_MS, 150 * HOUR_MS};
    for (size_t i = 0; i < sizeof(periods) / sizeof(*periods); i++) {
        run_beside_model(periods[i], 0, 0);
        run_beside_model(periods[i], 3, 0);
        run_beside_model(periods[i], 0, 4);
        run_beside_model(periods[i], 2, 3);
    }
}

/* A day is kept: one compaction an hour, to the note before the one of 24 hours ago (the newest is
 * made a tenth of an hour before it is looked at). */
static void long_periods_go_by_the_hour(void **state)
{
    (void)state;
    struct retention r;
    uint64_t now = 0, last = 0;
    int64_t to;
    retention_init(&r, SERVICE_COMPACT_PERIODIC, NS(24 * HOUR_MS), now);
    for (unsigned i = 0; i < 24 * 10 * 5; i++) {
        now += retention_wait(&r, rev_at(now));
        if (retention_is_due(&r, now, rev_at(now), true, &to)) {
            uint64_t more = last == 0 ? 0 : 6 * MINUTE_MS;
            assert_int_equal(to, rev_at(now - 24 * HOUR_MS - more));
            assert_true(last == 0 ? now == 24 * HOUR_MS : now - last == HOUR_MS);
            retention_done(&r, now, to);
            last = now;
        }
    }
    assert_int_not_equal(last, 0);
    retention_deinit(&r);
}

static void a_standing_store_is_left_alone(void **state)
{
    (void)state;
    struct retention r;
    uint64_t now = 0;
    unsigned count = 0;
    int64_t to;
    retention_init(&r, SERVICE_COMPACT_PERIODIC, NS(5000), now);
    for (unsigned i = 0; i < 100; i++) {
        now += retention_wait(&r, 9);
        if (retention_is_due(&r, now, 9, true, &to)) {
            retention_done(&r, now, to);
            count++;
        }
    }
    assert_int_equal(count, 1);
    retention_deinit(&r);
}

/* Less than a timer can tell: ten times a millisecond, not a division by nothing. */
static void short_periods_are_made_longer(void **state)
{
    (void)state;
    struct retention r;
    retention_init(&r, SERVICE_COMPACT_PERIODIC, 1, 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(retention_wait(&r, i), 1);
    }
    retention_deinit(&r);
}

static void by_revision(void **state)
{
    (void)state;
    struct retention r;
    int64_t to = 0;
    retention_init(&r, SERVICE_COMPACT_REVISION, 1000, 0);
    assert_int_equal(retention_wait(&r, 5), 5 * MINUTE_MS);
    assert_false(retention_is_due(&r, 5 * MINUTE_MS, 1000, true, &to));
    assert_false(retention_is_due(&r, 5 * MINUTE_MS, 1500, false, &to));
    assert_true(retention_is_due(&r, 5 * MINUTE_MS, 1500, true, &to));
    assert_int_equal(to, 500);
    assert_true(retention_is_due(&r, 10 * MINUTE_MS, 1500, true, &to)); /* it had failed */
    retention_done(&r, 10 * MINUTE_MS, to);
    assert_false(retention_is_due(&r, 15 * MINUTE_MS, 1500, true, &to));
    assert_true(retention_is_due(&r, 15 * MINUTE_MS, 1501, true, &to));
    assert_int_equal(to, 501);
    retention_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_a_period_is_over),
        cmocka_unit_test(as_the_model),
        cmocka_unit_test(long_periods_go_by_the_hour),
        cmocka_unit_test(a_standing_store_is_left_alone),
        cmocka_unit_test(short_periods_are_made_longer),
        cmocka_unit_test(by_revision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
