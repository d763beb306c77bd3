package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const (
	kv          = "/etcdserverpb.KV/"
	maintenance = "/etcdserverpb.Maintenance/"
	cluster     = "/etcdserverpb.Cluster/"
	// A hang limit, never a measurement.
	hangLimit = 60 * time.Second
)

// request is one call as it goes over the wire; what is sent never passes a marshaller of ours again,
// so that a log of requests can be sent again byte by byte.
type request struct {
	method string
	body   []byte
	// What the reference gets when it is not the same (RangeStream, see generator.stream).
	refBody []byte
	// It would end the reference (client-api 8.1): ours alone gets it, and must refuse it.
	isKiller bool
	// What the maker of the request knows: rows of the table, counted when it was answered alike.
	marks []string
}

// reply is everything of an answer that a client can see.
type reply struct {
	code     uint32
	text     string
	messages [][]byte
}

func (r reply) ok() bool { return r.code == 0 }

// rawCodec hands bytes through: unknown fields and enum values reach the server as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "proto" }

func dial(endpoint string) (*grpc.ClientConn, error) {
	return grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(1<<30),
			grpc.MaxCallSendMsgSize(1<<30), grpc.WaitForReady(true)))
}

var streamDesc = grpc.StreamDesc{ServerStreams: true}

func isStream(method string) bool { return method == kv+"RangeStream" }

func call(conn *grpc.ClientConn, method string, body []byte) reply {
	ctx, cancel := context.WithTimeout(context.Background(), hangLimit)
	defer cancel()
	var r reply
	var err error
	if isStream(method) {
		r.messages, err = callStream(ctx, conn, method, body)
	} else {
		var out []byte
		if err = conn.Invoke(ctx, method, &body, &out); err == nil {
			r.messages = [][]byte{out}
		}
	}
	st := status.Convert(err)
	r.code, r.text = uint32(st.Code()), st.Message()
	return r
}

func callStream(ctx context.Context, conn *grpc.ClientConn, method string, body []byte) ([][]byte, error) {
	s, err := conn.NewStream(ctx, &streamDesc, method)
	if err != nil {
		return nil, err
	}
	if err = s.SendMsg(&body); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err = s.CloseSend(); err != nil {
		return nil, err
	}
	var messages [][]byte
	for {
		var out []byte
		if err = s.RecvMsg(&out); errors.Is(err, io.EOF) {
			return messages, nil
		} else if err != nil {
			return messages, err
		}
		messages = append(messages, out)
	}
}

// pair is the two servers; both get a request at the same time, the next one only when both answered.
type pair struct {
	endpoints [2]string // reference, ours
	conns     [2]*grpc.ClientConn
}

const (
	ref  = 0
	ours = 1
)

func (p *pair) connect() error {
	for i, endpoint := range p.endpoints {
		if p.conns[i] != nil {
			p.conns[i].Close()
		}
		var err error
		if p.conns[i], err = dial(endpoint); err != nil {
			return fmt.Errorf("%s: %w", endpoint, err)
		}
	}
	return nil
}

func (p *pair) send(r request) (theirs, mine reply) {
	if r.isKiller {
		return reply{}, call(p.conns[ours], r.method, r.body)
	}
	body := r.body
	if r.refBody != nil {
		body = r.refBody
	}
	done := make(chan reply, 1)
	go func() { done <- call(p.conns[ref], r.method, body) }()
	mine = call(p.conns[ours], r.method, r.body)
	return <-done, mine
}
