/* SPDX-License-Identifier: Apache-2.0 */
#include "server/failpoint.h"

#include "base/bytes.h"
#include "base/err.h"
#include "base/gotext.h"
#include "base/log.h"
#include "os/failpoint.h"
#include "os/os.h"
#include "rpc/rpc.h"

static const char COUNT[] = "/count";
static const char MANY[] = "failpoints";

/* A PUT that was answered and is not yet in force. */
struct arming {
    struct list_node node;
    struct buf name;
    struct buf terms;
};

struct failpoint_server {
    struct os_failpoints *points;
    const char *addr; /* NULL: no port */
    struct os_thread *thread;
    /* of the thread */
    struct env *env;
    struct rpc_server *rpc;
    struct rpc_http_handler handler;
    struct list armings;
};

/* ---- answers ---- */

static void answer(struct rpc_http_req *req, int status, const struct buf *body)
{
    static const struct rpc_http_header plain[] = {
        {"Content-Type", {(const uint8_t *)"text/plain; charset=utf-8", 25}},
        {"X-Content-Type-Options", {(const uint8_t *)"nosniff", 7}},
    };
    rpc_http_respond(req, status, plain, status < 400 ? 1 : 2, buf_slice(body));
}

static void answer_empty(struct rpc_http_req *req)
{
    rpc_http_respond(req, 204, NULL, 0, SLICE_NULL);
}

PRINTF_LIKE(3, 4)
static void answer_error(struct rpc_http_req *req, int status, const char *fmt, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    buf_append_byte(&text, '\n');
    answer(req, status, &text);
    buf_deinit(&text);
}

/* ---- GET ---- */

static void list_all(struct failpoint_server *s, struct rpc_http_req *req)
{
    struct buf out = BUF_INIT;
    for (enum failpoint i = 0; i < FAILPOINT_COUNT; i++) {
        uint64_t count;
        buf_printf(&out, "%s=", failpoint_name(i));
        (void)!os_failpoint_get(s->points, slice_cstr(failpoint_name(i)), &out, &count);
        buf_append_byte(&out, '\n');
    }
    answer(req, 200, &out);
    buf_deinit(&out);
}

static bool count_is_asked(struct slice *name)
{
    size_t len = sizeof(COUNT) - 1;
    if (name->len < len || memcmp(name->data + name->len - len, COUNT, len) != 0) {
        return false;
    }
    name->len -= len;
    return true;
}

static void get_one(struct failpoint_server *s, struct rpc_http_req *req, struct slice name)
{
    struct buf out = BUF_INIT;
    uint64_t count = 0;
    bool wants_count = count_is_asked(&name);
    int err = os_failpoint_get(s->points, name, &out, &count);
    if (err != 0) {
        bool is_disabled_count = wants_count && err == ERR_AGAIN;
        answer_error(req, is_disabled_count ? 500 : 404, "failed to GET: %s",
                     os_failpoint_text(err));
    } else if (wants_count) {
        buf_clear(&out);
        buf_printf(&out, "%llu", (unsigned long long)count);
        answer(req, 200, &out);
    } else {
        buf_append_byte(&out, '\n');
        answer(req, 200, &out);
    }
    buf_deinit(&out);
}

/* ---- PUT ---- */

static int check_one(void *arg, struct slice name, struct slice terms)
{
    (void)arg;
    return os_failpoint_check(name, terms);
}

static int arm_one(void *arg, struct slice name, struct slice terms)
{
    const struct failpoint_server *s = arg;
    return os_failpoint_arm(s->points, name, terms);
}

static int each(struct failpoint_server *s, struct slice name, struct slice terms,
                int (*fn)(void *arg, struct slice name, struct slice terms), struct slice *out_bad)
{
    *out_bad = SLICE_NULL;
    return slice_equal_cstr(name, MANY) ? os_failpoints_each(terms, fn, s, out_bad)
                                        : fn(s, name, terms);
}

static void arming_free(struct arming *a)
{
    buf_deinit(&a->name);
    buf_deinit(&a->terms);
    mem_free(a);
}

/* Behind the write of the answers of this turn. */
static void arm_answered(void *arg)
{
    struct failpoint_server *s = arg;
    LIST_FOREACH (&s->armings, n) {
        struct arming *a = LIST_ENTRY(n, struct arming, node);
        struct slice bad;
        list_remove(n);
        int err = each(s, buf_slice(&a->name), buf_slice(&a->terms), arm_one, &bad);
        ensure(err == 0); /* it was checked */
        arming_free(a);
    }
}

static void put(struct failpoint_server *s, struct rpc_http_req *req, struct slice name)
{
    struct slice terms = rpc_http_body(req), bad;
    int err = each(s, name, terms, check_one, &bad);
    if (err != 0 && bad.data != NULL) {
        struct buf quoted = BUF_INIT;
        gotext_quote(&quoted, bad);
        answer_error(req, 400, "fail to parse failpoint: bad failpoint %s", buf_cstr(&quoted));
        buf_deinit(&quoted);
        return;
    }
    if (err != 0) {
        answer_error(req, 400, "fail to set failpoint: %s", os_failpoint_text(err));
        return;
    }
    struct arming *a = mem_zalloc(sizeof(*a));
    buf_append_slice(&a->name, name);
    buf_append_slice(&a->terms, terms);
    list_push_back(&s->armings, &a->node);
    answer_empty(req);
    s->env->exec->ops->defer(s->env->exec, arm_answered, s);
}

