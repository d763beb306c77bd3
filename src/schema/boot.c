/* SPDX-License-Identifier: Apache-2.0
 *
 * schema/boot: one walk over the small buckets at start.
 */
#include "base/bytes.h"
#include "schema/schema.h"

typedef int (*on_pair_fn)(struct schema_boot *b, struct slice key, struct slice value);

struct walk {
    struct schema_boot *boot;
    on_pair_fn fn;
};

/* ---- growth: arrays double in the arena; what is left behind goes with it ---- */

static void *grown(struct arena *a, const void *old, size_t count, size_t item)
{
    void *p = arena_try_alloc(a, (count == 0 ? 1 : count * 2) * item);
    if (p != NULL && count > 0) {
        memcpy(p, old, count * item);
    }
    return p;
}

/* The capacity is always the next power of two. */
static bool needs_room(size_t count)
{
    return (count & (count - 1)) == 0;
}

#define PUSH(b, list, count, value)                                                                \
    do {                                                                                           \
        if (needs_room((b)->count)) {                                                              \
            void *more = grown(&(b)->arena, (b)->list, (b)->count, sizeof((b)->list[0]));          \
            if (more == NULL) {                                                                    \
                return ERR_NOMEM;                                                                  \
            }                                                                                      \
            (b)->list = more;                                                                      \
        }                                                                                          \
        (b)->list[(b)->count++] = (value);                                                         \
    } while (0)

/* ---- buckets ---- */

int schema_bucket_walk(struct bolt_tx *tx, enum schema_bucket bucket,
                       int (*each)(void *arg, struct slice key, struct slice value), void *arg)
{
    struct bolt_bucket *bb;
    int err = bolt_bucket_open(tx, NULL, 0, slice_cstr(SCHEMA_BUCKET_NAMES[bucket]), &bb);
    if (err == ERR_NOT_FOUND) {
        return 0;
    }
    if (err != 0) {
        return err;
    }
    struct bolt_cursor c;
    struct bolt_item item;
    bolt_cursor_init(&c, tx, bb, BOLT_READ_SCAN);
    for (err = bolt_cursor_first(&c, &item); err == 0; err = bolt_cursor_next(&c, &item)) {
        err = item.is_bucket ? 0 : each(arg, item.key, item.value);
        if (err != 0) {
            break;
        }
    }
    bolt_cursor_release(&c);
    return err == ERR_END ? 0 : err;
}

static int on_member(struct schema_boot *b, struct slice key, struct slice value)
{
    struct schema_member_record m;
    if (schema_id_parse(key, &m.id) != 0 || value.len > SCHEMA_VALUE_MAX ||
        b->member_count == SCHEMA_MEMBERS_MAX) {
        return ERR_CORRUPT;
    }
    m.json = slice_make(arena_strndup(&b->arena, value.data, value.len), value.len);
    PUSH(b, members, member_count, m);
    return 0;
}

static int on_removed(struct schema_boot *b, struct slice key, struct slice value)
{
    (void)value;
    uint64_t id;
    if (schema_id_parse(key, &id) != 0 || b->removed_count == SCHEMA_REMOVED_MAX) {
        return ERR_CORRUPT;
    }
    PUSH(b, removed, removed_count, id);
    return 0;
}

static int on_alarm(struct schema_boot *b, struct slice key, struct slice value)
{
    (void)value;
    struct schema_alarm a;
    if (schema_alarm_decode(key, &a) != 0 || b->alarm_count == SCHEMA_ALARMS_MAX) {
        return ERR_CORRUPT;
    }
    PUSH(b, alarms, alarm_count, a);
    return 0;
}

static int on_lease(struct schema_boot *b, struct slice key, struct slice value)
{
    (void)key; /* etcd goes by the id in the value */
    struct schema_lease l;
    if (schema_lease_decode(value, &l) != 0) {
        return ERR_CORRUPT;
    }
    PUSH(b, leases, lease_count, l);
    return 0;
}

