/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/raft_interaction.h"

#include <inttypes.h>
#include <stdlib.h>

#include "test/lib/raft_post.h"
#include "test/lib/raft_text.h"

enum { NODES_MAX = 16 };

struct node {
    struct raft *raft;
    struct raft_config config;
    struct raft_store store;
    bool is_async;
    struct raft_snapshot latest; /* state after the last applied entry: what a follower would get */
    struct post_queue append_work;
    struct post_queue apply_work;
    struct raft_hard_state taken_hard;
    struct raft_log_read reads[NODES_MAX];
    size_t read_count;
    struct interaction *env;
};

struct interaction {
    struct node *nodes[NODES_MAX];
    size_t node_count;
    struct post_queue network;
    struct buf *out; /* of the running command */
    enum raft_text_level level;
};

/* Output: the highest level silences everything but errors. */

static bool is_quiet(const struct interaction *env)
{
    return env->level == TEXT_NONE;
}

PRINTF_LIKE(2, 3) static void say(struct interaction *env, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!is_quiet(env)) {
        buf_vprintf(env->out, fmt, ap);
    }
    va_end(ap);
}

static void on_trace(void *arg, const struct raft *r, const struct raft_trace_line *line)
{
    struct node *n = arg;
    struct buf text = BUF_INIT;
    enum raft_text_level level = text_trace(&text, r, line);
    if (n->env->level <= level) {
        say(n->env, "%s %s\n", text_level_name(level), buf_cstr(&text));
    }
    buf_deinit(&text);
}

static void say_post(struct interaction *env, const struct post *p)
{
    struct buf text = BUF_INIT;
    text_message(&text, "", &p->t);
    say(env, "%s\n", buf_cstr(&text));
    buf_deinit(&text);
}

typedef void (*node_fn)(struct interaction *env, struct node *n);

/* Runs fn and indents what it says by two blanks. */
static void say_indented(struct interaction *env, node_fn fn, struct node *n)
{
    struct buf inner = BUF_INIT;
    struct buf *outer = env->out;
    env->out = &inner;
    fn(env, n);
    env->out = outer;
    char *rest = (char *)(uintptr_t)buf_cstr(&inner);
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        if (rest != NULL || *line != '\0') {
            say(env, "  %s\n", line);
        }
    }
    buf_deinit(&inner);
}

/* Members. */

static void step(struct node *n, const struct raft_event *ev)
{
    int rv = raft_step(n->raft, ev);
    raft_check(n->raft);
    if (rv == ERR_DROPPED && ev->type == RAFT_EV_PROPOSE) {
        buf_append_cstr(n->env->out, "raft proposal dropped");
    } else if (rv == ERR_DROPPED && ev->type == RAFT_EV_MESSAGE &&
               ev->message->type == RAFT_MSG_PROP) {
        say(n->env, "raft proposal dropped\n");
    } else if (rv == ERR_NOT_FOUND) {
        say(n->env, "raft: cannot step as peer not found\n");
    } else if (rv != 0 && rv != ERR_DROPPED) {
        say(n->env, "error: %s\n", err_text(rv));
    }
}

static void add_ids(struct raft_ids *ids, const struct script_arg *a)
{
    for (int i = 0; i < a->value_count; i++) {
        raft_ids_add(ids, strtoull(a->values[i], NULL, 10));
    }
}

static bool is_true(const char *s)
{
    return strcmp(s, "true") == 0;
}

struct node_options {
    struct raft_config config;
    struct raft_snapshot start;
    bool is_async;
};

static void parse_option(struct node_options *o, const struct script_arg *a)
{
    struct raft_config *c = &o->config;
    const char *v = a->value_count > 0 ? a->values[0] : "";
    if (strcmp(a->key, "voters") == 0) {
        add_ids(&o->start.meta.conf.voters, a);
    } else if (strcmp(a->key, "learners") == 0) {
        add_ids(&o->start.meta.conf.learners, a);
    } else if (strcmp(a->key, "index") == 0) {
        o->start.meta.index = strtoull(v, NULL, 10);
    } else if (strcmp(a->key, "inflight") == 0) {
        c->inflight_max = (uint32_t)strtoul(v, NULL, 10);
    } else if (strcmp(a->key, "async-storage-writes") == 0) {
        o->is_async = is_true(v);
    } else if (strcmp(a->key, "prevote") == 0) {
        c->pre_vote = is_true(v);
    } else if (strcmp(a->key, "checkquorum") == 0) {
        c->check_quorum = is_true(v);
    } else if (strcmp(a->key, "max-committed-size-per-ready") == 0) {
        c->applying_bytes_max = strtoull(v, NULL, 10);
    } else if (strcmp(a->key, "disable-conf-change-validation") == 0) {
        c->no_conf_validation = is_true(v);
    } else if (strcmp(a->key, "read-only") == 0) {
        c->read_mode = strcmp(v, "lease-based") == 0 ? RAFT_READ_LEASE_BASED : RAFT_READ_SAFE;
    } else if (strcmp(a->key, "step-down-on-removal") == 0) {
        c->step_down_on_removal = is_true(v);
    } else if (strcmp(a->key, "log-bytes") == 0) {
        c->log_bytes_max = strtoull(v, NULL, 10);
    }
}

