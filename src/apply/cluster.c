/* SPDX-License-Identifier: Apache-2.0
 *
 * apply/cluster: what the log says about the cluster itself: versions, attributes, downgrade jobs;
 * in the form of 3.6/3.7 and in the v2 form that 3.5 proposes (storage-formats 3.11).
 */
#include "apply/internal.h"

void apply_versions_load(struct apply *a, struct semver cluster, struct semver storage)
{
    a->cluster_version = cluster;
    a->storage_version = storage;
}

void apply_downgrade_load(struct apply *a, const struct schema_downgrade *d)
{
    a->downgrade = *d;
}

void apply_level_set(struct apply *a, enum level level)
{
    a->o.level = level;
}

struct schema_downgrade apply_downgrade(const struct apply *a)
{
    return a->downgrade;
}

struct semver apply_cluster_version(const struct apply *a)
{
    return a->cluster_version;
}

struct semver apply_storage_version(const struct apply *a)
{
    return a->storage_version;
}

void apply_storage_version_step(struct apply *a)
{
    if (semver_is_none(a->cluster_version)) {
        return;
    }
    const struct semver none = {0};
    struct level_storage_step step;
    /* A new file has no version yet: it starts as what 3.5 would write. */
    struct semver from = a->storage_version;
    if (semver_is_none(from)) {
        from = level_rules(LEVEL_3_5)->version;
    }
    while (level_storage_next(from, a->cluster_version, none, &step) == 0 &&
           step.action != LEVEL_STORAGE_KEEP) {
        schema_storage_step(a->o.backend, &step);
        from = a->storage_version = step.version;
    }
}

static int set_cluster_version(struct apply *a, struct slice text, struct apply_result *out)
{
    struct semver v;
    if (semver_parse(text, &v) != 0) {
        return ERR_MALFORMED;
    }
    v.patch = 0;
    if (semver_compare(v, level_rules(LEVEL_3_7)->version) > 0) {
        return ERR_VERSION; /* a cluster beyond what this release knows */
    }
    out->version_lowered = semver_compare(v, a->cluster_version) < 0;
    out->version_changed = semver_compare(v, a->cluster_version) != 0;
    out->version_from_v2 = !semver_is_none(a->cluster_version) && !out->version_lowered &&
                           semver_compare(a->cluster_version, level_rules(LEVEL_3_6)->version) < 0;
    a->cluster_version = v;
    schema_put_cluster_version(a->o.backend, v);
    apply_storage_version_step(a);
    return 0;
}

static int cluster_version_set(struct apply *a, struct apply_result *out)
{
    struct wire_scan s;
    struct slice text = SLICE_NULL;
    for (wire_scan_init(&s, a->req.body); wire_scan_next(&s);) {
        if (s.field == 1 && s.type == WIRE_LEN) {
            text = s.bytes;
        }
    }
    return s.err != 0 ? s.err : set_cluster_version(a, text, out);
}

/* A removed member's late word is ignored; one that never was ends the member, as in etcd. */
static int set_attributes(struct apply *a, uint64_t id, const char *name, const struct strs *urls,
                          struct apply_result *out)
{
    int err = membership_set_attributes(a->o.members, id, name, urls);
    if (err != 0) {
        return err == ERR_RPC_MEMBER_NOT_FOUND ? 0 : ERR_CORRUPT;
    }
    member_put(a->o.backend, membership_find(a->o.members, id));
    out->published = id == a->o.member_id;
    return 0;
}

/* Attributes{1: name, 2: client urls} */
static int attributes(struct apply *a, uint64_t id, struct slice attr, struct apply_result *out)
{
    struct strs urls = {0};
    struct slice name = SLICE_NULL;
    struct wire_scan s;
    for (wire_scan_init(&s, attr); wire_scan_next(&s);) {
        if (s.type == WIRE_LEN && s.field == 1) {
            name = s.bytes;
        } else if (s.type == WIRE_LEN && s.field == 2) {
            strs_add(&urls, s.bytes);
        }
    }
    int err = s.err;
    if (err == 0) {
        err = set_attributes(a, id, arena_strndup(&a->arena, name.data, name.len), &urls, out);
    }
    strs_deinit(&urls);
    return err;
}

static int member_attr_set(struct apply *a, struct apply_result *out)
{
    uint64_t id = 0;
    struct slice attr = SLICE_NULL;
    struct wire_scan s;
    for (wire_scan_init(&s, a->req.body); wire_scan_next(&s);) {
        if (s.field == 1 && s.type == WIRE_VARINT) {
            id = s.number;
        } else if (s.field == 2 && s.type == WIRE_LEN) {
            attr = s.bytes;
        }
    }
    return s.err != 0 ? s.err : attributes(a, id, attr, out);
}

static int downgrade_info_set(struct apply *a)
{
    struct schema_downgrade d = {0};
    struct wire_scan s;
    for (wire_scan_init(&s, a->req.body); wire_scan_next(&s);) {
        if (s.field == 1 && s.type == WIRE_VARINT) {
            d.enabled = s.number != 0;
        } else if (s.field == 2 && s.type == WIRE_LEN && s.bytes.len < sizeof(d.target)) {
            memcpy(d.target, s.bytes.data, s.bytes.len);
            d.target[s.bytes.len] = 0;
        }
    }
    if (s.err == 0) {
        if (!d.enabled) {
            d.target[0] = 0;
        }
        a->downgrade = d;
        schema_put_downgrade(a->o.backend, &d);
    }
    return s.err;
}

int apply_cluster_request(struct apply *a, struct apply_result *out)
{
    switch (a->req.which) {
    case WIRE_INTERNAL_CLUSTER_VERSION_SET: return cluster_version_set(a, out);
    case WIRE_INTERNAL_MEMBER_ATTR_SET: return member_attr_set(a, out);
    default: return downgrade_info_set(a);
    }
}

/* "/0/members/<hex>/attributes" */
static bool attributes_path(struct slice path, uint64_t *out_id)
{
    struct slice head = SLICE_LIT("/0/members/"), tail = SLICE_LIT("/attributes");
    if (!slice_has_prefix(path, head) || path.len < head.len + tail.len) {
        return false;
    }
    struct slice id = slice_make(path.data + head.len, path.len - head.len - tail.len);
    struct slice end = slice_make(id.data + id.len, tail.len);
    return slice_equal(end, tail) && schema_id_parse(id, out_id) == 0;
}

int apply_v2_request(struct apply *a, struct apply_result *out)
{
    out->rev = mvcc_rev(a->o.store);
    if (!slice_equal_cstr(a->v2.method, "PUT")) {
        return 0; /* SYNC and the rest of the v2 store: nothing but the index moves */
    }
    if (slice_equal_cstr(a->v2.path, "/0/version")) {
        return set_cluster_version(a, a->v2.val, out);
    }
    uint64_t id;
    struct member m;
    if (!attributes_path(a->v2.path, &id)) {
        return 0;
    }
    member_init(&m);
    int err = member_json_parse(a->v2.val, &m);
    if (err == 0) {
        err = set_attributes(a, id, m.name, &m.client_urls, out);
    }
    member_deinit(&m);
    return err == ERR_MALFORMED ? 0 : err; /* no etcd wrote that; 3.5 ignores it too */
}
