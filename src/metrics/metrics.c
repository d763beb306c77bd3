/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics/metrics: the table of families and the series in them.
 *
 * Invariants  I1 a family's nodes ascend by label values (the page's order; asserted on insert).
 */
#include "metrics/metrics.h"

#include "base/utf8.h"
#include "metrics/registry.h"

enum { BUCKETS_MAX = 24 };

struct bucket_rule {
    double first;
    double factor;
    size_t count;
};

struct family_def {
    const char *name;
    const char *labels;
    const char *help;
    enum metric_kind kind;
    struct bucket_rule buckets;
};

/* factor 0: client_golang's default buckets. */
#define EXP(first, factor, count)                                                                  \
    {                                                                                              \
        first, factor, count                                                                       \
    }
#define DEFAULT_BUCKETS                                                                            \
    {                                                                                              \
        0, 0, 11                                                                                   \
    }
#define NO_BUCKETS                                                                                 \
    {                                                                                              \
        0, 0, 0                                                                                    \
    }

static const struct family_def defs[METRIC_COUNT] = {
#define METRIC(id, kind, name, labels, buckets, help)                                              \
    [METRIC_##id] = {name, labels, help, METRIC_KIND_##kind, buckets},
#include "metrics/metrics.def"
#undef METRIC
};

static const double default_bounds[] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};

const char *metrics_name(enum metric_id id)
{
    return defs[id].name;
}

const char *metrics_help(enum metric_id id)
{
    return defs[id].help;
}

enum metric_kind metrics_kind(enum metric_id id)
{
    return defs[id].kind;
}

size_t metrics_labels(enum metric_id id, struct slice *out_names)
{
    const char *p = defs[id].labels;
    size_t count = 0;
    while (*p != 0) {
        size_t len = strcspn(p, " ");
        ensure(count < METRICS_LABELS_MAX);
        out_names[count++] = slice_make(p, len);
        p += len;
        p += *p == ' ';
    }
    return count;
}

static void make_bounds(struct metrics *m, struct metric_family *f, const struct bucket_rule *rule)
{
    if (rule->count == 0) {
        return;
    }
    ensure(rule->count <= BUCKETS_MAX);
    f->bound_count = rule->count;
    if (rule->factor == 0) {
        f->bounds = default_bounds;
        return;
    }
    double *bounds = arena_alloc(&m->arena, rule->count * sizeof(*bounds));
    double bound = rule->first;
    for (size_t i = 0; i < rule->count; i++) {
        bounds[i] = bound;
        bound *= rule->factor;
    }
    f->bounds = bounds;
}

static struct metric_node *make_node(struct metrics *m, const struct metric_family *f)
{
    struct metric_node *n = arena_zalloc(&m->arena, sizeof(*n));
    if (f->bounds != NULL) {
        n->series.bounds = f->bounds;
        n->series.bound_count = f->bound_count;
        n->series.counts = arena_zalloc(&m->arena, (f->bound_count + 1) * sizeof(uint64_t));
    }
    return n;
}

