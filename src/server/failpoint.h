/* SPDX-License-Identifier: Apache-2.0
 *
 * server/failpoint: gofail's two variables and its HTTP protocol.
 *
 *     GOFAIL_FAILPOINTS='name=terms;name=terms'    armed from the start
 *     GOFAIL_HTTP=host:port                        GET / lists, GET /name, GET /name/count,
 *                                                  PUT /name with terms, PUT /failpoints with many,
 *                                                  DELETE /name
 *
 * Design      The port is served by a thread and a loop of its own: a place that sleeps on the main
 *             loop must still be disarmed.  A PUT is answered before it takes effect, so that who
 *             asks for a panic hears of it.
 * Ownership   failpoint_open .. failpoint_close; NULL when neither variable is set, and then
 *             nothing of this runs.
 * Thread      The main one, before other threads are started and after they have ended.
 * Failure     ERR_INVALID, ERR_* of listen: text says what, the program must not go on: who asks
 *             for faults and gets none would believe a test that did not happen.
 * See         docs/failpoints.md; github.com/etcd-io/gofail, runtime/http.go; test/e2e.
 */
#ifndef SERVER_FAILPOINT_H
#define SERVER_FAILPOINT_H

#include "env/env.h"

struct failpoint_server;

MUST_USE int failpoint_open(struct env *env, struct failpoint_server **out, struct buf *text);
void failpoint_close(struct failpoint_server *s);

#endif
