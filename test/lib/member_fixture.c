/* SPDX-License-Identifier: Apache-2.0 */
#include "member_fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "lease/lessor.h"
#include "wire/response.h"

enum { RUN_MS = 60000, STEP_MS = 10, VERIFY_TRIES = 1000 };

static void on_ready(void *arg)
{
    ((struct member_fixture *)arg)->is_ready = true;
}

static void on_fatal(void *arg, int err, const char *text)
{
    struct member_fixture *m = arg;
    m->is_failed = true;
    m->fatal = err;
    (void)snprintf(m->text, sizeof(m->text), "%s", text);
}

static void on_stopped(void *arg)
{
    ((struct member_fixture *)arg)->is_stopped = true;
}

void member_fixture_init(struct member_fixture *m, struct env_disk *disk)
{
    *m = (struct member_fixture){.sim = sim_env_create(1)};
    m->env = *m->sim;
    m->env.disk = disk;
    m->config = (struct driver_config){
        .env = &m->env,
        .name = "m1",
        .data_dir = "d",
        .wal_dir = "",
        .initial_cluster = "m1=http://127.0.0.1:2380",
        .initial_cluster_token = "t",
        .advertise_peer_urls = "http://127.0.0.1:2380",
        .advertise_client_urls = "http://127.0.0.1:2379",
        .heartbeat_ms = 100,
        .election_ms = 1000,
        .request_bytes_max = LIMIT_REQUEST_BYTES_DEFAULT,
        .txn_ops_max = LIMIT_TXN_OPS_DEFAULT,
        .snapshot_count = 10000,
        .snapshot_catchup = 5,
        .max_snapshots = 5,
        .max_wals = 5,
        .wal_segment_bytes = 1 << 20,
        .compaction_sleep_ms = 10,
        .pre_vote = true,
        .on_ready = on_ready,
        .on_fatal = on_fatal,
        .on_stopped = on_stopped,
        .arg = m,
    };
}

void member_fixture_deinit(struct member_fixture *m)
{
    if (m->driver != NULL) {
        mf_die(m);
    }
    sim_env_destroy(m->sim);
}

static bool is_up(void *arg)
{
    const struct member_fixture *m = arg;
    return m->is_ready || m->is_failed;
}

int mf_open(struct member_fixture *m)
{
    m->is_ready = m->is_failed = m->is_stopped = false;
    int err = driver_open(&m->config, &m->driver, m->text);
    if (err != 0) {
        m->driver = NULL;
        return err;
    }
    driver_start(m->driver);
    return 0;
}

int mf_start(struct member_fixture *m)
{
    int err = mf_open(m);
    if (err != 0) {
        return err;
    }
    (void)sim_run_until(sim_of(m->sim), is_up, m, RUN_MS);
    if (m->is_ready && !m->is_failed) {
        return 0;
    }
    if (!m->is_failed) {
        (void)snprintf(m->text, sizeof(m->text), "not ready in time");
    }
    mf_die(m);
    return ERR_CLOSED;
}

static bool is_down(void *arg)
{
    return ((struct member_fixture *)arg)->is_stopped;
}

static bool run_down(struct member_fixture *m)
{
    if (!m->is_stopped) {
        driver_stop(m->driver);
    }
    return sim_run_until(sim_of(m->sim), is_down, m, RUN_MS);
}

int mf_stop(struct member_fixture *m)
{
    bool is_clean = run_down(m);
    ensure(is_clean);
    driver_close(m->driver);
    m->driver = NULL;
    return m->is_failed ? ERR_CLOSED : 0;
}

void mf_die(struct member_fixture *m)
{
    bool is_down_now = run_down(m);
    ensure(is_down_now);
    driver_close(m->driver);
    m->driver = NULL;
}

void mf_wait_ms(struct member_fixture *m, uint64_t ms)
{
    sim_advance_ms(sim_of(m->sim), ms);
}

/* ---- requests ---- */

struct asked {
    struct core_request req;
    struct member_fixture *m;
    bool is_done;
};

static void on_reply(struct core_request *r)
{
    container_of(r, struct asked, req)->is_done = true;
}

