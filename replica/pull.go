package replica

import (
	"slices"
	"time"
)

const (
	maxPulls = 4
	pageTime = 3 * time.Second // how long a page is waited for
	pullWait = time.Second     // after a failure
	// pullGuard is how long after a Pull a shard is not dropped: longer than a
	// member waits for a page.
	pullGuard = 10 * time.Second
)

// pull fills a shard from another member, page by page.
type pull struct {
	id        uint64
	peer      *peer
	shard     uint16
	begun     bool   // the first page is there
	root      uint64 // of the first page
	next      any
	absorbing bool
	spoilt    bool          // p has got something since that this pull may miss
	deadline  time.Duration // of the page
}

type pulls struct {
	active []*pull
	turn   int           // of the peers
	after  time.Duration // none begins before: the disk has refused something
}

func (l *pulls) due(m *Machine) time.Duration {
	due := never
	for _, q := range l.active {
		if !q.absorbing {
			due = min(due, q.deadline)
		}
	}
	if len(l.active) < maxPulls && l.after > m.elapsed {
		for _, p := range m.view.peers {
			if !p.pulling.empty() {
				due = min(due, l.after)
			}
		}
	}
	return due
}

func (l *pulls) cancel() { l.active = nil }

func (l *pulls) of(shard uint16) *pull {
	for _, q := range l.active {
		if q.shard == shard {
			return q
		}
	}
	return nil
}

func (l *pulls) spoil(p *peer, shard uint16) {
	if q := l.of(shard); q != nil && q.peer == p {
		q.spoilt = true
	}
}

func (m *Machine) tickPulls() {
	for _, q := range slices.Clone(m.pulls.active) {
		if !q.absorbing && q.deadline <= m.elapsed {
			m.endPull(q, false)
		}
	}
	m.startPulls()
}

// startPulls begins pulls in turn from all who have something, as many as may
// be under way. A shard is pulled from one member at a time.
func (m *Machine) startPulls() {
	idle := 0
	for len(m.pulls.active) < maxPulls && idle < len(m.view.peers) && m.pulls.after <= m.elapsed {
		m.pulls.turn++
		p := m.view.peers[m.pulls.turn%len(m.view.peers)]
		if q := m.nextPull(p); q != nil {
			idle = 0
			m.pulls.active = append(m.pulls.active, q)
			m.sendPull(q)
		} else {
			idle++
		}
	}
}

func (m *Machine) nextPull(p *peer) *pull {
	if p.suspected {
		return nil
	}
	for s := range p.pulling.all {
		if m.pulls.of(s) == nil {
			return &pull{peer: p, shard: s}
		}
	}
	return nil
}

func (m *Machine) sendPull(q *pull) {
	q.id = m.id()
	q.deadline = m.elapsed + pageTime
	m.send(q.peer.name, Pull{ID: q.id, Table: m.view.table, Shard: q.shard, After: q.next})
}

// onPull serves a page. A member in another view is not served: this one may
// have dropped what it had when they compared.
func (m *Machine) onPull(from Member, p *Pull) {
	if p.Shard >= Shards || p.Table != m.view.table && !m.cfg.bugs.anyTable {
		m.send(from, Page{ID: p.ID, Shard: p.Shard})
		return
	}
	if !m.view.mine.has(p.Shard) {
		m.surplus.pulled[p.Shard] = m.elapsed + pullGuard
	}
	m.put(ServePull{To: from, Pull: *p})
}

func (m *Machine) onPage(from Member, p *Page) {
	i := slices.IndexFunc(m.pulls.active, func(q *pull) bool { return q.id == p.ID })
	if i < 0 {
		return
	}
	q := m.pulls.active[i]
	if q.absorbing || q.peer.name != from || q.shard != p.Shard {
		return
	}
	if !p.OK {
		m.endPull(q, false)
		return
	}
	if !q.begun {
		q.begun, q.root = true, p.Root
	}
	q.next, q.absorbing = p.Next, true
	m.absorb(absorb{kind: absorbPage, shard: q.shard, from: from, pull: q}, p.Data)
}

func (m *Machine) wrotePage(q *pull, ok bool) {
	if !slices.Contains(m.pulls.active, q) {
		return
	}
	q.absorbing = false
	m.stale = true
	switch {
	case !ok:
		m.pulls.after = m.elapsed + m.jitter(pullWait)
		m.endPull(q, false)
	case q.next != nil:
		m.sendPull(q)
	default:
		m.endPull(q, true)
	}
}

// endPull takes a pull for over. After a failure both compare again: the other
// may be in another view by now.
func (m *Machine) endPull(q *pull, ok bool) {
	m.pulls.active = slices.DeleteFunc(m.pulls.active, func(o *pull) bool { return o == q })
	p, s := q.peer, q.shard
	p.pulling.remove(s)
	switch {
	case !ok:
		p.todo.add(s)
		if p.round == 0 {
			p.ask = max(p.ask, m.elapsed+m.jitter(pullWait))
		}
	case q.spoilt:
		p.todo.add(s)
		p.soon(m.elapsed)
	default:
		m.confirm(p, s)
		if m.view.outside(p, s) {
			p.prove(s, q.root)
		}
		m.recompare(p, s)
	}
	m.complete(p)
	m.stale = true
	m.startPulls()
}

// recompare lets other members from which a shard was to be pulled wait: they
// most likely have the same that has come from one.
func (m *Machine) recompare(from *peer, s uint16) {
	for _, p := range m.view.peers {
		if p == from || !p.pulling.has(s) {
			continue
		}
		p.pulling.remove(s)
		p.todo.add(s)
		if p.round == 0 {
			p.ask = max(m.elapsed, min(p.ask, p.since+2*roundPace))
		}
	}
}
