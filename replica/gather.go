package replica

import (
	"slices"
	"time"
)

const (
	// gatherTime is how long a gather waits for the members that it asked.
	gatherTime = 500 * time.Millisecond
	// lateTime is how long answers that come after that are still taken.
	lateTime   = 10 * time.Second
	maxGathers = 1 << 16
)

// fetch is the asking of members for one user.
type fetch struct {
	id          uint64 // of its messages
	gather      uint64 // of the caller; 0: Done is out, or another fetch is to bring it
	shard       uint16
	user        User
	waiting     []*peer // have not answered
	absorbing   int     // answers that are being written
	provisional bool
	place       link[*fetch] // by deadline, in gathers.waiting or gathers.late
}

type gathers struct {
	byFetch map[uint64]*fetch
	waiting line[*fetch]
	late    line[*fetch]
}

func (g *gathers) init() { g.byFetch = map[uint64]*fetch{} }

func (g *gathers) due() time.Duration { return min(g.waiting.due(), g.late.due()) }

// Gather asks every member that may know more of a user than this one. Done
// ends it, at the latest after half a second. The id is as that of Commit. A
// member that does not own the shard by its own view asks the whole set: what
// the owner has committed since the last comparison may have missed it.
func (m *Machine) Gather(now time.Time, id uint64, shard uint16, user User) {
	m.at(now)
	if shard >= Shards || len(m.gathers.byFetch) >= maxGathers || m.cfg.bugs.noGather {
		m.put(Done{ID: id, Provisional: !m.cfg.bugs.noGather})
		return
	}
	m.ask(&fetch{gather: id, shard: shard, user: user}, m.elapsed+gatherTime)
}

func (m *Machine) ask(f *fetch, deadline time.Duration) {
	f.id = m.id()
	stranger := m.view.owner(f.shard) != m.view.self && !m.cfg.bugs.ownerOnly
	outside := !m.view.mine.has(f.shard)
	for _, p := range m.view.peers {
		switch {
		case !outside && p.covered.has(f.shard) && (!stranger || m.view.outside(p, f.shard)):
		case p.suspected:
			f.provisional = true
		default:
			f.waiting = append(f.waiting, p)
			m.send(p.name, Fetch{ID: f.id, Shard: f.shard, User: f.user})
		}
	}
	f.place.of = f
	m.gathers.byFetch[f.id] = f
	m.gathers.waiting.add(&f.place, deadline)
	m.checkFetch(f)
}

// checkFetch ends a gather when all has come, and forgets it when nothing more
// will.
func (m *Machine) checkFetch(f *fetch) {
	if f.absorbing > 0 || slices.ContainsFunc(f.waiting, func(p *peer) bool { return !p.suspected }) {
		return
	}
	if len(f.waiting) > 0 {
		if f.place.in != nil && f.gather != 0 {
			m.retire(f)
		}
		return
	}
	m.endGather(f)
	delete(m.gathers.byFetch, f.id)
}

// endGather puts Done out. What has not come may still come.
func (m *Machine) endGather(f *fetch) {
	f.place.leave()
	if f.gather == 0 {
		return
	}
	m.put(Done{ID: f.gather, Provisional: f.provisional || len(f.waiting) > 0 || f.absorbing > 0})
	f.gather = 0
}

func (m *Machine) onCopy(from Member, c Copy) {
	f := m.gathers.byFetch[c.ID]
	if f == nil {
		return
	}
	i := slices.IndexFunc(f.waiting, func(p *peer) bool { return p.name == from })
	if i < 0 {
		return
	}
	f.waiting = slices.Delete(f.waiting, i, i+1)
	if c.OK {
		f.absorbing++
		m.absorb(absorb{kind: absorbCopy, shard: f.shard, from: from, fetch: f}, c.Data)
		return
	}
	f.provisional = true
	m.checkFetch(f)
}

func (m *Machine) wroteCopy(f *fetch, ok bool) {
	f.absorbing--
	if !ok {
		f.provisional = true
	}
	m.checkFetch(f)
}

func (m *Machine) expireGathers() {
	for m.gathers.waiting.due() <= m.elapsed {
		m.retire(m.gathers.waiting.first.of)
	}
	for m.gathers.late.due() <= m.elapsed {
		f := m.gathers.late.first.of
		f.place.leave()
		f.waiting = nil
		m.checkFetch(f)
	}
}

// retire ends the gather of a fetch, and keeps the fetch for late answers.
func (m *Machine) retire(f *fetch) {
	m.endGather(f)
	m.gathers.late.add(&f.place, m.elapsed+lateTime)
}

// giveUpOn ends the waiting for a member that is suspected.
func (m *Machine) giveUpOn(p *peer) {
	for k := m.gathers.waiting.first; k != nil; {
		f := k.of
		k = k.next
		if slices.Contains(f.waiting, p) {
			m.checkFetch(f)
		}
	}
}

// resetGathers asks anew in a new view: who is to be asked has changed, and what
// was answered before may lack what came since.
func (m *Machine) resetGathers() {
	var again []*fetch
	for k := m.gathers.waiting.first; k != nil; k = k.next {
		again = append(again, k.of)
	}
	for _, f := range again {
		next := &fetch{gather: f.gather, shard: f.shard, user: f.user}
		deadline := f.place.at
		f.gather = 0
		m.retire(f)
		m.checkFetch(f)
		m.ask(next, deadline)
	}
}
