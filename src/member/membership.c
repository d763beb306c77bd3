/* SPDX-License-Identifier: Apache-2.0
 *
 * member/membership: the list of members and what changes it.
 */
#include "base/bytes.h"
#include "base/hash.h"
#include "base/log.h"
#include "member/member.h"

static size_t position(const struct membership *ms, uint64_t id);

/* ---- life ---- */

void membership_init(struct membership *ms)
{
    *ms = (struct membership){NULL, 0, NULL, 0};
}

void membership_deinit(struct membership *ms)
{
    for (size_t i = 0; i < ms->count; i++) {
        member_deinit(&ms->members[i]);
    }
    mem_free(ms->members);
    mem_free(ms->removed);
    membership_init(ms);
}

void membership_check(const struct membership *ms)
{
    for (size_t i = 0; i < ms->count; i++) {
        ensure(i == 0 || ms->members[i - 1].id < ms->members[i].id);
        ensure(ms->members[i].name != NULL);
        ensure(!membership_is_removed(ms, ms->members[i].id));
    }
    for (size_t i = 1; i < ms->removed_count; i++) {
        ensure(ms->removed[i - 1] < ms->removed[i]);
    }
}

/* Position of id among the removed, or where it belongs. */
static size_t removed_position(const struct membership *ms, uint64_t id)
{
    size_t lo = 0;
    size_t hi = ms->removed_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (ms->removed[mid] < id) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

void membership_mark_removed(struct membership *ms, uint64_t id)
{
    size_t at = removed_position(ms, id);
    if (at < ms->removed_count && ms->removed[at] == id) {
        return;
    }
    ms->removed = mem_realloc(ms->removed, (ms->removed_count + 1) * sizeof(ms->removed[0]));
    memmove(&ms->removed[at + 1], &ms->removed[at],
            (ms->removed_count - at) * sizeof(ms->removed[0]));
    ms->removed[at] = id;
    ms->removed_count++;
}

static int load_member(struct membership *ms, const struct schema_member_record *rec)
{
    struct member m;
    member_init(&m);
    m.id = rec->id;
    int err = member_json_parse(rec->json, &m);
    if (err != 0 || m.id != rec->id || membership_find(ms, m.id) != NULL) {
        member_deinit(&m);
        return ERR_CORRUPT;
    }
    (void)membership_add(ms, &m);
    return 0;
}

int membership_load(struct membership *out, const struct schema_boot *boot)
{
    struct membership ms;
    membership_init(&ms);
    int err = 0;
    for (size_t i = 0; err == 0 && i < boot->member_count; i++) {
        err = load_member(&ms, &boot->members[i]);
    }
    if (err != 0) {
        membership_deinit(&ms);
        return err;
    }
    for (size_t i = 0; i < boot->removed_count; i++) {
        if (membership_find(&ms, boot->removed[i]) == NULL) {
            membership_mark_removed(&ms, boot->removed[i]);
        }
    }
    *out = ms;
    return 0;
}

/* ---- queries ---- */

static size_t position(const struct membership *ms, uint64_t id)
{
    size_t at = 0;
    while (at < ms->count && ms->members[at].id < id) {
        at++;
    }
    return at;
}

struct member *membership_find(const struct membership *ms, uint64_t id)
{
    size_t at = position(ms, id);
    return at < ms->count && ms->members[at].id == id ? &ms->members[at] : NULL;
}

struct member *membership_find_name(const struct membership *ms, const char *name)
{
    struct member *found = NULL;
    for (size_t i = 0; i < ms->count; i++) {
        if (strcmp(ms->members[i].name, name) == 0) {
            if (found != NULL) {
                return NULL;
            }
            found = &ms->members[i];
        }
    }
    return found;
}

bool membership_is_removed(const struct membership *ms, uint64_t id)
{
    size_t at = removed_position(ms, id);
    return at < ms->removed_count && ms->removed[at] == id;
}

uint64_t membership_cluster_id(const struct membership *ms)
{
    struct buf ids = BUF_INIT;
    uint8_t digest[SHA1_BYTES];
    for (size_t i = 0; i < ms->count; i++) {
        store_be64(buf_extend(&ids, 8), ms->members[i].id);
    }
    sha1(ids.data, ids.len, digest);
    buf_deinit(&ids);
    return load_be64(digest);
}

int membership_conf_state(const struct membership *ms, struct raft_conf_state *out)
{
    struct raft_conf_state cs = {.auto_leave = false};
    for (size_t i = 0; i < ms->count; i++) {
        struct raft_ids *ids = ms->members[i].is_learner ? &cs.learners : &cs.voters;
        if (ids->count == RAFT_MEMBERS_MAX) {
            return ERR_LIMIT;
        }
        ids->ids[ids->count++] = ms->members[i].id;
    }
    *out = cs;
    return 0;
}

size_t membership_learner_count(const struct membership *ms)
{
    size_t n = 0;
    for (size_t i = 0; i < ms->count; i++) {
        n += ms->members[i].is_learner ? 1 : 0;
    }
    return n;
}

size_t membership_voter_count(const struct membership *ms)
{
    return ms->count - membership_learner_count(ms);
}

/* ---- changes ---- */

struct member *membership_add(struct membership *ms, struct member *m)
{
    size_t at = position(ms, m->id);
    ensure(membership_find(ms, m->id) == NULL);
    ms->members = mem_realloc(ms->members, (ms->count + 1) * sizeof(ms->members[0]));
    memmove(&ms->members[at + 1], &ms->members[at], (ms->count - at) * sizeof(ms->members[0]));
    ms->members[at] = *m;
    ms->count++;
    *m = (struct member){.name = NULL};
    return &ms->members[at];
}

void membership_remove(struct membership *ms, uint64_t id)
{
    size_t at = position(ms, id);
    if (at < ms->count && ms->members[at].id == id) {
        member_deinit(&ms->members[at]);
        ms->count--;
        memmove(&ms->members[at], &ms->members[at + 1], (ms->count - at) * sizeof(ms->members[0]));
    }
    membership_mark_removed(ms, id);
}

/* Any of urls in use by a member other than except. */
static bool url_is_used(const struct membership *ms, const struct strs *urls, uint64_t except)
{
    for (size_t i = 0; i < ms->count; i++) {
        if (ms->members[i].id == except) {
            continue;
        }
        for (size_t k = 0; k < urls->count; k++) {
            if (strs_contains(&ms->members[i].peer_urls, urls->items[k])) {
                return true;
            }
        }
    }
    return false;
}

static int check_add(const struct membership *ms, const struct raft_conf_change *cc,
                     const struct member_context *c, size_t max_learners)
{
    const struct member *there = membership_find(ms, cc->node_id);
    if (c->is_promote) {
        if (there == NULL) {
            return ERR_RPC_MEMBER_NOT_FOUND;
        }
        return there->is_learner ? 0 : ERR_RPC_MEMBER_NOT_LEARNER;
    }
    if (there != NULL) {
        return ERR_RPC_MEMBER_EXISTS;
    }
    if (url_is_used(ms, &c->member.peer_urls, 0)) {
        return ERR_RPC_PEER_URL_EXISTS;
    }
    if (c->member.is_learner && cc->type == RAFT_CONF_ADD_LEARNER &&
        membership_learner_count(ms) + 1 > max_learners) {
        return ERR_RPC_TOO_MANY_LEARNERS;
    }
    return 0;
}

static int check_context(const struct membership *ms, const struct raft_conf_change *cc,
                         const struct member_context *c, size_t max_learners)
{
    if (cc->type != RAFT_CONF_UPDATE_NODE) {
        return check_add(ms, cc, c, max_learners);
    }
    if (membership_find(ms, cc->node_id) == NULL) {
        return ERR_RPC_MEMBER_NOT_FOUND;
    }
    return url_is_used(ms, &c->member.peer_urls, cc->node_id) ? ERR_RPC_PEER_URL_EXISTS : 0;
}

int membership_conf_change_check(const struct membership *ms, const struct raft_conf_change *cc,
                                 size_t max_learners)
{
    if (membership_is_removed(ms, cc->node_id)) {
        return ERR_RPC_MEMBER_NOT_FOUND;
    }
    if (cc->type == RAFT_CONF_REMOVE_NODE) {
        return membership_find(ms, cc->node_id) != NULL ? 0 : ERR_RPC_MEMBER_NOT_FOUND;
    }
    struct member_context c;
    int err = member_context_parse(cc->context, &c);
    if (err != 0) {
        return ERR_MALFORMED;
    }
    if (c.member.id != cc->node_id) {
        err = ERR_MALFORMED;
    } else {
        err = check_context(ms, cc, &c, max_learners);
    }
    member_context_deinit(&c);
    return err;
}

static enum member_effect apply_context(struct membership *ms, const struct raft_conf_change *cc,
                                        struct member_context *c)
{
    struct member *there = membership_find(ms, cc->node_id);
    if (cc->type == RAFT_CONF_UPDATE_NODE) {
        if (there == NULL) {
            return MEMBER_EFFECT_NONE;
        }
        strs_deinit(&there->peer_urls);
        there->peer_urls = c->member.peer_urls;
        c->member.peer_urls = (struct strs){NULL, 0};
        return MEMBER_EFFECT_UPDATED;
    }
    if (c->is_promote) {
        if (there == NULL) {
            return MEMBER_EFFECT_NONE;
        }
        there->is_learner = false;
        return MEMBER_EFFECT_PROMOTED;
    }
    ensure(there == NULL);
    (void)membership_add(ms, &c->member);
    member_init(&c->member);
    return MEMBER_EFFECT_ADDED;
}

int membership_conf_change_apply(struct membership *ms, const struct raft_conf_change *cc,
                                 enum member_effect *out)
{
    if (cc->type == RAFT_CONF_REMOVE_NODE) {
        membership_remove(ms, cc->node_id);
        *out = MEMBER_EFFECT_REMOVED;
        return 0;
    }
    struct member_context c;
    int err = member_context_parse(cc->context, &c);
    if (err != 0) {
        return ERR_MALFORMED;
    }
    if (c.member.id != cc->node_id) {
        err = ERR_MALFORMED;
    } else {
        *out = apply_context(ms, cc, &c);
    }
    member_context_deinit(&c);
    return err;
}

int membership_set_attributes(struct membership *ms, uint64_t id, const char *name,
                              const struct strs *client_urls)
{
    struct member *m = membership_find(ms, id);
    if (m == NULL) {
        if (!membership_is_removed(ms, id)) {
            return ERR_NOT_FOUND;
        }
        log_warn("skipped attributes update of removed member", LOG_HEX("updated-peer-id", id));
        return ERR_RPC_MEMBER_NOT_FOUND;
    }
    struct strs urls;
    strs_copy(&urls, client_urls);
    char *copy = mem_strdup(name);
    mem_free(m->name);
    strs_deinit(&m->client_urls);
    m->name = copy;
    m->client_urls = urls;
    return 0;
}

/* ---- guards ---- */

/* Voters and started voters, without one of them. */
static void count_voters(const struct membership *ms, uint64_t except, size_t *out_all,
                         size_t *out_started)
{
    *out_all = 0;
    *out_started = 0;
    for (size_t i = 0; i < ms->count; i++) {
        const struct member *m = &ms->members[i];
        if (!m->is_learner && m->id != except) {
            *out_all += 1;
            *out_started += member_is_started(m) ? 1 : 0;
        }
    }
}

bool membership_is_ready_to_add_voter(const struct membership *ms)
{
    size_t all;
    size_t started;
    count_voters(ms, 0, &all, &started);
    all++;
    if (started == 1 && all == 2) {
        return true; /* growing a cluster of one */
    }
    return started >= all / 2 + 1;
}

bool membership_is_ready_to_remove_voter(const struct membership *ms, uint64_t id)
{
    size_t all;
    size_t started;
    count_voters(ms, id, &all, &started);
    return started >= all / 2 + 1;
}

bool membership_is_ready_to_promote(const struct membership *ms)
{
    size_t all;
    size_t started;
    count_voters(ms, 0, &all, &started);
    return started + 1 >= (all + 1) / 2 + 1;
}
