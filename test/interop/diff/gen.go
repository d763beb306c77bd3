package main

import (
	"bytes"
	"math"
	"math/rand"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// generator draws requests from its seed and from what the reference answered so far.
type generator struct {
	rnd       *rand.Rand
	level     string // "3.5" ...
	rev       int64  // store revision, as the reference last said
	compacted int64  // -1: never
	seen      []*mvccpb.KeyValue
	alarms    []*pb.AlarmMember
	memberID  uint64
	// Leases that come and go; nil: those of the base directory alone.
	drawLease func() int64
}

const (
	seenMax      = 64
	leaseFirst   = 1001 // granted by the test before the first request, with a TTL of years
	leaseCount   = 4
	leaseUnknown = 77
	requestMax   = 1572864
	messageMax   = requestMax + 524288
)

// keys are thirty, made so that they are each other's prefixes, successors and range ends.
var keys = [][]byte{
	{0}, {0, 0}, {0, 1}, []byte("a"), []byte("a\x00"), []byte("a\x01"), []byte("aa"), []byte("ab"),
	[]byte("ab\x00"), []byte("abc"), []byte("b"), []byte("b\xfe"), []byte("b\xff"), []byte("b\xff\xff"),
	[]byte("c"), []byte("dir/"), []byte("dir/1"), []byte("dir/2"), []byte("dir/2/x"), []byte("dir0"),
	[]byte("k10"), []byte("k2"), []byte("k3"), []byte("k4"), []byte("key-of-some-length-0123456789"),
	[]byte("\x7f"), []byte("\x80"), []byte("\xfe"), {0xff}, {0xff, 0xff},
}

var values = [][]byte{nil, {0}, []byte("v"), []byte("v1"), []byte("v2"), []byte("w"), {0xff},
	bytes.Repeat([]byte("long"), 40), []byte("\xc3\x28 not utf-8")}

func newGenerator(seed int64, level string) *generator {
	return &generator{rnd: rand.New(rand.NewSource(seed)), level: level, compacted: -1}
}

func (g *generator) oneIn(n int) bool { return g.rnd.Intn(n) == 0 }

func (g *generator) key() []byte { return keys[g.rnd.Intn(len(keys))] }

// keyOrOdd is an empty key now and then: refused.
func (g *generator) keyOrOdd() []byte {
	if g.oneIn(100) {
		return nil
	}
	return g.key()
}

func (g *generator) value() []byte { return values[g.rnd.Intn(len(values))] }

func prefixEnd(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] < 0xff {
			end := append([]byte(nil), p[:i+1]...)
			end[i]++
			return end
		}
	}
	return []byte{0}
}

func (g *generator) rangeEnd(key []byte) []byte {
	switch g.rnd.Intn(12) {
	case 0, 1, 2:
		return nil
	case 3, 4:
		return []byte{0}
	case 5:
		return prefixEnd(key)
	case 6:
		return append(append([]byte(nil), key...), 0)
	case 7:
		return key
	case 8:
		return []byte{0xff}
	default:
		return g.key()
	}
}

// span is a key and an end; every fourth covers everything.
func (g *generator) span() ([]byte, []byte) {
	if g.oneIn(4) {
		return []byte{0}, []byte{0}
	}
	key := g.keyOrOdd()
	return key, g.rangeEnd(key)
}

// revision is around what matters: now, the compacted one, and beyond both.
func (g *generator) revision() int64 {
	switch g.rnd.Intn(14) {
	case 0:
		return g.rev
	case 1:
		return g.rev - 1
	case 2:
		return g.rev + 1
	case 3:
		return g.rev + 1 + int64(g.rnd.Intn(1000))
	case 4:
		return g.compacted
	case 5:
		return g.compacted - 1
	case 6:
		return g.compacted + 1
	case 7:
		return g.odd64()
	default:
		lo := max(g.compacted, 0)
		return lo + g.rnd.Int63n(max(g.rev-lo, 0)+1)
	}
}

