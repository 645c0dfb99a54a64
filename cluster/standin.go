package cluster

import (
	"rollcall/cluster/topology"
)

// While the owner of a shard cannot be reached the first member of its replica
// set that can be stands in for it. Whom a node cannot reach is its own opinion:
// one that is asked to stand in does so only if it shares it, and else asks the
// owner in the sender's place. Two that serve one shard are harmless, since all
// that they store is merged, but each change of owner costs its watchers a
// registration.

// standIn makes this node serve a shard in the place of members that it cannot
// reach. It is false where that is not its turn.
func (n *Node) standIn(shard uint16) bool {
	if to, owner, ok := n.doubts.first(n.Table(), shard); !ok || owner || to.ID != n.ID {
		return false
	}
	s := &n.shards
	s.mu.Lock()
	defer s.mu.Unlock()
	to, owner, _ := n.doubts.first(n.Table(), shard) // no new table comes in between
	if owner || to.ID != n.ID {
		return false
	}
	if st := s.of(shard); st == gone || st == yielding {
		s.set(shard, held)
		s.standing.Add(shard)
		n.metrics.standIns.Inc()
	}
	return true
}

// takeFor takes a message that could not be brought to the owner of its shard.
func (n *Node) takeFor(p *parcel) error {
	shard, t := p.to.Shard(), n.Table()
	if !t.Holds(shard, n.ID) {
		return errElsewhere
	}
	p.hops++
	if to, _, _ := n.doubts.first(t, shard); to.ID != n.ID {
		return n.relay(p, t, to)
	}
	return n.place(p)
}

// relay asks a member in the place of a sender that could not reach it. The
// question becomes a call of this node, so that it is asked elsewhere when this
// node comes to suspect that member as well.
func (n *Node) relay(p *parcel, t *topology.Table, to topology.Member) error {
	n.metrics.relayed.Inc()
	if p.sender == nil {
		owner, _ := t.Owner(p.to.Shard())
		p.standIn = to.ID != owner.ID
		return n.forward(to.ID, p)
	}
	left := futureTimeout
	if !p.until.IsZero() {
		left = p.until.Sub(n.Now())
	}
	q := &parcel{to: p.to, name: p.name, body: p.body, from: p.from, hops: p.hops}
	n.ask(q, left, func(answer any, err error) {
		if err != nil {
			n.fail(p, err)
			return
		}
		(*answers)(n).SendUserMessage(p.sender, answer)
	})
	return nil
}

// expectNothing ends the wait for what a member that cannot be reached has of
// shards of this node: they are served without it, and what it has is merged when
// it comes.
func (s *shards) expectNothing(id string) {
	s.mu.Lock()
	for shard, holder := range s.from {
		if topology.NodeOf(holder) == id {
			s.awaitWord(shard)
		}
	}
	opened, kept := s.settle(s.node.Table())
	s.mu.Unlock()
	s.node.announce(opened)
	for _, p := range kept {
		s.node.later(p)
	}
}
