/* SPDX-License-Identifier: Apache-2.0
 *
 * client/api: the public library (include/cairn/client.h) over client and the real env: the one
 * file of this folder that sees os.
 *
 * Ownership   A result, its arena and the received bytes are one allocation unit (struct held).
 */
#include "cairn/client.h"

#include "client/client_sync.h"
#include "client/endpoint.h"
#include "os/os.h"
#include "rpc/tls_source.h"
#include "wire/cluster.pb-c.h"
#include "wire/maintenance.pb-c.h"
#include "wire/pb.h"
#include "wire/response.h"

enum { TIMEOUT_MS = 5000, LOGIN_TIMEOUT_MS = 2000 };

struct cairn_client {
    struct env *env;
    struct client *client;
    struct client_runner runner;
    struct client_error error;
    struct tls_context *tls; /* NULL: plain text */
    struct rpc_tls_source tls_source;
    uint64_t timeout_ms;
    struct arena scratch; /* of one call */
};

/* What stands behind a struct cairn_result. */
struct held {
    struct cairn_result result;
    struct arena arena;
    struct buf raw;
};

static struct slice slice_of(struct cairn_bytes b)
{
    return slice_make(b.data, b.len);
}

static struct cairn_bytes bytes_of(struct slice s)
{
    return (struct cairn_bytes){s.data, s.len};
}

static int fail(struct cairn_client *c, int code, const char *text)
{
    buf_clear(&c->error.text);
    buf_append_cstr(&c->error.text, text);
    (void)buf_cstr(&c->error.text);
    return code;
}

/* ---- life
 * ---------------------------------------------------------------------------------------- */

static void loop_run(void *arg)
{
    os_loop_run(arg);
}

static void loop_stop(void *arg)
{
    os_loop_stop(arg);
}

static size_t cut_endpoints(const char *text, struct slice *out, size_t max)
{
    size_t count = 0;
    while (count < max && *text != '\0') {
        size_t n = strcspn(text, ",");
        out[count++] = slice_make(text, n);
        text += text[n] == ',' ? n + 1 : n;
    }
    return count;
}

static bool wants_tls(const struct cairn_options *o, const struct slice *endpoints, size_t count)
{
    struct client_endpoint e = {.tls = CLIENT_TLS_OPTIONAL};
    bool has_files = o->ca_file != NULL || o->cert_file != NULL || o->skips_verify;
    enum client_tls_wish wish = CLIENT_TLS_OPTIONAL;
    if (count > 0 && client_endpoint_parse(endpoints[0], &e) == 0) {
        wish = e.tls;
    }
    client_endpoint_deinit(&e);
    return wish == CLIENT_TLS_NEED || (wish == CLIENT_TLS_OPTIONAL && has_files);
}

static int make_tls(struct cairn_client *c, const struct cairn_options *o)
{
    struct tls_config conf = {.side = TLS_CLIENT,
                              .cert_file = o->cert_file,
                              .key_file = o->key_file,
                              .ca_file = o->ca_file,
                              .skips_verify = o->skips_verify};
    struct buf error = BUF_INIT;
    int code = 0;
    if ((o->cert_file == NULL) != (o->key_file == NULL)) {
        code = fail(c, CAIRN_E_TLS, "a certificate and its key go together");
    } else if (tls_context_create(c->env, &conf, &c->tls, &error) != 0) {
        code = fail(c, CAIRN_E_TLS, buf_cstr(&error));
    } else {
        rpc_tls_source_init(&c->tls_source, c->tls);
        c->tls_source.alpn = "h2";
    }
    buf_deinit(&error);
    return code;
}

