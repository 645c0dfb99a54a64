package peers

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// streams are the streams to other nodes. They stand between protoactor's
// writer and gRPC, because the writer can neither be told to give up a
// connection attempt nor one that is stuck, sleeps for two seconds after a
// failure, and takes its own closing of a connection for a loss of the next.
type streams struct {
	opened func(addr string)
	failed func(addr string, err error)

	mu     sync.Mutex
	wanted map[string]string // address -> name of the process there
	open   map[*clientStream]struct{}
}

// failPause is how long a failed stream is left standing, so that a peer that
// refuses is not asked again at once.
const failPause = 100 * time.Millisecond

// clientStream is one use of protoactor's writer. Until the peer has answered,
// and when it never does, it keeps failures from the writer: they come out as
// the end of an open stream.
type clientStream struct {
	grpc.ClientStream // nil: there is none, what is sent is dropped
	streams           *streams
	addr              string
	ctx               context.Context
	end               context.CancelFunc
	err               error // why there is no stream, or no answer
	answered          bool
	idle              bool // nobody is wanted there: it waits to be told to end
	live              atomic.Bool
}

// intercept is a client interceptor of gRPC.
func (s *streams) intercept(_ context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	st := &clientStream{streams: s, addr: cc.Target()}
	st.ctx, st.end = context.WithCancel(context.Background())
	name := s.begin(st)
	if name == "" {
		return st, nil
	}
	ctx := metadata.AppendToOutgoingContext(st.ctx, addressee, name)
	st.ClientStream, st.err = next(ctx, desc, cc, method, append(opts, grpc.WaitForReady(true))...)
	if st.err != nil {
		st.ClientStream = nil
	}
	return st, nil
}

// begin registers a stream; the name is empty if nobody is wanted there.
func (s *streams) begin(st *clientStream) (name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[st] = struct{}{}
	name = s.wanted[st.addr]
	st.idle = name == ""
	return name
}

// want sets whom streams go to. Streams to anybody else end.
func (s *streams) want(wanted map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.open {
		if name := wanted[st.addr]; !st.idle && (name == "" || name != s.wanted[st.addr]) {
			st.end()
		}
	}
	s.wanted = wanted
}

// cut ends the streams to an address and says whether one was live.
func (s *streams) cut(addr string) (live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.open {
		if st.addr == addr {
			live = live || st.live.Load()
			st.end()
		}
	}
	return live
}

// leftover are the addresses of streams that nobody wants. Their writers end
// when they are told that the endpoint has.
func (s *streams) leftover() (addrs []string, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.open {
		if st.idle || s.wanted[st.addr] == "" {
			addrs = append(addrs, st.addr)
		}
	}
	return addrs, len(s.open)
}

// SendMsg drops what has nowhere to go.
func (st *clientStream) SendMsg(m any) error {
	if st.ClientStream == nil {
		return nil
	}
	if err := st.ClientStream.SendMsg(m); err != nil {
		if st.answered {
			return err
		}
		st.err = err
	}
	return nil
}

// RecvMsg gives the writer the answer it waits for, a made-up one if need be,
// and then waits for the stream's end.
func (st *clientStream) RecvMsg(m any) error {
	if !st.answered {
		st.answered = true
		if st.err == nil && !st.idle {
			st.err = st.ClientStream.RecvMsg(m)
		}
		if st.err != nil || st.idle {
			if r, ok := m.(*remote.RemoteMessage); ok {
				r.MessageType = &remote.RemoteMessage_ConnectResponse{ConnectResponse: &remote.ConnectResponse{}}
			}
			return nil
		}
		st.live.Store(true)
		st.streams.opened(st.addr)
		return nil
	}
	err := st.err
	switch {
	case st.idle:
		<-st.ctx.Done()
		err = st.ctx.Err()
	case err != nil:
		pause(st.ctx, failPause)
	default:
		err = st.ClientStream.RecvMsg(m)
	}
	return st.over(err)
}

// over is the error that the writer sees when the stream has ended. A writer
// that has ended itself must not report a loss.
func (st *clientStream) over(err error) error {
	if err == nil {
		return nil
	}
	st.live.Store(false)
	st.streams.mu.Lock()
	_, open := st.streams.open[st]
	st.streams.mu.Unlock()
	if !open {
		return io.EOF
	}
	if !errors.Is(err, io.EOF) && st.ctx.Err() == nil {
		st.streams.failed(st.addr, err)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("peers: the peer has ended the stream")
	}
	return err
}

// CloseSend is the last thing that the writer does.
func (st *clientStream) CloseSend() error {
	st.streams.mu.Lock()
	delete(st.streams.open, st)
	st.streams.mu.Unlock()
	st.live.Store(false)
	var err error
	if st.ClientStream != nil {
		err = st.ClientStream.CloseSend()
	}
	st.end()
	return err
}

// Context is part of grpc.ClientStream.
func (st *clientStream) Context() context.Context { return st.ctx }
