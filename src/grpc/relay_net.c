/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/relay_net: the half of a relay on the connection's thread: methods that send what they are
 * told, and answers that arrive.
 *
 * State of a call lies in the call's user bytes; home knows the call by its number alone.
 */
#include <string.h>

#include "base/limits.h"
#include "grpc/relay_private.h"

struct relay_net_call {
    struct grpc_source source;
    struct grpc_call *call;
    struct list chunks;         /* mails of the source, arrived and not yet taken */
    struct list_node room_node; /* of relay->rooms */
    uint64_t unpulled;          /* of the source */
    uint32_t chunk_at;          /* taken of the first chunk */
    uint32_t in_flight;         /* message bytes not yet taken by the service */
    uint64_t room_owed;         /* answer bytes to give back with RELAY_ROOM */
    bool is_open;
    bool is_source_last;
    bool is_broken;
};

_Static_assert(sizeof(struct relay_net_call) <= GRPC_CALL_USER_BYTES, "lies in the call");

static struct relay_net_call *state_of(struct grpc_call *call)
{
    return grpc_call_user(call);
}

static struct grpc_relay *relay_of(struct grpc_call *call)
{
    return grpc_call_service(call);
}

static struct relay_mail *mail_for(struct grpc_call *call, enum relay_kind kind)
{
    struct grpc_relay *r = relay_of(call);
    return relay_mail_get(r, &r->net_pool, kind, grpc_call_id(call));
}

/* ---- up ---------------------------------------------------------------------------------------
 */

static void open_at_home(struct grpc_call *call, struct slice msg, bool has_message)
{
    struct relay_net_call *nc = state_of(call);
    struct relay_mail *m = mail_for(call, RELAY_OPEN);
    size_t peer_len = strlen(call->conn->peer) + 1;
    size_t name_len = strlen(call->conn->common_name) + 1;
    nc->is_open = true;
    nc->call = call;
    list_init(&nc->chunks);
    list_node_init(&nc->room_node);
    m->method = (uint32_t)(call->method - relay_of(call)->methods);
    m->deadline_ms = grpc_call_deadline_ms(call);
    m->meta_len = (uint32_t)call->meta.len;
    m->peer_len = (uint32_t)peer_len;
    m->has_message = has_message;
    m->name_len = (uint32_t)name_len;
    buf_reserve(&m->bytes, call->meta.len + peer_len + name_len + msg.len);
    buf_append_slice(&m->bytes, buf_slice(&call->meta));
    buf_append(&m->bytes, call->conn->peer, peer_len);
    buf_append(&m->bytes, call->conn->common_name, name_len);
    buf_append_slice(&m->bytes, msg);
    relay_push_up(m);
}

/* False: refused. */
static bool admit(struct grpc_call *call)
{
    if (env_mailbox_has_room(relay_of(call)->up)) {
        return true;
    }
    grpc_call_fail(call, ERR_RPC_TOO_MANY_REQUESTS, NULL);
    return false;
}

static void net_on_start(struct grpc_call *call)
{
    if (admit(call)) {
        open_at_home(call, SLICE_NULL, false);
    }
}

/* Unary calls and server streams: headers and the one message go together. */
static void net_on_only_message(struct grpc_call *call, struct slice msg)
{
    if (admit(call)) {
        open_at_home(call, msg, true);
    }
}

static void net_on_message(struct grpc_call *call, struct slice msg)
{
    struct relay_net_call *nc = state_of(call);
    struct relay_mail *m = mail_for(call, RELAY_MESSAGE);
    buf_append_slice(&m->bytes, msg);
    nc->in_flight += (uint32_t)msg.len + RELAY_MESSAGE_COST;
    relay_push_up(m);
    if (nc->in_flight > RELAY_IN_BYTES) {
        grpc_call_pause(call);
    }
}

static void net_on_half_close(struct grpc_call *call)
{
    if (state_of(call)->is_open) {
        relay_push_up(mail_for(call, RELAY_HALF_CLOSE));
    }
}

static void rooms_forget(struct relay_net_call *nc)
{
    if (list_node_is_linked(&nc->room_node)) {
        list_remove(&nc->room_node);
    }
}

static void net_on_cancel(struct grpc_call *call, int err)
{
    struct relay_net_call *nc = state_of(call);
    if (!nc->is_open) {
        open_at_home(call, SLICE_NULL, false); /* home counts it */
    }
    rooms_forget(nc);
    struct relay_mail *m = mail_for(call, RELAY_CANCEL);
    m->err = err;
    relay_push_up(m);
}

