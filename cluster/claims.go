package cluster

import (
	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/presence"
)

// A node that gets a shard cannot know who has it: the last owner by its own
// tables may never have taken it over. So every two members tell each other what
// they have of shards that they do not own, under each new table, and a shard is
// served when it was handed over by all who have something of it, or when all
// have said that they have nothing.

// holdings is what this node has to hand over, under its current table.
func (n *Node) holdings() *messages.Holdings {
	s := &n.shards
	s.mu.Lock()
	defer s.mu.Unlock()
	var mine topology.Set
	for i := range s.state {
		if st := s.of(uint16(i)); st == held || st == yielding {
			mine.Add(uint16(i))
		}
	}
	return &messages.Holdings{Shards: mine.Bytes(), Table: n.Table().Hash()}
}

// onHoldings takes what another member has. It is false when that member has
// another table.
func (n *Node) onHoldings(from string, m *messages.Holdings) bool {
	theirs, err := topology.ParseSet(m.Shards)
	s := &n.shards
	s.mu.Lock()
	t := n.Table()
	peer, ok := t.Member(from)
	if err != nil || !ok || m.Table != t.Hash() {
		s.mu.Unlock()
		return false
	}
	s.claims[peer.Name()] = &theirs
	opened, kept := s.settle(t)
	s.mu.Unlock()
	n.announce(opened)
	for _, p := range kept {
		n.later(p)
	}
	return true
}

// settle goes on with the shards that wait, as far as members have said what
// they have; called with mu held. It returns what is served now without having
// been handed over, and messages that can go on to who serves their shard.
func (s *shards) settle(t *topology.Table) (opened topology.Set, kept []*parcel) {
	claimed, all := s.claimed(t)
	for shard, holder := range s.from {
		claim := s.claims[holder]
		if s.node.doubts.about(topology.NodeOf(holder)) {
			holder = "" // as if it were not there
			s.awaitWord(shard)
		}
		switch {
		case all && !claimed.Has(shard):
			s.serve(shard)
			opened.Add(shard)
		case holder != "" && (claim == nil || claim.Has(shard)):
			// it is as we thought
		case claimed.Has(shard):
			kept = append(kept, s.forget(shard)...)
			s.await(shard, awaited, s.claimant(shard))
		case holder != "":
			s.awaitWord(shard)
		}
	}
	return opened, kept
}

// claimed is what any member has, and whether all have said so; those that cannot
// be reached are not waited for.
func (s *shards) claimed(t *topology.Table) (set topology.Set, all bool) {
	all = true
	for i := range t.Members {
		m := &t.Members[i]
		c := s.claims[m.Name()]
		if s.node.doubts.about(m.ID) {
			continue
		}
		if c != nil {
			set.Join(c)
		} else if m.ID != s.node.ID && m.Roles&topology.Presence != 0 {
			all = false
		}
	}
	return set, all
}

// claimant is a member that has something of a shard, empty if none that can be
// reached has said so.
func (s *shards) claimant(shard uint16) (name string) {
	for n, c := range s.claims {
		if c.Has(shard) && (name == "" || n < name) && !s.node.doubts.about(topology.NodeOf(n)) {
			name = n
		}
	}
	return name
}

// onHandoffBegin answers 1 when the shard's messages are kept from now on, 2
// when what comes is merged into what is served, and 0 when this node does not
// know yet that the shard is its own, or of what the other has.
func (n *Node) onHandoffBegin(from string, m *messages.HandoffBegin) uint32 {
	if m.Shard >= presence.Shards {
		return 0
	}
	shard := uint16(m.Shard)
	s := &n.shards
	s.mu.Lock()
	defer s.mu.Unlock()
	peer, ok := n.Table().Member(from)
	if !ok {
		return 0
	}
	name := peer.Name()
	switch s.of(shard) {
	case served:
		return 2
	case awaited, taking:
		switch holder, claim := s.from[shard], s.claims[name]; {
		case holder == name || holder == "" || claim != nil && claim.Has(shard) && s.of(shard) == awaited:
			s.await(shard, taking, name)
			return 1
		case claim == nil:
			return 0
		case claim.Has(shard):
			return 1
		}
		return 2 // leftovers: the one that serves comes by itself
	}
	return 0
}

// onHandoffEnd serves a shard once nobody else has a part of it.
func (n *Node) onHandoffEnd(from string, m *messages.HandoffEnd) uint32 {
	if m.Shard < presence.Shards {
		for _, p := range n.shards.handedOver(uint16(m.Shard), from) {
			n.later(p)
		}
	}
	return 1
}

// handedOver returns messages for another member that has the shard as well.
func (s *shards) handedOver(shard uint16, from string) (kept []*parcel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.node.Table()
	peer, _ := t.Member(from)
	if c := s.claims[peer.Name()]; c != nil {
		c.Remove(shard)
	}
	if s.of(shard) != taking || s.from[shard] != peer.Name() {
		return nil
	}
	other := s.claimant(shard)
	switch _, all := s.claimed(t); {
	case other != "":
		kept = s.forget(shard)
		s.await(shard, awaited, other)
	case all:
		s.serve(shard)
	default:
		s.awaitWord(shard)
	}
	return kept
}
