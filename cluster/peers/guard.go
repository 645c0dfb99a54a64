package peers

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"rollcall/messages"
)

// addressee is the header by which a stream says which process it is for: the
// name of the member. Another process may have taken its address.
const addressee = "rollcall-to"

const receiveMethod = "/remote.Remoting/Receive"

var frameType = string((&messages.Frame{}).ProtoReflect().Descriptor().FullName())

// guard stands before protoactor's reader of a stream: it recovers from panics
// and lets pass nothing but frames for the ingress. Everything else that remote
// offers (stopping, watching and spawning actors, messages to any actor, an
// unknown type, which would end the process) is dropped and counted.
type guard struct {
	peers *Peers
	name  string // of this process
}

func (g *guard) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	from := source(ss.Context())
	defer func() {
		if r := recover(); r != nil {
			g.peers.metrics.refuse("panic")
			g.peers.config.Log.Error("reading a peer's stream panicked", "peer", from,
				"reason", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "the reader has failed")
		}
	}()
	if info.FullMethod != receiveMethod {
		g.peers.metrics.refuse("call")
		return status.Error(codes.Unimplemented, "not offered")
	}
	if to := metadata.ValueFromIncomingContext(ss.Context(), addressee); len(to) != 1 || to[0] != g.name {
		g.peers.metrics.refuse("addressee")
		g.peers.complaints.Say(from, "a stream for another process was refused")
		return status.Error(codes.FailedPrecondition, "this is not the process that the stream is for")
	}
	in := actor.NewPID(g.peers.config.System.Address(), ingressName)
	return next(srv, &guarded{ServerStream: ss, guard: g, from: from, target: []*actor.PID{in}})
}

// unary refuses every call: remote's answer to those it has is a panic.
func (g *guard) unary(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
	g.peers.metrics.refuse("call")
	return nil, status.Error(codes.Unimplemented, "not offered")
}

// source is the host that a stream comes from; its port changes with every
// connection.
func source(ctx context.Context) string {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return "unknown"
	}
	return hostOf(p.Addr)
}

func hostOf(a net.Addr) string {
	if a == nil {
		return "unknown"
	}
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return a.String()
}

type guarded struct {
	grpc.ServerStream
	guard  *guard
	from   string
	target []*actor.PID
	greet  bool // the peer has introduced itself
}

// RecvMsg reads on until there is a batch with something in it for the ingress.
func (s *guarded) RecvMsg(into any) error {
	m, ok := into.(*remote.RemoteMessage)
	if !ok {
		return status.Errorf(codes.Internal, "read into %T", into)
	}
	for {
		if err := s.ServerStream.RecvMsg(m); err != nil {
			return err
		}
		switch t := m.MessageType.(type) {
		case *remote.RemoteMessage_ConnectRequest:
			if err := s.welcome(); err != nil {
				return err
			}
		case *remote.RemoteMessage_MessageBatch:
			if s.filter(t.MessageBatch) {
				return nil
			}
		default:
			s.drop("message")
		}
		m.Reset()
	}
}

// welcome answers in the reader's place: the reader would look into
// protoactor's block list without a lock.
func (s *guarded) welcome() error {
	if s.greet {
		s.drop("message")
		return nil
	}
	s.greet = true
	return s.SendMsg(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectResponse{
		ConnectResponse: &remote.ConnectResponse{MemberId: s.guard.peers.config.System.ID},
	}})
}

// filter leaves in a batch only what is for the ingress, and says whether
// anything is.
func (s *guarded) filter(b *remote.MessageBatch) bool {
	kept := b.GetEnvelopes()[:0]
	for _, e := range b.GetEnvelopes() {
		if reason := objection(b, e); reason != "" {
			s.drop(reason)
			continue
		}
		kept = append(kept, &remote.MessageEnvelope{TypeId: e.TypeId, MessageData: e.MessageData})
	}
	if len(kept) == 0 {
		return false
	}
	b.Envelopes, b.Targets, b.Senders = kept, s.target, nil
	return true
}

// objection is why an envelope of a batch does not pass, empty if it does.
func objection(b *remote.MessageBatch, e *remote.MessageEnvelope) string {
	types, targets := b.TypeNames, b.Targets
	switch {
	case e == nil || e.TypeId < 0 || int(e.TypeId) >= len(types) || e.Target < 0 || int(e.Target) >= len(targets):
		return "batch"
	case types[e.TypeId] != frameType || e.SerializerId != 0:
		return "type"
	case targets[e.Target].GetId() != ingressName:
		return "target"
	case !wellFormed(e.MessageData):
		return "batch"
	}
	return ""
}

// wellFormed says whether b is the encoding of a message without strings: a
// frame that cannot be decoded would end the stream.
func wellFormed(b []byte) bool {
	for len(b) > 0 {
		_, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

func (s *guarded) drop(reason string) {
	s.guard.peers.metrics.refuse(reason)
	s.guard.peers.complaints.Say(s.from, "a message that nodes do not exchange was dropped: "+reason)
}