/* ---- the port ---- */

static void disarm(struct failpoint_server *s, struct rpc_http_req *req, struct slice name)
{
    int err = os_failpoint_disarm(s->points, name);
    if (err != 0) {
        answer_error(req, 400, "failed to delete failpoint %s", os_failpoint_text(err));
        return;
    }
    answer_empty(req);
}

static void on_request(void *arg, struct rpc_http_req *req)
{
    struct failpoint_server *s = arg;
    struct slice method = rpc_http_method(req);
    struct slice name = slice_skip(rpc_http_path(req), 1); /* the prefix "/" has matched */
    if (slice_equal_cstr(method, "GET") && name.len == 0) {
        list_all(s, req);
    } else if (slice_equal_cstr(method, "GET")) {
        get_one(s, req, name);
    } else if (slice_equal_cstr(method, "PUT")) {
        put(s, req, name);
    } else if (slice_equal_cstr(method, "DELETE")) {
        disarm(s, req, name);
    } else {
        answer_error(req, 405, "Method not allowed");
    }
}

static int thread_setup(void *arg, struct env *env)
{
    struct failpoint_server *s = arg;
    const struct rpc_server_options o = {.env = env};
    const struct rpc_listen_options lo = {
        .accept = RPC_ACCEPT_HTTP,
        .has_plain = true,
        .handlers = &s->handler,
        .handler_count = 1,
    };
    struct rpc_listener *listener;
    s->env = env;
    s->handler = (struct rpc_http_handler){
        .prefix = "/", .is_whole = true, .on_request = on_request, .arg = s};
    list_init(&s->armings);
    s->rpc = rpc_server_create(&o);
    int err = rpc_server_listen(s->rpc, s->addr, &lo, &listener);
    if (err != 0) {
        rpc_server_destroy(s->rpc);
        return err;
    }
    log_warn("failpoints are served: this member is under test",
             LOG_STR("address", rpc_listener_name(listener)));
    return 0;
}

static void on_stopped(void *arg)
{
    const struct failpoint_server *s = arg;
    os_loop_stop(s->env);
}

static void thread_teardown(void *arg)
{
    struct failpoint_server *s = arg;
    rpc_server_stop(s->rpc, 0, on_stopped, s);
    os_loop_run(s->env);
    rpc_server_destroy(s->rpc);
}

/* ---- life ---- */

static int arm_or_say(void *arg, struct slice name, struct slice terms)
{
    int err = arm_one(arg, name, terms);
    if (err != 0) {
        log_error("a failpoint was not armed", LOG_SLICE("name", name), LOG_SLICE("terms", terms),
                  LOG_STR("error", os_failpoint_text(err)));
    }
    return 0; /* as gofail: the others count */
}

static int arm_first(struct failpoint_server *s, const char *armed, struct buf *text)
{
    struct slice bad = SLICE_NULL;
    int err = os_failpoints_each(slice_cstr(armed), arm_or_say, s, &bad);
    if (err != 0) {
        buf_append_cstr(text, "GOFAIL_FAILPOINTS: bad failpoint ");
        gotext_quote(text, bad);
    }
    return err;
}

static int serve(struct failpoint_server *s, struct buf *text)
{
    const struct os_thread_options o = {
        .name = "cairn-fail", .setup = thread_setup, .teardown = thread_teardown, .arg = s};
    int err = os_thread_start(&o, &s->thread);
    if (err != 0) {
        buf_printf(text, "GOFAIL_HTTP: listen %s: %s", s->addr, os_last_text_go());
    }
    return err;
}

int failpoint_open(struct env *env, struct failpoint_server **out, struct buf *text)
{
    const char *armed = os_getenv("GOFAIL_FAILPOINTS");
    const char *addr = os_getenv("GOFAIL_HTTP");
    bool has_armed = armed != NULL && armed[0] != 0;
    bool has_port = addr != NULL && addr[0] != 0;
    *out = NULL;
    if (!has_armed && !has_port) {
        return 0;
    }
    uint8_t seed[8];
    env->rand->ops->fill(env->rand, seed, sizeof(seed));
    struct failpoint_server *s = mem_zalloc(sizeof(*s));
    s->points = os_failpoints_create(load_le64(seed));
    s->addr = addr;
    int err = has_armed ? arm_first(s, armed, text) : 0;
    if (err == 0 && has_port) {
        err = serve(s, text);
    }
    if (err != 0) {
        failpoint_close(s);
        return err;
    }
    *out = s;
    return 0;
}

void failpoint_close(struct failpoint_server *s)
{
    if (s == NULL) {
        return;
    }
    if (s->thread != NULL) {
        os_thread_join(s->thread);
    }
    os_failpoints_destroy(s->points);
    mem_free(s);
}
