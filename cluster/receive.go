package cluster

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"rollcall/messages"
)

// Receive takes an envelope of a member. It runs in the goroutine that reads
// the peer's stream and never blocks it. What cannot be taken goes back to the
// sender, which has, or will have, the newer table.
func (n *Node) Receive(from string, e *messages.Envelope) {
	n.hear(e.Epoch, e.Table)
	for _, r := range e.Routed {
		if e.Sent >= lateAfter && n.doubtful(r) {
			n.tooLate(from, r)
			continue
		}
		n.receive(from, r)
	}
	for _, r := range e.Returned {
		n.returned(from, r, e.Epoch)
	}
	for _, m := range e.Notifies {
		if n.hooks.Notify != nil {
			n.hooks.Notify(m)
		}
	}
}

// lateAfter is below the time after which a sender asks somebody else, in ms.
const lateAfter = 250

// doubtful says whether a late message may have been answered elsewhere while it
// was under way, and may undo now what came after it. The second time it is taken,
// so that a slow network does not send everything to and fro.
func (n *Node) doubtful(r *messages.Routed) bool {
	return r.ReplyNode != "" && r.Actor != nodeActor && r.Actor != "" && !r.Handoff && !r.Wanted
}

// tooLate asks the sender whether a message is still wanted: it is sent again if
// so.
func (n *Node) tooLate(from string, r *messages.Routed) {
	n.metrics.late.Inc()
	r.Owner = ""
	links := n.links.Load()
	if links == nil || (*links).Return(from, r) != nil {
		n.metrics.dropped.Inc()
	}
}

// hear keeps epochs rising everywhere: nodes with the same table soon agree on
// its number, and the next one gets a higher.
func (n *Node) hear(epoch, hash uint64) {
	for {
		heard := n.heard.Load()
		if epoch <= heard || n.heard.CompareAndSwap(heard, epoch) {
			break
		}
	}
	if t := n.Table(); epoch <= t.Epoch || hash != t.Hash() {
		return
	}
	n.shards.mu.Lock() // no new table comes in between
	defer n.shards.mu.Unlock()
	if t := n.Table(); epoch > t.Epoch && hash == t.Hash() {
		newer := *t
		newer.Epoch = epoch
		n.table.Store(&newer)
	}
}

func (n *Node) receive(from string, r *messages.Routed) {
	p, err := n.unpack(from, r)
	if err != nil {
		n.skip(from, r.Type, err)
		return
	}
	switch r.Actor {
	case "":
		if err := p.decode(); err != nil {
			n.skip(from, r.Type, err)
			return
		}
		if r.ReplyNode == n.Name {
			n.answered(r.ReplyId, p.msg)
		}
	case nodeActor:
		n.control(p)
	default:
		if err := n.take(p, r); err != nil {
			n.skip(from, r.Type, err)
		}
	}
}

// take delivers a message for a shard that this node serves, keeps or relays
// it, and returns it otherwise.
func (n *Node) take(p *parcel, r *messages.Routed) error {
	shard := p.to.Shard()
	if p.hops >= maxHops {
		n.fail(p, ErrMoved)
		return nil
	}
	if p.handoff {
		n.shards.progress(shard)
	}
	err := errElsewhere
	switch state := n.shards.of(shard); {
	case state == awaited && p.handoff, state == taking && p.handoff, state == served, state == held && !p.handoff:
		err = n.deliver(p)
	case state == taking:
		var kept bool
		if kept, err = n.shards.keep(p); !kept && err == nil {
			err = errElsewhere
		}
	case state == awaited:
		p.hops++
		err = n.place(p)
	case p.standIn && !p.handoff:
		err = n.takeFor(p)
	}
	if errors.Is(err, errElsewhere) {
		n.sendBack(p, r)
		return nil
	}
	if err != nil && p.sender != nil {
		n.fail(p, err)
	}
	var refusal *messages.Error
	if errors.As(err, &refusal) {
		return nil // it was understood
	}
	return err
}

