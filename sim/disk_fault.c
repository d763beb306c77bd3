/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/disk_fault: the number of each operation, the log, the power switch and the faults asked for.
 */
#include "sim/disk_impl.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"

static const char *const op_names[SIM_OP_KINDS_COUNT] = {
    [SIM_OP_CREATE] = "create",     [SIM_OP_MKDIR] = "mkdir",
    [SIM_OP_RENAME] = "rename",     [SIM_OP_UNLINK] = "unlink",
    [SIM_OP_RMDIR] = "rmdir",       [SIM_OP_WRITE] = "write",
    [SIM_OP_TRUNCATE] = "truncate", [SIM_OP_PREALLOCATE] = "preallocate",
    [SIM_OP_SYNC] = "sync",         [SIM_OP_SYNC_DATA] = "sync_data",
    [SIM_OP_SYNC_DIR] = "sync_dir", [SIM_OP_OPEN] = "open",
    [SIM_OP_READ] = "read",         [SIM_OP_STAT] = "stat",
    [SIM_OP_LIST] = "list",         [SIM_OP_LOCK] = "lock",
};

/* "./a//b" and "/a/b" are spelled "a/b" in patterns and logs. */
static void path_text(const struct sim_disk *d, inode_id inode, const char *path, struct buf *out)
{
    if (path == NULL) {
        sim_inode_path(d, inode, out);
        return;
    }
    while (path[0] == '/' || (path[0] == '.' && path[1] == '/')) {
        path++;
    }
    buf_append_cstr(out, path);
}

bool sim_path_matches(char *const *patterns, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        if (fnmatch(patterns[i], path, 0) == 0) {
            return true;
        }
    }
    return false;
}

bool sim_sync_is_ignored(struct sim_disk *d, inode_id inode)
{
    if (d->ignore_sync_count == 0) {
        return false;
    }
    struct buf path = BUF_INIT;
    sim_inode_path(d, inode, &path);
    bool is_ignored = sim_path_matches(d->ignore_sync, d->ignore_sync_count, buf_cstr(&path));
    buf_deinit(&path);
    return is_ignored;
}

/* ---- log ---- */

static void log_add(struct sim_disk *d, enum sim_op_kind kind, const char *path, const char *path2,
                    uint64_t off, uint64_t len)
{
    struct buf line = BUF_INIT;
    buf_printf(&line, "op %" PRIu64 ": %s %s", d->op_count, op_names[kind], path);
    if (path2 != NULL) {
        buf_printf(&line, " -> %s", path2);
    }
    if (kind == SIM_OP_WRITE) {
        buf_printf(&line, " off %" PRIu64 " len %" PRIu64, off, len);
    } else if (kind == SIM_OP_TRUNCATE || kind == SIM_OP_PREALLOCATE) {
        buf_printf(&line, " size %" PRIu64, len);
    }
    if (d->log_len == d->log_cap) {
        d->log_cap = d->log_cap == 0 ? 64 : d->log_cap * 2;
        d->log = mem_realloc(d->log, d->log_cap * sizeof(d->log[0]));
    }
    d->log[d->log_len++] = mem_strdup(buf_cstr(&line));
    buf_deinit(&line);
}

void sim_disk_log_enable(struct sim_disk *d)
{
    if (!d->is_logging) {
        d->is_logging = true;
        d->log_first = d->op_count + 1;
    }
}

void sim_disk_op_text(const struct sim_disk *d, uint64_t op_no, struct buf *out)
{
    if (d->is_logging && op_no >= d->log_first && op_no - d->log_first < d->log_len) {
        buf_append_cstr(out, d->log[op_no - d->log_first]);
    } else {
        buf_printf(out, "op %" PRIu64, op_no);
    }
}

void sim_disk_log_text(const struct sim_disk *d, uint64_t first, uint64_t last, struct buf *out)
{
    for (uint64_t i = first; i <= last && i <= d->op_count; i++) {
        sim_disk_op_text(d, i, out);
        buf_append_byte(out, '\n');
    }
}

/* ---- faults ---- */

static bool fault_hits(struct fault *f, enum sim_op_kind kind, uint64_t op_no, const char *path)
{
    if (!f->is_match) {
        return kind < SIM_OP_CHANGES_COUNT && f->op_no == op_no;
    }
    if (f->is_spent || (f->kinds & SIM_OP_BIT(kind)) == 0 ||
        (f->pattern != NULL && fnmatch(f->pattern, path, 0) != 0)) {
        return false;
    }
    if (f->countdown > 1) {
        f->countdown--;
        return false;
    }
    f->is_spent = !f->is_sticky;
    return true;
}

