/* SPDX-License-Identifier: Apache-2.0
 *
 * schema/level: see level.h.
 */
#include "schema/level.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"

static const struct level_rules RULES[] = {
    {
        .level = LEVEL_3_5,
        .version = {3, 5, 0},
        .server_version = "3.5.30",
        .emission = RAFTPB_ZEROS,
        .message_has_snapshot = true,
        .start_needs_snap_file = true,
        .peers_take_v2_entries = true,
        .empty_end_is_open = true,
        .takes_any_sort_order = true,
        .keys_only_keeps_lease = true,
        .txn_puts_first = true,
        .txn_key_before_lease = true,
    },
    {
        .level = LEVEL_3_6,
        .version = {3, 6, 0},
        .server_version = "3.6.14",
        .emission = RAFTPB_ZEROS,
        .writes_storage_version = true,
        .message_has_vote = true,
        .start_needs_snap_file = true,
        .peers_take_v2_entries = true,
        .version_has_storage = true,
        .empty_end_is_open = true,
        .status_has_quota = true,
        .hash_kv_has_rev = true,
        .takes_any_alarm = true,
        .keys_only_keeps_lease = true,
        .txn_key_before_lease = true,
    },
    {
        .level = LEVEL_3_7,
        .version = {3, 7, 0},
        .server_version = "3.7.1",
        .emission = RAFTPB_SPARSE,
        .writes_storage_version = true,
        .version_has_storage = true,
        .status_has_quota = true,
        .hash_kv_has_rev = true,
        .takes_any_alarm = true,
    },
};

const struct level_rules *level_rules(enum level level)
{
    size_t i = (size_t)level - LEVEL_3_5;
    ensure(i < ARRAY_LEN(RULES) && RULES[i].level == level);
    return &RULES[i];
}

/* ---- versions ---- */

static size_t number_parse(struct slice s, uint32_t *out)
{
    uint64_t v = 0;
    size_t n = 0;
    while (n < s.len && s.data[n] >= '0' && s.data[n] <= '9') {
        v = v * 10 + (uint64_t)(s.data[n] - '0');
        if (v > UINT32_MAX) {
            return 0;
        }
        n++;
    }
    *out = (uint32_t)v;
    return n;
}

int semver_parse(struct slice text, struct semver *out)
{
    uint32_t part[3] = {0, 0, 0};
    unsigned count = 0;
    if (text.data == NULL) {
        return ERR_MALFORMED;
    }
    if (text.len > 0 && text.data[0] == 'v') {
        text = slice_skip(text, 1);
    }
    for (;;) {
        size_t n = number_parse(text, &part[count]);
        if (n == 0) {
            return ERR_MALFORMED;
        }
        text = slice_skip(text, n);
        if (++count == 3 || text.len == 0 || text.data[0] != '.') {
            break;
        }
        text = slice_skip(text, 1);
    }
    if (text.len > 0 && text.data[0] != '-' && text.data[0] != '+') {
        return ERR_MALFORMED;
    }
    *out = (struct semver){part[0], part[1], part[2]};
    return 0;
}

void semver_format(struct semver v, char out[SEMVER_TEXT_MAX])
{
    (void)snprintf(out, SEMVER_TEXT_MAX, "%u.%u.%u", v.major, v.minor, v.patch);
}