func (g *generator) odd64() int64 {
	odd := []int64{-1, -2, -1000, math.MinInt64, math.MaxInt64, math.MaxInt32, math.MinInt32, 1, 2}
	return odd[g.rnd.Intn(len(odd))]
}

func (g *generator) pastRevision() int64 {
	lo := max(g.compacted, 1)
	return lo + g.rnd.Int63n(max(g.rev-lo, 0)+1)
}

func (g *generator) limit() int64 {
	switch g.rnd.Intn(8) {
	case 0, 1, 2, 3:
		return 0
	case 4:
		return g.odd64()
	default:
		return 1 + int64(g.rnd.Intn(12))
	}
}

func (g *generator) lease() int64 {
	if g.drawLease != nil {
		return g.drawLease()
	}
	switch g.rnd.Intn(8) {
	case 0, 1, 2:
		return leaseFirst + int64(g.rnd.Intn(leaseCount))
	case 3:
		if g.oneIn(4) {
			return leaseUnknown
		}
		return 0
	default:
		return 0
	}
}

// ---- single requests ----

func (g *generator) rangeSort(r *pb.RangeRequest) {
	r.SortOrder = pb.RangeRequest_SortOrder(g.rnd.Intn(3))
	r.SortTarget = pb.RangeRequest_SortTarget(g.rnd.Intn(5))
	if g.oneIn(60) {
		r.SortOrder = []pb.RangeRequest_SortOrder{3, 7, -1, math.MaxInt32}[g.rnd.Intn(4)]
	}
	if g.oneIn(80) {
		r.SortTarget = []pb.RangeRequest_SortTarget{5, 9, -1, math.MinInt32}[g.rnd.Intn(4)]
	}
}

func (g *generator) rangeFilters(r *pb.RangeRequest) {
	for _, f := range []*int64{&r.MinModRevision, &r.MaxModRevision, &r.MinCreateRevision, &r.MaxCreateRevision} {
		if g.oneIn(2) {
			*f = g.pastRevision()
			if g.oneIn(20) {
				*f = g.odd64()
			}
		}
	}
}

func (g *generator) rangeRequest() *pb.RangeRequest {
	r := &pb.RangeRequest{Limit: g.limit()}
	r.Key, r.RangeEnd = g.span()
	if g.oneIn(2) {
		r.Revision = g.revision()
	}
	if g.oneIn(2) {
		g.rangeSort(r)
	}
	if g.oneIn(4) {
		g.rangeFilters(r)
	}
	r.KeysOnly, r.CountOnly, r.Serializable = g.oneIn(6), g.oneIn(10), g.oneIn(4)
	return r
}

// streamRequest keeps to what RangeStream serves most of the time.
func (g *generator) streamRequest() *pb.RangeRequest {
	r := g.rangeRequest()
	if g.oneIn(20) {
		r.SortOrder = 3 // before every other refusal but that of the key
	}
	if r.SortOrder == 3 || g.oneIn(8) {
		return r
	}
	r.SortOrder = pb.RangeRequest_SortOrder(g.rnd.Intn(2))
	if r.SortOrder == pb.RangeRequest_ASCEND || !g.oneIn(4) {
		r.SortTarget = pb.RangeRequest_KEY
	}
	r.MinModRevision, r.MaxModRevision, r.MinCreateRevision, r.MaxCreateRevision = 0, 0, 0, 0
	return r
}

func (g *generator) putRequest() *pb.PutRequest {
	r := &pb.PutRequest{Key: g.keyOrOdd(), Value: g.value(), Lease: g.lease(), PrevKv: g.oneIn(3)}
	if g.oneIn(12) {
		r.IgnoreValue = true
		if !g.oneIn(6) {
			r.Value = nil
		}
	}
	if g.oneIn(12) {
		r.IgnoreLease = true
		if !g.oneIn(6) {
			r.Lease = 0
		}
	}
	return r
}

func (g *generator) deleteRequest() *pb.DeleteRangeRequest {
	r := &pb.DeleteRangeRequest{Key: g.keyOrOdd(), PrevKv: g.oneIn(2)}
	// Wide deletes are rare: the store must not be empty most of the time.
	if g.oneIn(3) {
		r.RangeEnd = g.rangeEnd(r.Key)
		if len(r.RangeEnd) == 1 && (r.RangeEnd[0] == 0 || r.RangeEnd[0] == 0xff) && !g.oneIn(8) {
			r.RangeEnd = nil
		}
	}
	return r
}

