/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/disk: calls as on a real disk, fates at a crash, faults, clones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/prng.h"
#include "sim/disk.h"
#include "test/unit/sim/tests.h"

static struct env_file *must_open(struct sim_disk *d, const char *path, unsigned flags)
{
    struct env_disk *ed = sim_disk_env(d);
    struct env_file *f = NULL;
    assert_int_equal(ed->ops->open(ed, path, flags, 0600, &f), 0);
    return f;
}

static struct env_file *must_create(struct sim_disk *d, const char *path)
{
    return must_open(d, path, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE);
}

static int put(struct env_file *f, const void *data, size_t len, uint64_t off)
{
    struct slice s = slice_make(data, len);
    return f->ops->write_at(f, &s, 1, off);
}

static void put_fill(struct env_file *f, char c, size_t len, uint64_t off)
{
    char *data = mem_alloc(len);
    memset(data, c, len);
    assert_int_equal(put(f, data, len, off), 0);
    mem_free(data);
}

/* The file as a string of len characters; "-" when it is not there. */
static const char *content(struct sim_disk *d, const char *path)
{
    static char text[65536];
    struct env_disk *ed = sim_disk_env(d);
    struct env_file *f;
    if (ed->ops->open(ed, path, ENV_OPEN_READ, 0, &f) != 0) {
        return "-";
    }
    size_t n = 0;
    assert_int_equal(f->ops->read_at(f, text, sizeof(text) - 1, 0, &n), 0);
    f->ops->close(f);
    for (size_t i = 0; i < n; i++) {
        text[i] = text[i] == 0 ? '0' : text[i];
    }
    text[n] = 0;
    return text;
}

static int join_name(void *arg, const char *name)
{
    strcat(arg, name);
    strcat(arg, " ");
    return 0;
}

static const char *names(struct sim_disk *d, const char *path)
{
    static char text[4096];
    struct env_disk *ed = sim_disk_env(d);
    text[0] = 0;
    assert_int_equal(ed->ops->list(ed, path, join_name, text), 0);
    return text;
}

static void calls_behave_as_on_a_real_disk(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_disk *ed = sim_disk_env(d);
    struct env_file *f, *g;
    assert_int_equal(ed->ops->open(ed, "a", ENV_OPEN_READ, 0, &f), ERR_NOT_FOUND);
    assert_int_equal(ed->ops->open(ed, "no/a", ENV_OPEN_CREATE, 0, &f), ERR_NOT_FOUND);
    assert_int_equal(env_mkdir_all(ed, "x/y/z", 0700), 0);
    assert_int_equal(ed->ops->mkdir(ed, "x", 0700), ERR_EXISTS);
    f = must_create(d, "x/y/b");
    assert_int_equal(ed->ops->open(ed, "x/y/b", ENV_OPEN_CREATE | ENV_OPEN_EXCL, 0, &g),
                     ERR_EXISTS);
    assert_int_equal(ed->ops->open(ed, "x/y/b/c", ENV_OPEN_CREATE, 0, &g), ERR_NOT_DIR);
    assert_int_equal(put(f, "hello", 5, 3), 0);
    assert_string_equal(content(d, "/x//y/./b"), "000hello");
    assert_int_equal(f->ops->truncate(f, 4), 0);
    assert_int_equal(f->ops->preallocate(f, 6), 0);
    assert_int_equal(f->ops->preallocate(f, 2), 0);
    assert_string_equal(content(d, "x/y/b"), "000h00");
    must_create(d, "x/y/a");
    assert_string_equal(names(d, "x/y"), "a b z ");
    assert_int_equal(ed->ops->rmdir(ed, "x/y"), ERR_NOT_EMPTY);
    assert_int_equal(ed->ops->unlink(ed, "x/y/z"), ERR_INVALID);
    assert_int_equal(ed->ops->rename(ed, "x/y/b", "x/c"), 0);
    assert_string_equal(names(d, "x"), "c y ");
    /* An open file follows its rename and outlives its name. */
    assert_int_equal(ed->ops->unlink(ed, "x/c"), 0);
    assert_int_equal(put(f, "more", 4, 0), 0);
    uint64_t size = 0;
    assert_int_equal(f->ops->size(f, &size), 0);
    assert_int_equal(size, 6);
    assert_int_equal(sim_disk_used_bytes(d), 6);
    f->ops->close(f);
    assert_int_equal(env_remove_all(ed, "x"), 0);
    assert_string_equal(names(d, "."), "");
    assert_string_equal(ed->ops->last_text(ed), "Is a directory");
    sim_disk_destroy(d);
}

