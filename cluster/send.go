package cluster

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"rollcall/messages"
)

// PIDs with one of these addresses live on every node: the first space is that
// of virtual actors, the second that of calls waiting for an answer.
const (
	virtualSpace = "v"
	callSpace    = "c"
)

// Tell sends a message to a virtual actor wherever it lives. Between nodes it
// must be a message of package messages.
func (n *Node) Tell(a Address, msg any) error { return n.send(a, msg, nil) }

// Ask sends a message and calls done once: with the answer, with the refusal
// that the actor or the way to it gave, or with ErrTimeout. done runs in the answering actor's turn or on the
// timing wheel: it must not block.
func (n *Node) Ask(a Address, msg any, timeout time.Duration, done func(any, error)) {
	id, err := n.calls.add(timeout, done)
	if err != nil {
		done(nil, err)
		return
	}
	sender := actor.NewPID(callSpace, n.ID+"@"+n.System.Address()+"/"+strconv.FormatUint(id, 10))
	if err := n.send(a, msg, sender); err != nil {
		n.calls.finish(id, nil, err)
	}
}

// Request is Ask for a goroutine that may wait: an HTTP handler, a tool. The
// caller's deadline bounds the wait.
func (n *Node) Request(ctx context.Context, a Address, msg any) (any, error) {
	type answer struct {
		msg any
		err error
	}
	got := make(chan answer, 1)
	timeout := 10 * time.Second
	if d, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(d), 0)
	}
	n.Ask(a, msg, timeout, func(m any, err error) { got <- answer{m, err} })
	select {
	case r := <-got:
		return r.msg, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (n *Node) send(a Address, msg any, sender *actor.PID) error {
	if n.closed.Load() {
		return ErrClosed
	}
	owner, here, err := n.owns(a.Shard())
	if err != nil {
		return err
	}
	if !here {
		return n.forward(owner, a, msg, sender)
	}
	if sender != nil {
		msg = &actor.MessageEnvelope{Message: msg, Sender: sender}
	}
	return n.dir.deliver(a, msg)
}

func (n *Node) forward(to Member, a Address, msg any, sender *actor.PID) error {
	r := &messages.Routed{Actor: a.String(), Shard: uint32(a.Shard())}
	if sender != nil {
		var err error
		if r.ReplyNode, r.ReplyId, err = parseCall(sender.Id); err != nil {
			return err
		}
	}
	if err := pack(r, msg); err != nil {
		return err
	}
	n.transmit(to, &messages.Envelope{Routed: []*messages.Routed{r}})
	return nil
}

func (n *Node) transmit(to Member, e *messages.Envelope) {
	e.Protocol, e.From, e.Epoch = ProtocolVersion, n.ID, n.Table().Epoch
	n.System.Root.Send(actor.NewPID(to.Addr, ingressName), e)
}

func pack(r *messages.Routed, msg any) error {
	m, ok := msg.(proto.Message)
	if !ok {
		return fmt.Errorf("cluster: %T cannot leave its node", msg)
	}
	body, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("cluster: encode %T: %w", msg, err)
	}
	r.Type, r.Body = string(m.ProtoReflect().Descriptor().FullName()), body
	return nil
}

// resolve gives protoactor the process behind a PID of the two spaces that
// live on every node. It must be registered before remote's own resolver.
func (n *Node) resolve(pid *actor.PID) (actor.Process, bool) {
	switch pid.Address {
	case virtualSpace:
		return (*virtual)(n), true
	case callSpace:
		return (*answers)(n), true
	}
	return nil, false
}

// virtual is the process behind the PID of any virtual actor.
type virtual Node

func (v *virtual) SendUserMessage(pid *actor.PID, envelope any) {
	n := (*Node)(v)
	_, msg, sender := actor.UnwrapEnvelope(envelope)
	a, err := ParseAddress(pid.Id)
	if err == nil {
		err = n.send(a, msg, sender)
	}
	if err != nil {
		n.metrics.dropped.Inc()
	}
}

func (v *virtual) SendSystemMessage(*actor.PID, any) { v.metrics.dropped.Inc() }
func (v *virtual) Stop(*actor.PID)                   { v.metrics.dropped.Inc() }

func messageName(msg any) string {
	if e, ok := msg.(*actor.MessageEnvelope); ok {
		msg = e.Message
	}
	if msg == nil {
		return ""
	}
	return reflect.TypeOf(msg).String()
}

// Notify sends a state to endpoints of another node. It is dropped, and found
// again by the gateway's own check, where that node is no longer a member.
func (n *Node) Notify(gateway string, m *messages.Notify) {
	for _, to := range n.Table().Members {
		if to.ID == gateway {
			n.transmit(to, &messages.Envelope{Notifies: []*messages.Notify{m}})
			return
		}
	}
	n.metrics.dropped.Inc()
}
