package main

import (
	"errors"
	"fmt"
	"sort"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

const (
	streamCount  = 4
	watchesMax   = 12 // of one stream
	askAgain     = 150 * time.Millisecond
	recentMax    = 60
	watchParts   = 6 // a restart between two of them
	bigKeys      = 12
	bigValue     = 60000 // with --max-request-bytes 65536 a dozen of them is more than a response holds
	bigEvery     = 1500
	expireEvery  = 2500
	barrierEvery = 8
)

// story is the run of watches and leases: requests as everywhere, streams beside them.
type story struct {
	run     *runner
	streams [streamCount]*pairStream
	witness *pairStream
	history []*mvccpb.Event
	expired int
	recent  []string
}

func (st *story) say(format string, args ...any) {
	st.recent = append(st.recent, cut(fmt.Sprintf(format, args...)))
	if len(st.recent) > recentMax {
		st.recent = st.recent[1:]
	}
}

func (st *story) do(r request) error {
	st.say("rev %d: %s", st.run.gen.rev, r.print())
	return st.run.do(r)
}

func (st *story) rnd(n int) int { return st.run.gen.rnd.Intn(n) }

// differ is a difference that the answers of a unary call do not show.
func (st *story) differ(stream int, err error) error {
	fmt.Printf("DIFFERENCE at request %d: stream %d: %v\nrevision %d, compacted %d\nlast requests:\n", st.run.number, stream, err,
		st.run.gen.rev, st.run.gen.compacted)
	for _, line := range st.recent {
		fmt.Println("  " + line)
	}
	return differs{st.run.number}
}

// ---- what was told ----

// barrier waits until everybody was told everything, and compares.
func (st *story) barrier() error {
	if err := st.extend(); err != nil {
		return st.differ(-1, err)
	}
	for i, s := range st.streams {
		if err := st.compare(s); err != nil {
			return st.differ(i, err)
		}
	}
	return nil
}

// extend takes the history from the witness.
func (st *story) extend() error {
	w := st.witness.watches[0]
	for i := range w.told {
		err := st.witness.until(i, hangLimit, func() bool {
			t := w.told[i]
			return st.run.gen.rev < w.from || (len(t.events) > 0 && t.events[len(t.events)-1].Kv.ModRevision >= st.run.gen.rev)
		})
		if err != nil {
			return fmt.Errorf("the witness at %s: %w", name(i), err)
		}
	}
	theirs, mine := w.told[ref].events, w.told[ours].events
	if len(theirs) != len(mine) {
		return fmt.Errorf("the witness was told %d events by the reference, %d by ours", len(theirs), len(mine))
	}
	for i := range theirs {
		if !proto.Equal(theirs[i], mine[i]) {
			return fmt.Errorf("the witness's events differ:\n%s\n%s", text(theirs[i]), text(mine[i]))
		}
		st.countEvent(theirs[i])
		st.history = append(st.history, theirs[i])
	}
	w.told[ref].events, w.told[ours].events = nil, nil
	w.told[ref].last, w.told[ours].last = nil, nil
	w.from = st.run.gen.rev + 1
	return nil
}

func (st *story) compare(s *pairStream) error {
	for _, w := range s.sorted() {
		w.learn(st.history)
		for i := range w.told {
			err := s.until(i, hangLimit, func() bool { return len(w.told[i].events) >= len(w.want) })
			if err != nil && !errors.Is(err, errLate) {
				return err
			}
		}
	}
	if err := s.drain(); err != nil {
		return err
	}
	for _, w := range s.sorted() {
		isNew := len(w.want) > w.checked
		if err := w.eventsDifference(); err != nil {
			return err
		}
		w.isProven = w.isProven || isNew
		st.countWatch(w, isNew)
	}
	return st.checkProgress(s)
}

// checkProgress: nothing at or below a progress's revision came behind it.
func (st *story) checkProgress(s *pairStream) error {
	for i := range s.progress {
		for _, p := range s.progress[i] {
			for id, count := range p.counts {
				w := s.watches[id]
				if w == nil || w.isDead {
					continue
				}
				before := sort.Search(len(w.want), func(k int) bool { return w.want[k].Kv.ModRevision > p.rev })
				if count < before {
					return fmt.Errorf("%s: progress to %d overtook events of watch %d: %d of %d", name(i), p.rev, id, count, before)
				}
			}
		}
		s.progress[i] = nil
	}
	return nil
}

func (s *pairStream) sorted() []*watch {
	out := make([]*watch, 0, len(s.watches))
	for _, w := range s.watches {
		if !w.isDead {
			out = append(out, w)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].id < out[j].id })
	return out
}

// ---- requests ----

