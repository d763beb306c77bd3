/* SPDX-License-Identifier: Apache-2.0
 *
 * Members in memory (test/lib/peer_node) over the simulated network: three levels in one cluster,
 * cuts, restarts, snapshots, joining, removal.  Equal hashes of what was applied are the proof.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sim/sim.h"
#include "test/lib/peer_node.h"

enum { NODES = 4, CLUSTER_ID = 0xc1, HANG_MS = 120000 };

struct bed {
    struct sim *sim;
    struct env *env[NODES];
    struct peer_node *node[NODES]; /* id = place + 1 */
    size_t count;
    size_t snapshot_bytes;
    struct peer_node *before; /* of the life before a crash */
};

static const char *const HOSTS[NODES] = {"m1", "m2", "m3", "m4"};
static const char *const LISTEN[NODES] = {"m1:2380", "m2:2380", "m3:2380", "m4:2380"};
static const char *const URLS[NODES] = {"http://m1:2380", "http://m2:2380", "http://m3:2380",
                                        "http://m4:2380"};
static const enum level LEVELS[NODES] = {LEVEL_3_5, LEVEL_3_6, LEVEL_3_7, LEVEL_3_6};

static void node_start(struct bed *b, size_t i)
{
    struct peer_node_options o = {
        .env = b->env[i],
        .id = i + 1,
        .cluster_id = CLUSTER_ID,
        .level = LEVELS[i],
        .listen = LISTEN[i],
        .url = URLS[i],
        .snap_dir = "/snap",
        .heartbeat_ms = 100,
        .snapshot_bytes = b->snapshot_bytes,
        .store = b->before == NULL ? NULL : &b->before->store,
    };
    struct raft_conf_state conf = {.voters = {.count = 3, .ids = {1, 2, 3}}};
    b->node[i] = peer_node_create(&o, &conf);
    for (size_t k = 0; k < 3; k++) {
        if (k != i) {
            peer_node_peer_add(b->node[i], k + 1, URLS[k]);
        }
    }
}

static void bed_make(struct bed *b, uint64_t seed, bool is_fifo)
{
    *b = (struct bed){.sim = sim_create(seed), .count = 3, .snapshot_bytes = 100};
    sim_order_set(b->sim, is_fifo ? SIM_ORDER_FIFO : SIM_ORDER_SEED);
    sim_net_options_set(b->sim, &(struct sim_net_options){.latency_min_ns = 100000,
                                                          .latency_max_ns = 2000000,
                                                          .split = !is_fifo});
    for (size_t i = 0; i < NODES; i++) {
        struct sim_host *h = sim_host_add(b->sim, HOSTS[i]);
        b->env[i] = sim_host_env(h);
        assert_int_equal(env_mkdir_all(b->env[i]->disk, "/snap", 0700), 0);
    }
    for (size_t i = 0; i < b->count; i++) {
        node_start(b, i);
    }
}

static bool all_stopped(void *arg)
{
    const struct bed *b = arg;
    for (size_t i = 0; i < NODES; i++) {
        if (b->node[i] != NULL && (!b->node[i]->rpc_stopped || b->node[i]->is_deferred)) {
            return false;
        }
    }
    return true;
}

static void bed_free(struct bed *b)
{
    for (size_t i = 0; i < NODES; i++) {
        if (b->node[i] != NULL) {
            peer_transport_check(b->node[i]->transport);
            peer_node_stop(b->node[i]);
        }
    }
    assert_true(sim_run_until(b->sim, all_stopped, b, HANG_MS));
    sim_advance_ms(b->sim, 1000); /* sockets that were closed last say so */
    for (size_t i = 0; i < NODES; i++) {
        if (b->node[i] != NULL) {
            peer_node_destroy(b->node[i]);
        }
    }
    sim_destroy(b->sim);
}

static struct peer_node *leader(struct bed *b)
{
    struct peer_node *found = NULL;
    uint64_t best = 0;
    for (size_t i = 0; i < NODES; i++) {
        struct raft_status s;
        if (b->node[i] == NULL) {
            continue;
        }
        raft_status(b->node[i]->raft, &s);
        if (s.role == RAFT_LEADER && s.hard.term > best) {
            best = s.hard.term;
            found = b->node[i];
        }
    }
    return found;
}

static bool has_leader(void *arg)
{
    return leader(arg) != NULL;
}

static bool streams_are_up(void *arg)
{
    struct bed *b = arg;
    for (size_t i = 0; i < b->count; i++) {
        struct peer_status s[NODES];
        size_t n = peer_statuses(b->node[i]->transport, s, NODES);
        for (size_t k = 0; k < n; k++) {
            for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
                if (!s[k].can_send[c] || !s[k].can_receive[c]) {
                    return false;
                }
            }
        }
    }
    return has_leader(b);
}

struct goal {
    struct bed *b;
    uint64_t count;
};

static bool all_equal(void *arg)
{
    const struct goal *g = arg;
    const struct peer_node *first = NULL;
    for (size_t i = 0; i < g->b->count; i++) {
        const struct peer_node *n = g->b->node[i];
        if (n == NULL) {
            continue;
        }
        first = first == NULL ? n : first;
        if (n->count < g->count || n->count != first->count || n->hash != first->hash) {
            return false;
        }
    }
    return true;
}

