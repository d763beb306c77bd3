/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_test.h"

#include "base/bytes.h"
#include "wire/internal.pb-c.h"

static void encode(struct buf *out, const struct wire_internal *r)
{
    size_t size = wire_internal_size(r);
    buf_clear(out);
    buf_reserve(out, size + 1);
    out->data[size] = 0xee;
    wire_internal_encode(r, out->data);
    assert_int_equal(out->data[size], 0xee);
    out->len = size;
}

/* peer-protocol 4.3: captured entries. */
static void test_vectors(void **state)
{
    (void)state;
    struct wire_internal r;
    struct wire_put_req put;
    struct buf out = BUF_INIT;
    struct buf in = hex_buf("22060a0161120131 a2060b 0882848f8cc2c1e88fa101");
    assert_int_equal(wire_internal_decode(buf_slice(&in), &r), 0);
    assert_true(r.id == 0xa11fa20c2183c202);
    assert_int_equal(r.which, WIRE_INTERNAL_PUT);
    assert_int_equal(wire_put_req_decode(r.body, &put), 0);
    assert_true(slice_equal_cstr(put.key, "a") && slice_equal_cstr(put.value, "1"));
    encode(&out, &r);
    assert_slice(buf_slice(&out), buf_slice(&in));

    r = (struct wire_internal){.id = 1,
                               .username = SLICE_LIT("root"),
                               .auth_revision = 3,
                               .which = WIRE_INTERNAL_CLUSTER_VERSION_SET,
                               .body = SLICE_LIT("\x0a\x05"
                                                 "3.7.0")};
    encode(&out, &r);
    assert_hex(buf_slice(&out), "a2060a 0801 1204726f6f74 1803 a25107 0a05332e372e30");
    r = (struct wire_internal){.which = WIRE_INTERNAL_AUTH_ENABLE};
    encode(&out, &r);
    assert_hex(buf_slice(&out), "a20600 c23e00");
    assert_int_equal(wire_internal_decode(buf_slice(&out), &r), 0);
    assert_int_equal(r.which, WIRE_INTERNAL_AUTH_ENABLE);
    buf_deinit(&in);
    buf_deinit(&out);
}

/* For every request field: our bytes are protobuf-c's bytes. */
static void test_every_field(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *d = &etcdserverpb__internal_raft_request__descriptor;
    struct prng p;
    struct arena a;
    struct buf body = BUF_INIT, want = BUF_INIT, out = BUF_INIT;
    prng_init(&p, 21);
    arena_init(&a, 0);
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        if (f->id == 1 || f->id == WIRE_INTERNAL_HEADER) {
            continue;
        }
        Etcdserverpb__RequestHeader header = ETCDSERVERPB__REQUEST_HEADER__INIT;
        Etcdserverpb__InternalRaftRequest m = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
        ProtobufCMessage *request = random_new(&p, &a, f->descriptor, 0);
        memcpy((uint8_t *)&m + f->offset, &request, sizeof(request));
        header.id = prng_next(&p);
        m.header = &header;
        buf_clear(&want);
        wire_pb_append(&want, &m.base);
        buf_clear(&body);
        wire_pb_append(&body, request);

        struct wire_internal r = {.id = header.id, .which = f->id, .body = buf_slice(&body)};
        encode(&out, &r);
        assert_slice(buf_slice(&out), buf_slice(&want));
        struct wire_internal back;
        assert_int_equal(wire_internal_decode(buf_slice(&want), &back), 0);
        assert_true(back.id == header.id && back.which == f->id);
        assert_slice(back.body, buf_slice(&body));
    }
    buf_deinit(&body);
    buf_deinit(&want);
    buf_deinit(&out);
    arena_deinit(&a);
}

static int decode_hex(const char *hex, struct wire_internal *r)
{
    struct buf in = hex_buf(hex);
    int err = wire_internal_decode(buf_slice(&in), r);
    r->body = r->username = SLICE_NULL;
    buf_deinit(&in);
    return err;
}

