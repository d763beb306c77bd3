/* SPDX-License-Identifier: Apache-2.0
 *
 * core/propose: from a request to an entry, and from the applied entry back to who waits for it.
 *
 * The entry is InternalRaftRequest around the client's own bytes (design.md 3): one allocation
 * holds many entries (the slab below).
 */
#include "base/limits.h"
#include "core/internal.h"

uint64_t core_new_id(struct core *c)
{
    uint64_t prefix = c->next_id & (UINT64_C(0xffff) << 48);
    uint64_t suffix = (c->next_id + 1) & ((UINT64_C(1) << 48) - 1);
    c->next_id = prefix | suffix;
    return c->next_id;
}

bool core_is_over_quota(const struct core *c, uint64_t cost)
{
    return cost > 0 && c->config.quota_bytes > 0 &&
           backend_size_bytes(c->backend) + cost >= (uint64_t)c->config.quota_bytes;
}

/* Admission: client-api 2.0.1 step 3 and 2.0.3. */
static int admit(struct core *c, const struct core_request *r, size_t entry_bytes)
{
    if (r->is_internal) {
        return 0;
    }
    if (c->is_short_of_space) {
        return ERR_RPC_NO_SPACE;
    }
    if (core_is_over_quota(c, r->quota_cost)) {
        core_raise_nospace(c);
        return ERR_RPC_NO_SPACE;
    }
    if (entry_bytes > c->config.request_bytes_max) {
        return ERR_RPC_REQUEST_TOO_LARGE;
    }
    if (c->committed > c->applied + LIMIT_APPLY_GAP) {
        return ERR_RPC_TOO_MANY_REQUESTS;
    }
    return 0;
}

uint8_t *core_slab_take(struct core *c, size_t bytes)
{
    if (c->slab == NULL || c->slab->cap - c->slab->len < bytes) {
        size_t cap = bytes > CORE_SLAB_BYTES ? bytes : CORE_SLAB_BYTES;
        struct rcbuf *slab = rcbuf_try_create(cap);
        if (slab == NULL) {
            return NULL;
        }
        rcbuf_unref(c->slab); /* its entries hold references of their own */
        c->slab = slab;
    }
    uint8_t *p = c->slab->data + c->slab->len;
    c->slab->len += bytes;
    return p;
}

/* The request around its body, into the slab: the body is the caller's for this call only. */
static int entry_make(struct core *c, struct core_request *r, const struct wire_internal *req,
                      size_t bytes)
{
    uint8_t *data = core_slab_take(c, bytes);
    if (data == NULL) {
        return ERR_RPC_TOO_MANY_REQUESTS;
    }
    wire_internal_encode(req, data);
    r->entry = slice_make(data, bytes);
    r->entry_owner = rcbuf_ref(c->slab);
    return 0;
}

void core_entry_drop(struct core_request *r)
{
    rcbuf_unref(r->entry_owner);
    r->entry_owner = NULL;
}

static void propose_end(struct core *c, struct core_request *r, int err)
{
    c->proposals_failed += !r->is_internal && !err_is_rpc(err);
    core_waiter_done(c, r, err == ERR_DROPPED ? ERR_RPC_RAFT_DROPPED : err);
}

void core_propose_made(struct core *c, struct core_request *r)
{
    r->stage = CORE_STAGE_WAITING;
    list_push_back(&c->proposing, &r->node);
}

void core_propose(struct core *c, struct core_request *r)
{
    r->id = core_new_id(c);
    const struct wire_internal req = {.id = r->id,
                                      .username = r->username,
                                      .auth_revision = r->auth_revision,
                                      .which = r->which,
                                      .body = r->body};
    size_t bytes = wire_internal_size(&req);
    int err = admit(c, r, bytes);
    if (err == 0) {
        err = entry_make(c, r, &req, bytes);
    }
    if (err != 0) {
        propose_end(c, r, err);
    } else {
        core_propose_made(c, r);
    }
}

/* ---- to raft ---- */

/* The front of the list as entries of one proposal; raft takes references of its own. */
static size_t batch_fill(const struct core *c, struct raft_entry *entries)
{
    size_t count = 0, bytes = 0;
    LIST_FOREACH (&c->proposing, n) {
        const struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (count == CORE_PROPOSE_ENTRIES || bytes >= CORE_PROPOSE_BYTES) {
            break;
        }
        bool is_conf = r->kind == CORE_CONF_CHANGE;
        entries[count++] = (struct raft_entry){
            .type = is_conf ? RAFT_ENTRY_CONF_CHANGE : RAFT_ENTRY_NORMAL,
            .data = r->entry,
            .owner = r->entry_owner,
        };
        bytes += r->entry.len;
    }
    return count;
}

