/* SPDX-License-Identifier: Apache-2.0
 *
 * core/boot_defrag: the database is rewritten before the member starts when enough of it is free
 * (--bootstrap-defrag-threshold-megabytes).
 */
#include "base/gotext.h"
#include "base/log.h"
#include "core/boot.h"

static void log_skipped(uint64_t size, uint64_t in_use, uint64_t threshold)
{
    struct buf s = BUF_INIT, u = BUF_INIT, t = BUF_INIT;
    gotext_size(&s, size);
    gotext_size(&u, in_use);
    gotext_size(&t, threshold);
    log_info("Skipping defragmentation", LOG_U64("current-db-size-bytes", size),
             LOG_STR("current-db-size", buf_cstr(&s)),
             LOG_U64("current-db-size-in-use-bytes", in_use),
             LOG_STR("current-db-size-in-use", buf_cstr(&u)),
             LOG_U64("bootstrap-defrag-threshold-bytes", threshold),
             LOG_STR("bootstrap-defrag-threshold", buf_cstr(&t)));
    buf_deinit(&s);
    buf_deinit(&u);
    buf_deinit(&t);
}

int boot_defrag(struct driver *d)
{
    struct backend *b = d->epoch->backend;
    uint64_t threshold = d->config.boot_defrag_bytes;
    uint64_t size = backend_size_bytes(b), in_use = backend_size_in_use_bytes(b);
    if (threshold == 0) {
        return 0;
    }
    if (size - in_use < threshold) {
        log_skipped(size, in_use, threshold);
        return 0;
    }
    log_info("defragmenting the database before the start", LOG_U64("size-bytes", size),
             LOG_U64("size-in-use-bytes", in_use));
    struct backend_defrag *run = backend_defrag_begin(b, "boot");
    int err = backend_defrag_done(b, run, backend_defrag_run(run));
    if (err == 0) {
        log_info("finished defragmenting the database",
                 LOG_U64("size-bytes", backend_size_bytes(b)));
    }
    return err;
}
