/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics/metrics: counters, gauges and histograms under etcd's names, and the text page of them.
 *
 * Problem     Dashboards and alerts know etcd's families by name, label, bucket and type; the page
 *             must be what client_golang writes, byte for byte.
 * Design      All families stand in metrics.def.  Those without labels have their one series from
 *             the start; with labels, a series exists from the first metrics_with on (as in etcd).
 *             Callers keep the pointer: an increment is one addition.
 * Ownership   metrics_create / metrics_destroy; series belong to the registry and stay where they
 *             are until it is destroyed.
 * Thread      main loop only: other threads send what they measured along with their results.
 * Limits      METRICS_SERIES_MAX series a family (label values may come from clients); beyond it
 *             metrics_with gives a series that is not shown.  METRICS_COLLECTORS_MAX callbacks.
 * Failure     none.
 * See         client-api 6.3; test/unit/metrics/metrics_test.c.
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { METRICS_SERIES_MAX = 4096, METRICS_COLLECTORS_MAX = 16, METRICS_LABELS_MAX = 4 };

enum metric_id {
#define METRIC(id, kind, name, labels, buckets, help) METRIC_##id,
#include "metrics/metrics.def"
#undef METRIC
    METRIC_COUNT
};

enum metric_kind { METRIC_KIND_COUNTER, METRIC_KIND_GAUGE, METRIC_KIND_HISTOGRAM };

struct metric_series {
    double value;         /* counter, gauge; a histogram's sum */
    const double *bounds; /* histogram: ascending upper bounds, shared by the family */
    uint64_t *counts;     /* one a bound (not cumulative), and one for +Inf */
    size_t bound_count;
};

struct metrics;

/* Also makes the series that etcd shows as 0 before any use (promhttp's codes). */
struct metrics *metrics_create(void);
void metrics_destroy(struct metrics *m);

/* The series of a family without labels. */
struct metric_series *metrics_at(struct metrics *m, enum metric_id id);
/* The series with these label values, in the order of metrics.def (by label name); made with 0
 * when it is new.  Values are copied; bytes that are not UTF-8 become U+FFFD. */
struct metric_series *metrics_with(struct metrics *m, enum metric_id id, const char *const *values);

static inline void metric_add(struct metric_series *s, double delta)
{
    s->value += delta;
}

static inline void metric_set(struct metric_series *s, double value)
{
    s->value = value;
}

/* Counts that others have kept: counts has one a bound and one for +Inf. */
void metric_set_histogram(struct metric_series *s, const uint64_t *counts, double sum);
/* Histograms; seconds, or what the name says. */
void metric_observe(struct metric_series *s, double value);

static inline void metrics_add(struct metrics *m, enum metric_id id, double delta)
{
    metric_add(metrics_at(m, id), delta);
}

static inline void metrics_set(struct metrics *m, enum metric_id id, double value)
{
    metric_set(metrics_at(m, id), value);
}

static inline void metrics_observe(struct metrics *m, enum metric_id id, double value)
{
    metric_observe(metrics_at(m, id), value);
}

/* A hidden family is not on the page: what a line of etcd does not have. */
void metrics_hide(struct metrics *m, enum metric_id id, bool is_hidden);

/* fn runs before each page is written, to set what is collected then (process_*, sizes). */
typedef void (*metrics_collect_fn)(void *arg, struct metrics *m);
void metrics_on_scrape(struct metrics *m, metrics_collect_fn fn, void *arg);

/* The page; etcd serves it as text/plain; version=0.0.4; charset=utf-8; escaping=underscores. */
void metrics_write(struct metrics *m, struct buf *out);

/* What the table says of a family. */
const char *metrics_name(enum metric_id id);
enum metric_kind metrics_kind(enum metric_id id);
/* Number of labels; names in out_names (room for METRICS_LABELS_MAX), as slices of the table. */
size_t metrics_labels(enum metric_id id, struct slice *out_names);

#endif
