/* SPDX-License-Identifier: Apache-2.0
 *
 * member/bootstrap: see bootstrap.h.
 */
#include "member/bootstrap.h"

static void push_change(struct member_bootstrap *b, const struct raft_conf_change *cc,
                        struct raft_entry_id at, enum raftpb_emission em);

void member_bootstrap_deinit(struct member_bootstrap *b)
{
    for (size_t i = 0; i < b->count; i++) {
        rcbuf_unref(b->entries[i].owner);
    }
    mem_free(b->entries);
    memset(b, 0, sizeof(*b));
}

int member_bootstrap_build(const struct membership *ms, enum raftpb_emission em, bool is_restore,
                           struct member_bootstrap *out)
{
    struct member_bootstrap b = {.entries = NULL};
    if (ms->count == 0 || ms->count > RAFT_MEMBERS_MAX) {
        return ERR_LIMIT;
    }
    struct raft_ids *voters = &b.snapshot.conf.voters;
    for (size_t i = 0; i < ms->count; i++) {
        struct buf json = BUF_INIT;
        member_json(&json, &ms->members[i]);
        const struct raft_conf_change cc = {
            .type = RAFT_CONF_ADD_NODE, .node_id = ms->members[i].id, .context = buf_slice(&json)};
        push_change(&b, &cc, (struct raft_entry_id){1, i + 1}, em);
        buf_deinit(&json);
        voters->ids[voters->count++] = ms->members[i].id;
    }
    b.hard_state = (struct raft_hard_state){1, is_restore ? voters->ids[0] : 0, ms->count};
    b.snapshot.index = ms->count;
    b.snapshot.term = 1;
    *out = b;
    return 0;
}

static void push_change(struct member_bootstrap *b, const struct raft_conf_change *cc,
                        struct raft_entry_id at, enum raftpb_emission em)
{
    struct buf bytes = BUF_INIT;
    raftpb_conf_change_encode(&bytes, cc, em);
    struct rcbuf *owner = rcbuf_from(buf_slice(&bytes));
    buf_deinit(&bytes);
    b->entries = mem_realloc(b->entries, (b->count + 1) * sizeof(b->entries[0]));
    b->entries[b->count++] = (struct raft_entry){.term = at.term,
                                                 .index = at.index,
                                                 .type = RAFT_ENTRY_CONF_CHANGE,
                                                 .data = rcbuf_slice(owner),
                                                 .owner = owner};
}

/* ---- force-new-cluster ---- */

/* Ids in the configuration, ascending; at most both lists and one more an entry. */
struct id_set {
    uint64_t *ids;
    size_t count;
};

static size_t set_position(const struct id_set *s, uint64_t id)
{
    size_t at = 0;
    while (at < s->count && s->ids[at] < id) {
        at++;
    }
    return at;
}

static bool set_has(const struct id_set *s, uint64_t id)
{
    size_t at = set_position(s, id);
    return at < s->count && s->ids[at] == id;
}

static void set_add(struct id_set *s, uint64_t id)
{
    size_t at = set_position(s, id);
    if (set_has(s, id)) {
        return;
    }
    s->ids = mem_realloc(s->ids, (s->count + 1) * sizeof(s->ids[0]));
    memmove(&s->ids[at + 1], &s->ids[at], (s->count - at) * sizeof(s->ids[0]));
    s->ids[at] = id;
    s->count++;
}

static void set_remove(struct id_set *s, uint64_t id)
{
    size_t at = set_position(s, id);
    if (set_has(s, id)) {
        s->count--;
        memmove(&s->ids[at], &s->ids[at + 1], (s->count - at) * sizeof(s->ids[0]));
    }
}

static int set_follow(struct id_set *s, const struct raft_entry *e)
{
    struct raft_conf_change cc;
    if (e->type != RAFT_ENTRY_CONF_CHANGE) {
        return 0;
    }
    int err = raftpb_conf_change_decode(e->data, &cc);
    if (err != 0) {
        return err;
    }
    switch (cc.type) {
    case RAFT_CONF_ADD_NODE:
    case RAFT_CONF_ADD_LEARNER: set_add(s, cc.node_id); break;
    case RAFT_CONF_REMOVE_NODE: set_remove(s, cc.node_id); break;
    case RAFT_CONF_UPDATE_NODE:
    default: break;
    }
    return 0;
}

static void add_self(struct member_bootstrap *b, uint64_t self, struct raft_entry_id at,
                     enum raftpb_emission em)
{
    struct member m;
    struct buf json = BUF_INIT;
    member_init(&m);
    m.id = self;
    strs_add(&m.peer_urls, SLICE_LIT("http://localhost:2380"));
    member_json(&json, &m);
    const struct raft_conf_change cc = {
        .type = RAFT_CONF_ADD_NODE, .node_id = self, .context = buf_slice(&json)};
    push_change(b, &cc, at, em);
    buf_deinit(&json);
    member_deinit(&m);
}

int member_bootstrap_force_new(const struct raft_conf_state *conf, const struct raft_entry *entries,
                               size_t count, uint64_t self, raft_term term, raft_index index,
                               enum raftpb_emission em, struct member_bootstrap *out)
{
    struct id_set set = {NULL, 0};
    struct member_bootstrap b = {.entries = NULL};
    int err = 0;
    for (uint32_t i = 0; i < conf->voters.count; i++) {
        set_add(&set, conf->voters.ids[i]);
    }
    for (uint32_t i = 0; i < conf->learners.count; i++) {
        set_add(&set, conf->learners.ids[i]);
    }
    for (size_t i = 0; err == 0 && i < count; i++) {
        err = set_follow(&set, &entries[i]);
    }
    if (err == 0 && !set_has(&set, self)) {
        add_self(&b, self, (struct raft_entry_id){term, ++index}, em);
    }
    for (size_t i = 0; err == 0 && i < set.count; i++) {
        if (set.ids[i] != self) {
            const struct raft_conf_change cc = {.type = RAFT_CONF_REMOVE_NODE,
                                                .node_id = set.ids[i]};
            push_change(&b, &cc, (struct raft_entry_id){term, ++index}, em);
        }
    }
    mem_free(set.ids);
    if (err == 0) {
        *out = b;
    }
    return err;
}
