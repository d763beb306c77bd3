/* SPDX-License-Identifier: Apache-2.0
 *
 * service/maintenance: etcdserverpb.Maintenance (client-api 2.5), but for Snapshot (snapshot.c).
 */

#include "service/internal.h"

static struct service *service_of(struct grpc_call *call)
{
    return grpc_call_service(call);
}

/* ---- Status ---- */

enum status_field {
    STATUS_VERSION = 2,
    STATUS_DB_SIZE = 3,
    STATUS_LEADER = 4,
    STATUS_RAFT_INDEX = 5,
    STATUS_RAFT_TERM = 6,
    STATUS_APPLIED = 7,
    STATUS_ERRORS = 8,
    STATUS_IN_USE = 9,
    STATUS_IS_LEARNER = 10,
    STATUS_STORAGE_VERSION = 11,
    STATUS_QUOTA = 12,
    STATUS_DOWNGRADE = 13,
};

/* The text form of an AlarmMember: what is zero is left out, an unknown type is a number. */
static void alarm_text(struct schema_alarm alarm, struct buf *out)
{
    static const char *const names[] = {"NONE", "NOSPACE", "CORRUPT"};
    if (alarm.member_id != 0) {
        buf_printf(out, "memberID:%llu ", (unsigned long long)alarm.member_id);
    }
    if (alarm.type > 0 && (size_t)alarm.type < ARRAY_LEN(names)) {
        buf_printf(out, "alarm:%s ", names[alarm.type]);
    } else if (alarm.type != 0) {
        buf_printf(out, "alarm:%d ", alarm.type);
    }
}

static void status_errors(struct service *s, const struct core_status *st, struct buf *out)
{
    struct apply *a = core_apply(s->core);
    if (st->leader == 0) {
        wire_append_bytes(out, STATUS_ERRORS, slice_cstr(err_text(ERR_RPC_NO_LEADER)));
    }
    for (size_t i = 0; i < apply_alarm_count(a); i++) {
        struct buf text = BUF_INIT;
        alarm_text(apply_alarm_at(a, i), &text);
        if (st->level >= LEVEL_3_7 && text.len > 0) {
            text.len--; /* each release writes a message in its own way */
        }
        wire_append_bytes(out, STATUS_ERRORS, buf_slice(&text));
        buf_deinit(&text);
    }
}

/* What 3.6 added. */
static void status_since_3_6(struct service *s, const struct core_status *st, struct buf *out)
{
    struct schema_downgrade job = core_downgrade(s->core);
    struct buf info = BUF_INIT;
    wire_append_u64(out, STATUS_QUOTA, (uint64_t)st->quota); /* negative: none, as it was given */
    wire_append_u64(&info, 1, job.enabled);
    wire_append_bytes(&info, 2, slice_cstr(job.target));
    wire_append_message(out, STATUS_DOWNGRADE, buf_slice(&info));
    buf_deinit(&info);
}

static void status_on_message(struct grpc_call *call, struct slice msg)
{
    struct service *s = service_of(call);
    (void)msg;
    if (!service_permitted(call, SERVICE_KNOWN)) {
        return;
    }
    struct core_status st;
    core_status(s->core, &st);
    struct wire_header h = service_header(s, st.rev);
    struct buf *out = service_scratch(s);
    wire_append_header(out, &h);
    const struct level_rules *rules = service_rules(s);
    wire_append_bytes(out, STATUS_VERSION, slice_cstr(rules->server_version));
    wire_append_u64(out, STATUS_DB_SIZE, st.db_size);
    wire_append_u64(out, STATUS_LEADER, st.leader);
    wire_append_u64(out, STATUS_RAFT_INDEX, st.committed);
    wire_append_u64(out, STATUS_RAFT_TERM, st.raft.hard.term);
    wire_append_u64(out, STATUS_APPLIED, st.applied);
    status_errors(s, &st, out);
    wire_append_u64(out, STATUS_IN_USE, st.db_size_in_use);
    wire_append_u64(out, STATUS_IS_LEARNER, st.raft.is_learner);
    char storage[SEMVER_TEXT_MAX];
    wire_append_bytes(out, STATUS_STORAGE_VERSION, service_storage_version(s, storage));
    if (rules->status_has_quota) {
        status_since_3_6(s, &st, out);
    }
    grpc_call_finish_unary(call, buf_slice(out));
}

/* ---- Hash, HashKV ---- */

