package main

import (
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

const (
	// Revisions that a phase puts in before it compacts: more than the reference deletes in one go, so
	// that the hashes of "during" are taken while it deletes.
	burst = 600
	// Tries until both have done what they do in the background; a hang limit.
	settleTries = 400
	settleWait  = 25 * time.Millisecond
)

// settle: Hash sees whether the physical deletion is over, which both do in their own time.
func (run *runner) settle(r request) (theirs, mine reply, what string) {
	for i := 0; i < settleTries; i++ {
		time.Sleep(settleWait)
		theirs, mine = run.pair.send(r)
		if what = difference(r, theirs, mine); what == "" {
			break
		}
	}
	return theirs, mine, what
}

// hashKey: a hash is a function of the revision and of the compacted revision that it names.
type hashKey struct{ compacted, rev int64 }

// hashFacts tells a wrong hash from one that a member has not yet, or not any more.
//
// A member that has ended a compaction to R answers HashKV(R) from what the compaction hashed, and names
// the compacted revision before; until then it computes, and names R.  When a compaction comes before
// the one before it has ended, its hash is not kept.  So what is answered depends on the time that the
// physical deletion takes, but the hash for each hashKey does not.
type hashFacts struct {
	values   map[hashKey]uint32
	inFlight bool // a compaction may be under way on either side
	isLax    bool // a compaction came while another was under way; till the next restart
}

func (f *hashFacts) restarted() { f.inFlight, f.isLax = true, false }

func (f *hashFacts) learn(r request, theirs reply) {
	if r.method != kv+"Compact" {
		return
	}
	var req pb.CompactionRequest
	if proto.Unmarshal(r.body, &req) != nil {
		return
	}
	if theirs.ok() {
		f.isLax = f.isLax || f.inFlight
		f.inFlight = !req.Physical
	} else if req.Physical && theirs.text == compactedText {
		f.inFlight = false
	}
}

// contradicts: a hash that is not the one of its key.
func (f *hashFacts) contradicts(req *pb.HashKVRequest, resp *pb.HashKVResponse) bool {
	key := hashKey{resp.CompactRevision, req.Revision}
	if key.rev == 0 {
		key.rev = resp.Header.GetRevision()
	}
	known, has := f.values[key]
	f.values[key] = resp.Hash
	return has && known != resp.Hash
}

const compactedText = "etcdserver: mvcc: required revision has been compacted"

// hashDifference is what stays of a difference when both are held against the facts.
func (run *runner) hashDifference(r request, theirs, mine reply, what string) string {
	var req pb.HashKVRequest
	if proto.Unmarshal(r.body, &req) != nil {
		return what
	}
	var answers [2]*pb.HashKVResponse
	isUnsure := false
	for i, answer := range []reply{theirs, mine} {
		if !answer.ok() {
			continue
		}
		m, err := parse(r.method, answer.messages[0])
		if err != nil {
			return "malformed answer"
		}
		answers[i] = m.(*pb.HashKVResponse)
		if run.hashes.contradicts(&req, answers[i]) {
			if isUnsure = run.isEmptyAt(req.Revision); !isUnsure {
				return []string{"the reference", "ours"}[i] + " answers another hash than before (or than the other) here"
			}
		}
	}
	if what != "" && isUnsure && run.hashes.inFlight {
		run.rows.add("hashkv: no key lives, a compaction runs")
		return ""
	}
	if what != "" && (run.hashes.inFlight || run.hashes.isLax) && isLag(answers, theirs, mine) {
		run.rows.add("hashkv: only one had the compaction's hash")
		return ""
	}
	return what
}

// isEmptyAt: with no live key at the revision nothing is left out of a hash (the rule of the kept
// revisions is off when none is kept), so what it is goes by how far the physical deletion is.
func (run *runner) isEmptyAt(rev int64) bool {
	r := encode(kv+"Range", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Revision: max(rev, 0), CountOnly: true})
	answer := call(run.pair.conns[ref], r.method, r.body)
	if !answer.ok() {
		return false
	}
	m, err := parse(r.method, answer.messages[0])
	return err == nil && m.(*pb.RangeResponse).Count == 0
}

func isLag(answers [2]*pb.HashKVResponse, theirs, mine reply) bool {
	if answers[ref] != nil && answers[ours] != nil {
		return answers[ref].CompactRevision != answers[ours].CompactRevision &&
			answers[ref].Header.GetRevision() == answers[ours].Header.GetRevision()
	}
	return theirs.text+mine.text == compactedText
}

