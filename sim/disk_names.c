/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/disk_names: directory entries, paths, and the pending changes of names.
 *
 * Invariants  I1  A change that is made durable, or kept at a crash, never goes without an earlier
 *                 pending change of one of its names (a directory block has one history).
 *             I2  Making some changes durable before others leaves the order among changes of the
 *                 same name as it was.
 */
#include "sim/disk_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* ---- entries ---- */

static size_t lower_bound(const struct entries *e, const char *name)
{
    size_t lo = 0, hi = e->len;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(e->at[mid].name, name) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

struct entry *sim_entries_find(const struct entries *e, const char *name)
{
    size_t idx = lower_bound(e, name);
    return idx < e->len && strcmp(e->at[idx].name, name) == 0 ? &e->at[idx] : NULL;
}

void sim_entries_set(struct sim_disk *d, struct entries *e, const char *name, inode_id id)
{
    sim_inode_ref(d, id);
    struct entry *old = sim_entries_find(e, name);
    if (old != NULL) {
        inode_id old_id = old->inode;
        old->inode = id;
        sim_inode_unref(d, old_id);
        return;
    }
    if (e->len == e->cap) {
        e->cap = e->cap == 0 ? 8 : e->cap * 2;
        e->at = mem_realloc(e->at, e->cap * sizeof(e->at[0]));
    }
    size_t idx = lower_bound(e, name);
    memmove(&e->at[idx + 1], &e->at[idx], (e->len - idx) * sizeof(e->at[0]));
    e->at[idx] = (struct entry){mem_strdup(name), id};
    e->len++;
}

void sim_entries_remove(struct sim_disk *d, struct entries *e, const char *name)
{
    struct entry *old = sim_entries_find(e, name);
    if (old == NULL) {
        return;
    }
    struct entry gone = *old;
    size_t idx = (size_t)(old - e->at);
    e->len--;
    memmove(&e->at[idx], &e->at[idx + 1], (e->len - idx) * sizeof(e->at[0]));
    mem_free(gone.name);
    sim_inode_unref(d, gone.inode);
}

void sim_entries_copy(struct entries *out, const struct entries *in)
{
    *out = (struct entries){NULL, in->len, in->len};
    if (in->len > 0) {
        out->at = mem_alloc_array(in->len, sizeof(in->at[0]));
    }
    for (size_t i = 0; i < in->len; i++) {
        out->at[i] = (struct entry){mem_strdup(in->at[i].name), in->at[i].inode};
    }
}

void sim_entries_free(struct entries *e)
{
    for (size_t i = 0; i < e->len; i++) {
        mem_free(e->at[i].name);
    }
    mem_free(e->at);
    *e = (struct entries){NULL, 0, 0};
}

/* ---- paths ---- */

/* The next part of *path as a new string; NULL at the end.  "." and empty parts are left out. */
static char *next_part(const char **path)
{
    const char *p = *path;
    for (;;) {
        while (*p == '/') {
            p++;
        }
        if (p[0] == '.' && (p[1] == '/' || p[1] == 0)) {
            p++;
            continue;
        }
        break;
    }
    size_t n = strcspn(p, "/");
    *path = p + n;
    return n == 0 ? NULL : mem_strndup(p, n);
}

static inode_id step_into(struct sim_disk *d, inode_id dir, const char *part, int *out_err)
{
    const struct inode *n = sim_inode(d, dir);
    if (!n->is_dir) {
        *out_err = ERR_NOT_DIR;
        return 0;
    }
    if (strcmp(part, "..") == 0) {
        return dir == INODE_ROOT ? dir : n->parent;
    }
    const struct entry *e = sim_entries_find(&n->cur_names, part);
    *out_err = ERR_NOT_FOUND;
    return e == NULL ? 0 : e->inode;
}

inode_id sim_path_find(struct sim_disk *d, const char *path)
{
    inode_id at = INODE_ROOT;
    int err;
    for (char *part; at != 0 && (part = next_part(&path)) != NULL; mem_free(part)) {
        at = step_into(d, at, part, &err);
    }
    return at;
}

inode_id sim_path_parent(struct sim_disk *d, const char *path, char **out_name, int *out_err)
{
    inode_id at = INODE_ROOT;
    char *part = next_part(&path);
    if (part == NULL || strcmp(part, "..") == 0) {
        mem_free(part);
        *out_err = ERR_EXISTS; /* the root itself */
        return 0;
    }
    for (char *next; (next = next_part(&path)) != NULL; part = next) {
        at = step_into(d, at, part, out_err);
        mem_free(part);
        if (at == 0) {
            mem_free(next);
            return 0;
        }
    }
    if (!sim_inode(d, at)->is_dir) {
        mem_free(part);
        *out_err = ERR_NOT_DIR;
        return 0;
    }
    *out_name = part;
    return at;
}

static void path_append(const struct sim_disk *d, inode_id id, struct buf *out, int depth)
{
    const struct inode *n = id < d->inode_count ? d->inodes[id] : NULL;
    if (id == INODE_ROOT || n == NULL || depth > SIM_PATH_DEPTH_MAX) {
        return;
    }
    path_append(d, n->parent, out, depth + 1);
    if (out->len > 0) {
        buf_append_byte(out, '/');
    }
    buf_append_cstr(out, n->name == NULL ? "?" : n->name);
}

void sim_inode_path(const struct sim_disk *d, inode_id id, struct buf *out)
{
    struct buf path = BUF_INIT;
    path_append(d, id, &path, 0);
    buf_append_slice(out, path.len == 0 ? SLICE_LIT(".") : buf_slice(&path));
    buf_deinit(&path);
}

/* ---- pending changes ---- */

void sim_dir_change_add(struct sim_disk *d, struct dir_change c)
{
    if (d->dir_change_count == d->dir_change_cap) {
        d->dir_change_cap = d->dir_change_cap == 0 ? 16 : d->dir_change_cap * 2;
        d->dir_changes = mem_realloc(d->dir_changes, d->dir_change_cap * sizeof(d->dir_changes[0]));
    }
    c.name = mem_strdup(c.name);
    c.name2 = c.name2 == NULL ? NULL : mem_strdup(c.name2);
    sim_inode_ref(d, c.dir);
    sim_inode_ref(d, c.inode);
    if (c.dir2 != 0) {
        sim_inode_ref(d, c.dir2);
    }
    d->dir_changes[d->dir_change_count++] = c;
}

void sim_dir_change_copy(struct dir_change *out, const struct dir_change *in)
{
    *out = *in;
    out->name = mem_strdup(in->name);
    out->name2 = in->name2 == NULL ? NULL : mem_strdup(in->name2);
}

static void dir_change_release(struct sim_disk *d, struct dir_change *c)
{
    mem_free(c->name);
    mem_free(c->name2);
    sim_inode_unref(d, c->dir);
    sim_inode_unref(d, c->inode);
    if (c->dir2 != 0) {
        sim_inode_unref(d, c->dir2);
    }
}

void sim_dir_changes_free(struct sim_disk *d)
{
    for (size_t i = 0; i < d->dir_change_count; i++) {
        dir_change_release(d, &d->dir_changes[i]);
    }
    mem_free(d->dir_changes);
    d->dir_changes = NULL;
    d->dir_change_count = d->dir_change_cap = 0;
}

/* Into the durable names. */
static void dir_change_apply(struct sim_disk *d, const struct dir_change *c)
{
    struct entries *names = &sim_inode(d, c->dir)->dur_names;
    switch (c->kind) {
    case DIR_LINK: sim_entries_set(d, names, c->name, c->inode); break;
    case DIR_UNLINK: sim_entries_remove(d, names, c->name); break;
    case DIR_RENAME:
        sim_entries_remove(d, names, c->name);
        sim_entries_set(d, &sim_inode(d, c->dir2)->dur_names, c->name2, c->inode);
        break;
    }
}

static bool touches(const struct dir_change *c, inode_id dir, const char *name)
{
    return (c->dir == dir && strcmp(c->name, name) == 0) ||
           (c->dir2 == dir && c->name2 != NULL && strcmp(c->name2, name) == 0);
}

static bool shares_name(const struct dir_change *a, const struct dir_change *b)
{
    return touches(a, b->dir, b->name) || (b->name2 != NULL && touches(a, b->dir2, b->name2));
}

/* Makes the chosen changes durable in their order and forgets them. */
static void apply_chosen(struct sim_disk *d, const bool *is_chosen)
{
    size_t kept = 0, count = d->dir_change_count;
    for (size_t i = 0; i < count; i++) {
        struct dir_change c = d->dir_changes[i];
        if (is_chosen[i]) {
            dir_change_apply(d, &c);
            dir_change_release(d, &c);
        } else {
            d->dir_changes[kept++] = c;
        }
    }
    d->dir_change_count = kept;
}

void sim_dir_changes_sync(struct sim_disk *d, inode_id dir)
{
    size_t count = d->dir_change_count;
    bool *is_chosen = mem_zalloc(count + 1);
    for (size_t i = count; i-- > 0;) {
        const struct dir_change *c = &d->dir_changes[i];
        is_chosen[i] = c->dir == dir || c->dir2 == dir;
        for (size_t j = i + 1; j < count && !is_chosen[i]; j++) {
            is_chosen[i] = is_chosen[j] && shares_name(c, &d->dir_changes[j]);
        }
    }
    apply_chosen(d, is_chosen);
    mem_free(is_chosen);
}

/* Each change for itself, but none without an earlier one of its names (I1). */
static void choose_independent(const struct sim_disk *d, struct prng *prng, bool *is_chosen)
{
    for (size_t i = 0; i < d->dir_change_count; i++) {
        const struct dir_change *c = &d->dir_changes[i];
        is_chosen[i] = prng_chance(prng, 1, 2) != 0;
        for (size_t j = 0; j < i && is_chosen[i] && !c->is_free; j++) {
            is_chosen[i] = is_chosen[j] || !shares_name(c, &d->dir_changes[j]);
        }
    }
}

void sim_dir_changes_crash(struct sim_disk *d, enum sim_crash_policy policy, struct prng *prng)
{
    size_t count = d->dir_change_count;
    bool *is_chosen = mem_zalloc(count + 1);
    if (policy == SIM_CRASH_KEEP_ALL) {
        memset(is_chosen, 1, count);
    } else if (policy != SIM_CRASH_LOSE_ALL && count > 0) {
        if (prng_chance(prng, 1, 2)) {
            memset(is_chosen, 1, (size_t)prng_below(prng, count + 1));
        } else {
            choose_independent(d, prng, is_chosen);
        }
    }
    apply_chosen(d, is_chosen);
    mem_free(is_chosen);
    sim_dir_changes_free(d);
}
