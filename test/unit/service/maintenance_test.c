/* SPDX-License-Identifier: Apache-2.0
 *
 * etcdserverpb.Maintenance as far as it speaks of the cluster (Status, MoveLeader, Downgrade,
 * Alarm), what every call must pass first, and cairnpb.Upgrade.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "bed.h"

#define MAINTENANCE "/etcdserverpb.Maintenance/"
#define HEADER "1:{1:193 2:17 3:7 4:3}"

static void ask_number(const char *method, uint64_t n)
{
    struct buf msg = BUF_INIT;
    wire_append_u64(&msg, 1, n);
    ask(method, &msg);
    buf_deinit(&msg);
}

static void ask_downgrade(uint64_t action, const char *version)
{
    struct buf msg = BUF_INIT;
    wire_append_u64(&msg, 1, action);
    wire_append_bytes(&msg, 2, slice_cstr(version));
    ask(MAINTENANCE "Downgrade", &msg);
    buf_deinit(&msg);
}

static void set_level(enum level level)
{
    fake.level = fake.status.level = level;
    fake.cluster_version = level_rules(level)->version;
    fake.storage_version = level >= LEVEL_3_6 ? fake.cluster_version : (struct semver){0};
}

/* ---- Status ---- */

static void status(void **state)
{
    (void)state;
    fake.downgrade = (struct schema_downgrade){.enabled = true, .target = "3.6.0"};
    ask_empty(MAINTENANCE "Status");
    expect_fields(HEADER " 2:3.7.1 3:24576 4:17 5:9 6:3 7:8 9:16384 11:3.7.0 12:2147483648 "
                         "13:{1:1 2:3.6.0}");
    fake.downgrade = (struct schema_downgrade){.enabled = false};
    set_level(LEVEL_3_5);
    fake.status.leader = 0;
    fake.is_learner = fake.status.raft.is_learner = true;
    ask_empty(MAINTENANCE "Status");
    struct buf want = BUF_INIT;
    buf_printf(&want, HEADER " 2:%s 3:24576 5:9 6:3 7:8 8:etcdserver: no leader 9:16384 10:1",
               level_rules(LEVEL_3_5)->server_version);
    expect_fields(buf_cstr(&want));
    buf_deinit(&want);
}

static void status_alarms(void **state)
{
    (void)state;
    apply_alarm_load(fake.apply, (struct schema_alarm){123, SCHEMA_ALARM_CORRUPT});
    ask_empty(MAINTENANCE "Status");
    expect_fields(HEADER " 2:3.7.1 3:24576 4:17 5:9 6:3 7:8 8:memberID:123 alarm:CORRUPT 9:16384 "
                         "11:3.7.0 12:2147483648 13:{}");
    set_level(LEVEL_3_6);
    fake.status.quota = -1;
    ask_empty(MAINTENANCE "Status");
    struct buf want = BUF_INIT;
    buf_printf(&want,
               HEADER " 2:%s 3:24576 4:17 5:9 6:3 7:8 8:memberID:123 alarm:CORRUPT  9:16384 "
                      "11:3.6.0 12:18446744073709551615 13:{}",
               level_rules(LEVEL_3_6)->server_version);
    expect_fields(buf_cstr(&want));
    buf_deinit(&want);
}

/* ---- Alarm ---- */