static void boot_node(struct node *n)
{
    struct raft_boot boot = {.hard = n->store.hard,
                             .conf = n->latest.meta.conf,
                             .base = n->store.base,
                             .entries = n->store.entries.data,
                             .entry_count = n->store.entries.len,
                             .applied = n->latest.meta.index,
                             .snapshot = n->latest};
    int rv = raft_create(&n->config, &boot, &n->raft);
    ensure(rv == 0);
    n->taken_hard = n->store.hard;
    raft_check(n->raft);
}

static void add_node(struct interaction *env, const struct node_options *o)
{
    ensure(env->node_count < NODES_MAX);
    struct node *n = mem_zalloc(sizeof(*n));
    env->nodes[env->node_count++] = n;
    n->env = env;
    n->config = o->config;
    n->config.id = env->node_count;
    n->config.apply_unstable = !o->is_async;
    n->config.trace = on_trace;
    n->config.trace_arg = n;
    n->is_async = o->is_async;
    n->latest = o->start;
    raft_store_init(&n->store, &o->start);
    boot_node(n);
}

static void cmd_add_nodes(struct interaction *env, const struct script_cmd *cmd)
{
    struct node_options o = {.config = {.election_ticks = 3,
                                        .heartbeat_ticks = 1,
                                        .seed = 1,
                                        .msg_bytes_max = UINT64_MAX,
                                        .inflight_max = INT32_MAX}};
    long count = strtol(cmd->args[0].key, NULL, 10);
    for (int i = 1; i < cmd->arg_count; i++) {
        parse_option(&o, &cmd->args[i]);
    }
    o.start.meta.term = o.start.meta.index != 0 ? 1 : 0;
    for (long i = 0; i < count; i++) {
        add_node(env, &o);
    }
}

/* Storage and application. */

static void apply_conf(struct node *n, const struct raft_entry *e)
{
    struct raft_conf_change_v2 cc;
    int rv = raft_conf_change_decode(e->type, e->data, &cc);
    ensure(rv == 0);
    rv = raft_apply_conf_change(n->raft, &cc, &n->latest.meta.conf);
    ensure(rv == 0);
}

static void apply_entries(struct node *n, const struct raft_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (entries[i].type != RAFT_ENTRY_NORMAL) {
            apply_conf(n, &entries[i]);
        }
        n->latest.meta.index = entries[i].index;
        n->latest.meta.term = entries[i].term;
    }
    raft_set_snapshot(n->raft, &n->latest);
}

static void write_storage(struct node *n, const struct raft_hard_state *hard,
                          const struct raft_snapshot *snapshot, const struct raft_entry *entries,
                          size_t count)
{
    if (hard != NULL) {
        n->store.hard = *hard;
    }
    if (snapshot != NULL) {
        raft_store_install(&n->store, snapshot);
        n->latest = *snapshot;
        raft_set_snapshot(n->raft, &n->latest);
    }
    raft_store_append(&n->store, entries, count);
}

/* Everything an update holds, copied: it dies when raft is stepped. */
struct ready {
    bool soft_changed;
    enum raft_role role;
    uint64_t leader;
    bool must_sync;
    bool hard_changed;
    struct raft_hard_state hard;
    struct store_entries entries;
    bool has_snapshot;
    struct raft_snapshot snapshot;
    struct store_entries committed;
    struct post_queue messages;
    struct post_queue self; /* to ourselves, after the write */
    bool needs_ack;
    struct raft_append_ack ack;
    struct raft_read_state *reads;
    size_t read_count;
};

