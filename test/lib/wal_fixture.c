/* SPDX-License-Identifier: Apache-2.0 */
#include "wal_fixture.h"

void wal_fixture_init(struct wal_fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->fs = memfs_create();
    memfs_mkdir(f->fs, "/m");
    f->opts = (struct wal_options){.disk = &f->fs->disk, .dir = WAL_DIR, .detail = &f->detail};
}

void wal_fixture_deinit(struct wal_fixture *f)
{
    wal_fixture_close(f);
    memfs_destroy(f->fs);
}

void wal_fixture_create(struct wal_fixture *f, uint64_t segment_bytes)
{
    const struct wal_metadata m = {WAL_NODE_ID, WAL_CLUSTER_ID};
    f->opts.segment_bytes = segment_bytes;
    ensure(wal_create(&f->opts, &m, &f->wal) == 0);
    wal_check(f->wal);
}

void wal_fixture_data(struct buf *out, raft_index index, raft_term term, size_t len)
{
    buf_clear(out);
    for (size_t i = 0; i < len; i++) {
        buf_append_byte(out, (uint8_t)(1 + (index * 31 + term * 7 + i) % 255));
    }
}

void wal_fixture_append(struct wal_fixture *f, raft_index from, size_t count, raft_term term,
                        size_t len, raft_index commit)
{
    struct raft_entry *e = mem_zalloc((count + 1) * sizeof(*e));
    for (size_t i = 0; i < count; i++) {
        struct buf data = BUF_INIT;
        wal_fixture_data(&data, from + i, term, len);
        e[i] = (struct raft_entry){.term = term, .index = from + i};
        if (len > 0) {
            e[i].owner = rcbuf_from(buf_slice(&data));
            e[i].data = rcbuf_slice(e[i].owner);
        }
        buf_deinit(&data);
    }
    const struct raft_hard_state hs = {term, 1, commit};
    ensure(wal_append(f->wal, e, count, commit == 0 ? NULL : &hs) == 0);
    ensure(wal_sync(f->wal) == 0);
    wal_check(f->wal);
    for (size_t i = 0; i < count; i++) {
        rcbuf_unref(e[i].owner);
    }
    mem_free(e);
}

void wal_fixture_close(struct wal_fixture *f)
{
    wal_contents_deinit(&f->contents);
    if (f->wal != NULL) {
        (void)wal_close(f->wal);
        f->wal = NULL;
    }
}

int wal_fixture_recover(struct wal_fixture *f, raft_index index, raft_term term)
{
    wal_fixture_close(f);
    return wal_recover(&f->opts, (struct raft_entry_id){term, index}, &f->wal, &f->contents);
}

void wal_fixture_expect(const struct wal_contents *c, size_t at, raft_index from, size_t count,
                        raft_term term, size_t len)
{
    struct buf data = BUF_INIT;
    ensure(at + count <= c->count);
    for (size_t i = 0; i < count; i++) {
        const struct raft_entry *e = &c->entries[at + i];
        wal_fixture_data(&data, from + i, term, len);
        ensure(e->index == from + i && e->term == term);
        ensure(slice_equal(e->data, buf_slice(&data)));
    }
    buf_deinit(&data);
}