static void hash_reply(struct service_call *sc)
{
    if (sc->req.err == 0) {
        wire_append_u64(&sc->response, 2, sc->req.hash.hash);
        if (sc->req.kind == CORE_HASH_KV) {
            wire_append_u64(&sc->response, 3, (uint64_t)sc->req.hash.compact_rev);
            if (service_rules(sc->service)->hash_kv_has_rev) {
                wire_append_u64(&sc->response, 4, (uint64_t)sc->req.hash.rev);
            }
        }
    }
    service_answer(sc);
}

static void hash_on_message(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    if (service_permitted_raw(call)) {
        service_call_submit(service_call_begin(service_of(call), call, CORE_HASH, hash_reply));
    }
}

static void hash_kv_on_message(struct grpc_call *call, struct slice msg)
{
    uint64_t rev;
    int err = service_number_of(msg, 1, &rev);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    if (!service_permitted_raw(call)) {
        return;
    }
    struct service_call *sc = service_call_begin(service_of(call), call, CORE_HASH_KV, hash_reply);
    sc->req.rev = (int64_t)rev;
    service_call_submit(sc);
}

/* ---- Alarm ---- */

enum { ALARM_GET = 0, ALARM_ACTIVATE = 1, ALARM_ACTION_MAX = 2 };

struct alarm_req {
    uint64_t action;
    uint64_t member_id;
    uint64_t type;
};

/* Unknown actions end etcd, unknown types end 3.5 (client-api 8.1): refused here. */
static int alarm_take(const struct service *s, struct slice msg, struct alarm_req *a)
{
    int err = service_number_of(msg, 1, &a->action);
    if (err == 0) {
        err = service_number_of(msg, 2, &a->member_id);
    }
    if (err == 0) {
        err = service_number_of(msg, 3, &a->type);
    }
    if (err != 0) {
        return err;
    }
    /* Enums are cut to 32 bits. */
    if ((uint32_t)a->action > ALARM_ACTION_MAX) {
        return ERR_RPC_ALARM_ACTION;
    }
    bool is_known = (uint32_t)a->type <= SCHEMA_ALARM_CORRUPT;
    /* The cluster's version: below 3.6 other members may be of 3.5. */
    bool takes_any = service_rules(s)->takes_any_alarm &&
                     semver_compare(core_cluster_version(s->core), (struct semver){3, 6, 0}) >= 0;
    return (uint32_t)a->action == ALARM_ACTIVATE && !is_known && !takes_any ? ERR_RPC_ALARM_TYPE
                                                                            : 0;
}

static void alarm_on_message(struct grpc_call *call, struct slice msg)
{
    struct alarm_req a;
    int err = alarm_take(service_of(call), msg, &a);
    if (err_is_rpc(err)) {
        service_refuse(call, err);
        return;
    }
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    if (!service_permitted(call, a.action == ALARM_GET ? SERVICE_KNOWN : SERVICE_ROOT)) {
        return;
    }
    /* Encoded anew, as etcd does: see kv.c. */
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, a.action);
    wire_append_u64(&body, 2, a.member_id);
    wire_append_u64(&body, 3, a.type);
    struct service_call *sc =
        service_call_begin(service_of(call), call, CORE_PROPOSE, service_answer);
    sc->req.which = WIRE_INTERNAL_ALARM;
    sc->req.body = buf_slice(&body);
    service_call_propose(sc); /* copies the body */
    buf_deinit(&body);
}

/* ---- Defragment ---- */

static void defrag_on_message(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    if (service_permitted_raw(call)) {
        /* No header, as etcd. */
        service_call_submit(
            service_call_begin(service_of(call), call, CORE_DEFRAG, service_answer_empty));
    }
}

#define UNARY(n, fn)                                                                               \
    {                                                                                              \
        .service = "etcdserverpb.Maintenance", .name = n, .kind = GRPC_KIND_UNARY,                 \
        .on_start = service_on_start, .on_message = fn, .on_cancel = service_on_cancel             \
    }

static const struct grpc_method maintenance_methods[] = {
    UNARY("Alarm", alarm_on_message),
    UNARY("Status", status_on_message),
    UNARY("Defragment", defrag_on_message),
    UNARY("Hash", hash_on_message),
    UNARY("HashKV", hash_kv_on_message),
    UNARY("MoveLeader", move_leader_on_message),
    UNARY("Downgrade", downgrade_on_message),
    {.service = "etcdserverpb.Maintenance",
     .name = "Snapshot",
     .kind = GRPC_KIND_SERVER_STREAM,
     .on_start = service_on_start,
     .on_message = snapshot_on_message,
     .on_writable = snapshot_on_writable,
     .on_cancel = snapshot_on_cancel},
};

void maintenance_register(struct service *s, struct grpc_server *server)
{
    grpc_server_add(server, maintenance_methods, ARRAY_LEN(maintenance_methods), s);
}
