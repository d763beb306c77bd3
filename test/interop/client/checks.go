package main

// checks: what the official Go client sees of a server, one line a check, without anything that may
// differ between two servers on copies of one directory.  Two outputs are compared line by line.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/clientv3util"
	"go.etcd.io/etcd/client/v3/namespace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// checker runs checks against one server and writes down what they saw.
type checker struct {
	ctx      context.Context
	c        *clientv3.Client
	endpoint string
	out      io.Writer
}

func (k *checker) say(name string, format string, args ...any) {
	fmt.Fprintf(k.out, "%s: %s\n", name, fmt.Sprintf(format, args...))
}

// failure is an error with its code, as clients see it; servers' addresses are cut.
func failure(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := err.(rpctypes.EtcdError); ok {
		return fmt.Sprintf("%v %q", e.Code(), e.Error())
	}
	if s, ok := status.FromError(err); ok {
		return fmt.Sprintf("%v %q", s.Code(), s.Message())
	}
	return fmt.Sprintf("%q", err.Error())
}

func pairs(r *clientv3.GetResponse) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rev=%d count=%d more=%v", r.Header.Revision, r.Count, r.More)
	for _, kv := range r.Kvs {
		v := string(kv.Value)
		if len(v) > 40 {
			v = fmt.Sprintf("%d bytes %x", len(v), sha256.Sum256(kv.Value))
		}
		fmt.Fprintf(&b, " [%q=%q c%d m%d v%d l%d]", kv.Key, v, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease)
	}
	return b.String()
}

func (k *checker) get(name, key string, opts ...clientv3.OpOption) {
	r, err := k.c.Get(k.ctx, key, opts...)
	if err != nil {
		k.say(name, "%s", failure(err))
		return
	}
	k.say(name, "%s", pairs(r))
}

func (k *checker) put(name, key, value string, opts ...clientv3.OpOption) {
	r, err := k.c.Put(k.ctx, key, value, opts...)
	if err != nil {
		k.say(name, "%s", failure(err))
		return
	}
	k.say(name, "rev=%d prev=%v", r.Header.Revision, r.PrevKv)
}

func (k *checker) del(name, key string, opts ...clientv3.OpOption) {
	r, err := k.c.Delete(k.ctx, key, opts...)
	if err != nil {
		k.say(name, "%s", failure(err))
		return
	}
	k.say(name, "rev=%d deleted=%d prev=%v", r.Header.Revision, r.Deleted, r.PrevKvs)
}

func (k *checker) txn(name string, cmps []clientv3.Cmp, then, other []clientv3.Op) {
	r, err := k.c.Txn(k.ctx).If(cmps...).Then(then...).Else(other...).Commit()
	if err != nil {
		k.say(name, "%s", failure(err))
		return
	}
	k.say(name, "succeeded=%v rev=%d %v", r.Succeeded, r.Header.Revision, r.Responses)
}

func (k *checker) puts() {
	k.put("put new", "p1", "a")
	k.put("put again with prev", "p1", "b", clientv3.WithPrevKV())
	k.put("put empty value", "p2", "")
	k.put("put empty key", "", "x")
	k.put("put ignore value", "p1", "", clientv3.WithIgnoreValue())
	k.put("put ignore value of a missing key", "pnone", "", clientv3.WithIgnoreValue())
	k.put("put ignore lease", "p1", "c", clientv3.WithIgnoreLease())
	k.put("put ignore lease of a missing key", "pnone", "c", clientv3.WithIgnoreLease())
	k.put("put with a lease that is not there", "p3", "c", clientv3.WithLease(0x1234))
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	k.put("put binary", "bin"+string(all[:]), string(all[:]))
	k.get("get binary", "bin", clientv3.WithPrefix())
	k.put("put 1 MiB", "big", strings.Repeat("0123456789abcdef", 1<<16))
	k.get("get 1 MiB", "big")
	k.put("put 1.5 MiB and more", "big", strings.Repeat("x", 1572864+1))
	k.put("put above the client's own limit", "big", strings.Repeat("x", 3<<20))
	k.put("put a long key", strings.Repeat("k", 100000), "v")
	k.get("get a long key", strings.Repeat("k", 100000), clientv3.WithCountOnly())
	k.del("del a long key", strings.Repeat("k", 100000))
}

