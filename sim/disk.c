/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/disk: life of the disk and its inodes, the calls on paths, crash and clone.
 */
#include "sim/disk.h"

#include <string.h>

#include "base/assert.h"
#include "sim/disk_impl.h"

enum { COPY_PIECE_BYTES = 1 << 20, FATES_SEED = 0x5eed };

static const struct env_disk_ops disk_ops;

/* ---- inodes ---- */

struct inode *sim_inode(const struct sim_disk *d, inode_id id)
{
    ensure(id < d->inode_count && d->inodes[id] != NULL);
    return d->inodes[id];
}

inode_id sim_inode_new(struct sim_disk *d, bool is_dir, uint32_t mode)
{
    d->inodes = mem_realloc(d->inodes, (d->inode_count + 1) * sizeof(struct inode *));
    struct inode *n = mem_zalloc(sizeof(*n));
    n->is_dir = is_dir;
    n->mode = mode;
    d->inodes[d->inode_count] = n;
    return (inode_id)d->inode_count++;
}

void sim_inode_ref(struct sim_disk *d, inode_id id)
{
    sim_inode(d, id)->refs++;
}

static void inode_free(struct inode *n)
{
    sim_entries_free(&n->cur_names);
    sim_entries_free(&n->dur_names);
    sim_file_changes_free(n);
    blob_deinit(&n->cur);
    blob_deinit(&n->dur);
    mem_free(n->name);
    mem_free(n);
}

void sim_inode_maybe_free(struct sim_disk *d, inode_id id)
{
    struct inode *n = sim_inode(d, id);
    if (n->refs > 0 || n->opens > 0 || id == INODE_ROOT) {
        return;
    }
    d->inodes[id] = NULL;
    d->used -= n->cur.size;
    for (size_t i = 0; i < n->cur_names.len; i++) {
        sim_inode_unref(d, n->cur_names.at[i].inode);
    }
    for (size_t i = 0; i < n->dur_names.len; i++) {
        sim_inode_unref(d, n->dur_names.at[i].inode);
    }
    inode_free(n);
}

void sim_inode_unref(struct sim_disk *d, inode_id id)
{
    struct inode *n = sim_inode(d, id);
    ensure(n->refs > 0);
    n->refs--;
    sim_inode_maybe_free(d, id);
}

/* ---- life ---- */

static struct sim_disk *disk_new(void)
{
    struct sim_disk *d = mem_zalloc(sizeof(*d));
    d->base.ops = &disk_ops;
    d->cut_after = UINT64_MAX;
    d->capacity = UINT64_MAX;
    d->text = "";
    list_init(&d->files);
    prng_init(&d->prng, FATES_SEED);
    return d;
}

struct sim_disk *sim_disk_create(void)
{
    struct sim_disk *d = disk_new();
    d->inodes = mem_zalloc(sizeof(struct inode *));
    d->inode_count = 1; /* number 0 is nobody */
    ensure(sim_inode_new(d, true, 0755) == INODE_ROOT);
    sim_inode(d, INODE_ROOT)->parent = INODE_ROOT;
    return d;
}

static void files_kill(struct sim_disk *d)
{
    LIST_FOREACH (&d->files, node) {
        struct sim_file *f = LIST_ENTRY(node, struct sim_file, node);
        if (!f->is_dead) {
            f->is_dead = true;
            sim_inode(d, f->inode)->opens--;
            sim_inode_maybe_free(d, f->inode);
        }
    }
}

void sim_disk_destroy(struct sim_disk *d)
{
    if (d == NULL) {
        return;
    }
    LIST_FOREACH (&d->files, node) {
        list_remove(node);
        mem_free(LIST_ENTRY(node, struct sim_file, node));
    }
    for (size_t i = 0; i < d->dir_change_count; i++) {
        mem_free(d->dir_changes[i].name);
        mem_free(d->dir_changes[i].name2);
    }
    mem_free(d->dir_changes);
    for (size_t i = 0; i < d->inode_count; i++) {
        if (d->inodes[i] != NULL) {
            inode_free(d->inodes[i]);
        }
    }
    mem_free(d->inodes);
    sim_faults_free(d);
    mem_free(d);
}

