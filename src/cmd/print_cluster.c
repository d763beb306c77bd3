/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/print_cluster: members, endpoints, alarms, leadership, downgrade, and the tables of etcdutl.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "cmd/print_impl.h"
#include "cmd/print_text.h"

typedef Etcdserverpb__Member member;

/* ---- members
 * ------------------------------------------------------------------------------------- */

static void join(struct buf *out, char *const *list, size_t count, const char *with)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_cstr(out, i > 0 ? with : "");
        buf_append_cstr(out, list[i]);
    }
}

static void member_table(struct print_table *t, const Etcdserverpb__MemberListResponse *r)
{
    static const char *const headings[] = {"ID",         "STATUS",       "NAME",
                                           "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"};
    print_table_init(t, headings, ARRAY_LEN(headings), r->n_members);
    for (size_t i = 0; i < r->n_members; i++) {
        const member *m = r->members[i];
        buf_printf(print_cell(t, i, 0), "%" PRIx64, m->id);
        buf_append_cstr(print_cell(t, i, 1), m->name[0] == '\0' ? "unstarted" : "started");
        buf_append_cstr(print_cell(t, i, 2), m->name);
        join(print_cell(t, i, 3), m->peerurls, m->n_peerurls, ",");
        join(print_cell(t, i, 4), m->clienturls, m->n_clienturls, ",");
        buf_append_cstr(print_cell(t, i, 5), m->islearner ? "true" : "false");
    }
}

static void fields_members(struct printer *p, const Etcdserverpb__MemberListResponse *r)
{
    print_field_pb_header(p, r->header);
    for (size_t i = 0; i < r->n_members; i++) {
        const member *m = r->members[i];
        print_field_id(p, "ID", m->id, false);
        print_field_quoted(p->out, "Name", slice_cstr(m->name));
        for (size_t k = 0; k < m->n_peerurls; k++) {
            print_field_quoted(p->out, "PeerURL", slice_cstr(m->peerurls[k]));
        }
        for (size_t k = 0; k < m->n_clienturls; k++) {
            print_field_quoted(p->out, "ClientURL", slice_cstr(m->clienturls[k]));
        }
        print_field_bool(p->out, "IsLearner", m->islearner);
        buf_append_byte(p->out, '\n');
    }
}

/* --hex: ids as strings of hex digits, both always there. */
static void hex_header(struct buf *out, const Etcdserverpb__ResponseHeader *h)
{
    buf_printf(out, "{\"cluster_id\":\"%" PRIx64 "\",\"member_id\":\"%" PRIx64 "\"", h->cluster_id,
               h->member_id);
    if (h->revision != 0) {
        buf_printf(out, ",\"revision\":%" PRId64, h->revision);
    }
    if (h->raft_term != 0) {
        buf_printf(out, ",\"raft_term\":%" PRIu64, h->raft_term);
    }
    buf_append_byte(out, '}');
}

static void hex_member(struct buf *out, const member *m)
{
    /* The rest of the object is the plain one without its id. */
    member rest = *m;
    struct buf text = BUF_INIT;
    rest.id = 0;
    print_json_message(&text, &rest.base);
    buf_printf(out, "{\"ID\":\"%" PRIx64 "\"%s", m->id, text.len > 2 ? "," : "");
    buf_append(out, text.data + 1, text.len - 1);
    buf_deinit(&text);
}

static void hex_members(struct buf *out, const Etcdserverpb__ResponseHeader *header,
                        const member *added, member *const *members, size_t count)
{
    buf_append_cstr(out, "{\"header\":");
    if (header != NULL) {
        hex_header(out, header);
    } else {
        buf_append_cstr(out, "null");
    }
    if (added != NULL) {
        buf_append_cstr(out, ",\"member\":");
        hex_member(out, added);
    }
    buf_append_cstr(out, ",\"members\":[");
    for (size_t i = 0; i < count; i++) {
        buf_append_cstr(out, i > 0 ? "," : "");
        hex_member(out, members[i]);
    }
    buf_append_cstr(out, "]}");
}