static void forwarded_free(struct core *c, struct core_request *r)
{
    c->forwarded_count--;
    core_entry_drop(r);
    mem_free(r);
}

static void proposed(struct core *c, struct core_request *r)
{
    if (r->is_forwarded) {
        forwarded_free(c, r);
        return;
    }
    core_entry_drop(r);
    r->stage = CORE_STAGE_PROPOSED;
    (void)map_put(&c->by_id, r->id, r);
    list_push_back(r->kind == CORE_CONF_CHANGE ? &c->conf_pending : &c->pending, &r->node);
    c->proposals_pending++;
}

static void batch_end(struct core *c, size_t count, int err)
{
    for (size_t i = 0; i < count; i++) {
        struct core_request *r = LIST_ENTRY(list_first(&c->proposing), struct core_request, node);
        list_remove(&r->node);
        if (err == 0) {
            proposed(c, r);
        } else if (r->is_forwarded) {
            forwarded_free(c, r);
        } else {
            core_entry_drop(r);
            propose_end(c, r, err);
        }
    }
}

/* An election, or leadership that is being handed over: waited for, not told to clients. */
static bool is_passing(const struct core *c, int err)
{
    enum raft_drop_reason why = raft_drop_reason(c->raft);
    return err == ERR_DROPPED && (why == RAFT_DROP_NO_LEADER || why == RAFT_DROP_TRANSFERRING);
}

void core_propose_flush(struct core *c)
{
    struct raft_entry entries[CORE_PROPOSE_ENTRIES];
    c->is_held = false;
    while (c->leader != 0 && !list_is_empty(&c->proposing)) {
        size_t count = batch_fill(c, entries);
        struct raft_event ev = {.type = RAFT_EV_PROPOSE, .entries = entries, .entry_count = count};
        int err = raft_step(c->raft, &ev);
        if (is_passing(c, err)) {
            c->is_held = true;
            return;
        }
        batch_end(c, count, err);
    }
}

bool core_propose_forwarded(struct core *c, const struct raft_message *m)
{
    if (!is_passing(c, ERR_DROPPED) || c->is_stopping ||
        m->entry_count > CORE_FORWARDED_MAX - c->forwarded_count) {
        return false;
    }
    for (size_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];
        bool is_conf = e->type != RAFT_ENTRY_NORMAL;
        struct core_request *r = mem_alloc(sizeof(*r));
        core_request_init(r, is_conf ? CORE_CONF_CHANGE : CORE_PROPOSE);
        r->is_forwarded = true;
        r->entry = e->data;
        r->entry_owner = e->owner != NULL ? rcbuf_ref(e->owner) : NULL;
        r->deadline_ms = c->now_ms + core_request_timeout_ms(c);
        c->forwarded_count++;
        core_propose_made(c, r);
    }
    return true;
}

void core_propose_internal(struct core *c, uint32_t which, struct slice body)
{
    struct core_request *r = mem_alloc(sizeof(*r) + body.len);
    core_request_init(r, CORE_PROPOSE);
    if (body.len > 0) {
        memcpy(r + 1, body.data, body.len);
    }
    r->which = which;
    r->body = slice_make(r + 1, body.len);
    r->is_internal = true;
    if (which == WIRE_INTERNAL_LEASE_REVOKE && auth_is_enabled(c->auth)) {
        r->username = SLICE_LIT(AUTH_ROOT); /* an expired lease goes whoever has its keys */
        r->auth_revision = auth_revision(c->auth);
    }
    r->deadline_ms = c->now_ms + core_request_timeout_ms(c);
    c->request_count++;
    core_propose(c, r);
}

void core_raise_nospace(struct core *c)
{
    if (c->is_stopping || c->fatal != 0) {
        return; /* nobody would answer it; the next write over the quota raises it */
    }
    for (size_t i = 0; i < apply_alarm_count(c->apply); i++) {
        struct schema_alarm a = apply_alarm_at(c->apply, i);
        if (a.member_id == c->config.member_id && a.type == SCHEMA_ALARM_NOSPACE) {
            return;
        }
    }
    if (c->is_nospace_proposed) {
        return;
    }
    c->is_nospace_proposed = true;
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, 1); /* ACTIVATE */
    wire_append_u64(&body, 2, c->config.member_id);
    wire_append_u64(&body, 3, SCHEMA_ALARM_NOSPACE);
    core_propose_internal(c, WIRE_INTERNAL_ALARM, buf_slice(&body));
    buf_deinit(&body);
}

