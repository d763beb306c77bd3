/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/plan_sort: plans whose order is not that of the keys.
 *
 * Design      The walk gives rows (what the index knows of a match); they are sorted, cut to the
 *             limit and become the plan's items.  Ties keep key order (etcd: any order).  By VALUE
 *             the caller first brings the values; their sum is bounded, because they must be in
 *             memory together.  The same goes for keys_only at a level that sends leases: the index
 *             knows only the lease of a key's newest state, so an older state's comes out of its
 *             value, and such plans are rows also in key order.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "mvcc/store.h"

enum { ROWS_MIN = 64 };

struct plan_row {
    int64_t number; /* version, create or mod revision */
    uint64_t seq;   /* position in key order */
    struct slice value;
    struct mvcc_item item;
    size_t kv_at;  /* keys_only: in kv */
    bool is_whole; /* item is the stored record: its value is needed */
};

struct plan_rows {
    struct plan_row *rows;
    size_t len;
    size_t cap;
    size_t whole; /* rows that are */
    uint64_t whole_bytes;
    struct buf kv;
};

static int64_t row_number(const struct mvcc_plan *p, const struct keyrec_state *s)
{
    switch (p->sort_target) {
    case WIRE_SORT_VERSION: return s->version;
    case WIRE_SORT_CREATE: return s->create_rev;
    case WIRE_SORT_MOD: return s->main;
    default: return 0;
    }
}

int plan_rows_add(struct mvcc_plan *plan, const struct keyrec *rec,
                  const struct keyrec_state *state)
{
    if (plan->rows == NULL) {
        plan->rows = mem_zalloc(sizeof(*plan->rows));
    }
    struct plan_rows *r = plan->rows;
    if (r->len == r->cap) {
        r->cap = r->cap == 0 ? ROWS_MIN : r->cap * 2;
        r->rows = mem_realloc(r->rows, r->cap * sizeof(*r->rows));
    }
    struct plan_row *row = &r->rows[r->len];
    *row = (struct plan_row){.number = row_number(plan, state),
                             .seq = r->len,
                             .item = {state->main, (uint32_t)state->sub, state->len},
                             .kv_at = r->kv.len};
    r->len++;
    row->is_whole =
        plan->sort_target == WIRE_SORT_VALUE || (plan->keeps_lease && !plan_is_newest(rec, state));
    if (row->is_whole) {
        r->whole++;
        r->whole_bytes += state->len;
    } else if (plan->keys_only) {
        int64_t lease = plan->keeps_lease ? rec->lease : 0;
        row->item.len = (uint32_t)plan_kv_append(&r->kv, keyrec_key(rec), state, lease);
    }
    return r->whole_bytes > LIMIT_RESPONSE_BUFFER_BYTES ? ERR_RPC_RESPONSE_TOO_LARGE : 0;
}

bool plan_is_newest(const struct keyrec *rec, const struct keyrec_state *state)
{
    struct keyrec_state newest;
    return keyrec_state_at(rec, KEYINDEX_NEWEST, &newest) && newest.main == state->main &&
           newest.sub == state->sub;
}

bool plan_rows_need_values(const struct mvcc_plan *plan)
{
    return plan->rows != NULL && plan->rows->whole > 0;
}

void plan_rows_destroy(struct mvcc_plan *plan)
{
    if (plan->rows != NULL) {
        mem_free(plan->rows->rows);
        buf_deinit(&plan->rows->kv);
        mem_free(plan->rows);
        plan->rows = NULL;
    }
}

static int by_seq(const struct plan_row *a, const struct plan_row *b)
{
    return a->seq < b->seq ? -1 : 1;
}

static int by_number(const void *x, const void *y)
{
    const struct plan_row *a = x;
    const struct plan_row *b = y;
    return a->number != b->number ? (a->number < b->number ? -1 : 1) : by_seq(a, b);
}

static int by_number_down(const void *x, const void *y)
{
    const struct plan_row *a = x;
    const struct plan_row *b = y;
    return a->number != b->number ? (a->number > b->number ? -1 : 1) : by_seq(a, b);
}

