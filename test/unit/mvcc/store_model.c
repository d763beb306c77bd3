/* SPDX-License-Identifier: Apache-2.0 */
#include "store_model.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

static void on_event(void *arg, const struct mvcc_event *e)
{
    struct world *w = arg;
    struct wire_kv kv;
    w->events++;
    if (w->hub != NULL) {
        watch_hub_event(w->hub, e);
    }
    assert_int_equal(wire_kv_decode(e->stored, &kv), 0);
    assert_true(slice_equal(kv.key, e->key));
    assert_int_equal(kv.version, e->version);
    assert_int_equal(kv.create_revision, e->create_rev);
    if (e->prev_rev.main != 0) {
        struct backend_view *v = backend_view_pin(w->backend);
        struct backend_record r;
        assert_int_equal(backend_view_record_get(v, e->prev_rev, &r), 0);
        assert_int_equal(r.value.len, e->prev_len);
        backend_record_release(&r);
        backend_view_unpin(v);
    }
}

static void store_open(struct world *w)
{
    struct lessor_options lo = {.backend = w->backend, .bucket_lease = FAKE_LEASE, .min_ttl_s = 2};
    w->lessor = lessor_create(&lo);
    struct mvcc_options mo = {.backend = w->backend,
                              .lessor = w->lessor,
                              .bucket_meta = FAKE_META,
                              .rules = w->rules,
                              .on_event = on_event,
                              .on_event_arg = w};
    w->store = mvcc_create(&mo);
    w->values = mvcc_values_create(w->store);
}

void world_init(struct world *w, uint64_t seed)
{
    world_init_level(w, seed, LEVEL_NEW);
}

void world_init_level(struct world *w, uint64_t seed, enum level level)
{
    *w = (struct world){.rules = level_rules(level), .rev = 1, .compacted = -1};
    prng_init(&w->prng, seed);
    arena_init(&w->arena, 0);
    w->backend = fake_backend_create();
    store_open(w);
}

static void store_close(struct world *w)
{
    mvcc_values_destroy(w->values);
    mvcc_destroy(w->store);
    lessor_destroy(w->lessor);
    assert_int_equal(fake_backend_refs(w->backend), 0);
}

void world_deinit(struct world *w)
{
    store_close(w);
    fake_backend_destroy(w->backend);
    buf_deinit(&w->body);
    arena_deinit(&w->arena);
    mem_free(w->changes);
}

struct slice world_key(int i)
{
    static char names[WORLD_KEYS + 1][16];
    (void)snprintf(names[i], sizeof(names[i]), i % 4 == 0 ? "k%02d" : "k%02d/sub", i);
    return slice_cstr(names[i]);
}

/* ---- the model ---- */

const struct change *model_at(const struct world *w, int key, int64_t rev)
{
    const struct change *found = NULL;
    for (size_t i = 0; i < w->changes_len && w->changes[i].main <= rev; i++) {
        if (w->changes[i].key == key) {
            found = &w->changes[i];
        }
    }
    return found == NULL || found->is_delete ? NULL : found;
}

void model_add(struct world *w, int64_t main, int64_t *sub, int key, bool is_delete,
               const char *value, int64_t lease)
{
    const struct change *old = model_at(w, key, INT64_MAX);
    struct change c = {.main = main, .sub = (*sub)++, .key = key, .is_delete = is_delete};
    if (!is_delete) {
        (void)snprintf(c.value, sizeof(c.value), "%s", value);
        c.lease = lease;
        c.create_rev = old != NULL ? old->create_rev : main;
        c.version = old != NULL ? old->version + 1 : 1;
    }
    if (w->changes_len == w->changes_cap) {
        w->changes_cap = w->changes_cap == 0 ? 256 : w->changes_cap * 2;
        w->changes = mem_realloc(w->changes, w->changes_cap * sizeof(*w->changes));
    }
    w->changes[w->changes_len++] = c;
}

size_t model_range(const struct world *w, int from, int to, int64_t rev,
                   const struct change *out[WORLD_KEYS])
{
    size_t n = 0;
    for (int i = from; i < to; i++) {
        const struct change *c = model_at(w, i, rev);
        if (c != NULL) {
            out[n++] = c;
        }
    }
    return n;
}

