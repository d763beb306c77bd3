package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// A hang limit, never a measurement.
const hangLimit = 60 * time.Second

const (
	ref   = 0
	ours  = 1
	sides = 2
)

// request is one call, by one caller.  A stream sends its one message and takes one answer.
type request struct {
	method string
	body   proto.Message
	answer proto.Message
	stream bool
}

type reply struct {
	code uint32
	text string
	body proto.Message
}

func (r reply) ok() bool { return r.code == 0 }

type servers [sides]*grpc.ClientConn

func connect(endpoints [sides]string) (servers, error) {
	var s servers
	for i, endpoint := range endpoints {
		conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(1<<30)))
		if err != nil {
			return s, fmt.Errorf("%s: %w", endpoint, err)
		}
		s[i] = conn
	}
	return s, nil
}

func one(conn *grpc.ClientConn, r request, token string) reply {
	ctx, cancel := context.WithTimeout(context.Background(), hangLimit)
	defer cancel()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "token", token)
	}
	out := proto.Clone(r.answer)
	var err error
	if r.stream {
		err = oneOfStream(ctx, conn, r, out)
	} else {
		err = conn.Invoke(ctx, r.method, r.body, out)
	}
	st := status.Convert(err)
	return reply{uint32(st.Code()), st.Message(), out}
}

func oneOfStream(ctx context.Context, conn *grpc.ClientConn, r request, out proto.Message) error {
	desc := grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	s, err := conn.NewStream(ctx, &desc, r.method)
	if err != nil {
		return err
	}
	if err = s.SendMsg(r.body); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if r.short() == "Snapshot" { // the one that has a single request
		if err = s.CloseSend(); err != nil {
			return err
		}
	}
	return s.RecvMsg(out)
}

// call gives both servers the request, each with its own token of the caller.
func (s servers) call(r request, tokens [sides]string) (theirs, mine reply) {
	done := make(chan reply, 1)
	go func() { done <- one(s[ref], r, tokens[ref]) }()
	mine = one(s[ours], r, tokens[ours])
	return <-done, mine
}

type headed interface{ GetHeader() *pb.ResponseHeader }

// mask clears what two servers cannot have in common.
func mask(m proto.Message) {
	if h, is := m.(headed); is && h.GetHeader() != nil {
		h.GetHeader().RaftTerm = 0
	}
	switch r := m.(type) {
	case *pb.AuthenticateResponse:
		r.Token = ""
	case *pb.AuthRoleGetResponse:
		// etcd sorts by key alone, in no stable way.
		sort.Slice(r.Perm, func(i, j int) bool { return permLess(r.Perm[i], r.Perm[j]) })
	case *pb.LeaseTimeToLiveResponse:
		r.TTL = 0
		sort.Slice(r.Keys, func(i, j int) bool { return bytes.Compare(r.Keys[i], r.Keys[j]) < 0 }) // of a map
	case *pb.LeaseLeasesResponse:
		sort.Slice(r.Leases, func(i, j int) bool { return r.Leases[i].ID < r.Leases[j].ID }) // etcd: by expiry, unstable
	case *pb.StatusResponse:
		*r = pb.StatusResponse{}
	case *pb.HashResponse:
		*r = pb.HashResponse{}
	case *pb.SnapshotResponse:
		*r = pb.SnapshotResponse{}
	}
}

func permLess(a, b *authpb.Permission) bool {
	return fmt.Sprintf("%q %q", a.Key, a.RangeEnd) < fmt.Sprintf("%q %q", b.Key, b.RangeEnd)
}

// difference is empty when both answers say the same.
func difference(theirs, mine reply) string {
	if theirs.code != mine.code || theirs.text != mine.text {
		return "code or text"
	}
	if !theirs.ok() {
		return ""
	}
	mask(theirs.body)
	mask(mine.body)
	if !proto.Equal(theirs.body, mine.body) {
		return "answer"
	}
	return ""
}

func (r request) short() string { return r.method[strings.LastIndex(r.method, "/")+1:] }

func (r request) String() string { return r.short() + " " + printed(r.body) }

func (r reply) String() string {
	if !r.ok() {
		return fmt.Sprintf("code %d %q", r.code, r.text)
	}
	return printed(r.body)
}

func printed(m proto.Message) string {
	text := strings.Join(strings.Fields(prototext.MarshalOptions{}.Format(m)), " ")
	return text[:min(len(text), 1500)]
}
