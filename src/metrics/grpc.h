/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics/grpc: the grpc_server_* series of one method, kept as pointers for the hot path.
 *
 * Problem     Alerts divide these counters, so every method but Lock's and Election's must show 0
 *             for all 17 codes from the start.
 * Thread      main loop, as metrics/metrics.
 */
#ifndef METRICS_GRPC_H
#define METRICS_GRPC_H

#include "base/err.h"
#include "metrics/metrics.h"

enum { METRICS_GRPC_CODES = GRPC_UNAUTHENTICATED + 1 };

struct metrics_grpc_method {
    struct metric_series *started;
    struct metric_series *received;
    struct metric_series *sent;
    struct metric_series *handled[METRICS_GRPC_CODES];
    struct metric_series *handling_seconds; /* NULL unless --metrics=extensive */
};

/* service "etcdserverpb.KV", method "Range", type "unary", "server_stream", "bidi_stream". */
void metrics_grpc_init(struct metrics *m, const char *service, const char *method, const char *type,
                       bool extensive, struct metrics_grpc_method *out);
/* "OK", "InvalidArgument", ...: the grpc_code label. */
const char *metrics_grpc_code(enum grpc_code code);

#endif
