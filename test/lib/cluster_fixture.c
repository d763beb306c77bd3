/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster_fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "snap/snap.h"

enum { RUN_MS = 60000, PACKETS_MAX = 1 << 20 };

/* A message on its way, with everything that it points to. */
struct packet {
    struct list_node node;
    unsigned from;
    uint64_t due_ms;
    struct raft_message m;
    struct raft_entry *entries;
    struct raft_snapshot snapshot;
    struct buf v2_json;
    struct buf db;
    bool is_snapshot;
};

static void packet_free(struct packet *p)
{
    for (size_t i = 0; i < p->m.entry_count; i++) {
        rcbuf_unref(p->entries[i].owner);
    }
    mem_free(p->entries);
    buf_deinit(&p->v2_json);
    buf_deinit(&p->db);
    mem_free(p);
}

static uint64_t now_ms(const struct cluster_fixture *f)
{
    return sim_now_ns(f->sim) / 1000000;
}

static struct packet *packet_new(struct cf_member *m, const struct raft_message *msg)
{
    struct cluster_fixture *f = m->fixture;
    struct packet *p = mem_zalloc(sizeof(*p));
    list_node_init(&p->node);
    p->from = m->at;
    p->due_ms = now_ms(f) + 1 + (f->delay_max_ms > 1 ? prng_below(&f->prng, f->delay_max_ms) : 0);
    p->m = *msg;
    p->entries = mem_alloc_array(msg->entry_count, sizeof(*p->entries));
    for (size_t i = 0; i < msg->entry_count; i++) {
        p->entries[i] = msg->entries[i];
        p->entries[i].owner = rcbuf_from(msg->entries[i].data);
        p->entries[i].data = rcbuf_slice(p->entries[i].owner);
    }
    p->m.entries = p->entries;
    p->m.snapshot = NULL;
    return p;
}

static unsigned member_by_id(const struct cluster_fixture *f, uint64_t id)
{
    for (unsigned i = 0; i < f->count; i++) {
        if (f->members[i].id == id) {
            return i;
        }
    }
    return CF_MEMBERS_MAX;
}

static void on_messages(void *arg, const struct raft_message *messages, size_t count)
{
    struct cf_member *m = arg;
    struct cluster_fixture *f = m->fixture;
    for (size_t i = 0; i < count; i++) {
        bool is_lost = f->drop_per_1000 > 0 && prng_below(&f->prng, 1000) < f->drop_per_1000;
        bool is_promise = messages[i].type == RAFT_MSG_APP_RESP && !messages[i].reject;
        if (is_promise && messages[i].index > m->promised) {
            m->promised = messages[i].index;
        }
        if (messages[i].type != RAFT_MSG_SNAP && !is_lost) {
            list_push_back(&f->packets, &packet_new(m, &messages[i])->node);
        }
    }
}

static void on_send_snapshot(void *arg, const struct driver_snapshot *s)
{
    struct cf_member *m = arg;
    struct cluster_fixture *f = m->fixture;
    struct packet *p = packet_new(m, s->message);
    p->is_snapshot = true;
    p->snapshot.meta = *s->meta;
    buf_append_slice(&p->v2_json, s->v2_json);
    struct bolt_tx *tx = backend_view_tx(s->view);
    size_t bytes = (size_t)bolt_tx_size_bytes(tx);
    int err = bolt_copy_read(tx, 0, buf_extend(&p->db, bytes), bytes);
    ensure(err == 0);
    backend_view_unpin(s->view);
    m->snapshots++;
    list_push_back(&f->packets, &p->node);
}

static void on_ready(void *arg)
{
    ((struct cf_member *)arg)->is_ready = true;
}

static void on_fatal(void *arg, int err, const char *text)
{
    struct cf_member *m = arg;
    m->is_failed = true;
    m->fatal = err;
    (void)snprintf(m->text, sizeof(m->text), "%s", text);
}

static void on_stopped(void *arg)
{
    ((struct cf_member *)arg)->is_stopped = true;
}

static void on_want_versions(void *arg)
{
    ((struct cf_member *)arg)->wants_versions = true;
}

