package main

// The parts of the official client that live longer than a request: leases, watches, and the package
// concurrency above them.  Lease ids are ours, so that key names are equal on both servers.

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const patience = 60 * time.Second

// A hang limit, not a measurement.
func (k *checker) wait(name string, what func(ctx context.Context) string) {
	ctx, cancel := context.WithTimeout(k.ctx, patience)
	defer cancel()
	k.say(name, "%s", what(ctx))
}

func (k *checker) grant(id, ttl int64) clientv3.LeaseID {
	r, err := pb.NewLeaseClient(k.c.ActiveConnection()).LeaseGrant(k.ctx, &pb.LeaseGrantRequest{ID: id, TTL: ttl})
	if err != nil {
		k.say(fmt.Sprintf("grant %d for %d s", id, ttl), "%s", failure(err))
		return clientv3.LeaseID(id)
	}
	k.say(fmt.Sprintf("grant %d for %d s", id, ttl), "rev=%d id=%d ttl=%d", r.Header.Revision, r.ID, r.TTL)
	return clientv3.LeaseID(id)
}

// ---- leases ----

func (k *checker) leases() {
	id := k.grant(101, 1000)
	k.grant(101, 1000)
	k.grant(102, 9000000001)
	k.grant(103, 0)
	k.grant(104, -1)
	k.put("put with a lease", "lease/a", "1", clientv3.WithLease(id))
	k.put("put with a lease", "lease/b", "2", clientv3.WithLease(id))
	k.get("get with a lease", "lease/", clientv3.WithPrefix())
	t, err := k.c.TimeToLive(k.ctx, id, clientv3.WithAttachedKeys())
	k.say("time to live", "%s granted=%d some=%v keys=%q", failure(err), t.GrantedTTL, t.TTL > 900, t.Keys)
	t, err = k.c.TimeToLive(k.ctx, 999)
	k.say("time to live of none", "%s granted=%d ttl=%d", failure(err), t.GrantedTTL, t.TTL)
	a, err := k.c.KeepAliveOnce(k.ctx, id)
	k.say("keep alive once", "%s ttl=%d", failure(err), a.TTL)
	_, err = k.c.KeepAliveOnce(k.ctx, 999)
	k.say("keep alive of none", "%s", failure(err))
	k.put("put that takes the lease away", "lease/b", "3")
	t, err = k.c.TimeToLive(k.ctx, id, clientv3.WithAttachedKeys())
	k.say("time to live after it", "%s keys=%q", failure(err), t.Keys)
	l, err := k.c.Leases(k.ctx)
	k.say("leases", "%s %v", failure(err), l.Leases)
	r, err := k.c.Revoke(k.ctx, id)
	k.say("revoke", "%s rev=%d", failure(err), r.Header.Revision)
	_, err = k.c.Revoke(k.ctx, id)
	k.say("revoke again", "%s", failure(err))
	k.get("get after it", "lease/", clientv3.WithPrefix())
	k.keptAlive()
	k.expiry()
}

func (k *checker) keptAlive() {
	id := k.grant(105, 3)
	k.put("put kept", "lease/kept", "1", clientv3.WithLease(id))
	k.wait("kept alive", func(ctx context.Context) string {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		answers, err := k.c.KeepAlive(ctx, id)
		if err != nil {
			return failure(err)
		}
		for i := 0; i < 6; i++ { // one a second: twice its time
			a, ok := <-answers
			if !ok || a.TTL != 3 {
				return fmt.Sprint("answer ", i, ok, a)
			}
		}
		return "six times"
	})
	k.get("get kept", "lease/kept")
	k.c.Revoke(k.ctx, id)
}

func (k *checker) expiry() {
	id := k.grant(106, 2)
	r, err := k.c.Put(k.ctx, "lease/gone", "1", clientv3.WithLease(id))
	die(err)
	k.wait("a lease ends", func(ctx context.Context) string {
		w := k.c.Watch(ctx, "lease/", clientv3.WithPrefix(), clientv3.WithRev(r.Header.Revision+1), clientv3.WithPrevKV())
		return told(<-w)
	})
	k.wait("a lease that ends ends keep alive", func(ctx context.Context) string {
		id := k.grant(107, 2)
		k.c.Revoke(ctx, id)
		answers, err := k.c.KeepAlive(ctx, id)
		if err != nil {
			return failure(err)
		}
		_, ok := <-answers
		return fmt.Sprint("open ", ok)
	})
}

