/* SPDX-License-Identifier: Apache-2.0
 *
 * One writer commits, readers look, on the real disk: every read tx shows one whole state, also
 * when several threads use the same tx.  Meant for the thread sanitizer too.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "fixture.h"
#include "os/os.h"

enum { COMMITS = 150, KEYS = 300, READERS = 3 };

struct shared {
    struct bolt_db *db;
    atomic_bool is_done;
    atomic_uint walks;
    struct bolt_tx *tx; /* used by all threads at once */
    uint32_t tx_round;
};

static struct slice key_of(unsigned i, char out[16])
{
    return slice_make(out, (size_t)snprintf(out, 16, "key-%05u", i));
}

/* All values of a state begin with the number of the round that wrote it. */
static uint32_t walk(struct bolt_tx *tx, unsigned flags, unsigned *out_cold)
{
    struct bolt_bucket *b;
    struct bolt_cursor c;
    struct bolt_item item;
    uint32_t round = 0;
    unsigned count = 0;
    *out_cold = 0;
    int err = bolt_bucket_open(tx, NULL, flags, SLICE_LIT("key"), &b);
    if (err == ERR_COLD) {
        *out_cold = 1;
        return 0;
    }
    assert_true(err == 0);
    bolt_cursor_init(&c, tx, b, flags);
    for (err = bolt_cursor_first(&c, &item); err == 0; err = bolt_cursor_next(&c, &item)) {
        uint32_t r;
        memcpy(&r, item.value.data, sizeof(r));
        assert_true(count == 0 || r == round);
        round = r;
        count++;
    }
    bolt_cursor_release(&c);
    if (err == ERR_COLD) {
        *out_cold = 1;
        return 0;
    }
    assert_true(err == ERR_END && count == KEYS);
    return round;
}

static void *read_own(void *arg)
{
    struct shared *s = arg;
    uint32_t last = 0;
    while (!atomic_load(&s->is_done)) {
        struct bolt_tx *tx;
        struct bolt_numbers n;
        unsigned cold;
        assert_true(bolt_tx_begin(s->db, false, &tx) == 0);
        (void)walk(tx, BOLT_READ_CACHED, &cold);
        uint32_t round = walk(tx, 0, &cold);
        assert_true(round >= last);
        last = round;
        assert_true(walk(s->tx, 0, &cold) == s->tx_round);
        bolt_db_numbers(s->db, &n);
        bolt_tx_rollback(tx);
        atomic_fetch_add(&s->walks, 1);
    }
    return NULL;
}

static void write_round(struct bolt_db *db, uint32_t round)
{
    struct bolt_tx *tx = fixture_begin(db, true);
    struct bolt_bucket *b = fixture_bucket(tx, "key", true);
    uint8_t value[200] = {0};
    char key[16];
    memcpy(value, &round, sizeof(round));
    for (unsigned i = 0; i < KEYS; i++) {
        size_t len = sizeof(round) + (i * 7 + round) % 190;
        assert_int_equal(bolt_bucket_put(b, key_of(i, key), slice_make(value, len)), 0);
    }
    assert_int_equal(bolt_tx_commit(tx), 0);
}

static void readers_and_a_writer(void **state)
{
    (void)state;
    struct env *env;
    struct os_options os = {.no_lanes = true, .no_sync = true};
    char dir[] = "/tmp/cairn-bolt-threads-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/db", dir);
    assert_int_equal(os_env_create(&os, &env), 0);
    struct shared s = {0};
    struct bolt_options o = {
        .disk = env->disk, .path = path, .create = true, .page_cache_bytes = 40 * 1024};
    assert_int_equal(bolt_db_open(&o, &s.db), 0);
    write_round(s.db, 1);
    s.tx = fixture_begin(s.db, false);
    s.tx_round = 1;
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_own, &s), 0);
    }
    for (uint32_t round = 2; round < COMMITS; round++) {
        write_round(s.db, round);
    }
    while (atomic_load(&s.walks) < READERS) {
        (void)usleep(1000);
    }
    atomic_store(&s.is_done, true);
    for (int i = 0; i < READERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    bolt_tx_rollback(s.tx);
    fixture_check_clean(s.db);
    struct bolt_numbers n;
    bolt_db_numbers(s.db, &n);
    /* The pinned state did not keep all that was written and freed since. */
    assert_true(n.hwm < 400);
    bolt_db_close(s.db);
    (void)unlink(path);
    (void)rmdir(dir);
    os_env_destroy(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(readers_and_a_writer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
