/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/cmd/print_test: answers as received and what etcdctl prints for them
 * (test/data/ctl/print.txt), and the answers that have no protobuf output.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "cmd/print.h"
#include "wire/pb.h"

#ifndef TEST_DATA
#define TEST_DATA "test/data"
#endif

struct fixture {
    struct buf out;
    struct buf err;
    struct arena arena;
    struct printer p;
};

static void fixture_init(struct fixture *f, enum print_format format)
{
    *f = (struct fixture){.out = BUF_INIT, .err = BUF_INIT};
    arena_init(&f->arena, 0);
    f->p = (struct printer){.format = format, .out = &f->out, .err = &f->err};
}

static void fixture_deinit(struct fixture *f)
{
    buf_deinit(&f->out);
    buf_deinit(&f->err);
    arena_deinit(&f->arena);
}

/* ---- the captured cases
 * -------------------------------------------------------------------------- */

#define UNPACK(f, raw, name, resp)                                                                 \
    assert_int_equal(                                                                              \
        wire_pb_unpack(&etcdserverpb__##name##__descriptor, (raw), &(f)->arena, &(resp).base), 0)

static int print_kv(struct fixture *f, const char *kind, struct slice raw)
{
    if (strcmp(kind, "get") == 0) {
        struct wire_range_resp r;
        assert_int_equal(wire_range_resp_decode(raw, &f->arena, &r), 0);
        return print_get(&f->p, raw, &r);
    }
    if (strcmp(kind, "put") == 0) {
        struct wire_put_resp r;
        assert_int_equal(wire_put_resp_decode(raw, &r), 0);
        return print_put(&f->p, raw, &r);
    }
    if (strcmp(kind, "del") == 0) {
        struct wire_delete_resp r;
        assert_int_equal(wire_delete_resp_decode(raw, &f->arena, &r), 0);
        return print_del(&f->p, raw, &r);
    }
    struct wire_txn_resp r;
    assert_string_equal(kind, "txn");
    assert_int_equal(wire_txn_resp_decode(raw, &f->arena, &r), 0);
    return print_txn(&f->p, raw, &r);
}

static int print_auth(struct fixture *f, const char *kind, const char *arg, struct slice raw)
{
    if (strcmp(kind, "user_get") == 0) {
        Etcdserverpb__AuthUserGetResponse r;
        UNPACK(f, raw, auth_user_get_response, r);
        return print_user_get(&f->p, raw, arg, &r);
    }
    if (strcmp(kind, "user_list") == 0) {
        Etcdserverpb__AuthUserListResponse r;
        UNPACK(f, raw, auth_user_list_response, r);
        return print_user_list(&f->p, raw, &r);
    }
    if (strcmp(kind, "role_get") == 0) {
        Etcdserverpb__AuthRoleGetResponse r;
        UNPACK(f, raw, auth_role_get_response, r);
        return print_role_get(&f->p, raw, arg, &r);
    }
    if (strcmp(kind, "role_list") == 0) {
        Etcdserverpb__AuthRoleListResponse r;
        UNPACK(f, raw, auth_role_list_response, r);
        return print_role_list(&f->p, raw, &r);
    }
    if (strcmp(kind, "auth_status") == 0) {
        Etcdserverpb__AuthStatusResponse r;
        UNPACK(f, raw, auth_status_response, r);
        return print_auth_status(&f->p, raw, &r);
    }
    return print_kv(f, kind, raw);
}

static int print_kind(struct fixture *f, const char *kind, const char *arg, struct slice raw)
{
    if (strcmp(kind, "member_list") == 0) {
        Etcdserverpb__MemberListResponse r;
        UNPACK(f, raw, member_list_response, r);
        return print_member_list(&f->p, raw, &r);
    }
    if (strcmp(kind, "alarm") == 0) {
        Etcdserverpb__AlarmResponse r;
        UNPACK(f, raw, alarm_response, r);
        return print_alarm(&f->p, raw, &r);
    }
    if (strcmp(kind, "downgrade") == 0) {
        Etcdserverpb__DowngradeResponse r;
        UNPACK(f, raw, downgrade_response, r);
        return print_downgrade(&f->p, raw, arg, &r);
    }
    return print_auth(f, kind, arg, raw);
}

struct captured {
    char kind[64];
    char arg[64];
    struct buf raw;
    char format[16];
    bool is_hex;
    struct buf want;
    size_t checked;
};

static void check_captured(struct captured *c)
{
    struct fixture f;
    enum print_format format;
    if (c->format[0] == '\0') {
        return;
    }
    assert_true(print_format_parse(slice_cstr(c->format), &format));
    fixture_init(&f, format);
    f.p.is_hex = c->is_hex;
    assert_int_equal(print_kind(&f, c->kind, c->arg, buf_slice(&c->raw)), 0);
    assert_string_equal(buf_cstr(&f.out), buf_cstr(&c->want));
    c->checked++;
    f.p.format = PRINT_PROTOBUF;
    buf_clear(&f.out);
    assert_int_equal(print_kind(&f, c->kind, c->arg, buf_slice(&c->raw)), 0);
    assert_true(slice_equal(buf_slice(&f.out), buf_slice(&c->raw)));
    fixture_deinit(&f);
    c->format[0] = '\0';
    buf_clear(&c->want);
}

static void from_hex(struct buf *out, const char *text)
{
    unsigned byte;
    buf_clear(out);
    for (; sscanf(text, "%2x", &byte) == 1; text += 2) {
        buf_append_byte(out, (uint8_t)byte);
    }
}

static void take_line(struct captured *c, char *line)
{
    enum print_format format;
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '|') {
        buf_append_cstr(&c->want, line + 1);
        buf_append_byte(&c->want, '\n');
        return;
    }
    check_captured(c);
    if (line[0] == '#' || line[0] == '\0') {
        return;
    }
    if (strncmp(line, "pb ", 3) == 0) {
        from_hex(&c->raw, line + 3);
        return;
    }
    size_t n = strcspn(line, " ");
    if (print_format_parse(slice_make(line, n), &format)) {
        snprintf(c->format, sizeof(c->format), "%.*s", (int)n, line);
        c->is_hex = strcmp(line + n, " hex") == 0;
    } else {
        snprintf(c->kind, sizeof(c->kind), "%.*s", (int)n, line);
        snprintf(c->arg, sizeof(c->arg), "%s", line[n] == ' ' ? line + n + 1 : "");
    }
}

static void prints_what_the_reference_prints(void **state)
{
    (void)state;
    static struct captured c;
    FILE *f = fopen(TEST_DATA "/ctl/print.txt", "r");
    char *line = NULL;
    size_t cap = 0;
    assert_non_null(f);
    while (getline(&line, &cap, f) >= 0) {
        take_line(&c, line);
    }
    check_captured(&c);
    assert_true(c.checked > 40);
    free(line);
    fclose(f);
    buf_deinit(&c.raw);
    buf_deinit(&c.want);
}

/* ---- answers without protobuf output
 * --------------------------------------------------------------- */

static void prints_health(void **state)
{
    (void)state;
    struct fixture f;
    const struct print_health rows[] = {
        {"127.0.0.1:2379", true, 4432034, ""},
        {"127.0.0.1:2479", false, 1000900000, "context deadline exceeded"},
    };
    fixture_init(&f, PRINT_SIMPLE);
    assert_int_equal(print_endpoint_health(&f.p, rows, 2), 0);
    assert_string_equal(buf_cstr(&f.out), "127.0.0.1:2379 is healthy: successfully committed "
                                          "proposal: took = 4.432034ms\n");
    assert_string_equal(buf_cstr(&f.err), "127.0.0.1:2479 is unhealthy: failed to commit proposal: "
                                          "context deadline exceeded\n");
    f.p.format = PRINT_JSON;
    buf_clear(&f.out);
    assert_int_equal(print_endpoint_health(&f.p, rows, 2), 0);
    assert_string_equal(
        buf_cstr(&f.out),
        "[{\"endpoint\":\"127.0.0.1:2379\",\"health\":true,\"took\":\"4.432034ms\"},"
        "{\"endpoint\":\"127.0.0.1:2479\",\"health\":false,\"took\":\"1.0009s\","
        "\"error\":\"context deadline exceeded\"}]\n");
    f.p.format = PRINT_TABLE;
    buf_clear(&f.out);
    assert_int_equal(print_endpoint_health(&f.p, rows, 1), 0);
    assert_string_equal(buf_cstr(&f.out), "┌────────────────┬────────┬────────────┬───────┐\n"
                                          "│    ENDPOINT    │ HEALTH │    TOOK    │ ERROR │\n"
                                          "├────────────────┼────────┼────────────┼───────┤\n"
                                          "│ 127.0.0.1:2379 │   true │ 4.432034ms │       │\n"
                                          "└────────────────┴────────┴────────────┴───────┘\n");
    f.p.format = PRINT_PROTOBUF;
    assert_int_equal(print_endpoint_health(&f.p, rows, 1), ERR_UNSUPPORTED);
    fixture_deinit(&f);
}

static Etcdserverpb__StatusResponse status_sample(Etcdserverpb__ResponseHeader *h,
                                                  Etcdserverpb__DowngradeInfo *d)
{
    static char version[] = "3.7.1";
    static char storage[] = "3.7.0";
    Etcdserverpb__StatusResponse s = ETCDSERVERPB__STATUS_RESPONSE__INIT;
    *h = (Etcdserverpb__ResponseHeader)ETCDSERVERPB__RESPONSE_HEADER__INIT;
    *d = (Etcdserverpb__DowngradeInfo)ETCDSERVERPB__DOWNGRADE_INFO__INIT;
    h->cluster_id = 13394304250140857948u;
    h->member_id = 2132960513972957892u;
    h->revision = 77;
    h->raft_term = 2;
    s.header = h;
    s.version = version;
    s.storageversion = storage;
    s.dbsize = 24576;
    s.dbsizeinuse = 16384;
    s.dbsizequota = 2147483648;
    s.leader = h->member_id;
    s.raftindex = 113;
    s.raftterm = 2;
    s.raftappliedindex = 113;
    s.downgradeinfo = d;
    return s;
}

static void prints_status(void **state)
{
    (void)state;
    struct fixture f;
    Etcdserverpb__ResponseHeader h;
    Etcdserverpb__DowngradeInfo d;
    Etcdserverpb__StatusResponse s = status_sample(&h, &d);
    const struct print_status row = {"127.0.0.1:2379", &s};
    fixture_init(&f, PRINT_SIMPLE);
    assert_int_equal(print_endpoint_status(&f.p, &row, 1), 0);
    assert_string_equal(buf_cstr(&f.out),
                        "127.0.0.1:2379, 1d99cc495b4af2c4, 3.7.1, 3.7.0, 25 kB, 16 kB, 34%, 2.1 "
                        "GB, true, false, 2, 113, 113, , , false\n");
    f.p.format = PRINT_JSON;
    buf_clear(&f.out);
    assert_int_equal(print_endpoint_status(&f.p, &row, 1), 0);
    assert_string_equal(
        buf_cstr(&f.out),
        "[{\"Endpoint\":\"127.0.0.1:2379\",\"Status\":{\"header\":{\"cluster_id\":"
        "13394304250140857948,\"member_id\":2132960513972957892,\"revision\":77,\"raft_term\":2},"
        "\"version\":\"3.7.1\",\"dbSize\":24576,\"leader\":2132960513972957892,\"raftIndex\":113,"
        "\"raftTerm\":2,\"raftAppliedIndex\":113,\"dbSizeInUse\":16384,\"storageVersion\":"
        "\"3.7.0\",\"dbSizeQuota\":2147483648,\"downgradeInfo\":{}}}]\n");
    buf_clear(&f.out);
    assert_int_equal(print_endpoint_status(&f.p, &row, 0), 0);
    assert_string_equal(buf_cstr(&f.out), "null\n");
    fixture_deinit(&f);
}

static void prints_leases(void **state)
{
    (void)state;
    struct fixture f;
    Etcdserverpb__ResponseHeader h = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__LeaseTimeToLiveResponse r = ETCDSERVERPB__LEASE_TIME_TO_LIVE_RESPONSE__INIT;
    ProtobufCBinaryData keys[] = {wire_pb_bytes(SLICE_LIT("lk1")), wire_pb_bytes(SLICE_LIT("lk2"))};
    h.cluster_id = 1;
    h.raft_term = 2;
    r.header = &h;
    r.id = 8269912988797529228;
    r.ttl = 198;
    r.grantedttl = 200;
    r.n_keys = 2;
    r.keys = keys;
    fixture_init(&f, PRINT_JSON);
    assert_int_equal(print_lease_time_to_live(&f.p, &r, true), 0);
    assert_string_equal(buf_cstr(&f.out),
                        "{\"cluster_id\":1,\"raft_term\":2,\"id\":8269912988797529228,\"ttl\":198,"
                        "\"granted-ttl\":200,\"keys\":[\"bGsx\",\"bGsy\"]}\n");
    f.p.format = PRINT_SIMPLE;
    buf_clear(&f.out);
    assert_int_equal(print_lease_time_to_live(&f.p, &r, true), 0);
    assert_string_equal(buf_cstr(&f.out), "lease 72c4a20c24aa6c8c granted with TTL(200s), "
                                          "remaining(198s), attached keys([lk1 lk2])\n");
    r.ttl = -1;
    r.grantedttl = 0;
    buf_clear(&f.out);
    assert_int_equal(print_lease_time_to_live(&f.p, &r, true), 0);
    assert_string_equal(buf_cstr(&f.out), "lease 72c4a20c24aa6c8c already expired\n");
    fixture_deinit(&f);
}

static void prints_alarms(void **state)
{
    (void)state;
    struct fixture f;
    Etcdserverpb__AlarmMember a = ETCDSERVERPB__ALARM_MEMBER__INIT;
    Etcdserverpb__AlarmMember *list[] = {&a};
    Etcdserverpb__AlarmResponse r = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    a.memberid = 2132960513972957892u;
    a.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    r.alarms = list;
    r.n_alarms = 1;
    fixture_init(&f, PRINT_SIMPLE);
    assert_int_equal(print_alarm(&f.p, SLICE_NULL, &r), 0);
    assert_string_equal(buf_cstr(&f.out), "memberID:2132960513972957892 alarm:NOSPACE\n");
    f.p.format = PRINT_JSON;
    buf_clear(&f.out);
    assert_int_equal(print_alarm(&f.p, SLICE_NULL, &r), 0);
    assert_string_equal(buf_cstr(&f.out),
                        "{\"alarms\":[{\"memberID\":2132960513972957892,\"alarm\":1}]}\n");
    f.p.format = PRINT_TABLE;
    assert_int_equal(print_alarm(&f.p, SLICE_NULL, &r), ERR_UNSUPPORTED);
    buf_clear(&f.out);
    print_unsupported(&f.p, &f.out);
    assert_string_equal(buf_cstr(&f.out), "table not supported as output format");
    fixture_deinit(&f);
}

static void prints_databases(void **state)
{
    (void)state;
    struct fixture f;
    struct print_db_status s = {2623861895u, 77, 4, 20480, "3.7.0"};
    struct print_db_hashkv h = {2238849809u, 77, 61};
    fixture_init(&f, PRINT_SIMPLE);
    assert_int_equal(print_db_status(&f.p, &s), 0);
    s.version = NULL; /* the form of 3.5 */
    assert_int_equal(print_db_status(&f.p, &s), 0);
    assert_int_equal(print_db_hashkv(&f.p, &h), 0);
    assert_string_equal(buf_cstr(&f.out), "9c64f487, 77, 4, 20 kB, 3.7.0\n"
                                          "9c64f487, 77, 4, 20 kB\n"
                                          "2238849809, 77, 61\n");
    f.p.format = PRINT_JSON;
    buf_clear(&f.out);
    s.version = "3.7.0";
    assert_int_equal(print_db_status(&f.p, &s), 0);
    assert_int_equal(print_db_hashkv(&f.p, &h), 0);
    assert_string_equal(buf_cstr(&f.out),
                        "{\"hash\":2623861895,\"revision\":77,\"totalKey\":4,\"totalSize\":20480,"
                        "\"version\":\"3.7.0\"}\n"
                        "{\"hash\":2238849809,\"hashRevision\":77,\"compactRevision\":61}\n");
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_what_the_reference_prints),
        cmocka_unit_test(prints_health),
        cmocka_unit_test(prints_status),
        cmocka_unit_test(prints_leases),
        cmocka_unit_test(prints_alarms),
        cmocka_unit_test(prints_databases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
