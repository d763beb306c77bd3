/* SPDX-License-Identifier: Apache-2.0
 *
 * os/disk: files of the real kernel in a directory of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/os.h"
#include "test/unit/os/tests.h"

static struct env *env;

static int setup(void **state)
{
    (void)state;
    struct os_options opts = {.no_lanes = true};
    test_dir_make();
    return os_env_create(&opts, &env);
}

static int teardown(void **state)
{
    (void)state;
    os_env_destroy(env);
    test_dir_remove();
    return 0;
}

static struct env_file *must_open(const char *name, unsigned flags)
{
    struct env_file *f = NULL;
    assert_int_equal(env->disk->ops->open(env->disk, test_path(name), flags, 0600, &f), 0);
    return f;
}

static void writes_many_parts_and_reads_back(void **state)
{
    (void)state;
    enum { PARTS = 1000, PART_BYTES = 37 };
    static uint8_t data[PARTS * PART_BYTES], got[sizeof(data) + 10];
    struct slice parts[PARTS];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + i / 256);
    }
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = slice_make(data + i * PART_BYTES, PART_BYTES);
    }
    struct env_file *f = must_open("f", ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE);
    assert_int_equal(f->ops->write_at(f, parts, PARTS, 5), 0);
    assert_int_equal(f->ops->sync_data(f), 0);
    assert_int_equal(f->ops->sync(f), 0);
    size_t n = 0;
    assert_int_equal(f->ops->read_at(f, got, sizeof(got), 5, &n), 0);
    assert_int_equal(n, sizeof(data));
    assert_memory_equal(got, data, n);
    struct slice none = SLICE_NULL;
    assert_int_equal(f->ops->write_at(f, &none, 1, 0), 0);
    assert_int_equal(f->ops->write_at(f, NULL, 0, 0), 0);
    uint64_t size = 0;
    assert_int_equal(f->ops->truncate(f, 7), 0);
    assert_int_equal(f->ops->size(f, &size), 0);
    assert_int_equal(size, 7);
    assert_int_equal(f->ops->preallocate(f, 100000), 0);
    assert_int_equal(f->ops->preallocate(f, 10), 0);
    assert_int_equal(f->ops->preallocate(f, 0), 0);
    assert_int_equal(f->ops->size(f, &size), 0);
    assert_int_equal(size, 100000);
    assert_int_equal(f->ops->read_at(f, got, 10, 200000, &n), 0);
    assert_int_equal(n, 0);
    f->ops->close(f);
}

static void errors_have_numbers_and_texts(void **state)
{
    (void)state;
    struct env_disk *d = env->disk;
    struct env_file *f;
    assert_int_equal(d->ops->open(d, test_path("no"), ENV_OPEN_READ, 0, &f), ERR_NOT_FOUND);
    assert_string_equal(d->ops->last_text(d), "No such file or directory");
    assert_string_equal(os_last_text_go(), "no such file or directory");
    f = must_open("f", ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCL);
    struct env_file *g;
    assert_int_equal(
        d->ops->open(d, test_path("f"), ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCL, 0600, &g),
        ERR_EXISTS);
    assert_int_equal(d->ops->open(d, test_path("f/x"), ENV_OPEN_READ, 0, &g), ERR_NOT_DIR);
    assert_int_equal(d->ops->open(d, test_path("."), ENV_OPEN_READ, 0, &g), ERR_INVALID);
    char byte;
    size_t n;
    assert_int_equal(f->ops->read_at(f, &byte, 1, 0, &n), ERR_INVALID);
    f->ops->close(f);
    assert_int_equal(d->ops->mkdir(d, test_path("f"), 0700), ERR_EXISTS);
    assert_int_equal(env_mkdir_all(d, test_path("a/b"), 0700), 0);
    assert_int_equal(d->ops->rmdir(d, test_path("a")), ERR_NOT_EMPTY);
    assert_int_equal(d->ops->unlink(d, test_path("a")), ERR_INVALID);
    assert_int_equal(d->ops->sync_dir(d, test_path("f")), ERR_NOT_DIR);
    assert_int_equal(d->ops->sync_dir(d, test_path("a")), 0);
    assert_int_equal(os_err_from_errno(28), ERR_NO_SPACE);
    assert_int_equal(os_err_from_errno(5), ERR_IO);
    /* The kernel's own full device. */
    assert_int_equal(d->ops->open(d, "/dev/full", ENV_OPEN_WRITE, 0, &f), 0);
    struct slice x = SLICE_LIT("x");
    assert_int_equal(f->ops->write_at(f, &x, 1, 0), ERR_NO_SPACE);
    f->ops->close(f);
}