static struct post *append_message(const struct node *n, const struct raft_update *u)
{
    struct raft_message m = {.type = (enum raft_message_type)TEXT_MSG_STORAGE_APPEND,
                             .to = TEXT_APPEND_THREAD,
                             .from = n->config.id,
                             .entries = u->entries,
                             .entry_count = u->entry_count,
                             .snapshot = u->snapshot};
    if (u->hard_changed) {
        m.term = u->hard.term;
        m.commit = u->hard.commit;
    }
    struct post *p = post_create(&m);
    p->t.vote = u->hard_changed ? u->hard.vote : 0;
    for (size_t i = 0; i < u->messages_synced_count; i++) {
        post_respond(p, &u->messages_synced[i], NULL);
    }
    if (u->needs_ack) {
        m = (struct raft_message){.type = (enum raft_message_type)TEXT_MSG_STORAGE_APPEND_RESP,
                                  .to = n->config.id,
                                  .from = TEXT_APPEND_THREAD,
                                  .term = u->ack.term,
                                  .log_term = u->ack.last.term,
                                  .index = u->ack.last.index,
                                  .snapshot = u->snapshot};
        post_respond(p, &m, &u->ack);
    }
    return p;
}

static struct post *apply_message(const struct node *n, const struct raft_update *u)
{
    struct raft_message m = {.type = (enum raft_message_type)TEXT_MSG_STORAGE_APPLY,
                             .to = TEXT_APPLY_THREAD,
                             .from = n->config.id,
                             .entries = u->committed,
                             .entry_count = u->committed_count};
    struct post *p = post_create(&m);
    m.type = (enum raft_message_type)TEXT_MSG_STORAGE_APPLY_RESP;
    m.to = n->config.id;
    m.from = TEXT_APPLY_THREAD;
    post_respond(p, &m, NULL);
    return p;
}

static void take_messages(const struct node *n, const struct raft_update *u, struct ready *rd)
{
    for (size_t i = 0; i < u->message_count; i++) {
        post_queue_push(&rd->messages, post_create(&u->messages[i]));
    }
    if (n->is_async) {
        if (u->has_append) {
            post_queue_push(&rd->messages, append_message(n, u));
        }
        if (u->committed_count > 0) {
            post_queue_push(&rd->messages, apply_message(n, u));
        }
        return;
    }
    for (size_t i = 0; i < u->messages_synced_count; i++) {
        const struct raft_message *m = &u->messages_synced[i];
        post_queue_push(m->to == n->config.id ? &rd->self : &rd->messages, post_create(m));
    }
}

static void take_ready(struct node *n, struct ready *rd)
{
    struct raft_update u;
    raft_take(n->raft, &u);
    rd->soft_changed = u.soft_changed;
    rd->role = u.role;
    rd->leader = u.leader;
    /* etcd's flag leaves snapshots out. */
    rd->must_sync =
        u.entry_count > 0 || u.hard.term != n->taken_hard.term || u.hard.vote != n->taken_hard.vote;
    ensure(u.must_sync == (rd->must_sync || u.snapshot != NULL));
    n->taken_hard = u.hard;
    rd->hard_changed = u.hard_changed;
    rd->hard = u.hard;
    rd->needs_ack = u.needs_ack;
    rd->ack = u.ack;
    rd->has_snapshot = u.snapshot != NULL;
    if (rd->has_snapshot) {
        rd->snapshot = *u.snapshot;
    }
    store_entries_append(&rd->entries, u.entries, u.entry_count);
    store_entries_append(&rd->committed, u.committed, u.committed_count);
    rd->read_count = u.read_count;
    rd->reads = mem_alloc_array(u.read_count + 1, sizeof(*rd->reads));
    for (size_t i = 0; i < u.read_count; i++) {
        rd->reads[i] = u.reads[i];
    }
    for (size_t i = 0; i < u.log_read_count; i++) {
        ensure(n->read_count < NODES_MAX);
        n->reads[n->read_count++] = u.log_reads[i];
    }
    take_messages(n, &u, rd);
}

static void text_reads(struct buf *out, const struct ready *rd)
{
    buf_append_cstr(out, "ReadStates:\n");
    for (size_t i = 0; i < rd->read_count; i++) {
        buf_printf(out, "index=%" PRIu64 " ctx=%.*s\n", rd->reads[i].index,
                   rd->reads[i].context.len, (const char *)rd->reads[i].context.bytes);
    }
}

