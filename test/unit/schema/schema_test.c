/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of storage-formats 2 as bytes, and what schema_boot_load makes of a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fakedb.h"
#include "schema/schema.h"

static struct fakedb *make(void)
{
    return fakedb_create(SCHEMA_BUCKET_NAMES, SCHEMA_BUCKET_COUNT);
}

static void ids(void **state)
{
    (void)state;
    char key[SCHEMA_ID_KEY_MAX];
    uint64_t id;
    assert_int_equal(schema_id_key(UINT64_C(0x58c8799c6559f8b), key), 15);
    assert_string_equal(key, "58c8799c6559f8b");
    assert_int_equal(schema_id_key(UINT64_MAX, key), 16);
    assert_int_equal(schema_id_parse(SLICE_LIT("58C8799c6559f8b"), &id), 0);
    assert_true(id == UINT64_C(0x58c8799c6559f8b));
    assert_int_equal(schema_id_parse(SLICE_LIT(""), &id), ERR_MALFORMED);
    assert_int_equal(schema_id_parse(SLICE_LIT("11111111111111111"), &id), ERR_MALFORMED);
    assert_int_equal(schema_id_parse(SLICE_LIT("0x1"), &id), ERR_MALFORMED);
}

static void conf_state_json(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct raft_conf_state cs = {.voters = {2, {3, UINT64_MAX}}, .learners = {1, {9}}};
    schema_conf_state_encode(&b, &cs);
    assert_string_equal(buf_cstr(&b), "{\"voters\":[3,18446744073709551615],\"learners\":[9],"
                                      "\"auto_leave\":false}");
    struct raft_conf_state out;
    assert_int_equal(schema_conf_state_decode(buf_slice(&b), &out), 0);
    assert_memory_equal(&out, &cs, sizeof(cs));
    assert_int_equal(schema_conf_state_decode(SLICE_LIT("{\"voters\":[7,2,2]}"), &out), 0);
    assert_true(out.voters.count == 2 && out.voters.ids[0] == 2 && !out.auto_leave);
    assert_int_equal(schema_conf_state_decode(SLICE_LIT("{\"voters\":[-7]}"), &out), ERR_MALFORMED);
    buf_clear(&b);
    struct raft_conf_state empty = {.auto_leave = true};
    schema_conf_state_encode(&b, &empty);
    assert_string_equal(buf_cstr(&b), "{\"auto_leave\":true}");
    buf_deinit(&b);
}

static void downgrade_json(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct schema_downgrade d = {true, "3.6.0"};
    struct schema_downgrade out;
    schema_downgrade_encode(&b, &d);
    assert_string_equal(buf_cstr(&b), "{\"target-version\":\"3.6.0\",\"enabled\":true}");
    assert_int_equal(schema_downgrade_decode(buf_slice(&b), &out), 0);
    assert_true(out.enabled);
    assert_string_equal(out.target, "3.6.0");
    buf_clear(&b);
    schema_downgrade_encode(&b, &(struct schema_downgrade){false, ""});
    assert_string_equal(buf_cstr(&b), "{\"target-version\":\"\",\"enabled\":false}");
    assert_int_equal(schema_downgrade_decode(SLICE_LIT("{\"enabled\":1}"), &out), ERR_MALFORMED);
    buf_deinit(&b);
}

/* The examples of storage-formats 2.1. */
static void alarm_and_lease_bytes(void **state)
{
    (void)state;
    static const uint8_t alarm[] = {0x08, 0xce, 0xcd, 0xad, 0xb7, 0x85,
                                    0xb6, 0xcd, 0x89, 0x01, 0x10, 0x01};
    static const uint8_t lease[] = {0x08, 0x89, 0xfc, 0xc4, 0x8a, 0xc2, 0xc1,
                                    0xe8, 0xe5, 0x62, 0x10, 0x90, 0x1c};
    struct buf b = BUF_INIT;
    struct schema_alarm a;
    struct schema_lease l;
    assert_int_equal(schema_alarm_decode(slice_make(alarm, sizeof(alarm)), &a), 0);
    assert_int_equal(a.type, SCHEMA_ALARM_NOSPACE);
    schema_alarm_encode(&b, a);
    assert_int_equal(b.len, sizeof(alarm));
    assert_memory_equal(b.data, alarm, sizeof(alarm));
    buf_clear(&b);
    assert_int_equal(schema_lease_decode(slice_make(lease, sizeof(lease)), &l), 0);
    assert_true(l.id == INT64_C(0x62cba20c21513e09) && l.ttl_s == 3600 && l.remaining_ttl_s == 0);
    schema_lease_encode(&b, &l);
    assert_int_equal(b.len, sizeof(lease));
    assert_memory_equal(b.data, lease, sizeof(lease));
    for (size_t i = 1; i < sizeof(lease); i++) {
        (void)!schema_lease_decode(slice_make(lease, i), &l);
    }
    buf_deinit(&b);
}

