package main

import (
	"bytes"
	"math/rand"

	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// generator draws requests from its seed; what it knows of the servers is what they answered.
type generator struct {
	rnd   *rand.Rand
	level string
	rev   int64
}

var (
	users     = []string{"root", "alice", "bob", "carol", "dave", "erin", "nobody"}
	roles     = []string{"r1", "r2", "r3", "r4", "root", "none"}
	passwords = []string{"", "x", "pass word", "p\u00e4ss"}
	keys      = []string{"a", "b", "c", "ca", "cb", "d", "dir/1", "dir/2", "e", "\x00"}
	ends      = []string{"", "", "", "b", "c", "d", "dir0", "\x00", "f"}
	leaseIDs  = []int64{1001, 1002, 1003}
)

func (g *generator) oneIn(n int) bool        { return g.rnd.Intn(n) == 0 }
func (g *generator) of(list []string) string { return list[g.rnd.Intn(len(list))] }

// span has keys in it, or is a single one.  What etcd says of a user's right to a range without keys depends
// on the shape of its tree of permissions: no two programs can agree on it.
func (g *generator) span() (key, rangeEnd []byte) {
	key, rangeEnd = []byte(g.of(keys)), []byte(g.of(ends))
	if len(rangeEnd) > 0 && rangeEnd[0] != 0 && bytes.Compare(key, rangeEnd) >= 0 {
		rangeEnd = []byte{0}
	}
	return key, rangeEnd
}

// user is mostly one that may be there.
func (g *generator) user() string {
	if g.oneIn(40) {
		return ""
	}
	return g.of(users)
}

func (g *generator) role() string {
	if g.oneIn(40) {
		return ""
	}
	return g.of(roles)
}

func call(service, method string, body, answer proto.Message) request {
	return request{method: "/etcdserverpb." + service + "/" + method, body: body, answer: answer}
}

// ---- users and roles ----

func (g *generator) userAdd(name string) request {
	r := &pb.AuthUserAddRequest{Name: name, Password: passwordOf(name)}
	if g.oneIn(6) {
		r.Options = &authpb.UserAddOptions{NoPassword: true}
	} else if g.oneIn(30) {
		r.Password = longPassword
	}
	return call("Auth", "UserAdd", r, &pb.AuthUserAddResponse{})
}

const longPassword = "0123456789012345678901234567890123456789012345678901234567890123456789012"

// passwordOf: one a user, so that logging in mostly works; root's never changes.  With a password that
// was changed to the empty one nobody logs in.
func passwordOf(name string) string { return passwords[1+len(name)%(len(passwords)-1)] }

func (g *generator) changePassword() request {
	name := g.user()
	password := passwordOf(name)
	if name != "root" && g.oneIn(8) {
		password = g.of(passwords)
	}
	return call("Auth", "UserChangePassword", &pb.AuthUserChangePasswordRequest{Name: name, Password: password},
		&pb.AuthUserChangePasswordResponse{})
}

func (g *generator) grantPermission() request {
	r := &pb.AuthRoleGrantPermissionRequest{Name: g.role()}
	if !g.oneIn(50) {
		key, end := g.span()
		if g.oneIn(60) {
			key = nil
		}
		if g.oneIn(20) {
			key, end = []byte("c"), []byte("b")
		}
		r.Perm = &authpb.Permission{PermType: authpb.Permission_Type(g.rnd.Intn(3)), Key: key, RangeEnd: end}
	}
	return call("Auth", "RoleGrantPermission", r, &pb.AuthRoleGrantPermissionResponse{})
}

func (g *generator) revokePermission() request {
	key, end := g.span()
	return call("Auth", "RoleRevokePermission", &pb.AuthRoleRevokePermissionRequest{Role: g.role(), Key: key, RangeEnd: end},
		&pb.AuthRoleRevokePermissionResponse{})
}

func (g *generator) manage() request {
	switch g.rnd.Intn(20) {
	case 0, 1:
		return g.userAdd(g.user())
	case 2:
		return call("Auth", "UserDelete", &pb.AuthUserDeleteRequest{Name: g.user()}, &pb.AuthUserDeleteResponse{})
	case 3:
		return g.changePassword()
	case 4, 5, 6, 7:
		return call("Auth", "UserGrantRole", &pb.AuthUserGrantRoleRequest{User: g.user(), Role: g.grantable()},
			&pb.AuthUserGrantRoleResponse{})
	case 8:
		return call("Auth", "UserRevokeRole", &pb.AuthUserRevokeRoleRequest{Name: g.user(), Role: g.role()},
			&pb.AuthUserRevokeRoleResponse{})
	case 9, 10:
		return call("Auth", "RoleAdd", &pb.AuthRoleAddRequest{Name: g.role()}, &pb.AuthRoleAddResponse{})
	case 11:
		return call("Auth", "RoleDelete", &pb.AuthRoleDeleteRequest{Role: g.role()}, &pb.AuthRoleDeleteResponse{})
	case 12, 13:
		return g.revokePermission()
	default:
		return g.grantPermission()
	}
}

// grantable: not many shall have every right.
func (g *generator) grantable() string {
	role := g.role()
	if role == "root" && !g.oneIn(8) {
		return "r1"
	}
	return role
}

func (g *generator) look() request {
	switch g.rnd.Intn(6) {
	case 0, 1:
		return call("Auth", "UserGet", &pb.AuthUserGetRequest{Name: g.user()}, &pb.AuthUserGetResponse{})
	case 2, 3:
		role := g.role()
		if role == "root" && g.level == "3.5" {
			role = "r1" // of root 3.5 shows what was granted, later ones what it may do
		}
		return call("Auth", "RoleGet", &pb.AuthRoleGetRequest{Role: role}, &pb.AuthRoleGetResponse{})
	case 4:
		return call("Auth", "UserList", &pb.AuthUserListRequest{}, &pb.AuthUserListResponse{})
	default:
		return call("Auth", "RoleList", &pb.AuthRoleListRequest{}, &pb.AuthRoleListResponse{})
	}
}

// ---- keys ----

func (g *generator) rangeRequest() *pb.RangeRequest {
	key, end := g.span()
	return &pb.RangeRequest{Key: key, RangeEnd: end, Serializable: g.oneIn(3), CountOnly: g.oneIn(6), KeysOnly: g.oneIn(6),
		Limit: int64(g.rnd.Intn(3))}
}

func (g *generator) putRequest() *pb.PutRequest {
	r := &pb.PutRequest{Key: []byte(g.of(keys)), Value: []byte("v"), PrevKv: g.oneIn(3)}
	if g.oneIn(3) {
		r.Lease = leaseIDs[g.rnd.Intn(len(leaseIDs))]
	}
	if g.oneIn(10) {
		r.Value, r.IgnoreValue = nil, true
	}
	return r
}

func (g *generator) deleteRequest() *pb.DeleteRangeRequest {
	key, end := g.span()
	return &pb.DeleteRangeRequest{Key: key, RangeEnd: end, PrevKv: g.oneIn(2)}
}

func (g *generator) op(depth int) *pb.RequestOp {
	switch n := g.rnd.Intn(8); {
	case n == 0:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: g.deleteRequest()}}
	case n <= 2:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: g.putRequest()}}
	case n == 3 && depth < 2:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: g.txnRequest(depth + 1)}}
	default:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: g.rangeRequest()}}
	}
}