static void rooms_flush(void *arg)
{
    struct grpc_relay *r = arg;
    r->is_room_deferred = false;
    LIST_FOREACH (&r->rooms, n) {
        struct relay_net_call *nc = LIST_ENTRY(n, struct relay_net_call, room_node);
        list_remove(n);
        struct relay_mail *m = mail_for(nc->call, RELAY_ROOM);
        m->number = nc->room_owed;
        nc->room_owed = 0;
        relay_push_up(m);
    }
}

/* Once a turn and call, however many messages it brought. */
static void give_room(struct relay_net_call *nc)
{
    struct grpc_relay *r = relay_of(nc->call);
    if (nc->room_owed == 0 || list_node_is_linked(&nc->room_node)) {
        return;
    }
    list_push_back(&r->rooms, &nc->room_node);
    if (!r->is_room_deferred) {
        r->is_room_deferred = true;
        r->net->env->exec->ops->defer(r->net->env->exec, rooms_flush, r);
    }
}

static void net_on_writable(struct grpc_call *call)
{
    struct relay_net_call *nc = state_of(call);
    if (nc->is_open && grpc_call_can_send(call)) {
        give_room(nc);
    }
}

void relay_net_methods(struct grpc_relay *r)
{
    size_t count = r->home->entry_count;
    r->methods = mem_alloc_array(count + 1, sizeof(*r->methods));
    for (size_t i = 0; i < count; i++) {
        const struct grpc_method *m = r->home->entries[i]->method;
        bool has_one = m->kind == GRPC_KIND_UNARY || m->kind == GRPC_KIND_SERVER_STREAM;
        r->methods[i] = (struct grpc_method){
            .service = m->service,
            .name = m->name,
            .kind = m->kind,
            .on_start = has_one ? NULL : net_on_start,
            .on_message = has_one ? net_on_only_message : net_on_message,
            .on_half_close = net_on_half_close,
            .on_cancel = net_on_cancel,
            .on_writable = net_on_writable,
        };
    }
    grpc_server_add(r->net, r->methods, count, r);
}

/* ---- sources ----------------------------------------------------------------------------------
 */

static void chunk_taken(struct relay_net_call *nc, struct relay_mail *chunk)
{
    struct grpc_relay *r = chunk->relay;
    list_remove(&chunk->mail.node);
    nc->chunk_at = 0;
    if (nc->unpulled > 0) {
        struct relay_mail *m = mail_for(nc->call, RELAY_CREDIT);
        m->number = chunk->bytes.len;
        relay_push_up(m);
    }
    relay_mail_put(&r->net_pool, chunk);
}

static int net_pull(struct grpc_source *src, uint8_t *dst, size_t max, size_t *out_n)
{
    struct relay_net_call *nc = container_of(src, struct relay_net_call, source);
    size_t done = 0;
    struct list_node *n;
    while (done < max && (n = list_first(&nc->chunks)) != NULL) {
        struct env_mail *mail = LIST_ENTRY(n, struct env_mail, node);
        struct relay_mail *chunk = container_of(mail, struct relay_mail, mail);
        size_t left = chunk->bytes.len - nc->chunk_at;
        size_t take = left < max - done ? left : max - done;
        memcpy(dst + done, chunk->bytes.data + nc->chunk_at, take);
        done += take;
        nc->chunk_at += (uint32_t)take;
        nc->unpulled -= take;
        if (take == left) {
            chunk_taken(nc, chunk);
        }
    }
    *out_n = done;
    if (nc->unpulled == 0 || !list_is_empty(&nc->chunks)) {
        return 0;
    }
    return nc->is_broken ? ERR_IO : ERR_AGAIN;
}

static void net_source_close(struct grpc_source *src)
{
    struct relay_net_call *nc = container_of(src, struct relay_net_call, source);
    struct grpc_relay *r = relay_of(nc->call);
    LIST_FOREACH (&nc->chunks, n) {
        struct env_mail *mail = LIST_ENTRY(n, struct env_mail, node);
        list_remove(n);
        relay_mail_put(&r->net_pool, container_of(mail, struct relay_mail, mail));
    }
    if (nc->unpulled > 0) {
        relay_push_up(mail_for(nc->call, RELAY_SOURCE_STOP));
    } else if (!nc->is_source_last) {
        relay_push_up(mail_for(nc->call, RELAY_SOURCE_DONE));
    }
    nc->source.ops = NULL;
}