/* The request that waits for this id, out of all lists, or NULL. */
struct core_request *core_waiter_take(struct core *c, uint64_t id)
{
    struct core_request *r = map_remove(&c->by_id, id);
    if (r != NULL) {
        list_remove(&r->node);
        c->proposals_pending--;
    }
    return r;
}

/* An answered proposal goes to its owner; the member's own are freed here. */
void core_waiter_done(struct core *c, struct core_request *r, int err)
{
    if (!r->is_internal) {
        core_reply(c, r, err);
        return;
    }
    c->request_count--;
    core_entry_drop(r);
    if (r->which == WIRE_INTERNAL_LEASE_REVOKE || r->which == WIRE_INTERNAL_LEASE_CHECKPOINT) {
        core_lease_entry_done(c, r, err);
    } else if (r->which == WIRE_INTERNAL_MEMBER_ATTR_SET) {
        c->is_publishing = false;
    } else if (r->which == WIRE_INTERNAL_CLUSTER_VERSION_SET) {
        c->is_version_proposed = false;
    } else if (r->which == WIRE_INTERNAL_DOWNGRADE_INFO_SET) {
        c->is_downgrade_proposed = false;
    } else if (r->which == WIRE_INTERNAL_ALARM) {
        c->is_nospace_proposed = false;
    }
    mem_free(r);
}

/* Why an answer did not come in time, as etcd tells it (client-api 2.0.4). */
static int timeout_reason(const struct core *c, const struct core_request *r)
{
    uint64_t start = r->deadline_ms - core_request_timeout_ms(c);
    uint64_t elections = 2 * (uint64_t)c->config.election_ticks * c->config.heartbeat_ms;
    if (start < c->leader_elected_ms && start + elections > c->leader_elected_ms) {
        return ERR_RPC_TIMEOUT_LEADER_FAIL;
    }
    bool is_connected = true;
    if (c->role == RAFT_LEADER) {
        is_connected = core_connected_voters(c, start) >= c->conf.voters.count / 2 + 1;
    } else if (c->leader != 0) {
        uint64_t since = core_peer_active_since_ms(c, c->leader);
        is_connected = since != 0 && since < start;
    }
    return is_connected ? ERR_RPC_TIMEOUT : ERR_RPC_TIMEOUT_CONN_LOST;
}

/* The lists are in order of arrival and all requests have the same time-out, or none. */
static void expire_list(struct core *c, struct list *l, int err)
{
    LIST_FOREACH (l, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (r->deadline_ms == UINT64_MAX) {
            continue;
        }
        if (r->deadline_ms > c->now_ms) {
            return;
        }
        bool is_proposal = l == &c->pending || l == &c->proposing;
        c->proposals_failed += is_proposal;
        core_answer_waiting(c, r, l == &c->pending ? timeout_reason(c, r) : err);
    }
}

void core_answer_waiting(struct core *c, struct core_request *r, int err)
{
    if (r->is_forwarded) {
        list_remove(&r->node);
        forwarded_free(c, r);
    } else if (r->stage == CORE_STAGE_PROPOSED) {
        (void)core_waiter_take(c, r->id);
        core_waiter_done(c, r, err);
    } else if (r->stage == CORE_STAGE_WAITING) {
        list_remove(&r->node);
        core_waiter_done(c, r, err);
    } else {
        core_reply(c, r, err);
    }
}

void core_expire(struct core *c)
{
    expire_list(c, &c->proposing, ERR_RPC_CONTEXT_DEADLINE);
    expire_list(c, &c->pending, ERR_RPC_TIMEOUT);
    expire_list(c, &c->catching, ERR_RPC_TIMEOUT_WAIT_APPLIED);
    expire_list(c, &c->reads_round, ERR_RPC_TIMEOUT);
    expire_list(c, &c->reads_applied, ERR_RPC_TIMEOUT);
}

void core_cancel(struct core *c, struct core_request *r)
{
    if (r->stage == CORE_STAGE_NONE) {
        return; /* its reply is on the way */
    }
    if (r->has_job) {
        r->is_canceled = true;
        return;
    }
    if (r->stage == CORE_STAGE_PROPOSED) {
        (void)core_waiter_take(c, r->id);
    } else if (r->kind == CORE_RANGE && r->stage == CORE_STAGE_BUILD) {
        mvcc_plan_end(r->plan);
    } else if (r->hash_run != NULL) {
        mvcc_hash_end(r->hash_run, false);
        r->hash_run = NULL;
    }
    core_reply(c, r, ERR_RPC_CONTEXT_CANCELED);
}