// ---- watches ----

func told(r clientv3.WatchResponse) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rev=%d", r.Header.Revision)
	if r.Canceled || r.Err() != nil {
		fmt.Fprintf(&b, " canceled=%v compacted=%d %s", r.Canceled, r.CompactRevision, failure(r.Err()))
	}
	if r.Created {
		b.WriteString(" created")
	}
	for _, e := range r.Events {
		fmt.Fprintf(&b, " [%v %q=%q m%d v%d", e.Type, e.Kv.Key, e.Kv.Value, e.Kv.ModRevision, e.Kv.Version)
		if e.PrevKv != nil {
			fmt.Fprintf(&b, " was %q", e.PrevKv.Value)
		}
		b.WriteString("]")
	}
	return b.String()
}

// The events of so many revisions; how many come in one response is the server's affair.
func events(w clientv3.WatchChan, count int) string {
	var b strings.Builder
	for n := 0; n < count; {
		r, ok := <-w
		if !ok || r.Err() != nil {
			return b.String() + " end: " + told(r)
		}
		for _, e := range r.Events {
			fmt.Fprintf(&b, "%v %s=%q@%d ", e.Type, e.Kv.Key, e.Kv.Value, e.Kv.ModRevision)
			if e.PrevKv != nil {
				fmt.Fprintf(&b, "(was %q) ", e.PrevKv.Value)
			}
			n++
		}
	}
	return b.String()
}

func (k *checker) some(prefix string, count int) (first int64) {
	for i := 0; i < count; i++ {
		r, err := k.c.Put(k.ctx, fmt.Sprintf("%s%d", prefix, i%3), fmt.Sprint(i))
		die(err)
		if i == 0 {
			first = r.Header.Revision
		}
	}
	return first
}

func (k *checker) watches() {
	first := k.some("w/", 9)
	_, err := k.c.Delete(k.ctx, "w/1")
	die(err)
	from := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithRev(first)}
	for _, w := range []struct {
		name  string
		key   string
		count int
		opts  []clientv3.OpOption
	}{
		{"watch from a revision", "w/", 10, from},
		{"watch with prev", "w/", 10, append(from, clientv3.WithPrevKV())},
		{"watch without puts", "w/", 1, append(from, clientv3.WithFilterPut())},
		{"watch without deletes", "w/", 9, append(from, clientv3.WithFilterDelete())},
		{"watch one key", "w/1", 4, []clientv3.OpOption{clientv3.WithRev(first)}},
		{"watch a range", "w/1", 7, []clientv3.OpOption{clientv3.WithRange("w/3"), clientv3.WithRev(first)}},
		{"watch from a key", "w/2", 3, []clientv3.OpOption{clientv3.WithFromKey(), clientv3.WithRev(first)}},
		{"watch in fragments", "w/", 10, append(from, clientv3.WithFragment())},
	} {
		k.wait(w.name, func(ctx context.Context) string { return events(k.c.Watch(ctx, w.key, w.opts...), w.count) })
	}
	k.wait("watch, created", func(ctx context.Context) string {
		return told(<-k.c.Watch(ctx, "w/", clientv3.WithCreatedNotify()))
	})
	k.wait("watch from the future", func(ctx context.Context) string {
		w := k.c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithRev(first+12), clientv3.WithCreatedNotify())
		<-w
		k.some("w/", 4)
		return events(w, 2)
	})
	k.wait("watch a transaction", func(ctx context.Context) string {
		w := k.c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		<-w
		_, err := k.c.Txn(ctx).Then(clientv3.OpPut("w/1", "x"), clientv3.OpDelete("w/2"), clientv3.OpPut("w/3", "y")).Commit()
		die(err)
		return told(<-w) // all of a revision at once
	})
	k.wait("watch, progress on request", func(ctx context.Context) string {
		w := k.c.Watch(ctx, "nothing", clientv3.WithCreatedNotify())
		<-w
		die(k.c.RequestProgress(ctx))
		r := <-w
		return fmt.Sprint(r.IsProgressNotify(), r.Header.Revision)
	})
	k.manyWatches()
	g, err := k.c.Get(k.ctx, "w/")
	die(err)
	k.compact("compact under watches", g.Header.Revision)
	k.wait("watch what is compacted", func(ctx context.Context) string {
		return told(<-k.c.Watch(ctx, "w/", from...))
	})
	k.wait("watch what is just not compacted", func(ctx context.Context) string {
		w := k.c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithRev(g.Header.Revision), clientv3.WithPrevKV())
		k.put("put under a watch", "w/1", "new")
		return events(w, 1)
	})
}

