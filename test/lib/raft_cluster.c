/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/raft_cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "raft/state.h"
#include "test/lib/raft_store.h"

enum {
    NODES = 5,
    VOTERS_AT_START = 3,
    NETWORK_MAX = 600,
    SNAPSHOT_RESERVE = 200,
    PIPE_MAX = 64,
    INDEX_MAX = 20000,
    TERM_MAX = 4000,
    READS_MAX = 4096,
    HEAL_TICKS_MAX = 3000,
};

/* A message on its way, with all it points to. */
struct packet {
    struct raft_message m;
    struct store_entries entries;
    struct raft_snapshot snapshot;
};

/* One storage write that is under way. */
struct write {
    bool hard_changed;
    struct raft_hard_state hard;
    struct store_entries entries;
    bool has_snapshot;
    struct raft_snapshot snapshot;
    struct packet **after;
    size_t after_count;
    bool needs_ack;
    struct raft_append_ack ack;
};

struct member {
    struct raft *raft;
    uint64_t id;
    struct raft_config config;
    struct raft_store store;
    struct write writes[PIPE_MAX];
    size_t write_count;
    struct store_entries to_apply;
    struct raft_snapshot app; /* applied state: durable at once */
    struct raft_log_read reads[PIPE_MAX];
    size_t read_count;
    bool is_removed;
};

/* What the whole cluster may know about an entry. */
struct fact {
    raft_term term; /* of the applied entry; 0 = none yet */
    uint64_t content;
};

struct cluster {
    struct prng prng;
    uint64_t seed;
    uint64_t steps;
    bool must_heal; /* the first voters stay: see cluster_heals */
    bool is_healing;
    struct member members[NODES];
    struct packet *network[NETWORK_MAX];
    size_t network_count;
    uint64_t leaders[TERM_MAX];
    struct fact applied[INDEX_MAX];
    raft_index committed_max; /* known by somebody */
    raft_index read_floor[READS_MAX];
    uint64_t next_read;
    uint64_t next_content;
    uint64_t applied_total;
};

#define CLUSTER_ENSURE(c, expr)                                                                    \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "seed %" PRIu64 " step %" PRIu64 ": %s\n", (c)->seed, (c)->steps,      \
                    #expr);                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Packets. */

static struct packet *packet_create(const struct raft_message *m)
{
    struct packet *p = mem_zalloc(sizeof(*p));
    p->m = *m;
    store_entries_append(&p->entries, m->entries, m->entry_count);
    p->m.entries = p->entries.data;
    if (m->snapshot != NULL) {
        p->snapshot = *m->snapshot;
        p->m.snapshot = &p->snapshot;
    }
    return p;
}

static void packet_destroy(struct packet *p)
{
    store_entries_deinit(&p->entries);
    mem_free(p);
}

/* A snapshot is never lost without a word: its sender must hear how it went. */
static void network_send(struct cluster *c, struct packet *p)
{
    bool is_snapshot = p->m.type == RAFT_MSG_SNAP;
    bool is_lost = !c->is_healing && prng_chance(&c->prng, 1, 10);
    bool is_full = c->network_count >= NETWORK_MAX - (is_snapshot ? 0 : SNAPSHOT_RESERVE);
    if (!is_snapshot && (is_lost || is_full)) {
        packet_destroy(p);
        return;
    }
    CLUSTER_ENSURE(c, p->m.to <= NODES && !is_full);
    c->network[c->network_count++] = p;
}

/* Checks. */

static void check_leader(struct cluster *c, const struct member *m)
{
    struct raft_status st;
    raft_status(m->raft, &st);
    CLUSTER_ENSURE(c, st.hard.term < TERM_MAX && st.last_index < INDEX_MAX);
    if (st.role == RAFT_LEADER) {
        uint64_t *leader = &c->leaders[st.hard.term];
        CLUSTER_ENSURE(c, *leader == 0 || *leader == m->id);
        *leader = m->id;
    }
    if (st.hard.commit > c->committed_max) {
        c->committed_max = st.hard.commit;
    }
}

static uint64_t content_of(const struct raft_entry *e)
{
    return e->data.len == 8 ? load_le64(e->data.data) : e->data.len;
}