static int make_client(struct cairn_client *c, const struct cairn_options *o)
{
    struct slice list[CLIENT_ENDPOINTS_MAX];
    struct client_conf conf = {
        .env = c->env,
        .endpoints = list,
        .endpoint_count =
            o->endpoints == NULL ? 0 : cut_endpoints(o->endpoints, list, ARRAY_LEN(list)),
        .ping_interval_ms = CLIENT_PING_LEAST_MS,
        .send_bytes_max = o->send_bytes_max,
        .recv_bytes_max = o->recv_bytes_max};
    if (wants_tls(o, list, conf.endpoint_count)) {
        int code = make_tls(c, o);
        if (code != 0) {
            return code;
        }
        conf.tls = &c->tls_source.factory;
    }
    int err = client_create(&conf, &c->client);
    return err == 0 ? 0 : err == ERR_UNSUPPORTED ? CAIRN_E_TLS : CAIRN_E_ARGUMENT;
}

int cairn_client_open(const struct cairn_options *o, struct cairn_client **out)
{
    struct cairn_client *c = mem_try_alloc(sizeof(*c));
    *out = NULL;
    if (c == NULL) {
        return CAIRN_E_MEMORY;
    }
    *c = (struct cairn_client){.timeout_ms = o->timeout_ms != 0 ? o->timeout_ms : TIMEOUT_MS};
    if (os_env_create(&(struct os_options){.no_lanes = true}, &c->env) != 0) {
        mem_free(c);
        return CAIRN_E_SYSTEM;
    }
    c->runner = (struct client_runner){loop_run, loop_stop, c->env};
    client_error_init(&c->error);
    arena_init(&c->scratch, 0);
    int code = make_client(c, o);
    if (code == CAIRN_E_TLS && c->error.text.len > 0) {
        *out = c;
        return code;
    }
    if (code != 0) {
        cairn_client_close(c);
        return code;
    }
    *out = c;
    client_token_set(c->client, o->token);
    if (o->user != NULL && o->password != NULL && o->password[0] != '\0' &&
        client_login(c->client, &c->runner, o->user, o->password,
                     o->login_timeout_ms != 0 ? o->login_timeout_ms : LOGIN_TIMEOUT_MS,
                     &c->error) != 0) {
        (void)buf_cstr(&c->error.text);
        return c->error.code != GRPC_OK ? (int)c->error.code : CAIRN_E_REPLY;
    }
    return 0;
}

void cairn_client_close(struct cairn_client *c)
{
    if (c == NULL) {
        return;
    }
    if (c->client != NULL) {
        client_destroy(c->client);
        os_loop_run_for(c->env, 0); /* connections are given back by the loop */
    }
    os_env_destroy(c->env);
    tls_context_unref(c->tls);
    client_error_deinit(&c->error);
    arena_deinit(&c->scratch);
    mem_free(c);
}

const char *cairn_client_error(const struct cairn_client *c)
{
    return c->error.text.len == 0 ? "" : (const char *)c->error.text.data;
}

/* ---- asking
 * -------------------------------------------------------------------------------------- */

static int ask(struct cairn_client *c, const char *method, struct slice body, bool is_read,
               struct buf *reply)
{
    struct client_request req = {
        .method = method, .body = body, .is_read = is_read, .timeout_ms = c->timeout_ms};
    buf_clear(&c->error.text);
    c->error.code = GRPC_OK;
    int err = client_ask(c->client, &c->runner, &req, reply, &c->error);
    (void)buf_cstr(&c->error.text);
    if (err == 0) {
        return 0;
    }
    return err == ERR_NOMEM           ? CAIRN_E_MEMORY
           : c->error.code == GRPC_OK ? CAIRN_E_REPLY
                                      : (int)c->error.code;
}

static struct held *held_create(void)
{
    struct held *h = mem_try_alloc(sizeof(*h));
    if (h != NULL) {
        *h = (struct held){.raw = BUF_INIT};
        arena_init(&h->arena, 0);
    }
    return h;
}

void cairn_result_free(struct cairn_result *r)
{
    if (r != NULL) {
        struct held *h = container_of(r, struct held, result);
        arena_deinit(&h->arena);
        buf_deinit(&h->raw);
        mem_free(h);
    }
}