// barrier waits until neither has a compaction under way: a physical compaction that is refused is
// answered behind all that came before.  (With a CORRUPT alarm no compaction is taken at all.)
func (run *runner) barrier() error {
	if !run.hashes.inFlight || run.gen.compacted < 0 || run.gen.isCorrupt() {
		return nil
	}
	return run.compactAt(run.gen.compacted, true)
}

// begin learns the revision that both start at.
func (run *runner) begin() error {
	return run.do(encode(maintenance+"Status", &pb.StatusRequest{}))
}

// everyHash compares HashKV at each revision that can be read, and one beyond at each end.
func (run *runner) everyHash(when string) error {
	for rev := max(run.gen.compacted-1, 1); rev <= run.gen.rev+1; rev++ {
		if err := run.do(encode(maintenance+"HashKV", &pb.HashKVRequest{Revision: rev})); err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
	}
	run.rows.add("hashkv: every revision %s", when)
	return run.do(encode(maintenance+"HashKV", &pb.HashKVRequest{}))
}

func (run *runner) disarm() error {
	for len(run.gen.alarms) > 0 {
		if err := run.do(encode(maintenance+"Alarm", run.gen.disarmRequest())); err != nil {
			return err
		}
	}
	return nil
}

// fill writes revisions: puts and deletes of the thirty keys, so that the compaction meets tombstones.
func (run *runner) fill() error {
	for i := 0; i < burst; i++ {
		r := encode(kv+"Put", &pb.PutRequest{Key: run.gen.key(), Value: run.gen.value()})
		if run.gen.oneIn(4) {
			r = encode(kv+"DeleteRange", &pb.DeleteRangeRequest{Key: run.gen.key()})
		}
		if err := run.do(r); err != nil {
			return err
		}
	}
	return nil
}

func (run *runner) compactAt(rev int64, isPhysical bool) error {
	return run.do(encode(kv+"Compact", &pb.CompactionRequest{Revision: rev, Physical: isPhysical}))
}

// phase comes between the parts of the generated stream: hashes around a compaction (its revision is by
// turns one that a delete made), after a restart of either kind, and the whole file's hash.
func (run *runner) phase(part int) error {
	steps := []func() error{run.disarm, run.fill}
	if part == 0 {
		steps = append(steps, run.sizes)
	}
	if part%2 == 0 {
		steps = append(steps, run.hashesAroundCompaction)
	} else {
		steps = append(steps, run.hashesAroundRestart(part))
	}
	steps = append(steps, func() error { return run.do(encode(maintenance+"Hash", &pb.HashRequest{})) })
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// sizes finds the longest value that is taken, to the byte: the limit goes by the size of the entry in
// the log, which holds an id that each member makes in its own way.
func (run *runner) sizes() error {
	refused := requestMax
	for taken := requestMax - 128; refused-taken > 1; {
		n := (taken + refused) / 2
		r := encode(kv+"Put", &pb.PutRequest{Key: []byte("a"), Value: make([]byte, n)})
		if err := run.do(r); err != nil {
			return err
		}
		if run.lastCode == 0 {
			taken = n
		} else {
			refused = n
		}
	}
	run.rows.addIf(refused < requestMax, "large request: the limit to the byte")
	return run.do(encode(kv+"DeleteRange", &pb.DeleteRangeRequest{Key: []byte("a")}))
}

func (run *runner) hashesAroundCompaction() error {
	if err := run.everyHash("before a compaction"); err != nil {
		return err
	}
	if err := run.barrier(); err != nil {
		return err
	}
	at := run.gen.rev - burst/6
	if err := run.compactAt(at, false); err != nil {
		return err
	}
	if err := run.everyHash("during a compaction"); err != nil {
		return err
	}
	// Answers the compacted error, but only when the physical deletion is over.
	if err := run.barrier(); err != nil {
		return err
	}
	return run.everyHash("after a compaction")
}

func (run *runner) hashesAroundRestart(part int) func() error {
	how, when := "stop", "after an orderly restart"
	if part%4 == 3 {
		how, when = "kill", "after kill -9"
	}
	return func() error {
		// The compaction may be under way when they end: it is taken up again.
		if err := run.compactAt(run.gen.rev-burst/6, false); err != nil {
			return err
		}
		if err := run.restart(how); err != nil {
			return err
		}
		return run.everyHash(when)
	}
}
