/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/grpc/bed: fixture of the call tests: a service with a method of every kind, and our
 * client and our server joined in memory, bytes cut into pieces of `step`.
 */
#ifndef TEST_GRPC_BED_H
#define TEST_GRPC_BED_H

#include "../rpc/fake_env.h"
#include "grpc/client.h"
#include "grpc/relay.h"
#include "grpc/server.h"

#ifndef BED_RELAY
#define BED_RELAY false /* true: the calls go through a relay (build file) */
#endif

struct svc {
    struct buf log;
    struct grpc_call *held; /* Hold: answered by the test */
    int cancels, cancel_err;
    int writables;
    struct rcbuf *kept;
};

struct pattern_source {
    struct grpc_source src;
    uint8_t next;
    bool says_again; /* every other pull waits */
    bool waits;
    int fail_after; /* pulls; < 0 never */
    struct grpc_call *call;
    int closes;
    uint64_t pulls;
};

extern struct pattern_source the_source;
extern const struct grpc_source_ops pattern_ops;

enum { BED_METHODS = 9 };
extern const struct grpc_method bed_methods[BED_METHODS];
extern const struct grpc_conn_ops bed_conn_ops;
extern const struct grpc_client_call_ops call_ops;

struct bed {
    struct fake_env *f;
    struct svc svc;
    struct grpc_server *server;
    struct http_pool *pool;
    struct grpc_relay *relay;
    struct env_mailbox up, down;
    struct grpc_conn *conn;
    struct grpc_client *client;
    size_t step;
    int recv_err;
};

struct result {
    struct buf got; /* messages, each with '|' */
    int messages;
    bool is_done, is_sent;
    enum grpc_code code;
    char text[200];
};

void bed_make_with(struct bed *b, size_t step, const struct grpc_server_options *opts);
void bed_make(struct bed *b, size_t step);
void bed_free(struct bed *b);
size_t client_to_server(struct bed *b);
size_t server_to_client(struct bed *b);
void settle(struct bed *b);
struct grpc_client_call *start(struct bed *b, const char *path, struct result *r,
                               uint64_t timeout_ms);
struct grpc_client_call *unary(struct bed *b, const char *path, struct slice msg, struct result *r);
void expect(struct result *r, enum grpc_code code, const char *text);
const struct grpc_method_stats *stats_of(struct bed *b, const char *name);
/* Bytes 0, 1, 2 ... */
void check_pattern(const struct buf *b, size_t len);

#endif
