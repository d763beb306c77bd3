package main

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

func (st *story) countCreate(s *pairStream, r *pb.WatchCreateRequest, w *watch) {
	t, g := st.run.rows, st.run.gen
	if w == nil {
		t.addIf(r.StartRevision < 0, "watch refused: negative revision")
		t.addIf(r.StartRevision >= 0 && isEmptyRange(r), "watch refused: empty range")
		t.addIf(r.StartRevision >= 0 && !isEmptyRange(r) && s.watches[r.WatchId] != nil, "watch refused: the id is in use")
		return
	}
	key := r.Key
	if len(key) == 0 {
		key = []byte{0}
		t.add("watch: empty key")
	}
	t.add("watch: %s", spanKind(key, r.RangeEnd))
	t.addIf(r.StartRevision == 0, "watch: from now")
	t.addIf(r.StartRevision == g.rev+1, "watch: from the next revision")
	t.addIf(r.StartRevision > g.rev+1, "watch: from the future")
	t.addIf(r.StartRevision > 0 && r.StartRevision == g.compacted, "watch: from the compacted revision")
	t.addIf(r.StartRevision > g.compacted && r.StartRevision <= g.rev, "watch: from the past")
	t.addIf(r.WatchId > 0, "watch: id of the client")
	t.addIf(r.WatchId < 0, "watch: negative id of the client")
	t.addIf(r.PrevKv, "watch: prev_kv")
	t.addIf(r.ProgressNotify, "watch: progress_notify")
	t.addIf(len(r.Filters) == 1, "watch: one filter")
	t.addIf(len(r.Filters) == 2, "watch: two filters")
	for _, f := range r.Filters {
		t.addIf(f > 1, "watch: unknown filter")
	}
	t.addIf(len(s.watches) > 4, "watch: more than four of a stream")
}

func (st *story) countEvent(e *mvccpb.Event) {
	t := st.run.rows
	t.addIf(e.Type == mvccpb.DELETE, "event: delete")
	t.addIf(e.Type == mvccpb.PUT && e.Kv.Version == 1, "event: create")
	t.addIf(e.Type == mvccpb.PUT && e.Kv.Version > 1, "event: update")
	t.addIf(e.Kv.Lease != 0, "event: with a lease")
	t.addIf(len(st.history) > 0 && st.history[len(st.history)-1].Kv.ModRevision == e.Kv.ModRevision, "event: not the only one of its revision")
}

// countWatch: what a watch was told since the last comparison.
func (st *story) countWatch(w *watch, isNew bool) {
	t := st.run.rows
	t["events compared"] += len(w.want) - w.counted
	for _, e := range w.told[ours].events[w.counted:] {
		t.addIf(w.request.PrevKv && e.PrevKv != nil, "told: prev_kv")
		t.addIf(w.request.PrevKv && e.PrevKv == nil && (e.Type == mvccpb.DELETE || e.Kv.Version > 1), "told: prev_kv is compacted")
	}
	w.counted = len(w.want)
	t.addIf(isNew && w.request.StartRevision > 0, "told: from a revision on")
	t.addIf(isNew && len(w.request.Filters) > 0, "told: filtered")
}

// requiredWatch are the branches that a run of a full length of this story must take.
func requiredWatch(string) []string {
	rows := []string{"watch refused: negative revision", "watch refused: empty range", "watch refused: the id is in use",
		"watch: empty key", "watch: one key", "watch: all keys", "watch: from key", "watch: interval", "watch: from now",
		"watch: from the next revision", "watch: from the future", "watch: from the compacted revision", "watch: from the past",
		"watch: id of the client", "watch: negative id of the client", "watch: prev_kv", "watch: progress_notify",
		"watch: one filter", "watch: two filters", "watch: unknown filter", "watch: more than four of a stream",
		"watch: told that it is compacted", "watch: cancelled", "watch: cancelled after it was compacted",
		"watch: cancel of an unknown id", "watch: an empty request", "watch: resumed after a restart", "watch: fragments",
		"progress: answered", "progress: no watches", "progress: a watch from the future", "progress: a compacted watch",
		"event: delete", "event: create", "event: update", "event: with a lease", "event: not the only one of its revision",
		"told: prev_kv", "told: prev_kv is compacted", "told: from a revision on", "told: filtered", "events compared",
		"restart: stop", "restart: kill", "lease: id drawn", "lease: revoked with keys", "lease: revoked without keys",
		"keepalive: renewed", "keepalive: not there", "keepalive: nothing asked", "keepalive: several on one stream",
		"lease: expired with 0 keys", "lease: expired with 1 keys", "lease: expired with 2 keys",
		"ok LeaseGrant", "ok LeaseRevoke", "ok LeaseTimeToLive", "ok LeaseLeases", "ok Compact", "ok Txn", "ok Put", "ok DeleteRange",
		"time to live: keys", "time to live: no keys asked", "time to live: not there"}
	for _, text := range []string{"LeaseGrant 11 etcdserver: too large lease TTL", "LeaseGrant 9 etcdserver: lease already exists",
		"LeaseRevoke " + errNoLease, "Put " + errNoLease, "Compact " + errCompacted, "Compact " + errFuture} {
		rows = append(rows, "error "+text)
	}
	return rows
}