static void on_epoch_changed(void *arg)
{
    ((struct cf_member *)arg)->epochs++;
}

static void on_removed(void *arg)
{
    ((struct cf_member *)arg)->is_removed = true;
}

unsigned cf_member_add(struct cluster_fixture *f)
{
    ensure(f->count < CF_MEMBERS_MAX);
    struct cf_member *m = &f->members[f->count];
    m->fixture = f;
    m->at = f->count++;
    (void)snprintf(m->name, sizeof(m->name), "m%u", m->at + 1);
    (void)snprintf(m->peer_url, sizeof(m->peer_url), "http://127.0.0.1:%u", 2380 + 10 * m->at);
    (void)snprintf(m->client_url, sizeof(m->client_url), "http://127.0.0.1:%u", 2379 + 10 * m->at);
    m->host = sim_host_add(f->sim, m->name);
    m->env = *sim_host_env(m->host);
    m->disk = sim_host_disk(m->host);
    m->config = (struct driver_config){
        .env = &m->env,
        .name = m->name,
        .data_dir = "d",
        .wal_dir = "",
        .initial_cluster = f->initial,
        .initial_cluster_token = "t",
        .advertise_peer_urls = m->peer_url,
        .advertise_client_urls = m->client_url,
        .heartbeat_ms = 100,
        .election_ms = 1000,
        .request_bytes_max = LIMIT_REQUEST_BYTES_DEFAULT,
        .txn_ops_max = LIMIT_TXN_OPS_DEFAULT,
        .snapshot_count = 10000,
        .snapshot_catchup = 5000,
        .max_snapshots = 5,
        .max_wals = 5,
        .wal_segment_bytes = 1 << 20,
        .compaction_sleep_ms = 10,
        .pre_vote = true,
        .max_learners = LIMIT_LEARNERS_DEFAULT,
        .on_ready = on_ready,
        .on_fatal = on_fatal,
        .on_stopped = on_stopped,
        .on_messages = on_messages,
        .on_send_snapshot = on_send_snapshot,
        .on_want_versions = on_want_versions,
        .on_epoch_changed = on_epoch_changed,
        .on_removed = on_removed,
        .arg = m,
    };
    return m->at;
}

void cf_init(struct cluster_fixture *f, unsigned count, uint64_t seed)
{
    *f = (struct cluster_fixture){.sim = sim_create(seed), .delay_max_ms = 1};
    prng_init(&f->prng, seed + 1);
    list_init(&f->packets);
    for (unsigned i = 0; i < count; i++) {
        const struct cf_member *m = &f->members[cf_member_add(f)];
        size_t n = strlen(f->initial);
        (void)snprintf(f->initial + n, sizeof(f->initial) - n, "%s%s=%s", i > 0 ? "," : "", m->name,
                       m->peer_url);
    }
}

void cf_deinit(struct cluster_fixture *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        if (f->members[i].driver != NULL) {
            cf_kill(f, i, SIM_CRASH_KEEP_ALL);
        }
    }
    LIST_FOREACH (&f->packets, n) {
        list_remove(n);
        packet_free(LIST_ENTRY(n, struct packet, node));
    }
    sim_destroy(f->sim);
}

void cf_join_begin(struct cluster_fixture *f, unsigned i, unsigned from,
                   struct membership *existing)
{
    struct core *c = driver_core(f->members[from].driver);
    const struct membership *ms = core_members(c);
    struct driver_config *dc = &f->members[i].config;
    membership_init(existing);
    f->initial[0] = 0;
    for (size_t k = 0; k < ms->count; k++) {
        struct member copy;
        member_copy(&copy, &ms->members[k]);
        size_t n = strlen(f->initial);
        bool is_new = strs_contains(&copy.peer_urls, f->members[i].peer_url);
        (void)snprintf(f->initial + n, sizeof(f->initial) - n, "%s%s=%s", k > 0 ? "," : "",
                       is_new ? f->members[i].name : copy.name, copy.peer_urls.items[0]);
        (void)membership_add(existing, &copy);
    }
    dc->is_join = true;
    dc->existing = existing;
    dc->existing_cluster_id = core_cluster_id(c);
}