func (g *generator) txnRequest(depth int) *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for range g.rnd.Intn(2) {
		key, end := g.span()
		r.Compare = append(r.Compare, &pb.Compare{Key: key, RangeEnd: end, Target: pb.Compare_VERSION,
			TargetUnion: &pb.Compare_Version{Version: 0}, Result: pb.Compare_CompareResult(g.rnd.Intn(4))})
	}
	for range g.rnd.Intn(3) {
		r.Success = append(r.Success, g.op(depth))
	}
	for range g.rnd.Intn(2) {
		r.Failure = append(r.Failure, g.op(depth))
	}
	return r
}

func (g *generator) keyed() request {
	switch g.rnd.Intn(12) {
	case 0, 1, 2:
		return call("KV", "Range", g.rangeRequest(), &pb.RangeResponse{})
	case 3, 4, 5:
		return call("KV", "Put", g.putRequest(), &pb.PutResponse{})
	case 6:
		return call("KV", "DeleteRange", g.deleteRequest(), &pb.DeleteRangeResponse{})
	case 7, 8, 9:
		return call("KV", "Txn", g.txnRequest(0), &pb.TxnResponse{})
	default:
		return g.watch()
	}
}

// watch takes the one answer to a creation; from a revision to come, so that no event comes first.
func (g *generator) watch() request {
	key, end := g.span()
	r := call("Watch", "Watch", &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
		CreateRequest: &pb.WatchCreateRequest{Key: key, RangeEnd: end, PrevKv: g.oneIn(3)}}}, &pb.WatchResponse{})
	r.stream = true
	return r
}

