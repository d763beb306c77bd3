/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/inflights.h"

static void grow(struct raft_inflights *in);
static struct raft_inflight *at(const struct raft_inflights *in, uint32_t i);

void raft_inflights_init(struct raft_inflights *in, uint32_t count_max, uint64_t bytes_max)
{
    ensure(count_max > 0);
    *in = (struct raft_inflights){.count_max = count_max, .bytes_max = bytes_max};
}

void raft_inflights_deinit(struct raft_inflights *in)
{
    mem_free(in->ring);
    in->ring = NULL;
}

void raft_inflights_reset(struct raft_inflights *in)
{
    in->start = 0;
    in->count = 0;
    in->bytes = 0;
}

bool raft_inflights_is_full(const struct raft_inflights *in)
{
    return in->count == in->count_max || (in->bytes_max != 0 && in->bytes >= in->bytes_max);
}

void raft_inflights_add(struct raft_inflights *in, raft_index index, uint64_t bytes)
{
    ensure(!raft_inflights_is_full(in));
    ensure(in->count == 0 || at(in, in->count - 1)->index < index);
    if (in->count == in->cap) {
        grow(in);
    }
    in->count++;
    *at(in, in->count - 1) = (struct raft_inflight){index, bytes};
    in->bytes += bytes;
}

void raft_inflights_free_to(struct raft_inflights *in, raft_index to)
{
    while (in->count > 0 && at(in, 0)->index <= to) {
        in->bytes -= at(in, 0)->bytes;
        in->start = in->start + 1 == in->cap ? 0 : in->start + 1;
        in->count--;
    }
}

void raft_inflights_check(const struct raft_inflights *in)
{
    uint64_t bytes = 0;
    ensure(in->count <= in->cap && in->cap <= in->count_max);
    for (uint32_t i = 0; i < in->count; i++) {
        bytes += at(in, i)->bytes;
        ensure(i == 0 || at(in, i - 1)->index < at(in, i)->index);
    }
    ensure(bytes == in->bytes);
}

static struct raft_inflight *at(const struct raft_inflights *in, uint32_t i)
{
    uint64_t pos = (uint64_t)in->start + i;
    return &in->ring[pos >= in->cap ? pos - in->cap : pos];
}

static void grow(struct raft_inflights *in)
{
    uint64_t cap = in->cap == 0 ? 4 : (uint64_t)in->cap * 2;
    cap = cap > in->count_max ? in->count_max : cap;
    struct raft_inflight *ring = mem_alloc_array((size_t)cap, sizeof(*ring));
    for (uint32_t i = 0; i < in->count; i++) {
        ring[i] = *at(in, i);
    }
    mem_free(in->ring);
    in->ring = ring;
    in->start = 0;
    in->cap = (uint32_t)cap;
}