func (k *checker) manyWatches() {
	k.wait("300 watches", func(ctx context.Context) string {
		var all []clientv3.WatchChan
		for i := 0; i < 300; i++ {
			w := k.c.Watch(ctx, fmt.Sprintf("many/%d", i%100), clientv3.WithCreatedNotify())
			<-w
			all = append(all, w)
		}
		for i := 0; i < 100; i++ {
			_, err := k.c.Put(ctx, fmt.Sprintf("many/%d", i), "v")
			die(err)
		}
		n := 0
		for i, w := range all {
			r := <-w
			if len(r.Events) == 1 && string(r.Events[0].Kv.Key) == fmt.Sprintf("many/%d", i%100) {
				n++
			}
		}
		return fmt.Sprint(n, " told")
	})
}

// ---- a connection that is cut ----

// cutter hands connections on, until they are cut; held: new ones wait.
type cutter struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	conns    []net.Conn
	held     bool
}

func newCutter(to string) *cutter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	die(err)
	c := &cutter{listener: l, to: to}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			held := c.held
			c.conns = append(c.conns, in)
			c.mu.Unlock()
			out, err := net.Dial("tcp", to)
			if held || err != nil {
				in.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, out)
			c.mu.Unlock()
			go io.Copy(in, out)
			go io.Copy(out, in)
		}
	}()
	return c
}