bool kv_is(const struct wire_kv *kv, const struct change *c)
{
    return slice_equal(kv->key, world_key(c->key)) && slice_equal_cstr(kv->value, c->value) &&
           kv->create_revision == c->create_rev && kv->mod_revision == c->main &&
           kv->version == c->version && kv->lease == c->lease;
}

/* ---- steps ---- */

void world_fetch(struct world *w)
{
    assert_true(mvcc_values_missing_count(w->values) > 0);
    w->fetches++;
    struct mvcc_fetch *f = mvcc_fetch_create(w->values);
    struct backend_view *v = backend_view_pin(w->backend);
    assert_int_equal(mvcc_fetch_run(f, v), 0);
    backend_view_unpin(v);
    mvcc_fetch_finish(f, w->values);
}

int world_put(struct world *w, const struct wire_put_req *req)
{
    int err = mvcc_prefetch_put(w->store, req, true, w->values);
    while (err == ERR_COLD) {
        world_fetch(w);
        err = mvcc_prefetch_put(w->store, req, true, w->values);
    }
    assert_int_equal(err, 0);
    buf_clear(&w->body);
    err = mvcc_apply_put(w->store, req, w->values, &w->body);
    mvcc_values_clear(w->values);
    return err;
}

int world_delete(struct world *w, const struct wire_delete_req *req)
{
    int err = mvcc_prefetch_delete(w->store, req, true, w->values);
    while (err == ERR_COLD) {
        world_fetch(w);
        err = mvcc_prefetch_delete(w->store, req, true, w->values);
    }
    assert_int_equal(err, 0);
    buf_clear(&w->body);
    err = mvcc_apply_delete(w->store, req, w->values, &w->body);
    mvcc_values_clear(w->values);
    return err;
}

int world_txn(struct world *w, const struct wire_txn_req *req, int64_t *out_rev)
{
    int err = mvcc_prefetch_txn(w->store, req, true, w->values);
    while (err == ERR_COLD) {
        world_fetch(w);
        err = mvcc_prefetch_txn(w->store, req, true, w->values);
    }
    assert_int_equal(err, 0);
    buf_clear(&w->body);
    err = mvcc_apply_txn(w->store, req, w->values, &w->body, out_rev);
    mvcc_values_clear(w->values);
    return err;
}

static void random_put(struct world *w)
{
    int key = (int)prng_below(&w->prng, WORLD_KEYS);
    char value[WORLD_VALUE_MAX];
    (void)snprintf(value, sizeof(value), "v%d", (int)prng_below(&w->prng, 1000));
    struct wire_put_req req = {.key = world_key(key), .value = slice_cstr(value)};
    const struct change *old = model_at(w, key, w->rev);
    req.prev_kv = prng_chance(&w->prng, 1, 3) != 0;
    req.lease = prng_chance(&w->prng, 1, 3) ? (int64_t)prng_below(&w->prng, 4) : 0;
    if (prng_chance(&w->prng, 1, 6)) {
        req.ignore_value = true;
        req.value = SLICE_NULL;
    }
    if (prng_chance(&w->prng, 1, 6)) {
        req.ignore_lease = true;
        req.lease = 0;
    }
    int want = 0;
    if (req.lease != 0 && !lessor_has(w->lessor, req.lease)) {
        want = ERR_RPC_LEASE_NOT_FOUND;
    } else if ((req.ignore_value || req.ignore_lease) && old == NULL) {
        want = ERR_RPC_KEY_NOT_FOUND;
    }
    struct change before = old != NULL ? *old : (struct change){0};
    assert_int_equal(world_put(w, &req), want);
    if (want != 0) {
        assert_int_equal(mvcc_rev(w->store), w->rev);
        return;
    }
    struct wire_put_resp resp;
    assert_int_equal(wire_put_resp_decode(buf_slice(&w->body), &resp), 0);
    assert_int_equal(resp.has_prev_kv, req.prev_kv && old != NULL);
    assert_true(!resp.has_prev_kv || kv_is(&resp.prev_kv, &before));
    int64_t sub = 0;
    model_add(w, ++w->rev, &sub, key, false, req.ignore_value ? before.value : value,
              req.ignore_lease ? before.lease : req.lease);
}

