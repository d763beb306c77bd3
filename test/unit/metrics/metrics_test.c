/* SPDX-License-Identifier: Apache-2.0
 *
 * The main test feeds the values of a page scraped from etcd 3.7.1 into the registry and demands
 * the same page back, byte for byte.  The page lacks go_* (which Cairn does not have) and, for its
 * size, the grpc_server_* series of all services but three.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "metrics/grpc.h"
#include "metrics/metrics.h"

enum { LINE_BYTES = 1024 };

static void read_page(struct buf *out)
{
    FILE *f = fopen(TEST_DATA "/etcd_3.7.1.txt", "r");
    assert_non_null(f);
    for (int c = fgetc(f); c != EOF; c = fgetc(f)) {
        buf_append_byte(out, (uint8_t)c);
    }
    (void)fclose(f);
    assert_true(out->len > 50000);
}

/* One sample line taken apart in place. */
struct sample {
    char *name;
    char *values[METRICS_LABELS_MAX + 1];
    size_t value_count;
    char *le;
    double number;
};

static void parse_sample(char *line, struct sample *s)
{
    char *space = strrchr(line, ' ');
    *s = (struct sample){.name = line, .number = strtod(space + 1, NULL)};
    *space = 0;
    char *brace = strchr(line, '{');
    if (brace == NULL) {
        return;
    }
    *brace = 0;
    for (char *label = strtok(brace + 1, ",}"); label != NULL; label = strtok(NULL, ",}")) {
        char *quote = strchr(label, '"');
        quote[strlen(quote) - 1] = 0;
        if (strncmp(label, "le=", 3) == 0) {
            s->le = quote + 1;
        } else {
            s->values[s->value_count++] = quote + 1;
        }
    }
}

static bool has_suffix(const char *s, const char *name, const char *suffix)
{
    size_t n = strlen(name);
    return strncmp(s, name, n) == 0 && strcmp(s + n, suffix) == 0;
}

static int find_family(const char *name)
{
    for (int id = 0; id < METRIC_COUNT; id++) {
        const char *family = metrics_name((enum metric_id)id);
        bool histogram = metrics_kind((enum metric_id)id) == METRIC_KIND_HISTOGRAM;
        if (histogram ? has_suffix(name, family, "_bucket") || has_suffix(name, family, "_sum") ||
                            has_suffix(name, family, "_count")
                      : strcmp(name, family) == 0) {
            return id;
        }
    }
    print_error("no family for %s\n", name);
    fail();
    return 0;
}

/* Buckets come in ascending order, cumulative. */
static void feed_bucket(struct metric_series *series, const struct sample *s)
{
    uint64_t before = 0;
    size_t i = 0;
    double bound = strtod(s->le, NULL);
    for (; i < series->bound_count && series->bounds[i] != bound; i++) {
        before += series->counts[i];
    }
    assert_true(i < series->bound_count || strcmp(s->le, "+Inf") == 0);
    series->counts[i] = (uint64_t)s->number - before;
}

static void feed(struct metrics *m, char *line)
{
    struct sample s;
    struct slice names[METRICS_LABELS_MAX];
    parse_sample(line, &s);
    enum metric_id id = (enum metric_id)find_family(s.name);
    assert_int_equal(metrics_labels(id, names), s.value_count);
    struct metric_series *series =
        s.value_count == 0 ? metrics_at(m, id) : metrics_with(m, id, (const char *const *)s.values);
    if (s.le != NULL) {
        feed_bucket(series, &s);
    } else if (metrics_kind(id) != METRIC_KIND_HISTOGRAM ||
               !has_suffix(s.name, metrics_name(id), "_count")) {
        metric_set(series, s.number);
    }
}

/* The first line that differs, for people. */
static void show_difference(const char *got, const char *want)
{
    while (*got != 0 && *want != 0) {
        size_t g = strcspn(got, "\n"), w = strcspn(want, "\n");
        if (g != w || strncmp(got, want, g) != 0) {
            print_error("got  %.*s\nwant %.*s\n", (int)g, got, (int)w, want);
            return;
        }
        got += g + 1;
        want += w + 1;
    }
}