struct env_disk *sim_disk_env(struct sim_disk *d)
{
    return &d->base;
}

struct sim_disk *sim_disk_of_env(struct env_disk *d)
{
    ensure(d->ops == &disk_ops);
    return container_of(d, struct sim_disk, base);
}

static struct inode *inode_copy(const struct inode *n)
{
    struct inode *c = mem_zalloc(sizeof(*c));
    c->is_dir = n->is_dir;
    c->mode = n->mode;
    c->refs = n->refs;
    c->parent = n->parent;
    c->name = n->name == NULL ? NULL : mem_strdup(n->name);
    blob_copy(&c->cur, &n->cur);
    blob_copy(&c->dur, &n->dur);
    sim_entries_copy(&c->cur_names, &n->cur_names);
    sim_entries_copy(&c->dur_names, &n->dur_names);
    c->change_count = c->change_cap = n->change_count;
    if (n->change_count > 0) {
        c->changes = mem_alloc_array(n->change_count, sizeof(c->changes[0]));
    }
    for (size_t i = 0; i < n->change_count; i++) {
        c->changes[i] = n->changes[i];
        rcbuf_ref(c->changes[i].bytes);
    }
    return c;
}

struct sim_disk *sim_disk_clone(const struct sim_disk *d)
{
    struct sim_disk *c = disk_new();
    c->op_count = d->op_count;
    c->capacity = d->capacity;
    c->used = d->used;
    c->prng = d->prng;
    c->inode_count = d->inode_count;
    c->inodes = mem_alloc_array(d->inode_count, sizeof(struct inode *));
    for (size_t i = 0; i < d->inode_count; i++) {
        c->inodes[i] = d->inodes[i] == NULL ? NULL : inode_copy(d->inodes[i]);
    }
    c->dir_change_count = c->dir_change_cap = d->dir_change_count;
    if (d->dir_change_count > 0) {
        c->dir_changes = mem_alloc_array(d->dir_change_count, sizeof(c->dir_changes[0]));
    }
    for (size_t i = 0; i < d->dir_change_count; i++) {
        sim_dir_change_copy(&c->dir_changes[i], &d->dir_changes[i]);
    }
    /* Unlinked files that only an open file kept alive stay behind. */
    for (size_t i = INODE_ROOT; i < c->inode_count; i++) {
        if (c->inodes[i] != NULL) {
            sim_inode_maybe_free(c, (inode_id)i);
        }
    }
    return c;
}

/* ---- power ---- */

static void names_restart(struct sim_disk *d)
{
    for (size_t i = 0; i < d->inode_count; i++) {
        struct inode *n = d->inodes[i];
        if (n == NULL || !n->is_dir) {
            continue;
        }
        /* The durable names first, so that nothing they share is freed in between. */
        struct entries old = n->cur_names;
        sim_entries_copy(&n->cur_names, &n->dur_names);
        for (size_t j = 0; j < n->cur_names.len; j++) {
            struct inode *child = sim_inode(d, n->cur_names.at[j].inode);
            child->refs++;
            child->parent = (inode_id)i;
            mem_free(child->name);
            child->name = mem_strdup(n->cur_names.at[j].name);
        }
        for (size_t j = 0; j < old.len; j++) {
            sim_inode_unref(d, old.at[j].inode);
        }
        sim_entries_free(&old);
    }
}

void sim_disk_crash(struct sim_disk *d, enum sim_crash_policy policy, uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed);
    files_kill(d);
    sim_dir_changes_crash(d, policy, &prng);
    names_restart(d);
    for (size_t i = 0; i < d->inode_count; i++) {
        struct inode *n = d->inodes[i];
        if (n != NULL) {
            n->ofd_holder = n->flock_holder = NULL;
            n->flock_shared = 0;
            if (!n->is_dir) {
                sim_file_crash(d, n, policy, &prng);
            }
        }
    }
    d->is_cut = false;
    d->cut_after = UINT64_MAX;
}

