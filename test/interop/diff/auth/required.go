package main

const (
	denied     = "7 etcdserver: permission denied"
	emptyUser  = "3 etcdserver: user name is empty"
	badToken   = "16 etcdserver: invalid auth token"
	management = "3 etcdserver: invalid auth management"
	noUser     = "9 etcdserver: user name not found"
	noRole     = "9 etcdserver: role name not found"
	oldRev     = "3 etcdserver: revision of auth store is old"
)

// everywhere: what every one of these methods must have answered.
var everywhere = map[string][]string{
	"Range": {denied, emptyUser, badToken}, "Put": {denied, emptyUser, badToken},
	"DeleteRange": {denied, emptyUser, badToken}, "Txn": {denied, emptyUser, badToken},
	"Compact": {denied}, "UserAdd": {denied, emptyUser, "9 etcdserver: user name already exists"},
	"UserDelete": {denied, noUser, management}, "UserChangePassword": {denied, noUser}, "UserGet": {denied, noUser},
	"UserGrantRole":  {denied, noUser, noRole},
	"UserRevokeRole": {denied, noUser, "9 etcdserver: role is not granted to the user"},
	"RoleAdd":        {denied, "9 etcdserver: role name already exists", "3 etcdserver: role name is empty"},
	"RoleDelete":     {denied, noRole, management}, "RoleGet": {denied, noRole},
	"RoleGrantPermission":  {denied, noRole, management, "3 etcdserver: permission not given"},
	"RoleRevokePermission": {denied, noRole, "9 etcdserver: permission is not granted to the role"},
	"Authenticate": {"3 etcdserver: authentication failed, invalid user ID or password",
		"9 etcdserver: authentication is not enabled",
		"2 auth: authentication failed, password was given for no password user"},
	"AuthEnable":  {"9 etcdserver: root user does not exist", "9 etcdserver: root user does not have root role"},
	"LeaseRevoke": {denied}, "LeaseTimeToLive": {denied}, "LeaseLeases": {denied}, "LeaseKeepAlive": {denied},
	"HashKV": {denied}, "Hash": {denied}, "Snapshot": {denied}, "MoveLeader": {denied}, "MemberRemove": {denied},
}

// maintenance35: the methods for which 3.5 does not translate its errors.
var maintenance35 = map[string]bool{"Hash": true, "HashKV": true, "Snapshot": true}

// leaseOfAnother: a JWT is often too old to be asked for its rights to the keys of a lease.
var leaseOfAnother = map[string]bool{"LeaseRevoke": true, "LeaseTimeToLive": true, "LeaseLeases": true, "LeaseKeepAlive": true}

var succeeded = []string{"Range", "Put", "DeleteRange", "Txn", "Watch", "Compact", "UserAdd", "UserDelete",
	"UserChangePassword", "UserGet", "UserList", "UserGrantRole", "UserRevokeRole", "RoleAdd", "RoleDelete", "RoleGet",
	"RoleList", "RoleGrantPermission", "RoleRevokePermission", "Authenticate", "AuthEnable", "AuthDisable", "AuthStatus",
	"LeaseGrant", "LeaseRevoke", "LeaseTimeToLive", "LeaseLeases", "LeaseKeepAlive", "Alarm", "MemberList", "Status"}

// missing: the rows of the table that no answer of the reference has reached.
func (run *runner) missing() []string {
	var want, out []string
	for method, texts := range everywhere {
		for _, text := range texts {
			if text == denied && run.level == "3.5" && maintenance35[method] {
				text = "2 auth: permission denied"
			}
			if !run.isJWT || !leaseOfAnother[method] {
				want = append(want, "error "+method+" "+text)
			}
		}
	}
	for _, method := range succeeded {
		want = append(want, "ok "+method)
	}
	want = append(want, "canceled Watch rpc error: code = PermissionDenied desc = etcdserver: permission denied")
	if run.isJWT {
		want = append(want, "error Range "+oldRev, "error Put "+oldRev, "error Txn "+oldRev)
	}
	for _, row := range want {
		if run.rows[row] == 0 {
			out = append(out, row)
		}
	}
	return out
}
