/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_upgrade: upgrade finish: raises a cluster, one minor version at a time, to the newest one
 * that all of its members can be (design.md 1).  Cairn's own; not there under etcd's names.
 *
 *     all members -> what each is -> next version -> raise those below it
 *          ^                                                  |
 *          '--------- until the leader has raised the cluster -'
 *
 * Nothing is raised while a member cannot be asked, or is an older etcd: its program comes first.
 */
#include <inttypes.h>

#include "cmd/ctl.h"
#include "schema/level.h"

enum { UPGRADE_WAIT_MS = 60000, UPGRADE_POLL_MS = 250 };

#define METHOD_STATUS "/cairnpb.Upgrade/Status"
#define METHOD_RAISE "/cairnpb.Upgrade/Raise"

struct upgrade_member {
    const Etcdserverpb__Member *member;
    bool is_cairn;
    struct semver version; /* X.Y.0 */
    struct semver cluster; /* Cairn only */
};

struct upgrade {
    struct ctl *c;
    struct upgrade_member *members;
    size_t count;
    struct semver cluster; /* the highest that a member told */
    bool has_cairn;
};

/* ---- asking ---- */

static struct semver minor_of(struct slice text)
{
    struct semver v = {0};
    if (semver_parse(text, &v) != 0) {
        return (struct semver){0};
    }
    v.patch = 0;
    return v;
}

/* State{1: version, 2: highest, 3: cluster version} */
static int read_state(struct ctl *c, struct slice msg, struct upgrade_member *m)
{
    struct wire_scan s;
    for (wire_scan_init(&s, msg); wire_scan_next(&s);) {
        if (s.type == WIRE_LEN && s.field == 1) {
            m->version = minor_of(s.bytes);
        } else if (s.type == WIRE_LEN && s.field == 3) {
            m->cluster = minor_of(s.bytes);
        }
    }
    m->is_cairn = true;
    bool is_bad = s.err != 0 || semver_is_none(m->version) || semver_is_none(m->cluster);
    return is_bad ? ctl_bad_reply(c, ERR_MALFORMED) : 0;
}

/* An etcd member says what it is in its status. */
static int ask_etcd(struct ctl *c, struct client *client, struct upgrade_member *m)
{
    Etcdserverpb__StatusRequest req = ETCDSERVERPB__STATUS_REQUEST__INIT;
    Etcdserverpb__StatusResponse resp;
    int rc = ctl_ask_pb(c, client, "/etcdserverpb.Maintenance/Status", CTL_READ, &req.base,
                        &etcdserverpb__status_response__descriptor, &resp.base, NULL);
    if (rc == 0) {
        m->is_cairn = false;
        m->version = minor_of(slice_cstr(resp.version));
    }
    return rc;
}

/* to NULL: only asked, else raised to that version. */
static int ask_member(struct ctl *c, struct upgrade_member *m, const char *to)
{
    struct buf body = BUF_INIT, reply = BUF_INIT;
    struct client *client;
    size_t count = m->member->n_clienturls;
    struct slice *urls = arena_alloc(&c->cli->arena, (count + 1) * sizeof(*urls));
    for (size_t i = 0; i < count; i++) {
        urls[i] = slice_cstr(m->member->clienturls[i]);
    }
    int rc = ctl_connect_to(c, urls, count, &client);
    if (rc != 0) {
        return rc;
    }
    if (to != NULL) {
        wire_append_bytes(&body, 1, slice_cstr(to));
    }
    rc = ctl_ask(c, client, to == NULL ? METHOD_STATUS : METHOD_RAISE, CTL_READ, buf_slice(&body),
                 &reply);
    if (rc != 0 && to == NULL && c->error.code == GRPC_UNIMPLEMENTED) {
        rc = ask_etcd(c, client, m);
    } else if (rc == 0) {
        rc = read_state(c, buf_slice(&reply), m);
    }
    client_destroy(client);
    buf_deinit(&body);
    buf_deinit(&reply);
    return rc;
}

static int fail_member(struct ctl *c, const Etcdserverpb__Member *m, const char *what)
{
    return ctl_fail(&c->fail, CTL_RC_ERROR, "member %" PRIx64 " (%s) %s", m->id,
                    m->name[0] == '\0' ? "unstarted" : m->name, what);
}

static int ask_all(struct upgrade *u)
{
    struct ctl *c = u->c;
    int rc = 0;
    u->has_cairn = false;
    for (size_t i = 0; rc == 0 && i < u->count; i++) {
        struct upgrade_member *m = &u->members[i];
        rc = ask_member(c, m, NULL);
        if (rc != 0) {
            struct buf what = BUF_INIT;
            buf_printf(&what, "cannot be asked: %s", buf_cstr(&c->fail.text));
            rc = fail_member(c, m->member, buf_cstr(&what));
            buf_deinit(&what);
        } else if (m->is_cairn) {
            u->has_cairn = true;
            u->cluster = semver_compare(m->cluster, u->cluster) > 0 ? m->cluster : u->cluster;
        }
    }
    return rc;
}