/* Entries that two logs share by (term, index) have the same past: compare pairwise. */
static void check_log_matching(struct cluster *c, const struct raft *a, const struct raft *b)
{
    raft_index hi = raft_log_last(&a->log) < raft_log_last(&b->log) ? raft_log_last(&a->log)
                                                                    : raft_log_last(&b->log);
    raft_index lo = a->log.mem_first > b->log.mem_first ? a->log.mem_first : b->log.mem_first;
    bool must_match = false;
    for (raft_index i = hi; i >= lo && i > 0; i--) {
        const struct raft_entry *ea = raft_log_at(&a->log, i);
        const struct raft_entry *eb = raft_log_at(&b->log, i);
        must_match = must_match || ea->term == eb->term;
        CLUSTER_ENSURE(c, !must_match || ea->term == eb->term);
        CLUSTER_ENSURE(c, !must_match || slice_equal(ea->data, eb->data));
    }
}

static void check_all(struct cluster *c, struct member *m)
{
    raft_check(m->raft);
    check_leader(c, m);
    if (c->steps % 16 == 0) {
        for (int i = 0; i < NODES; i++) {
            if (&c->members[i] != m && c->members[i].raft != NULL) {
                check_log_matching(c, m->raft, c->members[i].raft);
            }
        }
    }
}

/* Steps. */

static void collect(struct cluster *c, struct member *m);

static void step(struct cluster *c, struct member *m, const struct raft_event *ev)
{
    int rv = raft_step(m->raft, ev);
    CLUSTER_ENSURE(c, rv != ERR_CORRUPT && rv != ERR_MALFORMED);
    check_all(c, m);
    if (m->write_count < PIPE_MAX && (c->is_healing || prng_chance(&c->prng, 2, 3))) {
        collect(c, m);
    }
}

static void check_reads(struct cluster *c, const struct raft_update *u)
{
    for (size_t i = 0; i < u->read_count; i++) {
        uint64_t number = load_le64(u->reads[i].context.bytes);
        CLUSTER_ENSURE(c, number < READS_MAX && u->reads[i].index >= c->read_floor[number]);
    }
}

static void collect_write(struct cluster *c, struct member *m, const struct raft_update *u)
{
    CLUSTER_ENSURE(c, u->must_sync || (u->entry_count == 0 && u->snapshot == NULL));
    struct write *w = &m->writes[m->write_count++];
    *w = (struct write){.hard_changed = u->hard_changed,
                        .hard = u->hard,
                        .has_snapshot = u->snapshot != NULL,
                        .needs_ack = u->needs_ack,
                        .ack = u->ack};
    store_entries_append(&w->entries, u->entries, u->entry_count);
    if (w->has_snapshot) {
        w->snapshot = *u->snapshot;
    }
    w->after = mem_alloc_array(u->messages_synced_count + 1, sizeof(*w->after));
    for (size_t i = 0; i < u->messages_synced_count; i++) {
        w->after[w->after_count++] = packet_create(&u->messages_synced[i]);
    }
}

/* Takes the update of a member: writes and applications are queued, messages leave. */
static void collect(struct cluster *c, struct member *m)
{
    struct raft_update u;
    raft_take(m->raft, &u);
    check_reads(c, &u);
    for (size_t i = 0; i < u.message_count; i++) {
        network_send(c, packet_create(&u.messages[i]));
    }
    if (u.has_append) {
        collect_write(c, m, &u);
    }
    /* Only what is locally durable may be handed out. */
    CLUSTER_ENSURE(c, u.committed_count == 0 ||
                          u.committed[u.committed_count - 1].index <= raft_store_last(&m->store));
    store_entries_append(&m->to_apply, u.committed, u.committed_count);
    for (size_t i = 0; i < u.log_read_count && m->read_count < PIPE_MAX; i++) {
        m->reads[m->read_count++] = u.log_reads[i];
    }
}

static void write_free(struct write *w)
{
    for (size_t i = 0; i < w->after_count; i++) {
        packet_destroy(w->after[i]);
    }
    mem_free(w->after);
    store_entries_deinit(&w->entries);
}

