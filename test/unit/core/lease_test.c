/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases of whole members on one simulated world: expiry by the leader only, renewal, leader
 * changes, checkpoints, restarts.  Simulated time: the seconds below cost nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "cluster_fixture.h"
#include "lease/lessor.h"
#include "wire/kv.h"

enum { ID = 77, GONE_MS = 1500 /* a scan, a round through the log */ };

static struct cluster_fixture f;

static int teardown(void **state)
{
    (void)state;
    cf_deinit(&f);
    return 0;
}

static void start(unsigned count)
{
    cf_init(&f, count, 11);
    cf_start_all(&f);
}

static struct core *core_of(unsigned i)
{
    return driver_core(f.members[i].driver);
}

static int grant(unsigned i, int64_t id, int64_t ttl_s)
{
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, (uint64_t)ttl_s);
    wire_append_u64(&body, 2, (uint64_t)id);
    int err = cf_propose(&f, i, WIRE_INTERNAL_LEASE_GRANT, buf_slice(&body));
    buf_deinit(&body);
    return err;
}

static int revoke(unsigned i, int64_t id)
{
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, (uint64_t)id);
    int err = cf_propose(&f, i, WIRE_INTERNAL_LEASE_REVOKE, buf_slice(&body));
    buf_deinit(&body);
    return err;
}

static int put(unsigned i, const char *key, int64_t lease)
{
    struct buf body = BUF_INIT;
    struct wire_put_req req = {.key = slice_cstr(key), .value = SLICE_LIT("v"), .lease = lease};
    wire_put_req_encode(&body, &req);
    int err = cf_propose(&f, i, WIRE_INTERNAL_PUT, buf_slice(&body));
    buf_deinit(&body);
    return err;
}

static int renew(unsigned i, int64_t id, int64_t *ttl_s)
{
    struct cf_request q;
    cf_request_init(&q, CORE_LEASE_RENEW);
    q.req.lease_id = id;
    int err = cf_ask(&f, i, &q);
    *ttl_s = q.req.ttl_s;
    return err;
}

static bool has_key(unsigned i, const char *key)
{
    struct buf out = BUF_INIT;
    int err = cf_get(&f, i, key, false, &out);
    buf_deinit(&out);
    return err == 0;
}

static uint64_t now_ms(unsigned i)
{
    return env_mono_ms(&f.members[i].env);
}

static int64_t left_s(unsigned i, int64_t id)
{
    struct lease_info info;
    assert_int_equal(lessor_info(core_lessor(core_of(i)), id, now_ms(i), &info), 0);
    return info.left_s;
}

static void expires_with_its_keys(unsigned i)
{
    assert_int_equal(grant(i, ID, 5), 0);
    assert_int_equal(grant(i, ID, 5), ERR_RPC_LEASE_EXISTS);
    assert_int_equal(put(i, "b", ID), 0);
    assert_int_equal(put(i, "a", ID), 0);
    assert_int_equal(put(i, "c", 0), 0);
    assert_int_equal(put(i, "d", ID + 1), ERR_RPC_LEASE_NOT_FOUND);
    int64_t rev = core_rev(core_of(i));
    cf_run(&f, 4500);
    assert_true(has_key(i, "a"));
    cf_run(&f, 500 + GONE_MS);
    assert_false(has_key(i, "a"));
    assert_false(has_key(i, "b"));
    assert_true(has_key(i, "c"));
    assert_int_equal(core_rev(core_of(i)), rev + 1); /* both in one revision */
    assert_false(lessor_has(core_lessor(core_of(i)), ID));
    assert_int_equal(revoke(i, ID), ERR_RPC_LEASE_NOT_FOUND);
    cf_check_equal(&f);
}

static void one_member_expires(void **state)
{
    (void)state;
    start(1);
    expires_with_its_keys(0);
    assert_int_equal(cf_status(&f, 0).leases_expired, 1);
}

static void three_members_expire(void **state)
{
    (void)state;
    start(3);
    unsigned leader = cf_wait_leader(&f);
    expires_with_its_keys((leader + 1) % 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(cf_status(&f, i).leases_expired, i == leader);
    }
}

