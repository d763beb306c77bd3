package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

const watchMethod = "/etcdserverpb.Watch/Watch"

var bidiDesc = grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// watchSide is one server's end of a Watch stream: a goroutine reads, the story takes.
type watchSide struct {
	stream grpc.ClientStream
	cancel context.CancelFunc
	mutex  sync.Mutex
	more   *sync.Cond
	queue  []*pb.WatchResponse
	err    error
}

func openSide(conn *grpc.ClientConn) (*watchSide, error) {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(context.Background(), "hasleader", "true"))
	stream, err := conn.NewStream(ctx, &bidiDesc, watchMethod)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &watchSide{stream: stream, cancel: cancel}
	s.more = sync.NewCond(&s.mutex)
	go s.read()
	return s, nil
}

func (s *watchSide) read() {
	for {
		var body []byte
		err := s.stream.RecvMsg(&body)
		m := &pb.WatchResponse{}
		if err == nil {
			err = proto.Unmarshal(body, m)
		}
		s.mutex.Lock()
		if err != nil {
			s.err = err
		} else {
			s.queue = append(s.queue, m)
		}
		s.more.Broadcast()
		s.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

// take is the next response; nil when none comes in time.
func (s *watchSide) take(wait time.Duration) (*pb.WatchResponse, error) {
	timer := time.AfterFunc(wait, func() {
		s.mutex.Lock()
		s.more.Broadcast()
		s.mutex.Unlock()
	})
	defer timer.Stop()
	end := time.Now().Add(wait)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for len(s.queue) == 0 {
		if s.err != nil {
			return nil, s.err
		}
		if !time.Now().Before(end) {
			return nil, nil
		}
		s.more.Wait()
	}
	m := s.queue[0]
	s.queue = s.queue[1:]
	return m, nil
}

// told is what one server said to one watch.
type told struct {
	events    []*mvccpb.Event
	last      *pb.WatchResponse // with events
	fragments []int             // events in each part of the fragmented responses

}

// watch is one of both servers.
type watch struct {
	id       int64
	request  *pb.WatchCreateRequest
	from     int64 // first revision
	isDead   bool  // compacted
	isMade   [2]bool
	isProven bool // known to be synced on both
	told     [2]told
	want     []*mvccpb.Event
	learnt   int // of the history
	checked  int // events already compared
	counted  int
}

type progress struct {
	rev    int64
	counts map[int64]int // events of each watch before it
}

// pairStream is one Watch stream on both servers.
type pairStream struct {
	sides    [2]*watchSide
	watches  map[int64]*watch
	asked    [2]int // progress requests that may still be answered
	progress [2][]progress
	answers  [2][]*pb.WatchResponse // created, cancelled: for whoever waits
}

func (p *pair) openStream() (*pairStream, error) {
	s := &pairStream{watches: map[int64]*watch{}}
	for i, conn := range p.conns {
		var err error
		if s.sides[i], err = openSide(conn); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *pairStream) close() {
	for _, side := range s.sides {
		side.cancel()
	}
}

func (s *pairStream) send(m *pb.WatchRequest) error {
	body, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	for _, side := range s.sides {
		if err = side.stream.SendMsg(&body); err != nil {
			return err
		}
	}
	return nil
}

func name(server int) string { return [2]string{"the reference", "ours"}[server] }

// sort puts a response where it belongs.
func (s *pairStream) sort(server int, m *pb.WatchResponse) error {
	if m.Created || m.Canceled {
		s.answers[server] = append(s.answers[server], m)
		return nil
	}
	if len(m.Events) == 0 {
		return s.sortProgress(server, m)
	}
	w := s.watches[m.WatchId]
	if w == nil {
		return fmt.Errorf("%s sends events to watch %d, which is not there: %v", name(server), m.WatchId, m)
	}
	t := &w.told[server]
	first, last := m.Events[0].Kv.ModRevision, m.Events[len(m.Events)-1].Kv.ModRevision
	if t.last != nil && !t.last.Fragment && first <= t.events[len(t.events)-1].Kv.ModRevision {
		return fmt.Errorf("%s cuts revision %d of watch %d", name(server), first, m.WatchId)
	}
	if m.Header.Revision < last {
		return fmt.Errorf("%s: a header of revision %d for events to %d", name(server), m.Header.Revision, last)
	}
	if m.Fragment || (t.last != nil && t.last.Fragment) {
		t.fragments = append(t.fragments, len(m.Events))
	}
	t.events = append(t.events, m.Events...)
	t.last = m
	return nil
}

func (s *pairStream) sortProgress(server int, m *pb.WatchResponse) error {
	if m.WatchId != -1 || s.asked[server] == 0 {
		return fmt.Errorf("%s: progress that nobody asked for: %v", name(server), m)
	}
	s.asked[server]--
	p := progress{rev: m.Header.Revision, counts: map[int64]int{}}
	for id, w := range s.watches {
		if !w.isMade[server] {
			continue
		}
		p.counts[id] = len(w.told[server].events)
	}
	s.progress[server] = append(s.progress[server], p)
	return nil
}

// until takes responses of one server until the condition holds; a hang limit.
func (s *pairStream) until(server int, wait time.Duration, is func() bool) error {
	end := time.Now().Add(wait)
	for !is() {
		m, err := s.sides[server].take(time.Until(end))
		if err != nil {
			return fmt.Errorf("%s: the stream has ended: %w", name(server), err)
		}
		if m == nil {
			return errLate
		}
		if err = s.sort(server, m); err != nil {
			return err
		}
	}
	return nil
}

var errLate = fmt.Errorf("what must come does not come")

// answer is the next created or cancelled response of both.
func (s *pairStream) answer() (both [2]*pb.WatchResponse, err error) {
	for i := range s.sides {
		if err = s.until(i, hangLimit, func() bool { return len(s.answers[i]) > 0 }); err != nil {
			return both, fmt.Errorf("%s: %w", name(i), err)
		}
		both[i] = s.answers[i][0]
		s.answers[i] = s.answers[i][1:]
	}
	return both, nil
}

// drain sorts what is there already.
func (s *pairStream) drain() error {
	for i := range s.sides {
		for {
			m, err := s.sides[i].take(0)
			if err != nil {
				return fmt.Errorf("%s: the stream has ended: %w", name(i), err)
			}
			if m == nil {
				break
			}
			if err = s.sort(i, m); err != nil {
				return err
			}
		}
	}
	return nil
}
