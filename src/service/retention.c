/* SPDX-License-Identifier: Apache-2.0 */
#include "service/retention.h"

enum { NS_PER_MS = 1000000, HOUR_MS = 3600 * 1000, RETRIES = 10 };

void retention_init(struct retention *r, enum service_compaction mode, int64_t keep,
                    uint64_t now_ms)
{
    bool is_period = mode == SERVICE_COMPACT_PERIODIC;
    *r = (struct retention){.mode = mode, .keep = keep, .done_ms = now_ms};
    if (is_period) {
        r->keep = keep < RETRIES * NS_PER_MS ? RETRIES : keep / NS_PER_MS;
    }
    r->base_ms = is_period ? (uint64_t)r->keep : 0;
}

void retention_deinit(struct retention *r)
{
    mem_free(r->notes);
    r->notes = NULL;
}

static uint64_t interval_ms(const struct retention *r)
{
    return r->keep > HOUR_MS ? HOUR_MS : (uint64_t)r->keep;
}

static void note(struct retention *r, int64_t rev)
{
    size_t max = (size_t)r->keep / (interval_ms(r) / RETRIES) + 1;
    if (r->note_count == max) {
        memmove(r->notes, r->notes + 1, (max - 1) * sizeof(*r->notes));
        r->note_count--;
    } else if (r->note_count == r->note_cap) {
        r->note_cap = r->note_cap == 0 ? RETRIES + 1 : r->note_cap * 2;
        r->notes = mem_realloc(r->notes, r->note_cap * sizeof(*r->notes));
    }
    r->notes[r->note_count++] = rev;
}

uint64_t retention_wait(struct retention *r, int64_t rev)
{
    if (r->mode == SERVICE_COMPACT_REVISION) {
        return RETENTION_REVISION_MS;
    }
    note(r, rev);
    return interval_ms(r) / RETRIES;
}

static bool is_due_periodic(struct retention *r, uint64_t now_ms, int64_t *out_rev)
{
    int64_t to = r->notes[0];
    if (now_ms - r->done_ms < r->base_ms || to == r->done_rev) {
        return false;
    }
    r->base_ms = interval_ms(r);
    *out_rev = to;
    return true;
}

bool retention_is_due(struct retention *r, uint64_t now_ms, int64_t rev, bool is_leader,
                      int64_t *out_rev)
{
    if (!is_leader) {
        return false;
    }
    if (r->mode == SERVICE_COMPACT_PERIODIC) {
        return is_due_periodic(r, now_ms, out_rev);
    }
    if (rev <= r->keep || rev - r->keep == r->done_rev) {
        return false;
    }
    *out_rev = rev - r->keep;
    return true;
}

void retention_done(struct retention *r, uint64_t now_ms, int64_t rev)
{
    r->done_rev = rev;
    r->done_ms = now_ms;
}