// compactRequest lags behind the current revision most of the time, so that there is history to read.
func (g *generator) compactRequest() *pb.CompactionRequest {
	r := &pb.CompactionRequest{Physical: g.oneIn(3), Revision: g.revision()}
	if r.Revision > g.compacted && r.Revision <= g.rev && g.rev-r.Revision < 40 && !g.oneIn(5) {
		r.Revision = g.rev - 40
	}
	// Compact(0) freezes HashKV(0) of the reference (client-api 8.1).
	if r.Revision == 0 && g.compacted < 0 {
		r.Revision = g.rev + 1
	}
	return r
}

func (g *generator) hashKVRequest() *pb.HashKVRequest {
	return &pb.HashKVRequest{Revision: g.revision()}
}

// alarmRequest keeps an alarm only a few requests long: nothing can be written meanwhile.
func (g *generator) alarmRequest() *pb.AlarmRequest {
	r := &pb.AlarmRequest{MemberID: g.memberID, Alarm: pb.AlarmType(g.rnd.Intn(3))}
	if g.oneIn(3) {
		r.MemberID = uint64(g.rnd.Intn(3))
	}
	switch g.rnd.Intn(8) {
	case 0, 1:
		r.Action = pb.AlarmRequest_ACTIVATE
		if g.oneIn(5) {
			r.Alarm = []pb.AlarmType{3, 9, -1}[g.rnd.Intn(3)]
		}
		// A second type at once disables the first at apply in 3.5 when either ends: a defect.
		if g.level == "3.5" && len(g.alarms) > 0 {
			r.Alarm = g.alarms[0].Alarm
		}
	case 2:
		r.Action = pb.AlarmRequest_DEACTIVATE
	default:
		r.Action = pb.AlarmRequest_GET
		if g.oneIn(6) {
			r.Alarm = []pb.AlarmType{3, 9, -1}[g.rnd.Intn(3)]
		}
	}
	return r
}

func (g *generator) isCorrupt() bool {
	for _, a := range g.alarms {
		if a.Alarm == pb.AlarmType_CORRUPT {
			return true
		}
	}
	return false
}

func (g *generator) disarmRequest() *pb.AlarmRequest {
	a := g.alarms[g.rnd.Intn(len(g.alarms))]
	return &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: a.MemberID, Alarm: a.Alarm}
}

// ---- the stream of requests ----

func encode(method string, m proto.Message, marks ...string) request {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return request{method: method, body: body, marks: marks}
}

func (g *generator) next() request {
	if len(g.alarms) > 0 {
		switch g.rnd.Intn(24) {
		case 0, 1:
			return encode(maintenance+"Alarm", g.disarmRequest())
		case 2:
			return encode(maintenance+"Alarm", &pb.AlarmRequest{Alarm: pb.AlarmType(g.rnd.Intn(3))})
		case 3:
			return encode(kv+"Compact", g.compactRequest())
		}
	}
	for {
		r := g.draw()
		if g.oneIn(25) {
			r = g.damage(r)
		}
		if r.isKiller = g.kills(r); r.isKiller || !mayPanic(r) {
			return r
		}
	}
}

func (g *generator) draw() request {
	switch n := g.rnd.Intn(2000); {
	case n < 640:
		return encode(kv+"Range", g.rangeRequest())
	case n < 680:
		return g.stream()
	case n < 1100:
		return encode(kv+"Put", g.putRequest())
	case n < 1220:
		return encode(kv+"DeleteRange", g.deleteRequest())
	case n < 1850:
		return g.txn()
	case n < 1866:
		return encode(kv+"Compact", g.compactRequest())
	case n < 1926:
		return encode(maintenance+"HashKV", g.hashKVRequest())
	case n < 1946:
		return encode(maintenance+"Status", &pb.StatusRequest{})
	case n < 1964:
		return encode(maintenance+"Alarm", g.alarmRequest())
	case n < 1966:
		return encode(maintenance+"Hash", &pb.HashRequest{})
	case n < 1967:
		return encode(maintenance+"Defragment", &pb.DefragmentRequest{})
	case n < 1968:
		return g.large()
	case n < 1970:
		return g.killer()
	case n < 1976:
		return request{method: kv + []string{"Nothing", "range"}[g.rnd.Intn(2)], marks: []string{"unknown method"}}
	default:
		return g.twice()
	}
}