static int json_members(struct printer *p, const ProtobufCMessage *m,
                        const Etcdserverpb__ResponseHeader *header, const member *added,
                        member *const *members, size_t count)
{
    if (p->is_hex) {
        hex_members(p->out, header, added, members, count);
    } else {
        print_json_message(p->out, m);
    }
    buf_append_byte(p->out, '\n');
    return 0;
}

static int table_or_simple(struct printer *p, struct print_table *t)
{
    if (p->format == PRINT_TABLE) {
        print_table_draw(t, p->out);
    } else {
        print_table_simple(t, p->out);
    }
    print_table_deinit(t);
    return 0;
}

int print_member_list(struct printer *p, struct slice raw,
                      const Etcdserverpb__MemberListResponse *r)
{
    struct print_table t;
    switch (p->format) {
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_JSON: return json_members(p, &r->base, r->header, NULL, r->members, r->n_members);
    case PRINT_FIELDS: fields_members(p, r); return 0;
    case PRINT_SIMPLE:
    case PRINT_TABLE: break;
    }
    member_table(&t, r);
    return table_or_simple(p, &t);
}

static void simple_member_add(struct printer *p, const Etcdserverpb__MemberAddResponse *r,
                              struct slice name, struct slice peer_urls)
{
    struct buf cluster = BUF_INIT;
    for (size_t i = 0; i < r->n_members; i++) {
        const member *m = r->members[i];
        for (size_t k = 0; k < m->n_peerurls; k++) {
            buf_append_cstr(&cluster, cluster.len > 0 ? "," : "");
            buf_append_slice(&cluster, m->id == r->member->id ? name : slice_cstr(m->name));
            buf_printf(&cluster, "=%s", m->peerurls[k]);
        }
    }
    buf_printf(p->out, "Member %16" PRIx64 " added%sto cluster %16" PRIx64 "\n\n", r->member->id,
               r->member->islearner ? " as learner " : " ",
               r->header == NULL ? 0 : r->header->cluster_id);
    buf_append_cstr(p->out, "ETCD_NAME=");
    gotext_quote(p->out, name);
    buf_append_cstr(p->out, "\nETCD_INITIAL_CLUSTER=");
    gotext_quote(p->out, buf_slice(&cluster));
    buf_append_cstr(p->out, "\nETCD_INITIAL_ADVERTISE_PEER_URLS=");
    gotext_quote(p->out, peer_urls);
    buf_append_cstr(p->out, "\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n");
    buf_deinit(&cluster);
}

int print_member_add(struct printer *p, struct slice raw, const Etcdserverpb__MemberAddResponse *r,
                     struct slice name, struct slice peer_urls)
{
    switch (p->format) {
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_JSON:
        return json_members(p, &r->base, r->header, r->member, r->members, r->n_members);
    case PRINT_FIELDS:
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_SIMPLE: break;
    }
    if (r->member == NULL) {
        return ERR_MALFORMED;
    }
    simple_member_add(p, r, name, peer_urls);
    return 0;
}

int print_member_change(struct printer *p, struct slice raw, uint64_t id, const char *what,
                        const ProtobufCMessage *m)
{
    /* Remove, update and promote answer with the same fields. */
    const Etcdserverpb__MemberRemoveResponse *r = (const void *)m;
    switch (p->format) {
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_JSON: return json_members(p, m, r->header, NULL, r->members, r->n_members);
    case PRINT_FIELDS:
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_SIMPLE: break;
    }
    buf_printf(p->out, "Member %16" PRIx64 " %s cluster %16" PRIx64 "\n", id, what,
               r->header == NULL ? 0 : r->header->cluster_id);
    return 0;
}

/* ---- endpoints
 * ----------------------------------------------------------------------------------- */