static void test_odd(void **state)
{
    (void)state;
    struct wire_internal r = {0};
    /* The old id, when set, is the one that counts. */
    assert_int_equal(decode_hex("0805 a2060b 0882848f8cc2c1e88fa101", &r), 0);
    assert_true(r.id == 5 && r.which == 0);
    /* A header in pieces merges. */
    assert_int_equal(decode_hex("a206020807 a206021809", &r), 0);
    assert_true(r.id == 7 && r.auth_revision == 9);
    /* Two requests in one entry, or one twice. */
    assert_int_equal(decode_hex("2200 2a00", &r), ERR_MALFORMED);
    assert_int_equal(decode_hex("2200 2200", &r), ERR_MALFORMED);
    /* A request of another wire type, and an unknown field, are skipped. */
    assert_int_equal(decode_hex("2001 e21200 2a00", &r), 0);
    assert_int_equal(r.which, WIRE_INTERNAL_DELETE_RANGE);
    assert_int_equal(decode_hex("", &r), 0);
    assert_true(r.which == 0 && r.id == 0);
}

/* storage-formats 3.11: what 3.5 wrote. */
static void test_v2(void **state)
{
    (void)state;
    struct buf b = hex_buf("0881fcc48ac2c1e8e5e201 1203505554");
    wire_append_bytes(&b, 3, SLICE_LIT("/0/members/2361f4b98672e2cb/attributes"));
    wire_append_bytes(&b, 4,
                      SLICE_LIT("{\"name\":\"n1\",\"clientURLs\":[\"http://127.0.0.1:21001\"]}"));
    hex_append(&b, "2800 3200 3800 4800 5000 5800 6000 6800 7000 7800 800100");
    struct wire_v2_request r;
    struct wire_internal in;
    assert_true(wire_v2_request_decode(buf_slice(&b), &r));
    assert_true(r.id == 0xe2cba20c21513e01);
    assert_true(slice_equal_cstr(r.method, "PUT"));
    assert_true(slice_equal_cstr(r.path, "/0/members/2361f4b98672e2cb/attributes"));
    assert_int_equal(r.val.len, 0x35);
    assert_int_equal(wire_internal_decode(buf_slice(&b), &in), ERR_MALFORMED);
    for (size_t n = 0; n < b.len; n++) {
        struct slice s = exact_copy(slice_make(b.data, n));
        (void)wire_v2_request_decode(s, &r);
        exact_free(s);
    }
    buf_clear(&b);
    hex_append(&b, "1203505554"); /* no id */
    assert_false(wire_v2_request_decode(buf_slice(&b), &r));
    buf_clear(&b);
    hex_append(&b, "0801 1203505555"); /* PUU */
    assert_false(wire_v2_request_decode(buf_slice(&b), &r));
    buf_clear(&b);
    hex_append(&b, "0801 120453594e43"); /* SYNC */
    assert_true(wire_v2_request_decode(buf_slice(&b), &r));
    buf_clear(&b);
    hex_append(&b, "22060a0161120131 a2060b 0882848f8cc2c1e88fa101");
    assert_false(wire_v2_request_decode(buf_slice(&b), &r));
    buf_deinit(&b);
}

static void test_mutations(void **state)
{
    (void)state;
    struct prng p;
    struct buf b = BUF_INIT, out = BUF_INIT;
    prng_init(&p, 22);
    for (int i = 0; i < 20000; i++) {
        struct wire_internal r;
        struct wire_v2_request v2;
        buf_clear(&b);
        hex_append(&b, "22060a0161120131 a20611 0882848f8cc2c1e88fa101 1204726f6f74");
        mutate(&p, &b);
        struct slice s = exact_copy(buf_slice(&b));
        (void)wire_v2_request_decode(s, &v2);
        if (wire_internal_decode(s, &r) == 0) {
            struct wire_internal back;
            encode(&out, &r);
            assert_int_equal(wire_internal_decode(buf_slice(&out), &back), 0);
            assert_true(back.id == r.id && back.which == r.which);
            assert_slice(back.body, r.body);
            assert_slice(back.username, r.username);
        }
        exact_free(s);
    }
    buf_deinit(&b);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),   cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_odd),       cmocka_unit_test(test_v2),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
