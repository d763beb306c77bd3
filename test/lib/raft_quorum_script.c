/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/raft_quorum_script.h"

#include <inttypes.h>
#include <stdlib.h>

#include "test/lib/raft_text.h"

enum { VOTERS_MAX = 2 * RAFT_MEMBERS_MAX };

/* What is known about each voter: an index, or 1 = no and 2 = yes; 0 = nothing. */
struct known {
    uint64_t ids[VOTERS_MAX];
    uint64_t values[VOTERS_MAX];
    size_t count;
};

struct quorum_case {
    struct raft_ids cfg;
    struct raft_ids cfgj;
    bool is_joint;
    uint64_t inputs[VOTERS_MAX];
    size_t input_count;
    struct known known;
};

static uint64_t lookup(const struct known *k, uint64_t id)
{
    for (size_t i = 0; i < k->count; i++) {
        if (k->ids[i] == id) {
            return k->values[i];
        }
    }
    return 0;
}

static raft_index acked(const void *arg, uint64_t id)
{
    return lookup(arg, id);
}

static enum quorum_vote voted(const void *arg, uint64_t id)
{
    return (enum quorum_vote)lookup(arg, id);
}

static uint64_t to_input(const char *s)
{
    switch (*s) {
    case '_': return 0;
    case 'n': return QUORUM_VOTE_NO;
    case 'y': return QUORUM_VOTE_YES;
    default: return strtoull(s, NULL, 10);
    }
}

/* The order in which a config is written is the order of the inputs, so it is kept aside. */
static void parse_case(const struct script_cmd *cmd, struct quorum_case *c, uint64_t *order,
                       size_t *order_count)
{
    for (int i = 0; i < cmd->arg_count; i++) {
        const struct script_arg *a = &cmd->args[i];
        bool is_joint = strcmp(a->key, "cfgj") == 0;
        bool is_config = is_joint || strcmp(a->key, "cfg") == 0;
        c->is_joint = c->is_joint || is_joint;
        for (int v = 0; v < a->value_count; v++) {
            if (!is_config) {
                c->inputs[c->input_count++] = to_input(a->values[v]);
            } else if (strcmp(a->values[v], "zero") != 0) {
                order[*order_count] = strtoull(a->values[v], NULL, 10);
                raft_ids_add(is_joint ? &c->cfgj : &c->cfg, order[(*order_count)++]);
            }
        }
    }
}

static void assign_inputs(struct quorum_case *c, const uint64_t *order, size_t order_count)
{
    struct known *k = &c->known;
    for (size_t i = 0; i < order_count; i++) {
        bool is_new = true;
        for (size_t j = 0; j < k->count; j++) {
            is_new = is_new && k->ids[j] != order[i];
        }
        if (is_new) {
            k->ids[k->count] = order[i];
            k->values[k->count] = k->count < c->input_count ? c->inputs[k->count] : 0;
            k->count++;
        }
    }
}

static void print_index(struct buf *out, raft_index index)
{
    if (index == RAFT_INDEX_MAX) {
        buf_append_cstr(out, "∞");
    } else {
        buf_printf(out, "%" PRIu64, index);
    }
}

static size_t bar_length(const struct known *k, uint64_t id)
{
    size_t smaller = 0;
    for (size_t i = 0; i < k->count; i++) {
        smaller += k->values[i] < lookup(k, id) ? 1 : 0;
    }
    return smaller;
}

static void print_repeated(struct buf *out, char c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_append_byte(out, (uint8_t)c);
    }
}

/* The acknowledged indexes as bars. */
static void describe(struct buf *out, const struct quorum_case *c)
{
    const struct known *k = &c->known;
    struct raft_ids all = c->cfg;
    for (uint32_t i = 0; i < c->cfgj.count; i++) {
        raft_ids_add(&all, c->cfgj.ids[i]);
    }
    if (all.count == 0) {
        buf_append_cstr(out, "<empty majority quorum>");
        return;
    }
    print_repeated(out, ' ', all.count);
    buf_append_cstr(out, "    idx\n");
    for (uint32_t i = 0; i < all.count; i++) {
        uint64_t index = lookup(k, all.ids[i]);
        size_t bar = bar_length(k, all.ids[i]);
        print_repeated(out, 'x', index == 0 ? 0 : bar);
        buf_append_byte(out, index == 0 ? '?' : '>');
        print_repeated(out, ' ', index == 0 ? all.count : all.count - bar);
        buf_printf(out, " %5" PRIu64 "    (id=%" PRIx64 ")\n", index, all.ids[i]);
    }
}