static const struct grpc_source_ops net_source_ops = {net_pull, net_source_close};

/* ---- down -------------------------------------------------------------------------------------
 */

static void down_source(struct grpc_call *call, const struct relay_mail *m)
{
    struct relay_net_call *nc = state_of(call);
    ensure(nc->source.ops == NULL);
    nc->source.ops = &net_source_ops;
    nc->unpulled = m->number;
    nc->is_source_last = m->is_last;
    if (m->is_last) {
        rooms_forget(nc);
        grpc_call_respond_source(call, m->number, &nc->source);
    } else {
        grpc_call_send_source(call, m->number, &nc->source);
    }
}

/* True: the mail is kept. */
static bool down_chunk(struct grpc_call *call, struct relay_mail *m)
{
    struct relay_net_call *nc = state_of(call);
    if (nc->source.ops == NULL) {
        return false; /* closed meanwhile */
    }
    list_push_back(&nc->chunks, &m->mail.node);
    grpc_call_resume(call);
    return true;
}

static void down_broken(struct grpc_call *call)
{
    struct relay_net_call *nc = state_of(call);
    if (nc->source.ops != NULL) {
        nc->is_broken = true;
        grpc_call_resume(call);
    }
}

static void down_send(struct grpc_call *call, struct relay_mail *m)
{
    struct relay_net_call *nc = state_of(call);
    size_t at = 0;
    for (size_t i = 0; i < m->part_count; i++) {
        struct grpc_part *p = &m->parts[i];
        nc->room_owed += p->bytes.len;
        if (p->owner == NULL) {
            p->bytes.data = m->bytes.data + at;
            at += p->bytes.len;
        }
    }
    if (m->part_count == 1 && m->parts[0].owner == NULL) {
        grpc_call_send(call, m->parts[0].bytes); /* may be compressed */
    } else {
        grpc_call_send_parts(call, m->parts, m->part_count);
    }
    m->part_count = 0; /* the references went with them */
    if (grpc_call_can_send(call)) {
        give_room(nc);
    }
}

static void down_unary(struct grpc_call *call, struct relay_mail *m)
{
    struct rcbuf *owner = m->owner;
    m->owner = NULL;
    if (owner != NULL) {
        grpc_call_finish_unary_rc(call, owner);
    } else {
        grpc_call_finish_unary(call, buf_slice(&m->bytes));
    }
}

static void down_end(struct grpc_call *call, struct relay_mail *m)
{
    rooms_forget(state_of(call));
    if (m->code == GRPC_OK) {
        grpc_call_finish(call);
    } else {
        grpc_call_fail_code(call, m->code, buf_cstr(&m->bytes));
    }
}

static void down_taken(struct grpc_call *call, uint64_t bytes)
{
    struct relay_net_call *nc = state_of(call);
    ensure(nc->in_flight >= bytes);
    nc->in_flight -= (uint32_t)bytes;
    if (nc->in_flight <= RELAY_IN_BYTES / 2) {
        grpc_call_unpause(call);
    }
}

/* For a call that still owes its service's last answer. */
static void deliver_open(struct grpc_call *call, struct relay_mail *m)
{
    switch (m->kind) {
    case RELAY_UNARY: down_unary(call, m); break;
    case RELAY_END: down_end(call, m); break;
    case RELAY_SEND: down_send(call, m); break;
    case RELAY_SOURCE: down_source(call, m); break;
    case RELAY_TAKEN: down_taken(call, m->number); break;
    case RELAY_OPEN:
    case RELAY_MESSAGE:
    case RELAY_HALF_CLOSE:
    case RELAY_CANCEL:
    case RELAY_ROOM:
    case RELAY_CREDIT:
    case RELAY_SOURCE_DONE:
    case RELAY_SOURCE_STOP:
    case RELAY_CHUNK:
    case RELAY_BROKEN: ensure(false);
    }
}

void relay_net_deliver(struct relay_mail *m)
{
    struct grpc_relay *r = m->relay;
    struct grpc_call *call = grpc_server_call_at(r->net, m->id);
    if (call == NULL || !state_of(call)->is_open) {
        /* over, and its number may have gone to a call that home does not know */
    } else if (m->kind == RELAY_CHUNK) {
        if (down_chunk(call, m)) {
            return;
        }
    } else if (m->kind == RELAY_BROKEN) {
        down_broken(call);
    } else if (!call->is_answered) {
        deliver_open(call, m);
    }
    relay_mail_put(&r->net_pool, m);
}