void sim_disk_settle(struct sim_disk *d)
{
    struct prng unused;
    prng_init(&unused, 0);
    for (size_t i = 0; i < d->inode_count; i++) {
        if (d->inodes[i] != NULL && !d->inodes[i]->is_dir) {
            sim_file_settle(d->inodes[i]);
        }
    }
    sim_dir_changes_crash(d, SIM_CRASH_KEEP_ALL, &unused);
}

void sim_disk_power_cut_after(struct sim_disk *d, uint64_t op_no)
{
    d->cut_after = op_no;
}

bool sim_disk_is_cut(const struct sim_disk *d)
{
    return d->is_cut;
}

uint64_t sim_disk_op_count(const struct sim_disk *d)
{
    return d->op_count;
}

size_t sim_disk_pending_count(const struct sim_disk *d)
{
    size_t count = d->dir_change_count;
    for (size_t i = 0; i < d->inode_count; i++) {
        count += d->inodes[i] == NULL ? 0 : d->inodes[i]->change_count;
    }
    return count;
}

void sim_disk_hook_set(struct sim_disk *d, void (*hook)(void *arg, uint64_t op_no), void *arg)
{
    d->hook = hook;
    d->hook_arg = arg;
}

void sim_disk_capacity_set(struct sim_disk *d, uint64_t bytes)
{
    d->capacity = bytes;
}

uint64_t sim_disk_used_bytes(const struct sim_disk *d)
{
    return d->used;
}

int sim_disk_flip_bit(struct sim_disk *d, const char *path, uint64_t bit)
{
    inode_id id = sim_path_find(d, path);
    if (id == 0 || sim_inode(d, id)->is_dir) {
        return ERR_NOT_FOUND;
    }
    struct inode *n = sim_inode(d, id);
    uint8_t byte;
    if (blob_read(&n->cur, &byte, 1, bit / 8) != 1) {
        return ERR_INVALID;
    }
    byte ^= (uint8_t)(1u << (bit % 8));
    blob_write(&n->cur, &byte, 1, bit / 8);
    if (blob_read(&n->dur, &byte, 1, bit / 8) == 1) {
        byte ^= (uint8_t)(1u << (bit % 8));
        blob_write(&n->dur, &byte, 1, bit / 8);
    }
    return 0;
}

/* ---- calls on paths ---- */

int sim_fail(struct sim_disk *d, int err, const char *text)
{
    d->text = text;
    return err;
}

static int fail(struct sim_disk *d, int err)
{
    return sim_fail(d, err,
                    err == ERR_NOT_FOUND   ? "No such file or directory"
                    : err == ERR_EXISTS    ? "File exists"
                    : err == ERR_NOT_DIR   ? "Not a directory"
                    : err == ERR_NOT_EMPTY ? "Directory not empty"
                    : err == ERR_INVALID   ? "Is a directory"
                    : err == ERR_NO_SPACE  ? "No space left on device"
                                           : err_text(err));
}

/* name in dir points to id from now on; the change is pending. */
static void link_now(struct sim_disk *d, inode_id dir, const char *name, inode_id id)
{
    struct inode *n = sim_inode(d, id);
    n->parent = dir;
    mem_free(n->name);
    n->name = mem_strdup(name);
    sim_entries_set(d, &sim_inode(d, dir)->cur_names, name, id);
}

static int create_in(struct sim_disk *d, inode_id dir, const char *name, bool is_dir, uint32_t mode,
                     inode_id *out)
{
    inode_id id = sim_inode_new(d, is_dir, mode);
    link_now(d, dir, name, id);
    sim_dir_change_add(
        d, (struct dir_change){
               .kind = DIR_LINK, .dir = dir, .inode = id, .name = (char *)(uintptr_t)name});
    *out = id;
    return 0;
}

static int open_new(struct sim_disk *d, const char *path, uint32_t mode, inode_id *out)
{
    int err = sim_op_begin(d, SIM_OP_CREATE, 0, path, NULL, 0, 0);
    if (err != 0) {
        return err;
    }
    char *name;
    inode_id dir = sim_path_parent(d, path, &name, &err);
    if (dir == 0) {
        return fail(d, err);
    }
    err = create_in(d, dir, name, false, mode, out);
    mem_free(name);
    return err;
}