/* fill(h) reads h->raw into h->result; ERR_*. */
static int ask_held(struct cairn_client *c, const char *method, struct slice body, bool is_read,
                    int (*fill)(struct held *h), struct cairn_result **out)
{
    struct held *h = held_create();
    if (h == NULL) {
        return fail(c, CAIRN_E_MEMORY, err_text(ERR_NOMEM));
    }
    int code = ask(c, method, body, is_read, &h->raw);
    int err = code == 0 ? fill(h) : 0;
    if (err != 0) {
        code = fail(c, err == ERR_NOMEM ? CAIRN_E_MEMORY : CAIRN_E_REPLY, err_text(err));
    }
    if (code != 0 || out == NULL) {
        cairn_result_free(&h->result);
    } else {
        *out = &h->result;
    }
    return code;
}

static int ask_pb(struct cairn_client *c, const char *method, const ProtobufCMessage *req,
                  bool is_read, const ProtobufCMessageDescriptor *desc, ProtobufCMessage *resp)
{
    struct buf body = BUF_INIT;
    struct buf reply = BUF_INIT;
    arena_reset(&c->scratch);
    wire_pb_append(&body, req);
    int code = ask(c, method, buf_slice(&body), is_read, &reply);
    if (code == 0 && wire_pb_unpack(desc, buf_slice(&reply), &c->scratch, resp) != 0) {
        code = fail(c, CAIRN_E_REPLY, err_text(ERR_MALFORMED));
    }
    buf_deinit(&body);
    buf_deinit(&reply);
    return code;
}

/* ---- keys: requests
 * ------------------------------------------------------------------------------ */

/* The end of the range of keys with this prefix, in the scratch arena. */
static void prefix_range(struct cairn_client *c, struct slice *key, struct slice *end)
{
    *end = wire_prefix_end(*key, arena_alloc(&c->scratch, key->len));
    if (key->len == 0) {
        *key = slice_make("", 1);
    }
}

static struct wire_range_req wire_get(struct cairn_client *c, const struct cairn_get *g)
{
    struct wire_range_req r = {.key = slice_of(g->key),
                               .range_end = slice_of(g->range_end),
                               .limit = g->limit,
                               .revision = g->revision,
                               .sort_order = (int32_t)g->order,
                               .sort_target = (int32_t)g->sort_by,
                               .serializable = g->is_serializable,
                               .keys_only = g->is_keys_only,
                               .count_only = g->is_count_only};
    if (g->is_prefix) {
        prefix_range(c, &r.key, &r.range_end);
    }
    return r;
}

static struct wire_put_req wire_put(const struct cairn_put *p)
{
    return (struct wire_put_req){.key = slice_of(p->key),
                                 .value = slice_of(p->value),
                                 .lease = p->lease,
                                 .prev_kv = p->want_previous,
                                 .ignore_value = p->is_value_kept,
                                 .ignore_lease = p->is_lease_kept};
}

static struct wire_delete_req wire_delete(struct cairn_client *c, const struct cairn_delete *d)
{
    struct wire_delete_req r = {
        .key = slice_of(d->key), .range_end = slice_of(d->range_end), .prev_kv = d->want_previous};
    if (d->is_prefix) {
        prefix_range(c, &r.key, &r.range_end);
    }
    return r;
}

static struct wire_compare wire_compare_of(const struct cairn_compare *in)
{
    static const uint32_t fields[] = {4, 5, 6, 7, 8};
    struct wire_compare out = {.result = (int32_t)in->result,
                               .target = (int32_t)in->target,
                               .key = slice_of(in->key),
                               .number = in->number};
    out.operand_field = fields[(size_t)in->target % ARRAY_LEN(fields)];
    if (in->target == CAIRN_COMPARE_VALUE) {
        out.value = slice_of(in->value);
    }
    return out;
}