/* ---- links ---- */

static bool is_reachable(const struct cluster_fixture *f, unsigned a, unsigned b)
{
    return f->members[a].driver != NULL && f->members[b].driver != NULL && !f->is_cut[a][b] &&
           !f->is_cut[b][a];
}

static void update_links(struct cluster_fixture *f)
{
    for (unsigned a = 0; a < f->count; a++) {
        for (unsigned b = 0; b < f->count; b++) {
            bool is_active = a != b && is_reachable(f, a, b);
            if (f->members[a].driver != NULL && is_active != f->is_active[a][b]) {
                driver_peer_active(f->members[a].driver, f->members[b].id, is_active);
            }
            f->is_active[a][b] = is_active;
        }
    }
}

void cf_cut(struct cluster_fixture *f, unsigned a, unsigned b, bool is_cut)
{
    f->is_cut[a][b] = f->is_cut[b][a] = is_cut;
    update_links(f);
}

void cf_isolate(struct cluster_fixture *f, unsigned i, bool is_cut)
{
    for (unsigned k = 0; k < f->count; k++) {
        if (k != i) {
            f->is_cut[i][k] = f->is_cut[k][i] = is_cut;
        }
    }
    update_links(f);
}

/* ---- delivery ---- */

static int save_db(struct cf_member *to, const struct packet *p)
{
    struct snap_db_writer w;
    raft_index index = p->snapshot.meta.index;
    const char *dir = driver_snap_dir(to->driver);
    int err = snap_db_begin(&w, to->env.disk, dir, now_ms(to->fixture));
    if (err == 0) {
        err = snap_db_write(&w, buf_slice(&p->db));
        if (err != 0) {
            snap_db_abort(&w);
        }
    }
    if (err == 0) {
        err = snap_db_commit(&w, index);
    }
    if (err == 0) {
        char *path = snap_db_path(dir, index);
        err = driver_snapshot_check(to->env.disk, path, index);
        mem_free(path);
    }
    return err;
}

static void deliver_snapshot(struct cluster_fixture *f, struct packet *p, unsigned to)
{
    bool is_open = to < f->count && is_reachable(f, p->from, to) && !f->members[to].is_failed;
    int err = is_open ? save_db(&f->members[to], p) : ERR_CLOSED;
    if (err == 0) {
        p->m.snapshot = &p->snapshot;
        err = driver_snapshot_received(f->members[to].driver, &p->m, buf_slice(&p->v2_json));
        ensure(err != ERR_MALFORMED);
    }
    if (f->members[p->from].driver != NULL) {
        driver_snapshot_status(f->members[p->from].driver, p->m.to, err != 0);
    }
}

static void deliver(struct cluster_fixture *f, struct packet *p)
{
    unsigned to = member_by_id(f, p->m.to);
    if (p->is_snapshot) {
        deliver_snapshot(f, p, to);
    } else if (to < f->count && is_reachable(f, p->from, to)) {
        f->messages++;
        int err = driver_message(f->members[to].driver, &p->m);
        ensure(err != ERR_MALFORMED);
    } else if (f->members[p->from].driver != NULL) {
        driver_unreachable(f->members[p->from].driver, p->m.to);
    }
    packet_free(p);
}

static void deliver_due(struct cluster_fixture *f)
{
    uint64_t now = now_ms(f);
    LIST_FOREACH (&f->packets, n) {
        struct packet *p = LIST_ENTRY(n, struct packet, node);
        if (p->due_ms <= now) {
            list_remove(n);
            deliver(f, p);
        }
    }
}

static void give_versions(struct cluster_fixture *f, struct cf_member *m)
{
    struct core_version v[CF_MEMBERS_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < f->count; i++) {
        if (i != m->at && is_reachable(f, m->at, i)) {
            v[count].member_id = f->members[i].id;
            const char *text = level_rules(driver_level(f->members[i].driver))->server_version;
            int err = semver_parse(slice_cstr(text), &v[count++].version);
            ensure(err == 0);
        }
    }
    m->wants_versions = false;
    driver_versions(m->driver, v, count);
}