static int find_members(struct upgrade *u)
{
    struct ctl *c = u->c;
    struct client *client;
    Etcdserverpb__MemberListRequest req = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    Etcdserverpb__MemberListResponse resp;
    int rc = ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    req.linearizable = true;
    rc = ctl_ask_pb(c, client, "/etcdserverpb.Cluster/MemberList", CTL_READ, &req.base,
                    &etcdserverpb__member_list_response__descriptor, &resp.base, NULL);
    client_destroy(client);
    if (rc != 0) {
        return rc;
    }
    u->count = resp.n_members;
    u->members = arena_zalloc(&c->cli->arena, (u->count + 1) * sizeof(*u->members));
    for (size_t i = 0; i < u->count; i++) {
        u->members[i].member = resp.members[i];
        if (resp.members[i]->n_clienturls == 0) {
            return fail_member(c, resp.members[i],
                               "has not been started: start it, or remove it, first");
        }
    }
    return 0;
}

/* ---- one step ---- */

/* What holds the cluster back, or 0. */
static int check_members(struct upgrade *u, struct semver next)
{
    for (size_t i = 0; i < u->count; i++) {
        const struct upgrade_member *m = &u->members[i];
        if (!m->is_cairn && semver_compare(m->version, next) < 0) {
            struct buf what = BUF_INIT;
            buf_printf(&what,
                       "is etcd %u.%u and holds the cluster at %u.%u: replace its program first",
                       m->version.major, m->version.minor, u->cluster.major, u->cluster.minor);
            int rc = fail_member(u->c, m->member, buf_cstr(&what));
            buf_deinit(&what);
            return rc;
        }
    }
    return 0;
}

static int raise_members(struct upgrade *u, struct semver next)
{
    struct ctl *c = u->c;
    struct buf to = BUF_INIT;
    int rc = 0;
    buf_printf(&to, "%u.%u", next.major, next.minor);
    for (size_t i = 0; rc == 0 && i < u->count; i++) {
        struct upgrade_member *m = &u->members[i];
        if (!m->is_cairn || semver_compare(m->version, next) >= 0) {
            continue;
        }
        rc = ask_member(c, m, buf_cstr(&to));
        if (rc == 0) {
            buf_printf(&c->out, "Member %16" PRIx64 " raised to %s\n", m->member->id,
                       buf_cstr(&to));
            ctl_flush(c);
        }
    }
    buf_deinit(&to);
    return rc;
}

struct pause {
    struct env_timer timer;
    struct ctl *c;
};

static void pause_over(struct env_timer *t)
{
    struct pause *p = container_of(t, struct pause, timer);
    p->c->runner.stop(p->c->runner.arg);
}

static void wait_a_little(struct ctl *c)
{
    struct env_exec *exec = c->env->exec;
    struct pause p = {.timer = {.fire = pause_over}, .c = c};
    exec->ops->timer_start(exec, &p.timer, UPGRADE_POLL_MS);
    c->runner.run(c->runner.arg);
}

/* The leader raises the cluster within seconds once all members can. */
static int wait_for_cluster(struct upgrade *u, struct semver next)
{
    struct ctl *c = u->c;
    for (int waited = 0; waited < UPGRADE_WAIT_MS; waited += UPGRADE_POLL_MS) {
        int rc = ask_all(u);
        if (rc != 0) {
            return rc;
        }
        if (semver_compare(u->cluster, next) >= 0) {
            buf_printf(&c->out, "Cluster version is now %u.%u\n", next.major, next.minor);
            ctl_flush(c);
            return 0;
        }
        wait_a_little(c);
    }
    return ctl_fail(&c->fail, CTL_RC_ERROR,
                    "the cluster version is still %u.%u after a minute: look for \"failed to get "
                    "version\" in the leader's log, then run this again",
                    u->cluster.major, u->cluster.minor);
}

/* ---- the command ---- */

static int finish(struct upgrade *u, struct semver target)
{
    struct ctl *c = u->c;
    int rc = find_members(u);
    rc = rc != 0 ? rc : ask_all(u);
    if (rc == 0 && !u->has_cairn) {
        return ctl_fail(&c->fail, CTL_RC_ERROR,
                        "no member runs Cairn: an etcd cluster rises by itself when all of its "
                        "programs are replaced");
    }
    if (rc == 0 && semver_compare(u->cluster, target) >= 0) {
        buf_printf(&c->out, "Cluster version is %u.%u: nothing to raise\n", u->cluster.major,
                   u->cluster.minor);
    }
    while (rc == 0 && semver_compare(u->cluster, target) < 0) {
        const struct semver next = {u->cluster.major, u->cluster.minor + 1, 0};
        rc = check_members(u, next);
        rc = rc != 0 ? rc : raise_members(u, next);
        rc = rc != 0 ? rc : wait_for_cluster(u, next);
    }
    return rc;
}

int ctl_run_upgrade_finish(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct upgrade u = {.c = c};
    struct slice to = cli_text(ctx, "to");
    struct semver target = minor_of(to);
    enum level level;
    int rc = ctl_need_args(c, 0, "upgrade finish command accepts no arguments");
    if (rc == 0 && level_from_version(target, &level) != 0) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "--to takes 3.6 or 3.7, not \"%s\"",
                      ctl_cstr(c, to));
    }
    return rc != 0 ? rc : finish(&u, target);
}
