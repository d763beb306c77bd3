/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics/text: the page, in Prometheus' text format 0.0.4 as client_golang writes it.
 */
#include "base/gotext.h"
#include "metrics/metrics.h"
#include "metrics/registry.h"

struct text_family {
    struct buf *out;
    const char *name;
    struct slice labels[METRICS_LABELS_MAX];
    size_t label_count;
};

static void append_escaped(struct buf *out, const char *s, bool quotes)
{
    for (; *s != 0; s++) {
        if (*s == '\\') {
            buf_append_cstr(out, "\\\\");
        } else if (*s == '\n') {
            buf_append_cstr(out, "\\n");
        } else if (*s == '"' && quotes) {
            buf_append_cstr(out, "\\\"");
        } else {
            buf_append_byte(out, (uint8_t)*s);
        }
    }
}

/* Counts are written as floats too, and a negative zero as 0. */
static void append_number(struct buf *out, double v)
{
    gotext_float(out, v == 0 ? 0 : v);
}

static void append_label(struct buf *out, struct slice name, const char *value, bool first)
{
    buf_append_byte(out, first ? '{' : ',');
    buf_append_slice(out, name);
    buf_append_cstr(out, "=\"");
    append_escaped(out, value, true);
    buf_append_byte(out, '"');
}

/* le NULL: no bucket. */
static void append_sample(const struct text_family *f, const char *suffix,
                          const struct metric_node *n, const char *le, double v)
{
    buf_append_cstr(f->out, f->name);
    buf_append_cstr(f->out, suffix);
    for (size_t i = 0; i < f->label_count; i++) {
        append_label(f->out, f->labels[i], n->values[i], i == 0);
    }
    if (le != NULL) {
        append_label(f->out, SLICE_LIT("le"), le, f->label_count == 0);
    }
    if (le != NULL || f->label_count > 0) {
        buf_append_byte(f->out, '}');
    }
    buf_append_byte(f->out, ' ');
    append_number(f->out, v);
    buf_append_byte(f->out, '\n');
}

static void append_histogram(const struct text_family *f, const struct metric_node *n)
{
    const struct metric_series *s = &n->series;
    struct buf le = BUF_INIT;
    uint64_t total = 0;
    for (size_t i = 0; i < s->bound_count; i++) {
        total += s->counts[i];
        buf_clear(&le);
        append_number(&le, s->bounds[i]);
        append_sample(f, "_bucket", n, buf_cstr(&le), (double)total);
    }
    total += s->counts[s->bound_count];
    append_sample(f, "_bucket", n, "+Inf", (double)total);
    append_sample(f, "_sum", n, NULL, s->value);
    append_sample(f, "_count", n, NULL, (double)total);
    buf_deinit(&le);
}

static void append_series(const struct text_family *f, const struct metric_node *n)
{
    if (n->series.counts != NULL) {
        append_histogram(f, n);
    } else {
        append_sample(f, "", n, NULL, n->series.value);
    }
}

static void append_family(struct buf *out, const struct metric_family *family, enum metric_id id)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    struct text_family f = {.out = out, .name = metrics_name(id)};
    if (family->is_hidden || (family->plain == NULL && family->count == 0)) {
        return;
    }
    f.label_count = metrics_labels(id, f.labels);
    buf_printf(out, "# HELP %s ", f.name);
    append_escaped(out, metrics_help(id), false);
    buf_printf(out, "\n# TYPE %s %s\n", f.name, kinds[metrics_kind(id)]);
    if (family->plain != NULL) {
        append_series(&f, family->plain);
    }
    for (size_t i = 0; i < family->count; i++) {
        append_series(&f, family->nodes[i]);
    }
}

void metrics_write(struct metrics *m, struct buf *out)
{
    for (size_t i = 0; i < m->collector_count; i++) {
        m->collectors[i].fn(m->collectors[i].arg, m);
    }
    for (int id = 0; id < METRIC_COUNT; id++) {
        append_family(out, &m->families[id], (enum metric_id)id);
    }
}