/* The oldest write becomes durable. */
static void complete_write(struct cluster *c, struct member *m)
{
    if (m->write_count == 0) {
        return;
    }
    struct write w = m->writes[0];
    m->write_count--;
    memmove(&m->writes[0], &m->writes[1], m->write_count * sizeof(m->writes[0]));
    m->store.hard = w.hard_changed ? w.hard : m->store.hard;
    if (w.has_snapshot) {
        raft_store_install(&m->store, &w.snapshot);
        m->app = w.snapshot;
        raft_set_snapshot(m->raft, &m->app);
    }
    raft_store_append(&m->store, w.entries.data, w.entries.len);
    for (size_t i = 0; i < w.after_count; i++) {
        struct packet *p = w.after[i];
        if (p->m.to != m->id) {
            network_send(c, packet_create(&p->m));
        } else {
            step(c, m, &(struct raft_event){.type = RAFT_EV_MESSAGE, .message = &p->m});
        }
    }
    if (w.needs_ack) {
        step(c, m, &(struct raft_event){.type = RAFT_EV_APPENDED, .ack = w.ack});
    }
    write_free(&w);
}

static void apply_conf(struct cluster *c, struct member *m, const struct raft_entry *e)
{
    struct raft_conf_change_v2 cc;
    int rv = raft_conf_change_decode(e->type, e->data, &cc);
    CLUSTER_ENSURE(c, rv == 0);
    if (raft_apply_conf_change(m->raft, &cc, &m->app.meta.conf) != 0) {
        return; /* impossible in this configuration, for everybody alike */
    }
    m->is_removed = !raft_members_is_voter(&m->raft->tracker.members, m->id) &&
                    !raft_ids_contains(&m->app.meta.conf.learners, m->id);
}

static void apply_one(struct cluster *c, struct member *m, const struct raft_entry *e)
{
    struct fact *f = &c->applied[e->index];
    CLUSTER_ENSURE(c, e->index == m->app.meta.index + 1);
    CLUSTER_ENSURE(c, f->term == 0 || (f->term == e->term && f->content == content_of(e)));
    *f = (struct fact){e->term, content_of(e)};
    if (e->type != RAFT_ENTRY_NORMAL) {
        apply_conf(c, m, e);
    }
    m->app.meta.index = e->index;
    m->app.meta.term = e->term;
    c->applied_total++;
}

static void apply(struct cluster *c, struct member *m)
{
    for (size_t i = 0; i < m->to_apply.len; i++) {
        if (m->to_apply.data[i].index > m->app.meta.index) { /* else a snapshot overtook it */
            apply_one(c, m, &m->to_apply.data[i]);
        }
    }
    if (m->to_apply.len > 0) {
        raft_index last = m->to_apply.data[m->to_apply.len - 1].index;
        store_entries_truncate(&m->to_apply, 0);
        raft_set_snapshot(m->raft, &m->app);
        step(c, m, &(struct raft_event){.type = RAFT_EV_APPLIED, .index = last});
    }
}

static void serve_read(struct cluster *c, struct member *m)
{
    if (m->read_count == 0) {
        return;
    }
    struct raft_event ev = {.type = RAFT_EV_ENTRIES_READ};
    ev.read = m->reads[--m->read_count];
    ev.entries = raft_store_read(&m->store, ev.read.lo, ev.read.hi, &ev.entry_count);
    step(c, m, &ev);
}

static void report_snapshot(struct cluster *c, const struct raft_message *m, bool failed)
{
    if (m->type == RAFT_MSG_SNAP) {
        step(c, &c->members[m->from - 1],
             &(struct raft_event){
                 .type = RAFT_EV_SNAPSHOT_STATUS, .member = m->to, .failed = failed});
    }
}

/* A random packet arrives, perhaps not for the last time. */
static void deliver(struct cluster *c)
{
    if (c->network_count == 0) {
        return;
    }
    size_t at = c->is_healing ? 0 : (size_t)prng_below(&c->prng, c->network_count);
    struct packet *p = c->network[at];
    c->network_count--;
    memmove(&c->network[at], &c->network[at + 1], (c->network_count - at) * sizeof(c->network[0]));
    struct packet *again =
        !c->is_healing && prng_chance(&c->prng, 1, 20) ? packet_create(&p->m) : NULL;
    if (!c->is_healing && prng_chance(&c->prng, 1, 10)) {
        report_snapshot(c, &p->m, true);
    } else {
        step(c, &c->members[p->m.to - 1],
             &(struct raft_event){.type = RAFT_EV_MESSAGE, .message = &p->m});
        report_snapshot(c, &p->m, false);
    }
    packet_destroy(p);
    if (again != NULL) {
        network_send(c, again);
    }
}

