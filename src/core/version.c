/* SPDX-License-Identifier: Apache-2.0
 *
 * core/version: the cluster's version, the file's, and this member's level.
 *
 * The leader asks all members what they are (the transport does), every 4 s and when its term has
 * begun, and proposes what they all can (peer-protocol 6.4).  A member is what its level says; the
 * level follows the cluster's version: up, because all others are there already, and down when the
 * cluster was told to go back (6.5).  One step above the cluster it goes by core_raise_level only.
 */
#include <stdio.h>

#include "base/log.h"
#include "core/internal.h"

static const struct semver CLUSTER_VERSION_MIN = {3, 0, 0}; /* nobody could be asked */

/* "3.7", as etcd's log lines have it. */
static void version_short(struct semver v, char out[SEMVER_TEXT_MAX])
{
    (void)snprintf(out, SEMVER_TEXT_MAX, "%u.%u", v.major, v.minor);
}

static struct semver own_version(const struct core *c)
{
    struct semver v = {0};
    const char *text = level_rules(c->config.level)->server_version;
    int err = semver_parse(slice_cstr(text), &v);
    ensure(err == 0);
    return v;
}

static void propose_version(struct core *c, struct semver v)
{
    struct buf body = BUF_INIT;
    char text[SEMVER_TEXT_MAX];
    bool is_first = semver_is_none(apply_cluster_version(c->apply));
    v.patch = 0;
    semver_format(v, text);
    wire_append_bytes(&body, 1, slice_cstr(text));
    version_short(v, text);
    if (is_first) {
        log_info("setting up initial cluster version using v3 API",
                 LOG_STR("cluster-version", text));
    } else {
        char from[SEMVER_TEXT_MAX];
        version_short(apply_cluster_version(c->apply), from);
        log_info("updating cluster version using v3 API", LOG_STR("from", from),
                 LOG_STR("to", text));
    }
    c->is_version_proposed = true;
    core_propose_internal(c, WIRE_INTERNAL_CLUSTER_VERSION_SET, buf_slice(&body));
    buf_deinit(&body);
}

/* ---- what the members are ---- */

/* Of a member, or none. */
static struct semver version_of(const struct core *c, uint64_t id,
                                const struct core_version *versions, size_t count)
{
    if (id == c->config.member_id) {
        return own_version(c);
    }
    for (size_t i = 0; i < count; i++) {
        if (versions[i].member_id == id) {
            return versions[i].version;
        }
    }
    return (struct semver){0};
}

/* The lowest; none when a member could not be asked. */
static struct semver lowest(const struct core *c, const struct core_version *versions, size_t count)
{
    struct semver low = {0};
    for (size_t i = 0; i < c->members->count; i++) {
        struct semver v = version_of(c, c->members->members[i].id, versions, count);
        if (semver_is_none(v)) {
            return v;
        }
        if (semver_is_none(low) || semver_compare(v, low) < 0) {
            low = v;
        }
    }
    return low;
}

static bool is_minor(struct semver a, struct semver b)
{
    return a.major == b.major && a.minor == b.minor;
}

static bool is_one_below(struct semver low, struct semver high)
{
    return low.major == high.major && low.minor + 1 == high.minor;
}

static bool all_are(const struct core *c, struct semver want, const struct core_version *versions,
                    size_t count)
{
    for (size_t i = 0; i < c->members->count; i++) {
        if (!is_minor(version_of(c, c->members->members[i].id, versions, count), want)) {
            return false;
        }
    }
    return true;
}

/* None: leave it as it is. */
static struct semver decide_downgrade(struct semver cluster, struct semver low,
                                      const struct schema_downgrade *d)
{
    struct semver none = {0}, target = {0};
    if (semver_parse(slice_cstr(d->target), &target) != 0 || is_minor(target, cluster)) {
        return none;
    }
    if (!is_one_below(target, cluster) || !is_one_below(target, low)) {
        log_error("invalid downgrade target", LOG_STR("downgrade-target", d->target));
        return none;
    }
    return target;
}

static struct semver decide(const struct core *c, struct semver low)
{
    struct semver cluster = apply_cluster_version(c->apply);
    struct schema_downgrade d = apply_downgrade(c->apply);
    struct semver none = {0};
    if (semver_is_none(cluster)) {
        return semver_is_none(low) ? CLUSTER_VERSION_MIN : low;
    }
    if (semver_is_none(low)) {
        return none;
    }
    if (d.enabled) {
        return decide_downgrade(cluster, low, &d);
    }
    low.patch = 0;
    struct semver oldest = level_rules(LEVEL_3_5)->version;
    if (semver_compare(cluster, oldest) < 0 && semver_compare(low, oldest) == 0) {
        return none; /* a directory of 3.4: that etcd may still take it back */
    }
    return semver_compare(cluster, low) < 0 ? low : none;
}

