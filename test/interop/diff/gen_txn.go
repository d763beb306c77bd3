package main

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const depthMax = 5

func rangeOp(r *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
}

func putOp(r *pb.PutRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
}

func deleteOp(r *pb.DeleteRangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r}}
}

func txnOp(r *pb.TxnRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: r}}
}

// ---- compares ----

// near is n, or one beside it, or something odd.
func (g *generator) near(n int64) int64 {
	switch g.rnd.Intn(8) {
	case 0:
		return n - 1
	case 1:
		return n + 1
	case 2:
		return g.odd64()
	case 3:
		return 0
	default:
		return n
	}
}

func (g *generator) compareOperand(c *pb.Compare, target pb.Compare_CompareTarget) {
	var seen struct {
		version, create, mod, lease int64
		value                       []byte
	}
	seen.version, seen.create, seen.mod, seen.value = int64(g.rnd.Intn(4)), g.pastRevision(), g.pastRevision(), g.value()
	if len(g.seen) > 0 && !g.oneIn(3) {
		k := g.seen[g.rnd.Intn(len(g.seen))]
		c.Key = k.Key
		seen.version, seen.create, seen.mod, seen.value, seen.lease = k.Version, k.CreateRevision, k.ModRevision, k.Value, k.Lease
	}
	switch target {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: g.near(seen.version)}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: g.near(seen.create)}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: g.near(seen.mod)}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: seen.value}
	default:
		c.TargetUnion = &pb.Compare_Lease{Lease: g.near(seen.lease)}
	}
}

func (g *generator) compare() *pb.Compare {
	c := &pb.Compare{Key: g.key(), Result: pb.Compare_CompareResult(g.rnd.Intn(4)), Target: pb.Compare_CompareTarget(g.rnd.Intn(5))}
	operand := c.Target
	if g.oneIn(20) {
		operand = pb.Compare_CompareTarget(g.rnd.Intn(5)) // a union member that is not the target's
	}
	g.compareOperand(c, operand)
	if g.oneIn(30) {
		c.TargetUnion = nil
	}
	if g.oneIn(5) {
		c.RangeEnd = g.rangeEnd(c.Key)
	}
	if g.oneIn(60) {
		c.Key = nil
	}
	if g.oneIn(40) {
		c.Result = []pb.Compare_CompareResult{4, 99, -1}[g.rnd.Intn(3)]
	}
	if g.oneIn(40) {
		c.Target = []pb.Compare_CompareTarget{5, 99, -1}[g.rnd.Intn(3)]
	}
	return c
}

// ---- operations ----

// txnPut takes keys of its own slice of the thirty, so that most transactions have no duplicates.
func (g *generator) txnPut(next *int) *pb.PutRequest {
	r := g.putRequest()
	if !g.oneIn(12) && len(r.Key) > 0 {
		r.Key = keys[*next%len(keys)]
		*next += 1 + g.rnd.Intn(3)
	}
	return r
}

func (g *generator) txnDelete(next *int) *pb.DeleteRangeRequest {
	r := g.deleteRequest()
	if !g.oneIn(6) && len(r.Key) > 0 {
		r.Key, r.RangeEnd = keys[*next%len(keys)], nil
		*next += 1 + g.rnd.Intn(3)
	}
	return r
}

func (g *generator) txnRange() *pb.RangeRequest {
	r := g.rangeRequest()
	if r.Revision != 0 && !g.oneIn(6) {
		r.Revision = g.pastRevision()
	}
	return r
}

func (g *generator) op(depth int, next *int) *pb.RequestOp {
	switch n := g.rnd.Intn(40); {
	case n < 14:
		return rangeOp(g.txnRange())
	case n < 25:
		return putOp(g.txnPut(next))
	case n < 31:
		return deleteOp(g.txnDelete(next))
	case n < 39 && depth < depthMax:
		return txnOp(g.txnRequest(depth+1, next))
	case g.oneIn(10):
		return &pb.RequestOp{}
	default:
		return rangeOp(g.txnRange())
	}
}

func (g *generator) ops(depth int, next *int) []*pb.RequestOp {
	n := g.rnd.Intn(5)
	if depth > 0 {
		n = g.rnd.Intn(4)
	}
	ops := make([]*pb.RequestOp, n)
	for i := range ops {
		ops[i] = g.op(depth, next)
	}
	return ops
}

func (g *generator) txnRequest(depth int, next *int) *pb.TxnRequest {
	t := &pb.TxnRequest{}
	for n := [8]int{0, 0, 1, 1, 1, 1, 2, 3}[g.rnd.Intn(8)]; n > 0; n-- {
		t.Compare = append(t.Compare, g.compare())
	}
	t.Success = g.ops(depth, next)
	t.Failure = g.ops(depth, next)
	return t
}

// ---- shapes ----