static void health_json(struct buf *out, const struct print_health *h)
{
    struct buf took = BUF_INIT;
    log_duration(&took, h->took_ns);
    buf_append_cstr(out, "{\"endpoint\":");
    gotext_json_string(out, slice_cstr(h->endpoint));
    buf_printf(out, ",\"health\":%s,\"took\":", h->is_healthy ? "true" : "false");
    gotext_json_string(out, buf_slice(&took));
    if (h->error[0] != '\0') {
        buf_append_cstr(out, ",\"error\":");
        gotext_json_string(out, slice_cstr(h->error));
    }
    buf_append_byte(out, '}');
    buf_deinit(&took);
}

static void health_simple(struct printer *p, const struct print_health *h)
{
    if (h->error[0] != '\0') {
        buf_printf(p->err, "%s is unhealthy: failed to commit proposal: %s\n", h->endpoint,
                   h->error);
        return;
    }
    buf_printf(p->out, "%s is healthy: successfully committed proposal: took = ", h->endpoint);
    log_duration(p->out, h->took_ns);
    buf_append_byte(p->out, '\n');
}

static void health_fields(struct printer *p, const struct print_health *h)
{
    print_field_quoted(p->out, "Endpoint", slice_cstr(h->endpoint));
    print_field_bool(p->out, "Health", h->is_healthy);
    buf_append_cstr(p->out, "\"Took\" : ");
    log_duration(p->out, h->took_ns);
    buf_append_byte(p->out, '\n');
    print_field_bare(p->out, "Error", h->error);
    buf_append_byte(p->out, '\n');
}

static void health_table(struct printer *p, const struct print_health *rows, size_t n)
{
    static const char *const headings[] = {"ENDPOINT", "HEALTH", "TOOK", "ERROR"};
    struct print_table t;
    print_table_init(&t, headings, ARRAY_LEN(headings), n);
    for (size_t i = 0; i < n; i++) {
        buf_append_cstr(print_cell(&t, i, 0), rows[i].endpoint);
        buf_append_cstr(print_cell(&t, i, 1), rows[i].is_healthy ? "true" : "false");
        log_duration(print_cell(&t, i, 2), rows[i].took_ns);
        buf_append_cstr(print_cell(&t, i, 3), rows[i].error);
    }
    print_table_draw(&t, p->out);
    print_table_deinit(&t);
}

int print_endpoint_health(struct printer *p, const struct print_health *rows, size_t n)
{
    if (p->format == PRINT_PROTOBUF) {
        return ERR_UNSUPPORTED;
    }
    if (p->format == PRINT_TABLE) {
        health_table(p, rows, n);
        return 0;
    }
    if (p->format == PRINT_JSON && n == 0) {
        buf_append_cstr(p->out, "null\n");
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (p->format == PRINT_JSON) {
            buf_append_byte(p->out, i == 0 ? '[' : ',');
            health_json(p->out, &rows[i]);
        } else if (p->format == PRINT_FIELDS) {
            health_fields(p, &rows[i]);
        } else {
            health_simple(p, &rows[i]);
        }
    }
    buf_append_cstr(p->out, p->format == PRINT_JSON ? "]\n" : "");
    return 0;
}

/* [{"Endpoint":"..","NAME":{..}}, ..] */
static void json_row(struct buf *out, bool is_first, const char *endpoint, const char *name,
                     const ProtobufCMessage *m)
{
    buf_append_cstr(out, is_first ? "[{\"Endpoint\":" : ",{\"Endpoint\":");
    gotext_json_string(out, slice_cstr(endpoint));
    buf_printf(out, ",\"%s\":", name);
    print_json_message(out, m);
    buf_append_byte(out, '}');
}

static int status_percent_free(const Etcdserverpb__StatusResponse *s)
{
    return s->dbsize == 0 ? 0 : (int)(100 - s->dbsizeinuse * 100 / s->dbsize);
}

