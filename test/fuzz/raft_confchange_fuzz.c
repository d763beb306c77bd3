/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: data of conf-change entries.  The first byte chooses the version.  What decodes must
 * survive encoding and decoding again, and must be applicable or refused, never worse.
 *
 * Deps: raft_dep
 */
#include "raft/confchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void apply(const struct raft_conf_change_v2 *cc)
{
    static const struct raft_conf_single first = {RAFT_CONF_ADD_NODE, 1};
    struct raft_members m = {0};
    struct raft_changer c = {&m, 1, 1, 0};
    bool auto_leave;
    enum raft_changer_error err = raft_changer_simple(&c, &first, 1);
    ensure(err == RAFT_CHANGER_OK);
    if (raft_conf_change_leaves_joint(cc)) {
        err = raft_changer_leave_joint(&c);
    } else if (raft_conf_change_enters_joint(cc, &auto_leave)) {
        err = raft_changer_enter_joint(&c, auto_leave, cc->changes, cc->count);
    } else {
        err = raft_changer_simple(&c, cc->changes, cc->count);
    }
    ensure(err != RAFT_CHANGER_OK || raft_members_are_consistent(&m));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_conf_change_v2 cc;
    struct raft_conf_change_v2 again;
    struct buf b = BUF_INIT;
    if (size == 0) {
        return 0;
    }
    enum raft_entry_type type =
        data[0] % 2 == 0 ? RAFT_ENTRY_CONF_CHANGE : RAFT_ENTRY_CONF_CHANGE_V2;
    if (raft_conf_change_decode(type, slice_make(data + 1, size - 1), &cc) != 0) {
        return 0;
    }
    raft_conf_change_v2_encode(&cc, &b);
    int rv = raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, buf_slice(&b), &again);
    ensure(rv == 0 && again.count == cc.count && again.transition == cc.transition);
    for (uint32_t i = 0; i < cc.count; i++) {
        ensure(again.changes[i].type == cc.changes[i].type);
        ensure(again.changes[i].node_id == cc.changes[i].node_id);
    }
    apply(&cc);
    buf_deinit(&b);
    return 0;
}
