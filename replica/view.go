package replica

import (
	"slices"
	"time"
)

// View is what membership says at one moment.
type View struct {
	Table   uint64                      // hash of the shard table, the same on members that assign shards alike
	Self    Member                      //
	Members []Member                    // live ones that may hold copies, this one among them
	Sets    func(shard uint16) []Member // who is to hold a shard, the owner first; empty: nobody. At most eight count
}

const maxSet = 8

// view is what the machine makes of a View.
type view struct {
	table  uint64
	serial uint64 // of this stay in it
	self   *peer
	peers  []*peer // the others
	byName map[Member]*peer
	sets   [][]*peer // by shard; this member is among them
	mine   bitset    // shards whose sets this member is in
	open   []int32   // by shard: peers towards which it is not covered, if it is one of mine
}

// set is empty for a shard that nobody is to hold, or that there is not.
func (v *view) set(shard uint16) []*peer {
	if int(shard) < len(v.sets) {
		return v.sets[shard]
	}
	return nil
}

// owner is nil for a shard that nobody is to hold.
func (v *view) owner(shard uint16) *peer {
	if set := v.set(shard); len(set) > 0 {
		return set[0]
	}
	return nil
}

func (v *view) outside(p *peer, shard uint16) bool { return !slices.Contains(v.set(shard), p) }

// SetView takes what membership says from now on. If it differs from before,
// this member compares all that it is to hold with every other again, whoever
// came or went: what was proven counts for one view only. Sets is called once
// for every shard and not kept.
func (m *Machine) SetView(now time.Time, v View) {
	m.at(now)
	old := m.view
	if old.table == v.Table && old.self.name == v.Self && old.same(v.Members) {
		return
	}
	next := newView(old, &v, m.cfg.shards)
	next.serial = m.id()
	m.view = next
	m.stale = true
	m.pulls.cancel()
	m.surplus.cancel(m.elapsed)
	if m.cfg.bugs.dropEarly {
		m.surplus.next = m.elapsed
	}
	m.resetCommits()
	m.resetGathers()
	for _, p := range m.view.peers {
		m.sweep(p)
	}
}

func (v *view) same(members []Member) bool {
	return len(members) == len(v.peers)+1 && !slices.ContainsFunc(members, func(name Member) bool {
		return name != v.self.name && v.byName[name] == nil
	})
}

func newView(old *view, v *View, shards uint16) *view {
	next := &view{table: v.Table, self: old.self, byName: make(map[Member]*peer, len(v.Members))}
	if old.self.name != v.Self {
		next.self = &peer{name: v.Self}
	}
	for _, name := range v.Members {
		if name == v.Self || next.byName[name] != nil {
			continue
		}
		p := &peer{name: name}
		if was := old.byName[name]; was != nil {
			p.suspected = was.suspected
		}
		next.peers = append(next.peers, p)
		next.byName[name] = p
	}
	next.sets, next.open = make([][]*peer, shards), make([]int32, shards)
	all := make([]*peer, 0, 3*int(shards))
	for s := range shards {
		from := len(all)
		all = next.appendSet(all, v.Sets(s))
		next.sets[s] = all[from:len(all):len(all)]
		if slices.Contains(next.sets[s], next.self) {
			next.mine.add(s)
			next.open[s] = int32(len(next.peers))
		}
	}
	return next
}

func (v *view) appendSet(all []*peer, names []Member) []*peer {
	from := len(all)
	for _, name := range names {
		p := v.byName[name]
		if name == v.self.name {
			p = v.self
		}
		if p != nil && len(all)-from < maxSet && !slices.Contains(all[from:], p) {
			all = append(all, p)
		}
	}
	return all
}

// holds says whether this member is to hold a shard.
func (m *Machine) holds(shard uint16) bool { return shard < Shards && m.view.mine.has(shard) }

// Settled says whether this member owns a shard and surely has all of it that
// any live member had. Then its own copy of a user is enough.
func (m *Machine) Settled(shard uint16) bool {
	return m.view.owner(shard) == m.view.self && m.view.open[shard] == 0
}

// Suspect says that a member does not answer, or answers again. A suspected one
// is neither gathered from nor pulled from.
func (m *Machine) Suspect(now time.Time, member Member, suspected bool) {
	m.at(now)
	p := m.view.byName[member]
	if p == nil || p.suspected == suspected {
		return
	}
	p.suspected = suspected
	m.stale = true
	if suspected {
		m.giveUpOn(p)
		return
	}
	p.soon(m.elapsed)
}

// Unsettle forgets that this member has what others have of shards.
func (m *Machine) Unsettle(now time.Time, shards ...uint16) {
	m.at(now)
	m.stale = true
	for _, s := range shards {
		if m.holds(s) {
			for _, p := range m.view.peers {
				m.uncover(p, s)
			}
		}
	}
}

// UnsettleAll is Unsettle for every shard: this process was stopped for a while.
func (m *Machine) UnsettleAll(now time.Time) {
	m.at(now)
	m.stale = true
	for s := range m.view.mine.all {
		for _, p := range m.view.peers {
			m.uncover(p, s)
		}
	}
}