static bool wire_ops(struct cairn_client *c, const struct cairn_op *in, size_t count,
                     struct wire_op **out)
{
    struct wire_op *ops = arena_alloc(&c->scratch, (count + 1) * sizeof(*ops));
    for (size_t i = 0; i < count; i++) {
        if (in[i].get != NULL) {
            ops[i] = (struct wire_op){.kind = WIRE_OP_RANGE, .range = wire_get(c, in[i].get)};
        } else if (in[i].put != NULL) {
            ops[i] = (struct wire_op){.kind = WIRE_OP_PUT, .put = wire_put(in[i].put)};
        } else if (in[i].del != NULL) {
            ops[i] = (struct wire_op){.kind = WIRE_OP_DELETE, .del = wire_delete(c, in[i].del)};
        } else {
            return false;
        }
    }
    *out = ops;
    return true;
}

/* ---- keys: results
 * ------------------------------------------------------------------------------- */

static struct cairn_header header_of(const struct wire_header *h)
{
    return (struct cairn_header){h->cluster_id, h->member_id, h->revision, h->raft_term};
}

static int fill_kvs(struct arena *a, struct cairn_result *r, const struct wire_kv *kvs,
                    size_t count)
{
    struct cairn_kv *to = arena_try_alloc(a, (count + 1) * sizeof(*to));
    if (to == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        to[i] = (struct cairn_kv){.key = bytes_of(kvs[i].key),
                                  .value = bytes_of(kvs[i].value),
                                  .create_revision = kvs[i].create_revision,
                                  .mod_revision = kvs[i].mod_revision,
                                  .version = kvs[i].version,
                                  .lease = kvs[i].lease};
    }
    r->kvs = to;
    r->kv_count = count;
    return 0;
}

static int result_of_range(struct arena *a, struct cairn_result *r,
                           const struct wire_range_resp *in)
{
    r->header = header_of(&in->header);
    r->count = in->count;
    r->is_more = in->more;
    return fill_kvs(a, r, in->kvs, in->kv_count);
}

static int result_of_put(struct arena *a, struct cairn_result *r, const struct wire_put_resp *in)
{
    r->header = header_of(&in->header);
    return fill_kvs(a, r, &in->prev_kv, in->has_prev_kv ? 1 : 0);
}

static int result_of_delete(struct arena *a, struct cairn_result *r,
                            const struct wire_delete_resp *in)
{
    r->header = header_of(&in->header);
    r->count = in->deleted;
    return fill_kvs(a, r, in->prev_kvs, in->prev_kv_count);
}

static int result_of_op(struct arena *a, struct cairn_result *r, const struct wire_op_resp *op)
{
    switch (op->kind) {
    case WIRE_OP_RANGE: return result_of_range(a, r, &op->range);
    case WIRE_OP_PUT: return result_of_put(a, r, &op->put);
    case WIRE_OP_DELETE: return result_of_delete(a, r, &op->del);
    case WIRE_OP_TXN: /* the library sends none */
    case WIRE_OP_NONE: break;
    }
    return ERR_MALFORMED;
}

static int fill_range(struct held *h)
{
    struct wire_range_resp in;
    int err = wire_range_resp_decode(buf_slice(&h->raw), &h->arena, &in);
    return err != 0 ? err : result_of_range(&h->arena, &h->result, &in);
}

static int fill_put(struct held *h)
{
    struct wire_put_resp in;
    int err = wire_put_resp_decode(buf_slice(&h->raw), &in);
    return err != 0 ? err : result_of_put(&h->arena, &h->result, &in);
}

static int fill_delete(struct held *h)
{
    struct wire_delete_resp in;
    int err = wire_delete_resp_decode(buf_slice(&h->raw), &h->arena, &in);
    return err != 0 ? err : result_of_delete(&h->arena, &h->result, &in);
}

