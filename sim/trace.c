/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/trace: what happened, a line each, and a hash that two equal runs share.
 */
#include <inttypes.h>
#include <stdarg.h>

#include "sim/run.h"

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}

void trace(struct run *r, const char *fmt, ...)
{
    char line[512];
    int n = snprintf(line, sizeof(line), "%" PRIu64 " %" PRIu64 ".%06" PRIu64 " ", r->steps,
                     run_now_ms(r) / 1000, sim_now_ns(r->sim) / 1000 % 1000000);
    va_list args;
    va_start(args, fmt);
    int more = vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, args);
    va_end(args);
    size_t len = (size_t)n + (size_t)more;
    len = len < sizeof(line) ? len : sizeof(line) - 1;
    r->trace_hash = mix(r->trace_hash, line, len);
    r->trace_lines++;
    if (r->trace != NULL) {
        (void)fprintf(r->trace, "%.*s\n", (int)len, line);
    }
}

void trace_step(struct run *r)
{
    uint64_t now = sim_now_ns(r->sim);
    const struct sim_host *h = sim_last_host(r->sim);
    const char *name = h != NULL ? sim_host_name(h) : "";
    r->trace_hash = mix(mix(r->trace_hash, &now, sizeof(now)), name, strlen(name));
    if (++r->steps % RUN_HASH_STEPS == 0) {
        uint64_t state = UINT64_C(0xcbf29ce484222325);
        truth_hash(r, &state);
        trace(r, "state %016" PRIx64 " events %016" PRIx64, state, r->trace_hash);
    }
}