static void step(struct cluster_fixture *f)
{
    sim_advance_ms(f->sim, 1);
    deliver_due(f);
    for (unsigned i = 0; i < f->count; i++) {
        if (f->members[i].wants_versions && f->members[i].driver != NULL) {
            give_versions(f, &f->members[i]);
        }
    }
    (void)sim_run_ready(f->sim);
}

void cf_run(struct cluster_fixture *f, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        step(f);
    }
}

bool cf_run_until(struct cluster_fixture *f, bool (*pred)(struct cluster_fixture *f), uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        if (pred(f)) {
            return true;
        }
        step(f);
    }
    return pred(f);
}

/* ---- life ---- */

int cf_start(struct cluster_fixture *f, unsigned i)
{
    struct cf_member *m = &f->members[i];
    ensure(m->driver == NULL);
    m->is_ready = m->is_failed = m->is_stopped = m->is_removed = m->wants_versions = false;
    m->env = *sim_host_env(m->host);
    m->env.disk = m->test_disk != NULL ? m->test_disk : sim_disk_env(m->disk);
    int err = driver_open(&m->config, &m->driver, m->text);
    if (err != 0) {
        m->driver = NULL;
        return err;
    }
    m->id = core_member_id(driver_core(m->driver));
    m->config.existing = NULL;
    driver_start(m->driver);
    update_links(f);
    return 0;
}

static bool all_ready(struct cluster_fixture *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        if (f->members[i].driver != NULL && !f->members[i].is_ready) {
            return false;
        }
    }
    return cf_leader(f) < f->count;
}

void cf_start_all(struct cluster_fixture *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        if (f->members[i].driver == NULL) {
            int err = cf_start(f, i);
            ensure(err == 0);
        }
    }
    bool is_up = cf_wait_ready(f);
    ensure(is_up);
}

bool cf_wait_ready(struct cluster_fixture *f)
{
    return cf_run_until(f, all_ready, RUN_MS);
}

static void close_member(struct cluster_fixture *f, unsigned i)
{
    struct cf_member *m = &f->members[i];
    for (int k = 0; k < RUN_MS && !m->is_stopped; k++) {
        step(f);
    }
    ensure(m->is_stopped);
    driver_close(m->driver);
    m->driver = NULL;
    m->wants_versions = false;
    update_links(f);
}

void cf_stop(struct cluster_fixture *f, unsigned i)
{
    if (!f->members[i].is_stopped) {
        driver_stop(f->members[i].driver);
    }
    close_member(f, i);
}

void cf_kill(struct cluster_fixture *f, unsigned i, enum sim_crash_policy policy)
{
    struct cf_member *m = &f->members[i];
    bool were_cut[CF_MEMBERS_MAX];
    for (unsigned k = 0; k < f->count; k++) {
        were_cut[k] = f->is_cut[i][k];
    }
    sim_disk_power_cut_after(m->disk, sim_disk_op_count(m->disk));
    cf_isolate(f, i, true);
    cf_stop(f, i);
    sim_disk_crash(m->disk, policy, prng_next(&f->prng));
    for (unsigned k = 0; k < f->count; k++) {
        f->is_cut[i][k] = f->is_cut[k][i] = were_cut[k];
    }
}

struct core_status cf_status(struct cluster_fixture *f, unsigned i)
{
    struct core_status st;
    core_status(driver_core(f->members[i].driver), &st);
    return st;
}

unsigned cf_leader(struct cluster_fixture *f)
{
    unsigned leader = CF_MEMBERS_MAX;
    raft_term term = 0;
    for (unsigned i = 0; i < f->count; i++) {
        if (f->members[i].driver == NULL || f->members[i].is_failed) {
            continue;
        }
        struct core_status st = cf_status(f, i);
        if (st.raft.role == RAFT_LEADER && st.raft.hard.term > term) {
            leader = i;
            term = st.raft.hard.term;
        }
    }
    return leader;
}

static bool has_leader(struct cluster_fixture *f)
{
    unsigned leader = cf_leader(f);
    if (leader == CF_MEMBERS_MAX) {
        return false;
    }
    unsigned followers = 0, running = 0;
    for (unsigned i = 0; i < f->count; i++) {
        if (f->members[i].driver != NULL && !f->members[i].is_failed) {
            running++;
            followers += cf_status(f, i).leader == f->members[leader].id;
        }
    }
    return followers > running / 2;
}