static void running_out_of_descriptors_is_an_error_of_its_own(void **state)
{
    (void)state;
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct env_file *f;
    int err =
        env->disk->ops->open(env->disk, test_path("f"), ENV_OPEN_WRITE | ENV_OPEN_CREATE, 0600, &f);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(err, ERR_TOO_MANY_FILES);
}

static void file_size_limit_is_too_large(void **state)
{
    (void)state;
    struct env_file *f = must_open("f", ENV_OPEN_WRITE | ENV_OPEN_CREATE);
    struct slice x = SLICE_LIT("x");
    assert_int_not_equal(f->ops->write_at(f, &x, 1, INT64_MAX - 1), 0);
    f->ops->close(f);
}

static void locks_exclude_other_handles(void **state)
{
    (void)state;
    unsigned flags = ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE;
    struct env_file *a = must_open("f", flags), *b = must_open("f", flags);
    assert_int_equal(a->ops->lock(a, ENV_LOCK_OFD), 0);
    assert_int_equal(b->ops->lock(b, ENV_LOCK_OFD), ERR_LOCKED);
    assert_int_equal(a->ops->lock(a, ENV_LOCK_FLOCK_SH), 0);
    assert_int_equal(b->ops->lock(b, ENV_LOCK_FLOCK_SH), 0);
    assert_int_equal(b->ops->lock(b, ENV_LOCK_FLOCK_EX), ERR_LOCKED);
    a->ops->close(a);
    assert_int_equal(b->ops->lock(b, ENV_LOCK_FLOCK_EX), 0);
    assert_int_equal(b->ops->lock(b, ENV_LOCK_OFD), 0);
    b->ops->close(b);
}

static int collect(void *arg, const char *name)
{
    strcat(arg, name);
    strcat(arg, " ");
    return strcmp(name, "stop") == 0 ? 77 : 0;
}

static void lists_are_sorted_and_can_be_stopped(void **state)
{
    (void)state;
    static const char *const names[] = {"b", "a", "stop", "z", "B", "a\xff"};
    struct env_disk *d = env->disk;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct env_file *f = must_open(names[i], ENV_OPEN_WRITE | ENV_OPEN_CREATE);
        f->ops->close(f);
    }
    char text[64] = "";
    assert_int_equal(d->ops->list(d, test_path("."), collect, text), 77);
    assert_string_equal(text, "B a a\xff b stop ");
    assert_int_equal(d->ops->list(d, test_path("no"), collect, text), ERR_NOT_FOUND);
}

static void whole_files_come_and_go(void **state)
{
    (void)state;
    struct env_disk *d = env->disk;
    assert_int_equal(env_write_file(d, test_path("w"), SLICE_LIT("hello"), 0640), 0);
    struct env_stat st;
    assert_int_equal(d->ops->stat(d, test_path("w"), &st), 0);
    assert_int_equal(st.mode, 0640);
    assert_int_equal(st.size, 5);
    assert_false(st.is_dir);
    struct buf out = BUF_INIT;
    assert_int_equal(env_read_file(d, test_path("w"), 4, &out), ERR_TOO_LARGE);
    assert_int_equal(env_read_file(d, test_path("w"), 5, &out), 0);
    assert_true(slice_equal_cstr(buf_slice(&out), "hello"));
    buf_deinit(&out);
    assert_int_equal(d->ops->rename(d, test_path("w"), test_path("v")), 0);
    assert_false(env_exists(d, test_path("w")));
    assert_int_equal(d->ops->unlink(d, test_path("v")), 0);
    assert_int_equal(d->ops->unlink(d, test_path("v")), ERR_NOT_FOUND);
}

static void descriptors_are_closed_in_children(void **state)
{
    (void)state;
    int probe = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(probe);
    struct env_file *f = must_open("f", ENV_OPEN_WRITE | ENV_OPEN_CREATE);
    assert_true((fcntl(probe, F_GETFD) & FD_CLOEXEC) != 0);
    f->ops->close(f);
}

int os_disk_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_many_parts_and_reads_back, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_have_numbers_and_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(running_out_of_descriptors_is_an_error_of_its_own, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(file_size_limit_is_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(locks_exclude_other_handles, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_are_sorted_and_can_be_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(whole_files_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_are_closed_in_children, setup, teardown),
    };
    return cmocka_run_group_tests_name("os/disk", tests, NULL, NULL);
}