static void check_same(struct buf *out, raft_index index, raft_index other, const char *via)
{
    if (index != other) {
        print_index(out, other);
        buf_printf(out, " <-- via %s\n", via);
    }
}

/* Lowering what is above the result anyway must not change it. */
static void check_overlays(struct buf *out, const struct quorum_case *c, raft_index index)
{
    for (size_t i = 0; i < c->known.count; i++) {
        struct known lower = c->known;
        if (index > lower.values[i] && lower.values[i] > 0) {
            lower.values[i]--;
            check_same(out, index, quorum_majority_committed(&c->cfg, acked, &lower), "overlay");
            lower.values[i] = 0;
            check_same(out, index, quorum_majority_committed(&c->cfg, acked, &lower), "overlay");
        }
    }
}

static void run_committed(struct buf *out, const struct quorum_case *c)
{
    const struct raft_ids none = {0};
    const struct known *k = &c->known;
    raft_index index = quorum_joint_committed(&c->cfg, &c->cfgj, acked, k);
    describe(out, c);
    if (c->is_joint) {
        check_same(out, index, quorum_joint_committed(&c->cfgj, &c->cfg, acked, k), "symmetry");
    } else {
        check_same(out, index, quorum_majority_committed(&c->cfg, acked, k), "majority");
        check_same(out, index, quorum_joint_committed(&c->cfg, &none, acked, k), "zero-joint");
        check_same(out, index, quorum_joint_committed(&c->cfg, &c->cfg, acked, k), "self-joint");
        check_overlays(out, c, index);
    }
    print_index(out, index);
    buf_append_byte(out, '\n');
}

static void run_vote(struct buf *out, const struct quorum_case *c)
{
    enum quorum_result result = quorum_joint_vote(&c->cfg, &c->cfgj, voted, &c->known);
    enum quorum_result other = quorum_joint_vote(&c->cfgj, &c->cfg, voted, &c->known);
    if (result != other) {
        buf_printf(out, "%s <-- via symmetry\n", text_quorum_result(other));
    }
    buf_printf(out, "%s\n", text_quorum_result(result));
}

void quorum_script_handle(void *arg, const struct script_cmd *cmd, struct buf *out)
{
    struct quorum_case c = {0};
    uint64_t order[VOTERS_MAX];
    size_t order_count = 0;
    (void)arg;
    parse_case(cmd, &c, order, &order_count);
    assign_inputs(&c, order, order_count);
    if (c.known.count != c.input_count) {
        buf_append_cstr(out, "error: mismatched input (explicit or _) for voters [");
        for (uint32_t i = 0; i < c.known.count; i++) {
            buf_printf(out, "%s%" PRIu64, i > 0 ? " " : "", c.known.ids[i]);
        }
        buf_append_cstr(out, "]");
    } else if (strcmp(cmd->name, "committed") == 0) {
        run_committed(out, &c);
    } else {
        run_vote(out, &c);
    }
}

static enum raft_changer_error run_change(struct raft_changer *c, const struct script_cmd *cmd,
                                          const struct raft_conf_change_v2 *cc)
{
    const char *auto_leave = script_value(cmd, "autoleave");
    if (strcmp(cmd->name, "simple") == 0) {
        return raft_changer_simple(c, cc->changes, cc->count);
    }
    if (strcmp(cmd->name, "enter-joint") == 0) {
        bool leave = auto_leave != NULL && strcmp(auto_leave, "true") == 0;
        return raft_changer_enter_joint(c, leave, cc->changes, cc->count);
    }
    return raft_changer_leave_joint(c);
}

void confchange_script_handle(void *arg, const struct script_cmd *cmd, struct buf *out)
{
    struct confchange_script *s = arg;
    struct raft_conf_change_v2 cc;
    struct raft_members changed = s->members;
    struct raft_changer c = {&changed, s->last_index++, 10, 0};
    bool ok = text_parse_changes(cmd->input, &cc);
    ensure(ok);
    enum raft_changer_error err = run_change(&c, cmd, &cc);
    if (err != RAFT_CHANGER_OK) {
        buf_printf(out, "%s\n", text_changer_error(err));
        return;
    }
    ensure(raft_members_are_consistent(&changed));
    s->members = changed;
    text_config(out, &changed.conf);
    buf_append_byte(out, '\n');
    text_members(out, &changed);
}
