/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/rpc/fake_env: an env for tests of grpc and rpc: a clock that stands, timers, deferred
 * calls and byte pipes, all run by hand.  Pipes deliver at most `chunk` bytes a step and take at
 * most `window` unread bytes.
 */
#ifndef TEST_FAKE_ENV_H
#define TEST_FAKE_ENV_H

#include "base/list.h"
#include "env/env.h"

struct fake_pipe;

struct fake_env {
    struct env env;
    struct env_clock clock;
    struct env_exec exec;
    struct env_net net;
    uint64_t now_ms;
    struct list timers;
    struct list jobs;
    struct {
        void (*fn)(void *arg);
        void *arg;
    } deferred[1024];
    size_t deferred_count;
    struct list conns;
    struct list wakers;
    struct fake_listener *listener; /* one */
    size_t chunk;
    size_t window;
    bool refuse_connect;
    bool holds_jobs; /* they wait */
    bool is_frozen;  /* data and ends of input do not arrive */
    uint64_t writes; /* calls of conn->write */
};

struct fake_env *fake_env_create(void);
void fake_env_destroy(struct fake_env *f);
/* One turn: delivers what can be delivered, then the deferred calls.  False: nothing happened. */
bool fake_env_turn(struct fake_env *f);
/* Turns until nothing happens. */
void fake_env_settle(struct fake_env *f);
/* Moves the clock, firing timers in order, settling after each. */
void fake_env_advance(struct fake_env *f, uint64_t ms);
/* A raw client: connects to the listener; bytes that the server sent are gathered in out. */
struct fake_client {
    struct fake_env *f;
    struct env_conn *conn;
    struct buf got;
    bool is_up, is_eof, is_closed;
};
void fake_client_open(struct fake_client *c, struct fake_env *f);
void fake_client_send(struct fake_client *c, struct slice bytes);
void fake_client_close(struct fake_client *c);

#endif
