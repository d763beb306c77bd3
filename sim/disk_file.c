/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/disk_file: contents of a file: what reads see, what is durable, and what a crash makes of the
 * difference.
 *
 * Invariants  I1  After a sync the sectors touched since the last one are in the durable content as
 *                 they are in the current one, and the sizes are equal.
 *             I2  A sector after a crash shows a state that it had at some time since the last
 * sync: a later write never without the bytes an earlier one had put into the same sector. I3 Sizes
 * survive as a prefix of the size changes.
 */
#include "sim/disk_impl.h"

#include <string.h>

#include "base/assert.h"

static struct sim_file *file_of(struct env_file *f)
{
    return container_of(f, struct sim_file, base);
}

/* ---- changes ---- */

static void change_add(struct inode *n, struct change c)
{
    if (n->change_count == n->change_cap) {
        n->change_cap = n->change_cap == 0 ? 16 : n->change_cap * 2;
        n->changes = mem_realloc(n->changes, n->change_cap * sizeof(n->changes[0]));
    }
    n->changes[n->change_count++] = c;
}

void sim_file_changes_free(struct inode *n)
{
    for (size_t i = 0; i < n->change_count; i++) {
        rcbuf_unref(n->changes[i].bytes);
    }
    mem_free(n->changes);
    n->changes = NULL;
    n->change_count = n->change_cap = 0;
}

static void changes_clear(struct inode *n)
{
    for (size_t i = 0; i < n->change_count; i++) {
        rcbuf_unref(n->changes[i].bytes);
    }
    n->change_count = 0;
}

/* Copies [lo, hi) of src over dst, within both. */
static void copy_range(struct blob *dst, const struct blob *src, uint64_t lo, uint64_t hi)
{
    uint8_t piece[SIM_CHUNK_BYTES];
    hi = hi < dst->size ? hi : dst->size;
    while (lo < hi) {
        size_t want = hi - lo < sizeof(piece) ? (size_t)(hi - lo) : sizeof(piece);
        size_t n = blob_read(src, piece, want, lo);
        if (n == 0) {
            return;
        }
        blob_write(dst, piece, n, lo);
        lo += n;
    }
}

static uint64_t sector_floor(uint64_t off)
{
    return off - off % SIM_SECTOR_BYTES;
}

static uint64_t sector_ceil(uint64_t off)
{
    return sector_floor(off + SIM_SECTOR_BYTES - 1);
}

void sim_file_settle(struct inode *n)
{
    for (size_t i = 0; i < n->change_count; i++) {
        const struct change *c = &n->changes[i];
        if (c->kind == CHANGE_SIZE) {
            blob_resize(&n->dur, c->off);
        } else if (c->off + c->bytes->len > n->dur.size) {
            blob_resize(&n->dur, c->off + c->bytes->len);
        }
    }
    blob_resize(&n->dur, n->cur.size);
    for (size_t i = 0; i < n->change_count; i++) {
        const struct change *c = &n->changes[i];
        if (c->kind == CHANGE_WRITE) {
            copy_range(&n->dur, &n->cur, sector_floor(c->off), sector_ceil(c->off + c->bytes->len));
        }
    }
    changes_clear(n);
}

/* ---- fates ---- */

enum tear_shape {
    TEAR_SUBSET,
    TEAR_PREFIX,
    TEAR_SUFFIX,
    TEAR_SHAPES_COUNT,
};

struct fates {
    struct prng *prng;
    bool is_tearing;    /* SIM_CRASH_TEAR */
    uint64_t keep_of_8; /* mood of this crash: how likely a write is kept whole */
};

/* Of count sectors from first on: copies those that survived from seen to result. */
static void keep_torn(struct fates *f, struct blob *result, const struct blob *seen, uint64_t first,
                      uint64_t count)
{
    enum tear_shape shape = (enum tear_shape)prng_below(f->prng, TEAR_SHAPES_COUNT);
    /* One sector at least on each side, or it is not torn. */
    uint64_t edge = 1 + prng_below(f->prng, count - 1);
    for (uint64_t i = 0; i < count; i++) {
        bool is_kept = shape == TEAR_PREFIX   ? i < edge
                       : shape == TEAR_SUFFIX ? i >= edge
                       : i == edge            ? true
                       : i == edge - 1        ? false
                                              : prng_chance(f->prng, 1, 2) != 0;
        if (is_kept) {
            uint64_t off = first + i * SIM_SECTOR_BYTES;
            copy_range(result, seen, off, off + SIM_SECTOR_BYTES);
        }
    }
}

