/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/tls: the seam between a connection and a TLS implementation: bytes in, bytes out, no sockets.
 *
 * src/tls (or what wraps it) fills struct rpc_tls_ops; the connection feeds it what came from the
 * socket and writes what it gives.  One struct rpc_tls per connection.
 *
 * Ownership   rpc_tls is created by the factory for one connection and destroyed by it.
 * Thread      net.
 * Failure     a negative return ends the connection after `out` (an alert) was written.
 * See         tls_source.h: the seam filled by src/tls.
 */
#ifndef RPC_TLS_H
#define RPC_TLS_H

#include "base/buf.h"

struct rpc_tls;

struct rpc_tls_ops {
    /* Takes ciphertext; appends plaintext to in and what must be sent to out.  ERR_END: the other
     * side has closed in order; what is in `in` came before. */
    int (*feed)(struct rpc_tls *t, struct slice bytes, struct buf *in, struct buf *out);
    /* Encrypts; appends to out.  Only after is_ready. */
    int (*seal)(struct rpc_tls *t, const struct slice *parts, size_t count, struct buf *out);
    /* close_notify, best effort. */
    void (*shutdown)(struct rpc_tls *t, struct buf *out);
    bool (*is_ready)(const struct rpc_tls *t);
    /* "h2", "http/1.1" or "" when nothing was selected; after is_ready. */
    const char *(*alpn)(const struct rpc_tls *t);
    /* Common name of the verified peer certificate or "". */
    const char *(*peer_common_name)(const struct rpc_tls *t);
    /* Why the last call failed, for the log. */
    const char *(*error_text)(const struct rpc_tls *t);
    /* Accepted side: the handshake is given up, say so in the log. */
    void (*reject)(struct rpc_tls *t, const char *why);
    /* Accepted side: the handshake is over but for a question that blocks: has host, an address,
     * one of names (NUL behind each)?  NULL: never. */
    bool (*asks)(const struct rpc_tls *t, const char **host, struct buf *names);
    /* Yes: is_ready; the next feed goes on, also with no bytes.  No: failed. */
    void (*answer)(struct rpc_tls *t, bool is_yes);
    void (*destroy)(struct rpc_tls *t);
};

struct rpc_tls {
    const struct rpc_tls_ops *ops;
};

/* Makes the TLS side of one new connection; peer is env_conn's peer_name.  For clients: appends the
 * ClientHello when first fed with no bytes. NULL refuses the connection. */
struct rpc_tls_factory {
    struct rpc_tls *(*create)(void *arg, const char *peer);
    void *arg;
};

#endif