static void locks_exclude_and_end_with_close_or_crash(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_file *a = must_create(d, "f"), *b = must_create(d, "f");
    assert_int_equal(a->ops->lock(a, ENV_LOCK_OFD), 0);
    assert_int_equal(a->ops->lock(a, ENV_LOCK_OFD), 0);
    assert_int_equal(b->ops->lock(b, ENV_LOCK_OFD), ERR_LOCKED);
    assert_int_equal(b->ops->lock(b, ENV_LOCK_FLOCK_SH), 0);
    assert_int_equal(a->ops->lock(a, ENV_LOCK_FLOCK_SH), 0);
    assert_int_equal(a->ops->lock(a, ENV_LOCK_FLOCK_EX), ERR_LOCKED);
    b->ops->close(b);
    assert_int_equal(a->ops->lock(a, ENV_LOCK_FLOCK_EX), 0);
    b = must_create(d, "f");
    assert_int_equal(b->ops->lock(b, ENV_LOCK_FLOCK_SH), ERR_LOCKED);
    struct env_disk *ed = sim_disk_env(d);
    assert_int_equal(ed->ops->sync_dir(ed, "."), 0);
    sim_disk_crash(d, SIM_CRASH_LOSE_ALL, 0);
    assert_int_equal(put(a, "x", 1, 0), ERR_IO);
    struct env_file *c = must_create(d, "f");
    assert_int_equal(c->ops->lock(c, ENV_LOCK_FLOCK_EX), 0);
    assert_int_equal(c->ops->lock(c, ENV_LOCK_OFD), 0);
    a->ops->close(a);
    b->ops->close(b);
    c->ops->close(c);
    sim_disk_destroy(d);
}

static void only_synced_things_survive_lose_all(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_disk *ed = sim_disk_env(d);
    assert_int_equal(ed->ops->mkdir(ed, "dir", 0700), 0);
    assert_int_equal(ed->ops->sync_dir(ed, "."), 0);
    struct env_file *f = must_create(d, "dir/named"), *g = must_create(d, "dir/unnamed");
    assert_int_equal(put(f, "one", 3, 0), 0);
    assert_int_equal(f->ops->sync_data(f), 0);
    assert_int_equal(ed->ops->sync_dir(ed, "dir"), 0);
    assert_int_equal(put(f, "two", 3, 3), 0);
    assert_int_equal(put(g, "x", 1, 0), 0);
    assert_int_equal(g->ops->sync(g), 0);
    assert_int_equal(ed->ops->rename(ed, "dir/unnamed", "dir/other"), 0);
    assert_int_equal(sim_disk_pending_count(d), 2);
    struct sim_disk *c = sim_disk_clone(d);
    sim_disk_crash(c, SIM_CRASH_LOSE_ALL, 0);
    assert_string_equal(content(c, "dir/named"), "one");
    assert_string_equal(names(c, "dir"), "named unnamed ");
    assert_string_equal(content(c, "dir/unnamed"), "x");
    sim_disk_destroy(c);
    /* The clone's crash did not reach the original. */
    assert_string_equal(content(d, "dir/named"), "onetwo");
    sim_disk_crash(d, SIM_CRASH_KEEP_ALL, 0);
    assert_string_equal(content(d, "dir/named"), "onetwo");
    assert_string_equal(names(d, "dir"), "named other ");
    assert_int_equal(sim_disk_pending_count(d), 0);
    sim_disk_destroy(d);
}

static void a_new_name_needs_sync_dir_not_fsync(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_file *f = must_create(d, "a");
    assert_int_equal(put(f, "x", 1, 0), 0);
    assert_int_equal(f->ops->sync(f), 0);
    sim_disk_crash(d, SIM_CRASH_LOSE_ALL, 0);
    assert_string_equal(content(d, "a"), "-");
    sim_disk_destroy(d);
}

static void sync_dir_takes_what_a_name_depends_on(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_disk *ed = sim_disk_env(d);
    env_mkdir_all(ed, "a", 0700);
    env_mkdir_all(ed, "b", 0700);
    assert_int_equal(ed->ops->sync_dir(ed, "/"), 0);
    must_create(d, "a/t");
    must_create(d, "a/u");
    assert_int_equal(ed->ops->rename(ed, "a/t", "b/t"), 0);
    assert_int_equal(ed->ops->sync_dir(ed, "b"), 0);
    sim_disk_crash(d, SIM_CRASH_LOSE_ALL, 0);
    assert_string_equal(names(d, "a"), "");
    assert_string_equal(names(d, "b"), "t ");
    sim_disk_destroy(d);
}

