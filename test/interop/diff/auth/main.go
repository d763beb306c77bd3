// interop-diff-auth sends requests of many users to real etcd and to Cairn and compares every answer:
// what is allowed and what is not, the error texts, and the answers themselves.  The two servers run on
// copies of one directory.  diff_auth_test.py starts it.
//
//	interop-diff-auth -reference HOST:PORT -ours HOST:PORT -level 3.7 -seed S -requests N [-jwt]
//
// Exit status: 0 equal, 1 a difference or a branch that was not taken, 2 anything else.
package main

import (
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	codeUnauthenticated = 16
	historyMax          = 12
	oldTokensMax        = 20
	offRequests         = 30
)

type tokens [sides]string

type runner struct {
	gen     *generator
	servers servers
	level   string
	isJWT   bool
	logins  map[string]tokens
	old     []tokens // of users that were deleted, passwords that were changed, before auth was off
	rows    map[string]int
	number  int
	differs int
	history []string
}

// caller is who asks: a user with a token, nobody, or somebody with a token that is none.
type caller struct {
	name   string
	tokens tokens
}

func (run *runner) caller() caller {
	g := run.gen
	switch n := g.rnd.Intn(100); {
	case n < 35:
		return run.user("root")
	case n < 90:
		return run.user(g.of(users[1:]))
	case n < 94:
		return caller{name: "(anonymous)"}
	case n < 97 && len(run.old) > 0:
		return caller{"(old token)", run.old[g.rnd.Intn(len(run.old))]}
	default:
		bad := g.of([]string{"x", "abc.1", "a.b.c", ".", "abc.x", "Bearer ", "Bearer abc.1"})
		return caller{"(bad token)", tokens{bad, bad}}
	}
}

// user logs in when it has no token; one that cannot asks without.
func (run *runner) user(name string) caller {
	t, has := run.logins[name]
	if !has {
		t, has = run.login(name, passwordOf(name))
	}
	if !has {
		return caller{name: "(no login)"}
	}
	if run.gen.oneIn(20) {
		for i := range t {
			t[i] = "Bearer " + t[i]
		}
	}
	return caller{name, t}
}

func (run *runner) login(name, password string) (tokens, bool) {
	r := call("Auth", "Authenticate", &pb.AuthenticateRequest{Name: name, Password: password}, &pb.AuthenticateResponse{})
	var t tokens
	theirs, mine := run.servers.call(r, t)
	if theirs.ok() && mine.ok() {
		t[ref] = theirs.body.(*pb.AuthenticateResponse).Token
		t[ours] = mine.body.(*pb.AuthenticateResponse).Token
	}
	if run.isJWT && run.gen.oneIn(2) {
		t[ref], t[ours] = t[ours], t[ref] // each takes the other's
	}
	run.compare(caller{name: "(login)"}, r, theirs, mine)
	if theirs.ok() {
		run.logins[name] = t
	}
	return t, theirs.ok()
}

func (run *runner) do(who caller, r request) reply {
	theirs, mine := run.servers.call(r, who.tokens)
	run.compare(who, r, theirs, mine)
	if theirs.code == codeUnauthenticated {
		run.forget(who.name)
	}
	if h, is := theirs.body.(headed); is && h.GetHeader() != nil {
		run.gen.rev = max(run.gen.rev, h.GetHeader().Revision)
	}
	return theirs
}

func (run *runner) forget(name string) {
	if t, has := run.logins[name]; has {
		run.old = append(run.old, t)
		run.old = run.old[max(0, len(run.old)-oldTokensMax):]
		delete(run.logins, name)
	}
}

func (run *runner) compare(who caller, r request, theirs, mine reply) {
	run.number++
	line := fmt.Sprintf("%d %s: %s -> %d %s", run.number, who.name, r, theirs.code, theirs.text)
	if what := difference(theirs, mine); what != "" {
		run.differs++
		fmt.Printf("DIFFERENCE (%s) by %s: %s\n--- reference\n%s\n--- ours\n%s\n", what, who.name, r, theirs, mine)
		for _, h := range run.history {
			fmt.Println("  before:", h)
		}
	}
	run.history = append(run.history, line)
	run.history = run.history[max(0, len(run.history)-historyMax):]
	run.count(r, theirs)
}

func (run *runner) count(r request, theirs reply) {
	row := "ok " + r.short()
	if !theirs.ok() {
		row = fmt.Sprintf("error %s %d %s", r.short(), theirs.code, theirs.text)
	} else if w, is := theirs.body.(*pb.WatchResponse); is && w.Canceled {
		row = "canceled Watch " + w.CancelReason
	}
	run.rows[row]++
}

// ---- authentication is off for a while ----

func (run *runner) off() {
	run.do(run.user("root"), call("Auth", "AuthDisable", &pb.AuthDisableRequest{}, &pb.AuthDisableResponse{}))
	for name := range run.logins {
		run.forget(name)
	}
	for range run.gen.rnd.Intn(offRequests) {
		r := run.gen.next()
		if r.short() != "AuthEnable" {
			run.do(run.callerWhenOff(), r)
		}
	}
	run.on()
}

func (run *runner) callerWhenOff() caller {
	if run.gen.oneIn(3) {
		run.do(caller{name: "(off)"}, call("Auth", "Authenticate",
			&pb.AuthenticateRequest{Name: "root", Password: passwordOf("root")}, &pb.AuthenticateResponse{}))
	}
	if len(run.old) > 0 && run.gen.oneIn(3) {
		return caller{"(old token)", run.old[run.gen.rnd.Intn(len(run.old))]}
	}
	return caller{name: "(off)"}
}

