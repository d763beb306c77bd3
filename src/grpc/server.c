/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/server: method table, call objects and their numbers, deadlines.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "grpc/call_private.h"

static void deadline_due(void *arg, struct grpc_deadline_node *node)
{
    (void)arg;
    struct grpc_call *call = container_of(node, struct grpc_call, deadline);
    grpc_call_abort(call, ERR_RPC_CONTEXT_DEADLINE, GRPC_DEADLINE_EXCEEDED,
                    err_text(ERR_RPC_CONTEXT_DEADLINE));
}

static uint64_t or_default(uint64_t v, uint64_t dflt)
{
    return v != 0 ? v : dflt;
}

struct grpc_server *grpc_server_create(struct env *env, const struct grpc_server_options *opts)
{
    struct grpc_server *s = mem_zalloc(sizeof(*s));
    s->env = env;
    s->opts = *opts;
    s->opts.recv_bytes_max = (size_t)or_default(
        opts->recv_bytes_max, LIMIT_REQUEST_BYTES_DEFAULT + LIMIT_GRPC_OVERHEAD_BYTES);
    s->opts.ping_min_interval_ms = or_default(opts->ping_min_interval_ms, 5000);
    s->opts.ping_interval_ms = or_default(opts->ping_interval_ms, 2 * 3600 * 1000);
    s->opts.ping_timeout_ms = or_default(opts->ping_timeout_ms, 20000);
    s->opts.response_bytes_max =
        (size_t)or_default(opts->response_bytes_max, LIMIT_RESPONSE_BUFFER_BYTES);
    s->opts.held_bytes_max = (size_t)or_default(opts->held_bytes_max, LIMIT_PENDING_BYTES);
    s->opts.streams_max = or_default(opts->streams_max, LIMIT_STREAMS);
    s->pool = http_pool_create();
    list_init(&s->free_calls);
    grpc_deadlines_init(&s->deadlines, env, deadline_due, s);
    return s;
}

static void call_free(struct grpc_call *call)
{
    buf_deinit(&call->meta);
    buf_deinit(&call->held);
    buf_deinit(&call->copy);
    buf_deinit(&call->message_text);
    mem_free(call);
}

void grpc_server_destroy(struct grpc_server *s)
{
    if (s == NULL) {
        return;
    }
    ensure(s->stats.streams_open == 0);
    while (!list_is_empty(&s->free_calls)) {
        struct grpc_call *call =
            LIST_ENTRY(list_first(&s->free_calls), struct grpc_call, free_node);
        list_remove(&call->free_node);
        call_free(call);
    }
    for (size_t i = 0; i < s->entry_count; i++) {
        mem_free((void *)(uintptr_t)s->entries[i]->path.data);
        mem_free(s->entries[i]);
    }
    mem_free(s->entries);
    mem_free(s->slots);
    grpc_deadlines_deinit(&s->deadlines);
    http_pool_destroy(s->pool);
    mem_free(s);
}

struct http_pool *grpc_server_pool(struct grpc_server *s)
{
    return s->pool;
}

/* ---- routing ----------------------------------------------------------------------------------
 */

static size_t path_bucket(struct slice path)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < path.len; i++) {
        h = (h ^ path.data[i]) * 16777619u;
    }
    return (h ^ h >> 16) % GRPC_ROUTE_BUCKETS;
}

struct grpc_entry *grpc_server_route(struct grpc_server *s, struct slice path)
{
    size_t i = s->routes[path_bucket(path)];
    while (i != 0) {
        struct grpc_entry *e = s->entries[i - 1];
        if (slice_equal(e->path, path)) {
            return e;
        }
        i = e->next;
    }
    return NULL;
}

static void entry_add(struct grpc_server *s, const struct grpc_method *m, void *service)
{
    ensure(m->on_message != NULL);
    struct buf path = BUF_INIT;
    buf_printf(&path, "/%s/%s", m->service, m->name);
    struct grpc_entry *e = mem_zalloc(sizeof(*e));
    *e = (struct grpc_entry){
        .method = m, .service = service, .path = buf_slice(&path), .index = s->entry_count};
    ensure(grpc_server_route(s, e->path) == NULL);
    size_t bucket = path_bucket(e->path);
    e->next = s->routes[bucket];
    s->entries = mem_realloc(s->entries, (s->entry_count + 1) * sizeof(struct grpc_entry *));
    s->entries[s->entry_count++] = e;
    s->routes[bucket] = s->entry_count;
}

