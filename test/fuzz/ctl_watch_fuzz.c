/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: cmd_pure_dep
 *
 * test/fuzz/ctl_watch_fuzz: lines of `watch -i`, with and without a key from the environment.
 */
#include <stddef.h>
#include <stdint.h>

#include "cmd/ctl_watch_req.h"

enum { LONGER = 3 }; /* a byte that is no UTF-8 becomes U+FFFD */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_line(struct slice line, const struct ctl_watch_env *env)
{
    struct ctl_watch_req req = {0};
    struct ctl_fail fail;
    struct arena a;
    arena_init(&a, 0);
    ctl_fail_init(&fail);
    switch (ctl_watch_line(line, env, &a, &req, &fail)) {
    case CTL_WATCH_LINE_WATCH:
        for (size_t i = 0; i < req.exec_count; i++) {
            ensure(req.exec[i].len <= LONGER * line.len);
        }
        ensure(req.key.len <= LONGER * line.len || env->key.len > 0 || req.key.len == 1);
        break;
    case CTL_WATCH_LINE_PROGRESS: break;
    case CTL_WATCH_LINE_SKIP: ensure(fail.text.len > 0); break;
    case CTL_WATCH_LINE_FATAL: ensure(fail.rc != 0 && fail.text.len > 0); break;
    }
    ctl_fail_deinit(&fail);
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct slice line;
    struct ctl_watch_env none = {0};
    struct ctl_watch_env given = {SLICE_LIT("k"), SLICE_LIT("l")};
    while (ctl_txn_line(&in, &line)) {
        read_line(line, &none);
        read_line(line, &given);
    }
    return 0;
}
