/* SPDX-License-Identifier: Apache-2.0
 *
 * server/metrics_calls: what is counted and timed of every gRPC call:
 * etcd_server_client_requests_total, etcd_server_request_duration_seconds,
 * etcd_server_range_duration_seconds and, with --metrics=extensive, grpc_server_handling_seconds.
 *
 * Series are found once and kept: on the hot path an observation is a few additions.
 */
#include <stdio.h>

#include "server/internal.h"

/* The series of one API version; clients that come one after the other mostly have the same. */
static struct metric_series *client_series(struct server *s, struct slice version, bool is_stream)
{
    struct server_client_cache *c = &s->client_cache;
    if (version.len >= sizeof(c->version)) {
        version.len = sizeof(c->version) - 1;
    }
    if (!slice_equal_cstr(version, c->version)) {
        memcpy(c->version, version.data, version.len);
        c->version[version.len] = 0;
        c->series[0] = c->series[1] = NULL;
    }
    if (c->series[is_stream] == NULL) {
        const char *labels[] = {c->version, is_stream ? "stream" : "unary"};
        c->series[is_stream] =
            metrics_with(s->metrics, METRIC_SERVER_CLIENT_REQUESTS_TOTAL, labels);
    }
    return c->series[is_stream];
}

static void count_client(struct server *s, struct grpc_call *call)
{
    struct slice version = grpc_call_metadata(call, "client-api-version");
    bool is_stream = grpc_call_method(call)->kind != GRPC_KIND_UNARY;
    version = version.len == 0 ? SLICE_LIT("unknown") : version;
    metric_add(client_series(s, version, is_stream), 1);
}

bool server_admit(void *arg, struct grpc_call *call, struct slice msg)
{
    struct server *s = arg;
    count_client(s, call);
    return service_admit(s->service, call, msg);
}

/* etcd's name of what a method asks for; NULL: it is not timed. */
static const char *request_name(const struct grpc_method *m, char text[SERVER_REQUEST_NAME_MAX])
{
    const char *const timed[] = {"Range",       "Put",         "DeleteRange", "Txn",
                                 "LeaseGrant",  "LeaseRevoke", "Alarm",       "AuthEnable",
                                 "AuthDisable", "AuthStatus",  "Authenticate"};
    if (strcmp(m->name, "Compact") == 0) {
        return "Compaction";
    }
    for (size_t i = 0; i < ARRAY_LEN(timed); i++) {
        if (strcmp(m->name, timed[i]) == 0) {
            return m->name;
        }
    }
    if (strcmp(m->service, "etcdserverpb.Auth") != 0) {
        return NULL;
    }
    (void)snprintf(text, SERVER_REQUEST_NAME_MAX, "Auth%s", m->name);
    return text;
}

static void observe_request(struct server *s, const struct grpc_method *m,
                            struct server_call_series *c, bool is_ok, double seconds)
{
    char text[SERVER_REQUEST_NAME_MAX];
    if (c->request[is_ok] == NULL && !c->is_untimed) {
        const char *labels[] = {is_ok ? "true" : "false", request_name(m, text)};
        c->is_untimed = labels[1] == NULL;
        if (c->is_untimed) {
            return;
        }
        c->request[is_ok] =
            metrics_with(s->metrics, METRIC_SERVER_REQUEST_DURATION_SECONDS, labels);
        c->range[is_ok] =
            strcmp(labels[1], "Range") == 0
                ? metrics_with(s->metrics, METRIC_SERVER_RANGE_DURATION_SECONDS, labels)
                : NULL;
    }
    if (c->request[is_ok] != NULL) {
        metric_observe(c->request[is_ok], seconds);
    }
    if (c->range[is_ok] != NULL) {
        metric_observe(c->range[is_ok], seconds);
    }
}

void server_call_handled(void *arg, struct grpc_call *call, enum grpc_code code,
                         uint64_t duration_ns)
{
    struct server *s = arg;
    size_t i = grpc_call_method_index(call);
    double seconds = (double)duration_ns / 1e9;
    if (s->grpc_metrics[i].handling_seconds != NULL) {
        metric_observe(s->grpc_metrics[i].handling_seconds, seconds);
    }
    observe_request(s, grpc_call_method(call), &s->call_series[i], code == GRPC_OK, seconds);
}
