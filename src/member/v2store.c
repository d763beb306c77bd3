/* SPDX-License-Identifier: Apache-2.0
 *
 * member/v2store: see v2store.h.
 */
#include "member/v2store.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"

/* ---- encode ---- */

struct writer {
    struct buf *out;
    uint64_t index; /* CurrentIndex: one a node created or set */
};

/* A node up to and without its children. */
static void put_node(struct writer *w, const char *path, uint64_t index, struct slice value)
{
    buf_append_cstr(w->out, "{\"Path\":");
    json_put_go_string(w->out, slice_cstr(path));
    buf_printf(w->out,
               ",\"CreatedIndex\":%" PRIu64 ",\"ModifiedIndex\":%" PRIu64
               ",\"ExpireTime\":\"0001-01-01T00:00:00Z\",\"Value\":",
               index, index);
    json_put_go_string(w->out, value);
    buf_append_cstr(w->out, ",\"Children\":");
}

/* "name":{leaf} */
static void put_leaf(struct writer *w, const char *dir, const char *name, uint64_t index,
                     struct slice value)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", dir, name);
    buf_printf(w->out, "\"%s\":", name);
    put_node(w, buf_cstr(&path), index, value);
    buf_append_cstr(w->out, "null}");
    buf_deinit(&path);
}

static void put_member(struct writer *w, const struct member *m)
{
    char dir[64];
    char id[SCHEMA_ID_KEY_MAX];
    struct buf raft = BUF_INIT;
    struct buf attr = BUF_INIT;
    (void)schema_id_key(m->id, id);
    (void)snprintf(dir, sizeof(dir), "/0/members/%s", id);
    uint64_t created = ++w->index;
    buf_printf(w->out, "\"%s\":", id);
    put_node(w, dir, created, SLICE_LIT(""));
    buf_append_byte(w->out, '{');
    /* As etcd: a name alone, known from the bootstrap entry, is not published yet. */
    if (m->client_urls.count > 0) {
        member_attributes_json(&attr, m);
        put_leaf(w, dir, "attributes", ++w->index, buf_slice(&attr));
        buf_append_byte(w->out, ',');
    }
    member_raft_attributes_json(&raft, m);
    put_leaf(w, dir, "raftAttributes", created, buf_slice(&raft));
    buf_append_cstr(w->out, "}}");
    buf_deinit(&raft);
    buf_deinit(&attr);
}

/* Go writes maps in the order of their keys as text. */
static struct strs ids_as_text(const struct membership *ms, bool removed)
{
    struct strs out = {NULL, 0};
    size_t n = removed ? ms->removed_count : ms->count;
    for (size_t i = 0; i < n; i++) {
        char id[SCHEMA_ID_KEY_MAX];
        size_t len = schema_id_key(removed ? ms->removed[i] : ms->members[i].id, id);
        strs_add(&out, slice_make(id, len));
    }
    strs_sort(&out);
    return out;
}

static void put_members(struct writer *w, const struct membership *ms)
{
    struct strs ids = ids_as_text(ms, false);
    buf_append_cstr(w->out, "\"members\":");
    put_node(w, "/0/members", w->index + 1, SLICE_LIT(""));
    buf_append_byte(w->out, '{');
    for (size_t i = 0; i < ids.count; i++) {
        uint64_t id = 0;
        ensure(schema_id_parse(slice_cstr(ids.items[i]), &id) == 0);
        buf_append_cstr(w->out, i == 0 ? "" : ",");
        put_member(w, membership_find(ms, id));
    }
    buf_append_cstr(w->out, "}}");
    strs_deinit(&ids);
}

static void put_removed(struct writer *w, const struct membership *ms)
{
    struct strs ids = ids_as_text(ms, true);
    buf_append_cstr(w->out, "\"removed_members\":");
    put_node(w, "/0/removed_members", w->index + 1, SLICE_LIT(""));
    buf_append_byte(w->out, '{');
    for (size_t i = 0; i < ids.count; i++) {
        buf_append_cstr(w->out, i == 0 ? "" : ",");
        put_leaf(w, "/0/removed_members", ids.items[i], ++w->index, SLICE_LIT(""));
    }
    buf_append_cstr(w->out, "}}");
    strs_deinit(&ids);
}