static void boot_of_an_empty_file(void **state)
{
    (void)state;
    struct fakedb *db = fakedb_create(NULL, 0); /* not even buckets */
    struct schema_boot b;
    assert_int_equal(schema_boot_load(fakedb_tx(db), &b), 0);
    assert_true(b.consistent_index == 0 && b.member_count == 0);
    assert_true(semver_is_none(b.storage_version) && semver_is_none(b.cluster_version));
    schema_boot_deinit(&b);
    fakedb_destroy(db);
}

struct auth_state {
    bool enabled;
    uint64_t revision;
    size_t pairs;
};

static int auth_pair(void *arg, struct slice key, struct slice value)
{
    struct auth_state *a = arg;
    a->pairs++;
    return schema_auth_decode(key, value, &a->enabled, &a->revision);
}

static void expect_auth(struct fakedb *db, bool enabled, uint64_t revision)
{
    struct auth_state a = {0};
    assert_int_equal(schema_bucket_walk(fakedb_tx(db), SCHEMA_AUTH, auth_pair, &a), 0);
    assert_true(a.enabled == enabled && a.revision == revision && a.pairs == 2);
}

/* Any other byte is off; the revision has eight. */
static void auth_pairs(void **state)
{
    (void)state;
    struct auth_state a = {.enabled = true, .revision = 7};
    struct slice on = slice_cstr(SCHEMA_AUTH_ENABLED_KEY);
    struct slice rev = slice_cstr(SCHEMA_AUTH_REVISION_KEY);
    assert_int_equal(auth_pair(&a, on, SLICE_LIT("\x02")), 0);
    assert_false(a.enabled);
    assert_int_equal(auth_pair(&a, rev, SLICE_LIT("1")), ERR_CORRUPT);
    assert_int_equal(auth_pair(&a, SLICE_LIT("other"), SLICE_LIT("1")), 0);
    assert_int_equal(a.revision, 7);
}

static void boot_reads_what_was_put(void **state)
{
    (void)state;
    struct fakedb *db = make();
    struct backend *be = fakedb_backend(db);
    struct raft_conf_state cs = {.voters = {1, {5}}};
    schema_batch_put_index(fakedb_batch(db), 0, 7); /* never written */
    assert_int_equal(fakedb_count(db, "meta"), 0);
    schema_batch_put_index(fakedb_batch(db), 77, 3);
    schema_batch_put_conf_state(fakedb_batch(db), &cs);
    schema_put_scheduled_compact(be, 40);
    schema_put_finished_compact(be, 30);
    schema_put_cluster_version(be, (struct semver){3, 6, 0});
    schema_put_downgrade(be, &(struct schema_downgrade){true, "3.5.0"});
    schema_put_auth_enabled(be, true);
    schema_put_auth_revision(be, 9);
    schema_put_alarm(be, (struct schema_alarm){5, SCHEMA_ALARM_CORRUPT});
    schema_put_alarm(be, (struct schema_alarm){5, SCHEMA_ALARM_NOSPACE});
    schema_delete_alarm(be, (struct schema_alarm){5, SCHEMA_ALARM_CORRUPT});
    for (int64_t i = 1; i <= 100; i++) {
        schema_put_lease(be, &(struct schema_lease){i, i * 10, i % 2});
    }
    schema_delete_lease(be, 50);
    for (uint64_t i = 1; i <= 9; i++) {
        schema_put_member(be, i, SLICE_LIT("{}"));
    }
    schema_remove_member(be, 4);
    assert_true(slice_equal_cstr(fakedb_get(db, "members_removed", SLICE_LIT("4")), "removed"));
    static const uint8_t rev40[] = {0, 0, 0, 0, 0, 0, 0, 40, '_', 0, 0, 0, 0, 0, 0, 0, 0};
    struct slice rev = fakedb_get(db, "meta", SLICE_LIT("scheduledCompactRev"));
    assert_int_equal(rev.len, 17);
    assert_memory_equal(rev.data, rev40, 17);

    struct schema_boot b;
    assert_int_equal(schema_boot_load(fakedb_tx(db), &b), 0);
    assert_true(b.consistent_index == 77 && b.term == 3);
    assert_true(b.has_conf_state && b.conf_state.voters.ids[0] == 5);
    assert_true(b.scheduled_compact_rev == 40 && b.finished_compact_rev == 30);
    assert_int_equal(b.storage_version.minor, 5); /* by the term */
    assert_false(b.has_storage_version);
    assert_int_equal(b.cluster_version.minor, 6);
    assert_true(b.has_downgrade && b.downgrade.enabled);
    expect_auth(db, true, 9);
    assert_int_equal(b.alarm_count, 1);
    assert_int_equal(b.alarms[0].type, SCHEMA_ALARM_NOSPACE);
    assert_int_equal(b.lease_count, 99);
    assert_int_equal(b.leases[98].ttl_s, 1000);
    assert_int_equal(b.member_count, 8);
    assert_true(b.members[3].id == 5 && slice_equal_cstr(b.members[3].json, "{}"));
    assert_true(b.removed_count == 1 && b.removed[0] == 4);
    schema_boot_deinit(&b);

    schema_storage_step(be, &(struct level_storage_step){LEVEL_STORAGE_SET, {3, 7, 0}});
    assert_int_equal(schema_boot_load(fakedb_tx(db), &b), 0);
    assert_true(b.has_storage_version && b.storage_version.minor == 7);
    schema_boot_deinit(&b);
    schema_storage_step(be, &(struct level_storage_step){LEVEL_STORAGE_DELETE, {3, 5, 0}});
    assert_null(fakedb_get(db, "meta", SLICE_LIT("storageVersion")).data);
    fakedb_destroy(db);
}