static bool is_answered(void *arg)
{
    return ((struct asked *)arg)->is_done;
}

static void asked_init(struct asked *a, struct member_fixture *m, enum core_kind kind)
{
    core_request_init(&a->req, kind);
    a->req.on_reply = on_reply;
    a->m = m;
    a->is_done = false;
}

/* A failed member answers everything when it is stopped. */
static int ask(struct asked *a)
{
    struct member_fixture *m = a->m;
    driver_submit(m->driver, &a->req);
    if (!sim_run_until(sim_of(m->sim), is_answered, a, RUN_MS)) {
        (void)run_down(m);
        ensure(a->is_done);
        return ERR_CLOSED;
    }
    return a->req.err;
}

int mf_propose(struct member_fixture *m, uint32_t which, struct slice body, struct buf *response)
{
    struct asked a;
    if (m->is_failed) {
        return ERR_CLOSED;
    }
    asked_init(&a, m, CORE_PROPOSE);
    a.req.which = which;
    a.req.body = body;
    a.req.response = response;
    return ask(&a);
}

int mf_put_lease(struct member_fixture *m, const char *key, const char *value, int64_t lease)
{
    struct buf body = BUF_INIT;
    struct wire_put_req put = {.key = slice_cstr(key), .value = slice_cstr(value), .lease = lease};
    wire_put_req_encode(&body, &put);
    int err = mf_propose(m, WIRE_INTERNAL_PUT, buf_slice(&body), NULL);
    buf_deinit(&body);
    return err;
}

int mf_put(struct member_fixture *m, const char *key, const char *value)
{
    return mf_put_lease(m, key, value, 0);
}

int mf_delete(struct member_fixture *m, const char *key)
{
    struct buf body = BUF_INIT;
    struct wire_delete_req del = {.key = slice_cstr(key)};
    wire_delete_req_encode(&body, &del);
    int err = mf_propose(m, WIRE_INTERNAL_DELETE_RANGE, buf_slice(&body), NULL);
    buf_deinit(&body);
    return err;
}

int mf_compact(struct member_fixture *m, int64_t rev, bool is_physical)
{
    struct buf body = BUF_INIT;
    struct wire_compaction_req c = {.revision = rev, .physical = is_physical};
    wire_compaction_req_encode(&body, &c);
    struct asked a;
    asked_init(&a, m, CORE_PROPOSE);
    a.req.which = WIRE_INTERNAL_COMPACTION;
    a.req.body = buf_slice(&body);
    a.req.wants_physical = is_physical;
    int err = m->is_failed ? ERR_CLOSED : ask(&a);
    buf_deinit(&body);
    return err;
}

int mf_lease_grant(struct member_fixture *m, int64_t id, int64_t ttl_s)
{
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, (uint64_t)ttl_s);
    wire_append_u64(&body, 2, (uint64_t)id);
    int err = mf_propose(m, WIRE_INTERNAL_LEASE_GRANT, buf_slice(&body), NULL);
    buf_deinit(&body);
    return err;
}

int mf_alarm(struct member_fixture *m, int action, uint64_t member_id, int type)
{
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, (uint64_t)action);
    wire_append_u64(&body, 2, member_id);
    wire_append_u64(&body, 3, (uint64_t)type);
    int err = mf_propose(m, WIRE_INTERNAL_ALARM, buf_slice(&body), NULL);
    buf_deinit(&body);
    return err;
}

int mf_defrag(struct member_fixture *m)
{
    struct asked a;
    asked_init(&a, m, CORE_DEFRAG);
    return m->is_failed ? ERR_CLOSED : ask(&a);
}

int mf_hash_kv(struct member_fixture *m, int64_t rev, struct mvcc_hash_value *out)
{
    struct asked a;
    asked_init(&a, m, CORE_HASH_KV);
    a.req.rev = rev;
    int err = m->is_failed ? ERR_CLOSED : ask(&a);
    if (err == 0) {
        *out = a.req.hash;
    }
    return err;
}