static void propose_data(struct cluster *c, struct member *m)
{
    struct raft_entry e[3];
    size_t n = 1 + (size_t)prng_below(&c->prng, 3);
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[8];
        store_le64(bytes, ++c->next_content);
        e[i] = (struct raft_entry){.owner = rcbuf_from(slice_make(bytes, 8))};
        e[i].data = rcbuf_slice(e[i].owner);
    }
    step(c, m, &(struct raft_event){.type = RAFT_EV_PROPOSE, .entries = e, .entry_count = n});
    for (size_t i = 0; i < n; i++) {
        rcbuf_unref(e[i].owner);
    }
}

static void propose_conf(struct cluster *c, struct member *m)
{
    struct raft_conf_change_v2 cc = {.count = (uint32_t)prng_below(&c->prng, 4)};
    struct buf b = BUF_INIT;
    for (uint32_t i = 0; i < cc.count; i++) {
        uint64_t kind = prng_below(&c->prng, 4);
        cc.changes[i].type = kind < 2    ? RAFT_CONF_ADD_NODE
                             : kind == 2 ? RAFT_CONF_ADD_LEARNER
                                         : RAFT_CONF_REMOVE_NODE;
        cc.changes[i].node_id =
            c->must_heal ? VOTERS_AT_START + 1 + prng_below(&c->prng, NODES - VOTERS_AT_START)
                         : 1 + prng_below(&c->prng, NODES);
    }
    cc.transition =
        cc.count == 0 ? RAFT_TRANSITION_AUTO : (enum raft_conf_transition)prng_below(&c->prng, 3);
    raft_conf_change_v2_encode(&cc, &b);
    struct raft_entry e = {.type = RAFT_ENTRY_CONF_CHANGE_V2, .owner = rcbuf_from(buf_slice(&b))};
    e.data = cc.count == 0 ? SLICE_NULL : rcbuf_slice(e.owner);
    step(c, m, &(struct raft_event){.type = RAFT_EV_PROPOSE, .entries = &e, .entry_count = 1});
    rcbuf_unref(e.owner);
    buf_deinit(&b);
}

static void read_index(struct cluster *c, struct member *m)
{
    struct raft_event ev = {.type = RAFT_EV_READ_INDEX};
    if (c->next_read == READS_MAX) {
        return;
    }
    c->read_floor[c->next_read] = c->committed_max;
    ev.context.len = 8;
    store_le64(ev.context.bytes, c->next_read++);
    step(c, m, &ev);
}

static void compact(struct cluster *c, struct member *m)
{
    raft_index applied = m->raft->log.applied;
    raft_index stable = m->raft->log.unstable_first - 1;
    raft_index most = applied < m->app.meta.index ? applied : m->app.meta.index;
    most = most < stable ? most : stable;
    if (m->raft->log.has_snapshot || most <= m->store.base.index) {
        return;
    }
    raft_index to = m->store.base.index + prng_below(&c->prng, most - m->store.base.index + 1);
    raft_store_compact(&m->store, to);
    raft_log_compact(m->raft, to);
    check_all(c, m);
}

static void boot(struct cluster *c, struct member *m)
{
    struct raft_boot b = {.hard = m->store.hard,
                          .conf = m->app.meta.conf,
                          .base = m->store.base,
                          .entries = m->store.entries.data,
                          .entry_count = m->store.entries.len,
                          .applied = m->app.meta.index,
                          .snapshot = m->app};
    m->config.seed = prng_next(&c->prng);
    int rv = raft_create(&m->config, &b, &m->raft);
    CLUSTER_ENSURE(c, rv == 0);
    raft_check(m->raft);
}

/* A prefix of the writes made it, the rest did not. */
static void crash(struct cluster *c, struct member *m)
{
    for (size_t i = 0; i < m->write_count; i++) {
        write_free(&m->writes[i]);
    }
    m->write_count = 0;
    m->read_count = 0;
    store_entries_truncate(&m->to_apply, 0);
    raft_destroy(m->raft);
    boot(c, m);
}