static void alarm_actions(void **state)
{
    (void)state;
    struct buf msg = BUF_INIT;
    ask_number(MAINTENANCE "Alarm", 3); /* ends etcd */
    expect(&sb.r, GRPC_INVALID_ARGUMENT, "etcdserver: unknown alarm action");
    ask_number(MAINTENANCE "Alarm", UINT64_MAX);
    expect(&sb.r, GRPC_INVALID_ARGUMENT, "etcdserver: unknown alarm action");
    wire_append_u64(&msg, 1, 1);
    wire_append_u64(&msg, 3, 3);
    set_level(LEVEL_3_5); /* ends it; later ones store any type */
    ask(MAINTENANCE "Alarm", &msg);
    expect(&sb.r, GRPC_INVALID_ARGUMENT, "etcdserver: unknown alarm type");
    set_level(LEVEL_3_7);
    assert_true(fake_is_idle());
    buf_clear(&msg);
    wire_append_u64(&msg, 1, 1);
    wire_append_u64(&msg, 2, 5);
    wire_append_u64(&msg, 3, SCHEMA_ALARM_CORRUPT);
    ask(MAINTENANCE "Alarm", &msg);
    struct core_request *r = fake_take(CORE_PROPOSE);
    assert_int_equal(r->which, WIRE_INTERNAL_ALARM);
    assert_true(slice_equal(buf_slice(&fake.body), buf_slice(&msg)));
    r->header_rev = 7;
    answered(r, 0);
    expect_fields(HEADER);
    buf_deinit(&msg);
}

/* ---- MoveLeader ---- */

static void move_leader(void **state)
{
    (void)state;
    fake_member_add(0x22, "n2", "http://h:2", "", false);
    fake_member_add(0x33, "n3", "http://h:3", "", true);
    ask_number(MAINTENANCE "MoveLeader", 0x99);
    expect(&sb.r, GRPC_FAILED_PRECONDITION, "etcdserver: bad leader transferee");
    ask_number(MAINTENANCE "MoveLeader", 0x33);
    expect(&sb.r, GRPC_FAILED_PRECONDITION, "etcdserver: bad leader transferee");
    ask_empty(MAINTENANCE "MoveLeader");
    expect(&sb.r, GRPC_FAILED_PRECONDITION, "etcdserver: bad leader transferee");
    ask_number(MAINTENANCE "MoveLeader", FAKE_SELF);
    expect_fields("");
    assert_true(fake_is_idle());
    ask_number(MAINTENANCE "MoveLeader", 0x22);
    struct core_request *r = fake_take(CORE_TRANSFER_LEADER);
    assert_int_equal(r->member_id, 0x22);
    answered(r, 0);
    expect_fields("");
    ask_number(MAINTENANCE "MoveLeader", 0x22);
    answered(fake_take(CORE_TRANSFER_LEADER), ERR_RPC_TIMEOUT_LEADER_TRANSFER);
    expect(&sb.r, GRPC_UNKNOWN, "etcdserver: request timed out, leader transfer took too long");
    fake.status.leader = 0x22;
    ask_number(MAINTENANCE "MoveLeader", 0x99); /* asked first, as in etcd */
    expect(&sb.r, GRPC_FAILED_PRECONDITION, "etcdserver: not leader");
}

/* ---- Downgrade ---- */

enum { VALIDATE, ENABLE, CANCEL };

static void downgrade_refused(void **state)
{
    (void)state;
    ask_downgrade(3, "3.6");
    expect(&sb.r, GRPC_UNKNOWN, "etcdserver: unknown method");
    static const char *const bad[] = {"", "3", "x.y", "v3.6", "3.6.x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ask_downgrade(i % 2 == 0 ? VALIDATE : ENABLE, bad[i]);
        expect(&sb.r, GRPC_INVALID_ARGUMENT, "etcdserver: wrong downgrade target version format");
    }
    ask_downgrade(VALIDATE, "2.6");
    expect(&sb.r, GRPC_INVALID_ARGUMENT, "etcdserver: invalid downgrade target version");
    assert_true(fake_is_idle());
    ask_downgrade(ENABLE, "3.5.0");
    answered(fake_take(CORE_BARRIER), 0);
    expect(&sb.r, GRPC_INVALID_ARGUMENT, "etcdserver: invalid downgrade target version");
    fake.downgrade = (struct schema_downgrade){.enabled = true, .target = "3.6.0"};
    ask_downgrade(ENABLE, "3.6.0");
    answered(fake_take(CORE_BARRIER), 0);
    expect(&sb.r, GRPC_FAILED_PRECONDITION, "etcdserver: cluster has a downgrade job in progress");
    ask_downgrade(VALIDATE, "3.6");
    answered(fake_take(CORE_BARRIER), ERR_RPC_TIMEOUT);
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: request timed out");
}

