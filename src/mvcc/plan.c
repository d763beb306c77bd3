/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/plan: range plans: validation, the walk over the index, count, more, bytes.
 *
 * Design      Three modes.  SINGLE: one lookup.  LAZY (key order): the walk only counts; the first
 *             MVCC_REFILL_ITEMS items are kept, later ones are loaded again from the index when
 * they are needed, so a list of a million keys costs a window, not sixteen megabytes.  At the
 *             newest revision without limit and filters even the walk is left out: the tree knows
 *             count and bytes.  SORTED: all matches as rows (plan_sort.c).
 *             The plan pins its revision, so loading later finds the same items.
 */
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "mvcc/store.h"
#include "schema/level.h"

/* ---- validation ---- */

int mvcc_range_validate(const struct wire_range_req *req, const struct level_rules *rules,
                        bool is_stream)
{
    if (req->key.len == 0) {
        return ERR_RPC_EMPTY_KEY;
    }
    bool is_order_known = req->sort_order >= WIRE_SORT_NONE && req->sort_order <= WIRE_SORT_DESCEND;
    /* An unknown target ends 3.5 (client-api 8.1): refused at every level. */
    if ((!is_order_known && !rules->takes_any_sort_order) || req->sort_target < WIRE_SORT_KEY ||
        req->sort_target > WIRE_SORT_VALUE) {
        return ERR_RPC_INVALID_SORT_OPTION;
    }
    if (!is_stream) {
        return 0;
    }
    if (req->sort_order != WIRE_SORT_NONE &&
        !(req->sort_order == WIRE_SORT_ASCEND && req->sort_target == WIRE_SORT_KEY)) {
        return ERR_RPC_STREAM_SORT;
    }
    if (req->min_mod_revision != 0 || req->max_mod_revision != 0 || req->min_create_revision != 0 ||
        req->max_create_revision != 0) {
        return ERR_RPC_STREAM_FILTERS;
    }
    return 0;
}

int mvcc_put_validate(const struct wire_put_req *req)
{
    if (req->key.len == 0) {
        return ERR_RPC_EMPTY_KEY;
    }
    if (req->ignore_value && req->value.len != 0) {
        return ERR_RPC_VALUE_PROVIDED;
    }
    if (req->ignore_lease && req->lease != 0) {
        return ERR_RPC_LEASE_PROVIDED;
    }
    return 0;
}

int mvcc_delete_validate(const struct wire_delete_req *req)
{
    return req->key.len == 0 ? ERR_RPC_EMPTY_KEY : 0;
}

void mvcc_range_stream_normalize(struct wire_range_req *req)
{
    req->revision = req->revision < 0 ? 0 : req->revision;
    req->limit = req->limit < 0 ? 0 : req->limit;
}

/* ---- begin ---- */

static bool has_filters(const struct mvcc_plan *p)
{
    return p->max_mod != 0 || p->min_mod != 0 || p->max_create != 0 || p->min_create != 0;
}

static bool passes(const struct mvcc_plan *p, const struct keyrec_state *s)
{
    return (p->max_mod == 0 || s->main <= p->max_mod) &&
           (p->min_mod == 0 || s->main >= p->min_mod) &&
           (p->max_create == 0 || s->create_rev <= p->max_create) &&
           (p->min_create == 0 || s->create_rev >= p->min_create);
}

/* Order and target of client-api 2.1.1; unknown numbers sort nothing (3.5's way with an order). */
static void sort_set(struct mvcc_plan *p, const struct wire_range_req *req)
{
    bool is_known = req->sort_order >= WIRE_SORT_NONE && req->sort_order <= WIRE_SORT_DESCEND &&
                    req->sort_target >= WIRE_SORT_KEY && req->sort_target <= WIRE_SORT_VALUE;
    p->sort_target = is_known ? req->sort_target : WIRE_SORT_KEY;
    p->is_descending = is_known && req->sort_order == WIRE_SORT_DESCEND;
    bool is_sorted = p->sort_target != WIRE_SORT_KEY || p->is_descending;
    p->cut_values = req->keys_only && p->sort_target == WIRE_SORT_VALUE;
    p->keys_only = req->keys_only && !p->cut_values;
    p->keeps_lease = p->keys_only && p->store->opts.rules->keys_only_keeps_lease;
    p->mode = is_sorted || p->keeps_lease ? MVCC_PLAN_SORTED : MVCC_PLAN_LAZY;
    p->is_limit_first = !is_sorted || (req->sort_order == WIRE_SORT_NONE && !has_filters(p));
}

