/* SPDX-License-Identifier: Apache-2.0
 *
 * env/env: the outside world as five small tables of function pointers: clock, rand, disk, exec,
 * net.
 *
 * Problem     A whole member must run in one thread over simulated time, disks and networks, with
 *             the same code that serves users. So nothing but src/os calls the kernel.
 * Design      Each table is a struct with an ops pointer, embedded first in the implementation's
 *             own struct (os/ and sim/ implement each once). Disk calls are synchronous and made on
 *             the log, backend and work threads (or at start-up); exec moves work there and back.
 * Thread      disk: any thread, one caller a file for writes, concurrent read_at allowed. exec,
 *             timers and net: the loop's own thread only; job.run is called on the lane's thread,
 *             env_waker.wake on any.
 * Failure     int 0 / ERR_*. A failed sync is final for the file: the caller must not try again.
 */
#ifndef ENV_ENV_H
#define ENV_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"

/* ---- clock ------------------------------------------------------------------------------------
 */

struct env_clock {
    const struct env_clock_ops *ops;
};

struct env_clock_ops {
    uint64_t (*mono_ns)(struct env_clock *c); /* never goes back; zero point unknown */
    int64_t (*wall_ns)(struct env_clock *c);  /* since the epoch, may jump */
};

/* ---- rand (secrets allowed) -------------------------------------------------------------------
 */

struct env_rand {
    const struct env_rand_ops *ops;
};

struct env_rand_ops {
    void (*fill)(struct env_rand *r, void *out, size_t len);
};

/* ---- disk -------------------------------------------------------------------------------------
 */

struct env_file {
    const struct env_file_ops *ops;
};

enum env_open_flag {
    ENV_OPEN_READ = 1,
    ENV_OPEN_WRITE = 2, /* READ|WRITE for both */
    ENV_OPEN_CREATE = 4,
    ENV_OPEN_EXCL = 8, /* with CREATE: ERR_EXISTS if there */
    ENV_OPEN_TRUNC = 16,
    ENV_OPEN_DIRECT = 32, /* past the kernel's memory if it can: ENV_DIRECT_ALIGN for all writes */
};

enum { ENV_DIRECT_ALIGN = 4096 }; /* of addresses, offsets and lengths */

enum env_lock {
    ENV_LOCK_OFD,      /* fcntl F_OFD_SETLK write lock over the whole file (WAL segments) */
    ENV_LOCK_FLOCK_EX, /* flock LOCK_EX (bolt file, writer) */
    ENV_LOCK_FLOCK_SH, /* flock LOCK_SH (bolt file, read-only tools) */
};

struct env_file_ops {
    /* Reads up to len bytes; *out_n < len only at the end of the file. */
    int (*read_at)(struct env_file *f, void *dst, size_t len, uint64_t off, size_t *out_n);
    /* read_at of what is in memory already: ERR_COLD rather than wait for the device, and also when
     * that cannot be told.  NULL: always cold. */
    int (*read_now)(struct env_file *f, void *dst, size_t len, uint64_t off, size_t *out_n);
    /* Writes all slices one behind the other at off (pwritev); all or an error. */
    int (*write_at)(struct env_file *f, const struct slice *parts, size_t count, uint64_t off);
    int (*sync_data)(struct env_file *f); /* fdatasync */
    int (*sync)(struct env_file *f);      /* fsync */
    int (*truncate)(struct env_file *f, uint64_t size);
    /* fallocate from 0 to size, extends the file; falls back to ftruncate where unsupported. */
    int (*preallocate)(struct env_file *f, uint64_t size);
    int (*size)(struct env_file *f, uint64_t *out_size);
    /* Does not wait: ERR_LOCKED when another holder has it. Released by close. */
    int (*lock)(struct env_file *f, enum env_lock kind);
    void (*close)(struct env_file *f);
};

struct env_stat {
    bool is_dir;
    uint32_t mode; /* permission bits */
    uint64_t size;
};