static void downgrade_goes(void **state)
{
    (void)state;
    ask_downgrade(VALIDATE, "3.6");
    answered(fake_take(CORE_BARRIER), 0);
    expect_fields(HEADER " 2:3.7");
    ask_downgrade(ENABLE, "3.6.5");
    answered(fake_take(CORE_BARRIER), 0);
    struct core_request *r = fake_take(CORE_PROPOSE);
    assert_int_equal(r->which, WIRE_INTERNAL_DOWNGRADE_INFO_SET);
    assert_true(slice_equal(r->body, SLICE_LIT("\x08\x01\x12\x05"
                                               "3.6.0")));
    answered(r, 0);
    expect_fields(HEADER " 2:3.7");
    fake.downgrade = (struct schema_downgrade){.enabled = true, .target = "3.6.0"};
    ask_downgrade(CANCEL, "");
    answered(fake_take(CORE_BARRIER), 0);
    assert_int_equal(fake_take(CORE_PROPOSE)->body.len, 0);
    answered(fake_take(CORE_PROPOSE), 0);
    expect_fields(HEADER " 2:3.7");
    ask_downgrade(CANCEL, "rubbish"); /* not looked at */
    answered(fake_take(CORE_BARRIER), 0);
    answered(fake_take(CORE_PROPOSE), ERR_RPC_TIMEOUT);
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: request timed out");
}

static void cancel_of_nothing(void **state)
{
    (void)state;
    ask_downgrade(CANCEL, "");
    answered(fake_take(CORE_BARRIER), 0);
    expect_fields(HEADER " 2:3.7");
    set_level(LEVEL_3_5);
    ask_downgrade(CANCEL, "");
    answered(fake_take(CORE_BARRIER), 0);
    expect(&sb.r, GRPC_FAILED_PRECONDITION, "etcdserver: no inflight downgrade job");
    ask_downgrade(VALIDATE, "3.4");
    answered(fake_take(CORE_BARRIER), 0);
    expect(&sb.r, GRPC_INVALID_ARGUMENT, "etcdserver: invalid downgrade target version");
}

/* ---- what every call must pass ---- */

static void a_learner(void **state)
{
    (void)state;
    static const char text[] = "etcdserver: rpc not supported for learner";
    static const char *const refused[] = {MAINTENANCE "HashKV",
                                          MAINTENANCE "Hash",
                                          MAINTENANCE "Alarm",
                                          MAINTENANCE "Defragment",
                                          MAINTENANCE "MoveLeader",
                                          MAINTENANCE "Downgrade",
                                          "/etcdserverpb.KV/Range",
                                          "/etcdserverpb.KV/Put",
                                          "/etcdserverpb.KV/Txn",
                                          "/etcdserverpb.KV/Compact",
                                          "/etcdserverpb.KV/RangeStream",
                                          "/etcdserverpb.Cluster/MemberList",
                                          "/etcdserverpb.Cluster/MemberAdd",
                                          "/grpc.health.v1.Health/Check",
                                          "/grpc.health.v1.Health/Watch"};
    fake.is_learner = true;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        ask_empty(refused[i]);
        expect(&sb.r, GRPC_FAILED_PRECONDITION, text);
    }
    assert_true(fake_is_idle());
    ask_empty(MAINTENANCE "Status");
    assert_int_equal(sb.r.code, GRPC_OK);
    struct buf msg = BUF_INIT;
    struct wire_range_req range = {.key = SLICE_LIT("k"), .serializable = true};
    wire_range_req_encode(&msg, &range);
    ask("/etcdserverpb.KV/Range", &msg);
    answered(fake_take(CORE_RANGE), ERR_RPC_TIMEOUT);
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: request timed out");
    buf_deinit(&msg);
    set_level(LEVEL_3_5);
    ask_empty("/grpc.health.v1.Health/List");
    expect(&sb.r, GRPC_UNAVAILABLE, text);
}

