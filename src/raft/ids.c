/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/ids.h"

#include <string.h>

/* First position whose id is not smaller. */
static uint32_t lower_bound(const struct raft_ids *s, uint64_t id)
{
    uint32_t i = 0;
    while (i < s->count && s->ids[i] < id) {
        i++;
    }
    return i;
}

bool raft_ids_contains(const struct raft_ids *s, uint64_t id)
{
    uint32_t i = lower_bound(s, id);
    return i < s->count && s->ids[i] == id;
}

bool raft_ids_add(struct raft_ids *s, uint64_t id)
{
    uint32_t i = lower_bound(s, id);
    if (i < s->count && s->ids[i] == id) {
        return true;
    }
    if (s->count == RAFT_MEMBERS_MAX) {
        return false;
    }
    memmove(&s->ids[i + 1], &s->ids[i], (s->count - i) * sizeof(s->ids[0]));
    s->ids[i] = id;
    s->count++;
    return true;
}

void raft_ids_remove(struct raft_ids *s, uint64_t id)
{
    uint32_t i = lower_bound(s, id);
    if (i < s->count && s->ids[i] == id) {
        s->count--;
        memmove(&s->ids[i], &s->ids[i + 1], (s->count - i) * sizeof(s->ids[0]));
    }
}

bool raft_ids_equal(const struct raft_ids *a, const struct raft_ids *b)
{
    return a->count == b->count && memcmp(a->ids, b->ids, a->count * sizeof(a->ids[0])) == 0;
}

uint32_t raft_ids_difference_count(const struct raft_ids *a, const struct raft_ids *b)
{
    uint32_t common = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        common += raft_ids_contains(b, a->ids[i]) ? 1 : 0;
    }
    return a->count + b->count - 2 * common;
}

void raft_ids_normalize(struct raft_ids *s)
{
    struct raft_ids sorted = {0};
    ensure(s->count <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->ids[i] != 0) {
            raft_ids_add(&sorted, s->ids[i]);
        }
    }
    *s = sorted;
}
