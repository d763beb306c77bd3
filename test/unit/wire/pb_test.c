/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_test.h"

#include <stdio.h>

#include "wire/auth.pb-c.h"
#include "wire/authpb.pb-c.h"
#include "wire/cluster.pb-c.h"
#include "wire/internal.pb-c.h"
#include "wire/kv.pb-c.h"
#include "wire/lease.pb-c.h"
#include "wire/maintenance.pb-c.h"
#include "wire/membershippb.pb-c.h"
#include "wire/mvccpb.pb-c.h"
#include "wire/response.h"
#include "wire/watch.pb-c.h"

static const ProtobufCMessageDescriptor *const types[] = {
    &mvccpb__key_value__descriptor,
    &mvccpb__event__descriptor,
    &etcdserverpb__response_header__descriptor,
    &etcdserverpb__range_request__descriptor,
    &etcdserverpb__put_request__descriptor,
    &etcdserverpb__delete_range_request__descriptor,
    &etcdserverpb__txn_request__descriptor,
    &etcdserverpb__compaction_request__descriptor,
    &etcdserverpb__range_response__descriptor,
    &etcdserverpb__put_response__descriptor,
    &etcdserverpb__delete_range_response__descriptor,
    &etcdserverpb__txn_response__descriptor,
    &etcdserverpb__watch_request__descriptor,
    &etcdserverpb__watch_response__descriptor,
    &etcdserverpb__alarm_request__descriptor,
    &etcdserverpb__status_response__descriptor,
    &etcdserverpb__member_add_response__descriptor,
    &etcdserverpb__auth_user_add_request__descriptor,
    &etcdserverpb__auth_role_get_response__descriptor,
    &etcdserverpb__lease_time_to_live_response__descriptor,
    &authpb__user__descriptor,
    &membershippb__cluster_member_attr_set_request__descriptor,
    &etcdserverpb__internal_raft_request__descriptor,
    &etcdserverpb__hash_kvresponse__descriptor,
};

static int unpack(const ProtobufCMessageDescriptor *d, struct slice in, struct arena *a,
                  ProtobufCMessage **out)
{
    *out = arena_zalloc(a, d->sizeof_message);
    return wire_pb_unpack(d, in, a, *out);
}

/* Canonical bytes: protobuf-c's own unpacker and packer. */
static void canonical(const ProtobufCMessageDescriptor *d, struct slice in, struct buf *out)
{
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, in.len, in.data);
    assert_non_null(m);
    buf_clear(out);
    wire_pb_append(out, m);
    protobuf_c_message_free_unpacked(m, NULL);
}

/* The scanning decoders on the same vectors: 1 = not one of theirs. */
static int scan_decode(const char *name, struct slice in, struct arena *a, struct buf *out)
{
    union {
        struct wire_kv kv;
        struct wire_range_req range;
        struct wire_put_req put;
        struct wire_delete_req del;
        struct wire_compaction_req compaction;
        struct wire_txn_req txn;
    } u;
    int err;
    buf_clear(out);
    if (strcmp(name, "KeyValue") == 0 && (err = wire_kv_decode(in, &u.kv)) == 0) {
        size_t size = wire_kv_size(&u.kv);
        wire_kv_encode(&u.kv, buf_extend(out, size));
    } else if (strcmp(name, "RangeRequest") == 0 &&
               (err = wire_range_req_decode(in, &u.range)) == 0) {
        wire_range_req_encode(out, &u.range);
    } else if (strcmp(name, "PutRequest") == 0 && (err = wire_put_req_decode(in, &u.put)) == 0) {
        wire_put_req_encode(out, &u.put);
    } else if (strcmp(name, "DeleteRangeRequest") == 0 &&
               (err = wire_delete_req_decode(in, &u.del)) == 0) {
        wire_delete_req_encode(out, &u.del);
    } else if (strcmp(name, "CompactionRequest") == 0 &&
               (err = wire_compaction_req_decode(in, &u.compaction)) == 0) {
        wire_compaction_req_encode(out, &u.compaction);
    } else if (strcmp(name, "TxnRequest") == 0 && (err = wire_txn_req_decode(in, a, &u.txn)) == 0) {
        wire_txn_req_encode(out, &u.txn);
    } else {
        static const char *const names[] = {"KeyValue",           "RangeRequest",
                                            "PutRequest",         "TxnRequest",
                                            "DeleteRangeRequest", "CompactionRequest"};
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            if (strcmp(name, names[i]) == 0) {
                return ERR_MALFORMED;
            }
        }
        return 1;
    }
    return 0;
}

static void check_vector(const ProtobufCMessageDescriptor *d, const char *hex, const char *result)
{
    struct arena a;
    ProtobufCMessage *m;
    struct buf in = hex_buf(hex), want = BUF_INIT, got = BUF_INIT;
    struct buf go = strcmp(result, "err") == 0 ? BUF_INIT : hex_buf(result);
    struct slice s = exact_copy(buf_slice(&in));
    arena_init(&a, 0);
    buf_reserve(&got, 1);
    int err = unpack(d, s, &a, &m);
    int scan_err = scan_decode(d->short_name, s, &a, &got);
    if (strcmp(result, "err") == 0) {
        assert_true(err != 0);
        assert_true(scan_err != 0);
    } else {
        canonical(d, buf_slice(&go), &want);
        assert_int_equal(err, 0);
        if (scan_err != 1) {
            assert_int_equal(scan_err, 0);
            assert_slice(buf_slice(&got), buf_slice(&want));
        }
        buf_clear(&got);
        wire_pb_append(&got, m);
        assert_slice(buf_slice(&got), buf_slice(&want));
    }
    exact_free(s);
    buf_deinit(&in);
    buf_deinit(&want);
    buf_deinit(&got);
    buf_deinit(&go);
    arena_deinit(&a);
}