static int open_old(struct sim_disk *d, const char *path, unsigned flags, inode_id id)
{
    if ((flags & (ENV_OPEN_CREATE | ENV_OPEN_EXCL)) == (ENV_OPEN_CREATE | ENV_OPEN_EXCL)) {
        return fail(d, ERR_EXISTS);
    }
    if (sim_inode(d, id)->is_dir) {
        return fail(d, ERR_INVALID);
    }
    if ((flags & ENV_OPEN_TRUNC) == 0 || sim_inode(d, id)->cur.size == 0) {
        return 0;
    }
    int err = sim_op_begin(d, SIM_OP_CREATE, id, path, NULL, 0, 0);
    return err != 0 ? err : sim_file_resize(d, sim_inode(d, id), 0);
}

static int disk_open(struct env_disk *ed, const char *path, unsigned flags, uint32_t mode,
                     struct env_file **out)
{
    struct sim_disk *d = sim_disk_of_env(ed);
    int err = sim_call_begin(d, SIM_OP_OPEN, 0, path);
    if (err != 0) {
        return err;
    }
    inode_id id = sim_path_find(d, path);
    if (id != 0) {
        err = open_old(d, path, flags, id);
    } else if ((flags & ENV_OPEN_CREATE) != 0) {
        err = open_new(d, path, mode, &id);
    } else {
        err = fail(d, ERR_NOT_FOUND);
    }
    if (err != 0) {
        return err;
    }
    struct sim_file *f = mem_zalloc(sizeof(*f));
    f->base.ops = &sim_file_ops;
    f->disk = d;
    f->inode = id;
    f->flags = flags;
    sim_inode(d, id)->opens++;
    list_push_back(&d->files, &f->node);
    *out = &f->base;
    return 0;
}

static int disk_mkdir(struct env_disk *ed, const char *path, uint32_t mode)
{
    struct sim_disk *d = sim_disk_of_env(ed);
    int err = sim_op_begin(d, SIM_OP_MKDIR, 0, path, NULL, 0, 0);
    if (err != 0) {
        return err;
    }
    if (sim_path_find(d, path) != 0) {
        return fail(d, ERR_EXISTS);
    }
    char *name;
    inode_id id, dir = sim_path_parent(d, path, &name, &err);
    if (dir == 0) {
        return fail(d, err);
    }
    err = create_in(d, dir, name, true, mode, &id);
    mem_free(name);
    return err;
}

/* What the kernel would say to putting id over the existing target. */
static int rename_over(struct sim_disk *d, inode_id id, inode_id target)
{
    const struct inode *from = sim_inode(d, id), *to = sim_inode(d, target);
    if (from->is_dir != to->is_dir) {
        return from->is_dir ? ERR_NOT_DIR : ERR_INVALID;
    }
    return to->cur_names.len > 0 ? ERR_NOT_EMPTY : 0;
}

static void rename_record(struct sim_disk *d, struct dir_change c, bool had_target)
{
    struct buf to = BUF_INIT;
    sim_inode_path(d, c.inode, &to);
    bool is_split = sim_path_matches(d->split_rename, d->split_rename_count, buf_cstr(&to));
    buf_deinit(&to);
    if (!is_split) {
        sim_dir_change_add(d, c);
        return;
    }
    struct dir_change part = {.is_free = true, .inode = c.inode};
    part.kind = DIR_UNLINK;
    part.dir = c.dir2;
    part.name = c.name2;
    if (had_target) {
        sim_dir_change_add(d, part);
    }
    part.kind = DIR_LINK;
    sim_dir_change_add(d, part);
    part.kind = DIR_UNLINK;
    part.dir = c.dir;
    part.name = c.name;
    sim_dir_change_add(d, part);
}

