/* SPDX-License-Identifier: Apache-2.0
 *
 * server/flags_help: the synopsis the list of flags and the man page, out of the table.
 */
#include <string.h>

#include "base/version.h"
#include "server/flags.h"

static const char *const group_titles[FLAG_GROUP_COUNT] = {
    [FLAG_GROUP_MEMBER] = "Member",
    [FLAG_GROUP_CLUSTERING] = "Clustering",
    [FLAG_GROUP_SECURITY] = "Security",
    [FLAG_GROUP_AUTH] = "Auth",
    [FLAG_GROUP_PROFILING] = "Profiling and Monitoring",
    [FLAG_GROUP_LOGGING] = "Logging",
    [FLAG_GROUP_BEHAVIOUR] = "Behaviour",
    [FLAG_GROUP_COMMAND] = "Command line only",
};

void flags_usage(struct buf *out)
{
    buf_append_cstr(out,
                    "Usage:\n"
                    "\n"
                    "  etcd [flags]\n"
                    "    Start a member.\n"
                    "\n"
                    "  etcd --version\n"
                    "    Show the version of etcd that this program stands for, and its own.\n"
                    "\n"
                    "  etcd -h | --help\n"
                    "    Show all flags with their defaults.\n"
                    "\n"
                    "  etcd --config-file FILE\n"
                    "    Take everything from a YAML or JSON file; other flags and variables are\n"
                    "    ignored then.  Durations in it are integers in nanoseconds.\n");
}

static void help_flag(struct buf *out, const struct flag_spec *s)
{
    buf_printf(out, "  --%s", s->name);
    if (s->type != FLAG_BOOL || strcmp(s->def, "true") == 0) {
        buf_printf(out, " '%s'", s->def);
    }
    buf_printf(out, "\n    %s", s->help);
    if (s->support == FLAG_REFUSED) {
        buf_append_cstr(out, " (Not in this release: only the default is accepted.)");
    } else if (s->support == FLAG_IGNORED) {
        buf_append_cstr(out, " (No effect in this release.)");
    }
    buf_append_byte(out, '\n');
}

void flags_help(struct buf *out)
{
    for (int g = 0; g < FLAG_GROUP_COUNT; g++) {
        buf_printf(out, "\n%s:\n", group_titles[g]);
        for (size_t i = 0; i < FLAG_COUNT; i++) {
            const struct flag_spec *s = flag_spec((enum flag_id)i);
            if ((int)s->group == g) {
                help_flag(out, s);
            }
        }
    }
}

/* ---- man page ---- */

static const char man_head[] =
    ".TH CAIRN 1 \"\" \"Cairn " VERSION_CAIRN "\" \"Cairn\"\n"
    ".SH NAME\ncairn \\- a member of a replicated key-value store, compatible with etcd\n"
    ".SH SYNOPSIS\n.B cairn\n.RI [ flags ]\n.br\n.B etcd\n.RI [ flags ]\n"
    ".SH DESCRIPTION\n"
    "Runs one member. Flags, variables, configuration file, log lines, exit statuses and files on "
    "disk are those of etcd 3.7; the program is installed under both names.\n.PP\n"
    "One or two dashes are the same; a value follows behind a blank or =. A boolean takes a value "
    "only with =. Lists are separated by commas.\n";

static const char man_tail[] =
    ".SH ENVIRONMENT\n"
    "ETCD_ and the name of a flag in upper case, - turned into _: ETCD_DATA_DIR. A variable whose "
    "flag is also on the command line ends the program.\n.PP\n"
    "NOTIFY_SOCKET: gets READY=1 when the member serves.\n"
    ".SH FILES\n"
    "DATA-DIR/member/wal: the write-ahead log. DATA-DIR/member/snap/db: the database. "
    "DATA-DIR/member/snap/*.snap: raft snapshots.\n.PP\n"
    "A configuration file (--config-file, ETCD_CONFIG_FILE) is a YAML or JSON mapping; with it, "
    "other "
    "flags and variables do not count. Durations in it are integers in nanoseconds.\n"
    ".SH SIGNALS\n"
    "SIGTERM and SIGINT end the member in order; then it dies by the same signal. Before the "
    "member "
    "is ready they kill at once, and so does any other signal at any time: acknowledged writes are "
    "on the disk.\n"
    ".SH EXIT STATUS\n0: help or version. 1: wrong configuration, or the member cannot start or go "
    "on. 2: wrong syntax of the command line.\n"
    ".SH SEE ALSO\n.BR cairnctl (1),\n.BR cairnutl (1)\n";

/* Text of ours: backslashes and a leading dot or quote would be commands. */
static void man_text(struct buf *out, const char *text)
{
    if (*text == '.' || *text == '\'') {
        buf_append_cstr(out, "\\&");
    }
    for (const char *p = text; *p != 0; p++) {
        if (*p == '\\' || *p == '-') {
            buf_append_byte(out, '\\');
        }
        buf_append_byte(out, (uint8_t)*p);
    }
}

static void man_flag(struct buf *out, const struct flag_spec *s)
{
    buf_append_cstr(out, ".TP\n.B \\-\\-");
    man_text(out, s->name);
    buf_append_byte(out, '\n');
    man_text(out, s->help);
    if (s->def[0] != 0) {
        buf_append_cstr(out, " Default: ");
        man_text(out, s->def);
        buf_append_byte(out, '.');
    }
    if (s->support != FLAG_WORKS) {
        buf_append_cstr(out, s->support == FLAG_REFUSED
                                 ? " Not in this release: only the default is accepted."
                                 : " No effect in this release.");
    }
    buf_append_byte(out, '\n');
}

void flags_man(struct buf *out)
{
    buf_append_cstr(out, man_head);
    buf_append_cstr(out, ".SH OPTIONS\n");
    for (int g = 0; g < FLAG_GROUP_COUNT; g++) {
        buf_printf(out, ".SS %s\n", group_titles[g]);
        for (size_t i = 0; i < FLAG_COUNT; i++) {
            const struct flag_spec *s = flag_spec((enum flag_id)i);
            if ((int)s->group == g) {
                man_flag(out, s);
            }
        }
    }
    buf_append_cstr(out, man_tail);
}
