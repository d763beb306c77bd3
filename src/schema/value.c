/* SPDX-License-Identifier: Apache-2.0
 *
 * schema/value: keys and values as bytes and back (storage-formats 2.1, 2.4).
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/json.h"
#include "schema/schema.h"
#include "schema/varfield.h"

const char *const SCHEMA_BUCKET_NAMES[SCHEMA_BUCKET_COUNT] = {
    [SCHEMA_KEY] = "key",
    [SCHEMA_META] = "meta",
    [SCHEMA_LEASE] = "lease",
    [SCHEMA_ALARM] = "alarm",
    [SCHEMA_AUTH] = "auth",
    [SCHEMA_AUTH_USERS] = "authUsers",
    [SCHEMA_AUTH_ROLES] = "authRoles",
    [SCHEMA_MEMBERS] = "members",
    [SCHEMA_MEMBERS_REMOVED] = "members_removed",
    [SCHEMA_CLUSTER] = "cluster",
};

/* ---- ids ---- */

size_t schema_id_key(uint64_t id, char out[SCHEMA_ID_KEY_MAX])
{
    int n = snprintf(out, SCHEMA_ID_KEY_MAX, "%" PRIx64, id);
    ensure(n > 0 && n < SCHEMA_ID_KEY_MAX);
    return (size_t)n;
}

int schema_id_parse(struct slice text, uint64_t *out)
{
    uint64_t v = 0;
    if (text.len == 0 || text.len > 16) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 16;
        if (d == 16) {
            return ERR_MALFORMED;
        }
        v = v << 4 | d;
    }
    *out = v;
    return 0;
}

/* ---- confState ---- */

static void put_ids(struct buf *out, const char *name, const struct raft_ids *ids)
{
    if (ids->count == 0) {
        return;
    }
    buf_printf(out, "\"%s\":[", name);
    for (uint32_t i = 0; i < ids->count; i++) {
        buf_printf(out, "%s%" PRIu64, i == 0 ? "" : ",", ids->ids[i]);
    }
    buf_append_cstr(out, "],");
}

void schema_conf_state_encode(struct buf *out, const struct raft_conf_state *cs)
{
    buf_append_byte(out, '{');
    put_ids(out, "voters", &cs->voters);
    put_ids(out, "learners", &cs->learners);
    put_ids(out, "voters_outgoing", &cs->voters_outgoing);
    put_ids(out, "learners_next", &cs->learners_next);
    buf_printf(out, "\"auto_leave\":%s}", cs->auto_leave ? "true" : "false");
}

static void ids_insert(struct json_reader *r, struct raft_ids *ids, uint64_t id)
{
    uint32_t at = 0;
    while (at < ids->count && ids->ids[at] < id) {
        at++;
    }
    if (at < ids->count && ids->ids[at] == id) {
        return;
    }
    if (ids->count == RAFT_MEMBERS_MAX) {
        (void)json_fail(r, ERR_LIMIT);
        return;
    }
    memmove(&ids->ids[at + 1], &ids->ids[at], (ids->count - at) * sizeof(ids->ids[0]));
    ids->ids[at] = id;
    ids->count++;
}

static void read_ids(struct json_reader *r, struct raft_ids *ids)
{
    ids->count = 0;
    if (!json_array_begin(r)) {
        return;
    }
    while (json_array_next(r)) {
        uint64_t id = 0;
        if (json_u64(r, &id)) {
            ids_insert(r, ids, id);
        }
    }
}

int schema_conf_state_decode(struct slice json, struct raft_conf_state *out)
{
    struct json_reader r;
    struct buf key = BUF_INIT;
    struct raft_conf_state cs = {.auto_leave = false};
    json_init(&r, json);
    if (json_object_begin(&r)) {
        while (json_object_next(&r, &key)) {
            if (json_key_is(&key, "voters")) {
                read_ids(&r, &cs.voters);
            } else if (json_key_is(&key, "learners")) {
                read_ids(&r, &cs.learners);
            } else if (json_key_is(&key, "voters_outgoing")) {
                read_ids(&r, &cs.voters_outgoing);
            } else if (json_key_is(&key, "learners_next")) {
                read_ids(&r, &cs.learners_next);
            } else if (json_key_is(&key, "auto_leave")) {
                (void)json_bool(&r, &cs.auto_leave);
            } else {
                (void)json_skip(&r);
            }
        }
    }
    buf_deinit(&key);
    int err = json_end(&r);
    if (err == 0) {
        *out = cs;
    }
    return err;
}

/* ---- downgrade ---- */

void schema_downgrade_encode(struct buf *out, const struct schema_downgrade *d)
{
    buf_append_cstr(out, "{\"target-version\":");
    json_put_go_string(out, slice_cstr(d->target));
    buf_printf(out, ",\"enabled\":%s}", d->enabled ? "true" : "false");
}

int schema_downgrade_decode(struct slice json, struct schema_downgrade *out)
{
    struct json_reader r;
    struct buf key = BUF_INIT;
    struct buf text = BUF_INIT;
    struct schema_downgrade d = {.enabled = false};
    json_init(&r, json);
    if (json_object_begin(&r)) {
        while (json_object_next(&r, &key)) {
            if (json_key_is(&key, "target-version")) {
                (void)json_string(&r, &text);
            } else if (json_key_is(&key, "enabled")) {
                (void)json_bool(&r, &d.enabled);
            } else {
                (void)json_skip(&r);
            }
        }
    }
    int err = json_end(&r);
    if (err == 0 && (text.len >= sizeof(d.target) ||
                     (text.len > 0 && memchr(text.data, 0, text.len) != NULL))) {
        err = ERR_MALFORMED;
    }
    if (err == 0) {
        if (text.len > 0) {
            memcpy(d.target, text.data, text.len);
        }
        *out = d;
    }
    buf_deinit(&key);
    buf_deinit(&text);
    return err;
}

/* ---- alarm, lease ---- */

void schema_alarm_encode(struct buf *out, struct schema_alarm a)
{
    varfield_put(out, 1, a.member_id);
    varfield_put(out, 2, (uint64_t)(int64_t)a.type);
}

int schema_alarm_decode(struct slice key, struct schema_alarm *out)
{
    uint64_t v[2] = {0, 0};
    int err = varfield_scan(key, v, 2);
    if (err == 0) {
        *out = (struct schema_alarm){v[0], (int32_t)(uint32_t)v[1]};
    }
    return err;
}

void schema_lease_encode(struct buf *out, const struct schema_lease *l)
{
    varfield_put(out, 1, (uint64_t)l->id);
    varfield_put(out, 2, (uint64_t)l->ttl_s);
    varfield_put(out, 3, (uint64_t)l->remaining_ttl_s);
}

int schema_lease_decode(struct slice value, struct schema_lease *out)
{
    uint64_t v[3] = {0, 0, 0};
    int err = varfield_scan(value, v, 3);
    if (err == 0) {
        *out = (struct schema_lease){(int64_t)v[0], (int64_t)v[1], (int64_t)v[2]};
    }
    return err;
}