static void text_ready(struct buf *out, const struct ready *rd)
{
    if (rd->soft_changed) {
        buf_printf(out, "Lead:%" PRIu64 " State:%s\n", rd->leader, text_role(rd->role));
    }
    if (rd->hard_changed) {
        buf_append_cstr(out, "HardState ");
        text_hard_state(out, &rd->hard);
        buf_append_byte(out, '\n');
    }
    if (rd->read_count > 0) {
        text_reads(out, rd);
    }
    if (rd->entries.len > 0) {
        buf_append_cstr(out, "Entries:\n");
        text_entries(out, rd->entries.data, rd->entries.len);
    }
    if (rd->has_snapshot) {
        buf_append_cstr(out, "Snapshot ");
        text_snapshot(out, &rd->snapshot);
        buf_append_byte(out, '\n');
    }
    if (rd->committed.len > 0) {
        buf_append_cstr(out, "CommittedEntries:\n");
        text_entries(out, rd->committed.data, rd->committed.len);
    }
    if (rd->messages.len > 0) {
        buf_append_cstr(out, "Messages:\n");
        for (size_t i = 0; i < rd->messages.len; i++) {
            text_message(out, "", &rd->messages.items[i]->t);
            buf_append_byte(out, '\n');
        }
    }
}

static void say_ready(struct interaction *env, const struct ready *rd)
{
    struct buf text = BUF_INIT;
    text_ready(&text, rd);
    if (text.len == 0) {
        say(env, "<empty Ready>");
    } else {
        say(env, "Ready MustSync=%s:\n%s", rd->must_sync ? "true" : "false", buf_cstr(&text));
    }
    buf_deinit(&text);
}

/* The synchronous form: acknowledge the write and the application. */
static void advance(struct node *n, struct ready *rd)
{
    while (rd->self.len > 0) {
        struct post *p = post_queue_take(&rd->self, 0);
        step(n, &(struct raft_event){.type = RAFT_EV_MESSAGE, .message = &p->t.m});
        post_destroy(p);
    }
    if (rd->needs_ack) {
        step(n, &(struct raft_event){.type = RAFT_EV_APPENDED, .ack = rd->ack});
    }
    if (rd->committed.len > 0) {
        raft_index last = rd->committed.data[rd->committed.len - 1].index;
        step(n, &(struct raft_event){.type = RAFT_EV_APPLIED, .index = last});
    }
}

static void process_ready(struct interaction *env, struct node *n)
{
    struct ready *rd = mem_zalloc(sizeof(*rd));
    take_ready(n, rd);
    raft_check(n->raft);
    say_ready(env, rd);
    if (!n->is_async) {
        write_storage(n, rd->hard_changed ? &rd->hard : NULL,
                      rd->has_snapshot ? &rd->snapshot : NULL, rd->entries.data, rd->entries.len);
        apply_entries(n, rd->committed.data, rd->committed.len);
    }
    while (rd->messages.len > 0) {
        struct post *p = post_queue_take(&rd->messages, 0);
        bool to_append = p->t.m.to == TEXT_APPEND_THREAD;
        bool to_apply = p->t.m.to == TEXT_APPLY_THREAD;
        post_queue_push(to_append ? &n->append_work : to_apply ? &n->apply_work : &env->network, p);
    }
    if (!n->is_async) {
        advance(n, rd);
    }
    store_entries_deinit(&rd->entries);
    store_entries_deinit(&rd->committed);
    mem_free(rd->reads);
    mem_free(rd);
}

/* Says the responses of storage work and puts them on the network. */
static void respond(struct interaction *env, struct post *work)
{
    say(env, "Responses:\n");
    for (size_t i = 0; i < work->t.response_count; i++) {
        struct post *p = post_create(&work->responses[i].t.m);
        p->ack = work->responses[i].ack;
        say_post(env, p);
        post_queue_push(&env->network, p);
    }
}

static void say_work(struct interaction *env, struct post *work)
{
    size_t responses = work->t.response_count;
    work->t.response_count = 0;
    say(env, "Processing:\n");
    say_post(env, work);
    work->t.response_count = responses;
}

static void process_append(struct interaction *env, struct node *n)
{
    if (n->append_work.len == 0) {
        say(env, "no append work to perform");
        return;
    }
    struct post *work = post_queue_take(&n->append_work, 0);
    const struct raft_message *m = &work->t.m;
    struct raft_hard_state hard = {m->term, work->t.vote, m->commit};
    say_work(env, work);
    write_storage(n, raft_hard_state_is_empty(&hard) ? NULL : &hard, m->snapshot, m->entries,
                  m->entry_count);
    respond(env, work);
    post_destroy(work);
}