static void status_row(struct print_table *t, size_t i, const struct print_status *row)
{
    const Etcdserverpb__StatusResponse *s = row->resp;
    uint64_t member_id = s->header == NULL ? 0 : s->header->member_id;
    const Etcdserverpb__DowngradeInfo *d = s->downgradeinfo;
    buf_append_cstr(print_cell(t, i, 0), row->endpoint);
    buf_printf(print_cell(t, i, 1), "%" PRIx64, member_id);
    buf_append_cstr(print_cell(t, i, 2), s->version);
    buf_append_cstr(print_cell(t, i, 3), s->storageversion);
    gotext_size(print_cell(t, i, 4), (uint64_t)s->dbsize);
    gotext_size(print_cell(t, i, 5), (uint64_t)s->dbsizeinuse);
    buf_printf(print_cell(t, i, 6), "%d%%", status_percent_free(s));
    gotext_size(print_cell(t, i, 7), (uint64_t)s->dbsizequota);
    buf_append_cstr(print_cell(t, i, 8), s->leader == member_id ? "true" : "false");
    buf_append_cstr(print_cell(t, i, 9), s->islearner ? "true" : "false");
    buf_printf(print_cell(t, i, 10), "%" PRIu64, s->raftterm);
    buf_printf(print_cell(t, i, 11), "%" PRIu64, s->raftindex);
    buf_printf(print_cell(t, i, 12), "%" PRIu64, s->raftappliedindex);
    join(print_cell(t, i, 13), s->errors, s->n_errors, ", ");
    buf_append_cstr(print_cell(t, i, 14), d == NULL ? "" : d->targetversion);
    buf_append_cstr(print_cell(t, i, 15), d != NULL && d->enabled ? "true" : "false");
}

static void status_fields(struct printer *p, const struct print_status *row)
{
    const Etcdserverpb__StatusResponse *s = row->resp;
    const Etcdserverpb__DowngradeInfo *d = s->downgradeinfo;
    print_field_pb_header(p, s->header);
    print_field_quoted(p->out, "Version", slice_cstr(s->version));
    print_field_quoted(p->out, "StorageVersion", slice_cstr(s->storageversion));
    print_field_i64(p->out, "DBSize", s->dbsize);
    print_field_i64(p->out, "DBSizeInUse", s->dbsizeinuse);
    print_field_i64(p->out, "DBSizeQuota", s->dbsizequota);
    print_field_u64(p->out, "Leader", s->leader);
    print_field_bool(p->out, "IsLearner", s->islearner);
    print_field_u64(p->out, "RaftIndex", s->raftindex);
    print_field_u64(p->out, "RaftTerm", s->raftterm);
    print_field_u64(p->out, "RaftAppliedIndex", s->raftappliedindex);
    buf_append_cstr(p->out, "\"Errors\" : [");
    join(p->out, s->errors, s->n_errors, " ");
    buf_append_cstr(p->out, "]\n");
    print_field_quoted(p->out, "Endpoint", slice_cstr(row->endpoint));
    print_field_quoted(p->out, "DowngradeTargetVersion",
                       slice_cstr(d == NULL ? "" : d->targetversion));
    print_field_bool(p->out, "DowngradeEnabled", d != NULL && d->enabled);
    buf_append_byte(p->out, '\n');
}

int print_endpoint_status(struct printer *p, const struct print_status *rows, size_t n)
{
    static const char *const headings[] = {"ENDPOINT",
                                           "ID",
                                           "VERSION",
                                           "STORAGE VERSION",
                                           "DB SIZE",
                                           "IN USE",
                                           "PERCENTAGE NOT IN USE",
                                           "QUOTA",
                                           "IS LEADER",
                                           "IS LEARNER",
                                           "RAFT TERM",
                                           "RAFT INDEX",
                                           "RAFT APPLIED INDEX",
                                           "ERRORS",
                                           "DOWNGRADE TARGET VERSION",
                                           "DOWNGRADE ENABLED"};
    struct print_table t;
    if (p->format == PRINT_PROTOBUF) {
        return ERR_UNSUPPORTED;
    }
    if (p->format == PRINT_JSON || p->format == PRINT_FIELDS) {
        for (size_t i = 0; i < n; i++) {
            if (p->format == PRINT_JSON) {
                json_row(p->out, i == 0, rows[i].endpoint, "Status", &rows[i].resp->base);
            } else {
                status_fields(p, &rows[i]);
            }
        }
        buf_append_cstr(p->out, p->format != PRINT_JSON ? "" : n > 0 ? "]\n" : "null\n");
        return 0;
    }
    print_table_init(&t, headings, ARRAY_LEN(headings), n);
    for (size_t i = 0; i < n; i++) {
        status_row(&t, i, &rows[i]);
    }
    return table_or_simple(p, &t);
}

