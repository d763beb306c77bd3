/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/cmd/utl_test: snapshot files that etcd 3.7.1 and 3.5 made, and what etcdutl of 3.7.1
 * says of them and of what is restored from them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "cmd/utl.h"
#include "os/os.h"
#include "snap/snap.h"
#include "wal/wal.h"

#define SNAPSHOT TEST_DATA "/ctl/snapshot-3.7.db"
#define SNAPSHOT_35 TEST_DATA "/ctl/snapshot-3.5.db"
#define CLUSTER "m1=http://127.0.0.1:36001,m2=http://127.0.0.1:36002,m3=http://127.0.0.1:36003"

struct fixture {
    struct env *env;
    char dir[64];
    struct buf reason;
    char data_dir[96];
    char db[128];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_int_equal(os_env_create(&(struct os_options){.no_lanes = true}, &f->env), 0);
    snprintf(f->dir, sizeof(f->dir), "/tmp/cairn_utl_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->data_dir, sizeof(f->data_dir), "%s/data", f->dir);
    snprintf(f->db, sizeof(f->db), "%s/member/snap/db", f->data_dir);
    buf_init(&f->reason);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    (void)env_remove_all(f->env->disk, f->dir);
    buf_deinit(&f->reason);
    os_env_destroy(f->env);
    free(f);
    return 0;
}

static struct utl_restore_conf conf_of(struct fixture *f)
{
    return (struct utl_restore_conf){.disk = f->env->disk,
                                     .file = SNAPSHOT,
                                     .name = "m1",
                                     .initial_cluster = CLUSTER,
                                     .initial_cluster_token = "tok",
                                     .initial_advertise_peer_urls = "http://127.0.0.1:36001",
                                     .data_dir = f->data_dir,
                                     .wal_dir = ""};
}

static void check_hash(struct fixture *f, const char *path, int64_t rev, uint32_t hash)
{
    struct print_db_hashkv h;
    assert_int_equal(utl_hashkv(f->env, path, rev, 1000, &h, &f->reason), 0);
    assert_int_equal(h.hash, hash);
}

static void tells_the_status(void **state)
{
    struct fixture *f = *state;
    struct utl_status st;
    assert_int_equal(utl_status(f->env, SNAPSHOT, &st, &f->reason), 0);
    assert_int_equal(st.hash, 0xe2a2fab0);
    assert_int_equal(st.revision, 37);
    assert_int_equal(st.total_key, 34);
    assert_int_equal(st.total_size, 24576);
    assert_string_equal(st.version, "3.7.0");
    assert_int_equal(utl_status(f->env, SNAPSHOT_35, &st, &f->reason), 0);
    assert_int_equal(st.hash, 0x75703b70);
    assert_int_equal(st.total_key, 3);
    assert_int_equal(st.total_pair, 9);
    assert_string_equal(st.version, "");
    assert_int_not_equal(utl_status(f->env, "/nonexistent", &st, &f->reason), 0);
    assert_string_equal(buf_cstr(&f->reason), "stat /nonexistent: no such file or directory");
    buf_clear(&f->reason);
    assert_int_not_equal(utl_status(f->env, TEST_DATA "/ctl/print.txt", &st, &f->reason), 0);
    assert_string_equal(buf_cstr(&f->reason), "invalid database");
}

static void hashes_like_the_reference(void **state)
{
    struct fixture *f = *state;
    struct print_db_hashkv h;
    check_hash(f, SNAPSHOT, 0, 1529296096u);
    check_hash(f, SNAPSHOT, 25, 1360645692u);
    check_hash(f, SNAPSHOT, 30, 290570018u);
    check_hash(f, SNAPSHOT, 21, 2337493729u);
    assert_int_not_equal(utl_hashkv(f->env, SNAPSHOT, 2, 0, &h, &f->reason), 0);
    assert_string_equal(buf_cstr(&f->reason), "mvcc: required revision has been compacted");
    buf_clear(&f->reason);
    assert_int_not_equal(utl_hashkv(f->env, SNAPSHOT, 99999, 0, &h, &f->reason), 0);
    assert_string_equal(buf_cstr(&f->reason), "mvcc: required revision is a future revision");
}

static void check_log(struct fixture *f)
{
    char dir[128];
    struct wal *w;
    struct wal_contents contents;
    snprintf(dir, sizeof(dir), "%s/member/wal", f->data_dir);
    struct wal_options opts = {.disk = f->env->disk, .dir = dir};
    wal_contents_init(&contents);
    assert_int_equal(wal_open(&opts, (struct raft_entry_id){0, 0}, false, &w), 0);
    assert_int_equal(wal_read_all(w, &contents), 0);
    assert_int_equal(contents.count, 3);
    assert_int_equal(contents.metadata.node_id, 0x6ab7b2a2e895fa54);
    assert_int_equal(contents.metadata.cluster_id, 0x612c7c555cf3d903);
    assert_int_equal(contents.hard_state.term, 1);
    assert_int_equal(contents.hard_state.commit, 3);
    assert_int_equal(contents.hard_state.vote, 0x6ab7b2a2e895fa54);
    wal_contents_deinit(&contents);
    (void)wal_close(w);
}

static void check_snap(struct fixture *f)
{
    char dir[128];
    struct snap_file s;
    snprintf(dir, sizeof(dir), "%s/member/snap", f->data_dir);
    snap_file_init(&s);
    assert_int_equal(snap_load_newest(f->env->disk, dir, NULL, 0, &s), 0);
    assert_int_equal(s.meta.index, 3);
    assert_int_equal(s.meta.term, 1);
    assert_int_equal(s.meta.conf.voters.count, 3);
    assert_int_equal(s.meta.conf.voters.ids[1], 0xa4c236277d9a561c);
    snap_file_deinit(&s);
}

static void restores_what_the_reference_restores(void **state)
{
    struct fixture *f = *state;
    struct utl_restore_conf conf = conf_of(f);
    struct utl_status st;
    assert_int_equal(utl_restore(&conf, &f->reason), 0);
    /* The hash over all buckets of etcdutl's own result with the same settings. */
    assert_int_equal(utl_status(f->env, f->db, &st, &f->reason), 0);
    assert_int_equal(st.hash, 0x3352d84b);
    check_hash(f, f->db, 0, 1529296096u);
    check_log(f);
    check_snap(f);
    /* Once more into the same place. */
    assert_int_not_equal(utl_restore(&conf, &f->reason), 0);
    struct buf want = BUF_INIT;
    buf_printf(&want, "data-dir \"%s\" not empty or could not be read", f->data_dir);
    assert_string_equal(buf_cstr(&f->reason), buf_cstr(&want));
    buf_deinit(&want);
}

static void bumps_the_revision(void **state)
{
    struct fixture *f = *state;
    struct utl_restore_conf conf = conf_of(f);
    struct print_db_hashkv h;
    struct utl_status st;
    conf.bump_revision = 1000;
    conf.is_mark_compacted = true;
    assert_int_equal(utl_restore(&conf, &f->reason), 0);
    assert_int_equal(utl_hashkv(f->env, f->db, 0, 0, &h, &f->reason), 0);
    assert_int_equal(h.hash_revision, 1037);
    assert_int_equal(h.compact_revision, 1037);
    assert_int_equal(utl_status(f->env, f->db, &st, &f->reason), 0);
    assert_int_equal(st.revision, 1037);
}

static void defragments(void **state)
{
    struct fixture *f = *state;
    struct utl_restore_conf conf = conf_of(f);
    struct utl_status before;
    struct utl_status after;
    assert_int_equal(utl_restore(&conf, &f->reason), 0);
    assert_int_equal(utl_status(f->env, f->db, &before, &f->reason), 0);
    assert_int_equal(utl_defrag(f->env, f->data_dir, 1000, &f->reason), 0);
    assert_int_equal(utl_status(f->env, f->db, &after, &f->reason), 0);
    assert_int_equal(before.hash, after.hash);
    assert_int_not_equal(utl_defrag(f->env, f->dir, 1000, &f->reason), 0);
    assert_non_null(strstr(buf_cstr(&f->reason), "/member/snap/db: no such file or directory"));
}

/* A copy of the snapshot with one byte changed, or cut. */
static void damaged_copy(struct fixture *f, char *path, size_t size, size_t cut)
{
    struct buf bytes = BUF_INIT;
    snprintf(path, size, "%s/copy.db", f->dir);
    assert_int_equal(env_read_file(f->env->disk, SNAPSHOT, 1 << 20, &bytes), 0);
    bytes.data[5000] ^= 1;
    bytes.len -= cut;
    assert_int_equal(env_write_file(f->env->disk, path, buf_slice(&bytes), 0600), 0);
    buf_deinit(&bytes);
}

static void check_refused(struct fixture *f, const struct utl_restore_conf *conf, const char *text)
{
    buf_clear(&f->reason);
    assert_int_not_equal(utl_restore(conf, &f->reason), 0);
    assert_int_equal(strncmp(buf_cstr(&f->reason), text, strlen(text)), 0);
    /* Nothing of ours stays. */
    char member[128];
    snprintf(member, sizeof(member), "%s/member", f->data_dir);
    assert_false(env_exists(f->env->disk, member));
}

static void refuses_bad_files(void **state)
{
    struct fixture *f = *state;
    struct utl_restore_conf conf = conf_of(f);
    char path[96];
    conf.file = "/nonexistent";
    check_refused(f, &conf, "open /nonexistent: no such file or directory");
    damaged_copy(f, path, sizeof(path), 0);
    conf.file = path;
    check_refused(f, &conf, "expected sha256 [");
    damaged_copy(f, path, sizeof(path), 32);
    check_refused(f, &conf, "snapshot missing hash but --skip-hash-check=false");
    assert_int_equal(env_write_file(f->env->disk, path, SLICE_LIT("short"), 0600), 0);
    conf.is_skip_hash_check = true;
    check_refused(f, &conf, "seek ");
    conf.file = TEST_DATA "/ctl/print.txt";
    check_refused(f, &conf, "failed to open database: ");
}

static void refuses_bad_clusters(void **state)
{
    struct fixture *f = *state;
    struct utl_restore_conf conf = conf_of(f);
    conf.name = "zzz";
    check_refused(f, &conf,
                  "couldn't find local name \"zzz\" in the initial cluster configuration");
    conf = conf_of(f);
    conf.initial_advertise_peer_urls = "bogus";
    check_refused(f, &conf, "URL scheme must be http, https, unix, or unixs: bogus");
    conf = conf_of(f);
    conf.initial_advertise_peer_urls = "http://127.0.0.1:1";
    check_refused(f, &conf, "--initial-cluster has m1=http://127.0.0.1:36001 but missing from ");
    conf = conf_of(f);
    conf.initial_cluster = "m1=http://127.0.0.1:36001,m2=http://127.0.0.1:36001";
    check_refused(f, &conf, "initial cluster m1=");
    conf = conf_of(f);
    conf.wal_dir = f->dir;
    check_refused(f, &conf, "wal-dir ");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(tells_the_status),
        TEST(hashes_like_the_reference),
        TEST(restores_what_the_reference_restores),
        TEST(bumps_the_revision),
        TEST(defragments),
        TEST(refuses_bad_files),
        TEST(refuses_bad_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