static void test_same_page(void **state)
{
    (void)state;
    struct metrics *m = metrics_create();
    struct buf want = BUF_INIT, got = BUF_INIT;
    char line[LINE_BYTES];
    read_page(&want);
    for (const char *p = buf_cstr(&want); *p != 0; p += strcspn(p, "\n") + 1) {
        (void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
        if (line[0] != '#') {
            feed(m, line);
        }
    }
    metrics_write(m, &got);
    show_difference(buf_cstr(&got), buf_cstr(&want));
    assert_true(slice_equal(buf_slice(&got), buf_slice(&want)));
    buf_deinit(&want);
    buf_deinit(&got);
    metrics_destroy(m);
}

/* A fresh registry shows what etcd shows before the first request, with zeros. */
static void test_zero_series(void **state)
{
    (void)state;
    struct metrics *m = metrics_create();
    struct metrics_grpc_method method;
    struct buf got = BUF_INIT;
    metrics_grpc_init(m, "etcdserverpb.KV", "Range", "unary", true, &method);
    metrics_write(m, &got);
    const char *page = buf_cstr(&got);
    static const char *const lines[] = {
        "\netcd_server_has_leader 0\n",
        "\netcd_disk_wal_fsync_duration_seconds_bucket{le=\"8.192\"} 0\n",
        "\netcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 0\n",
        "\npromhttp_metric_handler_requests_total{code=\"503\"} 0\n",
        "\ngrpc_server_handled_total{grpc_code=\"Canceled\",grpc_method=\"Range\",grpc_service="
        "\"etcdserverpb.KV\",grpc_type=\"unary\"} 0\n",
        "\ngrpc_server_handling_seconds_bucket{grpc_method=\"Range\",grpc_service=\"etcdserverpb."
        "KV\","
        "grpc_type=\"unary\",le=\"0.025\"} 0\n",
        "\netcd_debugging_lease_ttl_total_bucket{le=\"8.388608e+06\"} 0\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_non_null(strstr(page, lines[i]));
    }
    assert_null(strstr(page, "etcd_network_peer_sent_bytes_total"));
    assert_non_null(method.handling_seconds);
    buf_deinit(&got);
    metrics_destroy(m);
}

static void test_observe(void **state)
{
    (void)state;
    struct metrics *m = metrics_create();
    struct metric_series *s = metrics_at(m, METRIC_DISK_WAL_FSYNC_DURATION_SECONDS);
    metric_observe(s, 0.001); /* on a bound: inside */
    metric_observe(s, 0.0011);
    metric_observe(s, -1);
    metric_observe(s, 8.192);
    metric_observe(s, 8.193);
    metrics_observe(m, METRIC_DISK_WAL_FSYNC_DURATION_SECONDS, 1e9);
    assert_int_equal(s->bound_count, 14);
    assert_int_equal(s->counts[0], 2);
    assert_int_equal(s->counts[1], 1);
    assert_int_equal(s->counts[13], 1);
    assert_int_equal(s->counts[14], 2);
    metrics_destroy(m);
}

static void test_labels(void **state)
{
    (void)state;
    struct metrics *m = metrics_create();
    struct buf got = BUF_INIT;
    const char *odd[] = {"a\\b\"c\nd\xff", "unary"};
    const char *first[] = {"3.7", "unary"}, *second[] = {"3.7", "stream"};
    metric_add(metrics_with(m, METRIC_SERVER_CLIENT_REQUESTS_TOTAL, odd), 1234567);
    metric_add(metrics_with(m, METRIC_SERVER_CLIENT_REQUESTS_TOTAL, first), 1);
    metric_add(metrics_with(m, METRIC_SERVER_CLIENT_REQUESTS_TOTAL, second), 2);
    metric_add(metrics_with(m, METRIC_SERVER_CLIENT_REQUESTS_TOTAL, first), 1);
    assert_ptr_equal(metrics_with(m, METRIC_SERVER_CLIENT_REQUESTS_TOTAL, odd),
                     metrics_with(m, METRIC_SERVER_CLIENT_REQUESTS_TOTAL, odd));
    metrics_write(m, &got);
    assert_non_null(strstr(
        buf_cstr(&got),
        "# TYPE etcd_server_client_requests_total counter\n"
        "etcd_server_client_requests_total{client_api_version=\"3.7\",type=\"stream\"} 2\n"
        "etcd_server_client_requests_total{client_api_version=\"3.7\",type=\"unary\"} 2\n"
        "etcd_server_client_requests_total{client_api_version=\"a\\\\b\\\"c\\nd\xef\xbf\xbd\","
        "type=\"unary\"} 1.234567e+06\n"));
    buf_deinit(&got);
    metrics_destroy(m);
}

static void test_series_bound(void **state)
{
    (void)state;
    struct metrics *m = metrics_create();
    struct metric_series *first = NULL, *last = NULL;
    struct buf got = BUF_INIT;
    for (int i = 0; i < METRICS_SERIES_MAX + 10; i++) {
        char version[16];
        const char *values[] = {version, "unary"};
        (void)snprintf(version, sizeof(version), "v%d", i);
        last = metrics_with(m, METRIC_SERVER_CLIENT_REQUESTS_TOTAL, values);
        metric_add(last, 1);
        first = i == 0 ? last : first;
    }
    assert_true(last->value == 10);
    assert_true(first->value == 1);
    metrics_write(m, &got);
    assert_null(strstr(buf_cstr(&got), "v4096"));
    buf_deinit(&got);
    metrics_destroy(m);
}

static void collect(void *arg, struct metrics *m)
{
    metrics_set(m, METRIC_PROCESS_OPEN_FDS, (*(int *)arg)++);
}

static void test_collectors(void **state)
{
    (void)state;
    struct metrics *m = metrics_create();
    struct buf got = BUF_INIT;
    int fds = 16;
    metrics_on_scrape(m, collect, &fds);
    metrics_write(m, &got);
    buf_clear(&got);
    metrics_write(m, &got);
    assert_non_null(strstr(buf_cstr(&got), "\nprocess_open_fds 17\n"));
    buf_deinit(&got);
    metrics_destroy(m);
}

/* The page is in order of name because the table is; labels are in order of name too. */
static void test_table(void **state)
{
    (void)state;
    for (int id = 0; id < METRIC_COUNT; id++) {
        struct slice names[METRICS_LABELS_MAX];
        size_t count = metrics_labels((enum metric_id)id, names);
        if (id > 0) {
            assert_true(strcmp(metrics_name((enum metric_id)(id - 1)),
                               metrics_name((enum metric_id)id)) < 0);
        }
        for (size_t i = 1; i < count; i++) {
            assert_true(slice_compare(names[i - 1], names[i]) < 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_page),    cmocka_unit_test(test_zero_series),
        cmocka_unit_test(test_observe),      cmocka_unit_test(test_labels),
        cmocka_unit_test(test_series_bound), cmocka_unit_test(test_collectors),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
