package main

import (
	"bytes"
	"fmt"
	"sort"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

var responseTypes = map[string]func() proto.Message{
	kv + "Range":               func() proto.Message { return &pb.RangeResponse{} },
	kv + "RangeStream":         func() proto.Message { return &pb.RangeStreamResponse{} },
	kv + "Put":                 func() proto.Message { return &pb.PutResponse{} },
	kv + "DeleteRange":         func() proto.Message { return &pb.DeleteRangeResponse{} },
	kv + "Txn":                 func() proto.Message { return &pb.TxnResponse{} },
	kv + "Compact":             func() proto.Message { return &pb.CompactionResponse{} },
	maintenance + "Alarm":      func() proto.Message { return &pb.AlarmResponse{} },
	maintenance + "Status":     func() proto.Message { return &pb.StatusResponse{} },
	maintenance + "Defragment": func() proto.Message { return &pb.DefragmentResponse{} },
	maintenance + "Hash":       func() proto.Message { return &pb.HashResponse{} },
	maintenance + "HashKV":     func() proto.Message { return &pb.HashKVResponse{} },
	cluster + "MemberUpdate":   func() proto.Message { return &pb.MemberUpdateResponse{} },
}

func parse(method string, body []byte) (proto.Message, error) {
	m := responseTypes[method]()
	return m, proto.Unmarshal(body, m)
}

type headed interface{ GetHeader() *pb.ResponseHeader }

// mask clears what two members cannot have in common: raft's term and index, sizes, the patch version.
// The cluster and the member id are not masked: both directories come from one.
func mask(m proto.Message) {
	if h, ok := m.(headed); ok && h.GetHeader() != nil {
		h.GetHeader().RaftTerm = min(h.GetHeader().RaftTerm, 1)
	}
	switch r := m.(type) {
	case *pb.RangeStreamResponse:
		mask(r.RangeResponse)
	case *pb.AlarmResponse:
		// etcd keeps alarms in a map.
		sort.Slice(r.Alarms, func(i, j int) bool { return alarmLess(r.Alarms[i], r.Alarms[j]) })
	case *pb.StatusResponse:
		maskStatus(r)
	}
	maskLease(m)
}

func alarmLess(a, b *pb.AlarmMember) bool {
	if a.Alarm != b.Alarm {
		return a.Alarm < b.Alarm
	}
	return a.MemberID < b.MemberID
}

func maskStatus(r *pb.StatusResponse) {
	r.RaftTerm, r.RaftIndex, r.RaftAppliedIndex = min(r.RaftTerm, 1), min(r.RaftIndex, 1), min(r.RaftAppliedIndex, 1)
	r.DbSize, r.DbSizeInUse = min(r.DbSize, 1), min(r.DbSizeInUse, 1)
	r.Version = r.Version[:strings.LastIndex(r.Version, ".")]
	for i, e := range r.Errors {
		// 3.7 prints alarms in a text form whose blanks are random on purpose.
		r.Errors[i] = strings.Join(strings.Fields(e), " ")
	}
	sort.Strings(r.Errors)
}

// difference is empty when both answers say the same.
func difference(r request, theirs, mine reply) string {
	if r.isKiller {
		return killerDifference(mine)
	}
	if theirs.code != mine.code || errorText(theirs.text) != errorText(mine.text) {
		return "code or text"
	}
	if len(theirs.messages) != len(mine.messages) {
		return fmt.Sprintf("%d and %d messages", len(theirs.messages), len(mine.messages))
	}
	for i := range theirs.messages {
		if what := messageDifference(r, theirs.messages[i], mine.messages[i]); what != "" {
			return what
		}
	}
	return ""
}

// killerDifference: a clean error, whatever its text; that the process lives is seen by what follows.
func killerDifference(mine reply) string {
	if mine.ok() || mine.code == 14 || mine.code == 4 || mine.text == "" {
		return "a request that ends the reference was not refused cleanly"
	}
	return ""
}

// errorText cuts what the decoders' authors worded: 3.5 and 3.7 differ there too.
func errorText(text string) string {
	const malformed = "grpc: error unmarshalling request"
	if strings.HasPrefix(text, malformed) {
		return malformed
	}
	return text
}

func messageDifference(r request, theirs, mine []byte) string {
	if bytes.Equal(theirs, mine) {
		return ""
	}
	a, errA := parse(r.method, theirs)
	b, errB := parse(r.method, mine)
	if errA != nil || errB != nil {
		return fmt.Sprintf("malformed answer: %v, %v", errA, errB)
	}
	mask(a)
	mask(b)
	if r.method == kv+"Range" || r.method == kv+"Txn" {
		maskTies(r, a, b)
	}
	if proto.Equal(a, b) {
		return ""
	}
	return "answer"
}

// ---- sorted ranges ----

// tiesMax: Go's sort is stable (insertion) up to this many elements and unstable above.
const tiesMax = 12

// maskTies brings pairs that a sort may leave in any order into one order.  Only where the reference
// has more rows than its sort keeps stable, and only within equal sort values.
func maskTies(r request, a, b proto.Message) {
	switch x := a.(type) {
	case *pb.RangeResponse:
		var req pb.RangeRequest
		if proto.Unmarshal(r.body, &req) == nil {
			maskRangeTies(&req, x, b.(*pb.RangeResponse))
		}
	case *pb.TxnResponse:
		var req pb.TxnRequest
		if proto.Unmarshal(r.body, &req) == nil {
			maskTxnTies(&req, x, b.(*pb.TxnResponse))
		}
	}
}

func maskTxnTies(req *pb.TxnRequest, a, b *pb.TxnResponse) {
	ops := req.Failure
	if a.Succeeded {
		ops = req.Success
	}
	if len(ops) != len(a.Responses) || len(ops) != len(b.Responses) {
		return
	}
	for i, op := range ops {
		if x, y := a.Responses[i].GetResponseRange(), b.Responses[i].GetResponseRange(); x != nil && y != nil {
			if rr := op.GetRequestRange(); rr != nil {
				maskRangeTies(rr, x, y)
			}
		}
		if x, y := a.Responses[i].GetResponseTxn(), b.Responses[i].GetResponseTxn(); x != nil && y != nil {
			if nested := op.GetRequestTxn(); nested != nil {
				maskTxnTies(nested, x, y)
			}
		}
	}
}

func maskRangeTies(req *pb.RangeRequest, a, b *pb.RangeResponse) {
	if req.SortTarget == pb.RangeRequest_KEY || a.Count <= tiesMax || len(a.Kvs) != len(b.Kvs) {
		return
	}
	if req.SortTarget == pb.RangeRequest_VALUE && req.KeysOnly {
		// The values are gone: what the ties were cannot be seen.
		if a.More || b.More {
			a.Kvs, b.Kvs = nil, nil
			return
		}
		sortByKey(a.Kvs)
		sortByKey(b.Kvs)
		return
	}
	for lo := 0; lo < len(a.Kvs); {
		hi := lo + 1
		for hi < len(a.Kvs) && sameTarget(req.SortTarget, a.Kvs[lo], a.Kvs[hi]) {
			hi++
		}
		if !maskGroup(req, a, b, lo, hi) {
			return
		}
		lo = hi
	}
}

// maskGroup: pairs [lo, hi) are equal to the sort.  A group that the limit cut may hold others.
func maskGroup(req *pb.RangeRequest, a, b *pb.RangeResponse, lo, hi int) bool {
	for i := lo; i < hi; i++ {
		if !sameTarget(req.SortTarget, a.Kvs[lo], b.Kvs[i]) {
			return false
		}
	}
	if hi == len(a.Kvs) && a.More && b.More {
		a.Kvs, b.Kvs = a.Kvs[:lo], b.Kvs[:lo]
		return false
	}
	sortByKey(a.Kvs[lo:hi])
	sortByKey(b.Kvs[lo:hi])
	return true
}

func sortByKey(kvs []*mvccpb.KeyValue) {
	sort.Slice(kvs, func(i, j int) bool { return bytes.Compare(kvs[i].Key, kvs[j].Key) < 0 })
}

func sameTarget(target pb.RangeRequest_SortTarget, a, b *mvccpb.KeyValue) bool {
	switch target {
	case pb.RangeRequest_VERSION:
		return a.Version == b.Version
	case pb.RangeRequest_CREATE:
		return a.CreateRevision == b.CreateRevision
	case pb.RangeRequest_MOD:
		return a.ModRevision == b.ModRevision
	case pb.RangeRequest_VALUE:
		return bytes.Equal(a.Value, b.Value)
	default:
		return bytes.Equal(a.Key, b.Key)
	}
}

// ---- printing ----

const printMax = 3000

func (r reply) print(method string) string {
	if !r.ok() {
		return fmt.Sprintf("code %d %q", r.code, r.text)
	}
	var out strings.Builder
	for _, body := range r.messages {
		m, err := parse(method, body)
		if err != nil {
			fmt.Fprintf(&out, "malformed %x\n", body)
			continue
		}
		out.WriteString(cut(prototext.MarshalOptions{Multiline: false}.Format(m)) + "\n")
	}
	return out.String()
}

func cut(text string) string {
	if len(text) > printMax {
		return text[:printMax] + fmt.Sprintf("... (%d bytes)", len(text))
	}
	return text
}

var requestTypes = map[string]func() proto.Message{
	kv + "Range":             func() proto.Message { return &pb.RangeRequest{} },
	kv + "RangeStream":       func() proto.Message { return &pb.RangeRequest{} },
	kv + "Put":               func() proto.Message { return &pb.PutRequest{} },
	kv + "DeleteRange":       func() proto.Message { return &pb.DeleteRangeRequest{} },
	kv + "Txn":               func() proto.Message { return &pb.TxnRequest{} },
	kv + "Compact":           func() proto.Message { return &pb.CompactionRequest{} },
	maintenance + "Alarm":    func() proto.Message { return &pb.AlarmRequest{} },
	maintenance + "HashKV":   func() proto.Message { return &pb.HashKVRequest{} },
	cluster + "MemberUpdate": func() proto.Message { return &pb.MemberUpdateRequest{} },
}

func (r request) print() string {
	make, has := requestTypes[r.method]
	if !has {
		return r.method
	}
	m := make()
	if err := proto.Unmarshal(r.body, m); err != nil {
		return fmt.Sprintf("%s malformed %s", r.method, cut(fmt.Sprintf("%x", r.body)))
	}
	return r.method + " " + cut(prototext.MarshalOptions{Multiline: false}.Format(m))
}
