/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/service/fake_core: see fake_core.h.
 */
#include "fake_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "lease/lessor.h"
#include "mvcc/watch.h"

struct fake_core fake;

void fake_core_init(struct env *env)
{
    memset(&fake, 0, sizeof(fake));
    fake.env = env;
    list_init(&fake.requests);
    membership_init(&fake.members);
    fake_member_add(FAKE_SELF, "n1", "http://10.0.0.1:2380", "http://10.0.0.1:2379", false);
    fake.level = LEVEL_3_7;
    fake.cluster_version = (struct semver){3, 7, 0};
    fake.storage_version = (struct semver){3, 7, 0};
    fake.status = (struct core_status){.committed = 9,
                                       .applied = 8,
                                       .leader = FAKE_SELF,
                                       .rev = 7,
                                       .db_size = 24576,
                                       .db_size_in_use = 16384,
                                       .quota = 2147483648,
                                       .level = LEVEL_3_7};
    fake.status.raft.hard.term = 3;
    fake.auth = auth_store_create(NULL, NULL);
    fake.lessor = lessor_create(&(struct lessor_options){.min_ttl_s = 2});
    const struct apply_options ao = {
        .member_id = FAKE_SELF, .level = LEVEL_3_7, .auth = fake.auth, .lessor = fake.lessor};
    fake.apply = apply_create(&ao);
    lessor_promote(fake.lessor, env_mono_ms(env), 0);
    fake.hub = watch_hub_create();
}

void fake_core_deinit(void)
{
    assert_true(fake_is_idle());
    membership_deinit(&fake.members);
    buf_deinit(&fake.body);
    apply_destroy(fake.apply);
    lessor_destroy(fake.lessor);
    auth_store_destroy(fake.auth);
    watch_hub_destroy(fake.hub);
}

void fake_member_add(uint64_t id, const char *name, const char *peer_url, const char *client_url,
                     bool is_learner)
{
    struct member m;
    member_init(&m);
    mem_free(m.name);
    m.id = id;
    m.name = mem_strdup(name);
    m.is_learner = is_learner;
    strs_add(&m.peer_urls, slice_cstr(peer_url));
    if (client_url[0] != '\0') {
        strs_add(&m.client_urls, slice_cstr(client_url));
    }
    (void)membership_add(&fake.members, &m);
}

bool fake_is_idle(void)
{
    return list_is_empty(&fake.requests);
}

struct core_request *fake_take(enum core_kind kind)
{
    struct list_node *n = list_first(&fake.requests);
    assert_non_null(n);
    struct core_request *r = LIST_ENTRY(n, struct core_request, node);
    assert_int_equal(r->kind, kind);
    return r;
}

void fake_reply(struct core_request *r, int err)
{
    list_remove(&r->node);
    r->err = err;
    r->on_reply(r);
}

/* ---- the other members ---- */

static void take_text(char *out, size_t cap, struct slice s)
{
    assert_true(s.len < cap);
    if (s.len > 0) {
        memcpy(out, s.data, s.len);
    }
    out[s.len] = '\0';
}

static void *ask(void *arg, const struct service_question *q,
                 void (*on_reply)(void *user, const struct service_reply *r), void *user)
{
    (void)arg;
    for (size_t i = 0; i < FAKE_ASKS_MAX; i++) {
        struct fake_ask *a = &fake.asks[i];
        if (!a->is_open) {
            *a = (struct fake_ask){
                .is_open = true, .timeout_ms = q->timeout_ms, .on_reply = on_reply, .user = user};
            take_text(a->url, sizeof(a->url), slice_cstr(q->urls->items[0]));
            take_text(a->method, sizeof(a->method), slice_cstr(q->method));
            take_text(a->path, sizeof(a->path), slice_cstr(q->path));
            take_text(a->body, sizeof(a->body), q->body);
            take_text(a->token, sizeof(a->token), q->token);
            return a;
        }
    }
    fail_msg("too many questions");
    return NULL;
}

