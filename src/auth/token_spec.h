/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/token_spec: the text of --auth-token, taken apart (private to auth).
 *
 * "kind[,name=value]..."; of "simple" and "" the parameters are only looked at for their form.
 */
#ifndef AUTH_TOKEN_SPEC_H
#define AUTH_TOKEN_SPEC_H

#include "auth/jwt.h"
#include "auth/token.h"

/* *out_jwt is set for AUTH_TOKEN_JWT only.  ERR_INVALID: why has etcd's text; what is behind
 * "invalid auth options" goes to the log, as etcd's does. */
MUST_USE int token_spec_open(const char *spec, struct env_disk *disk, struct buf *why,
                             enum auth_token_kind *out_kind, struct jwt **out_jwt);

#endif