func (g *generator) txn() request {
	next := g.rnd.Intn(len(keys))
	switch g.rnd.Intn(40) {
	case 0:
		return encode(kv+"Txn", g.manyOps())
	case 1:
		return encode(kv+"Txn", g.overlap())
	case 2:
		return encode(kv+"Txn", g.chain(), "txn chain")
	case 3, 4, 5:
		return encode(kv+"Txn", g.readOnly())
	case 6, 7, 8, 9, 10, 11, 12, 13, 14:
		// One compare and a put each way: says what the compare said.
		return encode(kv+"Txn", &pb.TxnRequest{Compare: []*pb.Compare{g.compare()},
			Success: []*pb.RequestOp{putOp(g.txnPut(&next))}, Failure: []*pb.RequestOp{rangeOp(g.txnRange())}})
	default:
		return encode(kv+"Txn", g.txnRequest(0, &next))
	}
}

func (g *generator) readOnly() *pb.TxnRequest {
	t := &pb.TxnRequest{}
	for n := g.rnd.Intn(3); n > 0; n-- {
		t.Compare = append(t.Compare, g.compare())
	}
	for n := g.rnd.Intn(4); n > 0; n-- {
		t.Success = append(t.Success, rangeOp(g.txnRange()))
	}
	for n := g.rnd.Intn(3); n > 0; n-- {
		t.Failure = append(t.Failure, rangeOp(g.txnRange()))
	}
	return t
}

// manyOps is around the limit of 128, in each of the three lists and across levels.
func (g *generator) manyOps() *pb.TxnRequest {
	n := 126 + g.rnd.Intn(4)
	t := &pb.TxnRequest{}
	put := func(i int) *pb.RequestOp {
		return putOp(&pb.PutRequest{Key: []byte{'a', byte(i), byte(i >> 8)}, Value: g.value()})
	}
	switch g.rnd.Intn(5) {
	case 0:
		for i := 0; i < n; i++ {
			t.Compare = append(t.Compare, g.compare())
		}
	case 1:
		for i := 0; i < n; i++ {
			t.Success = append(t.Success, rangeOp(g.txnRange()))
		}
	case 2:
		for i := 0; i < n; i++ {
			t.Failure = append(t.Failure, deleteOp(&pb.DeleteRangeRequest{Key: g.key()}))
		}
	case 3: // one outside, n inside
		inner := &pb.TxnRequest{}
		for i := 0; i < n; i++ {
			inner.Success = append(inner.Success, deleteOp(&pb.DeleteRangeRequest{Key: g.key(), PrevKv: g.oneIn(2)}))
		}
		t.Success = []*pb.RequestOp{txnOp(inner)}
	default:
		for i := 0; i < n; i++ {
			t.Success = append(t.Success, put(i))
		}
		t.Success = append(t.Success, deleteOp(&pb.DeleteRangeRequest{Key: []byte("zz")}))[:n]
	}
	return t
}

// overlap is what the rules of duplicate keys are about (client-api 2.1.5).
func (g *generator) overlap() *pb.TxnRequest {
	key := g.key()
	put := func() *pb.RequestOp { return putOp(&pb.PutRequest{Key: key, Value: g.value()}) }
	del := func() *pb.RequestOp {
		d := &pb.DeleteRangeRequest{Key: key, PrevKv: g.oneIn(2)}
		switch g.rnd.Intn(4) {
		case 0:
			d.RangeEnd = append(append([]byte(nil), key...), 0)
		case 1:
			d.RangeEnd = []byte{0}
		case 2:
			d.Key, d.RangeEnd = g.key(), g.key()
		}
		return deleteOp(d)
	}
	one := func() *pb.RequestOp {
		switch g.rnd.Intn(3) {
		case 0:
			return put()
		case 1:
			return del()
		default:
			return rangeOp(g.txnRange())
		}
	}
	some := func() []*pb.RequestOp {
		ops := []*pb.RequestOp{one()}
		for g.oneIn(3) {
			ops = append(ops, one())
		}
		return ops
	}
	nest := func() *pb.RequestOp {
		t := &pb.TxnRequest{Success: some(), Failure: some()}
		if g.oneIn(2) {
			t.Compare = []*pb.Compare{g.compare()}
		}
		if g.oneIn(4) {
			t.Success = append(t.Success, txnOp(&pb.TxnRequest{Success: some()}))
		}
		return txnOp(t)
	}
	t := &pb.TxnRequest{Success: some()}
	for g.oneIn(2) {
		t.Success = append(t.Success, nest())
	}
	if g.oneIn(3) {
		t.Failure = append(some(), nest())
	}
	return t
}

// chain is one transaction inside the other; the limit of operations is used up level by level.
func (g *generator) chain() *pb.TxnRequest {
	depth := 1 + g.rnd.Intn(40)
	if g.oneIn(4) {
		depth = 95 + g.rnd.Intn(60)
	}
	t := &pb.TxnRequest{Success: []*pb.RequestOp{putOp(&pb.PutRequest{Key: g.key(), Value: g.value(), PrevKv: true})}}
	for ; depth > 0; depth-- {
		t = &pb.TxnRequest{Success: []*pb.RequestOp{txnOp(t)}}
		if g.oneIn(3) {
			t.Compare = []*pb.Compare{g.compare()}
		}
	}
	return t
}