static int read_be64(struct slice value, uint64_t *out)
{
    if (value.len != 8) {
        return ERR_CORRUPT;
    }
    *out = load_be64(value.data);
    return 0;
}

static int read_rev(struct slice value, int64_t *out)
{
    if (value.len < BACKEND_REV_BYTES || value.data[8] != '_') {
        return ERR_CORRUPT;
    }
    uint64_t main = load_be64(value.data);
    if (main > INT64_MAX) {
        return ERR_CORRUPT;
    }
    *out = (int64_t)main;
    return 0;
}

static int on_meta(struct schema_boot *b, struct slice key, struct slice value)
{
    if (slice_equal_cstr(key, SCHEMA_META_CONSISTENT_INDEX)) {
        return read_be64(value, &b->consistent_index);
    }
    if (slice_equal_cstr(key, SCHEMA_META_TERM)) {
        return read_be64(value, &b->term);
    }
    if (slice_equal_cstr(key, SCHEMA_META_SCHEDULED_COMPACT)) {
        return read_rev(value, &b->scheduled_compact_rev);
    }
    if (slice_equal_cstr(key, SCHEMA_META_FINISHED_COMPACT)) {
        return read_rev(value, &b->finished_compact_rev);
    }
    if (slice_equal_cstr(key, SCHEMA_META_STORAGE_VERSION)) {
        /* A text that does not parse counts as absent (2.6). */
        b->has_storage_version = semver_parse(value, &b->storage_version) == 0;
        return 0;
    }
    if (slice_equal_cstr(key, SCHEMA_META_CONF_STATE)) {
        /* No etcd reads it back, so damage in it stops nobody. */
        b->has_conf_state = schema_conf_state_decode(value, &b->conf_state) == 0;
    }
    return 0;
}

static int on_cluster(struct schema_boot *b, struct slice key, struct slice value)
{
    if (slice_equal_cstr(key, SCHEMA_CLUSTER_VERSION_KEY)) {
        return semver_parse(value, &b->cluster_version) == 0 ? 0 : ERR_CORRUPT;
    }
    if (slice_equal_cstr(key, SCHEMA_DOWNGRADE_KEY)) {
        b->has_downgrade = true;
        return schema_downgrade_decode(value, &b->downgrade) == 0 ? 0 : ERR_CORRUPT;
    }
    return 0;
}

int schema_auth_decode(struct slice key, struct slice value, bool *enabled, uint64_t *revision)
{
    if (slice_equal_cstr(key, SCHEMA_AUTH_ENABLED_KEY)) {
        *enabled = value.len == 1 && value.data[0] == 1;
        return 0;
    }
    return slice_equal_cstr(key, SCHEMA_AUTH_REVISION_KEY) ? read_be64(value, revision) : 0;
}

static int on_pair(void *arg, struct slice key, struct slice value)
{
    const struct walk *w = arg;
    return w->fn(w->boot, key, value);
}

int schema_boot_load(struct bolt_tx *tx, struct schema_boot *out)
{
    static const struct {
        enum schema_bucket bucket;
        on_pair_fn fn;
    } steps[] = {
        {SCHEMA_META, on_meta},      {SCHEMA_CLUSTER, on_cluster},
        {SCHEMA_MEMBERS, on_member}, {SCHEMA_MEMBERS_REMOVED, on_removed},
        {SCHEMA_ALARM, on_alarm},    {SCHEMA_LEASE, on_lease},
    };
    memset(out, 0, sizeof(*out));
    arena_init(&out->arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct walk w = {out, steps[i].fn};
        out->what = SCHEMA_BUCKET_NAMES[steps[i].bucket];
        int err = schema_bucket_walk(tx, steps[i].bucket, on_pair, &w);
        if (err != 0) {
            return err;
        }
    }
    if (!out->has_storage_version) {
        out->storage_version = level_storage_detect(SLICE_NULL, out->consistent_index, out->term);
    }
    out->what = NULL;
    return 0;
}

void schema_boot_deinit(struct schema_boot *b)
{
    arena_deinit(&b->arena);
    memset(b, 0, sizeof(*b));
}
