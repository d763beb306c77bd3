/* SPDX-License-Identifier: Apache-2.0 */
#include "member/join.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"

enum join_phase { JOIN_MEMBERS, JOIN_VERSIONS, JOIN_OVER };

struct join {
    struct join_options o; /* texts are not used after join_create, but for name */
    char *name;
    enum join_phase phase;
    size_t member; /* VERSIONS: whom, and which of the URLs */
    size_t url;    /* MEMBERS: which of urls */
    struct strs urls;
    struct membership local;
    struct membership remotes;
    uint64_t cluster_id;
    bool has_cluster;              /* an answer with members came */
    bool is_empty;                 /* an answer without members came: the end of asking */
    struct member_answer *answers; /* of local's members, in order */
    int err;
    struct buf error;
};

/* ---- begin ---- */

/* The others' URLs, ascending. */
static void remote_urls(const struct membership *ms, const char *name, struct strs *out)
{
    for (size_t i = 0; i < ms->count; i++) {
        const struct member *m = &ms->members[i];
        if (strcmp(m->name, name) == 0) {
            continue;
        }
        for (size_t k = 0; k < m->peer_urls.count; k++) {
            strs_add(out, slice_cstr(m->peer_urls.items[k]));
        }
    }
    strs_sort(out);
}

static int check_flags(const struct join_options *o, const struct initial_cluster *ic,
                       struct buf *error)
{
    return o->is_existing ? initial_cluster_verify_join(ic, o->name, o->has_discovery, error)
                          : initial_cluster_verify_bootstrap(ic, o->name, o->advertised,
                                                             o->has_discovery, o->resolver, error);
}

int join_create(const struct join_options *opts, struct join **out, struct buf *error)
{
    struct initial_cluster ic;
    struct membership local;
    int err = initial_cluster_parse(opts->initial_cluster, &ic, error);
    if (err != 0) {
        return err;
    }
    err = check_flags(opts, &ic, error);
    if (err == 0) {
        err = initial_cluster_members(&ic, opts->token, &local, error);
    }
    initial_cluster_deinit(&ic);
    if (err != 0) {
        return err;
    }
    struct join *j = mem_zalloc(sizeof(*j));
    j->o = *opts;
    j->name = mem_strdup(opts->name);
    j->local = local;
    membership_init(&j->remotes);
    remote_urls(&j->local, j->name, &j->urls);
    *out = j;
    return 0;
}

void join_destroy(struct join *j)
{
    mem_free(j->name);
    mem_free(j->answers);
    strs_deinit(&j->urls);
    membership_deinit(&j->local);
    membership_deinit(&j->remotes);
    buf_deinit(&j->error);
    mem_free(j);
}

/* ---- asking ---- */

static bool is_self(const struct join *j, const struct member *m)
{
    return strcmp(m->name, j->name) == 0;
}

/* The member that is asked for its version, or NULL behind the last one. */
static const struct member *version_target(const struct join *j)
{
    return j->member < j->local.count ? &j->local.members[j->member] : NULL;
}

bool join_question(const struct join *j, struct join_question *out)
{
    if (j->phase == JOIN_MEMBERS && j->url < j->urls.count) {
        *out = (struct join_question){
            .url = j->urls.items[j->url],
            .path = "/members",
            .timeout_ms = j->o.is_existing ? JOIN_TIMEOUT_EXISTING_MS : JOIN_TIMEOUT_NEW_MS,
        };
        return true;
    }
    const struct member *m = version_target(j);
    if (j->phase == JOIN_VERSIONS && m != NULL) {
        *out = (struct join_question){.url = m->peer_urls.items[j->url],
                                      .path = "/version",
                                      .timeout_ms = j->o.request_timeout_ms};
        return true;
    }
    return false;
}

/* Moves to the next member that has somebody to ask. */
static void version_next(struct join *j)
{
    const struct member *m;
    j->url = 0;
    do {
        j->member++;
        m = version_target(j);
    } while (m != NULL && (is_self(j, m) || m->peer_urls.count == 0));
}

static int fail(struct join *j, int err, const char *what, const char *why)
{
    j->phase = JOIN_OVER;
    j->err = err;
    buf_printf(&j->error, "%s%s", what, why);
    return err;
}

/* {ClusterID:.. Members:[&{..} ..] RemovedMemberIDs:[]}, as Go prints it. */
static void describe(const struct join *j, struct buf *out)
{
    buf_printf(out, "{ClusterID:%" PRIx64 " Members:[", j->cluster_id);
    for (size_t i = 0; i < j->remotes.count; i++) {
        const struct member *m = &j->remotes.members[i];
        buf_printf(out, "%s&{ID:%" PRIx64 " RaftAttributes:{PeerURLs:[", i > 0 ? " " : "", m->id);
        strs_join(out, &m->peer_urls, " ");
        buf_printf(out, "] IsLearner:%s} Attributes:{Name:%s ClientURLs:[",
                   m->is_learner ? "true" : "false", m->name);
        strs_join(out, &m->client_urls, " ");
        buf_append_cstr(out, "]}}");
    }
    buf_append_cstr(out, "] RemovedMemberIDs:[]}");
}