// stream: what etcd does chunk by chunk and Cairn once (client-api 2.1.2, traps) is asked of etcd in the
// form that has one meaning: its target is the key, a negative revision is the current one, and a
// negative limit, which makes etcd send everything as one message, is none.
func (g *generator) stream() request {
	if g.level != "3.7" {
		return encode(kv+"Range", g.rangeRequest())
	}
	m := g.streamRequest()
	other := proto.Clone(m).(*pb.RangeRequest)
	if m.SortOrder == pb.RangeRequest_NONE && !isUnknownTarget(m) {
		other.SortTarget = pb.RangeRequest_KEY
	}
	other.Revision, other.Limit = max(m.Revision, 0), max(m.Limit, 0)
	r := encode(kv+"RangeStream", m)
	if !proto.Equal(m, other) {
		r.refBody = encode(r.method, other).body
	}
	return r
}

// twice is a put of the key again and again, so that versions above 1 are common.
func (g *generator) twice() request {
	key := keys[5+g.rnd.Intn(4)]
	return encode(kv+"Put", &pb.PutRequest{Key: key, Value: g.value()})
}

// large is around the limit of a request (to the byte) and around that of a message.
func (g *generator) large() request {
	n := requestMax - 64 + g.rnd.Intn(96)
	switch g.rnd.Intn(6) {
	case 0:
		n = messageMax - 40 + g.rnd.Intn(80)
	case 1:
		n = messageMax + 1 + g.rnd.Intn(100000)
	}
	put := &pb.PutRequest{Key: []byte("a"), Value: make([]byte, n)}
	if g.oneIn(3) {
		return encode(kv+"Txn", &pb.TxnRequest{Success: []*pb.RequestOp{putOp(put)}}, "large request")
	}
	return encode(kv+"Put", put, "large request")
}

// ---- requests that end the reference ----

func (g *generator) killer() request {
	switch g.rnd.Intn(3) {
	case 0:
		return encode(maintenance+"Alarm", &pb.AlarmRequest{Action: []pb.AlarmRequest_AlarmAction{3, -1, 99}[g.rnd.Intn(3)]},
			"killer: unknown alarm action")
	case 1:
		urls := [][]string{nil, {""}, {"nonsense"}, {"http://"}, {"http://127.0.0.1"}, {"ftp://127.0.0.1:1"}}
		return encode(cluster+"MemberUpdate", &pb.MemberUpdateRequest{ID: g.memberID, PeerURLs: urls[g.rnd.Intn(len(urls))]},
			"killer: malformed member update")
	default:
		if g.level == "3.5" {
			return encode(kv+"Range", &pb.RangeRequest{Key: g.key(), SortTarget: 5 + pb.RangeRequest_SortTarget(g.rnd.Intn(9)),
				SortOrder: 1}, "killer: unknown sort target")
		}
		return encode(maintenance+"Alarm", &pb.AlarmRequest{Action: 3, Alarm: pb.AlarmType(g.rnd.Intn(4))},
			"killer: unknown alarm action")
	}
}

func isUnknownTarget(r *pb.RangeRequest) bool { return r.SortTarget < 0 || r.SortTarget > 4 }

func killsTxn(t *pb.TxnRequest) bool {
	is := false
	visit(t, func(op *pb.RequestOp) {
		if r := op.GetRequestRange(); r != nil {
			is = is || isUnknownTarget(r)
		}
	})
	return is
}

