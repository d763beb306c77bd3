/* SPDX-License-Identifier: Apache-2.0
 *
 * server/join: see join.h.
 */
#include "server/join.h"

#include "base/log.h"
#include "os/os.h"
#include "peer/ask.h"
#include "server/internal.h"

struct asking {
    struct env *env;
    const struct rpc_tls_factory *tls;
    struct join *join;
};

static void ask_next(struct asking *a);

static void on_answer(void *arg, const struct peer_answer *answer)
{
    struct asking *a = arg;
    struct join_reply reply = {
        .err = answer->err == 0 && answer->status != 200 ? ERR_NOT_FOUND : answer->err,
        .cluster_id = answer->cluster_id,
        .body = answer->body,
    };
    join_answer(a->join, &reply);
    ask_next(a);
}

static void ask_next(struct asking *a)
{
    struct join_question jq;
    if (!join_question(a->join, &jq)) {
        os_loop_stop(a->env);
        return;
    }
    struct strs url = {NULL, 0};
    strs_add(&url, slice_cstr(jq.url));
    struct peer_question q = {
        .env = a->env,
        .tls = a->tls,
        .urls = &url,
        .method = "GET",
        .path = jq.path,
        .url_timeout_ms = jq.timeout_ms,
        .takes_any_status = true,
        .on_answer = on_answer,
        .arg = a,
    };
    (void)peer_ask_start(&q);
    strs_deinit(&url);
}

static int ask_all(struct asking *a, struct join_result *out, struct buf *error)
{
    struct join_question first;
    if (join_question(a->join, &first)) {
        ask_next(a);
        os_loop_run(a->env);
    }
    return join_finish(a->join, out, error);
}

int server_join(struct env *env, const struct config *config, struct join_result *out,
                struct buf *error)
{
    const struct driver_config *dc = &config->server.driver;
    struct server_resolver resolver;
    server_resolver_init(&resolver, env);
    struct join_options opts = {
        .initial_cluster = dc->initial_cluster,
        .token = dc->initial_cluster_token,
        .name = dc->name,
        .advertised = &config->advertise_peer_urls,
        .resolver = &resolver.base,
        .is_existing = config->server.is_existing,
        .max_learners = dc->max_learners,
        .request_timeout_ms = (uint32_t)config->server.request_timeout_ms,
    };
    struct asking a = {.env = env, .tls = config->server.peer_dial_tls};
    int err = join_create(&opts, &a.join, error);
    if (err == 0) {
        err = ask_all(&a, out, error);
        join_destroy(a.join);
    }
    return err;
}
