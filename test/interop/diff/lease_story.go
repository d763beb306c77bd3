package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

const (
	lease        = "/etcdserverpb.Lease/"
	dynamicFirst = 2001 // five that are granted and revoked; each has a TTL of its own size, so that their order is known
	dynamicCount = 5
	ttlStep      = 100000
	expiring     = 3001
	leaseMax     = 9000000000
)

func init() {
	for method, make := range map[string]func() proto.Message{
		"LeaseGrant":      func() proto.Message { return &pb.LeaseGrantRequest{} },
		"LeaseRevoke":     func() proto.Message { return &pb.LeaseRevokeRequest{} },
		"LeaseTimeToLive": func() proto.Message { return &pb.LeaseTimeToLiveRequest{} },
		"LeaseLeases":     func() proto.Message { return &pb.LeaseLeasesRequest{} },
	} {
		requestTypes[lease+method] = make
	}
	for method, make := range map[string]func() proto.Message{
		"LeaseGrant":      func() proto.Message { return &pb.LeaseGrantResponse{} },
		"LeaseRevoke":     func() proto.Message { return &pb.LeaseRevokeResponse{} },
		"LeaseTimeToLive": func() proto.Message { return &pb.LeaseTimeToLiveResponse{} },
		"LeaseLeases":     func() proto.Message { return &pb.LeaseLeasesResponse{} },
	} {
		responseTypes[lease+method] = make
	}
}

// drawnID: both draw the ids that the client left to them.
const drawnID = 1

func isDrawn(id int64) bool { return id > 1<<32 }

// maskLease clears what goes by clocks and by chance.
func maskLease(m proto.Message) {
	switch r := m.(type) {
	case *pb.LeaseGrantResponse:
		if isDrawn(r.ID) {
			r.ID = drawnID
		}
	case *pb.LeaseTimeToLiveResponse:
		if isDrawn(r.ID) {
			r.ID = drawnID
		}
		if r.TTL > 0 && r.TTL <= r.GrantedTTL && r.TTL > r.GrantedTTL-int64(hangLimit/time.Second)*10 {
			r.TTL = r.GrantedTTL
		}
		sort.Slice(r.Keys, func(i, j int) bool { return string(r.Keys[i]) < string(r.Keys[j]) })
	case *pb.LeaseLeasesResponse:
		// Those of the base directory have one TTL.
		sort.SliceStable(r.Leases, func(i, j int) bool {
			a, b := r.Leases[i].ID, r.Leases[j].ID
			return a < b && isBase(a) && isBase(b)
		})
	}
}

func isBase(id int64) bool { return id >= leaseFirst && id < leaseFirst+leaseCount }

func (st *story) leaseID() int64 {
	if st.rnd(12) == 0 {
		return []int64{0, 77, -1, 1 << 40}[st.rnd(4)]
	}
	return dynamicFirst + int64(st.rnd(dynamicCount))
}

// drawLease is for puts: half have none.
func (st *story) drawLease() int64 {
	if st.rnd(2) == 0 {
		return 0
	}
	if st.rnd(4) == 0 {
		return leaseFirst + int64(st.rnd(leaseCount))
	}
	return st.leaseID()
}

func (st *story) leaseOp() error {
	switch n := st.rnd(20); {
	case n < 5:
		return st.grant()
	case n < 8:
		return st.revoke(st.leaseID())
	case n < 14:
		return st.timeToLive(st.leaseID(), st.rnd(3) > 0)
	case n < 15:
		return st.do(encode(lease+"LeaseLeases", &pb.LeaseLeasesRequest{}))
	default:
		ids := make([]int64, st.rnd(5))
		for i := range ids {
			ids[i] = st.leaseID()
		}
		return st.keepAlive(ids)
	}
}

func (st *story) timeToLive(id int64, keys bool) error {
	return st.do(encode(lease+"LeaseTimeToLive", &pb.LeaseTimeToLiveRequest{ID: id, Keys: keys}))
}

func (st *story) grant() error {
	id := dynamicFirst + int64(st.rnd(dynamicCount))
	ttl := ttlStep*(id-dynamicFirst+1) + int64(st.rnd(1000))
	switch st.rnd(16) {
	case 0:
		return st.drawn(ttl)
	case 1:
		ttl = []int64{leaseMax + 1, 1 << 62}[st.rnd(2)]
	case 2:
		id, ttl = -5, ttlStep*20
	case 3:
		ttl = leaseMax
	}
	if err := st.do(encode(lease+"LeaseGrant", &pb.LeaseGrantRequest{ID: id, TTL: ttl})); err != nil {
		return err
	}
	if id < 0 || ttl == leaseMax {
		return st.revoke(id)
	}
	return nil
}

