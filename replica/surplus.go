package replica

import (
	"slices"
	"time"
)

const (
	// dropWait is how long a view must have lasted before a shard is dropped.
	dropWait    = 5 * time.Second
	surplusWait = 2 * time.Second // between rounds
	surplusMax  = 30 * time.Second
	maxDrops    = 64 // under way
)

// surplus is what this member has and is not to hold. It asks all who are to
// hold it, at one time, whether they have all of it; if all say yes it drops
// it. They may not rely on each other in a circle: who says yes is in the set
// by the same view, and drops nothing of it before it has been in another view
// for longer than an answer counts.
type surplus struct {
	next     time.Duration // never: nothing is known to be there
	wait     time.Duration
	round    uint64 // under way; 0: none
	until    time.Duration
	roots    map[uint16]uint64 // of the shards asked for
	yes      map[uint16][]*peer
	dropping bitset
	pulled   [Shards]time.Duration // until when a member that asks for pages may go on
}

func (s *surplus) init() {
	s.next, s.wait = never, surplusWait
}

func (s *surplus) due() time.Duration {
	if s.round != 0 {
		return s.until
	}
	return s.next
}

// cancel forgets what was asked in another view.
func (s *surplus) cancel(now time.Duration) {
	s.round, s.roots, s.yes = 0, nil, nil
	s.next, s.wait = now+dropWait, surplusWait
}

// found says that something was stored that is not to be held here.
func (s *surplus) found(now time.Duration) { s.next = min(s.next, now+dropWait) }

func (m *Machine) countSurplus() (n int) {
	for s := range m.cfg.shards {
		if m.view.mine.has(s) {
			continue
		}
		if root, known := m.cfg.Digests.Root(s); known && root != 0 {
			n++
		}
	}
	return n
}

func (m *Machine) tickSurplus() {
	s := &m.surplus
	if s.due() > m.elapsed {
		return
	}
	if s.round != 0 { // what has not been answered is asked again
		s.round, s.roots, s.yes = 0, nil, nil
		s.next = m.elapsed + m.jitter(s.wait)
		s.wait = min(2*s.wait, surplusMax)
		return
	}
	m.askSurplus()
}

// askSurplus begins a round. If there is nothing to ask for, none follows until
// something is found.
func (m *Machine) askSurplus() {
	s := &m.surplus
	s.next = never
	questions := map[*peer]*Surplus{}
	roots := map[uint16]uint64{}
	for shard := range m.cfg.shards {
		set := m.view.set(shard)
		if m.view.mine.has(shard) || len(set) == 0 {
			continue
		}
		root, known := m.cfg.Digests.Root(shard)
		if !known || root != 0 && (s.pulled[shard] > m.elapsed || s.dropping.has(shard)) {
			s.next = m.elapsed + m.jitter(surplusWait)
			continue
		}
		if root == 0 {
			continue
		}
		if m.cfg.bugs.dropEarly {
			m.drop(shard, root)
			continue
		}
		roots[shard] = root
		for _, p := range set {
			if questions[p] == nil {
				questions[p] = &Surplus{Table: m.view.table}
			}
			q := questions[p]
			q.Shards, q.Roots = append(q.Shards, shard), append(q.Roots, root)
		}
	}
	if len(roots) == 0 {
		return
	}
	s.round, s.until = m.id(), m.elapsed+roundTime
	s.roots, s.yes = roots, map[uint16][]*peer{}
	for _, p := range m.view.peers {
		if q := questions[p]; q != nil {
			q.Round = s.round
			m.send(p.name, *q)
		}
	}
}

// onSurplus says of which shards all is here. What is not is pulled, so that
// the answer is another one next time.
func (m *Machine) onSurplus(from Member, q *Surplus) {
	p := m.view.byName[from]
	if p == nil || q.Table != m.view.table || len(q.Shards) != len(q.Roots) || len(q.Shards) > Shards {
		return
	}
	answer := Covered{Round: q.Round, Table: q.Table}
	for i, s := range q.Shards {
		if s >= Shards || !m.view.mine.has(s) || !m.view.outside(p, s) || m.surplus.dropping.has(s) {
			continue
		}
		root, known := m.cfg.Digests.Root(s)
		switch {
		case known && root == q.Roots[i] || p.proved != nil && p.proved[s] == q.Roots[i]:
			answer.Shards = append(answer.Shards, s)
		case known && !p.todo.has(s):
			p.pulling.add(s)
		}
	}
	if len(answer.Shards) > 0 {
		m.send(from, answer)
	}
	m.startPulls()
}

func (m *Machine) onCovered(from Member, c *Covered) {
	s := &m.surplus
	p := m.view.byName[from]
	if p == nil || s.round == 0 || c.Round != s.round || c.Table != m.view.table {
		return
	}
	shards := bitsOf(c.Shards)
	for shard := range shards.all {
		root, asked := s.roots[shard]
		if !asked || m.view.outside(p, shard) || slices.Contains(s.yes[shard], p) {
			continue
		}
		s.yes[shard] = append(s.yes[shard], p)
		if len(s.yes[shard]) < len(m.view.set(shard)) {
			continue
		}
		delete(s.roots, shard)
		if s.pulled[shard] <= m.elapsed && !s.dropping.has(shard) && s.dropping.count() < maxDrops {
			m.drop(shard, root)
			s.wait = surplusWait
		}
	}
	if len(s.roots) == 0 {
		s.round, s.next = 0, m.elapsed+surplusWait
	}
}

func (m *Machine) drop(shard uint16, root uint64) {
	m.surplus.dropping.add(shard)
	id := m.id()
	m.absorbs[id] = absorb{kind: absorbDrop, shard: shard}
	m.put(Drop{ID: id, Shard: shard, Root: root})
}