/* False: the lease must be taken out of the value. */
static bool single_build(struct mvcc_plan *p, struct slice key)
{
    struct keyrec_state state;
    const struct keyrec *rec = keytree_get(&p->store->index.tree, key);
    if (rec == NULL || !keyrec_state_at(rec, p->rev, &state)) {
        p->is_built = true;
        plan_totals_set(p);
        return true;
    }
    if (p->keeps_lease && !plan_is_newest(rec, &state)) {
        return false;
    }
    p->is_built = true;
    p->count = 1;
    if (p->count_only || !passes(p, &state)) {
        plan_totals_set(p);
        return true;
    }
    struct mvcc_item item = {state.main, (uint32_t)state.sub, state.len};
    if (p->keys_only) {
        item.len =
            (uint32_t)plan_kv_append(&p->kv_bytes, key, &state, p->keeps_lease ? rec->lease : 0);
    }
    p->inline_item = item;
    p->items = &p->inline_item;
    p->items_len = 1;
    p->items_cap = 1;
    p->item_count = 1;
    p->loaded = 1;
    p->kvs_bytes = 1 + varint_len(item.len) + item.len;
    plan_totals_set(p);
    return true;
}

static void interval_begin(struct mvcc_plan *p, const struct keyrange *r)
{
    p->is_open_end = r->is_open_end;
    buf_append_slice(&p->range_end, r->end);
    buf_append_slice(&p->walk_key, r->key);
    buf_append_slice(&p->load_key, r->key);
    if (p->rev < store_read_rev(p->store)) {
        return;
    }
    struct keysum sum = keyindex_sum(&p->store->index, r);
    p->is_count_known = true;
    p->count = (int64_t)sum.count;
    bool is_whole = p->mode == MVCC_PLAN_LAZY && !p->keys_only && p->limit == 0 && !has_filters(p);
    if (is_whole || p->count_only || sum.count == 0) {
        p->is_built = true;
        p->item_count = p->count_only ? 0 : sum.count;
        p->kvs_bytes = p->count_only ? 0 : sum.bytes;
        plan_totals_set(p);
    }
}

static int plan_begin(struct mvcc_store *s, const struct wire_range_req *req,
                      struct mvcc_plan *plan)
{
    int64_t current = store_read_rev(s);
    if (req->revision > current) {
        return ERR_RPC_FUTURE_REV;
    }
    int64_t rev = req->revision <= 0 ? current : req->revision;
    if (rev < s->compact_rev) {
        return ERR_RPC_COMPACTED;
    }
    *plan = (struct mvcc_plan){
        .header_rev = current,
        .store = s,
        .rev = rev,
        .limit = req->limit > 0 ? req->limit : 0,
        .max_mod = req->max_mod_revision,
        .min_mod = req->min_mod_revision,
        .max_create = req->max_create_revision,
        .min_create = req->min_create_revision,
        .count_only = req->count_only,
        .stop_at = UINT64_MAX,
        .stream_limit = MVCC_STREAM_CHUNK_FIRST,
    };
    sort_set(plan, req);
    mvcc_pin_add(s, &plan->pin, rev);
    struct keyrange r = keyrange_make(req->key, req->range_end);
    if (r.is_single && !plan->cut_values && single_build(plan, req->key)) {
        plan->mode = MVCC_PLAN_SINGLE;
        return 0;
    }
    struct buf end = BUF_INIT;
    if (r.is_single) {
        /* keys_only takes the lease out of the value: the interval [key, key\0). */
        buf_append_slice(&end, req->key);
        buf_append_byte(&end, 0);
        r.end = buf_slice(&end);
    }
    interval_begin(plan, &r);
    buf_deinit(&end);
    if (plan->is_built && plan->body_bytes > LIMIT_RESPONSE_BYTES) {
        mvcc_plan_end(plan);
        return ERR_RPC_RESPONSE_TOO_LARGE;
    }
    return 0;
}