int print_endpoint_hashkv(struct printer *p, const struct print_hashkv *rows, size_t n)
{
    static const char *const headings[] = {"ENDPOINT", "HASH", "HASH REVISION"};
    struct print_table t;
    if (p->format == PRINT_PROTOBUF) {
        return ERR_UNSUPPORTED;
    }
    if (p->format == PRINT_JSON || p->format == PRINT_FIELDS) {
        for (size_t i = 0; i < n; i++) {
            if (p->format == PRINT_JSON) {
                json_row(p->out, i == 0, rows[i].endpoint, "HashKV", &rows[i].resp->base);
                continue;
            }
            print_field_pb_header(p, rows[i].resp->header);
            print_field_quoted(p->out, "Endpoint", slice_cstr(rows[i].endpoint));
            print_field_u64(p->out, "Hash", rows[i].resp->hash);
            print_field_i64(p->out, "HashRevision", rows[i].resp->hash_revision);
            buf_append_byte(p->out, '\n');
        }
        buf_append_cstr(p->out, p->format != PRINT_JSON ? "" : n > 0 ? "]\n" : "null\n");
        return 0;
    }
    print_table_init(&t, headings, ARRAY_LEN(headings), n);
    for (size_t i = 0; i < n; i++) {
        buf_append_cstr(print_cell(&t, i, 0), rows[i].endpoint);
        buf_printf(print_cell(&t, i, 1), "%" PRIu32, rows[i].resp->hash);
        buf_printf(print_cell(&t, i, 2), "%" PRId64, rows[i].resp->hash_revision);
    }
    return table_or_simple(p, &t);
}

/* ---- maintenance
 * --------------------------------------------------------------------------------- */

static const char *alarm_name(int32_t alarm, char *room, size_t size)
{
    static const char *const names[] = {"NONE", "NOSPACE", "CORRUPT"};
    if (alarm >= 0 && (size_t)alarm < ARRAY_LEN(names)) {
        return names[alarm];
    }
    (void)snprintf(room, size, "%" PRId32, alarm);
    return room;
}

int print_alarm(struct printer *p, struct slice raw, const Etcdserverpb__AlarmResponse *r)
{
    char room[16];
    if (p->format == PRINT_TABLE) {
        return ERR_UNSUPPORTED;
    }
    if (p->format == PRINT_PROTOBUF) {
        return print_raw(p, raw);
    }
    if (p->format == PRINT_JSON) {
        print_json_message(p->out, &r->base);
        buf_append_byte(p->out, '\n');
        return 0;
    }
    if (p->format == PRINT_FIELDS) {
        print_field_pb_header(p, r->header);
    }
    for (size_t i = 0; i < r->n_alarms; i++) {
        const Etcdserverpb__AlarmMember *a = r->alarms[i];
        const char *name = alarm_name((int32_t)a->alarm, room, sizeof(room));
        if (p->format == PRINT_FIELDS) {
            print_field_id(p, "MemberID", a->memberid, false);
            print_field_bare(p->out, "AlarmType", name);
            buf_append_byte(p->out, '\n');
        } else {
            buf_printf(p->out, "memberID:%" PRIu64 " alarm:%s\n", a->memberid, name);
        }
    }
    return 0;
}

/* Answers that fields and table do not know. */
static int plain_answer(struct printer *p, struct slice raw, const ProtobufCMessage *m,
                        const char *sentence)
{
    switch (p->format) {
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_FIELDS:
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_JSON: print_json_message(p->out, m); break;
    case PRINT_SIMPLE: buf_append_cstr(p->out, sentence); break;
    }
    buf_append_byte(p->out, '\n');
    return 0;
}