static void random_delete(struct world *w)
{
    int from = (int)prng_below(&w->prng, WORLD_KEYS);
    int to = from + (int)prng_below(&w->prng, 4);
    to = to > WORLD_KEYS ? WORLD_KEYS : to;
    bool is_single = prng_chance(&w->prng, 1, 2) != 0;
    bool is_open = !is_single && prng_chance(&w->prng, 1, 12);
    struct wire_delete_req req = {.key = world_key(from)};
    req.prev_kv = prng_chance(&w->prng, 1, 2) != 0;
    if (is_single) {
        to = from + 1;
    } else if (is_open) {
        to = WORLD_KEYS;
        req.range_end = slice_make("", 1);
    } else {
        req.range_end = world_key(to);
    }
    const struct change *found[WORLD_KEYS];
    size_t n = model_range(w, from, to, w->rev, found);
    assert_int_equal(world_delete(w, &req), 0);
    struct wire_delete_resp resp;
    arena_reset(&w->arena);
    assert_int_equal(wire_delete_resp_decode(buf_slice(&w->body), &w->arena, &resp), 0);
    assert_int_equal(resp.deleted, n);
    assert_int_equal(resp.prev_kv_count, req.prev_kv ? n : 0);
    for (size_t i = 0; i < resp.prev_kv_count; i++) {
        assert_true(kv_is(&resp.prev_kvs[i], found[i]));
    }
    int64_t sub = 0;
    int keys[WORLD_KEYS];
    for (size_t i = 0; i < n; i++) {
        keys[i] = found[i]->key;
    }
    w->rev += n > 0 ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        model_add(w, w->rev, &sub, keys[i], true, "", 0);
    }
}

static void random_lease(struct world *w)
{
    int64_t id = 1 + (int64_t)prng_below(&w->prng, 3);
    if (!lessor_has(w->lessor, id)) {
        int64_t ttl;
        assert_int_equal(mvcc_apply_lease_revoke(w->store, id), ERR_RPC_LEASE_NOT_FOUND);
        assert_int_equal(lessor_grant(w->lessor, id, 10, 0, &ttl), 0);
        return;
    }
    if (prng_chance(&w->prng, 2, 3)) {
        return;
    }
    int64_t sub = 0;
    int64_t main = w->rev + 1;
    int keys[WORLD_KEYS];
    size_t n = 0;
    for (int i = 0; i < WORLD_KEYS; i++) {
        const struct change *c = model_at(w, i, w->rev);
        if (c != NULL && c->lease == id) {
            keys[n++] = i;
        }
    }
    assert_int_equal(mvcc_apply_lease_revoke(w->store, id), 0);
    for (size_t i = 0; i < n; i++) {
        model_add(w, main, &sub, keys[i], true, "", 0);
    }
    w->rev += n > 0 ? 1 : 0;
}

void world_random_step(struct world *w)
{
    uint64_t r = prng_below(&w->prng, 10);
    if (r < 6) {
        random_put(w);
    } else if (r < 9) {
        random_delete(w);
    } else {
        random_lease(w);
    }
    assert_int_equal(mvcc_rev(w->store), w->rev);
    assert_int_equal(w->events, w->changes_len);
}

void world_check(struct world *w)
{
    mvcc_check(w->store);
    lessor_check(w->lessor);
    struct fake_source f;
    struct mvcc_source src = fake_source_of(&f, w->backend);
    assert_true(mvcc_check_records(w->store, &src));
    assert_int_equal(fake_backend_refs(w->backend), 0);
}

static int64_t meta_rev(const struct world *w, const char *name)
{
    struct slice v;
    struct backend_rev rev;
    if (!fake_backend_row(w->backend, FAKE_META, slice_cstr(name), &v)) {
        return -1;
    }
    assert_int_equal(backend_rev_decode(v, &rev), 0);
    return rev.main;
}

void world_restart(struct world *w)
{
    store_close(w);
    store_open(w);
    for (size_t i = 0; i < fake_backend_row_count(w->backend, FAKE_LEASE); i++) {
        struct slice key;
        struct slice value;
        fake_backend_row_at(w->backend, FAKE_LEASE, i, &key, &value);
        assert_int_equal(lessor_load(w->lessor, key, value), 0);
    }
    struct fake_source f;
    struct mvcc_source src = fake_source_of(&f, w->backend);
    assert_int_equal(mvcc_restore(w->store, &src, meta_rev(w, "finishedCompactRev"),
                                  meta_rev(w, "scheduledCompactRev")),
                     0);
    assert_int_equal(mvcc_rev(w->store), w->rev);
    assert_int_equal(mvcc_compact_rev(w->store), w->compacted);
}

