/* SPDX-License-Identifier: Apache-2.0
 *
 * backend/defrag: the file rewritten without its free pages, while applying and reading go on.
 *
 * etcd holds everything off meanwhile; here the newest view is copied and the tail waits in memory.
 * Nothing is committed between begin and done, so the copy is the file's last state.
 */
#include <string.h>

#include "backend/internal.h"
#include "base/failpoint.h"

enum { DEFRAG_PAIRS_PER_COMMIT = 10000 };

struct backend_defrag {
    struct backend *backend;
    struct backend_view *view;
    char *tmp_path;
    struct backend_file *file; /* the new one, when done */
    bool is_renamed;           /* path names the copy: the file in use has no name any more */
};

struct backend_defrag *backend_defrag_begin(struct backend *b, const char *suffix)
{
    ensure(b->running == NULL && !b->is_defragmenting);
    b->is_defragmenting = true;
    struct backend_defrag *d = mem_zalloc(sizeof(*d));
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s.tmp.%s", b->path, suffix);
    d->backend = b;
    d->view = backend_view_pin(b);
    d->tmp_path = mem_strdup(buf_cstr(&path));
    buf_deinit(&path);
    return d;
}

static int copy_to_tmp(struct backend_defrag *d)
{
    struct bolt_options o = d->backend->bolt_options;
    struct bolt_db *dst;
    o.path = d->tmp_path;
    int err = FAILPOINT_FIRES(defragOpenFileError) ? ERR_IO : bolt_db_open(&o, &dst);
    if (err != 0) {
        return err;
    }
    FAILPOINT(defragBeforeCopy);
    err = FAILPOINT_FIRES(defragdbFail)
              ? ERR_IO
              : bolt_compact_to(d->view->tx, dst, DEFRAG_PAIRS_PER_COMMIT);
    bolt_db_close(dst);
    return err;
}

int backend_defrag_run(struct backend_defrag *d)
{
    struct backend *b = d->backend;
    struct env_disk *disk = b->disk;
    int err = copy_to_tmp(d);
    if (err == 0) {
        FAILPOINT(defragBeforeRename);
        err = disk->ops->rename(disk, d->tmp_path, b->path);
    }
    if (err != 0) {
        (void)disk->ops->unlink(disk, d->tmp_path);
        return err;
    }
    d->is_renamed = true;
    /* Right after the rename: else a power cut could bring the old file back behind a later raft
     * snapshot (storage-formats 8, D3). */
    char *dir = env_path_dir(b->path);
    err = disk->ops->sync_dir(disk, dir);
    mem_free(dir);
    if (err != 0) {
        return err;
    }
    struct bolt_db *db;
    err = bolt_db_open(&b->bolt_options, &db);
    if (err == 0) {
        d->file = mem_zalloc(sizeof(*d->file));
        atomic_init(&d->file->refs, 1);
        d->file->db = db;
    }
    return err;
}

int backend_defrag_done(struct backend *b, struct backend_defrag *d, int err)
{
    b->is_defragmenting = false;
    struct backend_view *v = NULL;
    if (err == 0) {
        err = backend_view_open(b, d->file, b->committed_index, &v);
    }
    if (err == 0) {
        backend_view_unpin(b->view);
        backend_file_unref(b->file);
        b->view = v;
        b->file = d->file;
    } else {
        b->is_lost = d->is_renamed;
        if (d->file != NULL) {
            backend_file_unref(d->file);
        }
    }
    backend_view_unpin(d->view);
    mem_free(d->tmp_path);
    mem_free(d);
    return err;
}