static void write_fate(struct fates *f, struct blob *result, const struct blob *seen,
                       const struct change *c)
{
    uint64_t first = sector_floor(c->off);
    uint64_t count = (sector_ceil(c->off + c->bytes->len) - first) / SIM_SECTOR_BYTES;
    bool can_tear = count > 1;
    if (can_tear && (f->is_tearing || prng_chance(f->prng, 1, 3))) {
        keep_torn(f, result, seen, first, count);
    } else if (prng_chance(f->prng, f->keep_of_8, 8)) {
        copy_range(result, seen, first, first + count * SIM_SECTOR_BYTES);
    }
}

/* How many size changes survive (I3). */
static size_t size_prefix(const struct inode *n, struct prng *prng)
{
    size_t count = 0;
    uint64_t size = n->dur.size;
    for (size_t i = 0; i < n->change_count; i++) {
        const struct change *c = &n->changes[i];
        uint64_t end = c->kind == CHANGE_SIZE ? c->off : c->off + c->bytes->len;
        if (c->kind == CHANGE_SIZE || end > size) {
            size = end;
            count++;
        }
    }
    switch (prng_below(prng, 3)) {
    case 0: return count;
    case 1: return 0;
    default: return (size_t)prng_below(prng, count + 1);
    }
}

/* The last surviving growth of a file may have come to any sector on its way. */
static uint64_t torn_size(struct fates *f, uint64_t old_size, uint64_t new_size)
{
    uint64_t sectors = (sector_ceil(new_size) - sector_floor(old_size)) / SIM_SECTOR_BYTES;
    if (sectors <= 1 || !prng_chance(f->prng, 1, 3)) {
        return new_size;
    }
    uint64_t size =
        sector_floor(old_size) + (1 + prng_below(f->prng, sectors - 1)) * SIM_SECTOR_BYTES;
    return size;
}

/* result: the durable content with the surviving changes. */
static void changes_replay(const struct inode *n, struct fates *f, struct blob *result)
{
    struct blob seen; /* as reads saw it at this point of the list */
    blob_copy(&seen, &n->dur);
    size_t sizes_left = size_prefix(n, f->prng);
    for (size_t i = 0; i < n->change_count; i++) {
        const struct change *c = &n->changes[i];
        uint64_t end = c->kind == CHANGE_SIZE ? c->off : c->off + c->bytes->len;
        bool is_sizing = c->kind == CHANGE_SIZE || end > seen.size;
        if (c->kind == CHANGE_SIZE) {
            blob_resize(&seen, end);
        } else {
            blob_write(&seen, c->bytes->data, c->bytes->len, c->off);
        }
        if (is_sizing && sizes_left > 0) {
            sizes_left--;
            bool is_torn = sizes_left == 0 && c->kind == CHANGE_WRITE && end > result->size;
            blob_resize(result, is_torn ? torn_size(f, result->size, end) : end);
        }
        if (c->kind == CHANGE_WRITE && c->bytes->len > 0) {
            write_fate(f, result, &seen, c);
        }
    }
    blob_deinit(&seen);
}

static void fates_draw(struct fates *f, struct prng *prng, bool is_tearing)
{
    static const uint64_t moods[] = {1, 4, 7};
    *f = (struct fates){prng, is_tearing, moods[prng_below(prng, ARRAY_LEN(moods))]};
}

static void dur_replay(struct inode *n, struct prng *prng, bool is_tearing)
{
    struct fates fates;
    struct blob result;
    fates_draw(&fates, prng, is_tearing);
    blob_copy(&result, &n->dur);
    changes_replay(n, &fates, &result);
    blob_deinit(&n->dur);
    n->dur = result;
    changes_clear(n);
}