static void put_cluster_dir(struct writer *w, const struct membership *ms, struct semver version)
{
    bool comma = ms->count > 0;
    put_node(w, "/0", 0, SLICE_LIT(""));
    buf_append_byte(w->out, '{');
    if (ms->count > 0) {
        put_members(w, ms);
    }
    if (ms->removed_count > 0) {
        buf_append_cstr(w->out, comma ? "," : "");
        put_removed(w, ms);
        comma = true;
    }
    if (!semver_is_none(version)) {
        char text[SEMVER_TEXT_MAX];
        semver_format(version, text);
        buf_append_cstr(w->out, comma ? "," : "");
        put_leaf(w, "/0", "version", ++w->index, slice_cstr(text));
    }
    buf_append_cstr(w->out, "}}");
}

void v2store_encode(struct buf *out, const struct membership *ms, struct semver cluster_version)
{
    struct writer w = {out, 0};
    buf_append_cstr(out, "{\"Root\":");
    put_node(&w, "/", 0, SLICE_LIT(""));
    buf_append_cstr(out, "{\"0\":");
    put_cluster_dir(&w, ms, cluster_version);
    buf_append_cstr(out, ",\"1\":");
    put_node(&w, "/1", 0, SLICE_LIT(""));
    buf_printf(out, "{}}}},\"CurrentIndex\":%" PRIu64 ",\"CurrentVersion\":2}", w.index);
}

/* ---- decode ---- */

/* Names from the root to the node being read: "0", "members", "<id>", "attributes". */
enum { PATH_MAX_NAMES = 4 };

struct walker {
    struct json_reader r;
    struct v2store *out;
    struct buf path[PATH_MAX_NAMES];
    struct strs with_raft; /* ids whose raftAttributes were seen */
};

static bool path_is(const struct walker *w, int level, const char *name)
{
    return slice_equal_cstr(buf_slice(&w->path[level]), name);
}

static void read_node(struct walker *w, int depth);

/* The attributes of one member: a JSON text of its own. */
static int take_member_leaf(struct walker *w, struct slice value)
{
    struct membership *ms = &w->out->membership;
    bool is_raft = path_is(w, 3, "raftAttributes");
    uint64_t id;
    if ((!is_raft && !path_is(w, 3, "attributes")) ||
        schema_id_parse(buf_slice(&w->path[2]), &id) != 0) {
        return ERR_MALFORMED;
    }
    struct member *m = membership_find(ms, id);
    if (m == NULL) {
        struct member fresh;
        if (ms->count == SCHEMA_MEMBERS_MAX) {
            return ERR_LIMIT;
        }
        member_init(&fresh);
        fresh.id = id;
        m = membership_add(ms, &fresh);
    }
    int err = member_json_parse(value, m);
    if (err != 0 || m->id != id) {
        m->id = id; /* keep the order of the list */
        return ERR_MALFORMED;
    }
    if (is_raft) {
        strs_add(&w->with_raft, buf_slice(&w->path[2]));
    }
    return 0;
}

static int take_removed(struct walker *w)
{
    uint64_t id;
    struct membership *ms = &w->out->membership;
    if (schema_id_parse(buf_slice(&w->path[2]), &id) != 0) {
        return ERR_MALFORMED;
    }
    if (ms->removed_count == SCHEMA_REMOVED_MAX) {
        return ERR_LIMIT;
    }
    membership_mark_removed(ms, id);
    return 0;
}