void grpc_server_add(struct grpc_server *s, const struct grpc_method *methods, size_t count,
                     void *service_arg)
{
    for (size_t i = 0; i < count; i++) {
        entry_add(s, &methods[i], service_arg);
    }
}

bool grpc_server_has_service(const struct grpc_server *s, struct slice service)
{
    for (size_t i = 0; i < s->entry_count; i++) {
        if (slice_equal_cstr(service, s->entries[i]->method->service)) {
            return true;
        }
    }
    return false;
}

size_t grpc_server_method_count(const struct grpc_server *s)
{
    return s->entry_count;
}

const struct grpc_method *grpc_server_method_at(const struct grpc_server *s, size_t i)
{
    ensure(i < s->entry_count);
    return s->entries[i]->method;
}

const struct grpc_method_stats *grpc_server_method_stats(const struct grpc_server *s, size_t i)
{
    ensure(i < s->entry_count);
    return &s->entries[i]->stats;
}

const struct grpc_server_stats *grpc_server_stats(const struct grpc_server *s)
{
    return &s->stats;
}

/* ---- calls and their numbers ------------------------------------------------------------------
 */

static uint32_t slot_take(struct grpc_server *s, struct grpc_call *call)
{
    if (s->slot_free == 0) {
        if (s->slot_count == s->slot_cap) {
            s->slot_cap = s->slot_cap == 0 ? 64 : s->slot_cap * 2;
            s->slots = mem_realloc(s->slots, s->slot_cap * sizeof(*s->slots));
        }
        s->slots[s->slot_count] = (struct grpc_slot){.generation = 1};
        s->slot_free = ++s->slot_count;
    }
    uint32_t i = s->slot_free - 1;
    s->slot_free = s->slots[i].next_free;
    s->slots[i].call = call;
    return i;
}

static void slot_give(struct grpc_server *s, uint32_t i)
{
    s->slots[i].call = NULL;
    s->slots[i].generation++;
    s->slots[i].next_free = s->slot_free;
    s->slot_free = i + 1;
}

static struct grpc_call *call_fresh(void)
{
    struct grpc_call *call = mem_zalloc(sizeof(*call));
    list_node_init(&call->free_node);
    return call;
}

/* Everything but the memory that a recycled call keeps. */
static void call_reset(struct grpc_call *call)
{
    struct buf meta = call->meta;
    struct buf copy = call->copy;
    struct buf text = call->message_text;
    memset(call, 0, sizeof(*call));
    buf_clear(&meta);
    buf_clear(&copy);
    buf_clear(&text);
    call->meta = meta;
    call->copy = copy;
    call->message_text = text;
    list_node_init(&call->free_node);
    list_node_init(&call->ready_node);
    list_node_init(&call->held_node);
    call->parts = call->first_parts;
    call->part_cap = GRPC_PARTS_FIRST;
    call->refusal_status = 200;
}

void grpc_server_call_begin(struct grpc_server *s, struct grpc_call *call)
{
    call_reset(call);
    call->deframer.bytes_max = s->opts.recv_bytes_max;
    call->slot = slot_take(s, call);
    s->stats.streams_open++;
}

struct grpc_call *grpc_server_call_get(struct grpc_server *s)
{
    struct grpc_call *call;
    if (list_is_empty(&s->free_calls)) {
        call = call_fresh();
    } else {
        call = LIST_ENTRY(list_first(&s->free_calls), struct grpc_call, free_node);
        list_remove(&call->free_node);
        s->free_count--;
    }
    grpc_server_call_begin(s, call);
    return call;
}

static void buf_trim(struct buf *b)
{
    if (b->cap > GRPC_COPY_KEPT) {
        buf_deinit(b);
    }
}