/* id stays alive by the entry it gets before the old one goes. */
static int rename_in(struct sim_disk *d, inode_id dir, char *name, inode_id dir2, char *name2)
{
    const struct entry *e = sim_entries_find(&sim_inode(d, dir)->cur_names, name);
    if (e == NULL) {
        return ERR_NOT_FOUND;
    }
    inode_id id = e->inode;
    const struct entry *target = sim_entries_find(&sim_inode(d, dir2)->cur_names, name2);
    bool had_target = target != NULL;
    if (had_target && target->inode == id) {
        return 0;
    }
    int err = had_target ? rename_over(d, id, target->inode) : 0;
    if (err != 0) {
        return err;
    }
    link_now(d, dir2, name2, id);
    sim_entries_remove(d, &sim_inode(d, dir)->cur_names, name);
    rename_record(d, (struct dir_change){DIR_RENAME, false, dir, dir2, id, name, name2},
                  had_target);
    return 0;
}

static int disk_rename(struct env_disk *ed, const char *from, const char *to)
{
    struct sim_disk *d = sim_disk_of_env(ed);
    int err = sim_op_begin(d, SIM_OP_RENAME, 0, from, to, 0, 0);
    if (err != 0) {
        return err;
    }
    char *name, *name2;
    inode_id dir = sim_path_parent(d, from, &name, &err);
    if (dir == 0) {
        return fail(d, err);
    }
    inode_id dir2 = sim_path_parent(d, to, &name2, &err);
    if (dir2 == 0) {
        mem_free(name);
        return fail(d, err);
    }
    err = rename_in(d, dir, name, dir2, name2);
    mem_free(name);
    mem_free(name2);
    return err == 0 ? 0 : fail(d, err);
}

static int remove_any(struct sim_disk *d, enum sim_op_kind kind, const char *path)
{
    int err = sim_op_begin(d, kind, 0, path, NULL, 0, 0);
    if (err != 0) {
        return err;
    }
    inode_id id = sim_path_find(d, path);
    if (id == 0 || id == INODE_ROOT) {
        return fail(d, id == 0 ? ERR_NOT_FOUND : ERR_BUSY);
    }
    const struct inode *n = sim_inode(d, id);
    if (n->is_dir != (kind == SIM_OP_RMDIR)) {
        return fail(d, n->is_dir ? ERR_INVALID : ERR_NOT_DIR);
    }
    if (n->cur_names.len > 0) {
        return fail(d, ERR_NOT_EMPTY);
    }
    char *name;
    inode_id dir = sim_path_parent(d, path, &name, &err);
    ensure(dir != 0);
    sim_dir_change_add(
        d, (struct dir_change){.kind = DIR_UNLINK, .dir = dir, .inode = id, .name = name});
    sim_entries_remove(d, &sim_inode(d, dir)->cur_names, name);
    mem_free(name);
    return 0;
}

static int disk_unlink(struct env_disk *ed, const char *path)
{
    return remove_any(sim_disk_of_env(ed), SIM_OP_UNLINK, path);
}

static int disk_rmdir(struct env_disk *ed, const char *path)
{
    return remove_any(sim_disk_of_env(ed), SIM_OP_RMDIR, path);
}

static int disk_stat(struct env_disk *ed, const char *path, struct env_stat *out)
{
    struct sim_disk *d = sim_disk_of_env(ed);
    int err = sim_call_begin(d, SIM_OP_STAT, 0, path);
    if (err != 0) {
        return err;
    }
    inode_id id = sim_path_find(d, path);
    if (id == 0) {
        return fail(d, ERR_NOT_FOUND);
    }
    const struct inode *n = sim_inode(d, id);
    *out = (struct env_stat){n->is_dir, n->mode, n->is_dir ? SIM_CHUNK_BYTES : n->cur.size};
    return 0;
}

static int disk_list(struct env_disk *ed, const char *path,
                     int (*on_name)(void *arg, const char *name), void *arg)
{
    struct sim_disk *d = sim_disk_of_env(ed);
    int err = sim_call_begin(d, SIM_OP_LIST, 0, path);
    if (err != 0) {
        return err;
    }
    inode_id id = sim_path_find(d, path);
    if (id == 0 || !sim_inode(d, id)->is_dir) {
        return fail(d, id == 0 ? ERR_NOT_FOUND : ERR_NOT_DIR);
    }
    /* A copy: on_name may change the directory. */
    struct entries names;
    sim_entries_copy(&names, &sim_inode(d, id)->cur_names);
    for (size_t i = 0; err == 0 && i < names.len; i++) {
        err = on_name(arg, names.at[i].name);
    }
    sim_entries_free(&names);
    return err;
}