static void act(struct cluster *c, struct member *m, uint64_t die)
{
    if (die < 15) {
        step(c, m, &(struct raft_event){.type = RAFT_EV_TICK});
    } else if (die < 50) {
        deliver(c);
    } else if (die < 70) {
        complete_write(c, m);
    } else if (die < 78) {
        apply(c, m);
    } else if (die < 84) {
        propose_data(c, m);
    } else if (die < 86) {
        propose_conf(c, m);
    } else if (die < 89) {
        read_index(c, m);
    } else if (die < 91) {
        serve_read(c, m);
    } else if (die < 92) {
        compact(c, m);
    } else if (die < 93) {
        step(c, m,
             &(struct raft_event){.type = RAFT_EV_UNREACHABLE,
                                  .member = 1 + prng_below(&c->prng, NODES)});
    } else if (die < 94 && prng_chance(&c->prng, 1, 5)) {
        step(c, m,
             &(struct raft_event){.type = RAFT_EV_TRANSFER_LEADER,
                                  .member = 1 + prng_below(&c->prng, NODES)});
    } else if (die < 95 && prng_chance(&c->prng, 1, 10)) {
        step(c, m, &(struct raft_event){.type = RAFT_EV_FORGET_LEADER});
    } else if (die < 96 && prng_chance(&c->prng, 1, 10)) {
        crash(c, m);
    } else if (m->write_count < PIPE_MAX) {
        collect(c, m);
    }
}

void cluster_step(struct cluster *c)
{
    c->steps++;
    act(c, &c->members[prng_below(&c->prng, NODES)], prng_below(&c->prng, 100));
}

/* Everything that waits is done, in order. */
static void settle(struct cluster *c)
{
    for (bool worked = true; worked;) {
        worked = false;
        for (int i = 0; i < NODES; i++) {
            struct member *m = &c->members[i];
            if (raft_has_update(m->raft) && m->write_count < PIPE_MAX) {
                collect(c, m);
                worked = true;
            }
            worked = worked || m->write_count + m->to_apply.len + m->read_count > 0;
            complete_write(c, m);
            apply(c, m);
            serve_read(c, m);
        }
        worked = worked || c->network_count > 0;
        deliver(c);
    }
}

static struct member *leader(struct cluster *c)
{
    struct member *found = NULL;
    for (int i = 0; i < NODES; i++) {
        struct member *m = &c->members[i];
        bool leads = m->raft->role == RAFT_LEADER;
        if (leads && (found == NULL || found->raft->term < m->raft->term)) {
            found = m;
        }
    }
    return found;
}

/* All members of the leader's configuration have applied all of its log. */
static bool is_whole(struct cluster *c, const struct member *lead)
{
    const struct raft_members *members = &lead->raft->tracker.members;
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *m = &c->members[members->list[i].id - 1];
        if (m->app.meta.index != raft_log_last(&lead->raft->log)) {
            return false;
        }
    }
    return raft_log_last(&lead->raft->log) == lead->raft->log.committed;
}

static void print_ids(const char *name, const struct raft_ids *ids)
{
    fprintf(stderr, " %s(", name);
    for (uint32_t i = 0; i < ids->count; i++) {
        fprintf(stderr, "%s%" PRIu64, i > 0 ? " " : "", ids->ids[i]);
    }
    fprintf(stderr, ")");
}

/* For a failure: how everybody sees the world. */
static void print_members(const struct cluster *c)
{
    for (int i = 0; i < NODES; i++) {
        const struct raft *r = c->members[i].raft;
        const struct raft_conf_state *cs = &r->tracker.members.conf;
        fprintf(stderr,
                "%d: role %d term %" PRIu64 " leader %" PRIu64 " base %" PRIu64 " applied %" PRIu64
                " commit %" PRIu64 " stable %" PRIu64 " last %" PRIu64 "/%" PRIu64,
                i + 1, (int)r->role, r->term, r->leader, r->log.base.index, r->log.applied,
                r->log.committed, r->log.unstable_first - 1, raft_log_last_id(&r->log).term,
                raft_log_last(&r->log));
        print_ids("voters", &cs->voters);
        print_ids("outgoing", &cs->voters_outgoing);
        print_ids("learners", &cs->learners);
        print_ids("next", &cs->learners_next);
        fprintf(stderr, "%s\n", cs->auto_leave ? " auto leave" : "");
        for (uint32_t k = 0; r->role == RAFT_LEADER && k < r->tracker.members.count; k++) {
            const struct raft_progress *pr = &r->tracker.members.list[k];
            fprintf(stderr,
                    "   %" PRIu64 " state %d match %" PRIu64 " next %" PRIu64
                    " paused %d reading %d active %d\n",
                    pr->id, (int)pr->state, pr->match, pr->next, pr->flow_paused, pr->is_reading,
                    pr->recent_active);
        }
    }
}

