/* SPDX-License-Identifier: Apache-2.0
 *
 * Old history for watchers on a whole member: at full speed while nobody writes, in steps beside
 * writers, and no obstacle to an orderly end.  Simulated time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster_fixture.h"
#include "mvcc/watch.h"

enum {
    PUTS = 4000,
    FILE_MS = 1000, /* all is in the file */
    BESIDE_MS = 8,
    DONE_MS = 50,
};

static struct cluster_fixture f;
static struct watch_stream stream;
static struct watcher watcher;
static int64_t told_rev;
static size_t told;
static size_t deliveries;

static bool on_deliver(struct watcher *w, const struct watch_delivery *d)
{
    (void)w;
    assert_true(d->header_rev >= told_rev);
    told_rev = d->header_rev;
    told += d->count;
    deliveries++;
    return true;
}

static void on_compacted(struct watcher *w, int64_t compact_rev)
{
    (void)w;
    (void)compact_rev;
    fail();
}

static const struct watch_stream_ops ops = {on_deliver, on_compacted};

static struct watch_hub *hub(void)
{
    return driver_watch_hub(f.members[0].driver);
}

static void put_many(int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(cf_put(&f, 0, "k", "v"), 0);
    }
}

/* A member with history in the file. */
static int setup(void **state)
{
    (void)state;
    told = deliveries = 0;
    told_rev = 0;
    cf_init(&f, 1, 5);
    cf_start_all(&f);
    put_many(PUTS);
    cf_run(&f, FILE_MS);
    return 0;
}

/* Behind all of it. */
static void watch(void)
{
    watch_stream_init(&stream, &ops);
    watcher = (struct watcher){.no_put = false};
    watcher_add(hub(), &stream, &watcher, SLICE_LIT("k"), SLICE_NULL, 1);
    driver_watch_kick(f.members[0].driver);
}

static void watch_end(void)
{
    watcher_remove(hub(), &watcher);
    watcher.stream = NULL;
}

static int teardown(void **state)
{
    (void)state;
    if (watcher.stream != NULL) { /* the test has failed */
        watch_end();
    }
    cf_deinit(&f);
    return 0;
}

/* A millisecond is enough for everything that asks for no time. */
static void nobody_writes(void **state)
{
    (void)state;
    watch();
    cf_run(&f, 1);
    assert_int_equal(told, PUTS);
    assert_int_equal(watch_hub_behind(hub()), 0);
    watch_end();
}

/* A chunk a millisecond at most, and the rest once it is quiet. */
static void beside_writers(void **state)
{
    (void)state;
    assert_int_equal(cf_put(&f, 0, "other", "v"), 0);
    watch();
    for (int i = 0; i < BESIDE_MS; i++) {
        struct cf_request q;
        cf_put_begin(&f, 0, &q, "other", "v");
        cf_run(&f, 1);
        assert_true(q.is_done);
    }
    assert_in_range(deliveries, 1, BESIDE_MS);
    assert_true(told <= BESIDE_MS * WATCH_CHUNK_REVS);
    cf_run(&f, DONE_MS);
    assert_int_equal(told, PUTS);
    watch_end();
}

static void the_end_comes_in_a_pause(void **state)
{
    (void)state;
    assert_int_equal(cf_put(&f, 0, "other", "v"), 0);
    watch();
    cf_run(&f, 1);
    assert_true(told < PUTS);
    watch_end();
    cf_stop(&f, 0);
    assert_int_equal(cf_start(&f, 0), 0);
    assert_true(cf_wait_ready(&f));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_writes),
        TEST(beside_writers),
        TEST(the_end_comes_in_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