void mvcc_plan_end(struct mvcc_plan *plan)
{
    mvcc_pin_remove(&plan->pin);
    if (plan->items != &plan->inline_item) {
        mem_free(plan->items);
    }
    buf_deinit(&plan->kv_bytes);
    buf_deinit(&plan->range_end);
    buf_deinit(&plan->walk_key);
    buf_deinit(&plan->load_key);
    plan_rows_destroy(plan);
    plan->items = NULL;
}

/* ---- build ---- */

static void lazy_take(struct mvcc_plan *p, const struct keyrec *rec, const struct keyrec_state *s)
{
    struct slice key = keyrec_key(rec);
    p->matched++;
    if (p->limit > 0 && p->matched > (uint64_t)p->limit) {
        return;
    }
    struct mvcc_item item = {s->main, (uint32_t)s->sub, s->len};
    bool is_kept = p->items_len < MVCC_REFILL_ITEMS;
    if (p->keys_only) {
        item.len =
            (uint32_t)(is_kept ? plan_kv_append(&p->kv_bytes, key, s, 0) : plan_kv_size(key, s));
    }
    p->kvs_bytes += 1 + varint_len(item.len) + item.len;
    if (is_kept) {
        plan_items_add(p, item);
        p->loaded++;
    } else if (p->loaded == MVCC_REFILL_ITEMS && p->matched == MVCC_REFILL_ITEMS + 1) {
        buf_clear(&p->load_key);
        buf_append_slice(&p->load_key, key);
    }
}

/* What lies behind the limit is only counted. */
static bool is_enough(const struct mvcc_plan *p)
{
    return p->is_count_known && (p->mode == MVCC_PLAN_LAZY || p->is_limit_first) && p->limit > 0 &&
           p->matched > (uint64_t)p->limit;
}

static int walk_take(struct mvcc_plan *p, const struct keyrec *rec, const struct keyrec_state *s)
{
    if (!p->is_count_known) {
        p->count++;
    }
    if (p->count_only || !passes(p, s)) {
        return 0;
    }
    if (p->mode == MVCC_PLAN_LAZY) {
        lazy_take(p, rec, s);
        return 0;
    }
    p->matched++;
    if (p->is_limit_first && p->limit > 0 && p->matched > (uint64_t)p->limit + 1) {
        return 0;
    }
    return plan_rows_add(p, rec, s);
}

static int build_finish(struct mvcc_plan *p)
{
    p->is_built = true;
    buf_deinit(&p->walk_key);
    if (p->count_only) {
        plan_totals_set(p);
        return 0;
    }
    p->more = p->limit > 0 && p->matched > (uint64_t)p->limit;
    if (p->mode == MVCC_PLAN_SORTED) {
        p->needs_values = plan_rows_need_values(p);
        if (p->needs_values) {
            return 0;
        }
        plan_rows_finish(p);
    } else {
        p->item_count = p->more ? (uint64_t)p->limit : p->matched;
    }
    plan_totals_set(p);
    return p->body_bytes > LIMIT_RESPONSE_BYTES ? ERR_RPC_RESPONSE_TOO_LARGE : 0;
}

int mvcc_plan_build(struct mvcc_plan *plan, uint64_t keys_max)
{
    if (plan->is_built) {
        return 0;
    }
    struct keyindex_iter it;
    keyindex_iter_init(&it, &plan->store->index, buf_slice(&plan->walk_key),
                       buf_slice(&plan->range_end), plan->is_open_end, plan->rev);
    int err = 0;
    uint64_t seen = 0;
    while (err == 0 && !is_enough(plan)) {
        if (seen++ >= keys_max && it.rec != NULL) {
            buf_clear(&plan->walk_key);
            buf_append_slice(&plan->walk_key, keyrec_key(it.rec));
            return ERR_AGAIN;
        }
        struct keyrec *rec = keyindex_iter_any(&it);
        if (rec == NULL) {
            break;
        }
        struct keyrec_state state;
        if (keyrec_state_at(rec, plan->rev, &state)) {
            err = walk_take(plan, rec, &state);
        }
    }
    err = err != 0 ? err : build_finish(plan);
    if (err != 0) {
        mvcc_plan_end(plan);
    }
    return err;
}