static void process_apply(struct interaction *env, struct node *n)
{
    if (n->apply_work.len == 0) {
        say(env, "no apply work to perform");
        return;
    }
    struct post *work = post_queue_take(&n->apply_work, 0);
    say_work(env, work);
    apply_entries(n, work->t.m.entries, work->t.m.entry_count);
    respond(env, work);
    post_destroy(work);
}

static void process_log_reads(struct interaction *env, struct node *n)
{
    while (n->read_count > 0) {
        struct raft_event ev = {.type = RAFT_EV_ENTRIES_READ};
        ev.read = n->reads[0];
        n->read_count--;
        memmove(&n->reads[0], &n->reads[1], n->read_count * sizeof(n->reads[0]));
        ev.entries = raft_store_read(&n->store, ev.read.lo, ev.read.hi, &ev.entry_count);
        say(env, "read [%" PRIu64 ", %" PRIu64 ") for %" PRIx64 ": %zu entries\n", ev.read.lo,
            ev.read.hi, ev.read.to, ev.entry_count);
        step(n, &ev);
    }
}

/* The network. */

static bool is_local(const struct raft_message *m)
{
    return m->from == m->to || m->from == TEXT_APPEND_THREAD || m->from == TEXT_APPLY_THREAD;
}

static void deliver_post(struct interaction *env, const struct post *p)
{
    struct node *n = env->nodes[p->t.m.to - 1];
    const struct raft_message *m = &p->t.m;
    if (m->from == TEXT_APPEND_THREAD) {
        step(n, &(struct raft_event){.type = RAFT_EV_APPENDED, .ack = p->ack});
    } else if (m->from == TEXT_APPLY_THREAD) {
        step(n, &(struct raft_event){.type = RAFT_EV_APPLIED,
                                     .index = m->entries[m->entry_count - 1].index});
    } else {
        step(n, &(struct raft_event){.type = RAFT_EV_MESSAGE, .message = m});
    }
}

/* Delivers or drops what waits for a member now, not what that leads to; returns how many. */
static size_t deliver(struct interaction *env, uint64_t to, int type, bool drop)
{
    struct post_queue *due = mem_zalloc(sizeof(*due));
    size_t n = 0;
    for (size_t i = 0; i < env->network.len;) {
        const struct raft_message *m = &env->network.items[i]->t.m;
        if (m->to == to && !(drop && is_local(m)) && (type < 0 || (int)m->type == type)) {
            post_queue_push(due, post_queue_take(&env->network, i));
        } else {
            i++;
        }
    }
    for (; due->len > 0; n++) {
        struct post *p = post_queue_take(due, 0);
        if (drop) {
            say(env, "dropped: ");
        }
        say_post(env, p);
        if (!drop) {
            deliver_post(env, p);
        }
        post_destroy(p);
    }
    mem_free(due);
    return n;
}

static void deliver_all(struct interaction *env, struct node *n)
{
    deliver(env, n->config.id, -1, false);
}

static bool has_post_for(const struct interaction *env, uint64_t to)
{
    for (size_t i = 0; i < env->network.len; i++) {
        if (env->network.items[i]->t.m.to == to) {
            return true;
        }
    }
    return false;
}

static void cmd_deliver(struct interaction *env, const struct script_cmd *cmd)
{
    const char *name = script_value(cmd, "type");
    int type = name != NULL ? text_message_type_from(name) : -1;
    size_t n = 0;
    for (int i = 0; i < cmd->arg_count; i++) {
        const struct script_arg *a = &cmd->args[i];
        if (a->value_count == 0) {
            n += deliver(env, strtoull(a->key, NULL, 10), type, false);
        } else if (strcmp(a->key, "drop") == 0) {
            for (int v = 0; v < a->value_count; v++) {
                n += deliver(env, strtoull(a->values[v], NULL, 10), type, true);
            }
        }
    }
    if (n == 0) {
        say(env, "no messages\n");
    }
}

/* Commands. */

static struct node *node_at(struct interaction *env, const char *id)
{
    size_t i = strtoul(id, NULL, 10);
    ensure(i > 0 && i <= env->node_count);
    return env->nodes[i - 1];
}

