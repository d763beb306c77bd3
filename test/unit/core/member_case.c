/* SPDX-License-Identifier: Apache-2.0
 *
 * member_case: see member_case.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "member_case.h"

struct sim_disk *disk;
struct member_fixture m;

int setup(void **state)
{
    (void)state;
    disk = sim_disk_create();
    member_fixture_init(&m, sim_disk_env(disk));
    return 0;
}

int teardown(void **state)
{
    (void)state;
    member_fixture_deinit(&m);
    sim_disk_destroy(disk);
    return 0;
}

void start(void)
{
    int err = mf_start(&m);
    if (err != 0) {
        fail_msg("start: %s", m.text);
    }
}

void expect_get(const char *key, int64_t rev, const char *want)
{
    struct buf out = BUF_INIT;
    int err = mf_get(&m, key, rev, &out);
    if (want == NULL) {
        assert_int_equal(err, ERR_NOT_FOUND);
    } else {
        assert_int_equal(err, 0);
        assert_true(slice_equal_cstr(buf_slice(&out), want));
    }
    buf_deinit(&out);
}

void verify_member(void)
{
    struct buf why = BUF_INIT;
    if (mf_verify(&m, &why) != 0) {
        fail_msg("%s", buf_cstr(&why));
    }
    buf_deinit(&why);
}