/* A node at depth (number of names) ended. */
static void take_node(struct walker *w, int depth, bool is_dir, struct slice value)
{
    int err = 0;
    bool is_cluster = depth > 0 && path_is(w, 0, "0");
    if (is_cluster && depth == 4 && path_is(w, 1, "members") && !is_dir) {
        err = take_member_leaf(w, value);
    } else if (is_cluster && depth == 3 && path_is(w, 1, "removed_members")) {
        err = take_removed(w);
    } else if (is_cluster && depth == 2 && path_is(w, 1, "version") && !is_dir) {
        err = semver_parse(value, &w->out->cluster_version);
    } else if (!is_cluster && depth > 0) {
        /* Empty directories of the old API are nobody's data; /2 always has two of them. */
        bool is_auth = path_is(w, 0, "2");
        if (depth >= (is_auth ? 3 : 2)) {
            w->out->has_user_data = true;
        }
    }
    if (err != 0) {
        (void)json_fail(&w->r, err);
    }
}

static void read_children(struct walker *w, int depth)
{
    struct buf name = BUF_INIT;
    while (json_object_next(&w->r, &name)) {
        if (depth == PATH_MAX_NAMES) {
            (void)json_skip(&w->r); /* deeper than anything that is looked at */
            continue;
        }
        buf_clear(&w->path[depth]);
        buf_append_slice(&w->path[depth], buf_slice(&name));
        read_node(w, depth + 1);
    }
    buf_deinit(&name);
}

static void read_node(struct walker *w, int depth)
{
    struct buf key = BUF_INIT;
    struct buf value = BUF_INIT;
    bool is_dir = false;
    if (!json_object_begin(&w->r)) {
        return;
    }
    while (json_object_next(&w->r, &key)) {
        if (json_key_is(&key, "Value")) {
            (void)json_string(&w->r, &value);
        } else if (!json_key_is(&key, "Children")) {
            (void)json_skip(&w->r);
        } else if (json_object_begin(&w->r)) {
            is_dir = true;
            read_children(w, depth);
        }
    }
    if (w->r.err == 0) {
        take_node(w, depth, is_dir, buf_slice(&value));
    }
    buf_deinit(&key);
    buf_deinit(&value);
}

/* etcd panics on a member without raftAttributes. */
static int check_members(const struct walker *w)
{
    const struct membership *ms = &w->out->membership;
    for (size_t i = 0; i < ms->count; i++) {
        bool found = false;
        for (size_t k = 0; k < w->with_raft.count && !found; k++) {
            uint64_t id = 0;
            found = schema_id_parse(slice_cstr(w->with_raft.items[k]), &id) == 0 &&
                    id == ms->members[i].id;
        }
        if (!found) {
            return ERR_MALFORMED;
        }
    }
    return 0;
}

static int walk(struct walker *w, struct slice json)
{
    struct buf key = BUF_INIT;
    json_init(&w->r, json);
    if (json_object_begin(&w->r)) {
        while (json_object_next(&w->r, &key)) {
            if (json_key_is(&key, "Root")) {
                read_node(w, 0);
            } else {
                (void)json_skip(&w->r);
            }
        }
    }
    buf_deinit(&key);
    int err = json_end(&w->r);
    return err != 0 ? err : check_members(w);
}

/* An id that is both (no etcd writes that) counts as a member. */
static void settle_removed(struct membership *ms)
{
    size_t n = 0;
    for (size_t i = 0; i < ms->removed_count; i++) {
        if (membership_find(ms, ms->removed[i]) == NULL) {
            ms->removed[n++] = ms->removed[i];
        }
    }
    ms->removed_count = n;
}

int v2store_decode(struct slice json, struct v2store *out)
{
    struct v2store store = {.has_user_data = false};
    struct walker w = {.out = &store};
    membership_init(&store.membership);
    int err = walk(&w, json);
    for (int i = 0; i < PATH_MAX_NAMES; i++) {
        buf_deinit(&w.path[i]);
    }
    strs_deinit(&w.with_raft);
    if (err != 0) {
        membership_deinit(&store.membership);
        return err;
    }
    settle_removed(&store.membership);
    membership_check(&store.membership);
    *out = store;
    return 0;
}