void sim_file_sync_failed(struct sim_disk *d, struct inode *n)
{
    dur_replay(n, &d->prng, false);
}

void sim_file_crash(struct sim_disk *d, struct inode *n, enum sim_crash_policy policy,
                    struct prng *prng)
{
    if (policy == SIM_CRASH_KEEP_ALL) {
        blob_deinit(&n->dur);
        blob_copy(&n->dur, &n->cur);
    } else if (policy != SIM_CRASH_LOSE_ALL) {
        dur_replay(n, prng, policy == SIM_CRASH_TEAR);
    }
    changes_clear(n);
    d->used += n->dur.size - n->cur.size;
    blob_deinit(&n->cur);
    blob_copy(&n->cur, &n->dur);
}

/* ---- calls ---- */

static int begin(struct sim_file *f, enum sim_op_kind kind, uint64_t off, uint64_t len)
{
    if (f->is_dead) {
        return sim_fail(f->disk, ERR_IO, "the machine lost power since this file was opened");
    }
    return kind < SIM_OP_CHANGES_COUNT ? sim_op_begin(f->disk, kind, f->inode, NULL, NULL, off, len)
                                       : sim_call_begin(f->disk, kind, f->inode, NULL);
}

static int begin_change(struct sim_file *f, enum sim_op_kind kind, uint64_t off, uint64_t len)
{
    int err = begin(f, kind, off, len);
    if (err == 0 && (f->flags & ENV_OPEN_WRITE) == 0) {
        err = sim_fail(f->disk, ERR_INVALID, "Bad file descriptor");
    }
    return err;
}

static bool has_space(struct sim_disk *d, uint64_t old_size, uint64_t new_size)
{
    return new_size <= old_size ||
           (d->capacity >= d->used && d->capacity - d->used >= new_size - old_size);
}

int sim_file_resize(struct sim_disk *d, struct inode *n, uint64_t size)
{
    if (!has_space(d, n->cur.size, size)) {
        return sim_fail(d, ERR_NO_SPACE, "No space left on device");
    }
    d->used += size - n->cur.size;
    blob_resize(&n->cur, size);
    change_add(n, (struct change){CHANGE_SIZE, size, NULL});
    return 0;
}

static int file_read_at(struct env_file *f, void *dst, size_t len, uint64_t off, size_t *out_n)
{
    struct sim_file *sf = file_of(f);
    int err = begin(sf, SIM_OP_READ, off, len);
    if (err == 0 && (sf->flags & ENV_OPEN_READ) == 0) {
        err = sim_fail(sf->disk, ERR_INVALID, "Bad file descriptor");
    }
    if (err == 0) {
        *out_n = blob_read(&sim_inode(sf->disk, sf->inode)->cur, dst, len, off);
    }
    return err;
}

static int file_write_at(struct env_file *f, const struct slice *parts, size_t count, uint64_t off)
{
    struct sim_file *sf = file_of(f);
    uint64_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += parts[i].len;
    }
    int err = begin_change(sf, SIM_OP_WRITE, off, len);
    if (err != 0 || len == 0) {
        return err;
    }
    struct inode *n = sim_inode(sf->disk, sf->inode);
    if (!has_space(sf->disk, n->cur.size, off + len)) {
        return sim_fail(sf->disk, ERR_NO_SPACE, "No space left on device");
    }
    struct rcbuf *bytes = rcbuf_create((size_t)len);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) {
            memcpy(bytes->data + bytes->len, parts[i].data, parts[i].len);
            bytes->len += parts[i].len;
        }
    }
    sf->disk->used += off + len > n->cur.size ? off + len - n->cur.size : 0;
    blob_write(&n->cur, bytes->data, bytes->len, off);
    change_add(n, (struct change){CHANGE_WRITE, off, bytes});
    return 0;
}

