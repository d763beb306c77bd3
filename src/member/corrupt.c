/* SPDX-License-Identifier: Apache-2.0 */
#include "member/corrupt.h"

#include <inttypes.h>

#include "base/log.h"

static void judge(struct corrupt_check *c);

/* ---- life ---- */

void corrupt_begin(struct corrupt_check *c, enum corrupt_kind kind, uint64_t local_id,
                   const struct membership *ms)
{
    *c = (struct corrupt_check){.kind = kind, .want = CORRUPT_WANT_LOCAL, .local_id = local_id};
    for (size_t i = 0; i < ms->count && c->peer_count < CORRUPT_PEERS_MAX; i++) {
        const struct member *m = &ms->members[i];
        if (m->id != local_id && m->peer_urls.count > 0) {
            c->peers[c->peer_count++] = (struct corrupt_peer){.id = m->id};
        }
    }
    if (kind == CORRUPT_COMPACT) {
        c->want = CORRUPT_DONE; /* until there are hashes */
    }
}

static void insert_newest_first(struct corrupt_check *c, const struct member_hash *h)
{
    size_t at = c->hash_count++;
    while (at > 0 && c->hashes[at - 1].hash_rev < h->hash_rev) {
        c->hashes[at] = c->hashes[at - 1];
        at--;
    }
    c->hashes[at] = *h;
}

void corrupt_hashes(struct corrupt_check *c, const struct member_hash *hashes, size_t count,
                    int64_t checked_rev)
{
    ensure(c->kind == CORRUPT_COMPACT);
    c->verdict.checked_rev = checked_rev;
    for (size_t i = 0; i < count && c->hash_count < CORRUPT_HASHES_MAX; i++) {
        if (hashes[i].hash_rev > checked_rev) {
            insert_newest_first(c, &hashes[i]);
        }
    }
    c->want = c->hash_count > 0 && c->peer_count > 0 ? CORRUPT_WANT_PEERS : CORRUPT_DONE;
}

enum corrupt_want corrupt_want(const struct corrupt_check *c, int64_t *out_rev)
{
    if (c->want == CORRUPT_WANT_PEERS) {
        *out_rev = c->kind == CORRUPT_COMPACT ? c->hashes[c->hash_at].hash_rev : c->first.hash_rev;
    }
    return c->want;
}

static void end(struct corrupt_check *c, int err)
{
    c->verdict.err = err;
    c->want = CORRUPT_DONE;
}

/* ---- answers ---- */

void corrupt_on_local(struct corrupt_check *c, int err, const struct member_hash *hash)
{
    ensure(c->want == CORRUPT_WANT_LOCAL);
    if (err != 0) {
        end(c, err);
    } else if (c->has_first) {
        c->second = *hash;
        judge(c);
    } else {
        c->first = *hash;
        c->has_first = true;
        c->want = CORRUPT_WANT_PEERS;
        if (c->peer_count == 0) {
            judge(c);
        }
    }
}

static bool all_answered(const struct corrupt_check *c)
{
    for (size_t i = 0; i < c->peer_count; i++) {
        if (!c->peers[i].has_answered) {
            return false;
        }
    }
    return true;
}

void corrupt_on_peer(struct corrupt_check *c, uint64_t id, int err, const struct member_hash *hash)
{
    size_t i = 0;
    while (i < c->peer_count && c->peers[i].id != id) {
        i++;
    }
    if (c->want != CORRUPT_WANT_PEERS || i == c->peer_count || c->peers[i].has_answered) {
        return;
    }
    c->peers[i].has_answered = true;
    c->peers[i].err = err;
    if (err == 0) {
        c->peers[i].hash = *hash;
    }
    if (all_answered(c)) {
        judge(c);
    }
}

void corrupt_on_read(struct corrupt_check *c, int err)
{
    ensure(c->want == CORRUPT_WANT_READ);
    if (err != 0) {
        end(c, err);
    } else {
        c->want = CORRUPT_WANT_LOCAL;
    }
}

/* ---- initial ---- */

static void log_initial(const struct corrupt_check *c, const struct corrupt_peer *p,
                        const char *what)
{
    log_warn(what, LOG_HEX("local-member-id", c->local_id),
             LOG_I64("local-member-revision", c->first.hash_rev),
             LOG_I64("local-member-compact-revision", c->first.compact_rev),
             LOG_U64("local-member-hash", c->first.hash), LOG_HEX("remote-peer-id", p->id),
             LOG_I64("remote-peer-revision", p->hash.rev),
             LOG_I64("remote-peer-compact-revision", p->hash.compact_rev),
             LOG_U64("remote-peer-hash", p->hash.hash), LOG_ERR(p->err));
}

