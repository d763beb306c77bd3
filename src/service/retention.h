/* SPDX-License-Identifier: Apache-2.0
 *
 * service/retention: when to compact to which revision by itself (--auto-compaction-*), as etcd
 * decides it; time is an argument.  Private to service.
 *
 *     wait = retention_wait(r, rev); ... wait ms later ...
 *     if (retention_is_due(r, now, rev, is_leader, &to)) compact(to), then retention_done(r, now,
 * to) and again
 *
 * Periodic Every tenth of the period (of an hour at most) the revision is noted; the oldest note is
 * one period old. The first compaction comes after one period, the next ones an hour or a shorter
 * period after the last that succeeded. Revision Every 5 minutes, to the revision so many before
 * the newest.
 * Ownership   The notes: period / tenth + 1 of them, made as time goes on.
 * See         client-api 2.1.6; test/unit/service/retention_test.c.
 */
#ifndef SERVICE_RETENTION_H
#define SERVICE_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "service/service.h"

enum { RETENTION_REVISION_MS = 5 * 60 * 1000 };

struct retention {
    enum service_compaction mode;
    int64_t keep; /* ms, or revisions */
    int64_t *notes;
    size_t note_count;
    size_t note_cap;
    int64_t done_rev;
    uint64_t done_ms;
    uint64_t base_ms; /* after the last success */
};

/* keep: nanoseconds or revisions, above 0. */
void retention_init(struct retention *r, enum service_compaction mode, int64_t keep,
                    uint64_t now_ms);
void retention_deinit(struct retention *r);
/* The round's begin, at this revision: milliseconds to wait. */
uint64_t retention_wait(struct retention *r, int64_t rev);
/* The round's end: true, and to which revision. */
bool retention_is_due(struct retention *r, uint64_t now_ms, int64_t rev, bool is_leader,
                      int64_t *out_rev);
/* That compaction is done, or was before. */
void retention_done(struct retention *r, uint64_t now_ms, int64_t rev);

#endif