static int sync_any(struct env_file *f, enum sim_op_kind kind)
{
    struct sim_file *sf = file_of(f);
    int err = begin(sf, kind, 0, 0);
    struct inode *n = sim_inode(sf->disk, sf->inode);
    if (err != 0) {
        if (!sf->is_dead && !sf->disk->is_cut) {
            sim_file_sync_failed(sf->disk, n);
        }
        return err;
    }
    if (!sim_sync_is_ignored(sf->disk, sf->inode)) {
        sim_file_settle(n);
    }
    return 0;
}

static int file_sync_data(struct env_file *f)
{
    return sync_any(f, SIM_OP_SYNC_DATA);
}

static int file_sync(struct env_file *f)
{
    return sync_any(f, SIM_OP_SYNC);
}

static int file_truncate(struct env_file *f, uint64_t size)
{
    struct sim_file *sf = file_of(f);
    int err = begin_change(sf, SIM_OP_TRUNCATE, 0, size);
    return err != 0 ? err : sim_file_resize(sf->disk, sim_inode(sf->disk, sf->inode), size);
}

static int file_preallocate(struct env_file *f, uint64_t size)
{
    struct sim_file *sf = file_of(f);
    int err = begin_change(sf, SIM_OP_PREALLOCATE, 0, size);
    struct inode *n = sim_inode(sf->disk, sf->inode);
    return err != 0 || size <= n->cur.size ? err : sim_file_resize(sf->disk, n, size);
}

static int file_size(struct env_file *f, uint64_t *out_size)
{
    struct sim_file *sf = file_of(f);
    int err = begin(sf, SIM_OP_STAT, 0, 0);
    if (err == 0) {
        *out_size = sim_inode(sf->disk, sf->inode)->cur.size;
    }
    return err;
}

static int lock_flock_ex(struct sim_file *sf, struct inode *n)
{
    bool is_held = n->flock_holder != NULL && n->flock_holder != sf;
    if (is_held || n->flock_shared > (sf->has_flock_sh ? 1u : 0u)) {
        return ERR_LOCKED;
    }
    n->flock_shared -= sf->has_flock_sh ? 1u : 0u;
    sf->has_flock_sh = false;
    n->flock_holder = sf;
    sf->has_flock_ex = true;
    return 0;
}

static int lock_flock_sh(struct sim_file *sf, struct inode *n)
{
    if (n->flock_holder != NULL && n->flock_holder != sf) {
        return ERR_LOCKED;
    }
    n->flock_holder = NULL;
    n->flock_shared += sf->has_flock_sh ? 0u : 1u;
    sf->has_flock_sh = true;
    sf->has_flock_ex = false;
    return 0;
}

static int lock_ofd(struct sim_file *sf, struct inode *n)
{
    if (n->ofd_holder != NULL && n->ofd_holder != sf) {
        return ERR_LOCKED;
    }
    n->ofd_holder = sf;
    sf->has_ofd = true;
    return 0;
}

static int file_lock(struct env_file *f, enum env_lock kind)
{
    struct sim_file *sf = file_of(f);
    int err = begin(sf, SIM_OP_LOCK, 0, 0);
    if (err != 0) {
        return err;
    }
    struct inode *n = sim_inode(sf->disk, sf->inode);
    err = kind == ENV_LOCK_OFD        ? lock_ofd(sf, n)
          : kind == ENV_LOCK_FLOCK_EX ? lock_flock_ex(sf, n)
                                      : lock_flock_sh(sf, n);
    return err == 0 ? 0 : sim_fail(sf->disk, err, "Resource temporarily unavailable");
}

static void file_close(struct env_file *f)
{
    struct sim_file *sf = file_of(f);
    list_remove(&sf->node);
    if (!sf->is_dead) {
        struct inode *n = sim_inode(sf->disk, sf->inode);
        n->ofd_holder = sf->has_ofd ? NULL : n->ofd_holder;
        n->flock_holder = sf->has_flock_ex ? NULL : n->flock_holder;
        n->flock_shared -= sf->has_flock_sh ? 1u : 0u;
        n->opens--;
        sim_inode_maybe_free(sf->disk, sf->inode);
    }
    mem_free(sf);
}

const struct env_file_ops sim_file_ops = {
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