/* Runs a crash with many seeds and collects which contents came out. */
struct outcomes {
    char seen[64][2048];
    size_t count;
};

static void outcome_add(struct outcomes *o, const char *text)
{
    for (size_t i = 0; i < o->count; i++) {
        if (strcmp(o->seen[i], text) == 0) {
            return;
        }
    }
    assert_true(o->count < ARRAY_LEN(o->seen));
    strcpy(o->seen[o->count++], text);
}

static bool outcome_has(const struct outcomes *o, const char *text)
{
    for (size_t i = 0; i < o->count; i++) {
        if (strcmp(o->seen[i], text) == 0) {
            return true;
        }
    }
    return false;
}

/* One letter a sector. */
static void sectors_of(const char *text, char *out)
{
    size_t n = 0;
    for (size_t off = 0; text[off] != 0; off += SIM_SECTOR_BYTES) {
        size_t len = strlen(text + off);
        len = len < SIM_SECTOR_BYTES ? len : SIM_SECTOR_BYTES;
        for (size_t i = 1; i < len; i++) {
            assert_int_equal(text[off + i], text[off]);
        }
        out[n++] = text[off];
    }
    out[n] = 0;
}

static void an_overwrite_tears_at_sectors_in_all_ways(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_disk *ed = sim_disk_env(d);
    struct env_file *f = must_create(d, "f");
    put_fill(f, 'a', 3 * SIM_SECTOR_BYTES, 0);
    assert_int_equal(f->ops->sync_data(f), 0);
    assert_int_equal(ed->ops->sync_dir(ed, "."), 0);
    put_fill(f, 'b', 3 * SIM_SECTOR_BYTES, 0);
    static struct outcomes random, torn;
    random.count = torn.count = 0;
    char text[64];
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct sim_disk *c = sim_disk_clone(d);
        sim_disk_crash(c, SIM_CRASH_RANDOM, seed);
        sectors_of(content(c, "f"), text);
        outcome_add(&random, text);
        sim_disk_destroy(c);
        c = sim_disk_clone(d);
        sim_disk_crash(c, SIM_CRASH_TEAR, seed);
        sectors_of(content(c, "f"), text);
        outcome_add(&torn, text);
        sim_disk_destroy(c);
    }
    assert_int_equal(random.count, 8);
    assert_int_equal(torn.count, 6);
    assert_false(outcome_has(&torn, "aaa"));
    assert_false(outcome_has(&torn, "bbb"));
    sim_disk_destroy(d);
}

static void an_append_may_lose_size_or_show_zeros(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_disk *ed = sim_disk_env(d);
    struct env_file *f = must_create(d, "f");
    assert_int_equal(ed->ops->sync_dir(ed, "."), 0);
    put_fill(f, 'a', 2 * SIM_SECTOR_BYTES, 0);
    static struct outcomes o;
    o.count = 0;
    char text[64];
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct sim_disk *c = sim_disk_clone(d);
        sim_disk_crash(c, SIM_CRASH_RANDOM, seed);
        sectors_of(content(c, "f"), text);
        outcome_add(&o, text);
        sim_disk_destroy(c);
    }
    const char *const expected[] = {"", "a", "0", "aa", "0a", "a0", "00"};
    assert_int_equal(o.count, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_true(outcome_has(&o, expected[i]));
    }
    sim_disk_destroy(d);
}

static void a_sector_keeps_its_history(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_disk *ed = sim_disk_env(d);
    struct env_file *f = must_create(d, "f");
    assert_int_equal(f->ops->preallocate(f, 4), 0);
    assert_int_equal(f->ops->sync(f), 0);
    assert_int_equal(ed->ops->sync_dir(ed, "."), 0);
    assert_int_equal(put(f, "a", 1, 0), 0);
    assert_int_equal(put(f, "b", 1, 1), 0);
    static struct outcomes o;
    o.count = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_disk *c = sim_disk_clone(d);
        sim_disk_crash(c, SIM_CRASH_RANDOM, seed);
        outcome_add(&o, content(c, "f"));
        sim_disk_destroy(c);
    }
    assert_int_equal(o.count, 3);
    assert_true(outcome_has(&o, "0000") && outcome_has(&o, "a000") && outcome_has(&o, "ab00"));
    sim_disk_destroy(d);
}

