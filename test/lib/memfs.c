/* SPDX-License-Identifier: Apache-2.0 */
#include "memfs.h"

#include <stdlib.h>

struct memfs_file {
    struct env_file file; /* first */
    struct memfs *fs;
    struct memfs_node *node;
};

static struct memfs *fs_of(struct env_disk *d)
{
    return (struct memfs *)(void *)d;
}

static struct memfs_file *file_of(struct env_file *f)
{
    return (struct memfs_file *)(void *)f;
}

static int count_call(struct memfs *fs, enum memfs_op op)
{
    fs->calls[op]++;
    if (fs->fail_op != op) {
        return 0;
    }
    if (fs->fail_after > 0) {
        fs->fail_after--;
        return 0;
    }
    fs->fail_op = MEMFS_NONE;
    return fs->fail_err;
}

static int grow(struct memfs *fs, struct memfs_node *n, uint64_t size)
{
    if (size <= n->bytes.len) {
        return 0;
    }
    size_t more = (size_t)size - n->bytes.len;
    if (more > fs->space) {
        return ERR_NO_SPACE;
    }
    fs->space -= more;
    memset(buf_extend(&n->bytes, more), 0, more);
    return 0;
}

static int file_read_at(struct env_file *f, void *dst, size_t len, uint64_t off, size_t *out_n)
{
    struct memfs_node *n = file_of(f)->node;
    int err = count_call(file_of(f)->fs, MEMFS_READ);
    if (err != 0) {
        return err;
    }
    *out_n = off >= n->bytes.len ? 0 : n->bytes.len - (size_t)off;
    *out_n = *out_n < len ? *out_n : len;
    if (*out_n > 0) {
        memcpy(dst, n->bytes.data + off, *out_n);
    }
    return 0;
}

static int file_write_at(struct env_file *f, const struct slice *parts, size_t count, uint64_t off)
{
    struct memfs_node *n = file_of(f)->node;
    int err = count_call(file_of(f)->fs, MEMFS_WRITE);
    for (size_t i = 0; err == 0 && i < count; i++) {
        err = grow(file_of(f)->fs, n, off + parts[i].len);
        if (err == 0 && parts[i].len > 0) {
            memcpy(n->bytes.data + off, parts[i].data, parts[i].len);
            off += parts[i].len;
        }
    }
    return err;
}

static int file_sync_data(struct env_file *f)
{
    return count_call(file_of(f)->fs, MEMFS_SYNC_DATA);
}

static int file_sync(struct env_file *f)
{
    return count_call(file_of(f)->fs, MEMFS_SYNC);
}

static int file_truncate(struct env_file *f, uint64_t size)
{
    struct memfs *fs = file_of(f)->fs;
    struct memfs_node *n = file_of(f)->node;
    int err = count_call(fs, MEMFS_TRUNCATE);
    if (err != 0) {
        return err;
    }
    if (size < n->bytes.len) {
        fs->space += n->bytes.len - (size_t)size;
        n->bytes.len = (size_t)size;
        return 0;
    }
    return grow(fs, n, size);
}

static int file_preallocate(struct env_file *f, uint64_t size)
{
    int err = count_call(file_of(f)->fs, MEMFS_PREALLOCATE);
    return err != 0 ? err : grow(file_of(f)->fs, file_of(f)->node, size);
}

static int file_size(struct env_file *f, uint64_t *out)
{
    *out = file_of(f)->node->bytes.len;
    return 0;
}

static int file_lock(struct env_file *f, enum env_lock kind)
{
    (void)kind;
    struct memfs_node *n = file_of(f)->node;
    if (n->lock_holder != NULL && n->lock_holder != f) {
        return ERR_LOCKED;
    }
    n->lock_holder = f;
    return 0;
}

static void node_free(struct memfs_node *n)
{
    buf_deinit(&n->bytes);
    mem_free(n->path);
    mem_free(n);
}

static void file_close(struct env_file *f)
{
    struct memfs_node *n = file_of(f)->node;
    if (n->lock_holder == f) {
        n->lock_holder = NULL;
    }
    ensure(n->open_count > 0);
    n->open_count--;
    if (n->is_gone && n->open_count == 0) {
        file_of(f)->fs->space += n->bytes.len;
        node_free(n);
    }
    mem_free(f);
}

