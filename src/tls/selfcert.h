/* SPDX-License-Identifier: Apache-2.0
 *
 * tls/selfcert: --auto-tls, --peer-auto-tls: a self-signed certificate, made once, as etcd makes
 * it.
 *
 * Design      <dir>/cert.pem and key.pem (mode 0600): ECDSA over P-521, organization "etcd", the
 *             hosts as alternative names.  What is there is kept, also when it has run out: etcd
 *             wants the files removed for new ones.
 * Thread      any, at start.
 * Failure     ERR_* with the text appended; an existing pair is never touched.
 * See         cli.md 1.3; test/unit/tls/selfcert_test.c.
 */
#ifndef TLS_SELFCERT_H
#define TLS_SELFCERT_H

#include "env/env.h"

struct tls_selfcert_options {
    const char *dir;
    const char *const *hosts; /* "127.0.0.1:2379", as listened on */
    size_t host_count;
    unsigned years; /* of validity, > 0 */
    bool is_client; /* usable for dialling too */
};

/* Paths are freed by the caller.  Logs what it makes. */
MUST_USE int tls_selfcert(struct env *env, const struct tls_selfcert_options *opts, char **out_cert,
                          char **out_key, struct buf *error);

#endif
