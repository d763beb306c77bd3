/* SPDX-License-Identifier: Apache-2.0
 *
 * The crash loop on a small log file: the correct one passes at every point, each broken one fails.
 *
 * The log: records of RECORD_BYTES, a length-free header with a checksum, appended and synced one
 * by one; every few records the file is rewritten to a new name and renamed over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "test/crash/crash.h"

enum { RECORD_BYTES = 1300, RECORDS = 9, REWRITE_EVERY = 4 };

enum mutant {
    MUTANT_NONE,
    MUTANT_NO_SYNC,        /* the record is acknowledged unsynced */
    MUTANT_NO_DIR_SYNC,    /* the first name is never made durable */
    MUTANT_NO_CHECKSUM,    /* a torn record is taken */
    MUTANT_RENAME_FIRST,   /* the rewritten file is renamed before it is synced */
    MUTANT_IGNORES_ERRORS, /* a failed sync is taken for success */
};

static enum mutant mutant;

struct log_ctx {
    uint32_t begun; /* records written or being written */
    uint32_t acked; /* of them, those promised */
};

static void *log_ctx_create(void)
{
    return mem_zalloc(sizeof(struct log_ctx));
}

static void record_make(uint32_t n, uint8_t out[RECORD_BYTES])
{
    for (size_t i = 0; i < RECORD_BYTES; i++) {
        out[i] = (uint8_t)(n * 17 + i);
    }
    store_le32(out + 4, n);
    store_le32(out, crc32c(0, out + 4, RECORD_BYTES - 4));
}

static bool record_is_valid(const uint8_t *at, uint32_t n)
{
    return load_le32(at + 4) == n &&
           (mutant == MUTANT_NO_CHECKSUM || load_le32(at) == crc32c(0, at + 4, RECORD_BYTES - 4));
}

static int append(struct env_file *f, uint32_t n)
{
    uint8_t record[RECORD_BYTES];
    record_make(n, record);
    struct slice s = slice_make(record, sizeof(record));
    return f->ops->write_at(f, &s, 1, (uint64_t)n * RECORD_BYTES);
}

static int sync_file(struct env_file *f)
{
    int err = mutant == MUTANT_NO_SYNC ? 0 : f->ops->sync_data(f);
    return mutant == MUTANT_IGNORES_ERRORS ? 0 : err;
}

static int open_log(struct env_disk *d, const char *path, struct env_file **out)
{
    return d->ops->open(d, path, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE, 0600, out);
}

static int rewrite_rename(struct env_disk *d)
{
    int err = d->ops->rename(d, "log.tmp", "log");
    return err != 0 ? err : d->ops->sync_dir(d, ".");
}

/* The first count records in a new file, put over the old one. */
static int rewrite(struct env_disk *d, uint32_t count, struct env_file **f)
{
    struct env_file *tmp;
    int err = open_log(d, "log.tmp", &tmp);
    for (uint32_t i = 0; err == 0 && i < count; i++) {
        err = append(tmp, i);
    }
    if (err == 0 && mutant != MUTANT_RENAME_FIRST) {
        err = tmp->ops->sync(tmp);
    }
    if (err == 0) {
        err = rewrite_rename(d);
    }
    if (err != 0) {
        return err; /* tmp is the crashed disk's to free */
    }
    (*f)->ops->close(*f);
    *f = tmp;
    return 0;
}

static int log_workload(void *arg, struct env_disk *d)
{
    struct log_ctx *ctx = arg;
    struct env_file *f = NULL;
    int err = open_log(d, "log", &f);
    if (err == 0 && mutant != MUTANT_NO_DIR_SYNC) {
        err = d->ops->sync_dir(d, ".");
    }
    while (err == 0 && ctx->begun < RECORDS) {
        ctx->begun++;
        err = append(f, ctx->begun - 1);
        if (err == 0) {
            err = sync_file(f);
        }
        if (err != 0) {
            break;
        }
        ctx->acked = ctx->begun;
        if (ctx->acked % REWRITE_EVERY == 0 && mutant != MUTANT_NO_DIR_SYNC) {
            err = rewrite(d, ctx->acked, &f);
        }
    }
    if (f != NULL) {
        f->ops->close(f);
    }
    return mutant == MUTANT_IGNORES_ERRORS ? 0 : err;
}