/* True when the peer holds other data. */
static bool initial_differs(const struct corrupt_check *c, const struct corrupt_peer *p)
{
    if (p->err == ERR_RPC_FUTURE_REV) {
        log_initial(c, p, "cannot fetch hash from slow remote peer");
    } else if (p->err == ERR_RPC_COMPACTED) {
        log_initial(c, p, "cannot fetch hash from remote peer; local member is behind");
    } else if (p->err == ERR_RPC_CLUSTER_ID_MISMATCH) {
        log_initial(c, p, "cluster ID mismatch");
    }
    if (p->err != 0 || p->hash.hash == c->first.hash) {
        return false;
    }
    if (p->hash.compact_rev != c->first.compact_rev) {
        log_initial(c, p, "found different compact revision values from remote peer");
        return false;
    }
    log_initial(c, p, "found different hash values from remote peer");
    return true;
}

static void judge_initial(struct corrupt_check *c)
{
    bool is_corrupt = false;
    for (size_t i = 0; i < c->peer_count; i++) {
        is_corrupt = initial_differs(c, &c->peers[i]) || is_corrupt;
    }
    if (!is_corrupt) {
        log_info("initial corruption checking passed; no corruption",
                 LOG_HEX("local-member-id", c->local_id));
    }
    end(c, is_corrupt ? ERR_CORRUPT : 0);
}

/* ---- periodic ---- */

static void alarm(struct corrupt_check *c, uint64_t id)
{
    struct corrupt_verdict *v = &c->verdict;
    if (v->alarm_count <= CORRUPT_PEERS_MAX) {
        v->alarms[v->alarm_count++] = id;
    }
}

/* One alarm a pass: the first reason counts, the others are said in the log. */
static void alarm_once(struct corrupt_check *c, uint64_t id)
{
    if (c->verdict.alarm_count == 0) {
        alarm(c, id);
    }
}

static void periodic_self(struct corrupt_check *c)
{
    const struct member_hash *a = &c->first, *b = &c->second;
    if (a->hash != b->hash && a->hash_rev == b->hash_rev && a->compact_rev == b->compact_rev) {
        log_warn("found hash mismatch", LOG_I64("revision-1", a->hash_rev),
                 LOG_I64("compact-revision-1", a->compact_rev), LOG_U64("hash-1", a->hash),
                 LOG_I64("revision-2", b->hash_rev), LOG_I64("compact-revision-2", b->compact_rev),
                 LOG_U64("hash-2", b->hash));
        alarm_once(c, c->local_id);
    }
}

static void periodic_peer(struct corrupt_check *c, const struct corrupt_peer *p)
{
    if (p->hash.rev > c->second.rev) {
        log_warn("revision from follower must be less than or equal to leader's",
                 LOG_I64("leader-revision", c->second.rev),
                 LOG_I64("follower-revision", p->hash.rev), LOG_HEX("follower-peer-id", p->id));
        alarm_once(c, p->id);
    }
    if (p->hash.compact_rev > c->second.compact_rev) {
        log_warn("compact revision from follower must be less than or equal to leader's",
                 LOG_I64("leader-compact-revision", c->second.compact_rev),
                 LOG_I64("follower-compact-revision", p->hash.compact_rev),
                 LOG_HEX("follower-peer-id", p->id));
        alarm_once(c, p->id);
    }
    if (p->hash.compact_rev == c->first.compact_rev && p->hash.hash != c->first.hash) {
        log_warn("same compact revision then hashes must match",
                 LOG_I64("leader-compact-revision", c->second.compact_rev),
                 LOG_U64("leader-hash", c->first.hash),
                 LOG_I64("follower-compact-revision", p->hash.compact_rev),
                 LOG_U64("follower-hash", p->hash.hash), LOG_HEX("follower-peer-id", p->id));
        alarm_once(c, p->id);
    }
}

/* Both own hashes and all peers are there. */
static void judge_periodic(struct corrupt_check *c)
{
    size_t checked = 0;
    periodic_self(c);
    for (size_t i = 0; i < c->peer_count; i++) {
        if (c->peers[i].err == 0) {
            checked++;
            periodic_peer(c, &c->peers[i]);
        }
    }
    log_info("finished peer corruption check", LOG_U64("number-of-peers-checked", checked));
    end(c, 0);
}

/* ---- compact ---- */

/* A peer whose hash can be compared with the leader's. */
static bool is_comparable(const struct corrupt_check *c, const struct corrupt_peer *p)
{
    const struct member_hash *leader = &c->hashes[c->hash_at];
    struct buf reason = BUF_INIT;
    if (p->err == 0 && p->hash.compact_rev == leader->compact_rev) {
        return true;
    }
    if (p->err != 0) {
        buf_append_cstr(&reason, "no response");
    } else {
        buf_printf(&reason,
                   "the peer's CompactRevision %" PRId64
                   " doesn't match leader's CompactRevision %" PRId64,
                   p->hash.compact_rev, leader->compact_rev);
    }
    log_warn("Skipped peer's hash", LOG_U64("number-of-peers", c->peer_count),
             LOG_HEX("leader-id", c->local_id), LOG_HEX("peer-id", p->id),
             LOG_STR("reason", buf_cstr(&reason)));
    buf_deinit(&reason);
    return false;
}

