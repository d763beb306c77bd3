/* SPDX-License-Identifier: Apache-2.0
 *
 * tls/cipher: --cipher-suites: Go's names and what OpenSSL calls them.
 *
 * Design      Names are Go's, secure and insecure ones; suites of TLS 1.3 are accepted and change
 *             nothing, as in Go.  What this build of OpenSSL has not (RC4, 3DES) is left out.
 * Thread      any.
 * Failure     ERR_INVALID with etcd's text appended.
 * See         cli.md 1.6; test/unit/tls/cipher_test.c.
 */
#ifndef TLS_CIPHER_H
#define TLS_CIPHER_H

#include "base/buf.h"
#include "base/err.h"

/* Checks a comma list of Go's names. */
MUST_USE int tls_ciphers_check(const char *list, struct buf *error);
/* A checked list as SSL_CTX_set_cipher_list takes it, "" when it names TLS 1.3 suites only; list ""
 * gives the default. */
void tls_ciphers_openssl(const char *list, struct buf *out);
/* Go's HTTP/2 server refuses a list without one of two AES_128_GCM suites; "" is fine. */
MUST_USE int tls_ciphers_check_h2(const char *list, struct buf *error);

#endif