static void wait_equal(struct bed *b, uint64_t count)
{
    struct goal g = {b, count};
    assert_true(sim_run_until(b->sim, all_equal, &g, HANG_MS));
}

/* Proposals until `count` more are applied by the leader; those lost with a leader are not missed.
 */
static uint64_t write_some(struct bed *b, uint64_t count, size_t bytes)
{
    uint8_t *data = mem_zalloc(bytes);
    for (uint64_t i = 0; i < count; i++) {
        assert_true(sim_run_until(b->sim, has_leader, b, HANG_MS));
        struct peer_node *n = leader(b);
        memcpy(data, &i, sizeof(i));
        /* Every third through a follower: forwarded. */
        size_t at = i % 3 == 0 ? (n->o.id % 3) : n->o.id - 1;
        n = b->node[at] != NULL ? b->node[at] : n;
        (void)peer_node_propose(n, slice_make(data, bytes));
        if (i % 16 == 0) {
            sim_advance_ms(b->sim, 5);
        }
    }
    mem_free(data);
    sim_advance_ms(b->sim, 3000);
    return leader(b)->count;
}

static void three_levels(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct bed b;
        bed_make(&b, seed, seed % 2 == 0);
        assert_true(sim_run_until(b.sim, streams_are_up, &b, HANG_MS));
        wait_equal(&b, write_some(&b, 300, 200));
        assert_true(b.node[0]->count >= 290); /* a follower that knows no leader drops */
        struct peer_status s;
        assert_int_equal(peer_status(b.node[0]->transport, 3, &s), 0);
        assert_int_equal(s.version.minor, 7);
        assert_true(s.is_active && s.active_since_ms != 0 && s.stats.sent_failures == 0);
        bed_free(&b);
    }
}

static void big_entries(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b, 11, true); /* split streams of that length cost the simulator minutes */
    assert_true(sim_run_until(b.sim, streams_are_up, &b, HANG_MS));
    wait_equal(&b, write_some(&b, 12, 1500000));
    assert_true(b.node[0]->count >= 10);
    bed_free(&b);
}

static void probes_measure(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b, 12, true);
    sim_advance_ms(b.sim, 10000);
    struct peer_status s;
    assert_int_equal(peer_status(b.node[0]->transport, 2, &s), 0);
    assert_true(s.is_probe_ok && s.rtt_ns > 0);
    assert_int_equal(peer_status(b.node[0]->transport, 9, &s), ERR_NOT_FOUND);
    bed_free(&b);
}

/* Cuts come and go while writing; afterwards everybody has the same. */
static void cuts(void **state)
{
    (void)state;
    for (uint64_t seed = 21; seed < 27; seed++) {
        struct bed b;
        bed_make(&b, seed, false);
        assert_true(sim_run_until(b.sim, streams_are_up, &b, HANG_MS));
        for (int round = 0; round < 4; round++) {
            size_t x = (size_t)(seed + (uint64_t)round) % 3, y = (x + 1) % 3;
            sim_net_cut(b.sim, HOSTS[x], HOSTS[y], true);
            if (round % 2 == 1) { /* one is alone */
                sim_net_cut(b.sim, HOSTS[x], HOSTS[(x + 2) % 3], true);
            }
            (void)write_some(&b, 60, 3000);
            sim_advance_ms(b.sim, 12000); /* longer than the silence that ends a stream */
            sim_net_cut(b.sim, HOSTS[x], HOSTS[y], false);
            sim_net_cut(b.sim, HOSTS[x], HOSTS[(x + 2) % 3], false);
            assert_true(sim_run_until(b.sim, streams_are_up, &b, HANG_MS));
        }
        wait_equal(&b, write_some(&b, 20, 100));
        bed_free(&b);
    }
}

/* What it was cannot be stopped in order: its memory is given up with the host. */
static struct peer_node *volatile given_up;

/* A host loses power and comes back with its log: its peers find it again. */
static void host_dies(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b, 31, false);
    assert_true(sim_run_until(b.sim, streams_are_up, &b, HANG_MS));
    (void)write_some(&b, 50, 100);
    sim_host_crash(sim_host_of(b.env[2]));
    given_up = b.before = b.node[2];
    b.node[2] = NULL;
    sim_advance_ms(b.sim, 15000);
    assert_true(sim_run_until(b.sim, has_leader, &b, HANG_MS));
    struct peer_status s;
    assert_int_equal(peer_status(b.node[0]->transport, 3, &s), 0);
    assert_false(s.is_active);
    assert_true(b.node[0]->inactive_reports > 0);
    (void)write_some(&b, 20, 100);
    node_start(&b, 2);
    assert_true(sim_run_until(b.sim, streams_are_up, &b, HANG_MS));
    wait_equal(&b, write_some(&b, 20, 100));
    bed_free(&b);
}

static bool leader_is_not_4(void *arg)
{
    struct peer_node *n = leader(arg);
    return n != NULL && n->o.id != 4;
}

