/* SPDX-License-Identifier: Apache-2.0
 *
 * raftpb.Message (pipeline bodies, heads of snapshots): what is taken is written and read back as
 * the same at every level, and owned data do not need the input.
 */
#include "peer/message.h"

static void same(const struct raft_message *a, const struct raft_message *b)
{
    ensure(a->type == b->type && a->to == b->to && a->from == b->from && a->term == b->term);
    ensure(a->log_term == b->log_term && a->index == b->index && a->commit == b->commit);
    ensure(a->reject == b->reject && a->reject_hint == b->reject_hint);
    ensure(a->context.len == b->context.len && a->entry_count == b->entry_count);
    for (size_t i = 0; i < a->entry_count; i++) {
        const struct raft_entry *x = &a->entries[i], *y = &b->entries[i];
        ensure(x->term == y->term && x->index == y->index && x->type == y->type);
        ensure(slice_equal(x->data, y->data));
    }
    ensure((a->snapshot == NULL) == (b->snapshot == NULL));
}

static void round_trip(struct peer_decoded *d, enum level level)
{
    struct buf out = BUF_INIT;
    struct peer_decoded again;
    struct peer_snapshot_part part = {.meta = &d->snapshot.meta, .v2_json = d->v2_json};
    peer_decoded_init(&again);
    peer_message_encode(&out, &d->m, d->m.snapshot != NULL ? &part : NULL, level_rules(level));
    ensure(peer_message_decode(buf_slice(&out), &again) == 0);
    same(&d->m, &again.m);
    ensure(again.m.snapshot == NULL || again.snapshot.meta.index == d->snapshot.meta.index);
    peer_decoded_deinit(&again);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peer_decoded d;
    struct buf in = BUF_INIT;
    buf_append(&in, data, size);
    peer_decoded_init(&d);
    if (peer_message_decode(buf_slice(&in), &d) == 0) {
        for (int level = LEVEL_3_5; level <= LEVEL_3_7; level++) {
            round_trip(&d, (enum level)level);
        }
        ensure(peer_decoded_own(&d, buf_slice(&in)) == 0);
        if (d.m.snapshot == NULL && in.len > 0) {
            memset(in.data, 0xee, in.len);
            round_trip(&d, LEVEL_3_6);
        }
    }
    peer_decoded_deinit(&d);
    buf_deinit(&in);
    return 0;
}
