/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_rc: exit statuses of the tools (cli.md 2.3).
 */
#ifndef CMD_CTL_RC_H
#define CMD_CTL_RC_H

enum {
    CTL_RC_OK = 0,
    CTL_RC_ERROR = 1,
    CTL_RC_BAD_CONNECTION = 2,
    CTL_RC_INVALID_INPUT = 3,
    CTL_RC_BAD_FEATURE = 4,
    CTL_RC_INTERRUPTED = 5,
    CTL_RC_BAD_ARGS = 128,
};

#endif