func (st *story) createRequest() *pb.WatchCreateRequest {
	g := st.run.gen
	r := &pb.WatchCreateRequest{PrevKv: g.oneIn(2), ProgressNotify: g.oneIn(4), Fragment: g.oneIn(4)}
	r.Key, r.RangeEnd = g.span()
	switch g.rnd.Intn(12) {
	case 0, 1, 2, 3:
	case 4:
		r.StartRevision = g.rev + 1
	case 5:
		r.StartRevision = g.rev + 2 + int64(g.rnd.Intn(30))
	case 6:
		r.StartRevision = g.compacted
	case 7:
		r.StartRevision = max(g.compacted-1-int64(g.rnd.Intn(20)), 1)
	case 8:
		r.StartRevision = []int64{-1, -5, g.rev}[g.rnd.Intn(3)]
	default:
		r.StartRevision = g.pastRevision()
	}
	for n := [6]int{0, 0, 0, 1, 1, 2}[g.rnd.Intn(6)]; n > 0; n-- {
		r.Filters = append(r.Filters, []pb.WatchCreateRequest_FilterType{0, 1, 0, 1, 7}[g.rnd.Intn(5)])
	}
	if g.oneIn(5) {
		r.WatchId = []int64{1, 2, 3, 7, 40, -3, -9}[g.rnd.Intn(7)]
	}
	return r
}

func (st *story) create(i int, r *pb.WatchCreateRequest) error {
	s := st.streams[i]
	st.run.number++
	st.say("rev %d: stream %d create %s", st.run.gen.rev, i, text(r))
	if err := s.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
		return err
	}
	// Events of the new watch may come before this is read: it must be known.
	w, err := st.created(s, r)
	if err != nil {
		return st.differ(i, err)
	}
	st.countCreate(s, r, w)
	if w != nil && st.isCompacted(r) {
		w.isDead = true
		both, err := s.answer()
		if err == nil {
			err = answersDifference(both)
		}
		if err == nil && (!both[ours].Canceled || both[ours].CompactRevision != st.run.gen.compacted) {
			err = fmt.Errorf("not told that it is compacted: %v", both[ours])
		}
		if err != nil {
			return st.differ(i, err)
		}
		st.run.rows.add("watch: told that it is compacted")
	}
	return nil
}

func (st *story) isCompacted(r *pb.WatchCreateRequest) bool {
	return r.StartRevision > 0 && r.StartRevision < st.run.gen.compacted
}

// created waits for the answers; nil when the watch was refused.  What comes for it before they are
// both read is sorted then: responses of one server are in order.
func (st *story) created(s *pairStream, r *pb.WatchCreateRequest) (*watch, error) {
	w := &watch{request: r, from: r.StartRevision, isProven: r.StartRevision == 0 || r.StartRevision > st.run.gen.rev}
	if r.StartRevision == 0 {
		w.from = st.run.gen.rev + 1
	}
	w.learnt = sort.Search(len(st.history), func(k int) bool { return st.history[k].Kv.ModRevision >= w.from })
	var both [2]*pb.WatchResponse
	for i := range s.sides {
		if err := s.until(i, hangLimit, func() bool { return len(s.answers[i]) > 0 }); err != nil {
			return nil, fmt.Errorf("%s: %w", name(i), err)
		}
		both[i] = s.answers[i][0]
		s.answers[i] = s.answers[i][1:]
		if i == ref && !both[i].Canceled {
			w.id = both[i].WatchId
			s.watches[w.id] = w
		}
		w.isMade[i] = true
	}
	if err := answersDifference(both); err != nil {
		return nil, err
	}
	if !both[ours].Created || both[ours].Header.Revision != st.run.gen.rev {
		return nil, fmt.Errorf("not what was asked for: %v", both[ours])
	}
	if both[ours].Canceled {
		return nil, nil
	}
	return w, nil
}

func answersDifference(both [2]*pb.WatchResponse) error {
	for _, m := range both {
		mask(m)
	}
	if proto.Equal(both[ref], both[ours]) {
		return nil
	}
	return fmt.Errorf("other answers\n--- reference\n%s\n--- ours\n%s", text(both[ref]), text(both[ours]))
}

func (st *story) cancel(i int, id int64) error {
	s := st.streams[i]
	w := s.watches[id]
	if w != nil {
		// What the reference has not sent when a watch is cancelled it sends to the next one of that id.
		if err := st.barrier(); err != nil {
			return err
		}
	}
	st.run.number++
	st.say("rev %d: stream %d cancel %d", st.run.gen.rev, i, id)
	err := s.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
	if err != nil {
		return err
	}
	if w == nil {
		st.run.rows.add("watch: cancel of an unknown id")
		return nil
	}
	both, err := s.answer()
	if err == nil {
		err = answersDifference(both)
	}
	if err == nil && (!both[ours].Canceled || both[ours].WatchId != id) {
		err = fmt.Errorf("not the answer to a cancel: %v", both[ours])
	}
	if err != nil {
		return st.differ(i, err)
	}
	st.run.rows.addIf(!w.isDead, "watch: cancelled")
	st.run.rows.addIf(w.isDead, "watch: cancelled after it was compacted")
	delete(s.watches, id)
	return nil
}

