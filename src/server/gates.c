/* SPDX-License-Identifier: Apache-2.0
 *
 * server/gates: feature gates (cli.md 1.5): a list of name=bool, checked with etcd's texts.
 */
#include <string.h>

#include "base/err.h"
#include "base/gotext.h"
#include "server/flags.h"

static const struct gate {
    const char *name;
    bool is_beta; /* alpha else */
    bool def;
} gates[] = {
    /* Sorted: the start-up line and help show them so. */
    {"AllAlpha", false, false},
    {"AllBeta", true, false},
    {"CompactHashCheck", false, false},
    {"FastLeaseKeepAlive", true, true},
    {"InitialCorruptCheck", false, false},
    {"LeaseCheckpoint", false, false},
    {"LeaseCheckpointPersist", false, false},
    {"PriorityRequest", false, false},
    {"SetMemberLocalAddr", false, false},
    {"StopGRPCServiceOnDefrag", false, false},
    {"TxnModeWriteWithSharedBuffer", true, true},
};

static struct slice trimmed(struct slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = slice_skip(s, 1);
    }
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

/* The next item of *list, split at its first '='; false at the end. */
static bool next_item(const char **list, struct slice *name, struct slice *value, bool *has_value)
{
    while (**list != 0) {
        const char *end = strchr(*list, ',');
        size_t len = end == NULL ? strlen(*list) : (size_t)(end - *list);
        struct slice item = slice_make(*list, len);
        *list += len + (end != NULL);
        if (trimmed(item).len == 0) {
            continue;
        }
        const uint8_t *equals = memchr(item.data, '=', item.len);
        size_t at = equals == NULL ? item.len : (size_t)(equals - item.data);
        *name = trimmed(slice_make(item.data, at));
        *has_value = equals != NULL;
        *value = equals == NULL ? slice_make(item.data, 0) : trimmed(slice_skip(item, at + 1));
        return true;
    }
    return false;
}

static const struct gate *find_gate(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
        if (slice_equal_cstr(name, gates[i].name)) {
            return &gates[i];
        }
    }
    return NULL;
}

/* etcd reads the whole list first, then looks at the names. */
int gates_check(const char *list, struct buf *reason)
{
    struct slice name, text;
    bool has_value, value;
    for (const char *p = list; next_item(&p, &name, &text, &has_value);) {
        int err = has_value ? gotext_parse_bool(text, &value) : ERR_INVALID;
        if (!has_value) {
            buf_append_cstr(reason, "missing bool value for ");
            buf_append_slice(reason, name);
            return ERR_INVALID;
        }
        if (err != 0) {
            buf_append_cstr(reason, "invalid value of ");
            buf_append_slice(reason, name);
            buf_append_byte(reason, '=');
            buf_append_slice(reason, text);
            buf_append_cstr(reason, ", err: ");
            gotext_num_error(reason, "ParseBool", text, err);
            return ERR_INVALID;
        }
    }
    for (const char *p = list; next_item(&p, &name, &text, &has_value);) {
        if (find_gate(name) == NULL) {
            buf_append_cstr(reason, "unrecognized feature gate: ");
            buf_append_slice(reason, name);
            return ERR_INVALID;
        }
    }
    return 0;
}

/* The last item of that name decides. */
static bool lookup(const char *list, const char *gate, bool *out)
{
    struct slice name, text;
    bool has_value, found = false;
    for (const char *p = list; next_item(&p, &name, &text, &has_value);) {
        if (slice_equal_cstr(name, gate) && gotext_parse_bool(text, out) == 0) {
            found = true;
        }
    }
    return found;
}

bool gate_is_on(const char *list, const char *name)
{
    const struct gate *g = find_gate(slice_cstr(name));
    bool value = false;
    ensure(g != NULL);
    if (lookup(list, name, &value) || lookup(list, g->is_beta ? "AllBeta" : "AllAlpha", &value)) {
        return value;
    }
    return g->def;
}

bool gate_at(const char *list, size_t i, struct gate_state *out)
{
    if (i >= ARRAY_LEN(gates)) {
        return false;
    }
    *out = (struct gate_state){.name = gates[i].name,
                               .stage = gates[i].is_beta ? "BETA" : "ALPHA",
                               .is_on = gate_is_on(list, gates[i].name)};
    return true;
}

void gates_text(const char *list, struct buf *out)
{
    bool is_first = true, value;
    for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
        const struct gate *g = &gates[i];
        const char *all = g->is_beta ? "AllBeta" : "AllAlpha";
        if (lookup(list, g->name, &value) || lookup(list, all, &value)) {
            buf_printf(out, "%s%s=%s", is_first ? "" : ",", g->name, value ? "true" : "false");
            is_first = false;
        }
    }
}