// drawn is a lease whose id the servers choose; it is used and revoked under its two ids.
func (st *story) drawn(ttl int64) error {
	r := encode(lease+"LeaseGrant", &pb.LeaseGrantRequest{TTL: ttl})
	st.say("a lease without an id")
	st.run.number++
	theirs, mine := st.run.pair.send(r)
	if what := difference(r, theirs, mine); what != "" {
		st.run.printDifference(r, what, theirs, mine)
		return differs{st.run.number}
	}
	var ids [2]int64
	for i, answer := range []reply{theirs, mine} {
		m, err := parse(r.method, answer.messages[0])
		if err != nil {
			return err
		}
		ids[i] = m.(*pb.LeaseGrantResponse).ID
		if ids[i] <= 0 {
			return st.differ(-1, fmt.Errorf("%s chose the id %d", name(i), ids[i]))
		}
	}
	st.run.rows.add("lease: id drawn")
	two := func(method string, make func(id int64) proto.Message) request {
		r := encode(method, make(ids[ours]))
		r.refBody = encode(method, make(ids[ref])).body
		return r
	}
	if err := st.do(two(lease+"LeaseTimeToLive", func(id int64) proto.Message { return &pb.LeaseTimeToLiveRequest{ID: id} })); err != nil {
		return err
	}
	return st.do(two(lease+"LeaseRevoke", func(id int64) proto.Message { return &pb.LeaseRevokeRequest{ID: id} }))
}

// revoke is followed by what the keys' watches hear, at the next barrier.
func (st *story) revoke(id int64) error {
	before := st.run.gen.rev
	err := st.do(encode(lease+"LeaseRevoke", &pb.LeaseRevokeRequest{ID: id}))
	st.run.rows.addIf(err == nil && st.run.gen.rev > before, "lease: revoked with keys")
	st.run.rows.addIf(err == nil && st.run.lastCode == 0 && st.run.gen.rev == before, "lease: revoked without keys")
	return err
}

// ---- keepalive ----

// renewals are the answers of one LeaseKeepAlive stream that asks for the ids and then says that it is over.
func renewals(conn *grpc.ClientConn, ids []int64) ([]*pb.LeaseKeepAliveResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hangLimit)
	defer cancel()
	s, err := conn.NewStream(ctx, &bidiDesc, lease+"LeaseKeepAlive")
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		body, _ := proto.Marshal(&pb.LeaseKeepAliveRequest{ID: id})
		if err = s.SendMsg(&body); err != nil {
			return nil, err
		}
	}
	if err = s.CloseSend(); err != nil {
		return nil, err
	}
	var out []*pb.LeaseKeepAliveResponse
	for {
		var body []byte
		if err = s.RecvMsg(&body); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return out, err
		}
		m := &pb.LeaseKeepAliveResponse{}
		if err = proto.Unmarshal(body, m); err != nil {
			return out, err
		}
		mask(m)
		out = append(out, m)
	}
}

func (st *story) keepAlive(ids []int64) error {
	st.run.number++
	st.say("rev %d: keepalive %v", st.run.gen.rev, ids)
	theirs, errTheirs := renewals(st.run.pair.conns[ref], ids)
	mine, errMine := renewals(st.run.pair.conns[ours], ids)
	if (errTheirs == nil) != (errMine == nil) || len(theirs) != len(mine) || len(mine) != len(ids) {
		return st.differ(-1, fmt.Errorf("keepalive %v: %d answers and %v, %d answers and %v", ids, len(theirs), errTheirs, len(mine), errMine))
	}
	for i := range mine {
		if !proto.Equal(theirs[i], mine[i]) {
			return st.differ(-1, fmt.Errorf("keepalive %d:\n%s\n%s", ids[i], text(theirs[i]), text(mine[i])))
		}
		st.run.rows.addIf(mine[i].TTL > 0, "keepalive: renewed")
		st.run.rows.addIf(mine[i].TTL == 0, "keepalive: not there")
	}
	st.run.rows.addIf(len(ids) == 0, "keepalive: nothing asked")
	st.run.rows.addIf(len(ids) > 1, "keepalive: several on one stream")
	return nil
}

// ---- expiry ----

// expire: a lease of the shortest time with keys ends by itself on both; nothing else is asked meanwhile.
func (st *story) expire() error {
	if err := st.barrier(); err != nil {
		return err
	}
	ttl := int64(st.rnd(4) - 1)
	if err := st.do(encode(lease+"LeaseGrant", &pb.LeaseGrantRequest{ID: expiring, TTL: ttl})); err != nil {
		return err
	}
	count := st.expired % 4
	st.expired++
	first := st.rnd(len(keys) - 3)
	for i := 0; i < count; i++ {
		r := &pb.PutRequest{Key: keys[first+2-i], Value: []byte("short"), Lease: expiring}
		if err := st.do(encode(kv+"Put", r)); err != nil {
			return err
		}
	}
	if err := st.gone(); err != nil {
		return err
	}
	st.run.rows.add("lease: expired with %d keys", min(count, 2))
	if err := st.do(encode(maintenanceStatus, &pb.StatusRequest{})); err != nil {
		return err
	}
	if err := st.keepAlive([]int64{expiring}); err != nil {
		return err
	}
	if err := st.timeToLive(expiring, true); err != nil {
		return err
	}
	return st.barrier()
}

// gone waits until neither has the lease.
func (st *story) gone() error {
	r := encode(lease+"LeaseLeases", &pb.LeaseLeasesRequest{})
	for end := time.Now().Add(hangLimit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		is := false
		theirs, mine := st.run.pair.send(r)
		for _, answer := range []reply{theirs, mine} {
			if !answer.ok() {
				return fmt.Errorf("LeaseLeases: %s", answer.text)
			}
			m, err := parse(r.method, answer.messages[0])
			if err != nil {
				return err
			}
			for _, l := range m.(*pb.LeaseLeasesResponse).Leases {
				is = is || l.ID == expiring
			}
		}
		if !is {
			return nil
		}
	}
	return st.differ(-1, fmt.Errorf("a lease of 2 s does not end"))
}
