/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's configuration file: YAML or JSON of any kind gives values or a text, never a crash.
 * deps: server_dep
 */
#include "server/flags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct flags f;
    struct buf error = BUF_INIT;
    flags_init(&f);
    (void)!flags_file(&f, slice_make(data, size), &error);
    buf_deinit(&error);
    flags_deinit(&f);
    return 0;
}
