/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer to a probe: a small JSON object with a time in it.
 */
#include "peer/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t wall_ns = 0;
    int err = peer_probe_parse(slice_make(data, size), &wall_ns);
    ensure(err == 0 || wall_ns == 0);
    return 0;
}