// ---- leases ----

func (g *generator) lease() request {
	id := leaseIDs[g.rnd.Intn(len(leaseIDs))]
	switch g.rnd.Intn(9) {
	case 0, 1:
		return call("Lease", "LeaseGrant", &pb.LeaseGrantRequest{ID: id, TTL: 1000000}, &pb.LeaseGrantResponse{})
	case 2:
		return call("Lease", "LeaseRevoke", &pb.LeaseRevokeRequest{ID: id}, &pb.LeaseRevokeResponse{})
	case 3, 4:
		r := call("Lease", "LeaseKeepAlive", &pb.LeaseKeepAliveRequest{ID: id}, &pb.LeaseKeepAliveResponse{})
		r.stream = true
		return r
	case 5:
		return call("Lease", "LeaseLeases", &pb.LeaseLeasesRequest{}, &pb.LeaseLeasesResponse{})
	default:
		return call("Lease", "LeaseTimeToLive", &pb.LeaseTimeToLiveRequest{ID: id, Keys: g.oneIn(2)},
			&pb.LeaseTimeToLiveResponse{})
	}
}

// ---- the rest ----

func (g *generator) maintain() request {
	switch g.rnd.Intn(10) {
	case 0:
		return call("Maintenance", "Alarm", &pb.AlarmRequest{}, &pb.AlarmResponse{})
	case 1:
		return call("Maintenance", "Alarm", &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE}, &pb.AlarmResponse{})
	case 2:
		return call("Maintenance", "Status", &pb.StatusRequest{}, &pb.StatusResponse{})
	case 3:
		return call("Maintenance", "Hash", &pb.HashRequest{}, &pb.HashResponse{})
	case 4:
		return call("Maintenance", "HashKV", &pb.HashKVRequest{}, &pb.HashKVResponse{})
	case 5:
		return call("Maintenance", "MoveLeader", &pb.MoveLeaderRequest{TargetID: 1}, &pb.MoveLeaderResponse{})
	case 6:
		return call("Cluster", "MemberList", &pb.MemberListRequest{Linearizable: g.oneIn(2)}, &pb.MemberListResponse{})
	case 7:
		return call("Cluster", "MemberRemove", &pb.MemberRemoveRequest{ID: 1}, &pb.MemberRemoveResponse{})
	case 8:
		r := call("Maintenance", "Snapshot", &pb.SnapshotRequest{}, &pb.SnapshotResponse{})
		r.stream = true
		return r
	default:
		return call("KV", "Compact", &pb.CompactionRequest{Revision: g.rev - 20}, &pb.CompactionResponse{})
	}
}

func (g *generator) next() request {
	switch n := g.rnd.Intn(100); {
	case n < 18:
		return g.manage()
	case n < 26:
		return g.look()
	case n < 76:
		return g.keyed()
	case n < 90:
		return g.lease()
	case n < 97:
		return g.maintain()
	case n < 99:
		return call("Auth", "AuthStatus", &pb.AuthStatusRequest{}, &pb.AuthStatusResponse{})
	default:
		return call("Auth", "AuthEnable", &pb.AuthEnableRequest{}, &pb.AuthEnableResponse{})
	}
}