struct metrics *metrics_create(void)
{
    static const char *const codes[] = {"200", "500", "503"};
    struct metrics *m = mem_zalloc(sizeof(*m));
    arena_init(&m->arena, 0);
    for (int id = 0; id < METRIC_COUNT; id++) {
        make_bounds(m, &m->families[id], &defs[id].buckets);
        if (defs[id].labels[0] == 0) {
            m->families[id].plain = make_node(m, &m->families[id]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        (void)metrics_with(m, METRIC_PROMHTTP_METRIC_HANDLER_REQUESTS_TOTAL, &codes[i]);
    }
    m->families[METRIC_DEBUGGING_MVCC_RANGE_TOTAL].is_hidden = true; /* an old line's */
    return m;
}

void metrics_destroy(struct metrics *m)
{
    if (m == NULL) {
        return;
    }
    for (int id = 0; id < METRIC_COUNT; id++) {
        mem_free(m->families[id].nodes);
    }
    arena_deinit(&m->arena);
    mem_free(m);
}

struct metric_series *metrics_at(struct metrics *m, enum metric_id id)
{
    ensure(m->families[id].plain != NULL);
    return &m->families[id].plain->series;
}

static int compare_values(const struct metric_node *n, const char *const *values, size_t labels)
{
    int c = 0;
    for (size_t i = 0; i < labels && c == 0; i++) {
        c = strcmp(n->values[i], values[i]);
    }
    return c;
}

/* Where values stand, or belong. */
static size_t find_position(const struct metric_family *f, const char *const *values, size_t labels,
                            bool *out_found)
{
    size_t lo = 0, hi = f->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (compare_values(f->nodes[mid], values, labels) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *out_found = lo < f->count && compare_values(f->nodes[lo], values, labels) == 0;
    return lo;
}

static void insert_node(struct metric_family *f, size_t position, struct metric_node *n)
{
    if (f->count == f->cap) {
        f->cap = f->cap == 0 ? 4 : f->cap * 2;
        f->nodes = mem_realloc(f->nodes, f->cap * sizeof(struct metric_node *));
    }
    ensure(position <= f->count);
    memmove(f->nodes + position + 1, f->nodes + position,
            (f->count - position) * sizeof(struct metric_node *));
    f->nodes[position] = n;
    f->count++;
}

/* value, or a copy in scratch that is valid UTF-8. */
static const char *clean_value(struct buf *scratch, const char *value)
{
    struct slice s = slice_cstr(value);
    uint32_t rune;
    uint8_t error[UTF8_BYTES_MAX];
    if (utf8_valid(s.data, s.len)) {
        return value;
    }
    buf_clear(scratch);
    while (s.len > 0) {
        size_t n = utf8_decode(s.data, s.len, &rune);
        if (n == 0) {
            buf_append(scratch, error, utf8_encode(error, UTF8_ERROR_RUNE));
            n = 1;
        } else {
            buf_append(scratch, s.data, n);
        }
        s = slice_skip(s, n);
    }
    return buf_cstr(scratch);
}

static struct metric_node *find_or_make(struct metrics *m, struct metric_family *f,
                                        const char *const *values, size_t labels)
{
    bool found;
    size_t position = find_position(f, values, labels, &found);
    if (found) {
        return f->nodes[position];
    }
    if (f->count == METRICS_SERIES_MAX) {
        f->overflow = f->overflow == NULL ? make_node(m, f) : f->overflow;
        return f->overflow;
    }
    struct metric_node *n = make_node(m, f);
    for (size_t i = 0; i < labels; i++) {
        n->values[i] = arena_strndup(&m->arena, values[i], strlen(values[i]));
    }
    insert_node(f, position, n);
    return n;
}

struct metric_series *metrics_with(struct metrics *m, enum metric_id id, const char *const *values)
{
    struct slice names[METRICS_LABELS_MAX];
    struct buf scratch[METRICS_LABELS_MAX] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
    const char *clean[METRICS_LABELS_MAX];
    size_t labels = metrics_labels(id, names);
    ensure(labels > 0);
    for (size_t i = 0; i < labels; i++) {
        clean[i] = clean_value(&scratch[i], values[i]);
    }
    struct metric_node *n = find_or_make(m, &m->families[id], clean, labels);
    for (size_t i = 0; i < labels; i++) {
        buf_deinit(&scratch[i]);
    }
    return &n->series;
}

void metric_observe(struct metric_series *s, double value)
{
    size_t lo = 0, hi = s->bound_count;
    ensure(s->counts != NULL);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (value <= s->bounds[mid]) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    s->counts[lo]++;
    s->value += value;
}

void metrics_hide(struct metrics *m, enum metric_id id, bool is_hidden)
{
    m->families[id].is_hidden = is_hidden;
}

void metric_set_histogram(struct metric_series *s, const uint64_t *counts, double sum)
{
    ensure(s->counts != NULL);
    memcpy(s->counts, counts, (s->bound_count + 1) * sizeof(*counts));
    s->value = sum;
}

void metrics_on_scrape(struct metrics *m, metrics_collect_fn fn, void *arg)
{
    ensure(m->collector_count < METRICS_COLLECTORS_MAX);
    m->collectors[m->collector_count++] = (struct metrics_collector){fn, arg};
}