static int faults_look(struct sim_disk *d, enum sim_op_kind kind, const char *path)
{
    int err = 0;
    for (size_t i = 0; i < d->fault_count; i++) {
        if (fault_hits(&d->faults[i], kind, d->op_count, path) && err == 0) {
            err = d->faults[i].err;
        }
    }
    if (err == 0) {
        return 0;
    }
    return sim_fail(d, err,
                    err == ERR_NO_SPACE ? "No space left on device"
                    : err == ERR_IO     ? "Input/output error"
                                        : err_text(err));
}

static struct fault *fault_add(struct sim_disk *d)
{
    ensure(d->fault_count < SIM_FAULTS_MAX);
    struct fault *f = &d->faults[d->fault_count++];
    *f = (struct fault){0};
    return f;
}

void sim_disk_fail_op(struct sim_disk *d, uint64_t op_no, int err)
{
    struct fault *f = fault_add(d);
    f->op_no = op_no;
    f->err = err;
}

void sim_disk_fail_match(struct sim_disk *d, unsigned kinds, const char *pattern, uint64_t nth,
                         bool is_sticky, int err)
{
    struct fault *f = fault_add(d);
    f->is_match = true;
    f->kinds = kinds;
    f->pattern = pattern == NULL ? NULL : mem_strdup(pattern);
    f->countdown = nth;
    f->is_sticky = is_sticky;
    f->err = err;
}

void sim_disk_faults_clear(struct sim_disk *d)
{
    for (size_t i = 0; i < d->fault_count; i++) {
        mem_free(d->faults[i].pattern);
    }
    d->fault_count = 0;
}

static void pattern_add(char **patterns, size_t *count, const char *pattern)
{
    ensure(*count < SIM_PATTERNS_MAX);
    patterns[(*count)++] = mem_strdup(pattern);
}

void sim_disk_ignore_sync(struct sim_disk *d, const char *pattern)
{
    pattern_add(d->ignore_sync, &d->ignore_sync_count, pattern);
}

void sim_disk_split_rename(struct sim_disk *d, const char *pattern)
{
    pattern_add(d->split_rename, &d->split_rename_count, pattern);
}

void sim_faults_free(struct sim_disk *d)
{
    sim_disk_faults_clear(d);
    for (size_t i = 0; i < d->ignore_sync_count; i++) {
        mem_free(d->ignore_sync[i]);
    }
    for (size_t i = 0; i < d->split_rename_count; i++) {
        mem_free(d->split_rename[i]);
    }
    for (size_t i = 0; i < d->log_len; i++) {
        mem_free(d->log[i]);
    }
    mem_free(d->log);
}

/* ---- begin ---- */

static int power_look(struct sim_disk *d, bool is_numbered)
{
    if (is_numbered && d->op_count > d->cut_after) {
        d->is_cut = true;
    }
    return d->is_cut ? sim_fail(d, ERR_IO, "simulated power cut") : 0;
}

int sim_op_begin(struct sim_disk *d, enum sim_op_kind kind, inode_id inode, const char *path,
                 const char *path2, uint64_t off, uint64_t len)
{
    if (d->hook != NULL) {
        d->hook(d->hook_arg, d->op_count + 1);
    }
    d->op_count++;
    int err = power_look(d, true);
    if (!d->is_logging && d->fault_count == 0) {
        return err;
    }
    struct buf text = BUF_INIT, text2 = BUF_INIT;
    path_text(d, inode, path, &text);
    if (path2 != NULL) {
        path_text(d, 0, path2, &text2);
    }
    if (d->is_logging) {
        log_add(d, kind, buf_cstr(&text), path2 == NULL ? NULL : buf_cstr(&text2), off, len);
    }
    if (err == 0) {
        err = faults_look(d, kind, buf_cstr(&text));
    }
    buf_deinit(&text);
    buf_deinit(&text2);
    return err;
}

int sim_call_begin(struct sim_disk *d, enum sim_op_kind kind, inode_id inode, const char *path)
{
    int err = power_look(d, false);
    if (err != 0 || d->fault_count == 0) {
        return err;
    }
    struct buf text = BUF_INIT;
    path_text(d, inode, path, &text);
    err = faults_look(d, kind, buf_cstr(&text));
    buf_deinit(&text);
    return err;
}
