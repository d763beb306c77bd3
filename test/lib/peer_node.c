/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/peer_node.h"

#include "base/bytes.h"
#include "base/prng.h"
#include "member/member.h"

static void drain(void *arg);

static void want_drain(struct peer_node *n)
{
    if (!n->is_deferred) {
        n->is_deferred = true;
        n->o.env->exec->ops->defer(n->o.env->exec, drain, n);
    }
}

int peer_node_step(struct peer_node *n, const struct raft_event *ev)
{
    if (n->is_stopped) {
        return ERR_CLOSED;
    }
    int err = raft_step(n->raft, ev);
    ensure(err != ERR_CORRUPT);
    want_drain(n);
    return err;
}

/* ---- state machine ----------------------------------------------------------------------------
 */

static uint64_t mix(uint64_t hash, struct slice data)
{
    for (size_t i = 0; i < data.len; i++) {
        hash = (hash ^ data.data[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

void peer_node_peer_add(struct peer_node *n, uint64_t id, const char *url)
{
    struct strs urls = {NULL, 0};
    strs_add(&urls, slice_cstr(url));
    peer_add(n->transport, id, &urls);
    strs_deinit(&urls);
}

static void conf_apply(struct peer_node *n, const struct raft_entry *e)
{
    struct raft_conf_change_v2 cc;
    ensure(raft_conf_change_decode(e->type, e->data, &cc) == 0);
    ensure(raft_apply_conf_change(n->raft, &cc, &n->app.meta.conf) == 0);
    for (uint32_t i = 0; i < cc.count; i++) {
        uint64_t id = cc.changes[i].node_id;
        if (cc.changes[i].type == RAFT_CONF_REMOVE_NODE) {
            n->removed[n->removed_count++] = id;
            peer_remove(n->transport, id);
            continue;
        }
        struct member_context ctx;
        if (id == n->o.id || member_context_parse(cc.context, &ctx) != 0) {
            continue;
        }
        if (ctx.member.peer_urls.count > 0) {
            peer_add(n->transport, id, &ctx.member.peer_urls);
        }
        member_context_deinit(&ctx);
    }
}

static void apply(struct peer_node *n, struct store_entries *entries)
{
    for (size_t i = 0; i < entries->len; i++) {
        const struct raft_entry *e = &entries->data[i];
        if (e->index <= n->app.meta.index) {
            continue;
        }
        ensure(e->index == n->app.meta.index + 1);
        if (e->type != RAFT_ENTRY_NORMAL) {
            conf_apply(n, e);
        } else if (e->data.len > 0) {
            n->hash = mix(n->hash, e->data);
            n->count++;
        }
        n->app.meta.index = e->index;
        n->app.meta.term = e->term;
        if (n->o.on_apply != NULL) {
            n->o.on_apply(n->o.arg, e);
        }
    }
}

/* ---- snapshots --------------------------------------------------------------------------------
 */

struct fake_db {
    struct peer_node *node;
    uint64_t words[2];
    size_t bytes;
};

static uint8_t fake_byte(const struct fake_db *db, uint64_t at)
{
    const uint8_t *head = (const uint8_t *)db->words;
    return at < sizeof(db->words) ? head[at] : (uint8_t)(at * 31 >> 3);
}

static int fake_read(void *arg, uint64_t off, void *dst, size_t len)
{
    struct fake_db *db = arg;
    uint8_t *out = dst;
    for (size_t i = 0; i < len; i++) {
        out[i] = fake_byte(db, off + i);
    }
    return 0;
}

static void fake_release(void *arg)
{
    mem_free(arg);
}

static void snapshot_send(struct peer_node *n, const struct raft_message *m)
{
    struct fake_db *db = mem_zalloc(sizeof(*db));
    db->words[0] = n->hash;
    db->words[1] = n->count;
    db->bytes = n->o.snapshot_bytes > sizeof(db->words) ? n->o.snapshot_bytes : sizeof(db->words);
    struct peer_snapshot s = {
        .message = m,
        .meta = &n->app.meta,
        .v2_json = SLICE_LIT("{}"),
        .db_bytes = db->bytes,
        .read = fake_read,
        .release = fake_release,
        .arg = db,
    };
    peer_send_snapshot(n->transport, &s);
}

static void db_check(const struct fake_db *db, struct slice content)
{
    for (size_t i = sizeof(db->words); i < content.len; i++) {
        ensure(content.data[i] == fake_byte(db, i));
    }
}

static int on_snapshot(void *arg, const struct peer_snapshot_in *in)
{
    struct peer_node *n = arg;
    struct buf content = BUF_INIT;
    struct fake_db db = {.node = n};
    raft_index index = in->message->snapshot->meta.index;
    n->snapshots_in++;
    int err = env_read_file(n->o.env->disk, in->path, 1u << 30, &content);
    ensure(err == 0 && content.len >= sizeof(db.words));
    memcpy(db.words, content.data, sizeof(db.words));
    db_check(&db, buf_slice(&content));
    buf_deinit(&content);
    err = peer_node_step(n, &(struct raft_event){.type = RAFT_EV_MESSAGE, .message = in->message});
    raft_index first = raft_log_first_index(n->raft);
    if (err == 0 && first == index + 1) {
        n->hash = db.words[0];
        n->count = db.words[1];
    }
    return err;
}

/* ---- carrying updates out ---------------------------------------------------------------------
 */

static void send_all(struct peer_node *n, const struct raft_message *messages, size_t count)
{
    peer_send(n->transport, messages, count);
    for (size_t i = 0; i < count; i++) {
        if (messages[i].type == RAFT_MSG_SNAP) {
            snapshot_send(n, &messages[i]);
        }
    }
}

static void log_reads_answer(struct peer_node *n, const struct raft_log_read *reads, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct raft_event ev = {.type = RAFT_EV_ENTRIES_READ, .read = reads[i]};
        ev.entries = raft_store_read(&n->store, reads[i].lo, reads[i].hi, &ev.entry_count);
        (void)peer_node_step(n, &ev);
    }
}

static void store_write(struct peer_node *n, const struct raft_update *u)
{
    n->store.hard = u->hard_changed ? u->hard : n->store.hard;
    if (u->snapshot != NULL) {
        raft_store_install(&n->store, u->snapshot);
        n->app = *u->snapshot;
    }
    raft_store_append(&n->store, u->entries, u->entry_count);
}

/* Updates die with the next step: what is needed later is copied. */
static void update_take(struct peer_node *n)
{
    struct raft_update u;
    struct store_entries committed = {NULL, 0, 0};
    raft_take(n->raft, &u);
    n->leader = u.soft_changed ? u.leader : n->leader;
    send_all(n, u.messages, u.message_count);
    store_write(n, &u);
    send_all(n, u.messages_synced, u.messages_synced_count);
    struct raft_message *self = mem_alloc_array(u.messages_synced_count + 1, sizeof(*self));
    size_t self_count = 0;
    for (size_t i = 0; i < u.messages_synced_count; i++) {
        if (u.messages_synced[i].to == n->o.id) {
            self[self_count++] = u.messages_synced[i];
        }
    }
    struct raft_log_read *reads = mem_alloc_array(u.log_read_count + 1, sizeof(*reads));
    size_t read_count = u.log_read_count;
    if (read_count > 0) {
        memcpy(reads, u.log_reads, read_count * sizeof(*reads));
    }
    store_entries_append(&committed, u.committed, u.committed_count);
    bool has_snapshot = u.snapshot != NULL;
    apply(n, &committed);
    if (committed.len > 0 || has_snapshot) {
        raft_set_snapshot(n->raft, &n->app);
    }
    if (committed.len > 0) {
        raft_index last = committed.data[committed.len - 1].index;
        (void)peer_node_step(n, &(struct raft_event){.type = RAFT_EV_APPLIED, .index = last});
    }
    for (size_t i = 0; i < self_count; i++) {
        (void)peer_node_step(n, &(struct raft_event){.type = RAFT_EV_MESSAGE, .message = &self[i]});
    }
    if (u.needs_ack) {
        (void)peer_node_step(n, &(struct raft_event){.type = RAFT_EV_APPENDED, .ack = u.ack});
    }
    log_reads_answer(n, reads, read_count);
    store_entries_deinit(&committed);
    mem_free(self);
    mem_free(reads);
}

static void drain(void *arg)
{
    struct peer_node *n = arg;
    n->is_deferred = false;
    while (!n->is_stopped && raft_has_update(n->raft)) {
        update_take(n);
    }
}

/* ---- events -----------------------------------------------------------------------------------
 */

static int on_message(void *arg, const struct raft_message *m)
{
    struct peer_node *n = arg;
    return peer_node_step(n, &(struct raft_event){.type = RAFT_EV_MESSAGE, .message = m});
}

static bool is_removed(void *arg, uint64_t id)
{
    const struct peer_node *n = arg;
    for (size_t i = 0; i < n->removed_count; i++) {
        if (n->removed[i] == id) {
            return true;
        }
    }
    return false;
}

static void on_unreachable(void *arg, uint64_t id)
{
    struct peer_node *n = arg;
    n->unreachables++;
    (void)peer_node_step(n, &(struct raft_event){.type = RAFT_EV_UNREACHABLE, .member = id});
}

static void on_snapshot_status(void *arg, uint64_t id, bool has_failed)
{
    struct peer_node *n = arg;
    n->snapshots_ok += has_failed ? 0 : 1;
    n->snapshots_failed += has_failed ? 1 : 0;
    (void)peer_node_step(
        n,
        &(struct raft_event){.type = RAFT_EV_SNAPSHOT_STATUS, .member = id, .failed = has_failed});
}

static void on_active(void *arg, uint64_t id, bool is_active)
{
    struct peer_node *n = arg;
    (void)id;
    n->active_reports += is_active ? 1 : 0;
    n->inactive_reports += is_active ? 0 : 1;
}

static void on_removed(void *arg)
{
    ((struct peer_node *)arg)->told_removed++;
}

static const struct peer_events peer_node_events = {
    .on_message = on_message,
    .on_snapshot = on_snapshot,
    .is_removed = is_removed,
    .on_unreachable = on_unreachable,
    .on_snapshot_status = on_snapshot_status,
    .on_active = on_active,
    .on_removed = on_removed,
};

static void tick_fire(struct env_timer *t)
{
    struct peer_node *n = container_of(t, struct peer_node, tick);
    (void)peer_node_step(n, &(struct raft_event){.type = RAFT_EV_TICK});
    n->o.env->exec->ops->timer_start(n->o.env->exec, &n->tick, n->o.heartbeat_ms);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void raft_make(struct peer_node *n, const struct raft_conf_state *conf)
{
    struct raft_config config = {
        .id = n->o.id,
        .election_ticks = 10,
        .heartbeat_ticks = 1,
        .seed = n->o.id,
        .msg_bytes_max = 512 << 10,
        .inflight_max = 512,
        .check_quorum = true,
        .pre_vote = true,
        .applying_bytes_max = 64 << 20,
    };
    struct raft_snapshot start = {.handle = NULL};
    if (conf != NULL) {
        start.meta.conf = *conf;
    }
    struct raft_boot boot = {.conf = start.meta.conf};
    n->app = start;
    raft_store_init(&n->store, &start);
    if (n->o.store != NULL) {
        n->store.hard = boot.hard = n->o.store->hard;
        raft_store_append(&n->store, n->o.store->entries.data, n->o.store->entries.len);
        boot.entries = n->store.entries.data;
        boot.entry_count = n->store.entries.len;
    }
    ensure(raft_create(&config, &boot, &n->raft) == 0);
}

static void listen(struct peer_node *n)
{
    struct rpc_server_options so = {.env = n->o.env};
    struct rpc_listen_options lo = {.accept = RPC_ACCEPT_HTTP, .has_plain = true};
    n->rpc = rpc_server_create(&so);
    lo.handlers = peer_handlers(n->transport, &lo.handler_count);
    ensure(rpc_server_listen(n->rpc, n->o.listen, &lo, &n->listener) == 0);
}

struct peer_node *peer_node_create(const struct peer_node_options *o,
                                   const struct raft_conf_state *conf)
{
    struct peer_node *n = mem_zalloc(sizeof(*n));
    struct strs urls = {NULL, 0};
    n->o = *o;
    n->hash = UINT64_C(0xcbf29ce484222325);
    strs_add(&urls, slice_cstr(o->url));
    raft_make(n, conf);
    struct peer_config config = {
        .env = o->env,
        .local_id = o->id,
        .cluster_id = o->cluster_id,
        .level = o->level,
        .urls = &urls,
        .snap_dir = o->snap_dir,
        .election_ms = 10 * o->heartbeat_ms,
        .events = &peer_node_events,
        .pages = o->pages,
        .arg = n,
    };
    n->transport = peer_transport_create(&config);
    strs_deinit(&urls);
    listen(n);
    n->tick.fire = tick_fire;
    o->env->exec->ops->timer_start(o->env->exec, &n->tick, o->heartbeat_ms);
    return n;
}

static void on_rpc_stopped(void *arg)
{
    ((struct peer_node *)arg)->rpc_stopped = true;
}

void peer_node_stop(struct peer_node *n)
{
    if (n->is_stopped) {
        return;
    }
    n->is_stopped = true;
    n->o.env->exec->ops->timer_stop(n->o.env->exec, &n->tick);
    peer_transport_stop(n->transport);
    rpc_server_stop(n->rpc, 1000, on_rpc_stopped, n);
}

void peer_node_destroy(struct peer_node *n)
{
    ensure(n->is_stopped && n->rpc_stopped && !n->is_deferred);
    peer_transport_destroy(n->transport);
    rpc_server_destroy(n->rpc);
    raft_destroy(n->raft);
    raft_store_deinit(&n->store);
    mem_free(n);
}

int peer_node_propose(struct peer_node *n, struct slice data)
{
    struct rcbuf *owner = rcbuf_from(data);
    struct raft_entry e = {.data = rcbuf_slice(owner), .owner = owner};
    int err = peer_node_step(
        n, &(struct raft_event){.type = RAFT_EV_PROPOSE, .entries = &e, .entry_count = 1});
    rcbuf_unref(owner);
    return err;
}

int peer_node_propose_conf(struct peer_node *n, const struct raft_conf_change *cc)
{
    struct buf data = BUF_INIT;
    raft_conf_change_v1_encode(cc, &data);
    struct rcbuf *owner = rcbuf_from(buf_slice(&data));
    struct raft_entry e = {
        .type = RAFT_ENTRY_CONF_CHANGE, .data = rcbuf_slice(owner), .owner = owner};
    int err = peer_node_step(
        n, &(struct raft_event){.type = RAFT_EV_PROPOSE, .entries = &e, .entry_count = 1});
    rcbuf_unref(owner);
    buf_deinit(&data);
    return err;
}

void peer_node_compact(struct peer_node *n, raft_index keep)
{
    if (n->app.meta.index > keep) {
        raft_log_compact(n->raft, n->app.meta.index - keep);
        raft_store_compact(&n->store, n->app.meta.index - keep);
    }
}

bool peer_node_is_leader(const struct peer_node *n)
{
    struct raft_status s;
    raft_status(n->raft, &s);
    return s.role == RAFT_LEADER;
}
