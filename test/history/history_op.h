/* SPDX-License-Identifier: Apache-2.0
 *
 * test/history/history_op: one operation of a history: its request, what its answer says, its line.
 *
 * A line has twelve columns with tabs between them:
 *
 *     client  call us  return us  put|get|cas  key  value  expected  outcome
 *     revision  seen value  seen version  error
 *
 * Times are of the machine's monotonic clock. "-" stands for "not there". outcome: ok (a cas: it
 * matched), no (a cas that did not), unknown (may have happened, may happen later).
 *
 * Ownership   The texts are in the struct.   Thread any.
 */
#ifndef TEST_HISTORY_OP_H
#define TEST_HISTORY_OP_H

#include "base/buf.h"

enum history_kind { HISTORY_PUT, HISTORY_GET, HISTORY_CAS };

enum { HISTORY_TEXT_MAX = 64 };

struct history_op {
    unsigned client;
    enum history_kind kind;
    char key[HISTORY_TEXT_MAX];
    char value[HISTORY_TEXT_MAX];    /* put, cas: what is written */
    char expected[HISTORY_TEXT_MAX]; /* cas: "-" when the key is not to be there */
    uint64_t call_us;
    uint64_t return_us;
    /* Of the answer: */
    bool has_answer;
    bool has_matched;
    int64_t revision;
    char seen[HISTORY_TEXT_MAX]; /* get, or a cas that did not match: "-" when it was not there */
    int64_t seen_version;
};

const char *history_method(enum history_kind kind);
void history_request(const struct history_op *op, struct buf *out);
/* False: not an answer to this request; op is as before. */
bool history_answer(struct history_op *op, struct slice msg);
/* error: "" when there is an answer. */
void history_line(const struct history_op *op, struct slice error, struct buf *out);

#endif
