/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client_sync.h"

#include "wire/kv.h"

void client_error_init(struct client_error *e)
{
    *e = (struct client_error){.text = BUF_INIT, .desc = BUF_INIT};
}

void client_error_deinit(struct client_error *e)
{
    buf_deinit(&e->text);
    buf_deinit(&e->desc);
}

struct waiting {
    const struct client_runner *runner;
    struct client_call *call;
    int (*on_message)(void *arg, struct slice msg);
    void *arg;
    struct client_error *error;
    int result;
    bool is_done;
};

static void on_message(void *arg, struct slice msg)
{
    struct waiting *w = arg;
    if (w->result != 0) {
        return;
    }
    w->result = w->on_message(w->arg, msg);
    if (w->result != 0) {
        w->runner->stop(w->runner->arg);
    }
}

static int error_of(const struct client_status *status)
{
    if (status->code == GRPC_OK) {
        return 0;
    }
    int err = err_rpc_from_text((const char *)status->text.data, status->text.len);
    return err != 0 ? err : ERR_NET;
}

static void on_done(void *arg, const struct client_status *status)
{
    struct waiting *w = arg;
    w->is_done = true;
    w->runner->stop(w->runner->arg);
    if (w->result != 0) {
        return;
    }
    w->result = error_of(status);
    w->error->code = status->code;
    w->error->is_deadline = status->is_deadline;
    buf_clear(&w->error->text);
    buf_clear(&w->error->desc);
    if (status->code != GRPC_OK) {
        client_status_text(status, &w->error->text);
        buf_append_slice(&w->error->desc, status->text);
    }
}

static int no_memory(struct client_error *error)
{
    error->code = GRPC_RESOURCE_EXHAUSTED;
    buf_clear(&error->text);
    buf_append_cstr(&error->text, err_text(ERR_NOMEM));
    return ERR_NOMEM;
}

static int ask(struct client *c, const struct client_request *req, bool is_stream,
               struct waiting *w)
{
    w->call = client_call_start(c, &(struct client_call_options){.method = req->method,
                                                                 .body = req->body,
                                                                 .is_read = req->is_read,
                                                                 .is_stream = is_stream,
                                                                 .timeout_ms = req->timeout_ms,
                                                                 .on_message = on_message,
                                                                 .on_done = on_done,
                                                                 .arg = w});
    if (w->call == NULL) {
        return no_memory(w->error);
    }
    while (!w->is_done && w->result == 0) {
        w->runner->run(w->runner->arg);
    }
    if (!w->is_done) {
        client_call_cancel(w->call);
    }
    return w->result;
}

struct reply {
    struct buf *out;
    size_t count;
};

static int take_reply(void *arg, struct slice msg)
{
    struct reply *r = arg;
    r->count++;
    if (buf_try_reserve(r->out, msg.len) != 0) {
        return ERR_NOMEM;
    }
    buf_append_slice(r->out, msg);
    return 0;
}

int client_ask(struct client *c, const struct client_runner *r, const struct client_request *req,
               struct buf *out, struct client_error *error)
{
    struct reply reply = {.out = out};
    struct waiting w = {.runner = r, .on_message = take_reply, .arg = &reply, .error = error};
    buf_clear(out);
    int err = ask(c, req, false, &w);
    if (err == ERR_NOMEM) {
        return no_memory(error);
    }
    if (err == 0 && reply.count != 1) {
        error->code = GRPC_INTERNAL;
        buf_append_cstr(&error->text, "rpc error: code = Internal desc = cardinality violation: "
                                      "received no response message from non-server-streaming RPC");
        err = ERR_NET;
    }
    return err;
}

int client_ask_stream(struct client *c, const struct client_runner *r,
                      const struct client_request *req, int (*fn)(void *arg, struct slice msg),
                      void *arg, struct client_error *error)
{
    struct waiting w = {.runner = r, .on_message = fn, .arg = arg, .error = error};
    return ask(c, req, true, &w);
}

int client_login(struct client *c, const struct client_runner *r, const char *user,
                 const char *password, uint64_t timeout_ms, struct client_error *error)
{
    struct buf body = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct wire_scan s;
    char *token = NULL;
    wire_append_bytes(&body, 1, slice_cstr(user));
    wire_append_bytes(&body, 2, slice_cstr(password));
    struct client_request req = {.method = "/etcdserverpb.Auth/Authenticate",
                                 .body = buf_slice(&body),
                                 .is_read = true,
                                 .timeout_ms = timeout_ms};
    int err = client_ask(c, r, &req, &reply, error);
    if (err == 0) {
        wire_scan_init(&s, buf_slice(&reply));
        while (wire_scan_next(&s)) {
            if (s.field == 2 && s.type == WIRE_LEN) {
                mem_free(token);
                token = mem_strndup(s.bytes.data, s.bytes.len);
            }
        }
        err = s.err;
    }
    if (err == 0 && token != NULL) {
        client_token_set(c, token);
        client_credentials_set(c, user, password);
    }
    mem_free(token);
    buf_deinit(&body);
    buf_deinit(&reply);
    return err == ERR_RPC_AUTH_NOT_ENABLED ? 0 : err;
}