static const struct env_file_ops FILE_OPS = {
    .read_at = file_read_at,
    .write_at = file_write_at,
    .sync_data = file_sync_data,
    .sync = file_sync,
    .truncate = file_truncate,
    .preallocate = file_preallocate,
    .size = file_size,
    .lock = file_lock,
    .close = file_close,
};

/* ---- names ---- */

struct memfs_node *memfs_find(struct memfs *fs, const char *path)
{
    for (size_t i = 0; i < fs->count; i++) {
        if (strcmp(fs->nodes[i]->path, path) == 0) {
            return fs->nodes[i];
        }
    }
    return NULL;
}

static struct memfs_node *node_add(struct memfs *fs, const char *path, bool is_dir, uint32_t mode)
{
    struct memfs_node *n = mem_zalloc(sizeof(*n));
    n->path = mem_strdup(path);
    n->is_dir = is_dir;
    n->mode = mode;
    fs->nodes = mem_realloc(fs->nodes, (fs->count + 1) * sizeof(fs->nodes[0]));
    fs->nodes[fs->count++] = n;
    return n;
}

static void node_remove(struct memfs *fs, struct memfs_node *n)
{
    for (size_t i = 0; i < fs->count; i++) {
        if (fs->nodes[i] == n) {
            fs->nodes[i] = fs->nodes[--fs->count];
            break;
        }
    }
    if (n->open_count > 0) {
        n->is_gone = true;
        return;
    }
    fs->space += n->bytes.len;
    node_free(n);
}

static int disk_open(struct env_disk *d, const char *path, unsigned flags, uint32_t mode,
                     struct env_file **out)
{
    struct memfs *fs = fs_of(d);
    int err = count_call(fs, MEMFS_OPEN);
    if (err != 0) {
        return err;
    }
    struct memfs_node *n = memfs_find(fs, path);
    if (n == NULL && (flags & ENV_OPEN_CREATE) == 0) {
        return ERR_NOT_FOUND;
    }
    if (n != NULL && (flags & ENV_OPEN_EXCL) != 0) {
        return ERR_EXISTS;
    }
    if (n == NULL) {
        char *dir = env_path_dir(path);
        bool has_dir = memfs_find(fs, dir) != NULL || strcmp(dir, ".") == 0;
        mem_free(dir);
        if (!has_dir) {
            return ERR_NOT_FOUND;
        }
        n = node_add(fs, path, false, mode);
    }
    if ((flags & ENV_OPEN_TRUNC) != 0) {
        fs->space += n->bytes.len;
        n->bytes.len = 0;
    }
    struct memfs_file *f = mem_zalloc(sizeof(*f));
    f->file.ops = &FILE_OPS;
    f->fs = fs;
    f->node = n;
    n->open_count++;
    *out = &f->file;
    return 0;
}

static int disk_mkdir(struct env_disk *d, const char *path, uint32_t mode)
{
    if (memfs_find(fs_of(d), path) != NULL) {
        return ERR_EXISTS;
    }
    (void)node_add(fs_of(d), path, true, mode);
    return 0;
}

/* Names below a directory that moves. */
static void move_below(struct memfs *fs, const char *from, const char *to)
{
    size_t n = strlen(from);
    for (size_t i = 0; i < fs->count; i++) {
        struct memfs_node *node = fs->nodes[i];
        if (strncmp(node->path, from, n) == 0 && node->path[n] == '/') {
            struct buf path = BUF_INIT;
            buf_printf(&path, "%s%s", to, node->path + n);
            mem_free(node->path);
            node->path = mem_strdup(buf_cstr(&path));
            buf_deinit(&path);
        }
    }
}

static int disk_rename(struct env_disk *d, const char *from, const char *to)
{
    struct memfs *fs = fs_of(d);
    int err = count_call(fs, MEMFS_RENAME);
    if (err != 0) {
        return err;
    }
    struct memfs_node *n = memfs_find(fs, from);
    struct memfs_node *old = memfs_find(fs, to);
    if (n == NULL) {
        return ERR_NOT_FOUND;
    }
    if (old != NULL && old != n) {
        node_remove(fs, old);
    }
    mem_free(n->path);
    n->path = mem_strdup(to);
    if (n->is_dir) {
        move_below(fs, from, to);
    }
    return 0;
}