/* Records from 0 on that are whole; then recovers: cuts the rest off. */
static int log_recover(struct env_disk *d, uint32_t *out_count)
{
    struct env_file *f;
    uint64_t size = 0;
    *out_count = 0;
    int err = d->ops->open(d, "log", ENV_OPEN_READ | ENV_OPEN_WRITE, 0, &f);
    if (err != 0) {
        return err == ERR_NOT_FOUND ? 0 : err;
    }
    uint8_t record[RECORD_BYTES];
    size_t n = RECORD_BYTES;
    while (err == 0) {
        uint64_t off = (uint64_t)*out_count * RECORD_BYTES;
        err = f->ops->read_at(f, record, sizeof(record), off, &n);
        if (err != 0 || n < RECORD_BYTES || !record_is_valid(record, *out_count)) {
            break;
        }
        (*out_count)++;
    }
    if (err == 0) {
        err = f->ops->size(f, &size);
    }
    if (err == 0 && size > (uint64_t)*out_count * RECORD_BYTES) {
        err = f->ops->truncate(f, (uint64_t)*out_count * RECORD_BYTES);
    }
    if (err == 0) {
        err = f->ops->sync(f);
    }
    f->ops->close(f);
    return err;
}

/* What is taken for record n must be its bytes. */
static bool records_are_true(struct env_disk *d, uint32_t count)
{
    struct buf all = BUF_INIT;
    uint8_t expected[RECORD_BYTES];
    bool is_true = env_read_file(d, "log", SIZE_MAX / 2, &all) == 0;
    for (uint32_t i = 0; is_true && i < count; i++) {
        record_make(i, expected);
        is_true = memcmp(all.data + (size_t)i * RECORD_BYTES, expected, RECORD_BYTES) == 0;
    }
    buf_deinit(&all);
    return is_true;
}

static int log_check(void *arg, struct env_disk *d, struct buf *out)
{
    const struct log_ctx *ctx = arg;
    uint32_t count;
    int err = log_recover(d, &count);
    if (err != 0) {
        buf_printf(out, "recovery: %s", err_name(err));
        return -1;
    }
    if (count < ctx->acked || count > ctx->begun) {
        buf_printf(out, "%u records, %u acknowledged, %u begun", count, ctx->acked, ctx->begun);
        return -1;
    }
    if (count > 0 && !records_are_true(d, count)) {
        buf_append_cstr(out, "a record has other bytes");
        return -1;
    }
    return 0;
}

static const struct crash_case log_case = {
    .name = "selftest log",
    .ctx_create = log_ctx_create,
    .ctx_destroy = mem_free,
    .workload = log_workload,
    .check = log_check,
};

static void the_correct_log_survives_everything(void **state)
{
    (void)state;
    struct crash_case c = log_case;
    struct crash_report report;
    mutant = MUTANT_NONE;
    c.is_cut_mode = true;
    c.is_double = true;
    assert_int_equal(crash_run(&c, &report), 0);
    assert_true(report.ops > 2 * RECORDS);
    assert_true(report.crashes > report.ops * 10);
}

static void each_broken_log_is_found(void **state)
{
    (void)state;
    static const enum mutant mutants[] = {MUTANT_NO_SYNC, MUTANT_NO_DIR_SYNC, MUTANT_NO_CHECKSUM,
                                          MUTANT_RENAME_FIRST, MUTANT_IGNORES_ERRORS};
    for (size_t i = 0; i < ARRAY_LEN(mutants); i++) {
        struct crash_case c = log_case;
        struct crash_report report;
        c.is_cut_mode = true;
        mutant = mutants[i];
        assert_true(crash_finds_bug(&c, &report));
        assert_true(report.failures > 0 && report.first_text[0] != 0);
    }
    mutant = MUTANT_NONE;
}

static void ignore_log_syncs(struct sim_disk *d)
{
    sim_disk_ignore_sync(d, "log*");
}

static void split_log_rename(struct sim_disk *d)
{
    sim_disk_split_rename(d, "log");
}

static void mutants_of_the_disk_are_found(void **state)
{
    (void)state;
    struct crash_case c = log_case;
    struct crash_report report;
    c.on_disk = ignore_log_syncs;
    assert_true(crash_finds_bug(&c, &report));
    c.on_disk = split_log_rename;
    assert_true(crash_finds_bug(&c, &report));
}

static int prepare_one(void *arg, struct env_disk *d)
{
    struct log_ctx *ctx = arg;
    struct env_file *f;
    int err = open_log(d, "log", &f);
    if (err == 0) {
        err = append(f, 0);
        f->ops->close(f);
    }
    ctx->begun = ctx->acked = 1;
    return err;
}

static void what_was_prepared_is_no_crash_point(void **state)
{
    (void)state;
    struct crash_case c = log_case;
    struct crash_report with, without;
    c.prepare = prepare_one;
    c.stride = 2;
    assert_int_equal(crash_run(&c, &with), 0);
    c.prepare = NULL;
    assert_int_equal(crash_run(&c, &without), 0);
    assert_true(with.ops < without.ops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_correct_log_survives_everything),
        cmocka_unit_test(each_broken_log_is_found),
        cmocka_unit_test(mutants_of_the_disk_are_found),
        cmocka_unit_test(what_was_prepared_is_no_crash_point),
    };
    return cmocka_run_group_tests_name("crash/selftest", tests, NULL, NULL);
}
