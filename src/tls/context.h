/* SPDX-License-Identifier: Apache-2.0
 *
 * tls/context: what all connections of one kind share: certificate, key, trusted CAs, revocation
 * list, cipher suites, names that are allowed; and how they are renewed while connections live.
 *
 * Problem     Certificates are renewed under a running member.  A file that is half written, or a
 *             new CA that does not know the present peers, must not cut anybody off.
 * Design      A context points to one immutable state (an SSL_CTX and what belongs to it), made
 *             from the contents of the files.  tls_context_reload reads the files again; when their
 *             bytes differ it makes a new state, checks it, and swaps the pointer: handshakes that
 *             begin later use it, connections that live keep theirs.  Session tickets die with
 *             their state, so a resumed session never survives a change of CAs.
 *             With keeps_peers the context knows the certificates of its live connections, and a
 *             new set of CAs that does not verify one of them is refused.
 * Invariants  I1  The state is never changed after it was published.
 *             I2  A failed reload changes nothing.
 * Ownership   Counted; connections hold their context and their state.
 * Thread      any: create, reload (one at a time) and connections may be on different threads.
 * Limits      LIMIT_TLS_FILE_BYTES a file; LIMIT_TLS_KEPT_CERTS certificates looked at in a reload.
 * Failure     ERR_* with etcd's (Go's) text appended: "open x: no such file or directory",
 *             "tls: private key does not match public key".
 * See         cli.md 1.3 (security), peer-protocol 2.14; test/unit/tls/context_test.c.
 */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include "env/env.h"

enum tls_side { TLS_SERVER, TLS_CLIENT };

/* Values of min_version and max_version; 0: no bound of its own (at least 1.2). */
enum tls_version { TLS_VERSION_ANY, TLS_VERSION_12 = 12, TLS_VERSION_13 = 13 };

struct tls_names {
    const char *const *items;
    size_t count;
};

/* All texts may be NULL for none; they are copied. */
struct tls_config {
    enum tls_side side;
    const char *cert_file;
    const char *key_file;
    const char *ca_file;  /* server: makes client certificates mandatory; client: "" the system's */
    const char *crl_file; /* server: DER or PEM; serials only, as in etcd */
    bool needs_peer_cert; /* server: also without a CA file (then the system's CAs) */
    bool skips_verify;    /* client: any certificate will do */
    bool keeps_peers;     /* a reload must verify the certificates of live connections */
    const char *server_name; /* client: the name to verify instead of the host that is dialled */
    const char *ciphers;     /* comma list of Go's names, checked before */
    enum tls_version min_version;
    enum tls_version max_version;
    struct tls_names allowed_cns;   /* of the other side's certificate; one must match */
    struct tls_names allowed_hosts; /* the same, by host name verification */
};

struct tls_context;

/* Reads the files.  env: disk and wall clock. */
MUST_USE int tls_context_create(struct env *env, const struct tls_config *conf,
                                struct tls_context **out, struct buf *error);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c); /* NULL is allowed */
/* Reads the files again.  0: *out_changed says whether they differ and are in use now.  ERR_*: the
 * old ones stay; the same bad contents are told once (then 0, unchanged) unless is_asked, but tried
 * again each time. */
MUST_USE int tls_context_reload(struct tls_context *c, bool is_asked, bool *out_changed,
                                struct buf *error);

#endif
