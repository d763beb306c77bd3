/* SPDX-License-Identifier: Apache-2.0
 *
 * server/resolve: names in peer URLs, while a first start compares lists: again every second for at
 * most 30 s, because a name service may come up later than this member (peer-protocol 6.1).
 */
#include <string.h>

#include "base/log.h"
#include "os/os.h"
#include "server/internal.h"

enum { RESOLVE_PAUSE_MS = 1000, RESOLVE_TRIES_MAX = 30 };

static int resolve(void *arg, const char *host_port, struct buf *out)
{
    struct server_resolver *r = arg;
    for (;;) {
        int err = os_resolve(host_port, out);
        if (err == 0) {
            log_info("resolved URL Host", LOG_STR("host", host_port),
                     LOG_STR("resolved-addr", buf_cstr(out)));
            return 0;
        }
        log_warn("failed to resolve URL Host", LOG_STR("host", host_port),
                 LOG_NS("retry-interval", (uint64_t)RESOLVE_PAUSE_MS * 1000000),
                 LOG_STR("error", os_last_text_go()));
        if (r->tries++ == RESOLVE_TRIES_MAX) {
            buf_printf(out, "lookup %.*s: no such host", (int)strcspn(host_port, ":"), host_port);
            return err;
        }
        os_loop_run_for(r->env, RESOLVE_PAUSE_MS);
    }
}

void server_resolver_init(struct server_resolver *r, struct env *env)
{
    *r = (struct server_resolver){.env = env};
    r->base = (struct url_resolver){resolve, r};
}
