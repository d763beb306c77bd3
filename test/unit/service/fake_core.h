/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/service/fake_core: a core and driver that do nothing: tests say what they are, and
 * answer the requests themselves.  Linked before the real ones, so their names are taken.
 *
 * Also the other members as service_peers: questions are held until the test answers them.
 */
#ifndef TEST_FAKE_CORE_H
#define TEST_FAKE_CORE_H

#include "service/service.h"

enum { FAKE_ASKS_MAX = 8, FAKE_SELF = 0x11, FAKE_CLUSTER = 0xc1 };

struct fake_ask {
    bool is_open;
    char url[64]; /* the first one */
    char method[8];
    char path[64];
    char body[64];
    char token[32];
    uint64_t timeout_ms;
    void (*on_reply)(void *user, const struct service_reply *r);
    void *user;
};

struct fake_core {
    struct env *env;
    struct list requests; /* submitted, not answered; core_request.node */
    struct buf body; /* a copy of the last proposal's: its own is gone when the submit returns */
    size_t canceled;
    struct membership members; /* FAKE_SELF and what the test adds */
    struct core_status status;
    enum level level;
    struct semver cluster_version;
    struct semver storage_version;
    struct schema_downgrade downgrade;
    bool is_learner;
    bool is_over_quota;
    struct apply *apply;
    struct auth_store *auth; /* off; without a file */
    struct lessor *lessor;   /* primary; without a file */
    struct watch_hub *hub;
    size_t kicks; /* of the hub */
    struct mvcc_hash_value cached[MVCC_HASHES_MAX];
    size_t cached_count;
    struct fake_ask asks[FAKE_ASKS_MAX];
    size_t asks_canceled;
};

extern struct fake_core fake;
extern const struct service_peers fake_peers;

/* A single started voter at 3.7 that leads; revision 7, term 3. */
void fake_core_init(struct env *env);
void fake_core_deinit(void);
void fake_member_add(uint64_t id, const char *name, const char *peer_url, const char *client_url,
                     bool is_learner);
/* The oldest request; the test fails when there is none, or it is of another kind. */
struct core_request *fake_take(enum core_kind kind);
void fake_reply(struct core_request *r, int err);
/* Nothing is asked of the core. */
bool fake_is_idle(void);
/* Answers an open ask of this index. */
void fake_answer(size_t i, int err, unsigned status, const char *body);

#endif
