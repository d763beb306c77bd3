/* SPDX-License-Identifier: Apache-2.0
 *
 * tls/conn: one TLS connection over memory: bytes in, bytes out, no sockets.
 *
 * Design      Two BIOs without memory of their own: one reads from the slice that is being fed, the
 *             other appends to the caller's buffer.  Sealing gathers small pieces into full
 *             records.  After the handshake the checks of etcd's listener are made: revocation
 *             list, names of the certificate against the address of the other side.
 * Ownership   The connection holds its context.  Buffers are the caller's.
 * Thread      one at a time.
 * Limits      Plaintext of one feed is never longer than what was fed.  No renegotiation.
 * Failure     ERR_*; tls_conn_error says why, in Go's words where Go has some.  After a failure
 *             only destroy is legal; what feed left in out (an alert) is still to be sent.
 * See         test/unit/tls/conn_test.c, test/fuzz/tls_feed_fuzz.c.
 */
#ifndef TLS_CONN_H
#define TLS_CONN_H

#include "tls/context.h"

struct tls_conn;

struct tls_conn_options {
    /* Server: the remote address; client: the address that is dialled.  "127.0.0.1:2379",
     * "host:2379", "[::1]:2379", "unix:/path".  Copied. */
    const char *peer;
    const char *alpn; /* "h2", "http/1.1" or NULL: what is offered or selected; a constant */
    /* Server: addresses in the client's certificate must hold peer's.  A certificate with DNS
     * names only leaves the question open (tls_conn_asks). */
    bool checks_address;
};

struct tls_conn *tls_conn_create(struct tls_context *c, const struct tls_conn_options *opts);
void tls_conn_destroy(struct tls_conn *t);

/* Takes ciphertext; appends plaintext to in and what must be sent to out.  No bytes: begins
 * (client).  ERR_END: the other side has closed in order; in holds what came before. */
MUST_USE int tls_conn_feed(struct tls_conn *t, struct slice bytes, struct buf *in, struct buf *out);
/* Encrypts; appends to out.  Only when ready. */
MUST_USE int tls_conn_seal(struct tls_conn *t, const struct slice *parts, size_t count,
                           struct buf *out);
/* close_notify, best effort. */
void tls_conn_shutdown(struct tls_conn *t, struct buf *out);

bool tls_conn_is_server(const struct tls_conn *t);
bool tls_conn_is_ready(const struct tls_conn *t);
/* True: the handshake is over but for the question whether host, an address, has one of names, NUL
 * behind each ("*.x" among them); asking a name server blocks, so the caller does it. */
bool tls_conn_asks(const struct tls_conn *t, const char **host, struct buf *names);
/* Yes: ready; what came meanwhile is worked on by the next feed.  No: failed. */
void tls_conn_answer(struct tls_conn *t, bool is_yes);
/* "h2", "http/1.1" or "". */
const char *tls_conn_alpn(const struct tls_conn *t);
/* Common name of the verified certificate of the other side, or "". */
const char *tls_conn_common_name(const struct tls_conn *t);
/* Server: what the client asked for (SNI), or "". */
const char *tls_conn_server_name(const struct tls_conn *t);
const char *tls_conn_error(const struct tls_conn *t);
/* Names and addresses in the other side's certificate, for the log: JSON arrays of strings.  False:
 * it sent none. */
bool tls_conn_peer_names(const struct tls_conn *t, struct buf *ips, struct buf *dns);

#endif
