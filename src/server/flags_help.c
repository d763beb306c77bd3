/* SPDX-License-Identifier: Apache-2.0
 *
 * server/flags_help: the synopsis and the list of flags, out of the table; feature gates.
 */
#include <string.h>

#include "base/err.h"
#include "base/gotext.h"
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

/* ---- feature gates (cli.md 1.5) ---- */

static const char *const gates[] = {
    "AllAlpha",
    "AllBeta",
    "CompactHashCheck",
    "InitialCorruptCheck",
    "LeaseCheckpoint",
    "LeaseCheckpointPersist",
    "SetMemberLocalAddr",
    "StopGRPCServiceOnDefrag",
    "TxnModeWriteWithSharedBuffer",
    "FastLeaseKeepAlive",
    "PriorityRequest",
};

static bool is_gate(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
        if (slice_equal_cstr(name, gates[i])) {
            return true;
        }
    }
    return false;
}

static int gate_check(struct slice item, struct buf *reason)
{
    const uint8_t *equals = memchr(item.data, '=', item.len);
    struct slice name =
        slice_make(item.data, equals == NULL ? item.len : (size_t)(equals - item.data));
    bool value;
    if (!is_gate(name)) {
        buf_append_cstr(reason, "unrecognized feature gate: ");
        buf_append_slice(reason, name);
        return ERR_INVALID;
    }
    if (equals == NULL) {
        buf_append_cstr(reason, "missing bool value for ");
        buf_append_slice(reason, name);
        return ERR_INVALID;
    }
    struct slice text = slice_skip(item, name.len + 1);
    int err = gotext_parse_bool(text, &value);
    if (err != 0) {
        buf_append_cstr(reason, "invalid value of ");
        buf_append_slice(reason, item);
        buf_append_cstr(reason, ", err: ");
        gotext_num_error(reason, "ParseBool", text, err);
        return ERR_INVALID;
    }
    return 0;
}

int gates_check(const char *list, struct buf *reason)
{
    int err = 0;
    while (err == 0 && *list != 0) {
        const char *end = strchr(list, ',');
        size_t len = end == NULL ? strlen(list) : (size_t)(end - list);
        if (len > 0) {
            err = gate_check(slice_make(list, len), reason);
        }
        list += len + (end != NULL);
    }
    return err;
}
