/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics/registry: inside of struct metrics, for the two files of this folder that need it.
 */
#ifndef METRICS_REGISTRY_H
#define METRICS_REGISTRY_H

#include "base/arena.h"
#include "metrics/metrics.h"

struct metric_node {
    struct metric_series series;
    char *values[METRICS_LABELS_MAX];
};

struct metric_family {
    struct metric_node **nodes; /* by label values, ascending */
    size_t count;
    size_t cap;
    struct metric_node *plain;    /* no labels */
    struct metric_node *overflow; /* beyond METRICS_SERIES_MAX, not shown */
    const double *bounds;
    size_t bound_count;
    bool is_hidden;
};

struct metrics_collector {
    metrics_collect_fn fn;
    void *arg;
};

struct metrics {
    struct arena arena;
    struct metric_family families[METRIC_COUNT];
    struct metrics_collector collectors[METRICS_COLLECTORS_MAX];
    size_t collector_count;
};

const char *metrics_help(enum metric_id id);

#endif