/* Nodes named by the arguments without a value, or all. */
static size_t named_nodes(struct interaction *env, const struct script_cmd *cmd, struct node **out)
{
    size_t n = 0;
    for (int i = 0; i < cmd->arg_count; i++) {
        if (cmd->args[i].value_count == 0) {
            out[n++] = node_at(env, cmd->args[i].key);
        }
    }
    if (n == 0) {
        memcpy(out, env->nodes, env->node_count * sizeof(*out));
        n = env->node_count;
    }
    return n;
}

static void for_nodes(struct interaction *env, const struct script_cmd *cmd, const char *title,
                      node_fn fn)
{
    struct node *nodes[NODES_MAX];
    size_t n = named_nodes(env, cmd, nodes);
    for (size_t i = 0; i < n; i++) {
        if (n > 1) {
            say(env, "> %" PRIu64 " %s\n", nodes[i]->config.id, title);
            say_indented(env, fn, nodes[i]);
        } else {
            fn(env, nodes[i]);
        }
    }
}

static bool stabilize_ready(struct interaction *env, struct node **nodes, size_t n)
{
    bool worked = false;
    for (size_t i = 0; i < n; i++) {
        if (raft_has_update(nodes[i]->raft)) {
            say(env, "> %" PRIu64 " handling Ready\n", nodes[i]->config.id);
            say_indented(env, process_ready, nodes[i]);
            worked = true;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (has_post_for(env, nodes[i]->config.id)) {
            say(env, "> %" PRIu64 " receiving messages\n", nodes[i]->config.id);
            say_indented(env, deliver_all, nodes[i]);
            worked = true;
        }
    }
    return worked;
}

static bool stabilize_work(struct interaction *env, struct node **nodes, size_t n, bool is_apply)
{
    bool worked = false;
    for (size_t i = 0; i < n; i++) {
        struct post_queue *work = is_apply ? &nodes[i]->apply_work : &nodes[i]->append_work;
        if (work->len > 0) {
            say(env, "> %" PRIu64 " processing %s thread\n", nodes[i]->config.id,
                is_apply ? "apply" : "append");
            worked = true;
        }
        while (work->len > 0) {
            say_indented(env, is_apply ? process_apply : process_append, nodes[i]);
        }
    }
    return worked;
}

static bool stabilize_reads(struct interaction *env, struct node **nodes, size_t n)
{
    bool worked = false;
    for (size_t i = 0; i < n; i++) {
        if (nodes[i]->read_count > 0) {
            say(env, "> %" PRIu64 " reading the log\n", nodes[i]->config.id);
            say_indented(env, process_log_reads, nodes[i]);
            worked = true;
        }
    }
    return worked;
}

static bool set_level(struct interaction *env, const char *name)
{
    for (int l = TEXT_DEBUG; l <= TEXT_NONE; l++) {
        if (strcasecmp(text_level_name((enum raft_text_level)l), name) == 0) {
            env->level = (enum raft_text_level)l;
            return true;
        }
    }
    return false;
}

static void cmd_stabilize(struct interaction *env, const struct script_cmd *cmd)
{
    struct node *nodes[NODES_MAX];
    size_t n = named_nodes(env, cmd, nodes);
    enum raft_text_level before = env->level;
    const char *level = script_value(cmd, "log-level");
    if (level != NULL) {
        set_level(env, level);
    }
    for (bool worked = true; worked;) {
        worked = stabilize_ready(env, nodes, n);
        worked = stabilize_work(env, nodes, n, false) || worked;
        worked = stabilize_work(env, nodes, n, true) || worked;
        worked = stabilize_reads(env, nodes, n) || worked;
    }
    env->level = before;
}

static void cmd_raft_log(struct interaction *env, struct node *n)
{
    const struct raft_store *s = &n->store;
    struct buf text = BUF_INIT;
    if (s->entries.len == 0) {
        say(env, "log is empty: first index=%" PRIu64 ", last index=%" PRIu64, s->base.index + 1,
            s->base.index);
    }
    text_entries(&text, s->entries.data, s->entries.len);
    say(env, "%s", buf_cstr(&text));
    buf_deinit(&text);
}

static void cmd_compact(struct interaction *env, const struct script_cmd *cmd)
{
    struct node *n = node_at(env, cmd->args[0].key);
    raft_index index = strtoull(cmd->args[1].key, NULL, 10);
    raft_store_compact(&n->store, index);
    raft_log_compact(n->raft, index);
    raft_check(n->raft);
    cmd_raft_log(env, n);
}

static void cmd_raft_state(struct interaction *env)
{
    for (size_t i = 0; i < env->node_count; i++) {
        const struct raft *r = env->nodes[i]->raft;
        struct raft_status st;
        raft_status(r, &st);
        bool is_voter = raft_members_is_voter(&r->tracker.members, st.id);
        say(env, "%" PRIu64 ": %s %s Term:%" PRIu64 " Lead:%" PRIu64 "\n", st.id,
            text_role(st.role), is_voter ? "(Voter)" : "(Non-Voter)", st.hard.term, st.leader);
    }
}

static void cmd_status(struct interaction *env, struct node *n)
{
    struct raft_status st;
    struct buf text = BUF_INIT;
    raft_status(n->raft, &st);
    if (st.role == RAFT_LEADER) {
        text_members(&text, &n->raft->tracker.members);
    }
    say(env, "%s", buf_cstr(&text));
    buf_deinit(&text);
}

static void cmd_tick(struct node *n, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        step(n, &(struct raft_event){.type = RAFT_EV_TICK});
    }
}

