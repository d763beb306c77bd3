// interop-client drives a server through the official Go client and says what it holds, so that two
// servers, or one directory under two servers, can be compared.
//
//	fill   -keys N -seed S [-leases]   puts, updates, deletes, compactions, leases; in batches
//	dump                               revision, count and a digest of every pair with all its fields
//	checks ENDPOINT                    what this client sees of a server, one line a check
//	odd                                writes in forms that etcd's log never holds
//	buckets FILE                       every bucket of a closed database file: pairs and a digest
//	torture -state FILE -clients C     checks what FILE says was acknowledged, then writes until the
//	                                   server dies, and says in FILE what was acknowledged
//	storm  -name N -clients C [-pin]   writes until standard input ends, through failures; then checks
//	                                   that nothing acknowledged is lost
//	nested -name N                     a transaction in a transaction
//	decode FILE                        buckets of a closed database that all members have in common
//	bench  -clients C -seconds S       rate of puts (used by no test: a look by hand)
package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const batch = 100

func die(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop-client:", err)
		os.Exit(1)
	}
}

func key(i int) string { return fmt.Sprintf("/interop/%07d", i) }

func value(rng *rand.Rand, size int) string {
	b := make([]byte, 1+rng.Intn(size))
	for i := range b {
		b[i] = byte('a' + rng.Intn(26))
	}
	return string(b)
}

func txn(ctx context.Context, c *clientv3.Client, ops []clientv3.Op) {
	_, err := c.Txn(ctx).Then(ops...).Commit()
	die(err)
}

// Lists of ops a batch at a time; make may return no op for an index.
func batches(ctx context.Context, c *clientv3.Client, n int, make func(i int) []clientv3.Op) {
	var ops []clientv3.Op
	for i := 0; i < n; i++ {
		ops = append(ops, make(i)...)
		if len(ops) >= batch {
			txn(ctx, c, ops)
			ops = nil
		}
	}
	if len(ops) > 0 {
		txn(ctx, c, ops)
	}
}

func fill(ctx context.Context, c *clientv3.Client, keys int, seed int64, leases bool, size int) {
	rng := rand.New(rand.NewSource(seed))
	var ids []clientv3.LeaseID
	if leases {
		for i := 0; i < 10; i++ {
			l, err := c.Grant(ctx, 100000+int64(i))
			die(err)
			ids = append(ids, l.ID)
		}
	}
	batches(ctx, c, keys, func(i int) []clientv3.Op {
		if len(ids) > 0 && i%50 == 0 {
			return []clientv3.Op{clientv3.OpPut(key(i), value(rng, size), clientv3.WithLease(ids[i/50%10]))}
		}
		return []clientv3.Op{clientv3.OpPut(key(i), value(rng, size))}
	})
	batches(ctx, c, keys, func(i int) []clientv3.Op {
		if rng.Intn(3) != 0 {
			return nil
		}
		return []clientv3.Op{clientv3.OpPut(key(i), value(rng, size))}
	})
	r, err := c.Get(ctx, "x")
	die(err)
	_, err = c.Compact(ctx, r.Header.Revision-int64(keys/batch/4), clientv3.WithCompactPhysical())
	die(err)
	batches(ctx, c, keys, func(i int) []clientv3.Op {
		if rng.Intn(10) != 0 {
			return nil
		}
		return []clientv3.Op{clientv3.OpDelete(key(i))}
	})
	batches(ctx, c, keys/10, func(i int) []clientv3.Op {
		return []clientv3.Op{clientv3.OpPut(key(i*7%keys), value(rng, size))}
	})
}

func dump(ctx context.Context, c *clientv3.Client, endpoint string) {
	h := sha256.New()
	from, count := "\x00", 0
	var rev int64
	for {
		opts := []clientv3.OpOption{clientv3.WithFromKey(), clientv3.WithLimit(1000)}
		if rev != 0 {
			opts = append(opts, clientv3.WithRev(rev))
		}
		r, err := c.Get(ctx, from, opts...)
		die(err)
		if rev == 0 {
			rev = r.Header.Revision
		}
		for _, kv := range r.Kvs {
			for _, n := range []int64{kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease, int64(len(kv.Value))} {
				die(binary.Write(h, binary.BigEndian, n))
			}
			h.Write(kv.Key)
			h.Write(kv.Value)
			count++
		}
		if !r.More {
			break
		}
		from = string(r.Kvs[len(r.Kvs)-1].Key) + "\x00"
	}
	hash, err := c.HashKV(ctx, endpoint, 0)
	die(err)
	fmt.Printf("rev=%d count=%d digest=%x hashkv=%d compact=%d\n", rev, count, h.Sum(nil), hash.Hash, hash.CompactRevision)
}

// Consistent index and term move with every start; confState may be stale by the format's own rules.
var moving = map[string]bool{"consistent_index": true, "term": true, "confState": true}

