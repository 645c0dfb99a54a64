package cluster

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"rollcall/cluster/topology"
	"rollcall/messages"
)

// PIDs with one of these addresses live on every node: the first space is that
// of virtual actors, the second that of calls waiting for an answer.
const (
	virtualSpace = "v"
	callSpace    = "c"
)

// Tell sends a message to a virtual actor wherever it lives. Between nodes it
// must be a message of package messages; one that is under way to a node that
// dies is lost.
func (n *Node) Tell(a Address, msg any) error { return n.place(&parcel{to: a, msg: msg}) }

// Ask sends a message and calls done once: with the answer, with the refusal
// that the actor or the way to it gave, or with ErrTimeout. done runs in the
// answering actor's turn or on the timing wheel: it must not block. When the
// owner dies before it answers the message goes to the next one, so an actor
// may get it twice: what is asked must be idempotent.
func (n *Node) Ask(a Address, msg any, timeout time.Duration, done func(any, error)) {
	n.ask(&parcel{to: a, msg: msg}, timeout, done)
}

// AskNode is Ask for a member itself. It is not sent to another when that one
// dies.
func (n *Node) AskNode(id string, msg proto.Message, timeout time.Duration, done func(any, error)) {
	n.ask(&parcel{node: id, msg: msg}, timeout, done)
}

// TellNode sends a message to a member itself.
func (n *Node) TellNode(id string, msg proto.Message) error {
	return n.place(&parcel{node: id, msg: msg})
}

// HandOver is Ask for a message that is part of a handoff: it goes to the new
// owner of the shard, which takes it before it serves the shard.
func (n *Node) HandOver(a Address, msg any, timeout time.Duration, done func(any, error)) {
	n.ask(&parcel{to: a, msg: msg, handoff: true}, timeout, done)
}

func (n *Node) ask(p *parcel, timeout time.Duration, done func(any, error)) {
	p.until = n.Now().Add(timeout)
	id, err := n.calls.add(done, p)
	if err != nil {
		done(nil, err)
		return
	}
	p.sender = n.callPID(id)
	if err := n.place(p); err != nil {
		n.calls.finish(id, nil, err)
	}
}

func (n *Node) callPID(id uint64) *actor.PID {
	return actor.NewPID(callSpace, n.Name+"/"+strconv.FormatUint(id, 10))
}

// Request is Ask for a goroutine that may wait: an HTTP handler, a tool. The
// caller's deadline bounds the wait.
func (n *Node) Request(ctx context.Context, a Address, msg any) (any, error) {
	return n.request(ctx, &parcel{to: a, msg: msg})
}

// RequestNode is AskNode for a goroutine that may wait.
func (n *Node) RequestNode(ctx context.Context, id string, msg proto.Message) (any, error) {
	return n.request(ctx, &parcel{node: id, msg: msg})
}