static void renewed_leases_stay(void **state)
{
    (void)state;
    start(3);
    unsigned leader = cf_wait_leader(&f);
    int64_t ttl = 0;
    assert_int_equal(grant(leader, ID, 5), 0);
    assert_int_equal(put(leader, "a", ID), 0);
    for (unsigned k = 0; k < 5; k++) {
        cf_run(&f, 4000);
        assert_int_equal(renew(leader, ID, &ttl), 0);
        assert_int_equal(ttl, 5);
    }
    assert_true(has_key(leader, "a"));
    assert_int_equal(renew((leader + 1) % 3, ID, &ttl), ERR_RPC_NOT_LEADER);
    assert_int_equal(renew(leader, ID + 1, &ttl), ERR_RPC_LEASE_NOT_FOUND);
    assert_int_equal(cf_status(&f, leader).leases_renewed, 5);
    cf_check_equal(&f);
}

/* A follower's peer port: it cannot, and says so after it has caught up. */
static void a_peer_asks_the_wrong_one(void **state)
{
    (void)state;
    start(3);
    unsigned leader = cf_wait_leader(&f);
    struct cf_request q;
    assert_int_equal(grant(leader, ID, 60), 0);
    cf_request_init(&q, CORE_LEASE_RENEW);
    q.req.lease_id = ID;
    q.req.is_from_peer = true;
    assert_int_equal(cf_ask(&f, (leader + 1) % 3, &q), ERR_RPC_NOT_PRIMARY_LESSOR);
    cf_request_init(&q, CORE_LEASE_RENEW);
    q.req.lease_id = ID;
    q.req.is_from_peer = true;
    assert_int_equal(cf_ask(&f, leader, &q), 0);
    assert_int_equal(q.req.ttl_s, 60);
}

/* Expired, and the scan has not come yet: not renewed any more, and answered when it is gone. */
static void a_renewal_waits_for_the_revocation(void **state)
{
    (void)state;
    start(1);
    struct lessor *l = core_lessor(core_of(0));
    struct cf_request q;
    assert_int_equal(grant(0, ID, 3), 0);
    uint64_t end_ms = lessor_next_expiry_ms(l);
    while (now_ms(0) < end_ms) {
        cf_run(&f, 1);
    }
    assert_true(lessor_has(l, ID));
    cf_request_init(&q, CORE_LEASE_RENEW);
    q.req.lease_id = ID;
    cf_submit(&f, 0, &q);
    assert_false(q.is_done);
    cf_run(&f, GONE_MS);
    assert_true(q.is_done);
    assert_int_equal(q.req.err, ERR_RPC_LEASE_NOT_FOUND);
    assert_false(lessor_has(l, ID));
}

/* The next leader begins the time anew, and the old one's word does not count. */
static void a_new_leader_extends(void **state)
{
    (void)state;
    start(3);
    unsigned old = cf_wait_leader(&f);
    assert_int_equal(grant(old, ID, 20), 0);
    assert_int_equal(put(old, "a", ID), 0);
    cf_run(&f, 15000);
    assert_in_range(left_s(old, ID), 4, 5);
    cf_isolate(&f, old, true);
    cf_run(&f, 8000); /* past the old end */
    unsigned leader = cf_wait_leader(&f);
    assert_int_not_equal(leader, old);
    assert_true(has_key(leader, "a"));
    assert_in_range(left_s(leader, ID), 12, 21);
    cf_isolate(&f, old, false);
    cf_run(&f, 3000);
    assert_true(has_key(old, "a"));
    cf_run(&f, 20000);
    assert_false(has_key(old, "a"));
    cf_check_equal(&f);
}

static void restarts_keep_leases(void **state)
{
    (void)state;
    start(3);
    unsigned leader = cf_wait_leader(&f);
    assert_int_equal(grant(leader, ID, 10), 0);
    assert_int_equal(put(leader, "a", ID), 0);
    for (unsigned i = 0; i < 3; i++) {
        cf_stop(&f, i);
    }
    cf_start_all(&f);
    leader = cf_wait_leader(&f);
    assert_int_equal(lessor_key_count(core_lessor(core_of(leader)), ID), 1);
    cf_run(&f, 5000);
    assert_true(has_key(leader, "a"));
    cf_run(&f, 8000);
    assert_false(has_key(leader, "a"));
    cf_check_equal(&f);
}

