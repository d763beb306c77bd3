/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_test.h"

#include "base/bytes.h"
#include "wire/kv.pb-c.h"
#include "wire/mvccpb.pb-c.h"

enum { ROUNDS = 3000 };

static struct slice pb_slice(ProtobufCBinaryData b)
{
    return wire_pb_slice(b);
}

static void encode_kv(struct buf *out, const struct wire_kv *kv)
{
    size_t size = wire_kv_size(kv);
    buf_clear(out);
    buf_reserve(out, size + 1);
    out->data[size] = 0xee;
    wire_kv_encode(kv, out->data);
    assert_int_equal(out->data[size], 0xee);
    out->len = size;
}

/* storage-formats 2.2: bytes as etcd stores them. */
static void test_kv_vectors(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct wire_kv kv = {.key = SLICE_LIT("foo"),
                         .create_revision = 2,
                         .mod_revision = 3,
                         .version = 2,
                         .value = SLICE_LIT("bar2")};
    encode_kv(&b, &kv);
    assert_hex(buf_slice(&b), "0a03666f6f 1002 1803 2002 2a0462617232");
    encode_kv(&b, &(struct wire_kv){.key = SLICE_LIT("foo")});
    assert_hex(buf_slice(&b), "0a03666f6f");
    struct buf in = hex_buf("0a026c6b 1006 1806 2001 2a026c76 3089fcc48ac2c1e8e562");
    assert_int_equal(wire_kv_decode(buf_slice(&in), &kv), 0);
    assert_true(slice_equal_cstr(kv.key, "lk") && slice_equal_cstr(kv.value, "lv"));
    encode_kv(&b, &kv);
    assert_slice(buf_slice(&b), buf_slice(&in));
    encode_kv(&b, &(struct wire_kv){0});
    assert_int_equal(b.len, 0);
    buf_deinit(&in);
    buf_deinit(&b);
}

static void test_kv_random(void **state)
{
    (void)state;
    struct prng p;
    struct arena a;
    struct buf in = BUF_INIT, out = BUF_INIT;
    prng_init(&p, 1);
    arena_init(&a, 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct wire_kv kv;
        random_packed(&p, &a, &mvccpb__key_value__descriptor, &in);
        struct slice s = exact_copy(buf_slice(&in));
        assert_int_equal(wire_kv_decode(s, &kv), 0);
        encode_kv(&out, &kv);
        assert_slice(buf_slice(&out), s);
        exact_free(s);
        arena_reset(&a);
    }
    buf_deinit(&in);
    buf_deinit(&out);
    arena_deinit(&a);
}

/* Decoded fields against protobuf-c's own decoder, and the encoding back. */
static void check_range(struct slice in, struct buf *out)
{
    struct wire_range_req r;
    Etcdserverpb__RangeRequest *m = etcdserverpb__range_request__unpack(NULL, in.len, in.data);
    assert_non_null(m);
    assert_int_equal(wire_range_req_decode(in, &r), 0);
    assert_slice(r.key, pb_slice(m->key));
    assert_slice(r.range_end, pb_slice(m->range_end));
    assert_true(r.limit == m->limit && r.revision == m->revision);
    assert_true(r.sort_order == (int32_t)m->sort_order);
    assert_true(r.sort_target == (int32_t)m->sort_target);
    assert_true(r.serializable == m->serializable && r.keys_only == m->keys_only);
    assert_true(r.count_only == m->count_only);
    assert_true(r.min_mod_revision == m->min_mod_revision);
    assert_true(r.max_mod_revision == m->max_mod_revision);
    assert_true(r.min_create_revision == m->min_create_revision);
    assert_true(r.max_create_revision == m->max_create_revision);
    etcdserverpb__range_request__free_unpacked(m, NULL);
    wire_range_req_encode(out, &r);
}

static void check_put(struct slice in, struct buf *out)
{
    struct wire_put_req r;
    Etcdserverpb__PutRequest *m = etcdserverpb__put_request__unpack(NULL, in.len, in.data);
    assert_non_null(m);
    assert_int_equal(wire_put_req_decode(in, &r), 0);
    assert_slice(r.key, pb_slice(m->key));
    assert_slice(r.value, pb_slice(m->value));
    assert_true(r.lease == m->lease && r.prev_kv == m->prev_kv);
    assert_true(r.ignore_value == m->ignore_value && r.ignore_lease == m->ignore_lease);
    etcdserverpb__put_request__free_unpacked(m, NULL);
    wire_put_req_encode(out, &r);
    assert_int_equal(wire_put_req_size_min(&r), out->len);
}

