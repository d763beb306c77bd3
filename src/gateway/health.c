/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/health: /health, /livez and /readyz (client-api 6.1, 6.2).
 *
 * A page is a list of checks; those that read the store answer later, the page is written when the
 * last one has.
 */
#include <stdio.h>

#include "apply/apply.h"
#include "base/log.h"
#include "gateway/internal.h"

enum check_kind { CHECK_SERIALIZABLE, CHECK_LINEARIZABLE, CHECK_CORRUPTION, CHECK_LEARNER };

struct check {
    const char *name;
    enum check_kind kind;
};

static const struct check livez_checks[] = {{"serializable_read", CHECK_SERIALIZABLE}};
static const struct check readyz_checks[] = {
    {"data_corruption", CHECK_CORRUPTION},
    {"serializable_read", CHECK_SERIALIZABLE},
    {"linearizable_read", CHECK_LINEARIZABLE},
    {"non_learner", CHECK_LEARNER},
};

enum { CHECKS_MAX = 4 };

struct check_run {
    struct page *page;
    const struct check *check;
    char text[160]; /* empty: ok */
};

/* One page under way. */
struct page {
    struct gateway *gateway;
    struct rpc_http_req *req; /* NULL: the client has gone */
    const char *type;         /* "livez", "readyz" */
    struct check_run runs[CHECKS_MAX];
    size_t count;
    size_t waiting;
    bool is_verbose;
};

/* ---- /health ---- */

static void health_body(struct rpc_http_req *req, struct gateway *g, const char *reason)
{
    if (reason == NULL) {
        metrics_add(g->o.metrics, METRIC_SERVER_HEALTH_SUCCESS, 1);
        gateway_text(req, 200, SLICE_LIT("{\"health\":\"true\",\"reason\":\"\"}"), false);
        return;
    }
    metrics_add(g->o.metrics, METRIC_SERVER_HEALTH_FAILURES, 1);
    struct buf out = BUF_INIT;
    buf_append_cstr(&out, "{\"health\":\"false\",\"reason\":");
    log_json_string(&out, reason, strlen(reason));
    buf_append_cstr(&out, "}\n");
    gateway_text(req, 503, buf_slice(&out), true);
    buf_deinit(&out);
}

static void health_probed(void *arg, int err)
{
    struct page *p = arg;
    if (p->req != NULL && err != 0) {
        char reason[200];
        (void)snprintf(reason, sizeof(reason), "RANGE ERROR:%s", err_text(err));
        health_body(p->req, p->gateway, reason);
    } else if (p->req != NULL) {
        health_body(p->req, p->gateway, NULL);
    }
    mem_free(p);
}

static const char *alarm_reason(struct gateway *g, struct rpc_http_req *req)
{
    struct apply *a = core_apply(driver_core(g->o.driver));
    for (size_t i = 0; i < apply_alarm_count(a); i++) {
        int32_t type = apply_alarm_at(a, i).type;
        if (type == SCHEMA_ALARM_NOSPACE) {
            if (!gateway_query_has(req, "exclude", "NOSPACE")) {
                return "ALARM NOSPACE";
            }
        } else if (type == SCHEMA_ALARM_CORRUPT) {
            if (!gateway_query_has(req, "exclude", "CORRUPT")) {
                return "ALARM CORRUPT";
            }
        } else {
            return "ALARM UNKNOWN";
        }
    }
    return NULL;
}

void gateway_health(void *arg, struct rpc_http_req *req)
{
    struct gateway *g = arg;
    if (gateway_get_only(req)) {
        return;
    }
    bool is_serializable = gateway_query_has(req, "serializable", "true");
    const char *reason = alarm_reason(g, req);
    struct core_status st;
    core_status(driver_core(g->o.driver), &st);
    if (reason == NULL && !is_serializable && st.leader == 0) {
        reason = "RAFT NO LEADER";
    }
    if (reason != NULL) {
        health_body(req, g, reason);
        return;
    }
    struct page *p = mem_zalloc(sizeof(*p));
    p->gateway = g;
    p->req = req;
    rpc_http_set_user(req, p);
    service_probe(g->o.service, is_serializable, health_probed, p);
}

void gateway_health_gone(void *arg, struct rpc_http_req *req)
{
    (void)arg;
    struct page *p = rpc_http_user(req);
    if (p != NULL) {
        p->req = NULL;
    }
}

/* ---- /livez, /readyz ---- */

