/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/print: responses as text in the five formats of etcdctl (cli.md 2.5).
 *
 * Problem     Scripts parse these outputs: order of fields, what is left out, every blank counts.
 * Design      One function a response; inside, one branch a format.  JSON of the small messages is
 *             one walk over protobuf-c's descriptors, because Go's names and rules follow from the
 *             .proto files; KV messages have a walk of their own over the zero-copy structs.
 *             protobuf is the received bytes.
 * Ownership   Text goes to p->out; the caller writes it where it belongs.
 * Thread      any.
 * Failure     ERR_UNSUPPORTED: this response is not known in this format; print_unsupported gives
 *             the text (exit status 4).
 * See         cli.md 2.5; test/unit/cmd/print_test.c (texts captured from etcdctl 3.7.1).
 */
#ifndef CMD_PRINT_H
#define CMD_PRINT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "wire/auth.pb-c.h"
#include "wire/cluster.pb-c.h"
#include "wire/lease.pb-c.h"
#include "wire/maintenance.pb-c.h"
#include "wire/response.h"
#include "wire/watch.h"

enum print_format { PRINT_SIMPLE, PRINT_JSON, PRINT_FIELDS, PRINT_TABLE, PRINT_PROTOBUF };

struct printer {
    enum print_format format;
    bool is_hex;
    bool is_value_only; /* get --print-value-only */
    struct buf *out;
    struct buf *err; /* `endpoint health` alone writes there */
};

/* False for an unknown name. */
bool print_format_parse(struct slice name, enum print_format *out);
/* "table not supported as output format" */
void print_unsupported(const struct printer *p, struct buf *out);

/* raw: the message as received, for protobuf. */
MUST_USE int print_get(struct printer *p, struct slice raw, const struct wire_range_resp *r);
MUST_USE int print_put(struct printer *p, struct slice raw, const struct wire_put_resp *r);
MUST_USE int print_del(struct printer *p, struct slice raw, const struct wire_delete_resp *r);
MUST_USE int print_txn(struct printer *p, struct slice raw, const struct wire_txn_resp *r);
/* protobuf is encoded anew: etcdctl leaves out what is the stream's (watch id, reason). */
MUST_USE int print_watch(struct printer *p, const struct wire_watch_resp *r);

MUST_USE int print_member_list(struct printer *p, struct slice raw,
                               const Etcdserverpb__MemberListResponse *r);
/* name and peer_urls as the user gave them: simple shows how to start the new member. */
MUST_USE int print_member_add(struct printer *p, struct slice raw,
                              const Etcdserverpb__MemberAddResponse *r, struct slice name,
                              struct slice peer_urls);
/* what: "removed from", "updated in", "promoted in". */
MUST_USE int print_member_change(struct printer *p, struct slice raw, uint64_t id, const char *what,
                                 const ProtobufCMessage *r);

struct print_health {
    const char *endpoint;
    bool is_healthy;
    int64_t took_ns;
    const char *error; /* "" = none */
};
struct print_status {
    const char *endpoint;
    const Etcdserverpb__StatusResponse *resp;
};
struct print_hashkv {
    const char *endpoint;
    const Etcdserverpb__HashKVResponse *resp;
};
MUST_USE int print_endpoint_health(struct printer *p, const struct print_health *rows, size_t n);
MUST_USE int print_endpoint_status(struct printer *p, const struct print_status *rows, size_t n);
MUST_USE int print_endpoint_hashkv(struct printer *p, const struct print_hashkv *rows, size_t n);

MUST_USE int print_alarm(struct printer *p, struct slice raw, const Etcdserverpb__AlarmResponse *r);
MUST_USE int print_move_leader(struct printer *p, struct slice raw, uint64_t from, uint64_t to,
                               const Etcdserverpb__MoveLeaderResponse *r);
/* what: "validate", "enable", "cancel". */
MUST_USE int print_downgrade(struct printer *p, struct slice raw, const char *what,
                             const Etcdserverpb__DowngradeResponse *r);

/* A lease's id in hex; as Go has it, a signed number in 16 characters. */
void print_lease_id(struct buf *out, int64_t id);
MUST_USE int print_lease_grant(struct printer *p, const Etcdserverpb__LeaseGrantResponse *r);
MUST_USE int print_lease_revoke(struct printer *p, int64_t id,
                                const Etcdserverpb__LeaseRevokeResponse *r);
MUST_USE int print_lease_keep_alive(struct printer *p,
                                    const Etcdserverpb__LeaseKeepAliveResponse *r);
MUST_USE int print_lease_time_to_live(struct printer *p,
                                      const Etcdserverpb__LeaseTimeToLiveResponse *r,
                                      bool has_keys);
MUST_USE int print_lease_list(struct printer *p, const Etcdserverpb__LeaseLeasesResponse *r);

/* Answers that are a header and a sentence: user and role changes.  sentence is simple's line. */
MUST_USE int print_change(struct printer *p, struct slice raw, const ProtobufCMessage *r,
                          const Etcdserverpb__ResponseHeader *header, const char *sentence);
MUST_USE int print_auth_status(struct printer *p, struct slice raw,
                               const Etcdserverpb__AuthStatusResponse *r);
MUST_USE int print_user_get(struct printer *p, struct slice raw, const char *user,
                            const Etcdserverpb__AuthUserGetResponse *r);
MUST_USE int print_user_list(struct printer *p, struct slice raw,
                             const Etcdserverpb__AuthUserListResponse *r);
MUST_USE int print_role_get(struct printer *p, struct slice raw, const char *role,
                            const Etcdserverpb__AuthRoleGetResponse *r);
MUST_USE int print_role_list(struct printer *p, struct slice raw,
                             const Etcdserverpb__AuthRoleListResponse *r);

/* etcdutl */
struct print_db_status {
    uint32_t hash;
    int64_t revision;
    int64_t total_key;
    int64_t total_size;
    const char *version; /* "" = none; NULL: 3.5's form without the column */
};
struct print_db_hashkv {
    uint32_t hash;
    int64_t hash_revision;
    int64_t compact_revision;
};
MUST_USE int print_db_status(struct printer *p, const struct print_db_status *s);
MUST_USE int print_db_hashkv(struct printer *p, const struct print_db_hashkv *h);

#endif