unsigned cf_wait_leader(struct cluster_fixture *f)
{
    bool is_led = cf_run_until(f, has_leader, RUN_MS);
    ensure(is_led);
    return cf_leader(f);
}

static bool is_settled(struct cluster_fixture *f)
{
    raft_index applied = 0;
    for (unsigned i = 0; i < f->count; i++) {
        if (f->members[i].driver == NULL) {
            continue;
        }
        struct core_status st = cf_status(f, i);
        if (st.applied != st.committed || st.applied != st.raft.last_index ||
            (applied != 0 && applied != st.applied)) {
            return false;
        }
        applied = st.applied;
    }
    return true;
}

void cf_settle(struct cluster_fixture *f)
{
    (void)cf_wait_leader(f);
    bool is_done = cf_run_until(f, is_settled, RUN_MS);
    ensure(is_done);
}

static bool is_same(const struct core *a, const struct core *b)
{
    const struct membership *x = core_members(a), *y = core_members(b);
    struct buf left = BUF_INIT, right = BUF_INIT;
    bool is_equal = x->count == y->count && x->removed_count == y->removed_count;
    for (size_t i = 0; is_equal && i < x->count; i++) {
        member_json(&left, &x->members[i]);
        member_json(&right, &y->members[i]);
    }
    is_equal = is_equal && slice_equal(buf_slice(&left), buf_slice(&right)) &&
               semver_compare(core_cluster_version(a), core_cluster_version(b)) == 0 &&
               semver_compare(core_storage_version(a), core_storage_version(b)) == 0;
    buf_deinit(&left);
    buf_deinit(&right);
    return is_equal;
}

static bool is_whole(struct cluster_fixture *f, unsigned i, struct mvcc_hash_value *h)
{
    struct core *c = driver_core(f->members[i].driver);
    core_check(c);
    mvcc_check(core_store(c));
    membership_check(core_members(c));
    return cf_hash(f, i, 0, h) == 0;
}

int cf_equal(struct cluster_fixture *f, struct buf *why)
{
    struct mvcc_hash_value first = {0}, h = {0};
    const struct core *one = NULL;
    if (!cf_run_until(f, has_leader, RUN_MS) || !cf_run_until(f, is_settled, RUN_MS)) {
        buf_append_cstr(why, "the members do not come to the same index");
        return ERR_TIMED_OUT;
    }
    for (unsigned i = 0; i < f->count; i++) {
        if (f->members[i].driver == NULL) {
            continue;
        }
        const struct core *c = driver_core(f->members[i].driver);
        bool is_ok = is_whole(f, i, &h);
        if (!is_ok || (one != NULL && (h.hash != first.hash || h.rev != first.rev ||
                                       h.compact_rev != first.compact_rev || !is_same(one, c)))) {
            buf_printf(why, "member %u differs: hash %x at %lld, the first has %x at %lld", i,
                       h.hash, (long long)h.rev, first.hash, (long long)first.rev);
            return ERR_MISMATCH;
        }
        first = h;
        one = c;
    }
    return 0;
}

void cf_check_equal(struct cluster_fixture *f)
{
    struct buf why = BUF_INIT;
    int err = cf_equal(f, &why);
    if (err != 0) {
        (void)fprintf(stderr, "%s\n", buf_cstr(&why));
    }
    ensure(err == 0);
    buf_deinit(&why);
}

/* ---- requests ---- */

static void on_reply(struct core_request *r)
{
    container_of(r, struct cf_request, req)->is_done = true;
}

void cf_request_init(struct cf_request *q, enum core_kind kind)
{
    core_request_init(&q->req, kind);
    q->req.on_reply = on_reply;
    q->is_done = false;
}

void cf_submit(struct cluster_fixture *f, unsigned i, struct cf_request *q)
{
    driver_submit(f->members[i].driver, &q->req);
}