static void names_come_in_all_orders_but_keep_their_own(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_disk *ed = sim_disk_env(d);
    struct env_file *f = must_create(d, "old");
    assert_int_equal(put(f, "o", 1, 0), 0);
    assert_int_equal(f->ops->sync(f), 0);
    assert_int_equal(ed->ops->sync_dir(ed, "."), 0);
    f = must_create(d, "t");
    assert_int_equal(put(f, "n", 1, 0), 0);
    assert_int_equal(f->ops->sync(f), 0);
    assert_int_equal(ed->ops->rename(ed, "t", "old"), 0);
    must_create(d, "z");
    static struct outcomes o;
    o.count = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_disk *c = sim_disk_clone(d);
        sim_disk_crash(c, SIM_CRASH_RANDOM, seed);
        char text[64];
        snprintf(text, sizeof(text), "%s:", names(c, "."));
        strcat(text, content(c, "old"));
        outcome_add(&o, text);
        sim_disk_destroy(c);
    }
    assert_true(outcome_has(&o, "old :o") && outcome_has(&o, "old t :o"));
    assert_true(outcome_has(&o, "old :n") && outcome_has(&o, "old z :n"));
    assert_true(outcome_has(&o, "old z :o") && outcome_has(&o, "old t z :o"));
    assert_int_equal(o.count, 6);
    sim_disk_destroy(d);
}

static void a_split_rename_can_lose_both(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_disk *ed = sim_disk_env(d);
    sim_disk_split_rename(d, "old");
    must_create(d, "old");
    must_create(d, "t");
    assert_int_equal(ed->ops->sync_dir(ed, "."), 0);
    assert_int_equal(ed->ops->rename(ed, "t", "old"), 0);
    bool is_lost = false;
    for (uint64_t seed = 0; seed < 200 && !is_lost; seed++) {
        struct sim_disk *c = sim_disk_clone(d);
        sim_disk_crash(c, SIM_CRASH_RANDOM, seed);
        is_lost = strcmp(names(c, "."), "") == 0;
        sim_disk_destroy(c);
    }
    assert_true(is_lost);
    sim_disk_destroy(d);
}

static void the_power_goes_after_an_operation(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_disk *ed = sim_disk_env(d);
    sim_disk_log_enable(d);
    struct env_file *f;
    f = must_create(d, "f");
    assert_int_equal(put(f, "one", 3, 0), 0);
    sim_disk_power_cut_after(d, 3);
    assert_int_equal(f->ops->sync_data(f), 0);
    assert_false(sim_disk_is_cut(d));
    char byte;
    size_t n;
    assert_int_equal(f->ops->read_at(f, &byte, 1, 0, &n), 0);
    assert_int_equal(put(f, "two", 3, 0), ERR_IO);
    assert_true(sim_disk_is_cut(d));
    assert_int_equal(f->ops->read_at(f, &byte, 1, 0, &n), ERR_IO);
    assert_int_equal(ed->ops->sync_dir(ed, "."), ERR_IO);
    assert_string_equal(ed->ops->last_text(ed), "simulated power cut");
    struct buf text = BUF_INIT;
    sim_disk_log_text(d, 1, 4, &text);
    assert_string_equal(buf_cstr(&text), "op 1: create f\nop 2: write f off 0 len 3\n"
                                         "op 3: sync_data f\nop 4: write f off 0 len 3\n");
    buf_deinit(&text);
    f->ops->close(f);
    sim_disk_crash(d, SIM_CRASH_KEEP_ALL, 0);
    assert_string_equal(content(d, "f"), "one");
    sim_disk_destroy(d);
}

