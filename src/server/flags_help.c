/* SPDX-License-Identifier: Apache-2.0
 *
 * server/flags_help: the synopsis and the list of flags, out of the table.
 */
#include <string.h>

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
        buf_printf(out, "%s%s:\n", g == 0 ? "\n" : "\n", group_titles[g]);
        for (size_t i = 0; i < FLAG_COUNT; i++) {
            const struct flag_spec *s = flag_spec((enum flag_id)i);
            if ((int)s->group == g) {
                help_flag(out, s);
            }
        }
    }
}
