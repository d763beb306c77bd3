/* SPDX-License-Identifier: Apache-2.0
 *
 * core/propose: from a request to an entry, and from the applied entry back to who waits for it.
 *
 * The entry is InternalRaftRequest around the client's own bytes (design.md 3): one allocation
 * holds many entries (the slab below).
 */
#include "base/limits.h"
#include "core/internal.h"

static uint64_t next_id(struct core *c)
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

/* bytes from the slab that the entries of the next proposals share; NULL: no memory. */
static uint8_t *slab_take(struct core *c, size_t bytes)
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

static int propose_entry(struct core *c, const struct wire_internal *req, size_t bytes)
{
    uint8_t *data = slab_take(c, bytes);
    if (data == NULL) {
        return ERR_RPC_TOO_MANY_REQUESTS;
    }
    wire_internal_encode(req, data);
    struct raft_entry e = {
        .type = RAFT_ENTRY_NORMAL, .data = slice_make(data, bytes), .owner = c->slab};
    struct raft_event ev = {.type = RAFT_EV_PROPOSE, .entries = &e, .entry_count = 1};
    return raft_step(c->raft, &ev);
}

static void propose_end(struct core *c, struct core_request *r, int err)
{
    c->proposals_failed += !r->is_internal && !err_is_rpc(err);
    core_waiter_done(c, r, err == ERR_DROPPED ? ERR_RPC_RAFT_DROPPED : err);
}

static void propose_admitted(struct core *c, struct core_request *r)
{
    struct wire_internal req = {.id = r->id, .which = r->which, .body = r->body};
    int err = propose_entry(c, &req, wire_internal_size(&req));
    if (err != 0) {
        propose_end(c, r, err);
        return;
    }
    r->stage = CORE_STAGE_PROPOSED;
    (void)map_put(&c->by_id, r->id, r);
    list_push_back(&c->pending, &r->node);
    c->proposals_pending++;
}

void core_propose(struct core *c, struct core_request *r)
{
    r->id = next_id(c);
    struct wire_internal req = {.id = r->id, .which = r->which, .body = r->body};
    int err = admit(c, r, wire_internal_size(&req));
    if (err != 0) {
        propose_end(c, r, err);
    } else if (c->leader == 0) {
        r->stage = CORE_STAGE_UNLED; /* as etcd: an election is waited for, not told to clients */
        list_push_back(&c->unled, &r->node);
    } else {
        propose_admitted(c, r);
    }
}

void core_propose_unled(struct core *c)
{
    LIST_FOREACH (&c->unled, n) {
        list_remove(n);
        propose_admitted(c, LIST_ENTRY(n, struct core_request, node));
    }
}

void core_propose_internal(struct core *c, uint32_t which, struct slice body)
{
    struct core_request *r = mem_alloc(sizeof(*r) + body.len);
    core_request_init(r, CORE_PROPOSE);
    memcpy(r + 1, body.data, body.len);
    r->which = which;
    r->body = slice_make(r + 1, body.len);
    r->is_internal = true;
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
    if (r->which == WIRE_INTERNAL_MEMBER_ATTR_SET) {
        c->is_publishing = false;
    } else if (r->which == WIRE_INTERNAL_CLUSTER_VERSION_SET) {
        c->is_version_proposed = false;
    } else if (r->which == WIRE_INTERNAL_ALARM) {
        c->is_nospace_proposed = false;
    }
    mem_free(r);
}

/* The lists are in order of arrival and all requests have the same time-out. */
static void expire_list(struct core *c, struct list *l, int err)
{
    LIST_FOREACH (l, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (r->deadline_ms > c->now_ms) {
            return;
        }
        c->proposals_failed += l == &c->pending || l == &c->unled;
        core_answer_waiting(c, r, err);
    }
}

void core_answer_waiting(struct core *c, struct core_request *r, int err)
{
    if (r->stage == CORE_STAGE_PROPOSED) {
        (void)core_waiter_take(c, r->id);
        core_waiter_done(c, r, err);
    } else if (r->stage == CORE_STAGE_UNLED) {
        list_remove(&r->node);
        core_waiter_done(c, r, err);
    } else {
        core_reply(c, r, err);
    }
}

void core_expire(struct core *c)
{
    expire_list(c, &c->unled, ERR_RPC_TIMEOUT);
    expire_list(c, &c->pending, ERR_RPC_TIMEOUT);
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
