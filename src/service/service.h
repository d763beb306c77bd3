/* SPDX-License-Identifier: Apache-2.0
 *
 * service/service: the gRPC services of a member over its core: KV, Maintenance, Cluster, Health.
 *
 * Design      A message is validated where it arrives (no copy), becomes a core_request, and its
 * reply becomes the answer.  Requests come from a pool, so that a warm server allocates nothing for
 * a put.  Small range answers are written at once; large ones are sources that make bytes when
 * HTTP/2 has room (design.md 4). Ownership   The service owns its requests; it outlives the
 * grpc_server's last call. Thread      main loop. Limits      LIMIT_PENDING_REQUESTS,
 * LIMIT_PLAN_CHUNK_BYTES, LIMIT_PLAN_PIN_MS. Failure     Every error is an answer: api/errors.def.
 * See         client-api 2, 3; test/e2e.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "core/driver.h"
#include "grpc/grpc.h"
#include "schema/level.h"

struct service;

struct service_options {
    struct driver *driver;
    uint64_t request_bytes_max;
    uint32_t txn_ops_max;
    const struct level_rules *rules; /* of the member's level */
};

struct service *service_create(const struct service_options *opts);
void service_destroy(struct service *s);
/* Registers all methods. */
void service_register(struct service *s, struct grpc_server *server);

/* What pages need: a read of the local state (one key), linearizable or not. on_done once. */
void service_probe(struct service *s, bool is_serializable, void (*on_done)(void *arg, int err),
                   void *arg);

#endif
