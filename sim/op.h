/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/op: one request of a client: drawn, encoded, and its answer judged.
 *
 * Problem     The history of all clients must be linearizable.
 * Design      Revisions make that easy to tell: a write's answer names its own revision, a read's
 *             the one that it shows. So an answer is right when it is what the model has at that
 *             revision, and that revision is not below what any client had seen when it asked, nor
 *             above what is committed when the answer comes. Every history with such revisions is
 *             linearizable in their order, and no other history is right.
 * Ownership   op_draw .. op_deinit. Thread one.
 * See         docs/simulator.md, test/unit/sim/model_test.c.
 */
#ifndef SIM_OP_H
#define SIM_OP_H

#include "sim/run.h"

struct run_op {
    enum run_op_kind kind;
    unsigned client;
    unsigned number;
    const char *method;
    struct buf message;
    bool is_keepalive_stream;
    bool is_serializable;
    int64_t acked_rev; /* when it was asked */
    uint64_t asked_ns;
    char key[16], end[16], value_tag[24];
    int64_t rev; /* asked for; or of a compaction */
    int64_t lease_id, ttl_s;
    bool is_count_only;
    struct arena arena; /* of the transaction */
    struct wire_txn_req txn;
};

void op_draw(struct run *r, struct run_op *op, unsigned client, unsigned number);
void op_deinit(struct run_op *op);
/* The whole answer of a successful request. */
void op_judge(struct run *r, struct run_op *op, struct slice answer);
/* It failed with this text: was that right? */
void op_failed(struct run *r, struct run_op *op, enum grpc_code code, struct slice text);
const char *op_name(enum run_op_kind kind);

#endif