int semver_compare(struct semver a, struct semver b)
{
    const uint32_t x[3] = {a.major, a.minor, a.patch};
    const uint32_t y[3] = {b.major, b.minor, b.patch};
    for (int i = 0; i < 3; i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}

static struct semver to_minor(struct semver v)
{
    return (struct semver){v.major, v.minor, 0};
}

/* ---- level ---- */

int level_from_version(struct semver v, enum level *out)
{
    if (v.major != 3 || v.minor < LEVEL_3_5 || v.minor > LEVEL_3_7) {
        return ERR_VERSION;
    }
    *out = (enum level)v.minor;
    return 0;
}

int level_detect(struct semver storage, struct semver cluster, struct semver v2_cluster,
                 enum level *out)
{
    const struct semver lowest = {3, LEVEL_3_5, 0};
    const struct semver said[3] = {storage, cluster, v2_cluster};
    struct semver top = lowest;
    for (int i = 0; i < 3; i++) {
        if (semver_compare(to_minor(said[i]), top) > 0) {
            top = to_minor(said[i]);
        }
    }
    return level_from_version(top, out);
}

/* ---- storage version ---- */

struct semver level_storage_detect(struct slice storage_version, uint64_t consistent_index,
                                   uint64_t term)
{
    struct semver v;
    if (storage_version.len > 0 && semver_parse(storage_version, &v) == 0) {
        return v;
    }
    if (consistent_index != 0 && term != 0) {
        return (struct semver){3, 5, 0};
    }
    return (struct semver){0, 0, 0};
}

int level_storage_next(struct semver storage, struct semver cluster, struct semver wal_min,
                       struct level_storage_step *out)
{
    const struct semver undecided = {3, 0, 0};
    *out = (struct level_storage_step){LEVEL_STORAGE_KEEP, storage};
    if (semver_is_none(cluster) || semver_compare(to_minor(cluster), undecided) <= 0) {
        return 0;
    }
    if (semver_is_none(storage)) {
        return ERR_NOT_FOUND;
    }
    struct semver from = to_minor(storage);
    struct semver to = to_minor(cluster);
    if (from.major != 3 || to.major != 3 || to.minor < LEVEL_3_5 || to.minor > LEVEL_3_7 ||
        from.minor < LEVEL_3_5 || from.minor > LEVEL_3_7) {
        return ERR_VERSION;
    }
    if (semver_compare(from, to) == 0) {
        return 0;
    }
    if (to.minor > from.minor) {
        *out = (struct level_storage_step){LEVEL_STORAGE_SET, {3, from.minor + 1, 0}};
        return 0;
    }
    if (!semver_is_none(wal_min) && semver_compare(to, wal_min) < 0) {
        return ERR_AGAIN;
    }
    struct semver down = {3, from.minor - 1, 0};
    out->action = down.minor == LEVEL_3_5 ? LEVEL_STORAGE_DELETE : LEVEL_STORAGE_SET;
    out->version = down;
    return 0;
}

/* ---- entries ---- */

enum { FIELD_DOWNGRADE_VERSION_TEST = 9900 };

/* One field of a protobuf message; false at the end or when it is malformed. */
static bool field_next(struct slice *in, uint64_t *out_field, struct slice *out_bytes)
{
    uint64_t tag;
    uint64_t v;
    size_t n = in->len == 0 ? 0 : varint_get(in->data, in->len, &tag);
    if (n == 0) {
        return false;
    }
    *in = slice_skip(*in, n);
    *out_field = tag >> 3;
    *out_bytes = SLICE_NULL;
    size_t fixed = (tag & 7) == 1 ? 8 : (tag & 7) == 5 ? 4 : 0;
    if (fixed > 0) {
        if (in->len < fixed) {
            return false;
        }
        *in = slice_skip(*in, fixed);
        return true;
    }
    n = varint_get(in->data, in->len, &v);
    if (n == 0) {
        return false;
    }
    *in = slice_skip(*in, n);
    if ((tag & 7) == 2) {
        if (v > in->len) {
            return false;
        }
        *out_bytes = slice_make(in->data, (size_t)v);
        *in = slice_skip(*in, (size_t)v);
    }
    return (tag & 7) == 0 || (tag & 7) == 2;
}

struct semver level_entry_min(struct slice data)
{
    struct semver min = {0, 0, 0};
    uint64_t field;
    struct slice bytes;
    while (field_next(&data, &field, &bytes)) {
        if (field != FIELD_DOWNGRADE_VERSION_TEST) {
            continue;
        }
        struct slice inner;
        struct semver v;
        min = (struct semver){3, 6, 0};
        while (field_next(&bytes, &field, &inner)) {
            if (field == 1 && semver_parse(inner, &v) == 0 && semver_compare(v, min) > 0) {
                min = v;
            }
        }
    }
    return min;
}
