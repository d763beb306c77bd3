/* SPDX-License-Identifier: Apache-2.0
 *
 * member/v2store: the JSON inside a `.snap` file and a MsgSnap: members, removed members and the
 * cluster version in the shape of etcd's v2 store.
 *
 * Problem     3.5 and 3.6 take their member list from it and panic when it is not as they expect.
 * Design      Written: the full form without WatcherHub and Stats (storage-formats 4.3). Read: any
 *             etcd's, by the names in the tree, whatever the order; other subtrees are skipped, and
 *             noted when they hold user data.
 * Thread      any. Limits as membership; JSON_DEPTH_MAX.
 * Failure     ERR_MALFORMED: not JSON, or a member without readable raftAttributes.
 * See         storage-formats 4.3; peer-protocol 4.10; test/unit/member/v2store_test.c.
 */
#ifndef MEMBER_V2STORE_H
#define MEMBER_V2STORE_H

#include "member/member.h"

struct v2store {
    struct membership membership;
    struct semver cluster_version; /* none when there is none */
    bool has_user_data;            /* keys of the old v2 API: 3.6 refuses such a file */
};

/* cluster_version none: no version node. */
void v2store_encode(struct buf *out, const struct membership *ms, struct semver cluster_version);
MUST_USE int v2store_decode(struct slice json, struct v2store *out);

#endif