void grpc_server_call_end(struct grpc_server *s, struct grpc_call *call)
{
    ensure(call->queued == 0 && call->part_count == 0 && call->deadline.slot == 0);
    slot_give(s, call->slot);
    ensure(s->stats.streams_open > 0);
    s->stats.streams_open--;
    grpc_deframer_deinit(&call->deframer);
    if (call->parts != call->first_parts) {
        mem_free(call->parts);
        call->parts = call->first_parts;
    }
    buf_deinit(&call->held);
    mem_free(call->refusal);
    call->refusal = NULL;
    buf_trim(&call->meta);
    buf_trim(&call->copy);
    buf_trim(&call->message_text);
}

void grpc_server_call_put(struct grpc_server *s, struct grpc_call *call)
{
    grpc_server_call_end(s, call);
    if (s->free_count >= GRPC_CALLS_KEPT) {
        call_free(call);
        return;
    }
    list_push_front(&s->free_calls, &call->free_node);
    s->free_count++;
}

uint64_t grpc_call_id(const struct grpc_call *call)
{
    const struct grpc_slot *slot = &call->conn->server->slots[call->slot];
    return (uint64_t)slot->generation << 32 | (call->slot + 1);
}

struct grpc_call *grpc_server_call_at(struct grpc_server *s, uint64_t id)
{
    uint32_t i = (uint32_t)id - 1;
    if (i >= s->slot_count || s->slots[i].generation != (uint32_t)(id >> 32)) {
        return NULL;
    }
    return s->slots[i].call;
}

/* ---- what a call is ---------------------------------------------------------------------------
 */

const struct grpc_method *grpc_call_method(const struct grpc_call *call)
{
    return call->method;
}

size_t grpc_call_method_index(const struct grpc_call *call)
{
    return container_of(call->stats, struct grpc_entry, stats)->index;
}

void *grpc_call_service(const struct grpc_call *call)
{
    return call->service;
}

struct grpc_server *grpc_call_server(const struct grpc_call *call)
{
    return call->conn->server;
}

void *grpc_call_user(struct grpc_call *call)
{
    return call->user;
}

uint64_t grpc_call_deadline_ms(const struct grpc_call *call)
{
    if (call->remote != NULL) {
        return call->remote->deadline_ms(call);
    }
    return call->deadline.slot != 0 ? call->deadline.at_ms : 0;
}

const char *grpc_call_peer(const struct grpc_call *call)
{
    return call->remote != NULL ? call->remote->peer(call) : call->conn->peer;
}

const char *grpc_call_peer_common_name(const struct grpc_call *call)
{
    return call->remote != NULL ? call->remote->common_name(call) : call->conn->common_name;
}

/* The entry at *at, which moves behind it; false at the end. */
static bool meta_next(const struct grpc_call *call, size_t *at, struct slice *name,
                      struct slice *value)
{
    if (*at >= call->meta.len) {
        return false;
    }
    const uint8_t *p = call->meta.data + *at;
    uint32_t name_len = load_le32(p);
    uint32_t value_len = load_le32(p + 4);
    *name = slice_make(p + 8, name_len);
    *value = slice_make(p + 8 + name_len, value_len);
    *at += 8 + (size_t)name_len + value_len;
    ensure(*at <= call->meta.len);
    return true;
}

struct slice grpc_call_metadata(const struct grpc_call *call, const char *name)
{
    struct slice want = slice_cstr(name);
    struct slice n, v;
    for (size_t at = 0; meta_next(call, &at, &n, &v);) {
        if (slice_equal(n, want)) {
            return v;
        }
    }
    return SLICE_NULL;
}

bool grpc_call_metadata_at(const struct grpc_call *call, size_t i, struct slice *out_name,
                           struct slice *out_value)
{
    struct slice n, v;
    for (size_t at = 0; meta_next(call, &at, &n, &v);) {
        if (n.len > 0 && n.data[0] == ':') {
            continue;
        }
        if (i == 0) {
            *out_name = n;
            *out_value = v;
            return true;
        }
        i--;
    }
    return false;
}