static void join_and_remove(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b, 41, false);
    assert_true(sim_run_until(b.sim, streams_are_up, &b, HANG_MS));
    uint64_t count = write_some(&b, 30, 100);
    struct raft_conf_change cc = {.type = RAFT_CONF_ADD_NODE,
                                  .node_id = 4,
                                  .context =
                                      SLICE_LIT("{\"id\":4,\"peerURLs\":[\"http://m4:2380\"]}")};
    assert_int_equal(peer_node_propose_conf(leader(&b), &cc), 0);
    sim_advance_ms(b.sim, 500);
    node_start(&b, 3);
    b.count = 4;
    wait_equal(&b, count);
    assert_true(sim_run_until(b.sim, streams_are_up, &b, HANG_MS));
    wait_equal(&b, write_some(&b, 30, 100));

    cc = (struct raft_conf_change){.type = RAFT_CONF_REMOVE_NODE, .node_id = 4};
    sim_net_cut(b.sim, "m4", "m1", true); /* it does not hear of it */
    sim_net_cut(b.sim, "m4", "m2", true);
    sim_net_cut(b.sim, "m4", "m3", true);
    sim_advance_ms(b.sim, 5000);
    assert_true(sim_run_until(b.sim, leader_is_not_4, &b, HANG_MS));
    assert_int_equal(peer_node_propose_conf(leader(&b), &cc), 0);
    sim_advance_ms(b.sim, 3000);
    assert_int_equal(peer_status(b.node[0]->transport, 4, &(struct peer_status){0}), ERR_NOT_FOUND);
    sim_net_cut(b.sim, "m4", "m1", false);
    sim_net_cut(b.sim, "m4", "m2", false);
    sim_net_cut(b.sim, "m4", "m3", false);
    sim_advance_ms(b.sim, 12000);
    assert_int_equal(b.node[3]->told_removed, 1);
    bed_free(&b);
}

static bool had_snapshot(void *arg)
{
    struct bed *b = arg;
    return b->node[2]->snapshots_in > 0;
}

static void lag(struct bed *b)
{
    sim_net_cut(b->sim, "m3", "m1", true);
    sim_net_cut(b->sim, "m3", "m2", true);
    (void)write_some(b, 100, 100);
    sim_advance_ms(b->sim, 10000);
    assert_true(sim_run_until(b->sim, has_leader, b, HANG_MS));
    (void)write_some(b, 100, 100);
    peer_node_compact(b->node[0], 5);
    peer_node_compact(b->node[1], 5);
}

static void heal(struct bed *b)
{
    sim_net_cut(b->sim, "m3", "m1", false);
    sim_net_cut(b->sim, "m3", "m2", false);
}

static void snapshots(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 4096, 3 << 20};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct bed b;
        bed_make(&b, 51 + i, sizes[i] > 65536);
        b.snapshot_bytes = sizes[i];
        for (size_t k = 0; k < 3; k++) {
            b.node[k]->o.snapshot_bytes = sizes[i];
        }
        assert_true(sim_run_until(b.sim, streams_are_up, &b, HANG_MS));
        lag(&b);
        heal(&b);
        assert_true(sim_run_until(b.sim, had_snapshot, &b, HANG_MS));
        wait_equal(&b, write_some(&b, 20, 100));
        assert_true(b.node[0]->snapshots_ok + b.node[1]->snapshots_ok >= 1);
        bed_free(&b);
    }
}

static bool snapshot_begun(void *arg)
{
    struct bed *b = arg;
    struct peer_node *n = leader(b);
    struct peer_status s;
    return n != NULL && n != b->node[2] && peer_status(n->transport, 3, &s) == 0 &&
           s.stats.sent_bytes > 1500000;
}

/* The line is cut in the middle of the file: reported, the half file goes, the next try succeeds.
 */
static void snapshot_cut(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b, 61, true);
    for (size_t k = 0; k < 3; k++) {
        b.node[k]->o.snapshot_bytes = 16 << 20;
    }
    assert_true(sim_run_until(b.sim, streams_are_up, &b, HANG_MS));
    lag(&b);
    heal(&b);
    assert_true(sim_run_until(b.sim, snapshot_begun, &b, HANG_MS));
    sim_net_cut(b.sim, "m3", "m1", true);
    sim_net_cut(b.sim, "m3", "m2", true);
    sim_advance_ms(b.sim, 60000);
    assert_int_equal(b.node[2]->snapshots_in, 0);
    assert_true(b.node[0]->snapshots_failed + b.node[1]->snapshots_failed >= 1);
    heal(&b);
    assert_true(sim_run_until(b.sim, had_snapshot, &b, HANG_MS));
    wait_equal(&b, write_some(&b, 20, 100));
    bed_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_levels),   cmocka_unit_test(big_entries),
        cmocka_unit_test(probes_measure), cmocka_unit_test(cuts),
        cmocka_unit_test(host_dies),      cmocka_unit_test(join_and_remove),
        cmocka_unit_test(snapshots),      cmocka_unit_test(snapshot_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
