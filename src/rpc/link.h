/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/link: one env_conn with or without TLS on it: plain bytes in, plain slices out.
 *
 * Ownership   Embedded in its owner's struct.  on_closed is the last event, exactly once after
 *             attach; the owner may die in it, and must live until it.
 * Thread      net.
 */
#ifndef RPC_LINK_H
#define RPC_LINK_H

#include "env/env.h"
#include "http/out.h"
#include "rpc/tls.h"

struct rpc_link;

struct rpc_link_ops {
    /* Connected, and the TLS handshake, if any, is over. */
    void (*on_ready)(struct rpc_link *l);
    void (*on_bytes)(struct rpc_link *l, struct slice bytes);
    void (*on_eof)(struct rpc_link *l);
    void (*on_drain)(struct rpc_link *l);
    void (*on_closed)(struct rpc_link *l, int err);
    /* Bytes of a handshake are there: false makes them wait until rpc_link_go_on.  NULL: never. */
    bool (*may_handshake)(struct rpc_link *l);
    /* The handshake waits for rpc_link_answer to tls->ops->asks.  NULL: the answer is no. */
    void (*on_asked)(struct rpc_link *l);
};

/* Shared by the links of one loop. */
struct rpc_scratch {
    struct http_out out;
    struct buf plain;
    struct buf cipher;
};

struct rpc_link {
    struct env_conn *conn;
    struct rpc_tls *tls;
    const struct rpc_link_ops *ops;
    struct rpc_scratch *scratch;
    struct buf held; /* bytes of a handshake that waits; reading is paused meanwhile */
    bool is_up;
    bool is_asking;
    bool is_connected; /* TCP */
    bool is_paused;
    bool is_closing;
    uint64_t bytes_in;
    uint64_t bytes_out;
};

void rpc_scratch_init(struct rpc_scratch *s);
void rpc_scratch_deinit(struct rpc_scratch *s);

/* An accepted connection; tls NULL or the server side, taken over.  on_ready comes at once without
 * TLS. */
void rpc_link_attach(struct rpc_link *l, struct env_conn *conn, struct rpc_tls *tls,
                     struct rpc_scratch *scratch, const struct rpc_link_ops *ops);
/* Begins to connect; tls is taken over, also on failure. */
MUST_USE int rpc_link_connect(struct rpc_link *l, struct env *env, const char *addr,
                              uint64_t timeout_ms, struct rpc_tls *tls, struct rpc_scratch *scratch,
                              const struct rpc_link_ops *ops);
/* TLS after the first bytes told so (ports that serve both). */
void rpc_link_start_tls(struct rpc_link *l, struct rpc_tls *tls);
/* For start_tls: bytes that came before. */
void rpc_link_feed(struct rpc_link *l, struct slice bytes);
/* The handshake that may_handshake made wait. */
void rpc_link_go_on(struct rpc_link *l);
/* Yes: the connection goes on; no: it is closed.  Not from inside on_asked. */
void rpc_link_answer(struct rpc_link *l, bool is_yes);
/* Why TLS has failed, "" when it has not; also from inside on_closed. */
const char *rpc_link_tls_error(const struct rpc_link *l);
/* Everything in out, in one write. */
void rpc_link_write(struct rpc_link *l, const struct http_out *out);
size_t rpc_link_queued(const struct rpc_link *l);
void rpc_link_pause(struct rpc_link *l, bool paused);
/* No more on_bytes; what was written is flushed for at most flush_ms. */
void rpc_link_close(struct rpc_link *l, uint64_t flush_ms);

#endif