func (c *cutter) cut(hold bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = hold
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

func (k *checker) cuts() {
	p := newCutter(k.endpoint)
	defer p.listener.Close()
	through, err := clientv3.New(clientv3.Config{Endpoints: []string{p.listener.Addr().String()}, DialTimeout: patience})
	die(err)
	defer through.Close()
	k.wait("watch through cuts", func(ctx context.Context) string {
		w := through.Watch(ctx, "cut/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		<-w
		k.some("cut/", 3)
		saw := events(w, 3)
		for i := 0; i < 3; i++ {
			p.cut(true)
			k.some("cut/", 4)
			p.cut(false)
			saw += "| " + events(w, 4)
		}
		return saw
	})
	k.wait("watch that is compacted while cut", func(ctx context.Context) string {
		w := through.Watch(ctx, "cut/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		<-w
		k.some("cut/", 1)
		saw := events(w, 1)
		p.cut(true)
		last := k.some("cut/", 6) + 5
		_, err := k.c.Compact(ctx, last)
		die(err)
		p.cut(false)
		return saw + "| " + events(w, 1)
	})
	k.wait("a lease through cuts", func(ctx context.Context) string {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		answers, err := through.KeepAlive(ctx, k.grant(108, 5))
		if err != nil {
			return failure(err)
		}
		for i := 0; i < 3; i++ {
			if a, ok := <-answers; !ok || a.TTL != 5 {
				return fmt.Sprint("answer ", i, ok, a)
			}
			p.cut(false)
		}
		return "kept"
	})
	k.wait("a lock through a cut", func(ctx context.Context) string {
		s1, m1 := k.mutex(k.c, 110, "cut-lock")
		defer s1.Orphan()
		die(m1.Lock(ctx))
		s2, m2 := k.mutex(through, 111, "cut-lock")
		defer s2.Orphan()
		done := make(chan error)
		go func() { done <- m2.Lock(ctx) }()
		k.keys(ctx, "cut-lock/", 2)
		p.cut(false)
		die(m1.Unlock(ctx))
		return failure(<-done)
	})
}

// ---- concurrency ----

func (k *checker) mutex(c *clientv3.Client, id int64, name string) (*concurrency.Session, *concurrency.Mutex) {
	s, err := concurrency.NewSession(c, concurrency.WithLease(k.grant(id, 1000)))
	die(err)
	return s, concurrency.NewMutex(s, name)
}

// Waits until there are so many keys.
func (k *checker) keys(ctx context.Context, prefix string, count int64) {
	for {
		r, err := k.c.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
		die(err)
		if r.Count == count {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (k *checker) locks() {
	s1, m1 := k.mutex(k.c, 201, "lock")
	s2, m2 := k.mutex(k.c, 202, "lock")
	s3, m3 := k.mutex(k.c, 203, "lock")
	k.wait("lock", func(ctx context.Context) string {
		err := m1.Lock(ctx)
		return fmt.Sprintf("%s %s rev=%d", failure(err), m1.Key(), m1.Header().Revision)
	})
	k.wait("lock again", func(ctx context.Context) string { return failure(m1.Lock(ctx)) })
	k.wait("try lock", func(ctx context.Context) string { return failure(m2.TryLock(ctx)) })
	k.wait("is owner", func(ctx context.Context) string {
		r, err := k.c.Txn(ctx).If(m1.IsOwner()).Then(clientv3.OpPut("locked", "yes")).Commit()
		return fmt.Sprintf("%s %v rev=%d", failure(err), r.Succeeded, r.Header.Revision)
	})
	k.wait("lock with a time-out", func(ctx context.Context) string {
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		err := m2.Lock(ctx)
		k.keys(k.ctx, "lock/", 1)
		return failure(err)
	})
	k.wait("locks in order", func(ctx context.Context) string {
		order := make(chan string, 2)
		for i, m := range []*concurrency.Mutex{m3, m2} {
			go func() {
				err := m.Lock(ctx)
				saw := m.Key() + " " + failure(err)
				saw += " " + failure(m.Unlock(ctx))
				order <- saw
			}()
			k.keys(ctx, "lock/", int64(i)+2)
		}
		die(m1.Unlock(ctx))
		return <-order + ", " + <-order
	})
	k.keys(k.ctx, "lock/", 0)
	k.wait("unlock again", func(ctx context.Context) string { return failure(m1.Unlock(ctx)) })
	k.wait("a session that ends gives the lock away", func(ctx context.Context) string {
		die(m1.Lock(ctx))
		done := make(chan error)
		go func() { done <- m2.Lock(ctx) }()
		k.keys(ctx, "lock/", 2)
		die(s1.Close())
		<-s1.Done()
		return failure(<-done)
	})
	k.wait("a waiter whose lease ends", func(ctx context.Context) string {
		done := make(chan error)
		go func() { done <- m3.Lock(ctx) }()
		k.keys(ctx, "lock/", 2)
		_, err := k.c.Revoke(ctx, s3.Lease())
		die(err)
		die(m2.Unlock(ctx))
		return failure(<-done)
	})
	die(s2.Close())
}

// Twenty clients, one at a time in the locked part.
func (k *checker) counted() {
	inside, most := 0, 0
	err := k.each(20, func(i int, c *clientv3.Client) error {
		s, err := concurrency.NewSession(c)
		if err != nil {
			return err
		}
		defer s.Close()
		m := concurrency.NewMutex(s, "counted")
		for n := 0; n < 3; n++ {
			if err := m.Lock(k.ctx); err != nil {
				return err
			}
			inside++
			most = max(most, inside)
			r, err := c.Get(k.ctx, "count")
			if err != nil {
				return err
			}
			value := 0
			if len(r.Kvs) > 0 {
				fmt.Sscan(string(r.Kvs[0].Value), &value)
			}
			if _, err := c.Put(k.ctx, "count", fmt.Sprint(value+1)); err != nil {
				return err
			}
			inside--
			if err := m.Unlock(k.ctx); err != nil {
				return err
			}
		}
		return nil
	})
	r, _ := k.c.Get(k.ctx, "count")
	k.say("20 clients lock", "%s most=%d count=%s", failure(err), most, r.Kvs[0].Value)
}

func (k *checker) election(id int64) (*concurrency.Session, *concurrency.Election) {
	s, err := concurrency.NewSession(k.c, concurrency.WithLease(k.grant(id, 1000)))
	die(err)
	return s, concurrency.NewElection(s, "elect")
}

func (k *checker) elections() {
	s1, e1 := k.election(301)
	s2, e2 := k.election(302)
	_, err := e1.Leader(k.ctx)
	k.say("leader of none", "%s", failure(err))
	k.say("proclaim before", "%s", failure(e1.Proclaim(k.ctx, "x")))
	watch, cancel := context.WithCancel(k.ctx)
	seen := e2.Observe(watch)
	next := func(name string) {
		k.wait(name, func(ctx context.Context) string {
			r := <-seen
			return pairs(&r)
		})
	}
	k.say("campaign", "%s %s rev=%d", failure(e1.Campaign(k.ctx, "one")), e1.Key(), e1.Rev())
	next("observe the first")
	k.say("proclaim", "%s", failure(e1.Proclaim(k.ctx, "uno")))
	next("observe what is proclaimed")
	r, err := e2.Leader(k.ctx)
	k.say("leader", "%s %s", failure(err), pairs(r))
	done := make(chan error)
	go func() { done <- e2.Campaign(k.ctx, "two") }()
	k.keys(k.ctx, "elect/", 2)
	k.say("campaign again", "%s rev=%d", failure(e1.Campaign(k.ctx, "eins")), e1.Rev())
	next("observe what is campaigned")
	k.say("resign", "%s", failure(e1.Resign(k.ctx)))
	k.wait("the next", func(ctx context.Context) string { return failure(<-done) })
	next("observe the next")
	k.say("proclaim after", "%s", failure(e1.Proclaim(k.ctx, "x")))
	k.wait("campaign with a time-out", func(ctx context.Context) string {
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		err := e1.Campaign(ctx, "late")
		k.keys(k.ctx, "elect/", 1)
		return failure(err)
	})
	resumed := concurrency.ResumeElection(s2, "elect/", e2.Key(), e2.Rev())
	k.say("resumed", "%s", failure(resumed.Proclaim(k.ctx, "again")))
	next("observe the resumed")
	die(s2.Close())
	k.keys(k.ctx, "elect/", 0)
	_, err = e1.Leader(k.ctx)
	k.say("leader when the session has ended", "%s", failure(err))
	cancel()
	die(s1.Close())
}

func (k *checker) stms() {
	k.put("stm fill", "stm/a", "100")
	move := func(from, to string) func(concurrency.STM) error {
		return func(t concurrency.STM) error {
			a, b := 0, 0
			fmt.Sscan(t.Get(from), &a)
			fmt.Sscan(t.Get(to), &b)
			t.Put(from, fmt.Sprint(a-1))
			t.Put(to, fmt.Sprint(b+1))
			return nil
		}
	}
	levels := []concurrency.Isolation{concurrency.SerializableSnapshot, concurrency.Serializable, concurrency.RepeatableReads, concurrency.ReadCommitted}
	for i, level := range levels {
		r, err := concurrency.NewSTM(k.c, move("stm/a", "stm/b"), concurrency.WithIsolation(level))
		k.say(fmt.Sprintf("stm at isolation %d", i), "%s rev=%d", failure(err), r.Header.Revision)
	}
	r, err := concurrency.NewSTM(k.c, func(t concurrency.STM) error {
		t.Del("stm/b")
		return nil
	}, concurrency.WithIsolation(concurrency.SerializableSnapshot))
	k.say("stm delete", "%s rev=%d", failure(err), r.Header.Revision)
	_, err = concurrency.NewSTM(k.c, func(t concurrency.STM) error { return fmt.Errorf("no") })
	k.say("stm that gives up", "%s", failure(err))
	err = k.each(10, func(i int, c *clientv3.Client) error {
		for n := 0; n < 5; n++ {
			if _, err := concurrency.NewSTM(c, move("stm/a", fmt.Sprintf("stm/%d", i))); err != nil {
				return err
			}
		}
		return nil
	})
	k.say("10 clients move", "%s", failure(err))
	g, err := k.c.Get(k.ctx, "stm/", clientv3.WithPrefix())
	k.say("after them", "%s keys=%d", failure(err), len(g.Kvs))
	k.get("what is left", "stm/a", clientv3.WithKeysOnly())
	for _, kv := range g.Kvs {
		k.say("moved "+string(kv.Key), "%s", kv.Value)
	}
}
