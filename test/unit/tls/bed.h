/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/tls/bed: an authority, some certificates, a server and a client end that talk in
 * memory.
 */
#ifndef TEST_TLS_BED_H
#define TEST_TLS_BED_H

#include "certs.h"
#include "tls/conn.h"

struct end {
    struct tls_context *context;
    struct tls_conn *conn;
    struct buf got; /* plaintext */
    struct buf out; /* to the other end */
    int err;
};

struct bed {
    struct certs_env env;
    struct cert ca, other_ca;
    struct tls_config server_conf, client_conf;
    struct tls_conn_options server_opts, client_opts;
    struct end server, client;
};

/* ca, other_ca; files "server" (127.0.0.1, localhost), "client" (CN alice), ca.crt, other.crt; the
 * configurations of a server with mandatory client certificates and of its client. */
void bed_make(struct bed *b);
void bed_free(struct bed *b);
/* Puts a certificate of the bed's CA (or the other one's) into <name>.crt and .key. */
void bed_issue(struct bed *b, const char *name, const struct certs_spec *spec, bool is_others);
/* Contexts from the configurations, if there are none yet, and new connections. */
void bed_open(struct bed *b);
void bed_close(struct bed *b);  /* connections; contexts stay */
void bed_forget(struct bed *b); /* contexts too */
/* Carries bytes, at most chunk at a time, until nothing moves or both have failed. */
void bed_run(struct bed *b, size_t chunk);
/* bed_open and bed_run; true when both are ready. */
bool bed_shake(struct bed *b);
void end_send(struct end *e, struct slice bytes);

#endif