/* Members (the leader too) that hold this hash. */
static size_t holders(const struct corrupt_check *c, const bool *is_in, uint32_t hash)
{
    size_t n = c->hashes[c->hash_at].hash == hash ? 1 : 0;
    for (size_t i = 0; i < c->peer_count; i++) {
        n += is_in[i] && c->peers[i].hash.hash == hash ? 1 : 0;
    }
    return n;
}

/* The hash that a majority of all members holds. */
static bool find_majority(const struct corrupt_check *c, const bool *is_in, uint32_t *out)
{
    size_t quorum = (c->peer_count + 1) / 2 + 1;
    uint32_t leader = c->hashes[c->hash_at].hash;
    if (holders(c, is_in, leader) >= quorum) {
        *out = leader;
        return true;
    }
    for (size_t i = 0; i < c->peer_count; i++) {
        if (is_in[i] && holders(c, is_in, c->peers[i].hash.hash) >= quorum) {
            *out = c->peers[i].hash.hash;
            return true;
        }
    }
    return false;
}

static void log_minority(const struct corrupt_check *c, uint64_t id, uint32_t hash, bool has_quorum)
{
    const struct member_hash *leader = &c->hashes[c->hash_at];
    log_error("Detected compaction hash mismatch", LOG_HEX("leader-id", c->local_id),
              LOG_I64("leader-revision", leader->hash_rev),
              LOG_I64("leader-compact-revision", leader->compact_rev),
              LOG_U64("leader-hash", leader->hash), LOG_U64("peer-hash", hash),
              LOG_HEX("peer-ids", id), LOG_BOOL("quorum-exist", has_quorum));
}

static void raise_minority(struct corrupt_check *c, const bool *is_in)
{
    const struct member_hash *leader = &c->hashes[c->hash_at];
    uint32_t majority = 0;
    bool has_quorum = find_majority(c, is_in, &majority);
    if (!has_quorum) {
        log_error("Detected compaction hash mismatch but cannot identify the corrupted members, so "
                  "intentionally set the memberID as 0",
                  LOG_HEX("leader-id", c->local_id), LOG_I64("leader-revision", leader->hash_rev),
                  LOG_I64("leader-compact-revision", leader->compact_rev),
                  LOG_U64("leader-hash", leader->hash));
        alarm(c, 0);
    }
    if (has_quorum && leader->hash != majority) {
        log_minority(c, c->local_id, leader->hash, has_quorum);
        alarm(c, c->local_id);
    }
    for (size_t i = 0; i < c->peer_count; i++) {
        const struct corrupt_peer *p = &c->peers[i];
        if (is_in[i] && (!has_quorum || p->hash.hash != majority)) {
            log_minority(c, p->id, p->hash.hash, has_quorum);
            if (has_quorum) {
                alarm(c, p->id);
            }
        }
    }
}

static void finish_compact(struct corrupt_check *c, size_t hashes_checked)
{
    log_info("finished compaction hash check", LOG_U64("number-of-hashes-checked", hashes_checked));
    end(c, 0);
}

/* A peer was left out: an older compaction may be known by all. */
static void next_hash(struct corrupt_check *c, size_t checked)
{
    const struct member_hash *leader = &c->hashes[c->hash_at];
    log_warn("skipped revision in compaction hash check; was not able to check all peers",
             LOG_U64("number-of-peers-checked", checked), LOG_U64("number-of-peers", c->peer_count),
             LOG_I64("revision", leader->hash_rev),
             LOG_I64("compactRevision", leader->compact_rev));
    if (++c->hash_at == c->hash_count) {
        finish_compact(c, c->hash_count);
        return;
    }
    for (size_t i = 0; i < c->peer_count; i++) {
        c->peers[i] = (struct corrupt_peer){.id = c->peers[i].id};
    }
}

static void judge_compact(struct corrupt_check *c)
{
    const struct member_hash *leader = &c->hashes[c->hash_at];
    bool is_in[CORRUPT_PEERS_MAX];
    size_t checked = 0;
    for (size_t i = 0; i < c->peer_count; i++) {
        is_in[i] = is_comparable(c, &c->peers[i]);
        checked += is_in[i] ? 1 : 0;
    }
    if (holders(c, is_in, leader->hash) != checked + 1) {
        raise_minority(c, is_in);
        finish_compact(c, c->hash_at + 1);
    } else if (checked < c->peer_count) {
        next_hash(c, checked);
    } else {
        log_info("successfully checked hash on whole cluster",
                 LOG_U64("number-of-peers-checked", checked), LOG_I64("revision", leader->hash_rev),
                 LOG_I64("compactRevision", leader->compact_rev));
        c->verdict.checked_rev = leader->hash_rev;
        finish_compact(c, c->hash_at + 1);
    }
}

/* All that the present step waited for is there. */
static void judge(struct corrupt_check *c)
{
    switch (c->kind) {
    case CORRUPT_INITIAL: judge_initial(c); break;
    case CORRUPT_PERIODIC:
        if (c->want == CORRUPT_WANT_PEERS) {
            c->want = CORRUPT_WANT_READ;
        } else {
            judge_periodic(c);
        }
        break;
    case CORRUPT_COMPACT: judge_compact(c); break;
    }
}