static void cancel(void *arg, void *opened)
{
    (void)arg;
    ((struct fake_ask *)opened)->is_open = false;
    fake.asks_canceled++;
}

const struct service_peers fake_peers = {ask, cancel, NULL};

void fake_answer(size_t i, int err, unsigned status, const char *body)
{
    struct fake_ask a = fake.asks[i];
    const struct service_reply r = {.err = err, .status = status, .body = slice_cstr(body)};
    assert_true(a.is_open);
    fake.asks[i].is_open = false;
    a.on_reply(a.user, &r);
}

/* ---- core ---- */

void core_request_init(struct core_request *r, enum core_kind kind)
{
    memset(r, 0, sizeof(*r));
    list_node_init(&r->node);
    r->kind = kind;
}

void core_status(const struct core *c, struct core_status *out)
{
    (void)c;
    *out = fake.status;
}

uint64_t core_applied_index(const struct core *c)
{
    (void)c;
    return fake.status.applied;
}

bool core_is_over_quota(const struct core *c, uint64_t cost)
{
    (void)c;
    return cost > 0 && fake.is_over_quota;
}

uint64_t core_member_id(const struct core *c)
{
    (void)c;
    return FAKE_SELF;
}

uint64_t core_cluster_id(const struct core *c)
{
    (void)c;
    return FAKE_CLUSTER;
}

raft_term core_term(const struct core *c)
{
    (void)c;
    return fake.status.raft.hard.term;
}

int64_t core_rev(const struct core *c)
{
    (void)c;
    return fake.status.rev;
}

const struct membership *core_members(const struct core *c)
{
    (void)c;
    return &fake.members;
}

struct apply *core_apply(struct core *c)
{
    (void)c;
    return fake.apply;
}

struct mvcc_store *core_store(struct core *c)
{
    (void)c;
    return NULL;
}

struct auth_store *core_auth(struct core *c)
{
    (void)c;
    return fake.auth;
}

struct lessor *core_lessor(struct core *c)
{
    (void)c;
    return fake.lessor;
}

uint64_t core_new_id(struct core *c)
{
    (void)c;
    return UINT64_C(1) << 63 | 5;
}

struct backend *core_backend(struct core *c)
{
    (void)c;
    return NULL;
}

struct semver core_cluster_version(const struct core *c)
{
    (void)c;
    return fake.cluster_version;
}

struct semver core_storage_version(const struct core *c)
{
    (void)c;
    return fake.storage_version;
}

enum level core_level(const struct core *c)
{
    (void)c;
    return fake.level;
}

struct schema_downgrade core_downgrade(const struct core *c)
{
    (void)c;
    return fake.downgrade;
}

bool core_is_learner(const struct core *c)
{
    (void)c;
    return fake.is_learner;
}

size_t mvcc_hash_cached(const struct mvcc_store *s, struct mvcc_hash_value out[MVCC_HASHES_MAX])
{
    (void)s;
    memcpy(out, fake.cached, sizeof(fake.cached));
    return fake.cached_count;
}

/* ---- driver ---- */

void driver_submit(struct driver *d, struct core_request *r)
{
    (void)d;
    if (r->kind == CORE_PROPOSE) { /* copied, as the core does: the caller's may go */
        buf_clear(&fake.body);
        buf_append_slice(&fake.body, r->body);
        r->body = buf_slice(&fake.body);
    }
    list_push_back(&fake.requests, &r->node);
}

void driver_cancel(struct driver *d, struct core_request *r)
{
    (void)d;
    (void)r;
    fake.canceled++;
}

struct core *driver_core(struct driver *d)
{
    (void)d;
    return NULL;
}

struct env *driver_env(struct driver *d)
{
    (void)d;
    return fake.env;
}

struct watch_hub *driver_watch_hub(struct driver *d)
{
    (void)d;
    return fake.hub;
}

void driver_watch_kick(struct driver *d)
{
    (void)d;
    fake.kicks++;
}