/* Everybody is what the cluster was told to go back to. */
static void downgrade_end_maybe(struct core *c, const struct core_version *versions, size_t count)
{
    struct schema_downgrade d = apply_downgrade(c->apply);
    struct semver target;
    if (!d.enabled || c->is_downgrade_proposed ||
        semver_parse(slice_cstr(d.target), &target) != 0 ||
        !is_minor(target, apply_cluster_version(c->apply)) ||
        !all_are(c, target, versions, count)) {
        return;
    }
    log_info("the cluster has been downgraded", LOG_STR("cluster-version", d.target));
    struct buf body = BUF_INIT; /* enabled: false, without a version */
    c->is_downgrade_proposed = true;
    core_propose_internal(c, WIRE_INTERNAL_DOWNGRADE_INFO_SET, buf_slice(&body));
    buf_deinit(&body);
}

void core_versions(struct core *c, const struct core_version *versions, size_t count)
{
    if (c->role != RAFT_LEADER || c->is_stopping) {
        return;
    }
    struct semver v = decide(c, lowest(c, versions, count));
    if (!semver_is_none(v) && !c->is_version_proposed) {
        propose_version(c, v);
    }
    downgrade_end_maybe(c, versions, count);
}

static void storage_version(struct core *c)
{
    struct semver before = apply_storage_version(c->apply);
    apply_storage_version_step(c->apply);
    if (semver_compare(before, apply_storage_version(c->apply)) != 0) {
        backend_seal(c->backend, c->applied, c->applied_term, c->now_ms);
    }
}

void core_version_tick(struct core *c)
{
    if (c->now_ms < c->versions_ms || c->install_stage != CORE_INSTALL_NONE) {
        return;
    }
    c->versions_ms = c->now_ms + CORE_VERSIONS_MS;
    if (c->applied > 0) {
        storage_version(c);
    }
    if (c->role != RAFT_LEADER || c->members->count == 0) {
        return;
    }
    if (c->members->count == 1) {
        core_versions(c, NULL, 0);
    } else {
        c->wants_versions = true;
    }
}

/* ---- level ---- */

static void level_set(struct core *c, enum level level)
{
    if (level == c->config.level) {
        return;
    }
    bool is_up = level > c->config.level;
    log_info(is_up ? "the level of this member rises" : "the level of this member falls",
             LOG_STR("from", level_rules(c->config.level)->server_version),
             LOG_STR("to", level_rules(level)->server_version));
    c->config.level = level;
    apply_level_set(c->apply, level);
    mvcc_rules_set(c->store, level_rules(level));
    c->level_changed = true;
    if (is_up && !level_rules(level)->peers_take_v2_entries) {
        c->is_snapshot_forced = true; /* nothing that such a member dies of stays in the log */
        c->is_compaction_whole = true;
    }
}

void core_version_applied(struct core *c, const struct apply_result *res)
{
    if (!res->version_changed) {
        return;
    }
    char text[SEMVER_TEXT_MAX];
    struct semver v = apply_cluster_version(c->apply);
    version_short(v, text);
    log_info("cluster version is updated", LOG_STR("cluster-version", text));
    enum level level;
    if (level_from_version(v, &level) == 0 &&
        (level > c->config.level || (res->version_lowered && level < c->config.level))) {
        level_set(c, level);
    }
    c->is_snapshot_forced = c->is_snapshot_forced || res->version_lowered || res->version_from_v2;
    c->is_compaction_whole = c->is_compaction_whole || res->version_from_v2;
}

void core_raise_level(struct core *c, struct core_request *r)
{
    struct semver cluster = apply_cluster_version(c->apply);
    struct semver own = level_rules(c->config.level)->version;
    int err = 0;
    if (apply_downgrade(c->apply).enabled) {
        err = ERR_RPC_DOWNGRADE_IN_PROGRESS;
    } else if (semver_is_none(cluster)) {
        err = ERR_RPC_DOWNGRADE_NO_CLUSTER_VERSION;
    } else if (c->config.level < LEVEL_NEW && is_minor(own, cluster)) {
        level_set(c, (enum level)(c->config.level + 1));
        c->versions_ms = c->now_ms;
    }
    r->header_rev = mvcc_rev(c->store);
    core_reply(c, r, err);
}
