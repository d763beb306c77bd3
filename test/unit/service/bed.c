/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/service/bed: see bed.h.
 */
#include "bed.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct service_bed sb;
struct service_options service_bed_options;

static bool admit(void *arg, struct grpc_call *call, struct slice msg)
{
    (void)arg;
    return service_admit(sb.service, call, msg);
}

/* Not random, but never the same. */
static void rand_fill(struct env_rand *r, void *out, size_t len)
{
    static uint8_t next;
    (void)r;
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)out)[i] = next++;
    }
}

static const struct env_rand_ops rand_ops = {rand_fill};
static struct env_rand bed_rand = {&rand_ops};

int service_bed_setup(void **state)
{
    (void)state;
    memset(&sb, 0, sizeof(sb));
    struct grpc_server_options o = {.admit = admit};
    bed_make_with(&sb.bed, 1 << 20, &o);
    sb.bed.f->env.rand = &bed_rand;
    fake_core_init(&sb.bed.f->env);
    service_bed_options = (struct service_options){.peers = &fake_peers,
                                                   .request_bytes_max = 1572864,
                                                   .txn_ops_max = 128,
                                                   .request_timeout_ms = 7000,
                                                   .corrupt_check_ms = 1000,
                                                   .compact_hash_check_ms = 60000};
    sb.service = service_create(&service_bed_options);
    service_register(sb.service, sb.bed.server);
    return 0;
}

int service_bed_teardown(void **state)
{
    (void)state;
    buf_deinit(&sb.r.got);
    service_stop(sb.service);
    bed_free(&sb.bed);
    service_destroy(sb.service);
    fake_core_deinit();
    return 0;
}

void ask(const char *method, const struct buf *msg)
{
    buf_deinit(&sb.r.got);
    sb.call = unary(&sb.bed, method, buf_slice(msg), &sb.r);
    settle(&sb.bed);
}

void ask_empty(const char *method)
{
    struct buf none = BUF_INIT;
    ask(method, &none);
}

void answered(struct core_request *r, int err)
{
    fake_reply(r, err);
    settle(&sb.bed);
}

static bool is_text(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20 || s.data[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_message(struct slice s)
{
    struct wire_scan w;
    for (wire_scan_init(&w, s); wire_scan_next(&w);) {
    }
    return s.len > 0 && w.err == 0 && !is_text(s);
}

static void describe(struct buf *out, struct slice msg)
{
    struct wire_scan w;
    bool is_first = true;
    for (wire_scan_init(&w, msg); wire_scan_next(&w); is_first = false) {
        buf_printf(out, "%s%u:", is_first ? "" : " ", w.field);
        if (w.type == WIRE_VARINT) {
            buf_printf(out, "%llu", (unsigned long long)w.number);
        } else if (w.bytes.len == 0 || is_message(w.bytes)) {
            buf_append_byte(out, '{');
            describe(out, w.bytes);
            buf_append_byte(out, '}');
        } else {
            buf_append_slice(out, w.bytes);
        }
    }
    assert_int_equal(w.err, 0);
}

void expect_fields(const char *want)
{
    struct buf text = BUF_INIT;
    expect(&sb.r, GRPC_OK, "");
    describe(&text, buf_slice(&sb.r.got));
    assert_string_equal(buf_cstr(&text), want);
    buf_deinit(&text);
}