static int fill_txn(struct held *h)
{
    struct wire_txn_resp in;
    int err = wire_txn_resp_decode(buf_slice(&h->raw), &h->arena, &in);
    if (err != 0) {
        return err;
    }
    size_t size = (in.response_count + 1) * sizeof(struct cairn_result);
    struct cairn_result *list = arena_try_alloc(&h->arena, size);
    if (list == NULL) {
        return ERR_NOMEM;
    }
    memset(list, 0, size);
    for (size_t i = 0; err == 0 && i < in.response_count; i++) {
        err = result_of_op(&h->arena, &list[i], &in.responses[i]);
    }
    h->result.header = header_of(&in.header);
    h->result.succeeded = in.succeeded;
    h->result.responses = list;
    h->result.response_count = in.response_count;
    return err;
}

/* ---- keys: calls
 * --------------------------------------------------------------------------------- */

int cairn_get(struct cairn_client *c, const struct cairn_get *req, struct cairn_result **out)
{
    struct buf body = BUF_INIT;
    arena_reset(&c->scratch);
    struct wire_range_req r = wire_get(c, req);
    wire_range_req_encode(&body, &r);
    int code = ask_held(c, "/etcdserverpb.KV/Range", buf_slice(&body), true, fill_range, out);
    buf_deinit(&body);
    return code;
}

int cairn_put(struct cairn_client *c, const struct cairn_put *req, struct cairn_result **out)
{
    struct buf body = BUF_INIT;
    struct wire_put_req r = wire_put(req);
    wire_put_req_encode(&body, &r);
    int code = ask_held(c, "/etcdserverpb.KV/Put", buf_slice(&body), false, fill_put, out);
    buf_deinit(&body);
    return code;
}

int cairn_delete(struct cairn_client *c, const struct cairn_delete *req, struct cairn_result **out)
{
    struct buf body = BUF_INIT;
    arena_reset(&c->scratch);
    struct wire_delete_req r = wire_delete(c, req);
    wire_delete_req_encode(&body, &r);
    int code =
        ask_held(c, "/etcdserverpb.KV/DeleteRange", buf_slice(&body), false, fill_delete, out);
    buf_deinit(&body);
    return code;
}

int cairn_txn(struct cairn_client *c, const struct cairn_txn *req, struct cairn_result **out)
{
    struct wire_txn_req t = {.compare_count = req->compare_count,
                             .success_count = req->success_count,
                             .failure_count = req->failure_count};
    arena_reset(&c->scratch);
    t.compares = arena_alloc(&c->scratch, (req->compare_count + 1) * sizeof(*t.compares));
    for (size_t i = 0; i < req->compare_count; i++) {
        t.compares[i] = wire_compare_of(&req->compares[i]);
    }
    if (!wire_ops(c, req->success, req->success_count, &t.success) ||
        !wire_ops(c, req->failure, req->failure_count, &t.failure)) {
        return fail(c, CAIRN_E_ARGUMENT, "an operation of the transaction is empty");
    }
    struct buf body = BUF_INIT;
    wire_txn_req_encode(&body, &t);
    int code = ask_held(c, "/etcdserverpb.KV/Txn", buf_slice(&body), false, fill_txn, out);
    buf_deinit(&body);
    return code;
}

int cairn_compact(struct cairn_client *c, int64_t revision, bool is_physical)
{
    struct buf body = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct wire_compaction_req r = {.revision = revision, .physical = is_physical};
    wire_compaction_req_encode(&body, &r);
    int code = ask(c, "/etcdserverpb.KV/Compact", buf_slice(&body), false, &reply);
    buf_deinit(&body);
    buf_deinit(&reply);
    return code;
}

/* ---- cluster
 * ------------------------------------------------------------------------------------- */

static struct cairn_header pb_header(const Etcdserverpb__ResponseHeader *h)
{
    struct cairn_header out = {0};
    if (h != NULL) {
        out = (struct cairn_header){h->cluster_id, h->member_id, h->revision, h->raft_term};
    }
    return out;
}