/* The list is there: ids for our own, and on to the versions. */
static int match(struct join *j)
{
    struct buf why = BUF_INIT;
    struct buf text = BUF_INIT;
    int err = membership_match_existing(&j->local, &j->remotes, j->o.resolver, &why);
    if (err == 0 && membership_find_name(&j->local, j->name) == NULL) {
        buf_append_cstr(&why, "two existing members have the peer URLs of this one");
        err = ERR_INVALID;
    }
    if (err != 0) {
        buf_append_cstr(&text, "error validating peerURLs ");
        describe(j, &text);
        buf_printf(&text, ": %s", buf_cstr(&why));
        err = fail(j, err, buf_cstr(&text), "");
    }
    buf_deinit(&why);
    buf_deinit(&text);
    return err;
}

static void begin_versions(struct join *j)
{
    j->answers = mem_zalloc(j->local.count * sizeof(j->answers[0]));
    for (size_t i = 0; i < j->local.count; i++) {
        j->answers[i].id = j->local.members[i].id;
    }
    j->phase = JOIN_VERSIONS;
    j->member = SIZE_MAX; /* the next one is the first */
    version_next(j);
}

static int take_members(struct join *j, const struct join_reply *r)
{
    struct membership ms;
    int err = r->err == 0 && r->cluster_id == 0 ? ERR_MALFORMED : r->err;
    if (err == 0) {
        err = member_list_parse(r->body, &ms);
    }
    if (err != 0) {
        return err;
    }
    j->cluster_id = r->cluster_id;
    j->is_empty = ms.count == 0;
    j->has_cluster = ms.count > 0;
    membership_deinit(&j->remotes);
    j->remotes = ms;
    return 0;
}

static void answer_members(struct join *j, const struct join_reply *r)
{
    int err = take_members(j, r);
    if (err != 0) {
        if (j->o.is_existing) {
            log_warn("failed to get cluster response", LOG_STR("address", j->urls.items[j->url]),
                     LOG_ERR(err));
        }
        j->url++;
        return;
    }
    if (j->is_empty || !j->o.is_existing) {
        j->phase = JOIN_OVER;
    } else if (match(j) == 0) {
        begin_versions(j);
    }
}

static void answer_version(struct join *j, const struct join_reply *r)
{
    const struct member *m = version_target(j);
    struct member_answer *a = &j->answers[j->member];
    int err = r->err != 0 ? r->err : member_versions_parse(r->body, &a->versions);
    if (err == 0) {
        a->is_known = true;
        version_next(j);
        return;
    }
    log_warn("failed to reach the peer URL", LOG_STR("address", m->peer_urls.items[j->url]),
             LOG_HEX("remote-member-id", m->id), LOG_ERR(err));
    if (++j->url == m->peer_urls.count) {
        log_warn("failed to get version", LOG_HEX("remote-member-id", m->id), LOG_ERR(err));
        version_next(j);
    }
}

void join_answer(struct join *j, const struct join_reply *reply)
{
    struct join_question q;
    ensure(join_question(j, &q));
    if (j->phase == JOIN_MEMBERS) {
        answer_members(j, reply);
    } else {
        answer_version(j, reply);
    }
}

/* ---- end ---- */

static int finish_new(struct join *j)
{
    const struct member *self = membership_find_name(&j->local, j->name);
    const struct member *there = membership_find(&j->remotes, self->id);
    if (there == NULL || there->client_urls.count == 0) {
        return 0;
    }
    char text[SCHEMA_ID_KEY_MAX + 40];
    (void)snprintf(text, sizeof(text), "member %" PRIx64, self->id);
    return fail(j, ERR_EXISTS, text, " has already been bootstrapped");
}

static int finish_existing(struct join *j, enum level *out_level)
{
    static const char what[] = "cannot fetch cluster info from peer urls: ";
    if (!j->has_cluster) {
        return fail(j, ERR_NOT_FOUND, what,
                    j->is_empty ? "failed to get raft cluster member(s) from the given URLs"
                                : "could not retrieve cluster information from the given URLs");
    }
    if (version_join_level(j->answers, j->local.count, out_level) != 0) {
        return fail(j, ERR_VERSION, "incompatible with current running cluster", "");
    }
    if (membership_learner_count(&j->remotes) > j->o.max_learners) {
        return fail(j, ERR_LIMIT, "membership: too many learner members in cluster", "");
    }
    return 0;
}

int join_finish(struct join *j, struct join_result *out, struct buf *error)
{
    struct join_question q;
    enum level level = LEVEL_NEW;
    ensure(!join_question(j, &q));
    int err = j->err;
    if (err == 0) {
        err = j->o.is_existing ? finish_existing(j, &level) : finish_new(j);
    }
    if (err != 0) {
        buf_append_slice(error, buf_slice(&j->error));
        return err;
    }
    *out = (struct join_result){
        .member_id = membership_find_name(&j->local, j->name)->id,
        .cluster_id = j->o.is_existing ? j->cluster_id : membership_cluster_id(&j->local),
        .level = level,
        .members = j->local,
    };
    membership_init(&j->local);
    membership_init(&out->remotes);
    if (j->o.is_existing) {
        out->remotes = j->remotes;
        membership_init(&j->remotes);
    }
    return 0;
}

void join_result_deinit(struct join_result *r)
{
    membership_deinit(&r->members);
    membership_deinit(&r->remotes);
}