static int disk_sync_dir(struct env_disk *ed, const char *path)
{
    struct sim_disk *d = sim_disk_of_env(ed);
    int err = sim_op_begin(d, SIM_OP_SYNC_DIR, 0, path, NULL, 0, 0);
    if (err != 0) {
        return err;
    }
    inode_id id = sim_path_find(d, path);
    if (id == 0) {
        return fail(d, ERR_NOT_FOUND);
    }
    /* Opening a file and syncing it is what the kernel would do; only directories are asked for. */
    if (!sim_inode(d, id)->is_dir) {
        return fail(d, ERR_NOT_DIR);
    }
    if (!sim_sync_is_ignored(d, id)) {
        sim_dir_changes_sync(d, id);
    }
    return 0;
}

static const char *disk_last_text(struct env_disk *ed)
{
    return sim_disk_of_env(ed)->text;
}

static const struct env_disk_ops disk_ops = {
    .open = disk_open,
    .mkdir = disk_mkdir,
    .rename = disk_rename,
    .unlink = disk_unlink,
    .rmdir = disk_rmdir,
    .stat = disk_stat,
    .list = disk_list,
    .sync_dir = disk_sync_dir,
    .last_text = disk_last_text,
};

/* ---- import, export ---- */

struct tree_copy {
    struct env_disk *dst, *src;
    const char *to, *from;
    int depth;
};

static int tree_copy(const struct tree_copy *c);

static int file_copy(const struct tree_copy *c, uint32_t mode, uint64_t size)
{
    struct env_file *in, *out;
    int err = c->src->ops->open(c->src, c->from, ENV_OPEN_READ, 0, &in);
    if (err != 0) {
        return err;
    }
    err = c->dst->ops->open(c->dst, c->to, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNC, mode,
                            &out);
    if (err != 0) {
        in->ops->close(in);
        return err;
    }
    uint8_t *piece = mem_alloc(COPY_PIECE_BYTES);
    err = out->ops->truncate(out, size);
    for (uint64_t off = 0; err == 0 && off < size;) {
        size_t n = 0;
        err = in->ops->read_at(in, piece, COPY_PIECE_BYTES, off, &n);
        if (err != 0 || n == 0) {
            break;
        }
        bool is_zero = piece[0] == 0 && memcmp(piece, piece + 1, n - 1) == 0;
        struct slice bytes = slice_make(piece, n);
        err = is_zero ? 0 : out->ops->write_at(out, &bytes, 1, off);
        off += n;
    }
    mem_free(piece);
    in->ops->close(in);
    out->ops->close(out);
    return err;
}

static int child_copy(void *arg, const char *name)
{
    const struct tree_copy *c = arg;
    char *to = env_path_join(c->to, name), *from = env_path_join(c->from, name);
    struct tree_copy child = {c->dst, c->src, to, from, c->depth + 1};
    int err = tree_copy(&child);
    mem_free(to);
    mem_free(from);
    return err;
}

static int tree_copy(const struct tree_copy *c)
{
    struct env_stat st;
    int err = c->depth > SIM_PATH_DEPTH_MAX ? ERR_LIMIT : c->src->ops->stat(c->src, c->from, &st);
    if (err != 0) {
        return err;
    }
    if (!st.is_dir) {
        return file_copy(c, st.mode, st.size);
    }
    err = env_mkdir_all(c->dst, c->to, st.mode);
    return err != 0 ? err : c->src->ops->list(c->src, c->from, child_copy, (void *)(uintptr_t)c);
}

int sim_disk_import(struct sim_disk *d, const char *to, struct env_disk *src, const char *from)
{
    struct tree_copy c = {&d->base, src, to, from, 0};
    int err = tree_copy(&c);
    sim_disk_settle(d); /* as if it had always been there */
    return err;
}

int sim_disk_export(struct sim_disk *d, const char *from, struct env_disk *dst, const char *to)
{
    struct tree_copy c = {dst, &d->base, to, from, 0};
    return tree_copy(&c);
}
