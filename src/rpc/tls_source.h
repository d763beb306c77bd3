/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/tls_source: the TLS seam of tls.h filled by src/tls: one source a listener or kind of
 * dialling.
 *
 * Ownership   The source is the caller's and outlives everything that was given its factory; the
 *             context stays the caller's too (connections count it).
 * Thread      factory.create: any net thread; the source is read only.
 * Failure     A failed handshake of an accepted connection is one log line, as etcd's: "rejected
 *             connection on client endpoint" with remote-addr, server-name, names of the
 *             certificate and error.
 */
#ifndef RPC_TLS_SOURCE_H
#define RPC_TLS_SOURCE_H

#include "rpc/tls.h"
#include "tls/conn.h"

struct rpc_tls_source {
    struct rpc_tls_factory factory; /* &source->factory goes to listeners and channels */
    struct tls_context *context;
    const char *alpn;    /* "h2", "http/1.1" or NULL */
    bool is_peer;        /* accepted connections: "peer endpoint" in the log */
    bool checks_address; /* accepted: etcd's check of the certificate's addresses */
};

/* Sets factory; everything else is the caller's to fill. */
void rpc_tls_source_init(struct rpc_tls_source *s, struct tls_context *context);

#endif
