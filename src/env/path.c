/* SPDX-License-Identifier: Apache-2.0
 *
 * env/path: what can be said with the disk table alone: whole files, whole trees, path text.
 */
#include "env/env.h"

#include <string.h>

#include "base/assert.h"

enum { DIR_DEPTH_MAX = 64 };

char *env_path_join(const char *a, const char *b)
{
    struct buf out = BUF_INIT;
    buf_append_cstr(&out, a);
    if (out.len > 0 && out.data[out.len - 1] != '/') {
        buf_append_byte(&out, '/');
    }
    buf_append_cstr(&out, b);
    return (char *)(uintptr_t)buf_cstr(&out);
}

char *env_path_dir(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    while (n > 0 && path[n - 1] != '/') {
        n--;
    }
    if (n == 0) {
        return mem_strdup(".");
    }
    return mem_strndup(path, n > 1 ? n - 1 : 1);
}

bool env_exists(struct env_disk *d, const char *path)
{
    struct env_stat st;
    return d->ops->stat(d, path, &st) == 0;
}

int env_mkdir_all(struct env_disk *d, const char *path, uint32_t mode)
{
    struct env_stat st;
    if (d->ops->stat(d, path, &st) == 0) {
        return st.is_dir ? 0 : ERR_NOT_DIR;
    }
    char *parent = env_path_dir(path);
    int err = 0;
    if (strcmp(parent, path) != 0) {
        err = env_mkdir_all(d, parent, mode);
    }
    mem_free(parent);
    if (err == 0) {
        err = d->ops->mkdir(d, path, mode);
    }
    return err == ERR_EXISTS ? 0 : err;
}

struct names {
    struct buf text; /* NUL-separated */
};

static int names_add(void *arg, const char *name)
{
    struct names *n = arg;
    buf_append(&n->text, name, strlen(name) + 1);
    return 0;
}

static int remove_at(struct env_disk *d, const char *path, int depth)
{
    struct env_stat st;
    int err = d->ops->stat(d, path, &st);
    if (err == ERR_NOT_FOUND) {
        return 0;
    }
    if (err != 0) {
        return err;
    }
    if (!st.is_dir) {
        return d->ops->unlink(d, path);
    }
    if (depth >= DIR_DEPTH_MAX) {
        return ERR_LIMIT;
    }
    struct names names = {BUF_INIT};
    err = d->ops->list(d, path, names_add, &names);
    for (size_t off = 0; err == 0 && off < names.text.len;) {
        const char *name = (const char *)names.text.data + off;
        char *child = env_path_join(path, name);
        err = remove_at(d, child, depth + 1);
        mem_free(child);
        off += strlen(name) + 1;
    }
    buf_deinit(&names.text);
    return err != 0 ? err : d->ops->rmdir(d, path);
}

int env_remove_all(struct env_disk *d, const char *path)
{
    return remove_at(d, path, 0);
}

int env_read_file(struct env_disk *d, const char *path, size_t max, struct buf *out)
{
    struct env_file *f;
    int err = d->ops->open(d, path, ENV_OPEN_READ, 0, &f);
    if (err != 0) {
        return err;
    }
    uint64_t size;
    err = f->ops->size(f, &size);
    if (err == 0 && size > max) {
        err = ERR_TOO_LARGE;
    }
    if (err == 0) {
        err = buf_try_reserve(out, (size_t)size);
    }
    size_t n = 0;
    if (err == 0) {
        err = f->ops->read_at(f, out->data + out->len, (size_t)size, 0, &n);
    }
    if (err == 0) {
        out->len += n;
    }
    f->ops->close(f);
    return err;
}

int env_write_file(struct env_disk *d, const char *path, struct slice content, uint32_t mode)
{
    struct buf tmp = BUF_INIT;
    buf_printf(&tmp, "%s.tmp", path);
    struct env_file *f;
    int err = d->ops->open(d, buf_cstr(&tmp), ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNC,
                           mode, &f);
    if (err != 0) {
        buf_deinit(&tmp);
        return err;
    }
    err = content.len == 0 ? 0 : f->ops->write_at(f, &content, 1, 0);
    if (err == 0) {
        err = f->ops->sync(f);
    }
    f->ops->close(f);
    if (err == 0) {
        err = d->ops->rename(d, buf_cstr(&tmp), path);
    }
    if (err == 0) {
        char *dir = env_path_dir(path);
        err = d->ops->sync_dir(d, dir);
        mem_free(dir);
    } else {
        (void)d->ops->unlink(d, buf_cstr(&tmp));
    }
    buf_deinit(&tmp);
    return err;
}
