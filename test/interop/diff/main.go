// interop-diff sends one stream of requests (-story kv, or watch: with leases) to real etcd and to Cairn and
// compares every answer.  The two servers run on copies of one directory.  diff_fuzz_test.py starts it.
//
//	interop-diff -reference HOST:PORT -ours HOST:PORT -level 3.5 -seed S -requests N -log FILE
//	interop-diff -reference HOST:PORT -ours HOST:PORT -replay FILE
//
// On standard output "@restart stop" or "@restart kill" asks for a restart of both servers, and one
// line on standard input says that it is done.  The log has a line for every request (see log.go).
// Exit status: 0 equal, 1 a difference or a branch that was not taken, 2 anything else.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
)

const (
	parts       = 6
	overlapPart = 1
)

type runner struct {
	pair   pair
	gen    *generator
	rows   table
	log    *requestLog
	hashes hashFacts
	number int
	// Of the last answer, from the reference.
	lastCode uint32
	stdin    *bufio.Reader
}

// differs is a difference, already printed.
type differs struct{ number int }

func (d differs) Error() string { return fmt.Sprintf("request %d differs", d.number) }

func (run *runner) do(r request) error {
	run.number++
	if err := run.log.begin(run, r); err != nil {
		return err
	}
	theirs, mine := run.pair.send(r)
	what := difference(r, theirs, mine)
	if what != "" && r.method == maintenance+"Hash" {
		theirs, mine, what = run.settle(r)
	} else if r.method == maintenance+"HashKV" {
		what = run.hashDifference(r, theirs, mine, what)
	}
	if what != "" {
		run.printDifference(r, what, theirs, mine)
		return differs{run.number}
	}
	run.lastCode = theirs.code
	run.gen.learn(r, theirs)
	run.hashes.learn(r, theirs)
	run.rows.count(r, theirs)
	return run.log.end(run)
}

func (run *runner) printDifference(r request, what string, theirs, mine reply) {
	fmt.Printf("DIFFERENCE at request %d (%s): %s\nrevision %d, compacted %d\n--- reference\n%s\n--- ours\n%s\n",
		run.number, what, r.print(), run.gen.rev, run.gen.compacted, theirs.print(r.method), mine.print(r.method))
}

// restart asks who started the servers to end and start them.
func (run *runner) restart(how string) error {
	run.log.restart(how)
	run.hashes.restarted()
	fmt.Printf("@restart %s\n", how)
	if _, err := run.stdin.ReadString('\n'); err != nil {
		return err
	}
	return run.pair.connect()
}

// generated sends one request of the generator.  Compactions come one behind the other, but in the part
// before the first restart, where they may also overtake each other's physical deletion.
func (run *runner) generated(part int) error {
	r := run.gen.next()
	if r.method == kv+"Compact" && part != overlapPart {
		if err := run.barrier(); err != nil {
			return err
		}
	}
	return run.do(r)
}

// requests is the generated part: n requests with the phases of hashes.go between them.
func (run *runner) requests(n int) error {
	for part := 0; part < parts; part++ {
		for i := 0; i < n/parts; i++ {
			if err := run.generated(part); err != nil {
				return err
			}
		}
		if err := run.phase(part); err != nil {
			return err
		}
	}
	return nil
}

// stories are what a run can be about, each with the branches that it must take.
var stories = map[string]struct {
	run      func(run *runner, n int) error
	required func(level string) []string
}{
	"kv":    {kvStory, required},
	"watch": {watchStory, requiredWatch},
}

func kvStory(run *runner, n int) error {
	if err := run.begin(); err != nil {
		return err
	}
	return run.requests(n)
}

func fail(status int, err error) {
	fmt.Println(err)
	os.Exit(status)
}

func main() {
	run := runner{rows: table{}, hashes: hashFacts{values: map[hashKey]uint32{}}, stdin: bufio.NewReader(os.Stdin)}
	flag.StringVar(&run.pair.endpoints[ref], "reference", "", "real etcd")
	flag.StringVar(&run.pair.endpoints[ours], "ours", "", "Cairn")
	level := flag.String("level", "3.7", "version of etcd, and Cairn's level")
	seed := flag.Int64("seed", 1, "seed")
	requests := flag.Int("requests", 30000, "requests to generate; the phases of HashKV come on top")
	logPath := flag.String("log", "", "file to write the requests to")
	replay := flag.String("replay", "", "send the requests of this file instead")
	told := flag.String("story", "kv", "what the requests are about: kv or watch")
	check := flag.Bool("check", true, "fail when a branch was not taken")
	flag.Parse()
	story, has := stories[*told]
	if !has {
		fail(2, fmt.Errorf("no story %s", *told))
	}
	run.gen = newGenerator(*seed, *level)
	if err := run.pair.connect(); err != nil {
		fail(2, err)
	}
	var err error
	if *replay != "" {
		err = run.replay(*replay)
	} else {
		if run.log, err = newLog(*logPath); err == nil {
			err = story.run(&run, *requests)
		}
		run.log.close()
	}
	var d differs
	if errors.As(err, &d) {
		fmt.Printf("seed %d level %s\n", *seed, *level)
		fail(1, err)
	} else if err != nil {
		fail(2, err)
	}
	if *replay != "" {
		fmt.Println("no difference")
		return
	}
	run.rows.print(os.Stdout)
	fmt.Printf("%d requests, seed %d, level %s, all answered alike\n", run.number, *seed, *level)
	if missing := run.rows.missing(story.required(*level)); *check && len(missing) > 0 {
		for _, row := range missing {
			fmt.Printf("       0  %s\n", row)
		}
		fail(1, fmt.Errorf("%d branches were not taken", len(missing)))
	}
}
