package replica

import (
	"slices"
	"time"
)

const (
	// confirmTime is how long a commit waits for other members.
	confirmTime = 2 * time.Second
	maxCommits  = 1 << 17
)

// writeState is how far the local write of a commit is.
type writeState uint8

const (
	writing writeState = iota
	written
	refused
)

// commit is one under way.
type commit struct {
	id, delta uint64 // delta: id of the deltas, another one in each view
	shard     uint16
	user      User
	data      any
	set       []*peer
	acked     uint8 // bits of set: have it on the disk; this member's is written
	answered  uint8 // bits of set: have answered, or need not
	write     writeState
	done      bool
	place     link[*commit] // in no line any more: its time is over
}

type commits struct {
	byID    map[uint64]*commit
	byDelta map[uint64]*commit // those with other ids
	waiting line[*commit]
}

func (c *commits) init() {
	c.byID, c.byDelta = map[uint64]*commit{}, map[uint64]*commit{}
}

func (c *commits) due() time.Duration { return c.waiting.due() }

func (c *commits) ofDelta(id uint64) *commit {
	if id < own {
		return c.byID[id]
	}
	return c.byDelta[id]
}

// Commit begins to store data: Write here and a Delta to each other member of
// the shard's set. Done ends it. The id is the caller's: below 1<<63, and never
// used before, by an earlier process of this node neither.
func (m *Machine) Commit(now time.Time, id uint64, shard uint16, user User, data any) {
	m.at(now)
	set := m.view.set(shard)
	switch {
	case len(m.commits.byID) >= maxCommits || id >= own || m.commits.byID[id] != nil:
		m.put(Done{ID: id, Err: ErrBusy})
		return
	case len(set) == 0 || len(set) < m.cfg.Min:
		m.put(Done{ID: id, Err: ErrTooFew})
		return
	}
	c := &commit{id: id, delta: id, shard: shard, user: user, data: data, set: set}
	c.place.of = c
	m.commits.byID[id] = c
	m.commits.waiting.add(&c.place, m.elapsed+confirmTime)
	m.put(Write{ID: id, User: user, Data: data})
	var delta Message = Delta{ID: id, Shard: shard, User: user, Data: data}
	for i, p := range set {
		if p == m.view.self {
			c.answered |= 1 << i
			continue
		}
		m.send(p.name, delta)
	}
}

// enough is how many members of a set must have a commit.
func (m *Machine) enough(set int) int {
	if m.cfg.Ack == 0 {
		return max(set, m.cfg.Min)
	}
	return max(min(m.cfg.Ack, set), m.cfg.Min)
}

// check ends a commit that enough members have, and forgets one that nothing
// more will happen to.
func (m *Machine) check(c *commit) {
	copies, counted := 0, 0
	for i := range c.set {
		if c.acked&(1<<i) != 0 {
			counted++
		}
	}
	copies = counted
	if c.write == written && !slices.Contains(c.set, m.view.self) {
		copies++
	}
	if m.cfg.bugs.ackEarly && c.write == written {
		counted, copies = max(counted, m.enough(len(c.set))), max(copies, m.enough(len(c.set)))
	}
	over := c.place.in == nil
	switch {
	case c.done:
	case counted >= m.enough(len(c.set)):
		c.done = true
		m.put(Done{ID: c.id, Copies: copies})
	case over:
		c.done = true
		m.put(Done{ID: c.id, Err: ErrUnconfirmed, Copies: copies})
	}
	all := c.answered == uint8(1<<len(c.set)-1)
	if c.done && c.write != writing && (all || over) {
		m.forget(c)
	}
}

// forget lets members of the set that have not got the commit compare. This is
// the moment for it: what this disk has of it is there.
func (m *Machine) forget(c *commit) {
	for i, p := range c.set {
		if c.acked&(1<<i) == 0 {
			m.tell(p.name, c.shard)
		}
	}
	c.place.leave()
	delete(m.commits.byID, c.id)
	if c.delta != c.id {
		delete(m.commits.byDelta, c.delta)
	}
}