static void propose(struct node *n, enum raft_entry_type type, struct slice data)
{
    struct raft_entry e = {.type = type};
    if (data.len > 0) {
        e.owner = rcbuf_from(data);
        e.data = rcbuf_slice(e.owner);
    }
    step(n, &(struct raft_event){.type = RAFT_EV_PROPOSE, .entries = &e, .entry_count = 1});
    rcbuf_unref(e.owner);
}

static void cmd_propose_conf(struct interaction *env, const struct script_cmd *cmd)
{
    struct raft_conf_change_v2 cc;
    struct buf data = BUF_INIT;
    const char *v1 = script_value(cmd, "v1");
    const char *transition = script_value(cmd, "transition");
    bool ok = text_parse_changes(cmd->input, &cc);
    ensure(ok);
    if (v1 != NULL && is_true(v1)) {
        struct raft_conf_change one = {.type = cc.changes[0].type,
                                       .node_id = cc.changes[0].node_id};
        raft_conf_change_v1_encode(&one, &data);
    } else {
        if (transition != NULL && strcmp(transition, "explicit") == 0) {
            cc.transition = RAFT_TRANSITION_JOINT_EXPLICIT;
        } else if (transition != NULL && strcmp(transition, "implicit") == 0) {
            cc.transition = RAFT_TRANSITION_JOINT_IMPLICIT;
        }
        raft_conf_change_v2_encode(&cc, &data);
    }
    propose(node_at(env, cmd->args[0].key),
            v1 != NULL && is_true(v1) ? RAFT_ENTRY_CONF_CHANGE : RAFT_ENTRY_CONF_CHANGE_V2,
            buf_slice(&data));
    buf_deinit(&data);
}

static void cmd_send_snapshot(struct interaction *env, const struct script_cmd *cmd)
{
    struct node *from = node_at(env, cmd->args[0].key);
    struct raft_status st;
    raft_status(from->raft, &st);
    struct raft_message m = {.type = RAFT_MSG_SNAP,
                             .term = st.hard.term,
                             .from = from->config.id,
                             .to = node_at(env, cmd->args[1].key)->config.id,
                             .snapshot = &from->latest};
    struct post *p = post_create(&m);
    struct buf text = BUF_INIT;
    text_message(&text, "", &p->t);
    say(env, "%s", buf_cstr(&text));
    buf_deinit(&text);
    post_queue_push(&env->network, p);
}

static void cmd_read_index(struct interaction *env, const struct script_cmd *cmd)
{
    struct raft_event ev = {.type = RAFT_EV_READ_INDEX};
    const char *word = cmd->args[1].key;
    ev.context.len = (uint8_t)strlen(word);
    memcpy(ev.context.bytes, word, ev.context.len);
    step(node_at(env, cmd->args[0].key), &ev);
}

/* What was handed out but not written is gone, and so is all that waits for it. */
static void cmd_crash(struct node *n)
{
    post_queue_deinit(&n->append_work);
    post_queue_deinit(&n->apply_work);
    n->read_count = 0;
    raft_destroy(n->raft);
    boot_node(n);
}

static bool is(const struct script_cmd *cmd, const char *name)
{
    return strcmp(cmd->name, name) == 0;
}