func (k *checker) ranges() {
	for i, v := range []string{"e", "d", "c", "b", "a"} {
		k.put("range fill", fmt.Sprintf("r%d", i), v)
	}
	k.put("range fill again", "r3", "z")
	k.put("range fill again", "r0", "y")
	k.get("get missing", "none")
	k.get("get empty key", "")
	k.get("get prefix", "r", clientv3.WithPrefix())
	k.get("get range", "r1", clientv3.WithRange("r3"))
	k.get("get backward range", "r3", clientv3.WithRange("r1"))
	k.get("get from key", "r2", clientv3.WithFromKey(), clientv3.WithLimit(2))
	k.get("get all, count", "\x00", clientv3.WithFromKey(), clientv3.WithCountOnly())
	k.get("get limit", "r", clientv3.WithPrefix(), clientv3.WithLimit(2))
	k.get("get limit as large as all", "r", clientv3.WithPrefix(), clientv3.WithLimit(5))
	k.get("get negative limit", "r", clientv3.WithPrefix(), clientv3.WithLimit(-1))
	k.get("get count", "r", clientv3.WithPrefix(), clientv3.WithCountOnly())
	k.get("get count of one", "r1", clientv3.WithCountOnly())
	k.get("get keys", "r", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	k.get("get serializable", "r1", clientv3.WithSerializable())
	k.get("get first by create", "r", clientv3.WithFirstCreate()...)
	k.get("get last by create", "r", clientv3.WithLastCreate()...)
	k.get("get first by key", "r", clientv3.WithFirstKey()...)
	k.get("get last by key", "r", clientv3.WithLastKey()...)
	k.get("get first by revision", "r", clientv3.WithFirstRev()...)
	k.get("get last by revision", "r", clientv3.WithLastRev()...)
	targets := []clientv3.SortTarget{clientv3.SortByKey, clientv3.SortByVersion, clientv3.SortByCreateRevision, clientv3.SortByModRevision, clientv3.SortByValue}
	for _, t := range targets {
		for _, o := range []clientv3.SortOrder{clientv3.SortNone, clientv3.SortAscend, clientv3.SortDescend} {
			k.get(fmt.Sprintf("get sorted by %d in order %d", t, o), "r", clientv3.WithPrefix(), clientv3.WithSort(t, o), clientv3.WithLimit(4))
		}
	}
	k.get("get unknown sort order", "r", clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByKey, 7))
}

func (k *checker) revisions() {
	r, err := k.c.Get(k.ctx, "r3")
	die(err)
	mod, now := r.Kvs[0].ModRevision, r.Header.Revision
	k.get("get at an older revision", "r", clientv3.WithPrefix(), clientv3.WithRev(mod-1))
	k.get("get at the revision", "r3", clientv3.WithRev(mod))
	k.get("get in the future", "r3", clientv3.WithRev(now+1000))
	k.get("get at a negative revision", "r3", clientv3.WithRev(-1))
	k.get("get min mod", "r", clientv3.WithPrefix(), clientv3.WithMinModRev(mod))
	k.get("get max mod", "r", clientv3.WithPrefix(), clientv3.WithMaxModRev(mod))
	k.get("get min create", "r", clientv3.WithPrefix(), clientv3.WithMinCreateRev(mod-3))
	k.get("get max create and limit", "r", clientv3.WithPrefix(), clientv3.WithMaxCreateRev(mod-3), clientv3.WithLimit(1))
	k.del("del one", "r1", clientv3.WithPrevKV())
	k.del("del missing", "r1")
	k.del("del empty key", "")
	k.del("del backward range", "r4", clientv3.WithRange("r2"))
	k.get("get deleted at its revision", "r1", clientv3.WithRev(now))
	k.put("put deleted again", "r1", "new")
	k.get("get born again", "r1")
	k.del("del range", "r2", clientv3.WithRange("r4"), clientv3.WithPrevKV())
	k.del("del prefix", "r", clientv3.WithPrefix())
	k.compact("compact", now)
	k.compact("compact again", now)
	k.compact("compact older", now-1)
	k.compact("compact the future", now+100000)
	k.compact("compact physically", now+1, clientv3.WithCompactPhysical())
	k.compact("compact at zero", 0)
	k.get("get compacted", "r1", clientv3.WithRev(now))
	k.get("get at the compacted revision", "r", clientv3.WithPrefix(), clientv3.WithRev(now+1))
}

func (k *checker) compact(name string, rev int64, opts ...clientv3.CompactOption) {
	r, err := k.c.Compact(k.ctx, rev, opts...)
	if err != nil {
		k.say(name, "%s", failure(err))
		return
	}
	k.say(name, "rev=%d", r.Header.Revision)
}