static void check_delete(struct slice in, struct buf *out)
{
    struct wire_delete_req r;
    assert_int_equal(wire_delete_req_decode(in, &r), 0);
    wire_delete_req_encode(out, &r);
    assert_int_equal(wire_delete_req_size_min(&r), out->len);
}

static void check_compaction(struct slice in, struct buf *out)
{
    struct wire_compaction_req r;
    assert_int_equal(wire_compaction_req_decode(in, &r), 0);
    wire_compaction_req_encode(out, &r);
    assert_int_equal(wire_compaction_req_size_min(&r), out->len);
}

static void check_header(struct slice in, struct buf *out)
{
    struct wire_header h;
    assert_int_equal(wire_header_decode(in, &h), 0);
    size_t size = wire_header_size(&h);
    wire_header_encode(&h, buf_extend(out, size));
}

typedef void (*check_fn)(struct slice in, struct buf *out);

static void random_requests(const ProtobufCMessageDescriptor *d, check_fn check, uint64_t seed)
{
    struct prng p;
    struct arena a;
    struct buf in = BUF_INIT, out = BUF_INIT;
    prng_init(&p, seed);
    arena_init(&a, 0);
    for (int i = 0; i < ROUNDS; i++) {
        random_packed(&p, &a, d, &in);
        struct slice s = exact_copy(buf_slice(&in));
        buf_clear(&out);
        buf_reserve(&out, 1);
        check(s, &out);
        assert_slice(buf_slice(&out), s);
        exact_free(s);
        arena_reset(&a);
    }
    buf_deinit(&in);
    buf_deinit(&out);
    arena_deinit(&a);
}

static void test_requests_random(void **state)
{
    (void)state;
    random_requests(&etcdserverpb__range_request__descriptor, check_range, 2);
    random_requests(&etcdserverpb__put_request__descriptor, check_put, 3);
    random_requests(&etcdserverpb__delete_range_request__descriptor, check_delete, 4);
    random_requests(&etcdserverpb__compaction_request__descriptor, check_compaction, 5);
    random_requests(&etcdserverpb__response_header__descriptor, check_header, 6);
}

/* Every prefix: either refused, or the cut fell between two fields. */
static void test_truncation(void **state)
{
    (void)state;
    struct buf in = hex_buf("0a0461626364 1080808001 18ffffffffffffffffff01 2a03787878 3096ffff0f");
    size_t good = 0;
    for (size_t n = 0; n <= in.len; n++) {
        struct wire_kv kv = {.lease = -7};
        struct slice s = exact_copy(slice_make(in.data, n));
        int err = wire_kv_decode(s, &kv);
        assert_true(err == 0 || err == ERR_TRUNCATED);
        assert_true(err == 0 || kv.lease == -7);
        good += err == 0;
        exact_free(s);
    }
    assert_int_equal(good, 6);
    buf_deinit(&in);
}

static int decode_hex(const char *hex, struct wire_put_req *r)
{
    struct buf in = hex_buf(hex);
    struct slice s = exact_copy(buf_slice(&in));
    int err = wire_put_req_decode(s, r);
    r->key = r->value = SLICE_NULL;
    exact_free(s);
    buf_deinit(&in);
    return err;
}

static void test_malformed(void **state)
{
    static const struct {
        const char *hex;
        int err;
    } cases[] = {
        {"", 0},
        {"0001", ERR_MALFORMED},                     /* field 0 */
        {"07", ERR_MALFORMED},                       /* wire type 7 */
        {"06", ERR_MALFORMED},                       /* field 0 and wire type 6 */
        {"0e00", ERR_MALFORMED},                     /* wire type 6 */
        {"0c", ERR_MALFORMED},                       /* end of a group that is not open */
        {"0b0c", 0},                                 /* an empty group of a known field */
        {"0b0801120161130a00140c", 0},               /* a group in a group */
        {"0b14", ERR_MALFORMED},                     /* closed by another field */
        {"0b", ERR_TRUNCATED},                       /* not closed */
        {"0b0805", ERR_TRUNCATED},                   /* the same, behind a field */
        {"18ffffffffffffffffff01", 0},               /* -1 */
        {"18ffffffffffffffffff02", ERR_MALFORMED},   /* 65 bits */
        {"18ffffffffffffffffffff01", ERR_MALFORMED}, /* 11 bytes */
        {"188000", 0},                               /* longer than needed, allowed */
        {"9880808000 05", 0},                        /* so is a tag */
        {"8080808010 00", ERR_MALFORMED},            /* field 2^29 */
        {"f8ffffff0f 00", 0},                        /* field 2^29 - 1 */
        {"0affffffffffffffffff01", ERR_TRUNCATED},   /* length 2^64 - 1 */
        {"0a05616263", ERR_TRUNCATED},               /* length beyond the end */
        {"09 0102030405060708", 0},                  /* key as fixed64: unknown */
        {"09 01020304050607", ERR_TRUNCATED},        /* cut */
        {"0d 01020304", 0},                          /* key as fixed32 */
        {"0d 010203", ERR_TRUNCATED},                /* cut */
        {"08 01", 0},                                /* key as varint */
        {"a20600", 0},                               /* unknown field 100 */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_put_req r = {0};
        assert_int_equal(decode_hex(cases[i].hex, &r), cases[i].err);
    }
}