static void faults_hit_where_asked(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_file *f = must_create(d, "f");
    sim_disk_fail_op(d, sim_disk_op_count(d) + 2, ERR_NO_SPACE);
    assert_int_equal(put(f, "a", 1, 0), 0);
    assert_int_equal(put(f, "b", 1, 0), ERR_NO_SPACE);
    assert_int_equal(put(f, "c", 1, 0), 0);
    sim_disk_fail_match(d, SIM_OP_BIT(SIM_OP_READ), "f", 2, false, ERR_IO);
    char byte;
    size_t n;
    assert_int_equal(f->ops->read_at(f, &byte, 1, 0, &n), 0);
    assert_int_equal(f->ops->read_at(f, &byte, 1, 0, &n), ERR_IO);
    assert_int_equal(f->ops->read_at(f, &byte, 1, 0, &n), 0);
    sim_disk_fail_match(d, SIM_OP_ANY_CHANGE, "g*", 1, true, ERR_IO);
    assert_int_equal(put(f, "c", 1, 0), 0);
    struct env_disk *ed = sim_disk_env(d);
    assert_int_equal(ed->ops->mkdir(ed, "g1", 0700), ERR_IO);
    assert_int_equal(ed->ops->mkdir(ed, "g2", 0700), ERR_IO);
    sim_disk_faults_clear(d);
    assert_int_equal(ed->ops->mkdir(ed, "g2", 0700), 0);
    sim_disk_capacity_set(d, 10);
    assert_int_equal(f->ops->preallocate(f, 11), ERR_NO_SPACE);
    assert_int_equal(put(f, "0123456789", 10, 1), ERR_NO_SPACE);
    assert_int_equal(put(f, "0123456789", 10, 0), 0);
    f->ops->close(f);
    sim_disk_destroy(d);
}

static void a_failed_sync_is_not_healed_by_a_later_one(void **state)
{
    (void)state;
    bool is_lost = false;
    for (int i = 0; i < 20; i++) {
        struct sim_disk *d = sim_disk_create();
        struct env_disk *ed = sim_disk_env(d);
        struct env_file *f = must_create(d, "f");
        assert_int_equal(f->ops->preallocate(f, 10 * SIM_SECTOR_BYTES), 0);
        assert_int_equal(f->ops->sync(f), 0);
        assert_int_equal(ed->ops->sync_dir(ed, "."), 0);
        for (uint64_t s = 0; s < 10; s++) {
            assert_int_equal(put(f, "x", 1, s * SIM_SECTOR_BYTES), 0);
        }
        sim_disk_fail_match(d, SIM_OP_ANY_SYNC, NULL, 1, false, ERR_IO);
        assert_int_equal(f->ops->sync_data(f), ERR_IO);
        assert_int_equal(f->ops->sync_data(f), 0);
        sim_disk_crash(d, SIM_CRASH_LOSE_ALL, 0);
        for (size_t s = 0; s < 10; s++) {
            is_lost = is_lost || content(d, "f")[s * SIM_SECTOR_BYTES] != 'x';
        }
        f->ops->close(f);
        sim_disk_destroy(d);
    }
    assert_true(is_lost);
}

static void ignored_syncs_lose(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create();
    struct env_disk *ed = sim_disk_env(d);
    sim_disk_ignore_sync(d, "*.wal");
    struct env_file *f = must_create(d, "a.wal"), *g = must_create(d, "b");
    assert_int_equal(ed->ops->sync_dir(ed, "."), 0);
    assert_int_equal(put(f, "x", 1, 0), 0);
    assert_int_equal(put(g, "x", 1, 0), 0);
    assert_int_equal(f->ops->sync(f), 0);
    assert_int_equal(g->ops->sync(g), 0);
    sim_disk_crash(d, SIM_CRASH_LOSE_ALL, 0);
    assert_string_equal(content(d, "a.wal"), "");
    assert_string_equal(content(d, "b"), "x");
    assert_int_equal(sim_disk_flip_bit(d, "b", 0), 0);
    assert_string_equal(content(d, "b"), "y");
    assert_int_equal(sim_disk_flip_bit(d, "b", 8), ERR_INVALID);
    f->ops->close(f);
    g->ops->close(g);
    sim_disk_destroy(d);
}

static void trees_are_imported_and_exported(void **state)
{
    (void)state;
    struct sim_disk *d = sim_disk_create(), *e = sim_disk_create();
    assert_int_equal(env_mkdir_all(sim_disk_env(d), "m/wal", 0700), 0);
    struct env_file *f = must_create(d, "m/wal/1");
    assert_int_equal(f->ops->preallocate(f, 3 << 20), 0);
    assert_int_equal(put(f, "abc", 3, 2 << 20), 0);
    assert_int_equal(sim_disk_import(e, "copy", sim_disk_env(d), "m"), 0);
    assert_int_equal(sim_disk_pending_count(e), 0);
    sim_disk_crash(e, SIM_CRASH_LOSE_ALL, 0);
    struct env_file *g = must_open(e, "copy/wal/1", ENV_OPEN_READ);
    char got[4] = {0};
    size_t n = 0;
    assert_int_equal(g->ops->read_at(g, got, 3, 2 << 20, &n), 0);
    assert_string_equal(got, "abc");
    uint64_t size = 0;
    assert_int_equal(g->ops->size(g, &size), 0);
    assert_int_equal(size, 3 << 20);
    assert_int_equal(sim_disk_export(e, "copy", sim_disk_env(d), "back"), 0);
    assert_string_equal(names(d, "back/wal"), "1 ");
    f->ops->close(f);
    g->ops->close(g);
    sim_disk_destroy(d);
    sim_disk_destroy(e);
}