// progress: what must be answered is asked again until it is; what must not is seen by what comes later.
func (st *story) progress(i int) error {
	s := st.streams[i]
	isDue := len(s.watches) > 0
	isFuture, isDead := false, false
	for _, w := range s.watches {
		isFuture, isDead = isFuture || w.from > st.run.gen.rev+1, isDead || w.isDead
		isFuture = isFuture || w.request.StartRevision > st.run.gen.rev
	}
	isDue = isDue && !isFuture && !isDead
	st.run.number++
	st.say("rev %d: stream %d progress, due %v", st.run.gen.rev, i, isDue)
	ask := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
	if !isDue {
		st.run.rows.addIf(len(s.watches) == 0, "progress: no watches")
		st.run.rows.addIf(isFuture, "progress: a watch from the future")
		st.run.rows.addIf(isDead, "progress: a compacted watch")
		return s.send(ask)
	}
	st.run.rows.add("progress: answered")
	for end := time.Now().Add(hangLimit); ; {
		if err := s.send(ask); err != nil {
			return err
		}
		s.asked[ref]++
		s.asked[ours]++
		has := func(k int) func() bool {
			return func() bool {
				n := len(s.progress[k])
				return n > 0 && s.progress[k][n-1].rev == st.run.gen.rev
			}
		}
		isLate := false
		for k := range s.sides {
			err := s.until(k, askAgain, has(k))
			if err != nil && !errors.Is(err, errLate) {
				return st.differ(i, err)
			}
			isLate = isLate || err != nil
		}
		if !isLate {
			break
		}
		if time.Now().After(end) {
			return st.differ(i, fmt.Errorf("no progress: answered %v", s.progress))
		}
	}
	for _, w := range s.watches {
		w.isProven = true
	}
	return nil
}

func (st *story) nothing(i int) error {
	st.run.number++
	st.say("stream %d: an empty request", i)
	st.run.rows.add("watch: an empty request")
	return st.streams[i].send(&pb.WatchRequest{})
}

// reopen ends a stream with all its watches.
func (st *story) reopen(i int) error {
	st.say("stream %d opened anew", i)
	st.streams[i].close()
	var err error
	st.streams[i], err = st.run.pair.openStream()
	return err
}

// ---- compaction, restarts ----

// compact: a watch that may still be catching up would be told that it is compacted, or not.
func (st *story) compact() error {
	g := st.run.gen
	r := &pb.CompactionRequest{Revision: g.revision(), Physical: g.oneIn(3)}
	if g.rev-r.Revision < 40 && !g.oneIn(4) {
		r.Revision = g.rev - 40
	}
	if r.Revision <= 0 {
		return nil
	}
	if err := st.barrier(); err != nil { // previous values are read when events are sent
		return err
	}
	for i, s := range st.streams {
		for _, w := range s.sorted() {
			if !w.isProven && w.from < r.Revision {
				if err := st.cancel(i, w.id); err != nil {
					return err
				}
			}
		}
	}
	return st.do(encode(kv+"Compact", r))
}