func (n *Node) request(ctx context.Context, p *parcel) (any, error) {
	type answer struct {
		msg any
		err error
	}
	got := make(chan answer, 1)
	timeout := 10 * time.Second
	if d, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(d), 0)
	}
	n.ask(p, timeout, func(m any, err error) { got <- answer{m, err} })
	select {
	case r := <-got:
		return r.msg, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// place brings a parcel one step further: into a mailbox of this node, into
// what waits for a handoff, or on its way to another node. An error means that
// it has gone nowhere.
func (n *Node) place(p *parcel) error {
	if n.closed.Load() {
		return ErrClosed
	}
	switch {
	case p.node != "":
		return n.placeNode(p)
	case p.caller != "":
		return n.answer(p)
	}
	shard := p.to.Shard()
	for range 3 { // the state may change under our hands
		if err := n.placeHere(p, shard); !errors.Is(err, errElsewhere) {
			return err
		}
		if st := n.shards.of(shard); p.handoff || (st == gone || st == yielding) && !n.standIn(shard) {
			break
		}
	}
	return n.placeThere(p, shard)
}

// placeHere returns errElsewhere where this node has nothing to do with the shard.
func (n *Node) placeHere(p *parcel, shard uint16) error {
	if p.handoff {
		return errElsewhere
	}
	switch n.shards.of(shard) {
	case served, held:
		return n.deliver(p)
	case taking:
		if kept, err := n.shards.keep(p); kept || err != nil {
			return err
		}
	case awaited:
		if holder := n.shards.holder(shard, p.from); holder != "" {
			if n.doubts.about(holder) { // it is about to be given up
				n.later(p)
				return nil
			}
			n.metrics.relayed.Inc()
			return n.forwardReachable(holder, p)
		}
	}
	return errElsewhere
}

// placeThere sends a parcel to the owner of its shard or who stands in for it;
// what is handed over goes to the owner only.
func (n *Node) placeThere(p *parcel, shard uint16) error {
	t := n.Table()
	to, owner, ok := n.doubts.first(t, shard)
	if p.handoff {
		to, ok = t.Owner(shard)
		owner = true
	}
	switch {
	case ok && to.ID != n.ID:
		p.standIn = !owner
		return n.forwardReachable(to.ID, p)
	case ok && p.handoff:
		return ErrMoved // the shard has come back to the one that hands it over
	}
	n.later(p)
	return nil
}

// forwardReachable is forward for a parcel that goes elsewhere if the member has
// come to be suspected in the meantime, unseen by who looked for calls to it.
func (n *Node) forwardReachable(to string, p *parcel) error {
	doubted := n.doubts.about(to)
	call := p.sender != nil && !p.handoff
	if err := n.forward(to, p); err != nil || doubted || !call || !n.doubts.about(to) {
		return err
	}
	if n.calls.owns(p) && p.backFrom(to) {
		return n.place(p)
	}
	return nil
}

// deliver gives the parcel to its actor's mailbox on this node.
func (n *Node) deliver(p *parcel) error {
	if err := p.decode(); err != nil {
		return err
	}
	return n.dir.deliver(p)
}

func (n *Node) forward(to string, p *parcel) error {
	r, err := p.routed(n.Now())
	if err != nil {
		return err
	}
	links := n.links.Load()
	if links == nil {
		return ErrNoRoute
	}
	p.at.Store(&to)
	err = (*links).Send(to, r)
	switch {
	case err == nil, !p.back(): // who has taken it back goes on with it
		return nil
	case errors.Is(err, ErrOverloaded):
		return err
	}
	if p.node != "" {
		return ErrMoved
	}
	n.later(p) // it is no peer yet, or no more
	return nil
}

func (n *Node) placeNode(p *parcel) error {
	if p.node != n.ID {
		return n.forward(p.node, p)
	}
	p.from = n.ID
	n.control(p)
	return nil
}

// Notify sends a state to endpoints of another gateway process. It is dropped,
// and found again by the gateway's own check, where that process is no longer a
// member.
func (n *Node) Notify(gateway string, m *messages.Notify) {
	links := n.links.Load()
	to, ok := n.Table().Member(topology.NodeOf(gateway))
	if links == nil || !ok || to.Name() != gateway || (*links).Notify(to.ID, m) != nil {
		n.metrics.dropped.Inc()
	}
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

// futureTimeout bounds a request that came by a PID of protoactor: its own
// deadline is not known here.
const futureTimeout = 10 * time.Second

func (v *virtual) SendUserMessage(pid *actor.PID, envelope any) {
	n := (*Node)(v)
	_, msg, sender := actor.UnwrapEnvelope(envelope)
	a, err := ParseAddress(pid.Id)
	if err != nil {
		n.metrics.dropped.Inc()
		return
	}
	p := &parcel{to: a, msg: msg}
	if sender == nil || sender.Address == callSpace {
		p.sender = sender
		if n.place(p) != nil {
			n.metrics.dropped.Inc()
		}
		return
	}
	n.ask(p, futureTimeout, func(answer any, err error) {
		if err != nil {
			answer = messages.StatusOf(err)
		}
		n.System.Root.Send(sender, answer)
	})
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