struct env_disk {
    const struct env_disk_ops *ops;
};

/* Paths are NUL-terminated; relative ones are relative to the working directory. */
struct env_disk_ops {
    int (*open)(struct env_disk *d, const char *path, unsigned flags, uint32_t mode,
                struct env_file **out);
    int (*mkdir)(struct env_disk *d, const char *path, uint32_t mode); /* ERR_EXISTS if there */
    int (*rename)(struct env_disk *d, const char *from, const char *to);
    int (*unlink)(struct env_disk *d, const char *path);
    int (*rmdir)(struct env_disk *d, const char *path);
    int (*stat)(struct env_disk *d, const char *path, struct env_stat *out);
    /* Names sorted bytewise, without . and ..; on_name returning non-zero stops with that value. */
    int (*list)(struct env_disk *d, const char *path, int (*on_name)(void *arg, const char *name),
                void *arg);
    int (*sync_dir)(struct env_disk *d, const char *path);
    /* Why the last failed call on this thread failed, for people: "No space left on device". */
    const char *(*last_text)(struct env_disk *d);
};

/* mkdir -p with this mode for the directories it makes; existing ones are fine. */
int env_mkdir_all(struct env_disk *d, const char *path, uint32_t mode);
/* rm -rf; a missing path is fine. */
int env_remove_all(struct env_disk *d, const char *path);
/* The whole file into out (appended); ERR_TOO_LARGE above max. */
int env_read_file(struct env_disk *d, const char *path, size_t max, struct buf *out);
/* Writes tmp, syncs, renames over path, syncs the directory: the file appears whole or not at all.
 */
int env_write_file(struct env_disk *d, const char *path, struct slice content, uint32_t mode);
bool env_exists(struct env_disk *d, const char *path);
/* a/b joined with one slash, freed by the caller. */
char *env_path_join(const char *a, const char *b);
/* Everything before the last slash ("." if none), freed by the caller. */
char *env_path_dir(const char *path);

/* ---- exec: threads, jobs, timers --------------------------------------------------------------
 */

enum env_lane {
    ENV_LANE_LOG,     /* WAL append and sync: one thread, in order */
    ENV_LANE_BACKEND, /* bolt commits: one thread, in order */
    ENV_LANE_WORK,    /* anything else that blocks: a few threads, any order */
    ENV_LANE_COUNT,
};

/* Embedded in the caller's struct; owned by exec between submit and done. */
struct env_job {
    struct list_node node;
    void (*run)(struct env_job *job);  /* on the lane's thread */
    void (*done)(struct env_job *job); /* on the main loop; may free or submit the job again */
};

struct env_timer {
    struct list_node node;             /* of the implementation */
    void (*fire)(struct env_timer *t); /* on the main loop */
    void *impl;                        /* of the implementation */
    bool is_active;
};

struct env_exec {
    const struct env_exec_ops *ops;
};

/* What other threads have of a loop. */
struct env_waker {
    const struct env_waker_ops *ops;
};

struct env_waker_ops {
    /* Any thread: the waker's function runs on its loop, soon; any number of calls before it runs
     * are one. */
    void (*wake)(struct env_waker *w);
    /* The loop's thread, when nobody will wake it any more; the function does not come again. */
    void (*destroy)(struct env_waker *w);
};

struct env_exec_ops {
    /* Never blocks and never fails: the callers bound the number of their jobs. */
    void (*submit)(struct env_exec *e, enum env_lane lane, struct env_job *job);
    /* One shot, delay_ms from now; starting an active timer moves it. */
    void (*timer_start)(struct env_exec *e, struct env_timer *t, uint64_t delay_ms);
    void (*timer_stop)(struct env_exec *e, struct env_timer *t);
    /* fn(arg) once, on the main loop, after the events that are ready now have been handled
     * (the end of this turn): where a batch is stepped and written. */
    void (*defer)(struct env_exec *e, void (*fn)(void *arg), void *arg);
    int (*waker_create)(struct env_exec *e, void (*fn)(void *arg), void *arg,
                        struct env_waker **out);
};