/* The first part is durable and applied while the WAL stands still before the rest. */
static void wal_slow(struct member_fixture *m, struct asked *first)
{
    uint64_t syncs = driver_stats(m->driver)->wal_syncs;
    while (driver_stats(m->driver)->wal_syncs == syncs && sim_step(sim_of(m->sim))) {
    }
    sim_lane_hold(m->sim, ENV_LANE_LOG, true);
    (void)sim_run_until(sim_of(m->sim), is_answered, first, RUN_MS);
    mf_wait_ms(m, 250);
    sim_lane_hold(m->sim, ENV_LANE_LOG, false);
}

static bool are_answered(void *arg)
{
    const struct asked *a = arg;
    for (; a->m != NULL; a++) {
        if (!a->is_done) {
            return false;
        }
    }
    return true;
}

int mf_put_burst(struct member_fixture *m, const char *prefix, const char *value, size_t count,
                 size_t *acked)
{
    ensure(count <= MEMBER_BURST_MAX);
    struct asked *a = mem_zalloc((count + 1) * sizeof(*a));
    int err = 0;
    *acked = 0;
    if (m->is_wal_slow) {
        (void)sim_run_ready(sim_of(m->sim)); /* the log lane is idle */
    }
    for (size_t i = 0; i < count; i++) {
        char key[64];
        struct buf body = BUF_INIT;
        (void)snprintf(key, sizeof(key), "%s%zu", prefix, i);
        struct wire_put_req put = {.key = slice_cstr(key), .value = slice_cstr(value)};
        wire_put_req_encode(&body, &put);
        asked_init(&a[i], m, CORE_PROPOSE);
        a[i].req.which = WIRE_INTERNAL_PUT;
        a[i].req.body = buf_slice(&body);
        driver_submit(m->driver, &a[i].req);
        buf_deinit(&body);
        /* The turn's end: the first part goes to the log lane alone. */
        while (m->is_wal_slow && i == 0 && sim_lane_jobs(m->sim, ENV_LANE_LOG) == 0 &&
               sim_step(sim_of(m->sim))) {
        }
    }
    if (m->is_wal_slow) {
        wal_slow(m, &a[0]);
    }
    if (!sim_run_until(sim_of(m->sim), are_answered, a, RUN_MS)) {
        (void)run_down(m);
    }
    for (size_t i = 0; i < count && err == 0; i++) {
        ensure(a[i].is_done);
        err = a[i].req.err;
        *acked += err == 0;
    }
    mem_free(a);
    return err;
}

/* ---- reading ---- */

static int read_plan(struct member_fixture *m, struct mvcc_plan *plan, struct buf *out)
{
    (void)m;
    int err = 0;
    while (err == 0 || err == ERR_AGAIN) {
        buf_reserve(out, 4096);
        struct mvcc_sink sink = {out->data, out->len, out->cap};
        err = mvcc_plan_next(plan, &sink);
        out->len = sink.len;
        if (err == 0) {
            return 0;
        }
        if (err == ERR_COLD) {
            struct mvcc_slice *slice;
            err = mvcc_plan_slice(plan, 1 << 16, &slice);
            struct backend_view *v = backend_view_pin(core_backend(driver_core(m->driver)));
            if (err == 0) {
                err = mvcc_slice_read(slice, v);
            }
            if (err == 0) {
                buf_append_slice(out, mvcc_slice_bytes(slice));
                err = ERR_AGAIN;
            }
            mvcc_slice_destroy(slice);
            backend_view_unpin(v);
        }
    }
    return err;
}

static int range(struct member_fixture *m, const struct wire_range_req *req, struct buf *body,
                 int64_t *rev)
{
    struct asked a;
    struct mvcc_plan plan;
    asked_init(&a, m, CORE_RANGE);
    a.req.range = req;
    a.req.plan = &plan;
    int err = m->is_failed ? ERR_CLOSED : ask(&a);
    if (err != 0) {
        return err;
    }
    *rev = a.req.header_rev;
    err = read_plan(m, &plan, body);
    mvcc_plan_end(&plan);
    return err;
}