static void test_last_wins(void **state)
{
    (void)state;
    struct wire_put_req r = {0};
    assert_int_equal(decode_hex("1801 1802 2005 28 8080808080808080 8001 3000", &r), 0);
    assert_true(r.lease == 2 && r.prev_kv && r.ignore_value && !r.ignore_lease);
    assert_int_equal(decode_hex("1801 1a0161", &r), 0);
    assert_true(r.lease == 1);
}

static void test_group_depth(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct wire_put_req r;
    for (int i = 0; i < WIRE_TXN_DEPTH_MAX; i++) {
        buf_append_byte(&b, 0x0b);
    }
    for (int i = 0; i < WIRE_TXN_DEPTH_MAX; i++) {
        buf_append_byte(&b, 0x0c);
    }
    assert_int_equal(wire_put_req_decode(buf_slice(&b), &r), 0);
    buf_clear(&b);
    for (int i = 0; i <= WIRE_TXN_DEPTH_MAX; i++) {
        buf_append_byte(&b, 0x0b);
    }
    assert_int_equal(wire_put_req_decode(buf_slice(&b), &r), ERR_LIMIT);
    buf_deinit(&b);
}

static void test_append(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    wire_append_header(&b, &(struct wire_header){.cluster_id = 1, .revision = -1});
    wire_append_u64(&b, 3, 0);
    wire_append_u64(&b, 3, 300);
    wire_append_bytes(&b, 4, SLICE_NULL);
    wire_append_message(&b, 4, SLICE_NULL);
    wire_append_bytes(&b, 64, SLICE_LIT("ab"));
    size_t start = b.len;
    wire_append_u64(&b, 1, 1);
    wire_close_message(&b, start, 11);
    assert_hex(buf_slice(&b), "0a0d 0801 18ffffffffffffffffff01 18ac02 2200 82040261 62 5a020801");
    buf_deinit(&b);
}

static void test_utf8(void **state)
{
    static const struct {
        const char *hex;
        bool valid;
    } cases[] = {
        {"", true},          {"00", true},        {"7f", true},       {"c3a9", true},
        {"e282ac", true},    {"efbfbd", true},    {"f09f9880", true}, {"f48fbfbf", true},
        {"80", false},       {"c0af", false},     {"c1bf", false},    {"c3", false},
        {"e08080", false},   {"eda080", false},   {"edbfbf", false},  {"f4908080", false},
        {"f0808080", false}, {"f5808080", false}, {"61e282", false},  {"c3a961ff", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = hex_buf(cases[i].hex);
        struct slice s = exact_copy(buf_slice(&b));
        assert_int_equal(wire_utf8_valid(s), cases[i].valid);
        exact_free(s);
        buf_deinit(&b);
    }
}

static void test_prefix_end(void **state)
{
    (void)state;
    static const struct {
        struct slice prefix, end;
    } rows[] = {
        {SLICE_LIT("a"), SLICE_LIT("b")},
        {SLICE_LIT("ab"), SLICE_LIT("ac")},
        {SLICE_LIT("a\xff"), SLICE_LIT("b")},
        {SLICE_LIT("a\xff\xff"), SLICE_LIT("b")},
        {SLICE_LIT("\xff\xff"), SLICE_LIT("\0")},
        {SLICE_LIT(""), SLICE_LIT("\0")},
        {SLICE_LIT("a\xff"
                   "b"),
         SLICE_LIT("a\xff"
                   "c")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t to[8];
        assert_true(slice_equal(wire_prefix_end(rows[i].prefix, to), rows[i].end));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_vectors),
        cmocka_unit_test(test_kv_random),
        cmocka_unit_test(test_requests_random),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_last_wins),
        cmocka_unit_test(test_group_depth),
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_prefix_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