int mvcc_plan_begin(struct mvcc_store *s, const struct wire_range_req *req, struct mvcc_plan *plan)
{
    int err = plan_begin(s, req, plan);
    s->counts.ranges += err == 0;
    return err;
}

int mvcc_plan_range(struct mvcc_store *s, const struct wire_range_req *req, struct mvcc_plan *plan)
{
    int err = plan_begin(s, req, plan);
    return err != 0 ? err : mvcc_plan_build(plan, UINT64_MAX);
}

/* ---- loading items again ---- */

/* The items already sent make room. */
static void items_shift(struct mvcc_plan *p)
{
    if (p->item_at == 0) {
        return;
    }
    memmove(p->items, p->items + p->item_at, (p->items_len - p->item_at) * sizeof(*p->items));
    p->items_len -= p->item_at;
    p->item_at = 0;
    if (p->keys_only) {
        buf_consume(&p->kv_bytes, p->kv_at);
        p->kv_at = 0;
    }
}

void plan_load(struct mvcc_plan *plan, uint64_t want)
{
    uint64_t left = plan->item_count - plan->loaded;
    size_t have = plan->items_len - plan->item_at;
    if (plan->mode != MVCC_PLAN_LAZY || left == 0 || have >= want) {
        return;
    }
    items_shift(plan);
    struct keyindex_iter it;
    keyindex_iter_init(&it, &plan->store->index, buf_slice(&plan->load_key),
                       buf_slice(&plan->range_end), plan->is_open_end, plan->rev);
    want = want < MVCC_REFILL_ITEMS ? MVCC_REFILL_ITEMS : want;
    while (left > 0 && plan->items_len < want) {
        struct keyrec_state state;
        struct keyrec *rec = keyindex_iter_next(&it, &state);
        ensure(rec != NULL); /* the pin keeps what was counted */
        if (!passes(plan, &state)) {
            continue;
        }
        struct mvcc_item item = {state.main, (uint32_t)state.sub, state.len};
        if (plan->keys_only) {
            item.len = (uint32_t)plan_kv_append(&plan->kv_bytes, keyrec_key(rec), &state, 0);
        }
        plan_items_add(plan, item);
        plan->loaded++;
        left--;
    }
    if (left > 0) {
        ensure(it.rec != NULL);
        buf_clear(&plan->load_key);
        buf_append_slice(&plan->load_key, keyrec_key(it.rec));
    }
}

/* ---- what a range inside a txn needs ---- */

int plan_need(struct mvcc_store *s, const struct wire_range_req *req, uint64_t extra,
              struct mvcc_values *v)
{
    struct wire_range_req r = *req;
    bool by_value = r.sort_target == WIRE_SORT_VALUE;
    /* With its lease, at a revision that an earlier op of the txn may make an old one. */
    bool keeps_lease = s->opts.rules->keys_only_keeps_lease && r.revision > 0;
    if (r.count_only || (r.keys_only && !by_value && !keeps_lease)) {
        return 0;
    }
    r.keys_only = r.keys_only && by_value;
    if (r.limit > 0) {
        r.limit =
            (uint64_t)r.limit > (uint64_t)INT64_MAX - extra - 1 ? 0 : r.limit + (int64_t)extra;
    }
    struct mvcc_plan plan;
    int err = mvcc_plan_range(s, &r, &plan);
    if (err == ERR_RPC_RESPONSE_TOO_LARGE || err == ERR_RPC_COMPACTED ||
        err == ERR_RPC_FUTURE_REV) {
        return 0; /* will not be executed */
    }
    if (err != 0) {
        return err;
    }
    if (plan.needs_values) {
        err = plan_rows_need(&plan, v);
    }
    for (uint64_t i = 0; err == 0 && !plan.needs_values && i < plan.item_count; i++) {
        plan_load(&plan, 1);
        err = values_need(v, plan.items[plan.item_at].main, plan.items[plan.item_at].sub);
        plan.item_at++;
    }
    mvcc_plan_end(&plan);
    return err;
}
