package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Certificates of tools/certs.sh in a folder; none without a folder.
func certificates(dir string) *tls.Config {
	if dir == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(dir+"/client.crt", dir+"/client.key")
	die(err)
	ca, err := os.ReadFile(dir + "/ca.crt")
	die(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}
}

type stormer struct {
	key      string
	acked    int
	tried    int
	revision int64 // of the last acknowledged put
	errors   int
	longest  time.Duration // between two acknowledged puts
}

func (w *stormer) run(c *clientv3.Client, isOver *atomic.Bool) error {
	last := time.Now()
	for !isOver.Load() {
		w.tried++
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		r, err := c.Put(ctx, w.key, strconv.Itoa(w.tried))
		cancel()
		if err != nil {
			w.errors++
			time.Sleep(20 * time.Millisecond)
			continue
		}
		if r.Header.Revision <= w.revision {
			return fmt.Errorf("%s: revision %d after %d", w.key, r.Header.Revision, w.revision)
		}
		w.acked, w.revision = w.tried, r.Header.Revision
		w.longest = max(w.longest, time.Since(last))
		last = time.Now()
	}
	return nil
}

func (w *stormer) check(c *clientv3.Client) error {
	var r *clientv3.GetResponse
	var err error
	for i := 0; i < 20; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		r, err = c.Get(ctx, w.key)
		cancel()
		if err == nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	got := 0
	if len(r.Kvs) > 0 {
		if got, err = strconv.Atoi(string(r.Kvs[0].Value)); err != nil {
			return err
		}
	}
	if got < w.acked || got > w.tried {
		return fmt.Errorf("%s: %d is stored, %d was acknowledged, %d was tried", w.key, got, w.acked, w.tried)
	}
	return nil
}

// Writers that go on whatever happens, until standard input ends.  pin: each writer knows one endpoint.
func storm(list []string, certs *tls.Config, name string, clients int, pin bool) {
	connect := func(endpoints []string) *clientv3.Client {
		c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, TLS: certs,
			DialTimeout: 10 * time.Second, DialKeepAliveTime: 2 * time.Second, DialKeepAliveTimeout: 2 * time.Second})
		die(err)
		return c
	}
	all := connect(list)
	pinned := map[string]*clientv3.Client{}
	for _, e := range list {
		pinned[e] = connect([]string{e})
	}
	writers := make([]stormer, clients)
	var isOver atomic.Bool
	var wg sync.WaitGroup
	for i := range writers {
		c := all
		if pin {
			c = pinned[list[i%len(list)]]
		}
		writers[i].key = fmt.Sprintf("/storm/%s/%d", name, i)
		wg.Add(1)
		go func(w *stormer) {
			defer wg.Done()
			die(w.run(c, &isOver))
		}(&writers[i])
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	die(err)
	isOver.Store(true)
	wg.Wait()
	acked, failed, longest := 0, 0, time.Duration(0)
	for i := range writers {
		die(writers[i].check(all))
		acked += writers[i].acked
		failed += writers[i].errors
		longest = max(longest, writers[i].longest)
	}
	fmt.Printf("acknowledged=%d errors=%d longest=%dms\n", acked, failed, longest.Milliseconds())
}

// The buckets of a closed database that must be equal on all members, decoded where they are JSON.
func decode(file string) {
	db, err := bolt.Open(file, 0600, &bolt.Options{ReadOnly: true, Timeout: 10 * time.Second})
	die(err)
	defer db.Close()
	die(db.View(func(tx *bolt.Tx) error {
		for _, name := range strings.Fields("members members_removed cluster alarm lease auth authUsers authRoles") {
			b := tx.Bucket([]byte(name))
			if b == nil {
				continue
			}
			err := b.ForEach(func(k, v []byte) error {
				fmt.Println(name, text(k), pretty(v))
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

func text(b []byte) string {
	for _, c := range b {
		if c < 0x21 || c > 0x7e {
			return "0x" + hex.EncodeToString(b)
		}
	}
	return string(b)
}

func pretty(v []byte) string {
	if len(v) == 0 || v[0] != '{' {
		return text(v)
	}
	d := json.NewDecoder(strings.NewReader(string(v)))
	d.UseNumber()
	var m map[string]any
	if d.Decode(&m) != nil {
		return text(v)
	}
	out, err := json.Marshal(m)
	die(err)
	return string(out)
}

// /ops/a holds name: /ops/in is written by the inner transaction, /ops/out by the outer one.
func nested(ctx context.Context, c *clientv3.Client, name string) {
	inner := clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.Version("/ops/none"), "=", 0)},
		[]clientv3.Op{clientv3.OpPut("/ops/in", name), clientv3.OpGet("/ops/in")},
		[]clientv3.Op{clientv3.OpDelete("/ops/b", clientv3.WithPrefix())})
	r, err := c.Txn(ctx).If(clientv3.Compare(clientv3.Value("/ops/a"), "=", name)).
		Then(inner, clientv3.OpPut("/ops/out", "x")).Commit()
	die(err)
	got := r.Responses[0].GetResponseTxn()
	if !r.Succeeded || !got.Succeeded || string(got.Responses[1].GetResponseRange().Kvs[0].Value) != name {
		die(fmt.Errorf("nested: %v", r))
	}
}