static void not_capable(void **state)
{
    (void)state;
    fake.cluster_version = (struct semver){0};
    ask_empty(MAINTENANCE "Status");
    expect(&sb.r, GRPC_FAILED_PRECONDITION, "etcdserver: not capable");
    fake.level = LEVEL_3_5;
    ask_empty(MAINTENANCE "Status");
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: not capable");
}

static void ask_with(const char *name, const char *value)
{
    const struct grpc_metadata h = {slice_cstr(name), slice_cstr(value)};
    struct grpc_client_call_options o = {.path = MAINTENANCE "Status",
                                         .ops = &call_ops,
                                         .arg = &sb.r,
                                         .metadata = &h,
                                         .metadata_count = 1};
    buf_deinit(&sb.r.got);
    memset(&sb.r, 0, sizeof(sb.r));
    struct grpc_client_call *call = grpc_client_start(sb.bed.client, &o);
    grpc_client_call_send(call, SLICE_NULL);
    grpc_client_call_half_close(call);
    settle(&sb.bed);
}

static void metadata(void **state)
{
    (void)state;
    ask_with("hasleader", "true");
    assert_int_equal(sb.r.code, GRPC_OK);
    fake.status.leader = 0;
    ask_with("hasleader", "true");
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: no leader");
    ask_with("hasleader", "True"); /* exactly */
    assert_int_equal(sb.r.code, GRPC_OK);
    ask_with("client-api-version", "\xff\xfe");
    expect(&sb.r, GRPC_INVALID_ARGUMENT, "etcdserver: invalid client api version");
    set_level(LEVEL_3_5);
    ask_with("client-api-version", "\xff\xfe");
    assert_int_equal(sb.r.code, GRPC_OK);
}

/* ---- Upgrade ---- */

static void ask_raise(const char *to)
{
    struct buf msg = BUF_INIT;
    wire_append_bytes(&msg, 1, slice_cstr(to));
    ask("/cairnpb.Upgrade/Raise", &msg);
    buf_deinit(&msg);
}

static void upgrade(void **state)
{
    (void)state;
    set_level(LEVEL_3_5);
    fake.is_learner = true; /* learners rise too */
    ask_empty("/cairnpb.Upgrade/Status");
    expect_fields("1:3.5 2:3.7 3:3.5");
    static const char *const bad[] = {"", "3.8", "4.0", "x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ask_raise(bad[i]);
        expect(&sb.r, GRPC_INVALID_ARGUMENT, err_text(ERR_RPC_UPGRADE_VERSION));
    }
    ask_raise("3.7");
    expect(&sb.r, GRPC_FAILED_PRECONDITION, err_text(ERR_RPC_UPGRADE_STEP));
    ask_raise("3.5");
    expect_fields("1:3.5 2:3.7 3:3.5");
    fake.downgrade = (struct schema_downgrade){.enabled = true, .target = "3.4.0"};
    ask_raise("3.6");
    expect(&sb.r, GRPC_FAILED_PRECONDITION, err_text(ERR_RPC_DOWNGRADE_IN_PROGRESS));
    fake.downgrade.enabled = false;
    assert_true(fake_is_idle());
    ask_raise("3.6");
    fake.level = LEVEL_3_6;
    answered(fake_take(CORE_RAISE_LEVEL), 0);
    expect_fields("1:3.6 2:3.7 3:3.5");
    ask_raise("3.7"); /* the cluster is at 3.5: not two above */
    expect(&sb.r, GRPC_FAILED_PRECONDITION, err_text(ERR_RPC_UPGRADE_STEP));
    ask_raise("3.6"); /* again: there already */
    expect_fields("1:3.6 2:3.7 3:3.5");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, service_bed_setup, service_bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(status),
        TEST(status_alarms),
        TEST(alarm_actions),
        TEST(move_leader),
        TEST(downgrade_refused),
        TEST(downgrade_goes),
        TEST(cancel_of_nothing),
        TEST(a_learner),
        TEST(not_capable),
        TEST(metadata),
        TEST(upgrade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
