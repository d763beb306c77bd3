package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// requestLog is one line a request:
//
//	NUMBER REV-BEFORE COMPACTED-BEFORE REV-AFTER METHOD FLAGS BODY REF-BODY
//
// bodies in base64 ("-" none), FLAGS "k" for our server alone.  "@restart HOW" stands between.
// A line "@pad REV COMPACTED" brings a new pair of servers to that state: it is what a test writes in
// place of the requests that it leaves out.
type requestLog struct {
	file *os.File
	out  *bufio.Writer
	line string
}

func newLog(path string) (*requestLog, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &requestLog{file: f, out: bufio.NewWriter(f)}, nil
}

func text64(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return base64.StdEncoding.EncodeToString(b)
}

// begin keeps the line until the answer is there; close writes it as the last one otherwise.
func (l *requestLog) begin(run *runner, r request) error {
	if l == nil {
		return nil
	}
	flags := "-"
	if r.isKiller {
		flags = "k"
	}
	l.line = fmt.Sprintf("%d %d %d %%d %s %s %s %s\n", run.number, run.gen.rev, run.gen.compacted, r.method, flags,
		text64(r.body), text64(r.refBody))
	return nil
}

func (l *requestLog) end(run *runner) error {
	if l == nil {
		return nil
	}
	_, err := fmt.Fprintf(l.out, l.line, run.gen.rev)
	l.line = ""
	return err
}

func (l *requestLog) restart(how string) {
	if l != nil {
		fmt.Fprintf(l.out, "@restart %s\n", how)
	}
}

func (l *requestLog) close() {
	if l == nil {
		return
	}
	if l.line != "" {
		fmt.Fprintf(l.out, l.line, 0)
	}
	l.out.Flush()
	l.file.Close()
}

func bytes64(text string) []byte {
	if text == "-" {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		fail(2, err)
	}
	return b
}

// pad brings both servers to a revision with puts of a key that no request names.
func (run *runner) pad(rev, compacted int64) error {
	const lanes = 8
	var group sync.WaitGroup
	todo := make(chan bool, lanes)
	put := encode(kv+"Put", &pb.PutRequest{Key: []byte("~pad")})
	for i := 0; i < lanes; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for range todo {
				run.pair.send(put)
			}
		}()
	}
	for now := run.gen.rev; now < rev; now++ {
		todo <- true
	}
	close(todo)
	group.Wait()
	if compacted > 0 && compacted <= rev {
		run.pair.send(encode(kv+"Compact", &pb.CompactionRequest{Revision: compacted, Physical: true}))
	}
	run.gen.rev, run.gen.compacted = rev, compacted
	return nil
}

func (run *runner) replayLine(line string) error {
	f := strings.Fields(line)
	if f[0] == "@restart" {
		return run.restart(f[1])
	}
	if f[0] == "@pad" {
		var rev, compacted int64
		if _, err := fmt.Sscan(f[1]+" "+f[2], &rev, &compacted); err != nil {
			return err
		}
		return run.pad(rev, compacted)
	}
	if len(f) != 8 {
		return fmt.Errorf("not a line of a log: %s", line)
	}
	return run.do(request{method: f[4], body: bytes64(f[6]), refBody: bytes64(f[7]), isKiller: f[5] == "k"})
}

func (run *runner) replay(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err = run.begin(); err != nil {
		return err
	}
	in := bufio.NewReader(f)
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err = run.replayLine(line); err != nil {
			return err
		}
	}
}