func (m *Machine) wroteCommit(id uint64, ok bool) {
	c := m.commits.byID[id]
	if c == nil || c.write != writing {
		return
	}
	if ok {
		c.write = written
		if i := slices.Index(c.set, m.view.self); i >= 0 {
			c.acked |= 1 << i
		} else {
			m.surplus.found(m.elapsed)
			m.stale = true
		}
	} else {
		c.write = refused
		for i, p := range c.set {
			if c.acked&(1<<i) != 0 {
				m.missed(p.name, c.shard)
			}
		}
	}
	m.check(c)
}

// missed is called when another member has something that the disk here has refused.
func (m *Machine) missed(from Member, shard uint16) {
	if p := m.view.byName[from]; p != nil && m.holds(shard) {
		m.uncover(p, shard)
		m.stale = true
	}
}

func (m *Machine) onAck(from Member, a Ack) {
	c := m.commits.ofDelta(a.ID)
	if c == nil || c.delta != a.ID {
		return
	}
	i := slices.IndexFunc(c.set, func(p *peer) bool { return p.name == from })
	if i < 0 || c.set[i] == m.view.self || c.acked&(1<<i) != 0 {
		return
	}
	c.answered |= 1 << i
	if a.OK {
		c.acked |= 1 << i
		if c.write == refused {
			m.missed(from, c.shard)
		}
	}
	m.check(c)
}

// expireCommits ends those whose time is over.
func (m *Machine) expireCommits() {
	for m.commits.due() <= m.elapsed {
		c := m.commits.waiting.first.of
		c.place.leave()
		m.check(c)
	}
}

// resetCommits places the commits under way in a new view: members of the set
// that have not got them get them again, one that has left it does not count.
func (m *Machine) resetCommits() {
	ids := make([]uint64, 0, len(m.commits.byID))
	for id := range m.commits.byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		c := m.commits.byID[id]
		m.resend(c)
		m.check(c)
	}
}

func (m *Machine) resend(c *commit) {
	was, acked := c.set, c.acked
	c.set, c.acked, c.answered = m.view.set(c.shard), 0, 0
	if c.delta != c.id {
		delete(m.commits.byDelta, c.delta)
	}
	c.delta = m.id()
	m.commits.byDelta[c.delta] = c
	for i, p := range c.set {
		bit := uint8(1) << i
		if p == m.view.self {
			c.answered |= bit
			if c.write == written {
				c.acked |= bit
			}
			continue
		}
		if j := slices.IndexFunc(was, func(q *peer) bool { return q.name == p.name }); j >= 0 && acked&(1<<j) != 0 {
			c.acked, c.answered = c.acked|bit, c.answered|bit
			continue
		}
		m.send(p.name, Delta{ID: c.delta, Shard: c.shard, User: c.user, Data: c.data})
	}
}

func (m *Machine) onDelta(from Member, d *Delta) {
	if d.Shard >= Shards || len(m.absorbs) >= maxAbsorbs {
		m.send(from, Ack{ID: d.ID})
		return
	}
	m.absorb(absorb{kind: absorbDelta, shard: d.Shard, from: from, id: d.ID}, d.Data)
}

// wroteDelta answers a delta. One that does not come from the owner comes from
// another view, or from a stand-in: who was to hold it there may be others.
func (m *Machine) wroteDelta(a *absorb, ok bool) {
	m.send(a.from, Ack{ID: a.id, OK: ok})
	if !ok {
		m.missed(a.from, a.shard)
		return
	}
	if owner := m.view.owner(a.shard); owner == nil || owner.name == a.from {
		return
	}
	for _, p := range m.view.set(a.shard) {
		if p.name != a.from {
			m.tell(p.name, a.shard)
		}
	}
}