static int disk_unlink(struct env_disk *d, const char *path)
{
    int err = count_call(fs_of(d), MEMFS_UNLINK);
    if (err != 0) {
        return err;
    }
    struct memfs_node *n = memfs_find(fs_of(d), path);
    if (n == NULL) {
        return ERR_NOT_FOUND;
    }
    node_remove(fs_of(d), n);
    return 0;
}

static int disk_stat(struct env_disk *d, const char *path, struct env_stat *out)
{
    struct memfs_node *n = memfs_find(fs_of(d), path);
    if (n == NULL) {
        return ERR_NOT_FOUND;
    }
    *out = (struct env_stat){n->is_dir, n->mode, n->bytes.len};
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(struct memfs_node *const *)a)->path, (*(struct memfs_node *const *)b)->path);
}

static int disk_list(struct env_disk *d, const char *path, int (*on_name)(void *, const char *),
                     void *arg)
{
    struct memfs *fs = fs_of(d);
    size_t n = strlen(path);
    struct memfs_node *dir = memfs_find(fs, path);
    if (dir == NULL || !dir->is_dir) {
        return ERR_NOT_FOUND;
    }
    qsort(fs->nodes, fs->count, sizeof(fs->nodes[0]), by_path);
    int result = 0;
    for (size_t i = 0; result == 0 && i < fs->count; i++) {
        const char *p = fs->nodes[i]->path;
        if (strncmp(p, path, n) == 0 && p[n] == '/' && strchr(p + n + 1, '/') == NULL) {
            result = on_name(arg, p + n + 1);
        }
    }
    return result;
}

static int disk_sync_dir(struct env_disk *d, const char *path)
{
    (void)path;
    return count_call(fs_of(d), MEMFS_SYNC_DIR);
}

static const char *disk_last_text(struct env_disk *d)
{
    (void)d;
    return "memfs";
}

static const struct env_disk_ops DISK_OPS = {
    .open = disk_open,
    .mkdir = disk_mkdir,
    .rename = disk_rename,
    .unlink = disk_unlink,
    .rmdir = disk_unlink,
    .stat = disk_stat,
    .list = disk_list,
    .sync_dir = disk_sync_dir,
    .last_text = disk_last_text,
};

/* ---- life ---- */

struct memfs *memfs_create(void)
{
    struct memfs *fs = mem_zalloc(sizeof(*fs));
    fs->disk.ops = &DISK_OPS;
    fs->space = UINT64_C(1) << 40;
    memfs_mkdir(fs, "/");
    return fs;
}

void memfs_destroy(struct memfs *fs)
{
    for (size_t i = 0; i < fs->count; i++) {
        ensure(fs->nodes[i]->open_count == 0); /* no test leaks an open file */
        node_free(fs->nodes[i]);
    }
    mem_free(fs->nodes);
    mem_free(fs);
}

void memfs_mkdir(struct memfs *fs, const char *path)
{
    (void)node_add(fs, path, true, 0700);
}

void memfs_put(struct memfs *fs, const char *path, struct slice bytes)
{
    struct memfs_node *n = memfs_find(fs, path);
    if (n == NULL) {
        n = node_add(fs, path, false, 0600);
    }
    buf_clear(&n->bytes);
    buf_append_slice(&n->bytes, bytes);
}

void memfs_fail(struct memfs *fs, enum memfs_op op, unsigned after, int err)
{
    fs->fail_op = op;
    fs->fail_after = after;
    fs->fail_err = err;
}

struct memfs *memfs_clone(const struct memfs *fs)
{
    struct memfs *c = mem_zalloc(sizeof(*c));
    c->disk.ops = &DISK_OPS;
    c->space = fs->space;
    for (size_t i = 0; i < fs->count; i++) {
        struct memfs_node *n =
            node_add(c, fs->nodes[i]->path, fs->nodes[i]->is_dir, fs->nodes[i]->mode);
        buf_append_slice(&n->bytes, buf_slice(&fs->nodes[i]->bytes));
    }
    return c;
}
