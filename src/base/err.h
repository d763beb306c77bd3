/* SPDX-License-Identifier: Apache-2.0
 *
 * base/err: one space of error numbers for the whole product.
 *
 * Functions that can fail return int: 0 or a negative ERR_*.  Out values are untouched on failure.
 * Two lists make the space: err.def (environment and formats, -1 ..) and api/errors.def (what a
 * client can see, ERR_RPC_*, -1000 ..; with gRPC code and etcd's exact text).
 * Library code never logs; the owner of the loop that gives up logs once.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/assert.h"

/* Positive helper numbers here become the negative constants below. */
enum err_pos {
    ERR_POS_OK = 0,
#define ERR(name, text) ERR_POS_##name,
#include "base/err.def"
#undef ERR
};

enum {
#define ERR(name, text) ERR_##name = -(int)ERR_POS_##name,
#include "base/err.def"
#undef ERR
};

enum { ERR_RPC_FIRST_POS = 1000 };
enum err_rpc_pos {
    ERR_RPC_POS_NONE = ERR_RPC_FIRST_POS,
#define ETCD_ERR(name, code, text) ERR_RPC_POS_##name,
#include "api/errors.def"
#undef ETCD_ERR
    ERR_RPC_POS_END
};
enum {
#define ETCD_ERR(name, code, text) ERR_RPC_##name = -(int)ERR_RPC_POS_##name,
#include "api/errors.def"
#undef ETCD_ERR
};

/* gRPC status codes (the wire's numbers). */
enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

/* Text for people and for grpc-message; never NULL. */
const char *err_text(int err);
/* Constant name such as "ERR_IO"; never NULL. */
const char *err_name(int err);
/* True for the client-visible range. */
int err_is_rpc(int err);
/* gRPC code of any error: the table's for ERR_RPC_*, UNKNOWN for the rest, OK for 0. */
enum grpc_code err_grpc_code(int err);
/* The ERR_RPC_* with this exact text, or 0. */
int err_rpc_from_text(const char *text, unsigned long len);

#endif
