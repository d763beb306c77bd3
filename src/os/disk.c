/* SPDX-License-Identifier: Apache-2.0
 *
 * os/disk: files and directories of the kernel.
 *
 * Every call is a plain system call, repeated after EINTR and short counts.  Sync failures are
 * handed up as they are: whether the data is on the disk is unknown then, and a second fsync would
 * say yes for pages the kernel has already given up.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/impl.h"

enum { IOV_BATCH = 128, READ_MAX_BYTES = 1 << 30 };

struct os_file {
    struct env_file base;
    int fd;
    bool no_sync;
};

static struct os_file *file_of(struct env_file *f)
{
    return container_of(f, struct os_file, base);
}

/* ---- files ---- */

static int file_read_at(struct env_file *f, void *dst, size_t len, uint64_t off, size_t *out_n)
{
    uint8_t *at = dst;
    size_t done = 0;
    while (done < len) {
        size_t want = len - done < READ_MAX_BYTES ? len - done : READ_MAX_BYTES;
        ssize_t n = pread(file_of(f)->fd, at + done, want, (off_t)(off + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return os_fail();
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    *out_n = done;
    return 0;
}

/* One call: what it does not give at once is cold, be it the device, a short count or the end. */
static int file_read_now(struct env_file *f, void *dst, size_t len, uint64_t off, size_t *out_n)
{
#ifdef RWF_NOWAIT
    struct iovec iov = {dst, len};
    if (preadv2(file_of(f)->fd, &iov, 1, (off_t)off, RWF_NOWAIT) == (ssize_t)len) {
        *out_n = len;
        return 0;
    }
#endif
    (void)f, (void)dst, (void)len, (void)off, (void)out_n;
    return ERR_COLD;
}

/* Takes n written bytes off the front of iov; returns how many of its elements are through. */
static size_t iov_advance(struct iovec *iov, size_t count, size_t n)
{
    size_t i = 0;
    while (i < count && n >= iov[i].iov_len) {
        n -= iov[i].iov_len;
        i++;
    }
    if (i < count) {
        iov[i].iov_base = (uint8_t *)iov[i].iov_base + n;
        iov[i].iov_len -= n;
    }
    return i;
}

static int iov_write_at(int fd, struct iovec *iov, size_t count, uint64_t *off)
{
    while (count > 0) {
        ssize_t n = pwritev(fd, iov, (int)count, (off_t)*off);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return os_fail();
        }
        if (n == 0) {
            return os_fail_with(EIO); /* no progress and no reason: do not spin */
        }
        *off += (uint64_t)n;
        size_t through = iov_advance(iov, count, (size_t)n);
        iov += through;
        count -= through;
    }
    return 0;
}

static int file_write_at(struct env_file *f, const struct slice *parts, size_t count, uint64_t off)
{
    struct iovec iov[IOV_BATCH];
    for (size_t i = 0; i < count;) {
        size_t n = 0;
        for (; i < count && n < IOV_BATCH; i++) {
            if (parts[i].len > 0) {
                iov[n++] = (struct iovec){(void *)(uintptr_t)parts[i].data, parts[i].len};
            }
        }
        int err = iov_write_at(file_of(f)->fd, iov, n, &off);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

static int fd_sync(int fd, int (*call)(int fd))
{
    int rc;
    do {
        rc = call(fd);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : os_fail();
}

static int file_sync_data(struct env_file *f)
{
    return file_of(f)->no_sync ? 0 : fd_sync(file_of(f)->fd, fdatasync);
}

static int file_sync(struct env_file *f)
{
    return file_of(f)->no_sync ? 0 : fd_sync(file_of(f)->fd, fsync);
}

static int file_truncate(struct env_file *f, uint64_t size)
{
    int rc;
    do {
        rc = ftruncate(file_of(f)->fd, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : os_fail();
}

static int file_size(struct env_file *f, uint64_t *out_size)
{
    struct stat st;
    if (fstat(file_of(f)->fd, &st) != 0) {
        return os_fail();
    }
    *out_size = (uint64_t)st.st_size;
    return 0;
}

static int file_preallocate(struct env_file *f, uint64_t size)
{
    int rc;
    if (size == 0) {
        return 0;
    }
    do {
        rc = fallocate(file_of(f)->fd, 0, 0, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        return 0;
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS) {
        return os_fail();
    }
    uint64_t now = 0;
    int err = file_size(f, &now);
    return err != 0 || now >= size ? err : file_truncate(f, size);
}

static int lock_ofd(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int rc;
    do {
        rc = fcntl(fd, F_OFD_SETLK, &whole);
    } while (rc != 0 && errno == EINTR);
    return rc;
}

static int file_lock(struct env_file *f, enum env_lock kind)
{
    int fd = file_of(f)->fd, rc;
    if (kind == ENV_LOCK_OFD) {
        rc = lock_ofd(fd);
    } else {
        do {
            rc = flock(fd, (kind == ENV_LOCK_FLOCK_EX ? LOCK_EX : LOCK_SH) | LOCK_NB);
        } while (rc != 0 && errno == EINTR);
    }
    if (rc == 0) {
        return 0;
    }
    bool is_held = errno == EWOULDBLOCK || errno == EACCES;
    int err = os_fail();
    return is_held ? ERR_LOCKED : err;
}

static void file_close(struct env_file *f)
{
    /* Linux frees the number whatever close says, EINTR included. */
    (void)close(file_of(f)->fd);
    mem_free(file_of(f));
}

static const struct env_file_ops file_ops = {
    .read_at = file_read_at,
    .read_now = file_read_now,
    .write_at = file_write_at,
    .sync_data = file_sync_data,
    .sync = file_sync,
    .truncate = file_truncate,
    .preallocate = file_preallocate,
    .size = file_size,
    .lock = file_lock,
    .close = file_close,
};

/* ---- paths ---- */

static int open_flags(unsigned flags)
{
    bool has_write = (flags & ENV_OPEN_WRITE) != 0;
    int out = has_write ? ((flags & ENV_OPEN_READ) != 0 ? O_RDWR : O_WRONLY) : O_RDONLY;
    out |= (flags & ENV_OPEN_CREATE) != 0 ? O_CREAT : 0;
    out |= (flags & ENV_OPEN_EXCL) != 0 ? O_EXCL : 0;
    out |= (flags & ENV_OPEN_TRUNC) != 0 ? O_TRUNC : 0;
    out |= (flags & ENV_OPEN_DIRECT) != 0 ? O_DIRECT : 0;
    return out | O_CLOEXEC;
}

static int open_again(const char *path, int flags, uint32_t mode)
{
    int fd;
    do {
        fd = open(path, flags, (mode_t)mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static int disk_open(struct env_disk *d, const char *path, unsigned flags, uint32_t mode,
                     struct env_file **out)
{
    int fd = open_again(path, open_flags(flags), mode);
    if (fd < 0 && errno == EINVAL && (flags & ENV_OPEN_DIRECT) != 0) {
        fd = open_again(path, open_flags(flags & ~(unsigned)ENV_OPEN_DIRECT), mode);
    }
    if (fd < 0) {
        return os_fail();
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        int err = os_fail_with(EISDIR);
        (void)close(fd);
        return err;
    }
    struct os_file *f = mem_alloc(sizeof(*f));
    *f = (struct os_file){{&file_ops}, fd, container_of(d, struct os_disk, base)->no_sync};
    *out = &f->base;
    return 0;
}

static int disk_mkdir(struct env_disk *d, const char *path, uint32_t mode)
{
    (void)d;
    return mkdir(path, (mode_t)mode) == 0 ? 0 : os_fail();
}

static int disk_rename(struct env_disk *d, const char *from, const char *to)
{
    (void)d;
    return rename(from, to) == 0 ? 0 : os_fail();
}

static int disk_unlink(struct env_disk *d, const char *path)
{
    (void)d;
    return unlink(path) == 0 ? 0 : os_fail();
}

static int disk_rmdir(struct env_disk *d, const char *path)
{
    (void)d;
    return rmdir(path) == 0 ? 0 : os_fail();
}

static int disk_stat(struct env_disk *d, const char *path, struct env_stat *out)
{
    (void)d;
    struct stat st;
    if (stat(path, &st) != 0) {
        return os_fail();
    }
    *out =
        (struct env_stat){S_ISDIR(st.st_mode), (uint32_t)st.st_mode & 07777, (uint64_t)st.st_size};
    return 0;
}

struct name_list {
    char **at;
    size_t len;
    size_t cap;
};

static void name_list_add(struct name_list *l, const char *name)
{
    if (l->len == l->cap) {
        l->cap = l->cap == 0 ? 16 : l->cap * 2;
        l->at = mem_realloc(l->at, l->cap * sizeof(l->at[0]));
    }
    l->at[l->len++] = mem_strdup(name);
}

static void name_list_free(struct name_list *l)
{
    for (size_t i = 0; i < l->len; i++) {
        mem_free(l->at[i]);
    }
    mem_free(l->at);
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_read(const char *path, struct name_list *out)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return os_fail();
    }
    int err = 0;
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (e == NULL) {
            err = errno == 0 ? 0 : os_fail();
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            name_list_add(out, e->d_name);
        }
    }
    (void)closedir(dir);
    return err;
}

static int disk_list(struct env_disk *d, const char *path,
                     int (*on_name)(void *arg, const char *name), void *arg)
{
    (void)d;
    struct name_list names = {NULL, 0, 0};
    int err = names_read(path, &names);
    if (err == 0 && names.len > 1) {
        qsort(names.at, names.len, sizeof(names.at[0]), name_compare);
    }
    for (size_t i = 0; err == 0 && i < names.len; i++) {
        err = on_name(arg, names.at[i]);
    }
    name_list_free(&names);
    return err;
}

static int disk_sync_dir(struct env_disk *d, const char *path)
{
    if (container_of(d, struct os_disk, base)->no_sync) {
        return 0;
    }
    int fd = open_again(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0) {
        return os_fail();
    }
    int err = fd_sync(fd, fsync);
    (void)close(fd);
    return err;
}

static const char *disk_last_text(struct env_disk *d)
{
    (void)d;
    return os_last_text();
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

void os_disk_init(struct os_disk *d, bool no_sync)
{
    d->base.ops = &disk_ops;
    d->no_sync = no_sync;
}