static void boot_refuses_damage(void **state)
{
    (void)state;
    static const struct {
        const char *bucket;
        const char *key;
        const char *value;
    } bad[] = {
        {"meta", "consistent_index", "short"},
        {"meta", "scheduledCompactRev", "0123456789"},
        {"cluster", "clusterVersion", "x.y"},
        {"cluster", "downgrade", "{"},
        {"members", "xyz", "{}"},
        {"members_removed", "", ""},
        {"alarm", "\xff\xff", ""},
        {"lease", "k", "\x08"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct fakedb *db = make();
        struct schema_boot b;
        fakedb_put(db, bad[i].bucket, slice_cstr(bad[i].key), slice_cstr(bad[i].value));
        assert_int_equal(schema_boot_load(fakedb_tx(db), &b), ERR_CORRUPT);
        assert_string_equal(b.what, bad[i].bucket);
        schema_boot_deinit(&b);
        fakedb_destroy(db);
    }
    /* What nobody reads back stops nobody. */
    struct fakedb *db = make();
    struct schema_boot b;
    fakedb_put(db, "meta", SLICE_LIT("confState"), SLICE_LIT("{"));
    fakedb_put(db, "meta", SLICE_LIT("storageVersion"), SLICE_LIT("new"));
    assert_int_equal(schema_boot_load(fakedb_tx(db), &b), 0);
    assert_false(b.has_conf_state || b.has_storage_version);
    schema_boot_deinit(&b);
    fakedb_destroy(db);
}

static void tools_write_through_a_tx(void **state)
{
    (void)state;
    struct fakedb *db = fakedb_create(SCHEMA_BUCKET_NAMES, 1);
    struct bolt_tx *tx = fakedb_tx(db);
    assert_int_equal(schema_tx_buckets(tx), 0);
    assert_int_equal(schema_tx_put_member(tx, 0xab, SLICE_LIT("{}")), 0);
    assert_int_equal(
        schema_tx_put(tx, SCHEMA_MEMBERS_REMOVED, SLICE_LIT("1"), SLICE_LIT("removed")), 0);
    assert_int_equal(
        schema_tx_put(tx, SCHEMA_CLUSTER, SLICE_LIT("clusterVersion"), SLICE_LIT("3.6.0")), 0);
    assert_int_equal(schema_tx_trim_members(tx), 0);
    assert_int_equal(fakedb_count(db, "members") + fakedb_count(db, "members_removed"), 0);
    assert_int_equal(fakedb_count(db, "cluster"), 1); /* not trimmed */
    assert_int_equal(schema_tx_put_index(tx, 3, 1), 0);
    assert_int_equal(schema_tx_put_scheduled_compact(tx, 1000), 0);
    assert_int_equal(schema_tx_put_storage_version(tx, (struct semver){3, 6, 0}), 0);
    assert_true(slice_equal_cstr(fakedb_get(db, "meta", SLICE_LIT("storageVersion")), "3.6.0"));
    assert_int_equal(schema_tx_put_storage_version(tx, (struct semver){0, 0, 0}), 0);
    assert_null(fakedb_get(db, "meta", SLICE_LIT("storageVersion")).data);
    struct schema_boot b;
    assert_int_equal(schema_boot_load(tx, &b), 0);
    assert_true(b.consistent_index == 3 && b.term == 1 && b.scheduled_compact_rev == 1000);
    schema_boot_deinit(&b);
    fakedb_destroy(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),
        cmocka_unit_test(conf_state_json),
        cmocka_unit_test(downgrade_json),
        cmocka_unit_test(alarm_and_lease_bytes),
        cmocka_unit_test(boot_of_an_empty_file),
        cmocka_unit_test(boot_reads_what_was_put),
        cmocka_unit_test(auth_pairs),
        cmocka_unit_test(boot_refuses_damage),
        cmocka_unit_test(tools_write_through_a_tx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
