/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/readonly.h"

#include "base/bytes.h"

enum { READ_CONTEXT_BYTES = 8 };

static size_t waiting_count(const struct raft_readonly *ro)
{
    return ro->waiting.len - ro->waiting_head;
}

void raft_readonly_deinit(struct raft_readonly *ro)
{
    mem_free(ro->waiting.data);
    mem_free(ro->early.data);
    *ro = (struct raft_readonly){0};
}

void raft_readonly_reset(struct raft_readonly *ro)
{
    ro->waiting.len = 0;
    ro->waiting_head = 0;
    ro->confirmed = 0;
    ro->ack_count = 0;
}

size_t raft_readonly_count(const struct raft_readonly *ro)
{
    return waiting_count(ro) + ro->early.len;
}

bool raft_readonly_is_full(const struct raft_readonly *ro)
{
    return raft_readonly_count(ro) >= RAFT_PENDING_READS_MAX;
}

void raft_readonly_add_early(struct raft_readonly *ro, const struct raft_read_request *req)
{
    ensure(!raft_readonly_is_full(ro));
    RAFT_VEC_PUSH(&ro->early, *req);
}

void raft_readonly_add(struct raft_readonly *ro, const struct raft_read_request *req)
{
    if (ro->waiting_head == ro->waiting.len) {
        ro->waiting_head = 0;
        ro->waiting.len = 0;
    } else if (ro->waiting.len == ro->waiting.cap && ro->waiting_head > ro->waiting.len / 2) {
        size_t n = waiting_count(ro);
        memmove(ro->waiting.data, ro->waiting.data + ro->waiting_head,
                n * sizeof(ro->waiting.data[0]));
        ro->waiting_head = 0;
        ro->waiting.len = n;
    }
    RAFT_VEC_PUSH(&ro->waiting, *req);
}

struct raft_context raft_readonly_context(const struct raft_readonly *ro)
{
    struct raft_context context = {0};
    if (waiting_count(ro) > 0) {
        context.len = READ_CONTEXT_BYTES;
        store_le64(context.bytes, ro->confirmed + waiting_count(ro));
    }
    return context;
}

static raft_index acked_number(const void *arg, uint64_t id)
{
    const struct raft_readonly *ro = arg;
    for (uint32_t i = 0; i < ro->ack_count; i++) {
        if (ro->acks[i].id == id) {
            return ro->acks[i].number;
        }
    }
    return 0;
}

void raft_readonly_ack(struct raft_readonly *ro, uint64_t from, const struct raft_context *context)
{
    if (context->len != READ_CONTEXT_BYTES) {
        return;
    }
    uint64_t number = load_le64(context->bytes);
    if (number > ro->confirmed + waiting_count(ro)) {
        return; /* never asked */
    }
    for (uint32_t i = 0; i < ro->ack_count; i++) {
        if (ro->acks[i].id == from) {
            ro->acks[i].number = number > ro->acks[i].number ? number : ro->acks[i].number;
            return;
        }
    }
    if (ro->ack_count < RAFT_PROGRESS_MAX) {
        ro->acks[ro->ack_count++] = (struct raft_read_ack){from, number};
    }
}

const struct raft_read_request *raft_readonly_advance(struct raft_readonly *ro,
                                                      const struct raft_conf_state *conf,
                                                      size_t *out_count)
{
    uint64_t confirmed =
        quorum_joint_committed(&conf->voters, &conf->voters_outgoing, acked_number, ro);
    *out_count = 0;
    if (confirmed <= ro->confirmed || confirmed == RAFT_INDEX_MAX) {
        return NULL;
    }
    size_t n = (size_t)(confirmed - ro->confirmed);
    ensure(n <= waiting_count(ro));
    const struct raft_read_request *first = ro->waiting.data + ro->waiting_head;
    ro->waiting_head += n;
    ro->confirmed = confirmed;
    *out_count = n;
    return first;
}

void raft_readonly_check(const struct raft_readonly *ro)
{
    ensure(ro->waiting_head <= ro->waiting.len);
    ensure(raft_readonly_count(ro) <= RAFT_PENDING_READS_MAX + 1);
    for (uint32_t i = 0; i < ro->ack_count; i++) {
        ensure(ro->acks[i].number <= ro->confirmed + waiting_count(ro));
    }
}