int print_move_leader(struct printer *p, struct slice raw, uint64_t from, uint64_t to,
                      const Etcdserverpb__MoveLeaderResponse *r)
{
    struct buf line = BUF_INIT;
    buf_printf(&line, "Leadership transferred from %" PRIx64 " to %" PRIx64, from, to);
    int err = plain_answer(p, raw, &r->base, buf_cstr(&line));
    buf_deinit(&line);
    return err;
}

int print_downgrade(struct printer *p, struct slice raw, const char *what,
                    const Etcdserverpb__DowngradeResponse *r)
{
    struct buf line = BUF_INIT;
    buf_printf(&line, "Downgrade %s success, cluster version %s", what, r->version);
    int err = plain_answer(p, raw, &r->base, buf_cstr(&line));
    buf_deinit(&line);
    return err;
}

/* ---- etcdutl
 * ------------------------------------------------------------------------------------- */

int print_db_status(struct printer *p, const struct print_db_status *s)
{
    static const char *const headings[] = {"HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE",
                                           "VERSION"};
    struct print_table t;
    if (p->format == PRINT_PROTOBUF) {
        return ERR_UNSUPPORTED;
    }
    if (p->format == PRINT_JSON) {
        buf_printf(p->out,
                   "{\"hash\":%" PRIu32 ",\"revision\":%" PRId64 ",\"totalKey\":%" PRId64
                   ",\"totalSize\":%" PRId64,
                   s->hash, s->revision, s->total_key, s->total_size);
        if (s->version != NULL) {
            buf_append_cstr(p->out, ",\"version\":");
            gotext_json_string(p->out, slice_cstr(s->version));
        }
        buf_append_cstr(p->out, "}\n");
        return 0;
    }
    if (p->format == PRINT_FIELDS) {
        print_field_u64(p->out, "Hash", s->hash);
        print_field_i64(p->out, "Revision", s->revision);
        print_field_i64(p->out, "Keys", s->total_key);
        print_field_i64(p->out, "Size", s->total_size);
        if (s->version != NULL) {
            print_field_bare(p->out, "Version", s->version);
        }
        return 0;
    }
    print_table_init(&t, headings, s->version != NULL ? 5 : 4, 1);
    buf_printf(print_cell(&t, 0, 0), "%" PRIx32, s->hash);
    buf_printf(print_cell(&t, 0, 1), "%" PRId64, s->revision);
    buf_printf(print_cell(&t, 0, 2), "%" PRId64, s->total_key);
    gotext_size(print_cell(&t, 0, 3), (uint64_t)s->total_size);
    if (s->version != NULL) {
        buf_append_cstr(print_cell(&t, 0, 4), s->version);
    }
    return table_or_simple(p, &t);
}

int print_db_hashkv(struct printer *p, const struct print_db_hashkv *h)
{
    static const char *const headings[] = {"HASH", "HASH REVISION", "COMPACT REVISION"};
    struct print_table t;
    if (p->format == PRINT_PROTOBUF) {
        return ERR_UNSUPPORTED;
    }
    if (p->format == PRINT_JSON) {
        buf_printf(p->out,
                   "{\"hash\":%" PRIu32 ",\"hashRevision\":%" PRId64 ",\"compactRevision\":%" PRId64
                   "}\n",
                   h->hash, h->hash_revision, h->compact_revision);
        return 0;
    }
    if (p->format == PRINT_FIELDS) {
        print_field_u64(p->out, "Hash", h->hash);
        print_field_i64(p->out, "Hash revision", h->hash_revision);
        print_field_i64(p->out, "Compact revision", h->compact_revision);
        return 0;
    }
    print_table_init(&t, headings, ARRAY_LEN(headings), 1);
    buf_printf(print_cell(&t, 0, 0), "%" PRIu32, h->hash);
    buf_printf(print_cell(&t, 0, 1), "%" PRId64, h->hash_revision);
    buf_printf(print_cell(&t, 0, 2), "%" PRId64, h->compact_revision);
    return table_or_simple(p, &t);
}
