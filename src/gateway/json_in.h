/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/json_in: a JSON value as a message in protobuf's form.
 *
 * Problem     What etcd's gateway takes and how it refuses differs by line: since 3.6 protojson
 *             under grpc-gateway v2, in 3.5 the older jsonpb under v1.
 * Design      The value was checked by json_scan, so only meaning is left to judge here. Fields are
 *             written as they come (JSON_FORM_NEW), or in order of number (JSON_FORM_OLD: there the
 *             last of a name counts).
 * Thread      any.
 * Limits      JSON_IN_DEPTH_MAX messages in each other (etcd: 10000): what costs grows with it.
 * Failure     ERR_MALFORMED with Go's text in why; out may have grown. See client-api 5.1, 5.2;
 *             test/unit/gateway/json_in_test.c.
 */
#ifndef GATEWAY_JSON_IN_H
#define GATEWAY_JSON_IN_H

#include "base/err.h"
#include "gateway/desc.h"

enum { JSON_IN_DEPTH_MAX = 64 };

enum json_form { JSON_FORM_OLD, JSON_FORM_NEW };

/* Both are appended to; value without blanks around it. */
MUST_USE int json_to_proto(enum json_form form, const struct json_message *m, struct slice value,
                           struct buf *out, struct buf *why);

#endif
