/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/mvcc/txn_parse: ops of a Txn from a line of text, for tables.
 *
 *   pK      put K                    rK   range K            dK    delete K
 *   iK      put K ignore_value       lK7  put K with lease 7 dK-E  delete [K, E), E = 0: "\0"
 *   t[A|B]  nested txn, A then, B else, no compare           e     an op without a request
 * Keys are one lower-case letter; "_" is the empty key.
 */
#ifndef TEST_TXN_PARSE_H
#define TEST_TXN_PARSE_H

#include "base/arena.h"
#include "wire/kv.h"

/* Parses up to the end, ']' or '|'; *text is moved behind what was read. */
struct wire_op *txn_parse(struct arena *a, const char **text, size_t *out_count);
/* A txn with these branches and no compare. */
struct wire_txn_req *txn_make(struct arena *a, const char *success, const char *failure);

#endif