static void copy_text(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    n = n < size ? n : size - 1;
    memcpy(out, text, n);
    out[n] = '\0';
}

int cairn_status(struct cairn_client *c, struct cairn_status *out)
{
    Etcdserverpb__StatusRequest req = ETCDSERVERPB__STATUS_REQUEST__INIT;
    Etcdserverpb__StatusResponse r;
    int code = ask_pb(c, "/etcdserverpb.Maintenance/Status", &req.base, true,
                      &etcdserverpb__status_response__descriptor, &r.base);
    if (code != 0) {
        return code;
    }
    *out = (struct cairn_status){.header = pb_header(r.header),
                                 .leader = r.leader,
                                 .raft_index = r.raftindex,
                                 .raft_term = r.raftterm,
                                 .raft_applied_index = r.raftappliedindex,
                                 .db_size = r.dbsize,
                                 .db_size_in_use = r.dbsizeinuse,
                                 .db_size_quota = r.dbsizequota,
                                 .is_learner = r.islearner};
    copy_text(out->version, sizeof(out->version), r.version);
    copy_text(out->storage_version, sizeof(out->storage_version), r.storageversion);
    return 0;
}

int cairn_hashkv(struct cairn_client *c, int64_t revision, struct cairn_hashkv *out)
{
    Etcdserverpb__HashKVRequest req = ETCDSERVERPB__HASH_KVREQUEST__INIT;
    Etcdserverpb__HashKVResponse r;
    req.revision = revision;
    int code = ask_pb(c, "/etcdserverpb.Maintenance/HashKV", &req.base, true,
                      &etcdserverpb__hash_kvresponse__descriptor, &r.base);
    if (code == 0) {
        *out = (struct cairn_hashkv){.header = pb_header(r.header),
                                     .hash = r.hash,
                                     .compact_revision = r.compact_revision,
                                     .hash_revision = r.hash_revision};
    }
    return code;
}

static int fill_members(struct held *h)
{
    Etcdserverpb__MemberListResponse in;
    int err = wire_pb_unpack(&etcdserverpb__member_list_response__descriptor, buf_slice(&h->raw),
                             &h->arena, &in.base);
    if (err != 0) {
        return err;
    }
    struct cairn_member *list = arena_try_alloc(&h->arena, (in.n_members + 1) * sizeof(*list));
    if (list == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < in.n_members; i++) {
        const Etcdserverpb__Member *m = in.members[i];
        list[i] = (struct cairn_member){.id = m->id,
                                        .name = m->name,
                                        .peer_urls = (const char *const *)m->peerurls,
                                        .peer_url_count = m->n_peerurls,
                                        .client_urls = (const char *const *)m->clienturls,
                                        .client_url_count = m->n_clienturls,
                                        .is_learner = m->islearner};
    }
    h->result.header = pb_header(in.header);
    h->result.members = list;
    h->result.member_count = in.n_members;
    return 0;
}

int cairn_member_list(struct cairn_client *c, bool is_serializable, struct cairn_result **out)
{
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, is_serializable ? 0 : 1);
    int code =
        ask_held(c, "/etcdserverpb.Cluster/MemberList", buf_slice(&body), true, fill_members, out);
    buf_deinit(&body);
    return code;
}

static int fill_alarms(struct held *h)
{
    Etcdserverpb__AlarmResponse in;
    int err = wire_pb_unpack(&etcdserverpb__alarm_response__descriptor, buf_slice(&h->raw),
                             &h->arena, &in.base);
    if (err != 0) {
        return err;
    }
    struct cairn_alarm *list = arena_try_alloc(&h->arena, (in.n_alarms + 1) * sizeof(*list));
    if (list == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < in.n_alarms; i++) {
        list[i] = (struct cairn_alarm){in.alarms[i]->memberid, (int32_t)in.alarms[i]->alarm};
    }
    h->result.header = pb_header(in.header);
    h->result.alarms = list;
    h->result.alarm_count = in.n_alarms;
    return 0;
}