func (k *checker) compares() {
	k.put("txn fill", "t1", "m")
	k.put("txn fill", "t1", "n")
	r, err := k.c.Get(k.ctx, "t1")
	die(err)
	kv := r.Kvs[0]
	for _, op := range []string{"=", "!=", ">", "<"} {
		for d := int64(-1); d <= 1; d++ {
			name := func(target string) string { return fmt.Sprintf("txn %s %s %+d", target, op, d) }
			k.txn(name("version"), []clientv3.Cmp{clientv3.Compare(clientv3.Version("t1"), op, kv.Version+d)}, nil, nil)
			k.txn(name("create"), []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision("t1"), op, kv.CreateRevision+d)}, nil, nil)
			k.txn(name("mod"), []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision("t1"), op, kv.ModRevision+d)}, nil, nil)
			k.txn(name("value"), []clientv3.Cmp{clientv3.Compare(clientv3.Value("t1"), op, string(rune('n'+d)))}, nil, nil)
			k.txn(name("lease"), []clientv3.Cmp{clientv3.Compare(clientv3.LeaseValue("t1"), op, d)}, nil, nil)
		}
	}
	missing := "tnone"
	k.txn("txn missing exists", []clientv3.Cmp{clientv3util.KeyExists(missing)}, nil, nil)
	k.txn("txn missing is missing", []clientv3.Cmp{clientv3util.KeyMissing(missing)}, nil, nil)
	k.txn("txn value of missing", []clientv3.Cmp{clientv3.Compare(clientv3.Value(missing), "=", "")}, nil, nil)
	k.txn("txn compare a prefix", []clientv3.Cmp{clientv3.Compare(clientv3.Version("t").WithPrefix(), ">", 0)}, nil, nil)
	k.txn("txn compare an empty range", []clientv3.Cmp{clientv3.Compare(clientv3.Version("tz").WithPrefix(), ">", 5)}, nil, nil)
}

func many(n int, prefix string) (ops []clientv3.Op) {
	for i := 0; i < n; i++ {
		ops = append(ops, clientv3.OpPut(fmt.Sprintf("%s%d", prefix, i), "v"))
	}
	return ops
}

func (k *checker) txns() {
	get := clientv3.OpGet("t", clientv3.WithPrefix())
	k.txn("txn empty", nil, nil, nil)
	k.txn("txn put, get, del", nil, []clientv3.Op{clientv3.OpPut("t2", "x", clientv3.WithPrevKV()), get, clientv3.OpDelete("t1", clientv3.WithPrevKV()), get}, nil)
	k.txn("txn else", []clientv3.Cmp{clientv3util.KeyExists("t1")}, nil, []clientv3.Op{clientv3.OpPut("t1", "back"), get})
	k.txn("txn the same key twice", nil, []clientv3.Op{clientv3.OpPut("t3", "1"), clientv3.OpPut("t3", "2")}, nil)
	k.txn("txn put inside a deleted range", nil, []clientv3.Op{clientv3.OpDelete("t", clientv3.WithPrefix()), clientv3.OpPut("t3", "2")}, nil)
	k.txn("txn overlapping deletes", nil, []clientv3.Op{clientv3.OpDelete("t2"), clientv3.OpDelete("t", clientv3.WithPrefix())}, nil)
	k.txn("txn the same key in both branches", nil, []clientv3.Op{clientv3.OpPut("t4", "1")}, []clientv3.Op{clientv3.OpPut("t4", "2")})
	inner := clientv3.OpTxn([]clientv3.Cmp{clientv3util.KeyExists("t4")}, []clientv3.Op{clientv3.OpPut("t5", "in"), get}, nil)
	k.txn("txn nested", nil, []clientv3.Op{inner, clientv3.OpPut("t6", "out"), clientv3.OpTxn(nil, []clientv3.Op{inner2()}, nil)}, nil)
	k.txn("txn nested, same key", nil, []clientv3.Op{inner, clientv3.OpPut("t5", "out")}, nil)
	k.txn("txn of 128", nil, many(128, "many"), nil)
	k.txn("txn of 129", nil, many(129, "many"), nil)
	k.txn("txn with an empty key", nil, []clientv3.Op{clientv3.OpPut("", "x")}, nil)
	k.txn("txn with a future range", nil, []clientv3.Op{clientv3.OpPut("t7", "x"), clientv3.OpGet("t1", clientv3.WithRev(1<<40))}, nil)
	k.txn("txn with a compacted range", nil, []clientv3.Op{clientv3.OpGet("t1", clientv3.WithRev(1))}, nil)
	k.txn("txn with a lease that is not there", nil, []clientv3.Op{clientv3.OpPut("t7", "x"), clientv3.OpPut("t8", "x", clientv3.WithLease(99))}, nil)
	k.txn("txn ignore value of a missing key", nil, []clientv3.Op{clientv3.OpPut("t9", "", clientv3.WithIgnoreValue())}, nil)
	k.get("get after refused txns", "t", clientv3.WithPrefix())
}

