/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/man_main: prints the man page of cairnctl or cairnutl out of their command tables; run while
 * building, so that a page cannot say what the program does not know.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/ctl.h"
#include "cmd/utl_cmds.h"

static const char ctl_intro[] =
    "@ talks to the members of an etcd or Cairn cluster. Commands, flags, outputs and exit "
    "statuses "
    "are those of etcdctl. Command names may be shortened as long as they stay unambiguous.\n.PP\n"
    "Global flags can also be given as environment variables: ETCDCTL_ and the flag's name in "
    "upper "
    "case with underscores, such as ETCDCTL_ENDPOINTS.\n.PP\n"
    "Exit status: 0 success; 1 the request failed; 2 no connection; 3 bad input of txn; 4 a format "
    "or option that is not supported; 5 snapshot save failed; 128 bad arguments.";

static const char utl_intro[] =
    "@ works on files of etcd and Cairn: snapshot files and the data directories of stopped "
    "members. Commands, flags and outputs are those of etcdutl.";

int main(int argc, char **argv)
{
    bool is_ctl = argc > 1 && strcmp(argv[1], "cairnctl") == 0;
    struct cli_app app = {.name = is_ctl ? "cairnctl" : "cairnutl",
                          .root = is_ctl ? &ctl_root : &utl_root};
    struct buf page = BUF_INIT;
    cli_man(&app, is_ctl ? ctl_intro : utl_intro, &page);
    size_t n = fwrite(page.data, 1, page.len, stdout);
    int rc = n == page.len && fflush(stdout) == 0 ? 0 : 1;
    buf_deinit(&page);
    return rc;
}
