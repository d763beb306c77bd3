package main

import "fmt"

const (
	errCompacted = "11 etcdserver: mvcc: required revision has been compacted"
	errFuture    = "11 etcdserver: mvcc: required revision is a future revision"
	errEmptyKey  = "3 etcdserver: key is not provided"
	errNotFound  = "3 etcdserver: key not found"
	errValue     = "3 etcdserver: value is provided"
	errLease     = "3 etcdserver: lease is provided"
	errNoLease   = "5 etcdserver: requested lease not found"
	errTooMany   = "3 etcdserver: too many operations in txn request"
	errDuplicate = "3 etcdserver: duplicate key given in txn request"
	errTooLarge  = "3 etcdserver: request is too large"
	errNoSpace   = "8 etcdserver: mvcc: database space exceeded"
	errCorrupt   = "15 etcdserver: corrupt cluster"
	errSort      = "3 etcdserver: invalid sort option"
	errMalformed = "13 grpc: error unmarshalling request"
)

// errorsOf: every error that the generator must have met, by method.
func errorsOf(level string) map[string][]string {
	m := map[string][]string{
		"Range":       {errCompacted, errFuture, errEmptyKey, errMalformed},
		"Put":         {errEmptyKey, errNotFound, errValue, errLease, errNoLease, errTooLarge, errNoSpace, errCorrupt, errMalformed},
		"DeleteRange": {errEmptyKey, errCorrupt, errMalformed},
		"Txn": {errCompacted, errFuture, errEmptyKey, errNotFound, errValue, errLease, errNoLease, errTooMany, errDuplicate,
			errNoSpace, errCorrupt, errMalformed},
		"Compact": {errCompacted, errFuture, errCorrupt},
		"HashKV":  {errCompacted, errFuture},
	}
	if level != "3.5" {
		m["Range"] = append(m["Range"], errSort)
		m["Txn"] = append(m["Txn"], errSort)
	}
	if level == "3.7" {
		m["RangeStream"] = []string{errCompacted, errFuture, errEmptyKey, errSort,
			"12 RangeStream does not support custom sort orders", "12 RangeStream does not support revision filters"}
	}
	return m
}

func requiredErrors(level string) []string {
	var rows []string
	for method, texts := range errorsOf(level) {
		for _, text := range texts {
			rows = append(rows, "error "+method+" "+text)
		}
	}
	return append(rows, "error Nothing 12 unknown method Nothing for service etcdserverpb.KV")
}

func requiredCompares() []string {
	rows := []string{"compare: range true", "compare: range false", "compare: no operand true", "compare: no operand false"}
	for _, target := range []string{"VERSION", "CREATE", "MOD", "VALUE", "LEASE"} {
		for _, result := range []string{"EQUAL", "GREATER", "LESS", "NOT_EQUAL"} {
			rows = append(rows, fmt.Sprintf("compare: %s %s true", target, result),
				fmt.Sprintf("compare: %s %s false", target, result))
		}
		rows = append(rows, "compare: "+target+" unknown result true")
	}
	for _, result := range []string{"EQUAL true", "NOT_EQUAL false", "GREATER false", "LESS false"} {
		rows = append(rows, "compare: unknown target "+result)
	}
	return rows
}

func requiredRanges() []string {
	var rows []string
	for _, p := range []string{"range", "txn range"} {
		for _, r := range []string{"one key", "all keys", "from key", "interval", "end at or before key", "nothing",
			"keys only", "count only", "serializable", "more", "negative limit", "past revision", "current revision",
			"min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision", "filtered out"} {
			rows = append(rows, p+": "+r)
		}
		for _, order := range []string{"NONE", "ASCEND", "DESCEND"} {
			for _, target := range []string{"KEY", "VERSION", "CREATE", "MOD", "VALUE"} {
				rows = append(rows, fmt.Sprintf("%s: sort %s %s", p, order, target), fmt.Sprintf("%s: sort %s %s cut", p, order, target))
			}
		}
	}
	return append(rows, "range: negative revision")
}

func requiredWrites() []string {
	var rows []string
	for _, p := range []string{"put", "txn put"} {
		for _, r := range []string{"prev_kv there", "prev_kv of a new key", "ignore_value", "ignore_lease", "lease", "lease taken off"} {
			rows = append(rows, p+": "+r)
		}
	}
	for _, p := range []string{"delete", "txn delete"} {
		for _, r := range []string{"one key", "from key", "interval", "end at or before key", "0 deleted", "1 deleted", "2 deleted", "prev_kvs"} {
			rows = append(rows, p+": "+r)
		}
	}
	for depth := 0; depth <= 6; depth++ {
		rows = append(rows, fmt.Sprintf("txn: nested depth %d", depth))
	}
	return append(rows, "txn: nested depth 7-40", "txn: nested depth above 100", "txn: succeeded true", "txn: succeeded false",
		"nested txn: succeeded true", "nested txn: succeeded false", "txn: empty", "txn: 128 operations",
		"compact: physical true", "compact: physical false", "large request", "large request: the limit to the byte", "unknown method")
}

func requiredRest(level string) []string {
	rows := []string{"hashkv: revision 0", "hashkv: negative revision", "hashkv: at the compacted revision",
		"hashkv: between compacted and current", "hashkv: every revision before a compaction",
		"hashkv: every revision during a compaction", "hashkv: every revision after a compaction",
		"hashkv: every revision after an orderly restart", "hashkv: every revision after kill -9",
		"ok Hash", "ok Status", "ok Defragment", "ok Alarm",
		"alarm: GET NONE, 0 answered", "alarm: GET NONE, 1 answered", "alarm: GET NOSPACE, 1 answered",
		"alarm: ACTIVATE NOSPACE, 1 answered", "alarm: ACTIVATE CORRUPT, 1 answered", "alarm: ACTIVATE NONE, 0 answered",
		"alarm: DEACTIVATE NOSPACE, 1 answered", "alarm: DEACTIVATE CORRUPT, 1 answered",
		"killer: unknown alarm action", "killer: malformed member update", "to Cairn alone: Alarm", "to Cairn alone: MemberUpdate",
		"wire: cut short", "wire: unknown field", "wire: other order", "wire: long varints", "wire: scalar twice"}
	if level != "3.5" {
		rows = append(rows, "alarm: ACTIVATE unknown, 1 answered")
	}
	switch level {
	case "3.5":
		rows = append(rows, "killer: unknown sort target", "to Cairn alone: Range", "range: sort unknown KEY")
	case "3.7":
		rows = append(rows, "stream: one chunk", "stream: several chunks", "stream: more", "stream: count only",
			"stream: target, negative revision or limit ignored",
			"wire: bit flipped", "wire: field again", "wire: other wire type", "wire: random tail")
	}
	return rows
}

// required are the branches that a run of a full length must take.
func required(level string) []string {
	rows := requiredErrors(level)
	rows = append(rows, requiredCompares()...)
	rows = append(rows, requiredRanges()...)
	rows = append(rows, requiredWrites()...)
	return append(rows, requiredRest(level)...)
}