func inner2() clientv3.Op {
	return clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpDelete("t4"), clientv3.OpGet("t4")}, nil)
}

// Each of `clients` goroutines on its own connection.
func (k *checker) each(clients int, do func(i int, c *clientv3.Client) error) error {
	errs := make(chan error, clients)
	var wg sync.WaitGroup
	for i := 0; i < clients; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := clientv3.New(clientv3.Config{Endpoints: []string{k.endpoint}, DialTimeout: 10 * time.Second})
			if err == nil {
				err = do(i, c)
				c.Close()
			}
			errs <- err
		}()
	}
	wg.Wait()
	for i := 0; i < clients; i++ {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

func (k *checker) concurrent() {
	err := k.each(50, func(i int, c *clientv3.Client) error {
		for n := 0; n < 20; n++ {
			if _, err := c.Put(k.ctx, fmt.Sprintf("c/%d/%d", i, n%10), fmt.Sprint(n)); err != nil {
				return err
			}
		}
		return nil
	})
	r, _ := k.c.Get(k.ctx, "c/", clientv3.WithPrefix())
	versions := int64(0)
	for _, kv := range r.Kvs {
		versions += kv.Version
	}
	k.say("50 clients put", "%s rev=%d count=%d versions=%d", failure(err), r.Header.Revision, r.Count, versions)

	err = k.each(10, func(i int, c *clientv3.Client) error { return count(k.ctx, c, 20) })
	k.say("10 clients count up", "%s", failure(err))
	n, _ := k.c.Get(k.ctx, "counter")
	k.say("the counter", "%s", pairs(n))

	err = k.each(20, func(i int, c *clientv3.Client) error {
		r, err := c.Get(k.ctx, "c/", clientv3.WithPrefix())
		if err == nil && r.Count != 500 {
			err = fmt.Errorf("%d keys", r.Count)
		}
		return err
	})
	k.say("20 clients list", "%s", failure(err))
}

// Adds one n times, each a compare and swap.
func count(ctx context.Context, c *clientv3.Client, n int) error {
	for n > 0 {
		r, err := c.Get(ctx, "counter")
		if err != nil {
			return err
		}
		value, mod := 0, int64(0)
		if len(r.Kvs) > 0 {
			fmt.Sscan(string(r.Kvs[0].Value), &value)
			mod = r.Kvs[0].ModRevision
		}
		t, err := c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision("counter"), "=", mod)).Then(clientv3.OpPut("counter", fmt.Sprint(value+1))).Commit()
		if err != nil {
			return err
		}
		if t.Succeeded {
			n--
		}
	}
	return nil
}

func (k *checker) large() {
	for i := 0; i < 20; i++ {
		k.c.Put(k.ctx, fmt.Sprintf("large/%02d", i), strings.Repeat(fmt.Sprint(i%10), 500000))
	}
	r, err := k.c.Get(k.ctx, "large/", clientv3.WithPrefix())
	h := sha256.New()
	if err == nil {
		for _, kv := range r.Kvs {
			h.Write(kv.Value)
		}
	}
	k.say("get 10 MB", "%s %x", failure(err), h.Sum(nil))
	k.del("del 10 MB with prev", "large/", clientv3.WithPrefix())
	from, n := "m", 0
	for {
		r, err := k.c.Get(k.ctx, from, clientv3.WithRange("n"), clientv3.WithLimit(7))
		if err != nil || len(r.Kvs) == 0 {
			k.say("pages of 7", "%s %d keys", failure(err), n)
			return
		}
		n += len(r.Kvs)
		from = string(r.Kvs[len(r.Kvs)-1].Key) + "\x00"
	}
}