// mayPanic: a put with ignore_value or ignore_lease behind a delete of its key, which etcd's rules of
// duplicate keys let through when the delete's range_end is "\0"; the reference ends.  Cairn stores an empty value; such requests are not made.
func mayPanic(r request) bool {
	var m pb.TxnRequest
	if r.method != kv+"Txn" || proto.Unmarshal(r.body, &m) != nil {
		return false
	}
	hasIgnore, hasOpenDelete := false, false
	visit(&m, func(op *pb.RequestOp) {
		if p := op.GetRequestPut(); p != nil {
			hasIgnore = hasIgnore || p.IgnoreValue || p.IgnoreLease
		}
		if d := op.GetRequestDeleteRange(); d != nil {
			hasOpenDelete = hasOpenDelete || (len(d.RangeEnd) == 1 && d.RangeEnd[0] == 0)
		}
	})
	return hasIgnore && hasOpenDelete
}

func visit(t *pb.TxnRequest, f func(op *pb.RequestOp)) {
	for _, ops := range [][]*pb.RequestOp{t.Success, t.Failure} {
		for _, op := range ops {
			f(op)
			if n := op.GetRequestTxn(); n != nil {
				visit(n, f)
			}
		}
	}
}

// kills also looks at damaged requests, as the reference would read them.
func (g *generator) kills(r request) bool {
	switch r.method {
	case cluster + "MemberUpdate":
		return true
	case maintenance + "Alarm":
		var m pb.AlarmRequest
		if proto.Unmarshal(r.body, &m) != nil {
			return false
		}
		isTypeUnknown := m.Alarm < 0 || m.Alarm > 2
		return m.Action < 0 || m.Action > 2 || (g.level == "3.5" && isTypeUnknown && m.Action == pb.AlarmRequest_ACTIVATE)
	case kv + "Range":
		var m pb.RangeRequest
		return g.level == "3.5" && proto.Unmarshal(r.body, &m) == nil && isUnknownTarget(&m)
	case kv + "Txn":
		var m pb.TxnRequest
		return g.level == "3.5" && proto.Unmarshal(r.body, &m) == nil && killsTxn(&m)
	}
	return false
}

// ---- what the answers teach ----

func (g *generator) remember(kvs []*mvccpb.KeyValue) {
	for _, k := range kvs {
		if k == nil || len(k.Value) > 1000 {
			continue
		}
		if len(g.seen) < seenMax {
			g.seen = append(g.seen, k)
		} else {
			g.seen[g.rnd.Intn(seenMax)] = k
		}
	}
}

func (g *generator) learn(r request, theirs reply) {
	if !theirs.ok() || len(theirs.messages) == 0 {
		return
	}
	m, err := parse(r.method, theirs.messages[len(theirs.messages)-1])
	if err != nil {
		return
	}
	if h, has := m.(headed); has && h.GetHeader() != nil {
		g.rev = max(g.rev, h.GetHeader().Revision)
		g.memberID = h.GetHeader().MemberId
	}
	switch x := m.(type) {
	case *pb.RangeResponse:
		var req pb.RangeRequest
		if proto.Unmarshal(r.body, &req) == nil && req.Revision == 0 && !req.KeysOnly {
			g.remember(x.Kvs)
		}
	case *pb.CompactionResponse:
		var req pb.CompactionRequest
		if proto.Unmarshal(r.body, &req) == nil {
			g.compacted = req.Revision
		}
	case *pb.AlarmResponse:
		g.learnAlarms(r, x)
	}
}

func (g *generator) learnAlarms(r request, m *pb.AlarmResponse) {
	var req pb.AlarmRequest
	if proto.Unmarshal(r.body, &req) != nil {
		return
	}
	for _, a := range m.Alarms {
		at := -1
		for i, b := range g.alarms {
			if a.MemberID == b.MemberID && a.Alarm == b.Alarm {
				at = i
			}
		}
		if req.Action == pb.AlarmRequest_ACTIVATE && at < 0 {
			g.alarms = append(g.alarms, a)
		} else if req.Action == pb.AlarmRequest_DEACTIVATE && at >= 0 {
			g.alarms = append(g.alarms[:at], g.alarms[at+1:]...)
		}
	}
}