func buckets(file string) {
	db, err := bolt.Open(file, 0600, &bolt.Options{ReadOnly: true, Timeout: 10 * time.Second})
	die(err)
	defer db.Close()
	die(db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			die(err)
		}
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			h, n := sha256.New(), 0
			c := b.Cursor()
			for k, v := c.First(); k != nil; k, v = c.Next() {
				if string(name) == "meta" && moving[string(k)] {
					continue
				}
				die(binary.Write(h, binary.BigEndian, int64(len(k))))
				h.Write(k)
				die(binary.Write(h, binary.BigEndian, int64(len(v))))
				h.Write(v)
				n++
			}
			fmt.Printf("%s pairs=%d digest=%x\n", name, n, h.Sum(nil))
			return nil
		})
	}))
}

// What one writer knows: values are numbers that only rise.
type writer struct {
	Acked int // the last that was acknowledged: must be there, or a later one
	Tried int // the last that was sent: nothing above may be there
}

func check(ctx context.Context, c *clientv3.Client, writers []writer) {
	for i := range writers {
		r, err := c.Get(ctx, fmt.Sprintf("/torture/%d", i))
		die(err)
		got := 0
		if len(r.Kvs) > 0 {
			got, err = strconv.Atoi(string(r.Kvs[0].Value))
			die(err)
		}
		w := writers[i]
		if got < w.Acked || got > w.Tried {
			die(fmt.Errorf("writer %d: %d is stored, %d was acknowledged, %d was tried", i, got, w.Acked, w.Tried))
		}
	}
}

func torture(ctx context.Context, c *clientv3.Client, state string, clients int) {
	writers := make([]writer, clients)
	if b, err := os.ReadFile(state); err == nil {
		die(json.Unmarshal(b, &writers))
	} else if !errors.Is(err, os.ErrNotExist) {
		die(err)
	}
	check(ctx, c, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Add(1)
		go func(i int, w *writer) {
			defer wg.Done()
			for {
				w.Tried++
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
				_, err := c.Put(ctx, fmt.Sprintf("/torture/%d", i), strconv.Itoa(w.Tried))
				cancel()
				if err != nil {
					return
				}
				w.Acked = w.Tried
			}
		}(i, &writers[i])
	}
	wg.Wait()
	b, err := json.Marshal(writers)
	die(err)
	die(os.WriteFile(state, b, 0600))
	total := 0
	for _, w := range writers {
		total += w.Acked
	}
	fmt.Printf("acknowledged=%d\n", total)
}

func bench(ctx context.Context, c *clientv3.Client, clients int, seconds int) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
	defer cancel()
	var n atomic.Int64
	var wg sync.WaitGroup
	for i := 0; i < clients; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rng := rand.New(rand.NewSource(rand.Int63()))
			for ctx.Err() == nil {
				if _, err := c.Put(ctx, key(rng.Intn(100000)), value(rng, 256)); err == nil {
					n.Add(1)
				}
			}
		}()
	}
	wg.Wait()
	fmt.Printf("puts=%d\n", n.Load())
}

func main() {
	endpoints := flag.String("endpoints", "127.0.0.1:2379", "")
	keys := flag.Int("keys", 1000, "")
	seed := flag.Int64("seed", 1, "")
	leases := flag.Bool("leases", false, "")
	size := flag.Int("size", 100, "")
	clients := flag.Int("clients", 20, "")
	seconds := flag.Int("seconds", 3, "")
	state := flag.String("state", "torture.json", "")
	certs := flag.String("certs", "", "a folder of tools/certs.sh")
	name := flag.String("name", "s", "")
	pin := flag.Bool("pin", false, "each writer knows one endpoint")
	flag.Parse()
	switch flag.Arg(0) {
	case "buckets":
		buckets(flag.Arg(1))
		return
	case "decode":
		decode(flag.Arg(1))
		return
	case "storm":
		storm(strings.Split(*endpoints, ","), certificates(*certs), *name, *clients, *pin)
		return
	}
	if flag.Arg(0) == "checks" {
		*endpoints = flag.Arg(1)
	}
	list := strings.Split(*endpoints, ",")
	c, err := clientv3.New(clientv3.Config{Endpoints: list, TLS: certificates(*certs), DialTimeout: 10 * time.Second})
	die(err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	switch flag.Arg(0) {
	case "fill":
		fill(ctx, c, *keys, *seed, *leases, *size)
	case "dump":
		dump(ctx, c, list[0])
	case "checks":
		checks(ctx, c, list[0], os.Stdout)
	case "odd":
		odd(ctx, c)
	case "torture":
		torture(ctx, c, *state, *clients)
	case "nested":
		nested(ctx, c, *name)
	case "bench":
		bench(ctx, c, *clients, *seconds)
	default:
		die(fmt.Errorf("unknown command %q", flag.Arg(0)))
	}
}
