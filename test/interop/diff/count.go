package main

import (
	"fmt"
	"io"
	"sort"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// table counts which branches the requests took, by what the reference answered.
type table map[string]int

func (t table) add(format string, args ...any) { t[fmt.Sprintf(format, args...)]++ }

func (t table) addIf(is bool, row string) {
	if is {
		t[row]++
	}
}

func short(method string) string { return method[strings.LastIndex(method, "/")+1:] }

func (t table) count(r request, theirs reply) {
	for _, m := range r.marks {
		t.add("%s", m)
	}
	if r.isKiller {
		t.add("to Cairn alone: %s", short(r.method))
		return
	}
	if !theirs.ok() {
		t.add("error %s %d %s", short(r.method), theirs.code, rowText(theirs.text))
		return
	}
	t.add("ok %s", short(r.method))
	make, has := requestTypes[r.method]
	if !has {
		return
	}
	req := make()
	if proto.Unmarshal(r.body, req) != nil || len(theirs.messages) == 0 {
		return
	}
	resp, err := parse(r.method, theirs.messages[len(theirs.messages)-1])
	if err != nil {
		return
	}
	t.countPair(r, req, resp, len(theirs.messages))
}

// rowText cuts the sizes out of an error's text.
func rowText(text string) string {
	const tooLarge = "grpc: received message larger than max"
	if strings.HasPrefix(text, tooLarge) {
		return tooLarge
	}
	return errorText(text)
}

func (t table) countPair(r request, req, resp proto.Message, messages int) {
	switch q := req.(type) {
	case *pb.RangeRequest:
		if s, is := resp.(*pb.RangeStreamResponse); is {
			t.addIf(messages == 1, "stream: one chunk")
			t.addIf(messages > 1, "stream: several chunks")
			t.addIf(q.Limit > 0 && s.RangeResponse.More, "stream: more")
			t.addIf(q.CountOnly, "stream: count only")
			t.addIf(r.refBody != nil, "stream: target, negative revision or limit ignored")
			return
		}
		t.countRange("range", q, resp.(*pb.RangeResponse))
	case *pb.PutRequest:
		t.countPut("put", q, resp.(*pb.PutResponse))
	case *pb.DeleteRangeRequest:
		t.countDelete("delete", q, resp.(*pb.DeleteRangeResponse))
	case *pb.TxnRequest:
		t.countTxn(q, resp.(*pb.TxnResponse))
	case *pb.CompactionRequest:
		t.add("compact: physical %v", q.Physical)
	case *pb.HashKVRequest:
		h := resp.(*pb.HashKVResponse)
		t.addIf(q.Revision == 0, "hashkv: revision 0")
		t.addIf(q.Revision < 0, "hashkv: negative revision")
		t.addIf(q.Revision > 0 && q.Revision == h.CompactRevision, "hashkv: at the compacted revision")
		t.addIf(q.Revision > max(h.CompactRevision, 0), "hashkv: between compacted and current")
	case *pb.LeaseTimeToLiveRequest:
		l := resp.(*pb.LeaseTimeToLiveResponse)
		t.addIf(q.Keys && len(l.Keys) > 0, "time to live: keys")
		t.addIf(!q.Keys && l.TTL > 0, "time to live: no keys asked")
		t.addIf(l.TTL < 0, "time to live: not there")
	case *pb.AlarmRequest:
		alarm := q.Alarm.String()
		if q.Alarm < 0 || q.Alarm > 2 {
			alarm = "unknown"
		}
		t.add("alarm: %v %s, %d answered", q.Action, alarm, min(len(resp.(*pb.AlarmResponse).Alarms), 2))
	}
}

func spanKind(key, end []byte) string {
	switch {
	case len(end) == 0:
		return "one key"
	case len(end) == 1 && end[0] == 0 && len(key) == 1 && key[0] == 0:
		return "all keys"
	case len(end) == 1 && end[0] == 0:
		return "from key"
	case string(end) <= string(key):
		return "end at or before key"
	default:
		return "interval"
	}
}

func (t table) countRange(p string, q *pb.RangeRequest, r *pb.RangeResponse) {
	t.add("%s: %s", p, spanKind(q.Key, q.RangeEnd))
	t.addIf(r.Count == 0, p+": nothing")
	t.addIf(q.KeysOnly && len(r.Kvs) > 0, p+": keys only")
	t.addIf(q.CountOnly, p+": count only")
	t.addIf(q.Serializable, p+": serializable")
	t.addIf(r.More, p+": more")
	t.addIf(q.Limit < 0, p+": negative limit")
	t.addIf(q.Revision < 0, p+": negative revision")
	t.addIf(q.Revision > 0 && q.Revision < r.Header.Revision, p+": past revision")
	t.addIf(q.Revision > 0 && q.Revision == r.Header.Revision, p+": current revision")
	t.addIf(q.MinModRevision != 0, p+": min_mod_revision")
	t.addIf(q.MaxModRevision != 0, p+": max_mod_revision")
	t.addIf(q.MinCreateRevision != 0, p+": min_create_revision")
	t.addIf(q.MaxCreateRevision != 0, p+": max_create_revision")
	t.addIf(int(r.Count) > len(r.Kvs) && !r.More && !q.CountOnly, p+": filtered out")
	if len(r.Kvs) > 1 {
		order, limit := q.SortOrder.String(), ""
		if q.SortOrder < 0 || q.SortOrder > 2 {
			order = "unknown"
		}
		if r.More {
			limit = " cut"
		}
		t.add("%s: sort %s %v%s", p, order, q.SortTarget, limit)
	}
}

func (t table) countPut(p string, q *pb.PutRequest, r *pb.PutResponse) {
	t.addIf(q.PrevKv && r.PrevKv != nil, p+": prev_kv there")
	t.addIf(q.PrevKv && r.PrevKv == nil, p+": prev_kv of a new key")
	t.addIf(q.IgnoreValue, p+": ignore_value")
	t.addIf(q.IgnoreLease, p+": ignore_lease")
	t.addIf(q.Lease != 0, p+": lease")
	t.addIf(q.PrevKv && r.PrevKv.GetLease() != 0 && q.Lease == 0 && !q.IgnoreLease, p+": lease taken off")
}

func (t table) countDelete(p string, q *pb.DeleteRangeRequest, r *pb.DeleteRangeResponse) {
	t.add("%s: %s", p, spanKind(q.Key, q.RangeEnd))
	t.add("%s: %d deleted", p, min(r.Deleted, 2))
	t.addIf(len(r.PrevKvs) > 1, p+": prev_kvs")
}

// ---- transactions ----

func depthOf(t *pb.TxnRequest) int {
	depth := 0
	for _, ops := range [][]*pb.RequestOp{t.Success, t.Failure} {
		for _, op := range ops {
			if n := op.GetRequestTxn(); n != nil {
				depth = max(depth, 1+depthOf(n))
			}
		}
	}
	return depth
}

func depthRow(depth int) string {
	switch {
	case depth <= 6:
		return fmt.Sprint(depth)
	case depth <= 40:
		return "7-40"
	case depth <= 100:
		return "41-100"
	default:
		return "above 100"
	}
}

func (t table) countTxn(q *pb.TxnRequest, r *pb.TxnResponse) {
	t.add("txn: succeeded %v", r.Succeeded)
	t.add("txn: nested depth %s", depthRow(depthOf(q)))
	t.addIf(len(q.Compare)+len(q.Success)+len(q.Failure) == 0, "txn: empty")
	t.addIf(max(len(q.Compare), len(q.Success), len(q.Failure)) == 128, "txn: 128 operations")
	if len(q.Compare) == 1 {
		t.countCompare(q.Compare[0], r.Succeeded)
	}
	ops := q.Failure
	if r.Succeeded {
		ops = q.Success
	}
	t.countOps(ops, r.Responses)
}

func (t table) countCompare(c *pb.Compare, is bool) {
	target, result := c.Target.String(), c.Result.String()
	if c.Target < 0 || c.Target > 4 {
		target = "unknown target"
	}
	if c.Result < 0 || c.Result > 3 {
		result = "unknown result"
	}
	t.add("compare: %s %s %v", target, result, is)
	t.addIf(len(c.RangeEnd) > 0, fmt.Sprintf("compare: range %v", is))
	t.addIf(c.TargetUnion == nil, fmt.Sprintf("compare: no operand %v", is))
}

func (t table) countOps(ops []*pb.RequestOp, responses []*pb.ResponseOp) {
	for i, op := range ops {
		if i >= len(responses) {
			return
		}
		switch r := responses[i].Response.(type) {
		case *pb.ResponseOp_ResponseRange:
			t.countRange("txn range", op.GetRequestRange(), r.ResponseRange)
		case *pb.ResponseOp_ResponsePut:
			t.countPut("txn put", op.GetRequestPut(), r.ResponsePut)
		case *pb.ResponseOp_ResponseDeleteRange:
			t.countDelete("txn delete", op.GetRequestDeleteRange(), r.ResponseDeleteRange)
		case *pb.ResponseOp_ResponseTxn:
			q := op.GetRequestTxn()
			t.add("nested txn: succeeded %v", r.ResponseTxn.Succeeded)
			branch := q.Failure
			if r.ResponseTxn.Succeeded {
				branch = q.Success
			}
			t.countOps(branch, r.ResponseTxn.Responses)
		}
	}
}

// ---- the report ----

func (t table) print(w io.Writer) {
	rows := make([]string, 0, len(t))
	for row := range t {
		rows = append(rows, row)
	}
	sort.Strings(rows)
	for _, row := range rows {
		fmt.Fprintf(w, "%8d  %s\n", t[row], row)
	}
}

// missing are the rows that must be reached and were not.
func (t table) missing(required []string) []string {
	var out []string
	for _, row := range required {
		if t[row] == 0 {
			out = append(out, row)
		}
	}
	return out
}