func (n *Node) sendBack(p *parcel, r *messages.Routed) {
	n.metrics.misrouted.Inc()
	if owner, ok := n.Table().Owner(p.to.Shard()); ok {
		r.Owner = owner.ID
	}
	links := n.links.Load()
	if links == nil || (*links).Return(p.from, r) != nil {
		n.metrics.dropped.Inc()
	}
}

// returned sends again what another node has not taken: at once to the owner
// that it knows, if its table is newer, else after a moment.
func (n *Node) returned(from string, r *messages.Routed, epoch uint64) {
	p, err := n.unpack("", r)
	if err != nil || r.Actor == "" || r.Actor == nodeActor {
		n.metrics.dropped.Inc()
		return
	}
	if r.Owner != "" { // else it was only late
		n.shards.refused(p.to.Shard(), from)
	}
	if r.ReplyNode == n.Name {
		if p = n.calls.takeBack(r.ReplyId, from); p == nil {
			return // it was answered, given up, or sent again
		}
		p.hops = r.Hops
	}
	p.wanted = r.Owner == ""
	t := n.Table()
	if _, known := t.Member(r.Owner); known && epoch > t.Epoch && r.Owner != n.ID && p.hops < 2 && !n.doubts.about(r.Owner) {
		p.hops++
		p.standIn = false
		if n.forwardReachable(r.Owner, p) == nil {
			return
		}
	}
	n.later(p)
}

// Undelivered takes back what was queued for a member that is no more. Calls of
// this node send theirs again by themselves.
func (n *Node) Undelivered(queued []*messages.Routed) {
	for _, r := range queued {
		if p, err := n.unpack("", r); err == nil && r.Actor != "" && r.Actor != nodeActor && r.ReplyNode != n.Name {
			n.later(p)
		} else if r.ReplyNode != n.Name {
			n.metrics.dropped.Inc()
		}
	}
}

// control handles a message to this node itself.
func (n *Node) control(p *parcel) {
	if err := p.decode(); err != nil {
		n.skip(p.from, p.name, err)
		return
	}
	msg, ok := p.msg.(proto.Message)
	if !ok {
		n.metrics.dropped.Inc()
		return
	}
	var reply func(proto.Message)
	if to := p.sender; to != nil {
		reply = func(m proto.Message) { (*answers)(n).SendUserMessage(to, m) }
	}
	switch m := msg.(type) {
	case *messages.HandoffBegin:
		state := n.onHandoffBegin(p.from, m)
		if state != 0 && n.hooks.Unsettled != nil {
			n.hooks.Unsettled(uint16(m.Shard))
		}
		n.replyState(reply, state)
	case *messages.HandoffEnd:
		n.replyState(reply, n.onHandoffEnd(p.from, m))
	case *messages.Holdings:
		n.replyHoldings(reply, n.onHoldings(p.from, m))
	default:
		if n.hooks.Control == nil {
			n.metrics.dropped.Inc()
			return
		}
		n.hooks.Control(p.from, msg, reply)
	}
}

func (n *Node) replyState(reply func(proto.Message), s uint32) {
	if reply != nil {
		reply(&messages.HandoffState{State: s})
	}
}

// replyHoldings answers with what this node holds itself, so that each of the
// two knows about the other whichever has the newer table first.
func (n *Node) replyHoldings(reply func(proto.Message), taken bool) {
	switch {
	case reply == nil:
	case taken:
		reply(n.holdings())
	default:
		reply(&messages.HandoffState{})
	}
}

// skip counts a message that this node does not understand: from a newer node,
// or rubbish.
func (n *Node) skip(from, name string, err error) {
	n.metrics.unknown.Inc()
	n.log.Warn("skipped a message from another node", "from", from, "type", cut(name), "err", err)
}

// cut bounds what a peer can make us log.
func cut(s string) string {
	if len(s) > 128 {
		return s[:128]
	}
	return s
}