static struct mvcc_hash_value hash_run(struct world *w, struct mvcc_hash *h)
{
    while (mvcc_hash_collect(h, 5) == ERR_AGAIN) {
    }
    mvcc_hash_attach(h);
    struct fake_source f;
    struct mvcc_source src = fake_source_of(&f, w->backend);
    int err;
    while ((err = mvcc_hash_run(h, &src, 7)) == ERR_AGAIN) {
    }
    assert_int_equal(err, 0);
    return mvcc_hash_result(h);
}

struct mvcc_hash_value world_hash(struct world *w, int64_t rev)
{
    struct mvcc_hash_value v;
    struct mvcc_hash *h;
    int r = mvcc_hash_begin(w->store, rev, &v, &h);
    assert_true(r >= 0);
    if (r == 0) {
        v = hash_run(w, h);
        mvcc_hash_end(h, true);
    }
    return v;
}

void world_compact_finish(struct world *w, size_t records_max)
{
    while (mvcc_compact_state(w->store) != MVCC_COMPACT_IDLE) {
        if (mvcc_compact_state(w->store) == MVCC_COMPACT_HASH) {
            assert_int_equal(mvcc_compact_step(w->store, 1), 0);
            struct mvcc_hash *h = mvcc_compact_hash_begin(w->store);
            (void)hash_run(w, h);
            mvcc_hash_end(h, true);
        }
        assert_int_equal(mvcc_compact_state(w->store), MVCC_COMPACT_RUN);
        assert_true(mvcc_compact_step(w->store, records_max) <= records_max);
        mvcc_check(w->store);
    }
}

void world_compact(struct world *w, int64_t rev)
{
    assert_int_equal(mvcc_compact(w->store, rev), 0);
    w->compacted = rev;
    assert_int_equal(mvcc_compact(w->store, rev), ERR_RPC_COMPACTED);
    assert_int_equal(mvcc_compact(w->store, w->rev + 1), ERR_RPC_FUTURE_REV);
    world_compact_finish(w, 1 + (size_t)prng_below(&w->prng, 50));
    assert_int_equal(mvcc_compact_finished_rev(w->store), rev);
    assert_int_equal(meta_rev(w, "finishedCompactRev"), rev);
    assert_int_equal(meta_rev(w, "scheduledCompactRev"), rev);
}

/* ---- ranges ---- */

static void slice_append(struct world *w, struct mvcc_plan *plan, struct buf *out)
{
    struct mvcc_slice *slice;
    assert_int_equal(mvcc_plan_slice(plan, 1 + prng_below(&w->prng, 300), &slice), 0);
    struct backend_view *v = backend_view_pin(w->backend);
    assert_int_equal(mvcc_slice_read(slice, v), 0);
    backend_view_unpin(v);
    buf_append_slice(out, mvcc_slice_bytes(slice));
    mvcc_slice_destroy(slice);
}

int world_plan(struct world *w, const struct wire_range_req *req, struct mvcc_plan *plan)
{
    int err = mvcc_plan_begin(w->store, req, plan);
    if (err != 0) {
        return err;
    }
    while ((err = mvcc_plan_build(plan, 1 + prng_below(&w->prng, 9))) == ERR_AGAIN) {
    }
    if (err == 0 && plan->needs_values) {
        while ((err = mvcc_plan_values(plan, w->values)) == ERR_COLD) {
            world_fetch(w);
        }
        assert_int_equal(err, 0);
        err = mvcc_plan_sort_values(plan, w->values);
        mvcc_values_clear(w->values);
    }
    return err;
}

int world_range(struct world *w, const struct wire_range_req *req, size_t sink_max, struct buf *out)
{
    struct mvcc_plan plan;
    int err = world_plan(w, req, &plan);
    if (err != 0) {
        return err;
    }
    uint8_t *piece = mem_alloc(sink_max);
    for (err = ERR_AGAIN; err != 0;) {
        struct mvcc_sink sink = {piece, 0, sink_max};
        err = mvcc_plan_next(&plan, &sink);
        buf_append(out, sink.data, sink.len);
        if (err == ERR_COLD) {
            slice_append(w, &plan, out);
        } else {
            assert_true(err == 0 || err == ERR_AGAIN);
        }
    }
    mem_free(piece);
    assert_int_equal(out->len, plan.body_bytes);
    mvcc_plan_end(&plan);
    assert_int_equal(fake_backend_refs(w->backend), 0);
    return 0;
}