/* ---- net: byte streams ------------------------------------------------------------------------
 */

struct env_conn;
struct env_listener;

struct env_conn_events {
    /* Bytes are borrowed until the call returns. */
    void (*on_data)(void *arg, struct slice bytes);
    /* The peer half-closed its side (no more data). */
    void (*on_eof)(void *arg);
    /* All queued bytes have been handed to the kernel. */
    void (*on_drain)(void *arg);
    /* Last event, always exactly once after conn_close or an error; err 0 for our own close.
     * The conn is gone when this returns. */
    void (*on_close)(void *arg, int err);
};

struct env_conn {
    const struct env_conn_ops *ops;
    const struct env_conn_events *events; /* set by the owner at accept, may be changed (TLS) */
    void *arg;
};

struct env_conn_ops {
    /* Takes the bytes (writes at once what the kernel takes, copies the rest); after an error the
     * conn reports on_close.  Call with everything a turn produced: one call, one system call. */
    void (*write)(struct env_conn *c, const struct slice *parts, size_t count);
    /* Bytes taken by write but not yet by the kernel: the caller's bound (LIMIT_CONN_OUT_BYTES). */
    size_t (*queued)(struct env_conn *c);
    void (*read_pause)(struct env_conn *c);
    void (*read_resume)(struct env_conn *c);
    /* Flushes what is queued (for at most flush_ms), then closes; on_close follows. */
    void (*close)(struct env_conn *c, uint64_t flush_ms);
    /* "127.0.0.1:34567", "[::1]:1", "@" for unix; valid while the conn is. */
    const char *(*peer_name)(struct env_conn *c);
};

struct env_listener {
    const struct env_listener_ops *ops;
};

struct env_listener_ops {
    void (*close)(struct env_listener *l);
    /* host:port really bound (port 0 resolved), or the socket's path. */
    const char *(*local_name)(struct env_listener *l);
};

struct env_net {
    const struct env_net_ops *ops;
};

struct env_listen_options {
    bool reuse_port;
    bool reuse_address;
    bool is_ipv6_only;
    /* Each accepted stream first as a number, before it belongs to this loop: true = taken, some
     * net's adopt will have it; false = on_accept as ever.  May be NULL; arg is listen's. */
    bool (*on_handle)(void *arg, int64_t handle);
};

struct env_net_ops {
    /* addr: "127.0.0.1:2379", "[::1]:2379", "localhost:0", "unix:/path". The socket is bound and
     * listening at return; accepts start with on_accept, which sets events and arg of the new conn.
     * EMFILE while accepting is survived: accepting pauses and goes on later. */
    int (*listen)(struct env_net *n, const char *addr, const struct env_listen_options *opts,
                  void (*on_accept)(void *arg, struct env_conn *conn), void *arg,
                  struct env_listener **out);
    /* Resolves and connects; events->on_drain is the first event when connected, on_close when it
     * failed.  timeout_ms bounds both. */
    int (*connect)(struct env_net *n, const char *addr, uint64_t timeout_ms,
                   const struct env_conn_events *events, void *arg, struct env_conn **out);
    /* A stream that some loop's on_handle has taken: on_accept comes from inside, as a listener's.
     * After an error the stream is closed. */
    int (*adopt)(struct env_net *n, int64_t handle,
                 void (*on_accept)(void *arg, struct env_conn *conn), void *arg);
};

/* ---- all of it --------------------------------------------------------------------------------
 */

struct env {
    struct env_clock *clock;
    struct env_rand *rand;
    struct env_disk *disk;
    struct env_exec *exec;
    struct env_net *net;
};

static inline uint64_t env_mono_ms(struct env *e)
{
    return e->clock->ops->mono_ns(e->clock) / 1000000;
}

#endif