// restart: half of the watches are made again from where they were.
func (st *story) restart(how string) error {
	if err := st.barrier(); err != nil {
		return err
	}
	var again [streamCount][]*pb.WatchCreateRequest
	for i, s := range st.streams {
		for _, w := range s.sorted() {
			if st.rnd(2) == 0 {
				r := proto.Clone(w.request).(*pb.WatchCreateRequest)
				r.StartRevision = max(r.StartRevision, st.run.gen.rev+1)
				again[i] = append(again[i], r)
			}
		}
		s.close()
	}
	st.witness.close()
	st.say("restart: %s", how)
	if err := st.run.restart(how); err != nil {
		return err
	}
	st.run.rows.add("restart: %s", how)
	if err := st.open(); err != nil {
		return err
	}
	for i := range again {
		for _, r := range again[i] {
			st.run.rows.add("watch: resumed after a restart")
			if err := st.create(i, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// open makes the streams, and the witness.
func (st *story) open() error {
	for i := range st.streams {
		var err error
		if st.streams[i], err = st.run.pair.openStream(); err != nil {
			return err
		}
	}
	var err error
	if st.witness, err = st.run.pair.openStream(); err != nil {
		return err
	}
	r := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: st.run.gen.rev + 1, PrevKv: true}
	if err = st.witness.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
		return err
	}
	_, err = st.created(st.witness, r)
	return err
}

// ---- the stream of requests ----

func (st *story) write() error {
	g := st.run.gen
	switch g.rnd.Intn(10) {
	case 0, 1, 2, 3, 4:
		return st.do(encode(kv+"Put", g.putRequest()))
	case 5, 6:
		return st.do(encode(kv+"DeleteRange", g.deleteRequest()))
	}
	for {
		r := encode(kv+"Range", g.rangeRequest())
		if g.oneIn(2) {
			r = g.txn()
		}
		if !g.kills(r) && !mayPanic(r) && len(r.body) < bigValue {
			return st.do(r)
		}
	}
}

func (st *story) watchOp() error {
	i := st.rnd(streamCount)
	s := st.streams[i]
	switch n := st.rnd(20); {
	case n < 10:
		if len(s.watches) < watchesMax {
			return st.create(i, st.createRequest())
		}
		return st.cancel(i, st.anyID(s))
	case n < 13:
		return st.cancel(i, st.anyID(s))
	case n < 18:
		return st.progress(i)
	case n == 18 && st.rnd(4) == 0:
		return st.reopen(i)
	default:
		return st.nothing(i)
	}
}

func (st *story) anyID(s *pairStream) int64 {
	if len(s.watches) == 0 || st.rnd(10) == 0 {
		return []int64{999, -2, 0, 1 << 40}[st.rnd(4)]
	}
	ids := make([]int64, 0, len(s.watches))
	for id := range s.watches {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(a, b int) bool { return ids[a] < ids[b] })
	return ids[st.rnd(len(ids))]
}

// big deletes so much in one revision that the responses must be cut where that is asked for.
func (st *story) big() error {
	key := func(n int) []byte { return []byte(fmt.Sprintf("big/%02d", n)) }
	if err := st.barrier(); err != nil {
		return err
	}
	for _, fragment := range []bool{true, false} {
		r := &pb.WatchCreateRequest{Key: []byte("big/"), RangeEnd: []byte("big0"), PrevKv: true, Fragment: fragment}
		if err := st.create(0, r); err != nil {
			return err
		}
	}
	for n := 0; n < bigKeys; n++ {
		value := make([]byte, bigValue-st.rnd(1000))
		if err := st.do(encode(kv+"Put", &pb.PutRequest{Key: key(n), Value: value})); err != nil {
			return err
		}
	}
	if err := st.barrier(); err != nil {
		return err
	}
	for _, s := range st.streams {
		for _, w := range s.watches {
			w.told[ref].fragments, w.told[ours].fragments = nil, nil
		}
	}
	if err := st.do(encode(kv+"DeleteRange", &pb.DeleteRangeRequest{Key: []byte("big/"), RangeEnd: []byte("big0")})); err != nil {
		return err
	}
	if err := st.barrier(); err != nil {
		return err
	}
	for i, s := range st.streams {
		for _, w := range s.sorted() {
			if w.told[ref].fragments == nil && w.told[ours].fragments == nil {
				continue
			}
			if !equalInts(w.told[ref].fragments, w.told[ours].fragments) {
				return st.differ(i, fmt.Errorf("watch %d is cut otherwise: %v and %v", w.id, w.told[ref].fragments, w.told[ours].fragments))
			}
			st.run.rows.add("watch: fragments")
		}
	}
	return nil
}

func (st *story) step() error {
	n := st.run.number
	switch x := st.rnd(1000); {
	case x < 560:
		return st.write()
	case x < 760:
		return st.watchOp()
	case x < 985:
		return st.leaseOp()
	case x < 990 && n > 100:
		return st.compact()
	default:
		return st.do(encode(maintenanceStatus, &pb.StatusRequest{}))
	}
}

const maintenanceStatus = maintenance + "Status"

// watchStory is the whole: n requests in parts with a restart of either kind between them.
func watchStory(run *runner, n int) error {
	st := &story{run: run}
	run.gen.drawLease = st.drawLease
	if err := run.begin(); err != nil {
		return err
	}
	if err := st.open(); err != nil {
		return err
	}
	nextBig, nextExpire := bigEvery, expireEvery
	for part := 0; part < watchParts; part++ {
		for run.number < n*(part+1)/watchParts {
			if err := st.step(); err != nil {
				return err
			}
			if st.rnd(barrierEvery) == 0 {
				if err := st.barrier(); err != nil {
					return err
				}
			}
			if run.number >= nextBig {
				nextBig += bigEvery
				if err := st.big(); err != nil {
					return err
				}
			}
			if run.number >= nextExpire {
				nextExpire += expireEvery
				if err := st.expire(); err != nil {
					return err
				}
			}
		}
		if err := st.restart([]string{"stop", "kill"}[part%2]); err != nil {
			return err
		}
	}
	return st.barrier()
}
