/* SPDX-License-Identifier: Apache-2.0
 *
 * server/metrics_peers: etcd_network_*, from what the transport counts of each peer.
 *
 * As in etcd a series begins with the first thing it counts.
 */
#include <stdio.h>

#include "server/internal.h"

enum { PEERS_MAX = 64, ID_TEXT_MAX = 20 };

static void id_text(uint64_t id, char out[ID_TEXT_MAX])
{
    (void)snprintf(out, ID_TEXT_MAX, "%llx", (unsigned long long)id);
}

static void set_counted(struct metrics *m, enum metric_id id, const char *const *labels,
                        uint64_t value)
{
    if (value > 0) {
        metric_set(metrics_with(m, id, labels), (double)value);
    }
}

static void collect_peer(struct metrics *m, const char *local, const struct peer_status *st)
{
    char remote[ID_TEXT_MAX];
    id_text(st->id, remote);
    const char *to[] = {remote};
    const char *pair[] = {local, remote};
    const struct peer_stats *n = &st->stats;
    set_counted(m, METRIC_NETWORK_PEER_SENT_BYTES_TOTAL, to, n->sent_bytes);
    set_counted(m, METRIC_NETWORK_PEER_RECEIVED_BYTES_TOTAL, to, n->received_bytes);
    set_counted(m, METRIC_NETWORK_PEER_SENT_FAILURES_TOTAL, to, n->sent_failures);
    set_counted(m, METRIC_NETWORK_SNAPSHOT_SEND_SUCCESS, to, n->snapshots_sent);
    set_counted(m, METRIC_NETWORK_SNAPSHOT_SEND_FAILURES, to, n->snapshots_failed);
    set_counted(m, METRIC_NETWORK_SNAPSHOT_RECEIVE_SUCCESS, to, n->snapshots_received);
    set_counted(m, METRIC_NETWORK_DISCONNECTED_PEERS_TOTAL, pair, n->disconnects);
    if (st->is_active || n->disconnects > 0) {
        metric_set(metrics_with(m, METRIC_NETWORK_ACTIVE_PEERS, pair), st->is_active);
    }
}

/* Members, and 0 for those that were. */
static void collect_known(struct server *s, struct metrics *m, const char *local)
{
    const struct membership *ms = core_members(driver_core(s->driver));
    for (size_t i = 0; i < s->known_count; i++) {
        metric_set(s->known[i], 0);
    }
    s->known_count = 0;
    for (size_t i = 0; i < ms->count && i < SERVER_KNOWN_MAX; i++) {
        char remote[ID_TEXT_MAX];
        id_text(ms->members[i].id, remote);
        const char *pair[] = {local, remote};
        s->known[s->known_count] = metrics_with(m, METRIC_NETWORK_KNOWN_PEERS, pair);
        metric_set(s->known[s->known_count++], 1);
    }
}

void server_metrics_collect_peers(struct server *s, struct metrics *m)
{
    struct peer_status st[PEERS_MAX];
    char local[ID_TEXT_MAX];
    size_t count = peer_statuses(s->peers.transport, st, PEERS_MAX);
    id_text(server_member_id(s), local);
    for (size_t i = 0; i < count && i < PEERS_MAX; i++) {
        collect_peer(m, local, &st[i]);
    }
    collect_known(s, m, local);
}

void server_metrics_rtt(void *arg, uint64_t id, uint64_t ns)
{
    struct server *s = arg;
    char remote[ID_TEXT_MAX];
    id_text(id, remote);
    const char *to[] = {remote};
    metric_observe(metrics_with(s->metrics, METRIC_NETWORK_PEER_ROUND_TRIP_TIME_SECONDS, to),
                   (double)ns / 1e9);
}