func (k *checker) others() {
	ns := namespace.NewKV(k.c, "ns/")
	_, err := ns.Put(k.ctx, "a", "1")
	k.say("namespace put", "%s", failure(err))
	g, err := ns.Get(k.ctx, "", clientv3.WithFromKey())
	k.say("namespace get", "%s %s", failure(err), pairs(g))
	k.get("namespace from outside", "ns/", clientv3.WithPrefix())
	done, cancel := context.WithCancel(k.ctx)
	cancel()
	_, err = k.c.Get(done, "a")
	k.say("a cancelled context", "%s", failure(err))
	late, cancel := context.WithDeadline(k.ctx, time.Now().Add(-time.Second))
	_, err = k.c.Put(late, "a", "b")
	cancel()
	k.say("a deadline in the past", "%s", failure(err))
}

func (k *checker) maintenance() {
	h, err := k.c.HashKV(k.ctx, k.endpoint, 0)
	k.say("hash", "%s %d compact=%d", failure(err), h.Hash, h.CompactRevision)
	_, err = k.c.HashKV(k.ctx, k.endpoint, 1<<40)
	k.say("hash in the future", "%s", failure(err))
	_, err = k.c.HashKV(k.ctx, k.endpoint, 1)
	k.say("hash compacted", "%s", failure(err))
	a, err := k.c.AlarmList(k.ctx)
	k.say("alarms", "%s %v", failure(err), a.Alarms)
	m, err := k.c.MemberList(k.ctx)
	k.say("members", "%s %d %x %s %v", failure(err), len(m.Members), m.Members[0].ID, m.Members[0].Name, m.Members[0].IsLearner)
	s, err := k.c.Status(k.ctx, k.endpoint)
	k.say("status", "%s %s leader=%v term=%d index=%d applied=%v errors=%v learner=%v", failure(err), s.Version[:3], s.Leader == s.Header.MemberId, s.RaftTerm, s.RaftIndex, s.RaftAppliedIndex == s.RaftIndex, s.Errors, s.IsLearner)
	_, err = k.c.Defragment(k.ctx, k.endpoint)
	k.say("defragment", "%s", failure(err))
	k.get("get after it", "t", clientv3.WithPrefix())
	k.say("snapshot", "%s", k.snapshot())
}

// A snapshot ends in the digest of what comes before it.
func (k *checker) snapshot() string {
	r, err := k.c.Snapshot(k.ctx)
	if err != nil {
		return failure(err)
	}
	all, err := io.ReadAll(r)
	if err != nil || len(all) < sha256.Size {
		return failure(err)
	}
	body, digest := all[:len(all)-sha256.Size], all[len(all)-sha256.Size:]
	sum := sha256.Sum256(body)
	return fmt.Sprintf("ok pages=%v digest=%v", len(body)%4096 == 0, bytes.Equal(sum[:], digest))
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "proto" }

// odd sends writes in forms that etcd never writes into its log and that its versions read in
// different ways: the log must not hold them.
func odd(ctx context.Context, c *clientv3.Client) {
	for _, r := range []struct{ method, bytes string }{
		{"Put", "\x0a\x05odd/a\x12\x01v\x18\x00"},
		{"Put", "\x0a\x05odd/b\x12\x01v\x0a\x05odd/c"},
		{"Put", "\x12\x01v\x0a\x05odd/d\x08\x05\x28\x80\x00"},
		{"DeleteRange", "\x0a\x05odd/a\x12\x00"},
		{"Txn", "\x12\x0b\x1a\x09\x0a\x05odd/c\x12\x00"},
		{"Txn", "\x0a\x0f\x10\x03\x1a\x05odd/d\x3a\x01v\x82\x04\x00\x12\x0e\x12\x0a\x0a\x05odd/e\x12\x01v\x08\x01"},
		{"Txn", "\x12\x0e\x12\x07\x0a\x05odd/f\x12\x03\x12\x01v"},
	} {
		in, out := []byte(r.bytes), []byte(nil)
		err := c.ActiveConnection().Invoke(ctx, "/etcdserverpb.KV/"+r.method, &in, &out, grpc.ForceCodec(rawCodec{}))
		fmt.Printf("%s %q: %s\n", r.method, r.bytes, failure(err))
		die(err)
	}
}

func checks(ctx context.Context, c *clientv3.Client, endpoint string, out io.Writer) {
	k := &checker{ctx: ctx, c: c, endpoint: endpoint, out: out}
	k.puts()
	k.ranges()
	k.revisions()
	k.compares()
	k.txns()
	k.large()
	k.others()
	k.leases()
	k.watches()
	k.cuts()
	k.locks()
	k.elections()
	k.maintenance()
	k.counted()
	k.stms()
	k.concurrent() // last: the order of its writes is not ours, so hashes differ from here on
}