/* What Go makes of 864 inputs, a third of them damaged or odd. */
static void test_go_vectors(void **state)
{
    (void)state;
    char line[1024], name[100], hex[400], result[400];
    int count = 0;
    FILE *f = fopen(TEST_DATA "/go_vectors.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        if (line[0] == '#') {
            continue;
        }
        assert_int_equal(sscanf(line, "%99s %399s %399s", name, hex, result), 3);
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
            if (strcmp(types[i]->name, name) == 0) {
                check_vector(types[i], hex, result);
                count++;
            }
        }
    }
    (void)fclose(f);
    assert_int_equal(count, 864);
}

static void test_random(void **state)
{
    (void)state;
    struct prng p;
    struct arena a;
    struct buf in = BUF_INIT, out = BUF_INIT;
    prng_init(&p, 41);
    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        for (int n = 0; n < 200; n++) {
            ProtobufCMessage *m;
            random_packed(&p, &a, types[i], &in);
            struct slice s = exact_copy(buf_slice(&in));
            assert_int_equal(unpack(types[i], s, &a, &m), 0);
            exact_free(s); /* the message does not look at it any more */
            buf_clear(&out);
            wire_pb_append(&out, m);
            assert_slice(buf_slice(&out), buf_slice(&in));
            mutate(&p, &in);
            s = exact_copy(buf_slice(&in));
            (void)unpack(types[i], s, &a, &m);
            exact_free(s);
            arena_reset(&a);
        }
    }
    buf_deinit(&in);
    buf_deinit(&out);
    arena_deinit(&a);
}

static int unpack_watch(const char *hex, struct arena *a, Etcdserverpb__WatchCreateRequest *m)
{
    struct buf in = hex_buf(hex);
    int err = wire_pb_unpack(&etcdserverpb__watch_create_request__descriptor, buf_slice(&in), a,
                             &m->base);
    buf_deinit(&in);
    return err;
}

static void test_packed(void **state)
{
    (void)state;
    struct arena a;
    Etcdserverpb__WatchCreateRequest m;
    arena_init(&a, 0);
    assert_int_equal(unpack_watch("2800 2a03 018002 2801", &a, &m), 0);
    assert_int_equal(m.n_filters, 4);
    assert_true(m.filters[1] == 1 && (int)m.filters[2] == 256 && m.filters[3] == 1);
    assert_int_equal(unpack_watch("2a0180", &a, &m), ERR_MALFORMED);
    assert_int_equal(m.n_filters, 4);
    assert_int_equal(unpack_watch("2a00", &a, &m), 0);
    assert_int_equal(m.n_filters, 0);
    arena_deinit(&a);
}

static void test_strings(void **state)
{
    static const struct {
        const char *hex;
        int err;
    } cases[] = {
        {"0a0161", 0},
        {"0a01ff", ERR_MALFORMED},
        {"0a036100 62", ERR_MALFORMED},
        {"0a00", 0},
    };
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Etcdserverpb__AuthenticateRequest m;
        struct buf in = hex_buf(cases[i].hex);
        assert_int_equal(wire_pb_unpack(&etcdserverpb__authenticate_request__descriptor,
                                        buf_slice(&in), &a, &m.base),
                         cases[i].err);
        buf_deinit(&in);
    }
    arena_deinit(&a);
}

static void test_limits(void **state)
{
    (void)state;
    struct arena a;
    struct buf b = BUF_INIT;
    Etcdserverpb__TxnRequest m;
    arena_init(&a, 0);
    /* A level is a Txn and a RequestOp here. */
    for (int i = 0; i < WIRE_TXN_DEPTH_MAX / 2; i++) {
        wire_close_message(&b, 0, 4);
        wire_close_message(&b, 0, 2);
    }
    assert_int_equal(
        wire_pb_unpack(&etcdserverpb__txn_request__descriptor, buf_slice(&b), &a, &m.base),
        ERR_LIMIT);
    buf_clear(&b);
    for (size_t i = 0; i < WIRE_PB_ARENA_MAX / sizeof(Etcdserverpb__RequestOp); i++) {
        buf_append(&b, "\x12\x00", 2);
    }
    assert_int_equal(
        wire_pb_unpack(&etcdserverpb__txn_request__descriptor, buf_slice(&b), &a, &m.base),
        ERR_LIMIT);
    assert_true(a.used <= WIRE_PB_ARENA_MAX + (size_t)WIRE_PB_ARENA_MAX / 4);
    buf_deinit(&b);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_go_vectors), cmocka_unit_test(test_random),
        cmocka_unit_test(test_packed),     cmocka_unit_test(test_strings),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
