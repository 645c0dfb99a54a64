package cluster

import (
	"slices"

	"rollcall/cluster/topology"
	"rollcall/presence"
)

// SetMembers makes a list of live members, this node among them and sorted by
// id, the one that shards are assigned by. It is called by one goroutine. A
// list without this node is ignored: it would make the node forget itself.
func (n *Node) SetMembers(list []topology.Member) {
	old := n.Table()
	if !slices.ContainsFunc(list, func(m topology.Member) bool { return m.ID == n.ID }) {
		n.log.Error("a list of members without this node was ignored", "members", len(list))
		return
	}
	if topology.Same(old.Members, list) {
		return
	}
	t := topology.NewTable(0, list)
	c := Change{Table: t}
	left := map[string]bool{}
	for _, m := range old.Members {
		if now, ok := t.Member(m.ID); !ok || now.Name() != m.Name() {
			c.Gone = append(c.Gone, m.Name())
			left[m.ID] = true
		}
	}
	for _, m := range list {
		if was, ok := old.Member(m.ID); !ok || was.Name() != m.Name() {
			c.New = append(c.New, m.ID)
		}
	}
	if n.hooks.Assigning != nil {
		n.hooks.Assigning(t)
	}
	c.Lost = n.assign(old, t)
	n.log.Info("members", "epoch", t.Epoch, "live", len(list), "new", c.New, "gone", c.Gone,
		"own", t.Shards(n.ID), "lost", c.Lost.Len())
	if len(left) > 0 {
		n.calls.gone(left)
		n.doubts.renewed(left)
	}
	if n.hooks.Changed != nil {
		n.hooks.Changed(c)
	}
	n.moves.wake()
}

// assign gives every shard its state under a new table and returns those whose
// last owner is gone, whoever owns them now.
func (n *Node) assign(old, t *topology.Table) (lost topology.Set) {
	before := n.before(old, t)
	s := &n.shards
	var kept []*parcel
	s.mu.Lock()
	t.Epoch = max(n.Table().Epoch, n.heard.Load()) + 1
	n.table.Store(t)
	s.generation.Add(1)
	clear(s.claims)
	for i := range presence.Shards {
		shard := uint16(i)
		was, had := before.Owner(shard)
		now, alive := t.Member(was.ID)
		dead := had && (!alive || now.Name() != was.Name())
		if dead {
			lost.Add(shard)
		}
		owner, _ := t.Owner(shard)
		if owner.ID == n.ID {
			n.gain(shard, was, had && !dead, t)
		} else {
			kept = append(kept, n.lose(shard)...)
		}
	}
	s.mu.Unlock()
	for _, p := range kept {
		n.later(p)
	}
	return lost
}

// before is the table that shards are taken over from. One who joins takes them
// from those who have them without it.
func (n *Node) before(old, t *topology.Table) *topology.Table {
	if len(old.Members) > 0 {
		return old
	}
	others := slices.DeleteFunc(slices.Clone(t.Members), func(m topology.Member) bool { return m.ID == n.ID })
	return topology.NewTable(0, others)
}

// gain is called with the lock of the shards held. was owned the shard; there
// says whether it is still alive.
func (n *Node) gain(shard uint16, was topology.Member, there bool, t *topology.Table) {
	s := &n.shards
	s.standing.Remove(shard)
	switch s.of(shard) {
	case held:
		s.set(shard, served)
	case yielding: // who has the other part hands it back
		s.awaitWord(shard)
	case awaited, taking:
		name := s.from[shard]
		if holder, ok := t.Member(topology.NodeOf(name)); name != "" && (!ok || holder.Name() != name) {
			s.awaitWord(shard) // it may not have been the one that has it
		}
	case gone:
		switch {
		case !there || was.ID == n.ID:
			s.set(shard, served)
		case n.doubts.about(was.ID):
			s.awaitWord(shard) // somebody may stand in for it
		default:
			s.await(shard, awaited, was.Name())
		}
	}
}

// lose is called with the lock of the shards held; it returns messages that
// must go elsewhere.
func (n *Node) lose(shard uint16) []*parcel {
	s := &n.shards
	switch s.of(shard) {
	case served:
		s.set(shard, held)
	case awaited, taking: // part of it may be here
		was, kept := s.of(shard), s.forget(shard)
		if len(n.dir.release(shard, yielding)) == 0 && was == awaited {
			s.set(shard, gone)
		}
		return kept
	}
	return nil
}
