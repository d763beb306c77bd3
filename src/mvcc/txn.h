/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/txn: the client's Txn: validity, compares, precheck, execution, response.
 *
 * Design      Validity is a pure function of the request.  Execution follows 3.7: all compares of
 * the txn and of the nested txns on the chosen path see the state before it; then the path is
 *             prechecked, and only then is anything changed.
 * Thread      main loop.
 * Failure     Errors of the precheck leave no effect.
 * See         client-api 2.1.5; peer-protocol 4.8, 4.11; test/unit/mvcc/txn_test.c.
 */
#ifndef MVCC_TXN_H
#define MVCC_TXN_H

#include "mvcc/mvcc.h"

/* Steps 2-5 of client-api 2.1.5.  scratch: memory for the overlap rules. */
MUST_USE int mvcc_txn_validate(const struct wire_txn_req *req, const struct level_rules *rules,
                               size_t ops_max, struct arena *scratch);
/* Every top-level op of both branches is a range: does not go through raft. */
bool mvcc_txn_is_read_only(const struct wire_txn_req *req);
/* All ranges are serializable (also true without any op): no ReadIndex round. */
bool mvcc_txn_is_serializable(const struct wire_txn_req *req);

/* As mvcc_prefetch_put; may need several rounds (compares first, then the chosen path). */
MUST_USE int mvcc_prefetch_txn(struct mvcc_store *s, const struct wire_txn_req *req,
                               bool has_waiter, struct mvcc_values *v);
/* Appends the TxnResponse behind its header to body; body NULL: nobody waits, ranges are not
 * executed.  out_rev: the header's revision.  Errors as mvcc_apply_put, and ERR_RPC_FUTURE_REV,
 * ERR_RPC_COMPACTED.  A read-only txn changes nothing and may be given here too. */
MUST_USE int mvcc_apply_txn(struct mvcc_store *s, const struct wire_txn_req *req,
                            struct mvcc_values *v, struct buf *body, int64_t *out_rev);

#endif
