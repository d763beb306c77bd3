/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "schema/level.h"

static const struct semver NONE = {0, 0, 0};

static struct semver v(uint32_t minor)
{
    return (struct semver){3, minor, 0};
}

static void versions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct semver want;
    } good[] = {{"3.6.0", {3, 6, 0}},   {"3.5", {3, 5, 0}},       {"3.7.0-alpha.0", {3, 7, 0}},
                {"3.5.30", {3, 5, 30}}, {"3.6.0+git", {3, 6, 0}}, {"4", {4, 0, 0}}};
    static const char *const bad[] = {
        "", "x", "3.", "3.x", "3.6.", "3.6.0x", "3.6.0.1", "99999999999.0.0", "-1"};
    struct semver out;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(semver_parse(slice_cstr(good[i].text), &out), 0);
        assert_int_equal(semver_compare(out, good[i].want), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(semver_parse(slice_cstr(bad[i]), &out), ERR_MALFORMED);
    }
    char text[SEMVER_TEXT_MAX];
    semver_format((struct semver){3, 6, 14}, text);
    assert_string_equal(text, "3.6.14");
    assert_true(semver_compare(v(5), v(6)) < 0);
    assert_true(semver_compare((struct semver){3, 5, 9}, (struct semver){3, 5, 10}) < 0);
}

static void detect(void **state)
{
    (void)state;
    static const struct {
        uint32_t storage, cluster, v2;
        int want; /* level or error */
    } rows[] = {
        {0, 0, 0, LEVEL_3_5}, /* nothing known yet */
        {5, 5, 0, LEVEL_3_5}, {5, 0, 5, LEVEL_3_5},   {6, 5, 0, LEVEL_3_6},
        {6, 6, 0, LEVEL_3_6}, {7, 7, 0, LEVEL_3_7},   {6, 7, 0, LEVEL_3_7},
        {0, 6, 5, LEVEL_3_6}, {8, 7, 0, ERR_VERSION}, {7, 9, 0, ERR_VERSION},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum level level = LEVEL_3_5;
        int err = level_detect(rows[i].storage == 0 ? NONE : v(rows[i].storage),
                               rows[i].cluster == 0 ? NONE : v(rows[i].cluster),
                               rows[i].v2 == 0 ? NONE : v(rows[i].v2), &level);
        assert_int_equal(err != 0 ? err : (int)level, rows[i].want);
    }
    enum level level;
    assert_int_equal(level_detect(NONE, (struct semver){3, 0, 0}, NONE, &level), 0);
    assert_int_equal(level, LEVEL_3_5);
    assert_int_equal(level_detect(NONE, (struct semver){4, 0, 0}, NONE, &level), ERR_VERSION);
    for (int l = LEVEL_3_5; l <= LEVEL_3_7; l++) {
        const struct level_rules *r = level_rules((enum level)l);
        assert_int_equal(r->version.minor, l);
        assert_int_equal(level_from_version(r->version, &level), 0);
        assert_int_equal(level, l);
        assert_true(r->writes_storage_version == (l >= LEVEL_3_6));
        assert_true((r->emission == RAFTPB_SPARSE) == (l == LEVEL_3_7));
        assert_true(r->empty_end_is_open == (l < LEVEL_3_7));
    }
}

static void storage_steps(void **state)
{
    (void)state;
    static const struct {
        uint32_t storage, cluster, wal;
        int err;
        enum level_storage_action action;
        uint32_t to;
    } rows[] = {
        {6, 0, 0, 0, LEVEL_STORAGE_KEEP, 6},
        {0, 6, 0, ERR_NOT_FOUND, LEVEL_STORAGE_KEEP, 0}, /* no term in the file yet */
        {5, 5, 0, 0, LEVEL_STORAGE_KEEP, 5},
        {5, 6, 0, 0, LEVEL_STORAGE_SET, 6},
        {5, 7, 0, 0, LEVEL_STORAGE_SET, 6}, /* one minor at a time */
        {6, 7, 6, 0, LEVEL_STORAGE_SET, 7},
        {7, 6, 0, 0, LEVEL_STORAGE_SET, 6},
        {6, 5, 0, 0, LEVEL_STORAGE_DELETE, 5},
        {6, 5, 6, ERR_AGAIN, LEVEL_STORAGE_KEEP, 6}, /* the log has a newer field */
        {7, 6, 6, 0, LEVEL_STORAGE_SET, 6},
        {6, 8, 0, ERR_VERSION, LEVEL_STORAGE_KEEP, 6},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct level_storage_step step;
        int err = level_storage_next(rows[i].storage == 0 ? NONE : v(rows[i].storage),
                                     rows[i].cluster == 0 ? NONE : v(rows[i].cluster),
                                     rows[i].wal == 0 ? NONE : v(rows[i].wal), &step);
        assert_int_equal(err, rows[i].err);
        assert_int_equal(step.action, rows[i].action);
        assert_int_equal(step.version.minor, rows[i].to);
    }
    struct level_storage_step step;
    assert_int_equal(level_storage_next(v(6), (struct semver){3, 0, 0}, NONE, &step), 0);
    assert_int_equal(step.action, LEVEL_STORAGE_KEEP);
    assert_int_equal(level_storage_detect(SLICE_LIT("3.7.0"), 0, 0).minor, 7);
    assert_int_equal(level_storage_detect(SLICE_LIT("junk"), 4, 2).minor, 5);
    assert_true(semver_is_none(level_storage_detect(SLICE_NULL, 4, 0)));
}

static void entries(void **state)
{
    (void)state;
    /* put a=1 with its header: any version can read it */
    static const uint8_t put[] = {0x22, 0x06, 0x0a, 0x01, 0x61, 0x12, 0x01, 0x31, 0xa2, 0x06, 0x0b,
                                  0x08, 0x82, 0x84, 0x8f, 0x8c, 0xc2, 0xc1, 0xe8, 0x8f, 0xa1, 0x01};
    assert_true(semver_is_none(level_entry_min(slice_make(put, sizeof(put)))));
    /* downgrade_version_test {ver: "3.7.0"} = field 9900 */
    static const uint8_t test[] = {0xe2, 0xea, 0x04, 0x07, 0x0a, 0x05, '3', '.', '7', '.', '0'};
    assert_int_equal(level_entry_min(slice_make(test, sizeof(test))).minor, 7);
    static const uint8_t bare[] = {0xe2, 0xea, 0x04, 0x00};
    assert_int_equal(level_entry_min(slice_make(bare, sizeof(bare))).minor, 6);
    for (size_t i = 0; i < sizeof(test); i++) {
        (void)level_entry_min(slice_make(test, i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions),
        cmocka_unit_test(detect),
        cmocka_unit_test(storage_steps),
        cmocka_unit_test(entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
