package cluster

import (
	"fmt"
	"strconv"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"rollcall/messages"
)

// ProtocolVersion of the envelopes between nodes. A node reads all up to its
// own and skips what a newer one adds.
const ProtocolVersion = 1

const ingressName = "in"

// ingress receives other nodes' envelopes. It is a process, not an actor: it
// runs in the goroutine that reads the peer's stream and never blocks it.
type ingress struct{ node *Node }

func (g *ingress) SendUserMessage(_ *actor.PID, envelope any) {
	_, msg, _ := actor.UnwrapEnvelope(envelope)
	e, ok := msg.(*messages.Envelope)
	if !ok {
		g.node.metrics.unknown.Inc()
		return
	}
	for _, r := range e.Routed {
		if err := g.route(r); err != nil {
			g.node.metrics.unknown.Inc()
			g.node.log.Warn("skipped a message from another node", "from", e.From, "type", r.Type, "err", err)
		}
	}
	for _, n := range e.Notifies {
		g.node.notify(n)
	}
}

func (g *ingress) route(r *messages.Routed) error {
	msg, err := unpack(r)
	if err != nil {
		return err
	}
	if r.Actor == "" {
		g.node.answered(r.ReplyId, msg)
		return nil
	}
	a, err := ParseAddress(r.Actor)
	if err != nil {
		return err
	}
	if _, here, err := g.node.owns(a.Shard()); err != nil || !here {
		g.node.metrics.misrouted.Inc()
		return g.refuse(r, ErrMoved)
	}
	if r.ReplyNode != "" {
		sender := actor.NewPID(callSpace, r.ReplyNode+"/"+strconv.FormatUint(r.ReplyId, 10))
		msg = &actor.MessageEnvelope{Message: msg, Sender: sender}
	}
	if err := g.node.dir.deliver(a, msg); err != nil {
		return g.refuse(r, err)
	}
	return nil
}

// refuse answers a call that cannot be delivered, so that its sender need not
// wait for the deadline.
func (g *ingress) refuse(r *messages.Routed, err error) error {
	if r.ReplyNode == "" {
		return err
	}
	g.node.answer(r.ReplyNode, r.ReplyId, messages.StatusOf(err))
	return nil
}

func (g *ingress) SendSystemMessage(*actor.PID, any) { g.node.metrics.unknown.Inc() }
func (g *ingress) Stop(*actor.PID)                   { g.node.metrics.unknown.Inc() }

func unpack(r *messages.Routed) (any, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(r.Type))
	if err != nil {
		return nil, fmt.Errorf("cluster: message type %q is not known here", r.Type)
	}
	m := t.New().Interface()
	if err := proto.Unmarshal(r.Body, m); err != nil {
		return nil, fmt.Errorf("cluster: decode %s: %w", r.Type, err)
	}
	return m, nil
}
