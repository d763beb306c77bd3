/* SPDX-License-Identifier: Apache-2.0
 *
 * test/interop/peer_member: a member without a store (test/lib/peer_node) over real sockets: joins
 * a real etcd cluster, votes, leads and keeps its log.  Driven by peer_test.py.
 *
 *     peer_member ID CLUSTER LEVEL ADDR SNAP_DIR [PEER_ID=URL]...
 *
 * ids in hexadecimal, level 3.5, 3.6 or 3.7.  One line on stdout for what happens:
 *     applied INDEX TERM TYPE HEX        leader ID        snapshot COUNT       removed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>

#include "os/os.h"
#include "test/lib/peer_node.h"

static void on_apply(void *arg, const struct raft_entry *e)
{
    (void)arg;
    printf("applied %llu %llu %d ", (unsigned long long)e->index, (unsigned long long)e->term,
           (int)e->type);
    for (size_t i = 0; i < e->data.len; i++) {
        printf("%02x", e->data.data[i]);
    }
    printf("\n");
}

static void members(void *arg, struct buf *out)
{
    (void)arg;
    buf_append_cstr(out, "[]");
}

static void version(void *arg, struct buf *out)
{
    const struct peer_node *n = arg;
    const struct level_rules *rules = level_rules(n->o.level);
    char text[SEMVER_TEXT_MAX];
    semver_format(rules->version, text);
    buf_printf(out, "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s\"}", rules->server_version, text);
}

static void promote(void *arg, uint64_t id, struct slice token, struct peer_request *r)
{
    (void)arg;
    (void)id;
    (void)token;
    peer_request_fail(r, ERR_RPC_MEMBER_NOT_FOUND);
}

static void lease_renew(void *arg, int64_t lease_id, struct peer_request *r)
{
    (void)arg;
    (void)lease_id;
    peer_request_fail(r, ERR_RPC_LEASE_NOT_FOUND);
}

static void lease_ttl(void *arg, int64_t lease_id, bool wants_keys, struct peer_request *r)
{
    (void)arg;
    (void)lease_id;
    (void)wants_keys;
    peer_request_fail(r, ERR_RPC_LEASE_NOT_FOUND);
}

static void hash_kv(void *arg, int64_t rev, struct peer_request *r)
{
    (void)arg;
    (void)rev;
    peer_request_fail(r, ERR_RPC_FUTURE_REV);
}

static const struct peer_pages pages = {
    .members = members,
    .version = version,
    .promote = promote,
    .hash_kv = hash_kv,
    .lease_renew = lease_renew,
    .lease_ttl = lease_ttl,
};

struct watch {
    struct env *env;
    struct env_timer timer;
    struct peer_node *node;
    uint64_t leader;
    unsigned snapshots;
    bool was_removed;
};

static void look(struct env_timer *t)
{
    struct watch *w = container_of(t, struct watch, timer);
    if (w->node->leader != w->leader) {
        w->leader = w->node->leader;
        printf("leader %llx\n", (unsigned long long)w->leader);
    }
    if (w->node->snapshots_in != w->snapshots) {
        w->snapshots = w->node->snapshots_in;
        printf("snapshot %u\n", w->snapshots);
    }
    if (w->node->told_removed > 0 && !w->was_removed) {
        w->was_removed = true;
        printf("removed\n");
    }
    fflush(stdout);
    w->env->exec->ops->timer_start(w->env->exec, t, 20);
}

static void on_signal(void *arg, int signo)
{
    (void)signo;
    struct watch *w = arg;
    peer_node_stop(w->node);
    os_loop_stop(w->env);
}

static void peers_add(struct peer_node *n, int argc, char **argv)
{
    for (int i = 6; i < argc; i++) {
        const char *eq = strchr(argv[i], '=');
        if (eq != NULL) {
            peer_node_peer_add(n, strtoull(argv[i], NULL, 16), eq + 1);
        }
    }
}

int main(int argc, char **argv)
{
    struct watch w = {.timer.fire = look};
    struct semver v;
    enum level level;
    if (argc < 6 || semver_parse(slice_cstr(argv[3]), &v) != 0 ||
        level_from_version(v, &level) != 0 || os_env_create(NULL, &w.env) != 0) {
        fprintf(stderr, "usage: peer_member ID CLUSTER LEVEL ADDR SNAP_DIR [PEER_ID=URL]...\n");
        return 2;
    }
    struct buf url = BUF_INIT;
    buf_printf(&url, "http://%s", argv[4]);
    struct peer_node_options o = {
        .env = w.env,
        .id = strtoull(argv[1], NULL, 16),
        .cluster_id = strtoull(argv[2], NULL, 16),
        .level = level,
        .listen = argv[4],
        .url = buf_cstr(&url),
        .snap_dir = argv[5],
        .heartbeat_ms = 100,
        .pages = &pages,
        .on_apply = on_apply,
    };
    w.node = peer_node_create(&o, NULL);
    peers_add(w.node, argc, argv);
    if (os_signal_watch(w.env, SIGTERM, on_signal, &w) != 0) {
        return 1;
    }
    w.env->exec->ops->timer_start(w.env->exec, &w.timer, 20);
    os_loop_run(w.env);
    os_loop_run_for(w.env, 2000);
    w.env->exec->ops->timer_stop(w.env->exec, &w.timer);
    if (w.node->rpc_stopped) {
        peer_node_destroy(w.node);
        os_env_destroy(w.env);
    }
    buf_deinit(&url);
    return 0;
}
