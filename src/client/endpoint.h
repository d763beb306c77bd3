/* SPDX-License-Identifier: Apache-2.0
 *
 * client/endpoint: what users write as an endpoint, and what to connect to (cli.md 2.7).
 *
 * Ownership   The struct owns its texts.   Thread any.   Failure ERR_INVALID.
 */
#ifndef CLIENT_ENDPOINT_H
#define CLIENT_ENDPOINT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"

enum client_tls_wish {
    CLIENT_TLS_OPTIONAL, /* host:port: TLS when the settings say so */
    CLIENT_TLS_DROP,     /* http:// */
    CLIENT_TLS_NEED,     /* https://, unixs: */
};

struct client_endpoint {
    char *addr;      /* for env_net: "host:port" or "unix:path" */
    char *authority; /* :authority of requests */
    enum client_tls_wish tls;
};

MUST_USE int client_endpoint_parse(struct slice text, struct client_endpoint *out);
void client_endpoint_deinit(struct client_endpoint *e);

#endif
