/* SPDX-License-Identifier: Apache-2.0
 *
 * member_fixture: a whole member (core/driver over the simulated env) in one thread, for unit and
 * crash tests: start it on a disk, ask it, stop it, let it die.
 *
 *     struct member_fixture m;
 *     member_fixture_init(&m, disk);
 *     assert_int_equal(mf_start(&m), 0);
 *     assert_int_equal(mf_put(&m, "key", "value"), 0);
 *     mf_stop(&m);                        orderly; or mf_die(&m): nothing more is written
 *     member_fixture_deinit(&m);
 *
 * Ownership   The disk is the caller's. Thread one.
 * Failure     Requests give the core's ERR_*; ERR_CLOSED when the member has failed meanwhile.
 */
#ifndef MEMBER_FIXTURE_H
#define MEMBER_FIXTURE_H

#include "core/driver.h"
#include "sim/disk.h"
#include "sim/sim.h"

enum { MEMBER_BURST_MAX = 64 };

struct member_fixture {
    struct env *sim;             /* one host: clock, lanes, timers */
    struct env env;              /* the same with the disk of the test */
    struct driver *driver;       /* NULL: not running */
    struct driver_config config; /* may be changed before mf_start */
    bool is_wal_slow;            /* bursts: the log lane stands still for 250 ms behind them */
    bool is_ready;
    bool is_failed;
    bool is_stopped;
    int fatal;
    char text[DRIVER_TEXT_BYTES]; /* why a start failed, or the fatal text */
};

void member_fixture_init(struct member_fixture *m, struct env_disk *disk);
void member_fixture_deinit(struct member_fixture *m);

/* Opens the directory "d"; nothing of the member has run yet: it has no leader. */
int mf_open(struct member_fixture *m);
/* Opens the directory "d" and waits until the member is ready. */
int mf_start(struct member_fixture *m);
/* Answers and commits everything. 0, or ERR_CLOSED when it had failed. */
int mf_stop(struct member_fixture *m);
/* Lets what is under way end (on a disk without power: with errors) and gives up everything. */
void mf_die(struct member_fixture *m);
/* Lets simulated time pass. */
void mf_wait_ms(struct member_fixture *m, uint64_t ms);

int mf_put(struct member_fixture *m, const char *key, const char *value);
int mf_put_lease(struct member_fixture *m, const char *key, const char *value, int64_t lease);
int mf_delete(struct member_fixture *m, const char *key);
int mf_compact(struct member_fixture *m, int64_t rev, bool is_physical);
int mf_lease_grant(struct member_fixture *m, int64_t id, int64_t ttl_s);
/* action 1 ACTIVATE, 2 DEACTIVATE */
int mf_alarm(struct member_fixture *m, int action, uint64_t member_id, int type);
int mf_defrag(struct member_fixture *m);
int mf_hash_kv(struct member_fixture *m, int64_t rev, struct mvcc_hash_value *out);
/* Any proposal; the response body is appended to body if not NULL. */
int mf_propose(struct member_fixture *m, uint32_t which, struct slice body, struct buf *response);
/* count puts at once, key<i> = value; *acked is how many were acknowledged (they are a prefix). */
int mf_put_burst(struct member_fixture *m, const char *prefix, const char *value, size_t count,
                 size_t *acked);

/* One key's value appended to out; ERR_NOT_FOUND.  rev 0 = now. */
int mf_get(struct member_fixture *m, const char *key, int64_t rev, struct buf *out);
/* "key=value\n" of everything, appended; *rev the store's revision. */
int mf_dump(struct member_fixture *m, struct buf *out, int64_t *rev);
/* The file checks clean, the index equals the one rebuilt from it, invariants hold. */
int mf_verify(struct member_fixture *m, struct buf *why);

#endif