int cf_ask(struct cluster_fixture *f, unsigned i, struct cf_request *q)
{
    cf_submit(f, i, q);
    for (int k = 0; k < RUN_MS && !q->is_done; k++) {
        step(f);
    }
    if (!q->is_done) {
        driver_cancel(f->members[i].driver, &q->req);
        cf_run(f, 10);
    }
    ensure(q->is_done);
    return q->req.err;
}

void cf_put_begin(struct cluster_fixture *f, unsigned i, struct cf_request *q, const char *key,
                  const char *value)
{
    struct buf body = BUF_INIT;
    struct wire_put_req put = {.key = slice_cstr(key), .value = slice_cstr(value)};
    wire_put_req_encode(&body, &put);
    cf_request_init(q, CORE_PROPOSE);
    q->req.which = WIRE_INTERNAL_PUT;
    q->req.body = buf_slice(&body);
    cf_submit(f, i, q);
    buf_deinit(&body);
}

int cf_propose(struct cluster_fixture *f, unsigned i, uint32_t which, struct slice body)
{
    struct cf_request q;
    cf_request_init(&q, CORE_PROPOSE);
    q.req.which = which;
    q.req.body = body;
    return cf_ask(f, i, &q);
}

int cf_put(struct cluster_fixture *f, unsigned i, const char *key, const char *value)
{
    struct buf body = BUF_INIT;
    struct wire_put_req put = {.key = slice_cstr(key), .value = slice_cstr(value)};
    wire_put_req_encode(&body, &put);
    int err = cf_propose(f, i, WIRE_INTERNAL_PUT, buf_slice(&body));
    buf_deinit(&body);
    return err;
}

int cf_get(struct cluster_fixture *f, unsigned i, const char *key, bool is_serializable,
           struct buf *out)
{
    struct cf_request q;
    struct wire_range_req range = {.key = slice_cstr(key)};
    struct mvcc_plan plan;
    cf_request_init(&q, CORE_RANGE);
    q.req.range = &range;
    q.req.plan = &plan;
    q.req.is_serializable = is_serializable;
    int err = cf_ask(f, i, &q);
    if (err != 0) {
        return err;
    }
    uint8_t bytes[4096];
    struct mvcc_sink sink = {bytes, 0, sizeof(bytes)};
    err = mvcc_plan_next(&plan, &sink);
    mvcc_plan_end(&plan);
    ensure(err == 0);
    struct wire_scan s;
    err = ERR_NOT_FOUND;
    for (wire_scan_init(&s, slice_make(bytes, sink.len)); wire_scan_next(&s);) {
        struct wire_kv kv;
        if (s.field == 2 && s.type == WIRE_LEN) {
            err = wire_kv_decode(s.bytes, &kv);
            ensure(err == 0);
            buf_append_slice(out, kv.value);
        }
    }
    return err;
}

int cf_hash(struct cluster_fixture *f, unsigned i, int64_t rev, struct mvcc_hash_value *out)
{
    struct cf_request q;
    cf_request_init(&q, CORE_HASH_KV);
    q.req.rev = rev;
    int err = cf_ask(f, i, &q);
    if (err == 0) {
        *out = q.req.hash;
    }
    return err;
}

int cf_conf(struct cluster_fixture *f, unsigned i, enum core_member_op op, uint64_t *id,
            const char *url)
{
    struct cf_request q;
    struct strs urls = {0};
    if (url != NULL) {
        strs_add(&urls, slice_cstr(url));
    }
    cf_request_init(&q, CORE_CONF_CHANGE);
    q.req.op = op;
    q.req.member_id = *id;
    q.req.peer_urls = &urls;
    q.req.unix_s = 1700000000 + (int64_t)(sim_now_ns(f->sim) / 1000000); /* no two the same */
    int err = cf_ask(f, i, &q);
    if (err == 0) {
        *id = q.req.member_id;
    }
    strs_deinit(&urls);
    return err;
}

int cf_transfer(struct cluster_fixture *f, unsigned i, uint64_t to)
{
    struct cf_request q;
    cf_request_init(&q, CORE_TRANSFER_LEADER);
    q.req.member_id = to;
    return cf_ask(f, i, &q);
}
