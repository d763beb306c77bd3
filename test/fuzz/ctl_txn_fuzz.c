/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: cmd_pure_dep
 *
 * test/fuzz/ctl_txn_fuzz: lines of txn, first as compare, then as request, and as words.
 */
#include <stddef.h>
#include <stdint.h>

#include "cmd/ctl_txn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct slice line;
    struct arena a;
    arena_init(&a, 0);
    while (ctl_txn_line(&in, &line)) {
        struct ctl_fail fail;
        struct wire_compare compare;
        struct wire_op op;
        ctl_fail_init(&fail);
        int rc = ctl_txn_compare(line, &a, &compare, &fail);
        ensure((rc == 0) == (fail.text.len == 0));
        buf_clear(&fail.text);
        rc = ctl_txn_op(line, &a, &op, &fail);
        ensure(rc == 0 || fail.text.len > 0);
        ctl_fail_deinit(&fail);
    }
    arena_deinit(&a);
    return 0;
}
