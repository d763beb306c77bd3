/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_check_stats: figures of a load, and the memory of a member out of its /metrics.
 */
#include <math.h>
#include <stdlib.h>

#include "client/endpoint.h"
#include "cmd/ctl_check.h"
#include "os/os.h"
#include "rpc/http_client.h"

enum { METRICS_MAX = 16 << 20, METRICS_WAIT_MS = 30000 };

void ctl_check_add(struct ctl_check_stats *s, double seconds)
{
    s->count++;
    s->sum += seconds;
    s->squares += seconds * seconds;
    s->slowest = seconds > s->slowest ? seconds : s->slowest;
}

static double stddev(const struct ctl_check_stats *s)
{
    if (s->count == 0) {
        return 0;
    }
    double mean = s->sum / (double)s->count;
    double variance = s->squares / (double)s->count - mean * mean;
    return variance > 0 ? sqrt(variance) : 0;
}

bool ctl_check_verdict(const struct ctl_check_stats *s, size_t rate, bool has_failed,
                       struct buf *out)
{
    double per_second = s->seconds > 0 ? (double)s->count / s->seconds : 0;
    double deviation = stddev(s);
    bool is_fast = per_second / (double)rate > 0.9;
    bool is_even = s->slowest <= 0.5, is_steady = deviation <= 0.1;
    buf_printf(out,
               is_fast ? "PASS: Throughput is %lld writes/s\n"
                       : "FAIL: Throughput too low: %lld writes/s\n",
               (long long)per_second + 1);
    buf_printf(
        out, is_even ? "PASS: Slowest request took %fs\n" : "Slowest request took too long: %fs\n",
        s->slowest);
    buf_printf(out, is_steady ? "PASS: Stddev is %fs\n" : "Stddev too high: %fs\n", deviation);
    bool is_ok = is_fast && is_even && is_steady && !has_failed;
    buf_append_cstr(out, is_ok ? "PASS\n" : "FAIL\n");
    return is_ok;
}

/* ---- /metrics ---- */

struct page {
    struct env *env;
    struct buf body;
    struct env_timer hang;
    bool is_over;
    bool is_bad;
};

static void page_end(struct page *p, bool is_bad)
{
    p->is_over = true;
    p->is_bad = p->is_bad || is_bad;
    os_loop_stop(p->env);
}

static void on_body(void *arg, struct slice bytes)
{
    struct page *p = arg;
    if (p->body.len + bytes.len > METRICS_MAX) {
        page_end(p, true);
    } else {
        buf_append_slice(&p->body, bytes);
    }
}

static void on_end(void *arg)
{
    page_end(arg, false);
}

static void on_down(void *arg, int err)
{
    struct page *p = arg;
    (void)err;
    if (!p->is_over) {
        page_end(p, true);
    }
}

static void on_hang(struct env_timer *t)
{
    page_end(container_of(t, struct page, hang), true);
}

static const struct rpc_http_client_events page_events = {
    .on_body = on_body, .on_end = on_end, .on_down = on_down};

static bool fetch(struct ctl *c, const char *addr, const struct rpc_tls_factory *tls,
                  struct page *p)
{
    struct rpc_http_client *http;
    struct env_exec *exec = c->env->exec;
    struct rpc_http_client_options opts = {
        .env = c->env, .addr = addr, .tls = tls, .events = &page_events, .arg = p};
    *p = (struct page){.env = c->env, .body = BUF_INIT, .hang = {.fire = on_hang}};
    if (rpc_http_client_open(&opts, &http) != 0) {
        return false;
    }
    rpc_http_client_request(http, "GET", "/metrics", NULL, 0, SLICE_NULL);
    exec->ops->timer_start(exec, &p->hang, METRICS_WAIT_MS);
    while (!p->is_over) {
        os_loop_run(c->env);
    }
    exec->ops->timer_stop(exec, &p->hang);
    rpc_http_client_destroy(http);
    return !p->is_bad;
}

double ctl_check_memory(struct ctl *c)
{
    static const char name[] = "\nprocess_resident_memory_bytes ";
    const struct cli_value *v = cli_value(c->cli, "endpoints");
    struct client_endpoint e = {0};
    struct page p;
    double value = 0;
    if (v->list_count == 0 || client_endpoint_parse(v->list[0], &e) != 0) {
        return 0;
    }
    const struct rpc_tls_factory *tls = e.tls == CLIENT_TLS_NEED ? &c->tls.source.factory : NULL;
    if (!fetch(c, e.addr, tls, &p)) {
        buf_printf(&c->out, "fetch error: Get \"http://%s/metrics\": %s\n", e.addr, "no answer");
    } else {
        const char *at = strstr(buf_cstr(&p.body), name);
        if (at == NULL) {
            buf_append_cstr(&c->out, "could not find: process_resident_memory_bytes\n");
        } else {
            value = strtod(at + sizeof(name) - 1, NULL);
        }
    }
    buf_deinit(&p.body);
    client_endpoint_deinit(&e);
    return value;
}