/* More than a scan takes: all go, at the bounded rate. */
static void many_expire(void **state)
{
    (void)state;
    start(1);
    for (int64_t id = 1; id <= 1200; id++) {
        assert_int_equal(grant(0, id, 30), 0);
    }
    cf_run(&f, 40000);
    assert_int_equal(lessor_count(core_lessor(core_of(0))), 0);
    assert_int_equal(cf_status(&f, 0).leases_expired, 1200);
    cf_check_equal(&f);
}

static bool some_have_expired(struct cluster_fixture *cf)
{
    return cf_status(cf, 0).leases_expired > 0;
}

/* After a restart all begin anew, and are due at one moment: the second scan does not wait for half
 * a second. */
static void many_expire_at_once(void **state)
{
    (void)state;
    start(1);
    for (int64_t id = 1; id <= 990; id++) {
        assert_int_equal(grant(0, id, 30), 0);
    }
    cf_stop(&f, 0);
    assert_int_equal(cf_start(&f, 0), 0);
    assert_true(cf_wait_ready(&f));
    assert_int_equal(lessor_count(core_lessor(core_of(0))), 990);
    assert_true(cf_run_until(&f, some_have_expired, 40000));
    cf_run(&f, 300);
    assert_int_equal(lessor_count(core_lessor(core_of(0))), 0);
    cf_check_equal(&f);
}

static int64_t checkpoint_of(unsigned i)
{
    struct lease_info info;
    assert_int_equal(lessor_info(core_lessor(core_of(i)), ID, now_ms(i), &info), 0);
    return info.remaining_ttl_s;
}

static void checkpoints_survive_the_leader(void **state)
{
    (void)state;
    cf_init(&f, 3, 11);
    for (unsigned i = 0; i < 3; i++) {
        f.members[i].config.lease_checkpoints = true;
    }
    cf_start_all(&f);
    unsigned leader = cf_wait_leader(&f);
    int64_t ttl = 0;
    assert_int_equal(grant(leader, ID, 1000), 0);
    cf_run(&f, 301000);
    for (unsigned i = 0; i < 3; i++) {
        assert_in_range(checkpoint_of(i), 699, 700);
    }
    unsigned next = (leader + 1) % 3;
    cf_stop(&f, next);
    assert_int_equal(cf_start(&f, next), 0);
    assert_true(cf_wait_ready(&f));
    assert_in_range(checkpoint_of(next), 699, 700); /* it is in the file */
    assert_int_equal(cf_transfer(&f, leader, f.members[next].id), 0);
    cf_run(&f, 2000);
    assert_in_range(left_s(next, ID), 690, 701);
    assert_int_equal(renew(next, ID, &ttl), 0);
    assert_int_equal(ttl, 1000);
    cf_settle(&f);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(checkpoint_of(i), 0);
    }
    assert_in_range(left_s(next, ID), 999, 1000);
    cf_check_equal(&f);
}

/* Both followers have it durable and the client was told so; the leader's own disk is behind.  What
 * is asked of the leader now must see it. */
static void a_leader_behind_its_followers_waits(void **state)
{
    (void)state;
    start(3);
    unsigned leader = cf_leader(&f);
    unsigned follower = (leader + 1) % 3;
    struct env *env = sim_host_env(f.members[leader].host);
    sim_lane_hold(env, ENV_LANE_LOG, true);
    assert_int_equal(grant(follower, ID, 50), 0);
    struct cf_request renewal, look;
    cf_request_init(&renewal, CORE_LEASE_RENEW);
    renewal.req.lease_id = ID;
    cf_request_init(&look, CORE_CATCH_UP);
    cf_submit(&f, leader, &renewal);
    cf_submit(&f, leader, &look);
    cf_run(&f, 100);
    assert_false(renewal.is_done);
    assert_false(look.is_done);
    sim_lane_hold(env, ENV_LANE_LOG, false);
    cf_run(&f, 100);
    assert_true(renewal.is_done && look.is_done);
    assert_int_equal(renewal.req.err, 0);
    assert_int_equal(renewal.req.ttl_s, 50);
    assert_int_equal(look.req.err, 0);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_member_expires),
        TEST(three_members_expire),
        TEST(renewed_leases_stay),
        TEST(a_peer_asks_the_wrong_one),
        TEST(a_renewal_waits_for_the_revocation),
        TEST(a_new_leader_extends),
        TEST(restarts_keep_leases),
        TEST(many_expire),
        TEST(many_expire_at_once),
        TEST(checkpoints_survive_the_leader),
        TEST(a_leader_behind_its_followers_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
