/* SPDX-License-Identifier: Apache-2.0 */
#include "member/version.h"

#include "base/log.h"

static struct semver to_minor(struct semver v)
{
    v.patch = 0;
    return v;
}

static bool is_one_below(struct semver from, struct semver to)
{
    return from.minor > 0 && to.major == from.major && to.minor == from.minor - 1;
}

/* "3.6.14": all three numbers, as etcd's members send it. */
static int parse_server(const char *text, struct semver *out)
{
    const char *dot = strchr(text, '.');
    return dot != NULL && strchr(dot + 1, '.') != NULL ? semver_parse(slice_cstr(text), out)
                                                       : ERR_MALFORMED;
}

static bool server_version(const struct member_answer *a, struct semver *out)
{
    if (parse_server(a->versions.server, out) != 0) {
        log_warn("failed to parse server version of remote member",
                 LOG_HEX("remote-member-id", a->id),
                 LOG_STR("remote-member-version", a->versions.server));
        return false;
    }
    *out = to_minor(*out);
    return true;
}

/* ---- the Downgrade call ---- */

int version_target_parse(struct slice text, struct semver *out)
{
    struct semver v;
    /* etcd's parser knows no "v" and no single number. */
    bool has_dot = text.len > 0 && memchr(text.data, '.', text.len) != NULL;
    if (!has_dot || text.data[0] == 'v' || semver_parse(text, &v) != 0) {
        return ERR_RPC_DOWNGRADE_FORMAT;
    }
    *out = to_minor(v);
    return 0;
}

int version_downgrade_check(struct semver cluster, struct semver target,
                            const struct schema_downgrade *job)
{
    /* Below 3.5 there is no level to go to. */
    if (!is_one_below(cluster, target) || target.minor < LEVEL_3_5) {
        return ERR_RPC_DOWNGRADE_INVALID;
    }
    return job->enabled ? ERR_RPC_DOWNGRADE_IN_PROGRESS : 0;
}

/* ---- levels ---- */

static bool is_cluster_fit(const struct member_answer *a, struct semver cluster)
{
    const struct semver min = {3, 0, 0};
    const struct semver max = level_rules(LEVEL_NEW)->version;
    char low[SEMVER_TEXT_MAX], high[SEMVER_TEXT_MAX];
    semver_format(min, low);
    semver_format(max, high);
    if (semver_compare(cluster, min) < 0) {
        log_warn("cluster version of remote member is not compatible; too low",
                 LOG_HEX("remote-member-id", a->id),
                 LOG_STR("remote-member-cluster-version", a->versions.cluster),
                 LOG_STR("minimum-cluster-version-supported", low));
        return false;
    }
    if (semver_compare(max, cluster) < 0) {
        log_warn("cluster version of remote member is not compatible; too high",
                 LOG_HEX("remote-member-id", a->id),
                 LOG_STR("remote-member-cluster-version", a->versions.cluster),
                 LOG_STR("maximum-cluster-version-supported", high));
        return false;
    }
    return true;
}

static enum level clamp_level(struct semver v)
{
    enum level level;
    if (v.major == 3 && v.minor < LEVEL_3_5) {
        return LEVEL_3_5;
    }
    return level_from_version(v, &level) == 0 ? level : LEVEL_NEW;
}

/* The others' cluster version is what the newcomer must be able to speak; while it is undecided
 * (3.0.0) the lowest of them shows what it will be. */
int version_join_level(const struct member_answer *others, size_t count, enum level *out)
{
    const struct semver undecided = {3, 0, 0};
    struct semver highest = {0}, lowest_server = {0}, v;
    for (size_t i = 0; i < count; i++) {
        const struct member_answer *a = &others[i];
        if (!a->is_known) {
            continue;
        }
        if (semver_parse(slice_cstr(a->versions.cluster), &v) != 0) {
            log_warn("failed to parse cluster version of remote member",
                     LOG_HEX("remote-member-id", a->id),
                     LOG_STR("remote-member-cluster-version", a->versions.cluster));
            continue;
        }
        if (!is_cluster_fit(a, v)) {
            return ERR_VERSION;
        }
        highest = semver_compare(v, highest) > 0 ? v : highest;
        if (server_version(a, &v) &&
            (semver_is_none(lowest_server) || semver_compare(v, lowest_server) < 0)) {
            lowest_server = v;
        }
    }
    if (semver_is_none(highest)) {
        return ERR_VERSION;
    }
    bool is_undecided = semver_compare(to_minor(highest), undecided) == 0;
    *out = clamp_level(is_undecided && !semver_is_none(lowest_server) ? lowest_server : highest);
    return 0;
}

enum level version_next_level(enum level level)
{
    switch (level) {
    case LEVEL_3_5: return LEVEL_3_6;
    case LEVEL_3_6:
    case LEVEL_3_7: break;
    }
    return LEVEL_3_7;
}
