/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_check: what the files of `check` share: figures of a load, the memory of a member.
 *
 * Thread      main.
 */
#ifndef CMD_CTL_CHECK_H
#define CMD_CTL_CHECK_H

#include "cmd/ctl.h"

struct ctl_check_stats {
    uint64_t count; /* requests that went well */
    double seconds; /* of the whole */
    double sum;     /* of the times, in seconds, and of their squares */
    double squares;
    double slowest;
};

void ctl_check_add(struct ctl_check_stats *s, double seconds);
/* The lines of `check perf`; false: FAIL. */
bool ctl_check_verdict(const struct ctl_check_stats *s, size_t rate, bool has_failed,
                       struct buf *out);
/* process_resident_memory_bytes of the first endpoint, 0 after a line that says why not. */
double ctl_check_memory(struct ctl *c);

#endif