int mf_get(struct member_fixture *m, const char *key, int64_t rev, struct buf *out)
{
    struct wire_range_req req = {.key = slice_cstr(key), .revision = rev};
    struct buf body = BUF_INIT;
    int64_t now;
    int err = range(m, &req, &body, &now);
    struct wire_scan s;
    bool is_found = false;
    for (wire_scan_init(&s, buf_slice(&body)); err == 0 && wire_scan_next(&s);) {
        struct wire_kv kv;
        if (s.field == 2 && s.type == WIRE_LEN) {
            err = wire_kv_decode(s.bytes, &kv);
            buf_append_slice(out, kv.value);
            is_found = true;
        }
    }
    buf_deinit(&body);
    return err == 0 && !is_found ? ERR_NOT_FOUND : err;
}

int mf_dump(struct member_fixture *m, struct buf *out, int64_t *rev)
{
    struct wire_range_req req = {.key = SLICE_LIT("\0"), .range_end = SLICE_LIT("\0")};
    struct buf body = BUF_INIT;
    int err = range(m, &req, &body, rev);
    struct wire_scan s;
    for (wire_scan_init(&s, buf_slice(&body)); err == 0 && wire_scan_next(&s);) {
        struct wire_kv kv;
        if (s.field == 2 && s.type == WIRE_LEN) {
            err = wire_kv_decode(s.bytes, &kv);
            buf_append_slice(out, kv.key);
            buf_append_byte(out, '=');
            buf_append_slice(out, kv.value);
            buf_append_byte(out, '\n');
        }
    }
    buf_deinit(&body);
    return err != 0 ? err : s.err;
}

/* ---- checking ---- */

static void on_problem(void *arg, const char *text)
{
    struct buf *why = arg;
    buf_printf(why, "%s; ", text);
}

struct records {
    struct bolt_cursor cursor;
    bool is_started;
};

static int next_record(void *arg, struct slice *key, struct slice *value)
{
    struct records *r = arg;
    struct bolt_item item;
    int err =
        r->is_started ? bolt_cursor_next(&r->cursor, &item) : bolt_cursor_first(&r->cursor, &item);
    r->is_started = true;
    if (err == 0) {
        *key = item.key;
        *value = item.value;
    }
    return err;
}

static int verify_view(struct member_fixture *m, struct backend_view *v, struct buf *why)
{
    struct bolt_tx *tx = backend_view_tx(v);
    struct core *core = driver_core(m->driver);
    struct bolt_bucket *bucket;
    int err = bolt_check(tx, on_problem, why);
    if (err == 0) {
        err = bolt_bucket_open(tx, NULL, 0, slice_cstr("key"), &bucket);
    }
    if (err != 0) {
        return err;
    }
    struct records r = {.is_started = false};
    bolt_cursor_init(&r.cursor, tx, bucket, 0);
    struct mvcc_source source = {next_record, &r};
    bool is_equal = mvcc_check_records(core_store(core), &source);
    bolt_cursor_release(&r.cursor);
    if (!is_equal) {
        buf_append_cstr(why, "the index differs from one rebuilt from the file");
        return ERR_MISMATCH;
    }
    return 0;
}

/* A view of all that the index knows: no compaction goes on, and none has removed records since. */
static int view_at_rest(struct member_fixture *m, struct asked *a)
{
    for (int i = 0; i < VERIFY_TRIES && !m->is_failed; i++) {
        asked_init(a, m, CORE_VIEW);
        int err = ask(a);
        if (err != 0) {
            return err;
        }
        struct core *core = driver_core(m->driver);
        struct backend *b = core_backend(core);
        if (mvcc_compact_state(core_store(core)) == MVCC_COMPACT_IDLE &&
            backend_position(b) == backend_committed_position(b)) {
            return 0;
        }
        backend_view_unpin(a->req.view);
        mf_wait_ms(m, STEP_MS);
    }
    return m->is_failed ? ERR_CLOSED : ERR_TIMED_OUT;
}

int mf_verify(struct member_fixture *m, struct buf *why)
{
    struct asked a;
    int err = view_at_rest(m, &a);
    if (err != 0) {
        buf_printf(why, "no view: %s", err_text(err));
        return err;
    }
    err = verify_view(m, a.req.view, why);
    backend_view_unpin(a.req.view);
    struct core *core = driver_core(m->driver);
    core_check(core);
    mvcc_check(core_store(core));
    lessor_check(core_lessor(core));
    return err;
}