bool cluster_heals(struct cluster *c)
{
    if (!c->must_heal) {
        return true;
    }
    c->is_healing = true;
    for (int t = 0; t < HEAL_TICKS_MAX; t++) {
        c->steps++;
        for (int i = 0; i < NODES; i++) {
            step(c, &c->members[i], &(struct raft_event){.type = RAFT_EV_TICK});
        }
        settle(c);
        struct member *lead = leader(c);
        if (t == HEAL_TICKS_MAX / 2 && lead != NULL) {
            propose_data(c, lead);
            settle(c);
        }
        if (t > HEAL_TICKS_MAX / 2 && lead != NULL && is_whole(c, lead)) {
            c->is_healing = false;
            return true;
        }
    }
    print_members(c);
    return false;
}

uint64_t cluster_applied_count(const struct cluster *c)
{
    return c->applied_total;
}

static void bootstrap(struct cluster *c, struct member *m)
{
    struct raft_entry e[VOTERS_AT_START];
    struct buf b[VOTERS_AT_START];
    for (uint64_t i = 0; i < VOTERS_AT_START; i++) {
        struct raft_conf_change cc = {0, RAFT_CONF_ADD_NODE, i + 1, SLICE_NULL};
        buf_init(&b[i]);
        raft_conf_change_v1_encode(&cc, &b[i]);
        e[i] = (struct raft_entry){.type = RAFT_ENTRY_CONF_CHANGE,
                                   .owner = rcbuf_from(buf_slice(&b[i]))};
        e[i].data = rcbuf_slice(e[i].owner);
    }
    int rv = raft_bootstrap(m->raft, e, VOTERS_AT_START);
    CLUSTER_ENSURE(c, rv == 0);
    for (uint64_t i = 0; i < VOTERS_AT_START; i++) {
        rcbuf_unref(e[i].owner);
        buf_deinit(&b[i]);
    }
    /* The first write is durable before anything else happens, as in a start from flags. */
    collect(c, m);
    complete_write(c, m);
}

struct cluster *cluster_create(uint64_t seed)
{
    struct cluster *c = mem_zalloc(sizeof(*c));
    c->seed = seed;
    prng_init(&c->prng, seed);
    c->must_heal = seed % 2 == 0;
    bool pre_vote = prng_chance(&c->prng, 1, 2);
    bool check_quorum = prng_chance(&c->prng, 1, 2);
    bool step_down = prng_chance(&c->prng, 1, 2);
    bool is_small = prng_chance(&c->prng, 1, 2);
    for (int i = 0; i < NODES; i++) {
        struct member *m = &c->members[i];
        m->id = (uint64_t)i + 1;
        m->config = (struct raft_config){.id = m->id,
                                         .election_ticks = 5,
                                         .heartbeat_ticks = 1,
                                         .msg_bytes_max = is_small ? 40 : 1 << 20,
                                         .applying_bytes_max = is_small ? 60 : 0,
                                         .uncommitted_bytes_max = is_small ? 200 : 0,
                                         .log_bytes_max = is_small ? 1000 : 0,
                                         .inflight_max = is_small ? 2 : 256,
                                         .inflight_bytes_max = is_small ? 100 : 0,
                                         .check_quorum = check_quorum,
                                         .pre_vote = pre_vote,
                                         .step_down_on_removal = step_down};
        raft_store_init(&m->store, &m->app);
        boot(c, m);
        if (i < VOTERS_AT_START) {
            bootstrap(c, m);
        }
    }
    return c;
}

void cluster_destroy(struct cluster *c)
{
    for (int i = 0; i < NODES; i++) {
        struct member *m = &c->members[i];
        for (size_t w = 0; w < m->write_count; w++) {
            write_free(&m->writes[w]);
        }
        store_entries_deinit(&m->to_apply);
        raft_store_deinit(&m->store);
        raft_destroy(m->raft);
    }
    for (size_t i = 0; i < c->network_count; i++) {
        packet_destroy(c->network[i]);
    }
    mem_free(c);
}