static int by_value(const void *x, const void *y)
{
    const struct plan_row *a = x;
    const struct plan_row *b = y;
    int c = slice_compare(a->value, b->value);
    return c != 0 ? c : by_seq(a, b);
}

static int by_value_down(const void *x, const void *y)
{
    const struct plan_row *a = x;
    const struct plan_row *b = y;
    int c = slice_compare(b->value, a->value);
    return c != 0 ? c : by_seq(a, b);
}

static int by_key_down(const void *x, const void *y)
{
    return -by_seq(x, y);
}

static void rows_sort(const struct mvcc_plan *p, struct plan_rows *r)
{
    int (*order)(const void *, const void *) = p->is_descending ? by_number_down : by_number;
    if (p->sort_target == WIRE_SORT_KEY && !p->is_descending) {
        return; /* rows for the sake of their leases: in order as they came */
    }
    if (p->sort_target == WIRE_SORT_KEY) {
        order = by_key_down;
    } else if (p->sort_target == WIRE_SORT_VALUE) {
        order = p->is_descending ? by_value_down : by_value;
    }
    qsort(r->rows, r->len, sizeof(*r->rows), order);
}

void plan_rows_finish(struct mvcc_plan *plan)
{
    struct plan_rows *r = plan->rows;
    if (r == NULL) {
        return;
    }
    rows_sort(plan, r);
    size_t count = plan->more ? (size_t)plan->limit : r->len;
    for (size_t i = 0; i < count; i++) {
        const struct plan_row *row = &r->rows[i];
        plan_items_add(plan, row->item);
        plan->kvs_bytes += 1 + varint_len(row->item.len) + row->item.len;
        if (r->kv.len > 0) {
            buf_append(&plan->kv_bytes, r->kv.data + row->kv_at, row->item.len);
        }
    }
    plan->item_count = count;
    plan->loaded = count;
    plan_rows_destroy(plan);
}

/* ---- what only the values tell ---- */

int plan_rows_need(const struct mvcc_plan *plan, struct mvcc_values *v)
{
    int err = 0;
    for (size_t i = 0; err == 0 && plan->rows != NULL && i < plan->rows->len; i++) {
        const struct plan_row *row = &plan->rows->rows[i];
        err = row->is_whole ? values_need(v, row->item.main, row->item.sub) : 0;
    }
    return err;
}

int mvcc_plan_values(struct mvcc_plan *plan, struct mvcc_values *v)
{
    values_round(v);
    int err = plan_rows_need(plan, v);
    return err != 0 ? err : values_done(v);
}

/* keys_only: the KeyValue without the value, lease kept. */
static void row_cut(struct plan_rows *r, struct plan_row *row, struct wire_kv *kv)
{
    kv->value = SLICE_NULL;
    size_t len = wire_kv_size(kv);
    row->kv_at = r->kv.len;
    row->item.len = (uint32_t)len;
    wire_kv_encode(kv, buf_extend(&r->kv, len));
}

int mvcc_plan_sort_values(struct mvcc_plan *plan, struct mvcc_values *v)
{
    ensure(plan->needs_values);
    struct plan_rows *r = plan->rows;
    bool is_cut = plan->cut_values || plan->keys_only;
    for (size_t i = 0; i < r->len; i++) {
        struct plan_row *row = &r->rows[i];
        if (!row->is_whole) {
            continue;
        }
        struct slice stored = values_at_hand(v, row->item.main, row->item.sub);
        struct wire_kv kv;
        if (stored.len != row->item.len || wire_kv_decode(stored, &kv) != 0) {
            return ERR_CORRUPT;
        }
        row->value = kv.value;
        if (is_cut) {
            row_cut(r, row, &kv);
        }
    }
    plan->needs_values = false;
    plan->keys_only = is_cut;
    plan_rows_finish(plan);
    plan_totals_set(plan);
    return plan->body_bytes > LIMIT_RESPONSE_BYTES ? ERR_RPC_RESPONSE_TOO_LARGE : 0;
}
