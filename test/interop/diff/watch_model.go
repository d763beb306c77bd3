package main

import (
	"bytes"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// The history is what a watch of everything, made before the first change, was told by both alike.
// What any other watch must be told follows from it.

func isFromKey(end []byte) bool { return len(end) == 1 && end[0] == 0 }

func covers(r *pb.WatchCreateRequest, key []byte) bool {
	from := r.Key
	if len(from) == 0 {
		from = []byte{0}
	}
	switch {
	case len(r.RangeEnd) == 0:
		return bytes.Equal(key, from)
	case isFromKey(r.RangeEnd):
		return bytes.Compare(key, from) >= 0
	default:
		return bytes.Compare(key, from) >= 0 && bytes.Compare(key, r.RangeEnd) < 0
	}
}

func isEmptyRange(r *pb.WatchCreateRequest) bool {
	key := r.Key
	if len(key) == 0 {
		key = []byte{0}
	}
	return len(r.RangeEnd) > 0 && !isFromKey(r.RangeEnd) && bytes.Compare(key, r.RangeEnd) >= 0
}

func isFiltered(r *pb.WatchCreateRequest, e *mvccpb.Event) bool {
	for _, f := range r.Filters {
		if (f == pb.WatchCreateRequest_NOPUT && e.Type == mvccpb.PUT) ||
			(f == pb.WatchCreateRequest_NODELETE && e.Type == mvccpb.DELETE) {
			return true
		}
	}
	return false
}

// learn adds what the watch must be told of the history that it has not looked at yet.
func (w *watch) learn(history []*mvccpb.Event) {
	for ; w.learnt < len(history); w.learnt++ {
		e := history[w.learnt]
		if e.Kv.ModRevision >= w.from && covers(w.request, e.Kv.Key) && !isFiltered(w.request, e) {
			w.want = append(w.want, e)
		}
	}
}

func text(m proto.Message) string { return cut(prototext.MarshalOptions{}.Format(m)) }

// sameAsHistory: without the previous state, which may be compacted.
func sameAsHistory(want, got *mvccpb.Event) bool {
	return want.Type == got.Type && proto.Equal(want.Kv, got.Kv)
}

// eventsDifference compares what both were told since the last time, with each other and with the history.
func (w *watch) eventsDifference() error {
	want := w.want
	theirs, mine := w.told[ref].events, w.told[ours].events
	if len(theirs) != len(want) || len(mine) != len(want) {
		return fmt.Errorf("watch %d from %d (%s): %d events, the reference sent %d, ours %d%s", w.id, w.from, text(w.request),
			len(want), len(theirs), len(mine), w.surplus())
	}
	for i := w.checked; i < len(want); i++ {
		if !proto.Equal(theirs[i], mine[i]) || !sameAsHistory(want[i], mine[i]) {
			return fmt.Errorf("watch %d from %d (%s), event %d\n--- history\n%s\n--- reference\n%s\n--- ours\n%s", w.id, w.from,
				text(w.request), i, text(want[i]), text(theirs[i]), text(mine[i]))
		}
	}
	w.checked = len(want)
	return nil
}

// surplus tells what is there too much.
func (w *watch) surplus() string {
	out := ""
	for i := range w.told {
		if extra := w.told[i].events; len(extra) > len(w.want) {
			out += fmt.Sprintf("\n%s sent too much: %s", name(i), text(extra[len(w.want)]))
		}
	}
	return out
}

func equalInts(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