static void count_check(const struct page *p, const struct check_run *run)
{
    struct metrics *m = p->gateway->o.metrics;
    bool is_ok = run->text[0] == 0;
    const char *state[] = {run->check->name, p->type};
    const char *total[] = {run->check->name, is_ok ? "success" : "error", p->type};
    metric_set(metrics_with(m, METRIC_SERVER_HEALTHCHECK, state), is_ok ? 1 : 0);
    metric_add(metrics_with(m, METRIC_SERVER_HEALTHCHECKS_TOTAL, total), 1);
}

static void page_write(struct page *p)
{
    struct buf out = BUF_INIT;
    bool is_ok = true;
    for (size_t i = 0; i < p->count; i++) {
        const struct check_run *run = &p->runs[i];
        count_check(p, run);
        if (run->text[0] == 0) {
            buf_printf(&out, "[+]%s ok\n", run->check->name);
        } else {
            buf_printf(&out, "[-]%s failed: %s\n", run->check->name, run->text);
            is_ok = false;
        }
    }
    if (is_ok && !p->is_verbose) {
        buf_clear(&out);
    }
    buf_append_cstr(&out, is_ok ? "ok\n" : "\n");
    if (p->req != NULL) {
        gateway_text(p->req, is_ok ? 200 : 503, buf_slice(&out), true); /* nosniff always */
    }
    buf_deinit(&out);
    mem_free(p);
}

static void check_probed(void *arg, int err)
{
    struct check_run *run = arg;
    if (err != 0) {
        (void)snprintf(run->text, sizeof(run->text), "%s", err_text(err));
    }
    if (--run->page->waiting == 0) {
        page_write(run->page);
    }
}

static void check_start(struct check_run *run)
{
    struct gateway *g = run->page->gateway;
    struct core *core = driver_core(g->o.driver);
    struct core_status st;
    switch (run->check->kind) {
    case CHECK_SERIALIZABLE:
    case CHECK_LINEARIZABLE:
        run->page->waiting++;
        service_probe(g->o.service, run->check->kind == CHECK_SERIALIZABLE, check_probed, run);
        break;
    case CHECK_CORRUPTION:
        if (apply_has_alarm(core_apply(core), SCHEMA_ALARM_CORRUPT)) {
            (void)snprintf(run->text, sizeof(run->text), "alarm activated: CORRUPT");
        }
        break;
    case CHECK_LEARNER:
        core_status(core, &st);
        if (st.raft.is_learner) {
            (void)snprintf(run->text, sizeof(run->text), "not supported for learner");
        }
        break;
    }
}

/* The check named behind the prefix, all when there is none; false: unknown name. */
static bool page_select(struct page *p, const struct check *checks, size_t count)
{
    struct slice path = rpc_http_path(p->req);
    size_t prefix = 1 + strlen(p->type);
    struct slice name = path.len > prefix + 1 ? slice_skip(path, prefix + 1) : SLICE_NULL;
    for (size_t i = 0; i < count; i++) {
        bool is_wanted = name.len > 0 ? slice_equal_cstr(name, checks[i].name)
                                      : !gateway_query_has(p->req, "exclude", checks[i].name);
        if (is_wanted) {
            p->runs[p->count++] = (struct check_run){.page = p, .check = &checks[i]};
        }
    }
    return name.len == 0 || p->count > 0;
}

static void checks_page(struct gateway *g, struct rpc_http_req *req, const char *type,
                        const struct check *checks, size_t count)
{
    struct page *p = mem_zalloc(sizeof(*p));
    p->gateway = g;
    p->req = req;
    p->type = type;
    p->is_verbose = gateway_query_has(req, "verbose", NULL);
    bool is_known = page_select(p, checks, count);
    if (!is_known || gateway_get_only(req)) {
        mem_free(p);
        if (!is_known) {
            gateway_not_found(req);
        }
        return;
    }
    rpc_http_set_user(req, p);
    p->waiting = 1; /* this loop */
    for (size_t i = 0; i < p->count; i++) {
        check_start(&p->runs[i]);
    }
    if (--p->waiting == 0) {
        page_write(p);
    }
}

void gateway_livez(void *arg, struct rpc_http_req *req)
{
    checks_page(arg, req, "livez", livez_checks, ARRAY_LEN(livez_checks));
}

void gateway_readyz(void *arg, struct rpc_http_req *req)
{
    checks_page(arg, req, "readyz", readyz_checks, ARRAY_LEN(readyz_checks));
}
