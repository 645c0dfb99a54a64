package peers

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/cluster/complaints"
	"rollcall/cluster/topology"
	"rollcall/messages"
)

// inbound is how far a peer's envelopes have been handled. It outlives the
// peer's membership, so that a member that was falsely given up does not get
// anything handled twice.
type inbound struct {
	incarnation uint64

	mu    sync.Mutex // held through Receive
	place place
	clock clock
}

// place is an envelope's in all that a peer sends.
type place struct{ stream, seq uint64 }

type inbounds struct {
	mu   sync.Mutex
	byID map[string]*inbound
}

const maxInbounds = 4096

func (b *inbounds) of(m topology.Member) *inbound {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := b.byID[m.ID]
	if in != nil && in.incarnation == m.Incarnation {
		return in
	}
	if b.byID == nil || len(b.byID) >= maxInbounds {
		b.byID = map[string]*inbound{} // members keep theirs: the roster holds it
	}
	in = &inbound{incarnation: m.Incarnation}
	b.byID[m.ID] = in
	return in
}

// ingress is the process that protoactor's remote hands frames to. It runs in
// the goroutine that reads the peer's stream.
type ingress struct{ peers *Peers }

const ingressName = "in"

func (g ingress) SendUserMessage(_ *actor.PID, envelope any) {
	_, msg, _ := actor.UnwrapEnvelope(envelope)
	f, ok := msg.(*messages.Frame)
	if !ok {
		g.peers.metrics.refuse("type")
		return
	}
	g.peers.receive(f.Envelope)
}

func (g ingress) SendSystemMessage(*actor.PID, any) { g.peers.metrics.refuse("type") }
func (g ingress) Stop(*actor.PID)                   { g.peers.metrics.refuse("type") }

// receive takes an encoded envelope from anybody.
func (p *Peers) receive(b []byte) {
	e, reason := decode(b)
	if reason != "" {
		p.refused("unknown", reason)
		return
	}
	n, reason := p.admit(e)
	if reason != "" {
		p.refused(e.From, reason)
		return
	}
	p.metrics.envelopes.Inc()
	n.out.acked(e.AckStream, e.Ack)
	if e.Gap {
		n.out.again()
	}
	if e.Seq != 0 {
		p.accept(n, e, len(b))
	}
}

// refused counts and logs an envelope that is not listened to.
func (p *Peers) refused(from, reason string) {
	p.metrics.refuse(reason)
	p.complaints.Say(from, "an envelope from another node was refused: "+refusals[reason])
}

// refusals are the reasons why an envelope is not listened to.
var refusals = map[string]string{
	"size":     "it is larger than 4 MiB",
	"decode":   "it cannot be read",
	"items":    "it holds more than 16,384 messages",
	"cluster":  "it is for another cluster",
	"protocol": "its protocol version is too old, upgrade that node",
	"self":     "it carries this node's own id: was a data directory copied?",
	"stale":    "it is from a process that has been replaced",
	"unknown":  "its sender is not a member",
}

func decode(b []byte) (e *messages.Envelope, reason string) {
	if len(b) > maxEnvelope {
		return nil, "size"
	}
	items, ok := countItems(b)
	if !ok {
		return nil, "decode"
	}
	if items > maxItems {
		return nil, "items"
	}
	e = &messages.Envelope{}
	if err := e.UnmarshalVT(b); err != nil {
		return nil, "decode"
	}
	return e, ""
}

// admit finds the member that an envelope is from, or says why it is refused.
func (p *Peers) admit(e *messages.Envelope) (n *peer, reason string) {
	switch {
	case e.Cluster != p.config.Cluster:
		return nil, "cluster"
	case e.Protocol < minProtocol:
		return nil, "protocol"
	case e.From == p.config.Self.ID:
		return nil, "self"
	}
	for {
		r := p.roster.Load()
		n := r.byID[e.From]
		switch {
		case n != nil && n.member.Incarnation == e.Incarnation:
			return n, ""
		case n != nil && n.member.Incarnation > e.Incarnation:
			return nil, "stale"
		case !p.strangers.wait(p.done, r, topology.Member{ID: complaints.Cut(e.From), Incarnation: e.Incarnation}, p.config.Now()):
			return nil, "unknown"
		}
	}
}

// accept hands an envelope over if it is the next one. One that was handled
// before is acknowledged again; one that comes too early makes the peer send it
// again with what is missing before it.
func (p *Peers) accept(n *peer, e *messages.Envelope, size int) {
	was, now := n.in.take(e, func() {
		e.Sent = n.in.clock.late(e.Sent, p.age())
		p.config.Receive(n.member.ID, e)
	})
	switch {
	case now.stream == e.Stream && now.seq < e.Seq, now.stream < e.Stream:
		p.metrics.early.Inc()
		n.out.missing()
	case now == was:
		p.metrics.duplicates.Inc()
		n.out.owe(now, size, true)
	default:
		n.out.owe(now, size, false)
		if was.stream != 0 && was.stream != now.stream {
			p.config.Lost(n.member.ID) // the peer has given something up
		}
	}
}

// take handles an envelope if it is the next one, and returns how far the
// peer's envelopes had been handled before and are now.
func (in *inbound) take(e *messages.Envelope, handle func()) (was, now place) {
	in.mu.Lock()
	defer in.mu.Unlock()
	was = in.place
	next := place{e.Stream, 1}
	if e.Stream == was.stream {
		next.seq = was.seq + 1
	}
	if e.Stream >= was.stream && e.Seq == next.seq {
		in.place = next
		handle()
	}
	return was, in.place
}
