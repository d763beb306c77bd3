/* SPDX-License-Identifier: Apache-2.0
 *
 * os/failpoint: what armed failpoints do, in gofail's language.
 *
 *     terms  = term { "->" term }             the first term that is allowed acts
 *     term   = { int "*" | float "%" } action [ "(" value ")" ]
 *     action = "off" | "return" | "sleep" | "panic" | "print"
 *     value  = int | "text" | true | false | nothing
 *
 * sleep(100) is milliseconds, sleep("3s") a Go duration.  panic ends the process at once, as a
 * crash does: nothing is written out or closed.  gofail's "break" (gdb) is refused.
 *
 * Ownership   os_failpoints_create .. os_failpoints_destroy; while one exists it is the process's
 *             handler (base/failpoint.h).
 * Thread      create and destroy: while no other thread passes a failpoint.  Everything else: any.
 * Limits      FAILPOINT_TERMS_MAX terms a place, FAILPOINT_MODS_MAX conditions a term,
 *             FAILPOINT_TEXT_MAX bytes of text.
 * Failure     ERR_NOT_FOUND no such name, ERR_INVALID terms, ERR_AGAIN it is not armed.
 * See         docs/failpoints.md; github.com/etcd-io/gofail, runtime/terms.go; test/unit/os.
 */
#ifndef OS_FAILPOINT_H
#define OS_FAILPOINT_H

#include <stdint.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/failpoint.h"
#include "base/slice.h"

enum { FAILPOINT_TERMS_MAX = 16, FAILPOINT_MODS_MAX = 4, FAILPOINT_TEXT_MAX = 4096 };

struct os_failpoints;
struct failpoint_terms;

struct os_failpoints *os_failpoints_create(uint64_t seed);
void os_failpoints_destroy(struct os_failpoints *f);

/* fn for each of "name=terms;name=terms"; what it returns ends the walk when it is not 0.  First
 * the whole text is looked at: ERR_INVALID when it has another form, with the piece in *out_bad. */
MUST_USE int os_failpoints_each(struct slice text,
                                int (*fn)(void *arg, struct slice name, struct slice terms),
                                void *arg, struct slice *out_bad);
MUST_USE int os_failpoint_arm(struct os_failpoints *f, struct slice name, struct slice terms);
/* What os_failpoint_arm would say. */
MUST_USE int os_failpoint_check(struct slice name, struct slice terms);
MUST_USE int os_failpoint_disarm(struct os_failpoints *f, struct slice name);
/* Appends its terms; *out_count is how often one of them has acted. */
MUST_USE int os_failpoint_get(struct os_failpoints *f, struct slice name, struct buf *out,
                              uint64_t *out_count);

/* gofail's words for an error of these functions. */
const char *os_failpoint_text(int err);

/* failpoint_terms.c: freed with mem_free; NULL when text is not of the language. */
struct failpoint_terms *failpoint_terms_parse(struct slice text);

#endif
