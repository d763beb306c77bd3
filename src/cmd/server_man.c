/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/server_man: prints cairn.1 out of the table of flags; run while building.
 */
#include "os/os.h"
#include "server/flags.h"

int main(void)
{
    struct buf page = BUF_INIT;
    flags_man(&page);
    int err = os_write(OS_STDOUT, buf_slice(&page));
    buf_deinit(&page);
    return err == 0 ? 0 : 1;
}