/* The dumb model: a flat array with what reads must see; and after KEEP_ALL and LOSE_ALL. */
static void random_writes_agree_with_an_array(void **state)
{
    (void)state;
    enum { SIZE_MAX_BYTES = 20000 };
    static uint8_t cur[SIZE_MAX_BYTES], dur[SIZE_MAX_BYTES], got[SIZE_MAX_BYTES];
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct prng p;
        prng_init(&p, seed);
        struct sim_disk *d = sim_disk_create();
        struct env_disk *ed = sim_disk_env(d);
        struct env_file *f = must_create(d, "f");
        assert_int_equal(ed->ops->sync_dir(ed, "."), 0);
        size_t cur_len = 0, dur_len = 0;
        memset(cur, 0, sizeof(cur));
        memset(dur, 0, sizeof(dur));
        for (int step = 0; step < 200; step++) {
            uint64_t kind = prng_below(&p, 10);
            size_t off = (size_t)prng_below(&p, SIZE_MAX_BYTES);
            if (kind < 6) {
                size_t len = (size_t)prng_below(&p, SIZE_MAX_BYTES - off) % 3000 + 1;
                len = len > SIZE_MAX_BYTES - off ? SIZE_MAX_BYTES - off : len;
                memset(cur + off, (int)(step % 250 + 1), len);
                cur_len = off + len > cur_len ? off + len : cur_len;
                assert_int_equal(put(f, cur + off, len, off), 0);
            } else if (kind < 8) {
                if (off < cur_len) {
                    memset(cur + off, 0, cur_len - off);
                }
                cur_len = off;
                assert_int_equal(f->ops->truncate(f, off), 0);
            } else {
                memcpy(dur, cur, sizeof(cur));
                dur_len = cur_len;
                assert_int_equal(f->ops->sync_data(f), 0);
            }
            size_t n = 0;
            assert_int_equal(f->ops->read_at(f, got, sizeof(got), 0, &n), 0);
            assert_int_equal(n, cur_len);
            assert_memory_equal(got, cur, n);
        }
        sim_disk_crash(d, seed % 2 == 0 ? SIM_CRASH_KEEP_ALL : SIM_CRASH_LOSE_ALL, seed);
        f->ops->close(f);
        f = must_open(d, "f", ENV_OPEN_READ);
        size_t n = 0;
        assert_int_equal(f->ops->read_at(f, got, sizeof(got), 0, &n), 0);
        assert_int_equal(n, seed % 2 == 0 ? cur_len : dur_len);
        assert_memory_equal(got, seed % 2 == 0 ? cur : dur, n);
        f->ops->close(f);
        sim_disk_destroy(d);
    }
}

int sim_disk_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_behave_as_on_a_real_disk),
        cmocka_unit_test(locks_exclude_and_end_with_close_or_crash),
        cmocka_unit_test(only_synced_things_survive_lose_all),
        cmocka_unit_test(a_new_name_needs_sync_dir_not_fsync),
        cmocka_unit_test(sync_dir_takes_what_a_name_depends_on),
        cmocka_unit_test(an_overwrite_tears_at_sectors_in_all_ways),
        cmocka_unit_test(an_append_may_lose_size_or_show_zeros),
        cmocka_unit_test(a_sector_keeps_its_history),
        cmocka_unit_test(names_come_in_all_orders_but_keep_their_own),
        cmocka_unit_test(a_split_rename_can_lose_both),
        cmocka_unit_test(the_power_goes_after_an_operation),
        cmocka_unit_test(faults_hit_where_asked),
        cmocka_unit_test(a_failed_sync_is_not_healed_by_a_later_one),
        cmocka_unit_test(ignored_syncs_lose),
        cmocka_unit_test(trees_are_imported_and_exported),
        cmocka_unit_test(random_writes_agree_with_an_array),
    };
    return cmocka_run_group_tests_name("sim/disk", tests, NULL, NULL);
}