int cairn_alarm_list(struct cairn_client *c, struct cairn_result **out)
{
    return ask_held(c, "/etcdserverpb.Maintenance/Alarm", SLICE_NULL, true, fill_alarms, out);
}

int cairn_alarm_disarm(struct cairn_client *c, const struct cairn_alarm *alarm)
{
    Etcdserverpb__AlarmRequest req = ETCDSERVERPB__ALARM_REQUEST__INIT;
    Etcdserverpb__AlarmResponse r;
    req.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
    req.memberid = alarm->member_id;
    req.alarm = (Etcdserverpb__AlarmType)alarm->type;
    return ask_pb(c, "/etcdserverpb.Maintenance/Alarm", &req.base, false,
                  &etcdserverpb__alarm_response__descriptor, &r.base);
}

int cairn_defragment(struct cairn_client *c)
{
    struct buf reply = BUF_INIT;
    int code = ask(c, "/etcdserverpb.Maintenance/Defragment", SLICE_NULL, false, &reply);
    buf_deinit(&reply);
    return code;
}

int cairn_health(struct cairn_client *c)
{
    struct cairn_result *r;
    int code = cairn_get(c, &(struct cairn_get){.key = cairn_text("health")}, &r);
    if (code != 0 && code != GRPC_PERMISSION_DENIED) {
        return code;
    }
    if (code == 0) {
        cairn_result_free(r);
    }
    code = cairn_alarm_list(c, &r);
    if (code != 0) {
        return code;
    }
    bool has_alarm = r->alarm_count > 0;
    cairn_result_free(r);
    return has_alarm ? fail(c, GRPC_FAILED_PRECONDITION, "the cluster has an alarm") : 0;
}

/* ---- snapshot and any other call
 * ------------------------------------------------------------------- */

struct chunks {
    int (*on_chunk)(void *arg, struct cairn_bytes chunk);
    void *arg;
};

static int take_chunk(void *arg, struct slice msg)
{
    struct chunks *k = arg;
    struct wire_scan s;
    struct slice blob = SLICE_NULL;
    wire_scan_init(&s, msg);
    while (wire_scan_next(&s)) {
        if (s.field == 3 && s.type == WIRE_LEN) {
            blob = s.bytes;
        }
    }
    if (s.err != 0) {
        return s.err;
    }
    return blob.len > 0 && k->on_chunk(k->arg, bytes_of(blob)) != 0 ? ERR_CLOSED : 0;
}

int cairn_snapshot(struct cairn_client *c, int (*on_chunk)(void *arg, struct cairn_bytes chunk),
                   void *arg)
{
    struct chunks k = {on_chunk, arg};
    struct client_request req = {.method = "/etcdserverpb.Maintenance/Snapshot", .is_read = true};
    buf_clear(&c->error.text);
    c->error.code = GRPC_OK;
    int err = client_ask_stream(c->client, &c->runner, &req, take_chunk, &k, &c->error);
    (void)buf_cstr(&c->error.text);
    if (err == 0 || c->error.code != GRPC_OK) {
        return (int)c->error.code;
    }
    return fail(c, err == ERR_CLOSED ? CAIRN_E_STOPPED : CAIRN_E_REPLY, err_text(err));
}

int cairn_call(struct cairn_client *c, const char *method, struct cairn_bytes request, bool is_read,
               struct cairn_bytes *out_reply)
{
    struct buf reply = BUF_INIT;
    int code = ask(c, method, slice_of(request), is_read, &reply);
    if (code != 0) {
        buf_deinit(&reply);
        return code;
    }
    *out_reply = (struct cairn_bytes){reply.data, reply.len};
    return 0;
}

void cairn_bytes_free(struct cairn_bytes b)
{
    mem_free((void *)(uintptr_t)b.data);
}