// on makes what enabling needs, trying before it is all there now and then.
func (run *runner) on() {
	who := caller{name: "(off)"}
	enable := call("Auth", "AuthEnable", &pb.AuthEnableRequest{}, &pb.AuthEnableResponse{})
	grant := call("Auth", "UserGrantRole", &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"},
		&pb.AuthUserGrantRoleResponse{})
	steps := []request{
		call("Auth", "UserDelete", &pb.AuthUserDeleteRequest{Name: "root"}, &pb.AuthUserDeleteResponse{}),
		enable,
		call("Auth", "UserAdd", &pb.AuthUserAddRequest{Name: "root", Password: passwordOf("root")}, &pb.AuthUserAddResponse{}),
		enable, grant, enable,
	}
	for _, r := range steps {
		run.do(who, r)
	}
}

// ---- what chance would miss ----

func (run *runner) tour() {
	root := run.user("root")
	perm := &authpb.Permission{Key: []byte("t"), RangeEnd: []byte("u")}
	for _, r := range []request{
		call("Auth", "UserAdd", &pb.AuthUserAddRequest{Name: "tour", Password: passwordOf("tour")}, &pb.AuthUserAddResponse{}),
		call("Auth", "UserAdd", &pb.AuthUserAddRequest{Name: "nopass", Options: &authpb.UserAddOptions{NoPassword: true}},
			&pb.AuthUserAddResponse{}),
		call("Auth", "RoleAdd", &pb.AuthRoleAddRequest{}, &pb.AuthRoleAddResponse{}),
		call("Auth", "RoleAdd", &pb.AuthRoleAddRequest{Name: "t"}, &pb.AuthRoleAddResponse{}),
		call("Auth", "RoleGrantPermission", &pb.AuthRoleGrantPermissionRequest{Name: "t"}, &pb.AuthRoleGrantPermissionResponse{}),
		call("Auth", "RoleGrantPermission", &pb.AuthRoleGrantPermissionRequest{Name: "t", Perm: perm},
			&pb.AuthRoleGrantPermissionResponse{}),
		call("Auth", "UserGrantRole", &pb.AuthUserGrantRoleRequest{User: "tour", Role: "t"}, &pb.AuthUserGrantRoleResponse{}),
		call("Auth", "UserRevokeRole", &pb.AuthUserRevokeRoleRequest{Name: "tour", Role: "t"}, &pb.AuthUserRevokeRoleResponse{}),
		call("Auth", "RoleRevokePermission", &pb.AuthRoleRevokePermissionRequest{Role: "t", Key: perm.Key, RangeEnd: perm.RangeEnd},
			&pb.AuthRoleRevokePermissionResponse{}),
		call("Auth", "UserChangePassword", &pb.AuthUserChangePasswordRequest{Name: "tour", Password: passwordOf("tour")},
			&pb.AuthUserChangePasswordResponse{}),
		call("Auth", "UserDelete", &pb.AuthUserDeleteRequest{Name: "root"}, &pb.AuthUserDeleteResponse{}),
		call("Auth", "RoleDelete", &pb.AuthRoleDeleteRequest{Role: "root"}, &pb.AuthRoleDeleteResponse{}),
	} {
		run.do(root, r)
	}
	run.login("nopass", "x")
	run.forget("tour")
	for _, id := range leaseIDs {
		run.do(root, call("Lease", "LeaseGrant", &pb.LeaseGrantRequest{ID: id, TTL: 1000000}, &pb.LeaseGrantResponse{}))
		run.do(root, call("KV", "Put", &pb.PutRequest{Key: []byte("tour"), Lease: id}, &pb.PutResponse{}))
	}
	for range 40 {
		run.do(run.user("tour"), run.gen.manage())
		root = run.user("root") // a JWT of before a change is old
		run.do(run.user("tour"), run.gen.lease())
		run.do(root, call("KV", "Put", &pb.PutRequest{Key: []byte("tour"), Lease: leaseIDs[0]}, &pb.PutResponse{}))
		run.do(run.user("tour"), run.gen.maintain())
	}
}

// ---- the whole ----

func (run *runner) requests(n int) {
	run.on()
	run.tour()
	for run.number < n && run.differs < 10 {
		switch {
		case run.gen.oneIn(400):
			run.off()
		case run.gen.oneIn(60):
			run.login(run.gen.user(), run.gen.of(passwords))
		default:
			run.do(run.caller(), run.gen.next())
		}
	}
}

func (run *runner) print() {
	var rows []string
	for row := range run.rows {
		rows = append(rows, row)
	}
	sort.Strings(rows)
	for _, row := range rows {
		fmt.Printf("%8d  %s\n", run.rows[row], row)
	}
}

func main() {
	var endpoints [sides]string
	flag.StringVar(&endpoints[ref], "reference", "", "real etcd")
	flag.StringVar(&endpoints[ours], "ours", "", "Cairn")
	level := flag.String("level", "3.7", "version of etcd, and Cairn's level")
	seed := flag.Int64("seed", 1, "seed")
	requests := flag.Int("requests", 10000, "requests to send")
	isJWT := flag.Bool("jwt", false, "the servers have --auth-token jwt with one key")
	check := flag.Bool("check", true, "fail when a branch was not taken")
	flag.Parse()
	s, err := connect(endpoints)
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	run := runner{gen: &generator{rnd: rand.New(rand.NewSource(*seed)), level: *level}, servers: s, level: *level, isJWT: *isJWT,
		logins: map[string]tokens{}, rows: map[string]int{}}
	run.requests(*requests)
	run.print()
	missing := run.missing()
	for _, row := range missing {
		fmt.Printf("       0  %s\n", row)
	}
	fmt.Printf("%d requests, seed %d, level %s, %d differences, %d branches not taken\n", run.number, *seed, *level,
		run.differs, len(missing))
	if run.differs > 0 || (*check && len(missing) > 0) {
		os.Exit(1)
	}
}
