/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/grpc.h"

const char *metrics_grpc_code(enum grpc_code code)
{
    static const char *const names[METRICS_GRPC_CODES] = {
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    };
    ensure((size_t)code < ARRAY_LEN(names));
    return names[code];
}

void metrics_grpc_init(struct metrics *m, const char *service, const char *method, const char *type,
                       bool extensive, struct metrics_grpc_method *out)
{
    const char *labels[] = {"", method, service, type}; /* grpc_code first, by name */
    out->started = metrics_with(m, METRIC_GRPC_SERVER_STARTED_TOTAL, labels + 1);
    out->received = metrics_with(m, METRIC_GRPC_SERVER_MSG_RECEIVED_TOTAL, labels + 1);
    out->sent = metrics_with(m, METRIC_GRPC_SERVER_MSG_SENT_TOTAL, labels + 1);
    for (int code = 0; code < METRICS_GRPC_CODES; code++) {
        labels[0] = metrics_grpc_code((enum grpc_code)code);
        out->handled[code] = metrics_with(m, METRIC_GRPC_SERVER_HANDLED_TOTAL, labels);
    }
    out->handling_seconds = NULL;
    if (extensive) {
        out->handling_seconds = metrics_with(m, METRIC_GRPC_SERVER_HANDLING_SECONDS, labels + 1);
    }
}