/* Commands that step one member. */
static bool handle_event(struct interaction *env, const struct script_cmd *cmd)
{
    struct node *n =
        cmd->arg_count > 0 && cmd->args[0].value_count == 0 && cmd->args[0].key[0] <= '9'
            ? node_at(env, cmd->args[0].key)
            : NULL;
    if (is(cmd, "campaign")) {
        step(n, &(struct raft_event){.type = RAFT_EV_CAMPAIGN});
    } else if (is(cmd, "propose")) {
        propose(n, RAFT_ENTRY_NORMAL, slice_cstr(cmd->args[1].key));
    } else if (is(cmd, "tick-election")) {
        cmd_tick(n, n->config.election_ticks);
    } else if (is(cmd, "tick-heartbeat")) {
        cmd_tick(n, n->config.heartbeat_ticks);
    } else if (is(cmd, "tick")) {
        cmd_tick(n, strtoull(cmd->args[1].key, NULL, 10));
    } else if (is(cmd, "forget-leader")) {
        step(n, &(struct raft_event){.type = RAFT_EV_FORGET_LEADER});
    } else if (is(cmd, "report-unreachable")) {
        step(n, &(struct raft_event){.type = RAFT_EV_UNREACHABLE,
                                     .member = node_at(env, cmd->args[1].key)->config.id});
    } else if (is(cmd, "transfer-leadership")) {
        step(node_at(env, script_value(cmd, "from")),
             &(struct raft_event){.type = RAFT_EV_TRANSFER_LEADER,
                                  .member = strtoull(script_value(cmd, "to"), NULL, 10)});
    } else if (is(cmd, "set-randomized-election-timeout")) {
        raft_set_election_timeout(n->raft,
                                  (uint32_t)strtoul(script_value(cmd, "timeout"), NULL, 10));
    } else if (is(cmd, "read-index")) {
        cmd_read_index(env, cmd);
    } else if (is(cmd, "crash")) {
        cmd_crash(n);
    } else {
        return false;
    }
    return true;
}

/* Commands that move work along. */
static bool handle_work(struct interaction *env, const struct script_cmd *cmd)
{
    if (is(cmd, "process-ready")) {
        for_nodes(env, cmd, "handling Ready", process_ready);
    } else if (is(cmd, "process-append-thread")) {
        for_nodes(env, cmd, "processing append thread", process_append);
    } else if (is(cmd, "process-apply-thread")) {
        for_nodes(env, cmd, "processing apply thread", process_apply);
    } else if (is(cmd, "process-log-reads")) {
        for_nodes(env, cmd, "reading the log", process_log_reads);
    } else if (is(cmd, "deliver-msgs")) {
        cmd_deliver(env, cmd);
    } else if (is(cmd, "stabilize")) {
        cmd_stabilize(env, cmd);
    } else {
        return false;
    }
    return true;
}

static bool handle_setup(struct interaction *env, const struct script_cmd *cmd)
{
    if (is(cmd, "add-nodes")) {
        cmd_add_nodes(env, cmd);
    } else if (is(cmd, "log-level")) {
        set_level(env, cmd->args[0].key);
    } else if (is(cmd, "compact")) {
        cmd_compact(env, cmd);
    } else if (is(cmd, "propose-conf-change")) {
        cmd_propose_conf(env, cmd);
    } else if (is(cmd, "send-snapshot")) {
        cmd_send_snapshot(env, cmd);
    } else if (is(cmd, "raft-log")) {
        for_nodes(env, cmd, "", cmd_raft_log);
    } else if (is(cmd, "raft-state")) {
        cmd_raft_state(env);
    } else if (is(cmd, "status")) {
        for_nodes(env, cmd, "", cmd_status);
    } else {
        return false;
    }
    return true;
}

void interaction_handle(void *arg, const struct script_cmd *cmd, struct buf *out)
{
    struct interaction *env = arg;
    env->out = out;
    if (!handle_setup(env, cmd) && !handle_work(env, cmd) && !handle_event(env, cmd)) {
        buf_append_cstr(out, "unknown command");
    }
    if (out->len == 0) {
        buf_append_cstr(out, "ok");
    }
}

struct interaction *interaction_create(void)
{
    return mem_zalloc(sizeof(struct interaction));
}

void interaction_destroy(struct interaction *env)
{
    for (size_t i = 0; i < env->node_count; i++) {
        struct node *n = env->nodes[i];
        post_queue_deinit(&n->append_work);
        post_queue_deinit(&n->apply_work);
        raft_store_deinit(&n->store);
        raft_destroy(n->raft);
        mem_free(n);
    }
    post_queue_deinit(&env->network);
    mem_free(env);
}
