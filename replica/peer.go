package replica

import "time"

// Times of comparing.
const (
	sweepEvery = 60 * time.Second
	roundTime  = time.Second            // how long an answer to Roots is waited for
	roundWait  = 500 * time.Millisecond // before the next round, when one brought nothing
	roundMax   = 5 * time.Second        // to which the wait doubles
	roundPace  = 50 * time.Millisecond  // between rounds at least
	tellWait   = 200 * time.Millisecond // from the reason for a Behind to its sending
	tellAgain  = time.Second            // doubles up to roundMax
)

// peer is another member in the current view. Of each shard of this member's
// sets it is in one of four states: compared (in none of todo and pulling), to
// be compared, asked for in the round under way, to be pulled.
type peer struct {
	name      Member
	suspected bool
	serial    uint64 // of its stay in this view, 0: not known
	greeted   bool   // it knows that this member is in this view

	covered bitset // what p had of these, after it was in this view, is on the disk here
	todo    bitset // to be compared
	pulling bitset // differ, are being pulled or wait for it
	doubt   bitset // covered, and differed in the last round: a change may have been on its way

	round  uint64 // under way; 0: none
	asked  Roots
	void   bitset        // of asked: the answer does not count
	since  time.Duration // when the last round began
	ask    time.Duration // when the next round is to begin, or the one under way is given up
	wait   time.Duration
	sweeps time.Duration // when all is to be compared again

	sweeping bool   // not yet through since all was to be compared
	mark     uint64 // what p said in the first answer since then
	marked   bool

	behind bitset        // p is to be told that it may have missed something
	told   time.Duration // when it is to be told
	again  time.Duration

	proved []uint64 // per shard that p is not to hold: the digest up to which all is here; nil: none
}

func (p *peer) due() time.Duration {
	due := never
	switch {
	case p.round != 0 || p.toAsk():
		due = p.ask
	case p.sweeps != 0 && p.pulling.empty():
		due = p.sweeps
	}
	if !p.behind.empty() {
		due = min(due, p.told)
	}
	return due
}

// toAsk says whether a round is wanted: at least one in each view, so that p
// hears of this member's coming.
func (p *peer) toAsk() bool { return !p.greeted || !p.todo.empty() }

// soon lets the next round begin, unless one is under way.
func (p *peer) soon(now time.Duration) {
	if p.round == 0 {
		p.ask = max(now, min(p.ask, p.since+roundPace))
		p.wait = roundWait
	}
}

// sweep begins to compare all that this member is to hold with a peer.
func (m *Machine) sweep(p *peer) {
	p.todo = m.view.mine
	p.sweeps = 0
	if !p.todo.empty() {
		p.sweeps = m.elapsed + m.jitter(sweepEvery)
		p.sweeping, p.marked = true, false
	}
	p.wait = roundWait
	p.ask = m.elapsed
	m.tickPeer(p)
}

func (m *Machine) tickPeer(p *peer) {
	switch {
	case p.round != 0:
		if p.ask <= m.elapsed {
			p.round = 0
			m.backOff(p)
		}
	case p.toAsk():
		if p.ask <= m.elapsed {
			m.startRound(p)
		}
	case p.sweeps != 0 && p.sweeps <= m.elapsed && p.pulling.empty():
		m.sweep(p)
	}
	m.tellPeer(p)
}

// backOff lets the next round wait longer than the last.
func (m *Machine) backOff(p *peer) {
	p.ask = m.elapsed + m.jitter(p.wait)
	p.wait = min(2*p.wait, roundMax)
}

// startRound asks whether p has something else of the shards that are to be
// compared. Those of which no digest is known here yet wait.
func (m *Machine) startRound(p *peer) {
	n := p.todo.count()
	asked := Roots{View: m.view.serial, Table: m.view.table, Shards: make([]uint16, 0, n), Roots: make([]uint64, 0, n)}
	for s := range p.todo.all {
		if root, known := m.cfg.Digests.Root(s); known && !m.surplus.dropping.has(s) {
			asked.Shards = append(asked.Shards, s)
			asked.Roots = append(asked.Roots, root)
		}
	}
	p.since = m.elapsed
	if len(asked.Shards) == 0 && p.greeted {
		m.backOff(p)
		return
	}
	asked.Round = m.id()
	p.round, p.asked, p.void = asked.Round, asked, bitset{}
	p.ask = m.elapsed + roundTime
	m.send(p.name, asked)
}

// onRoots answers with what differs here.
func (m *Machine) onRoots(from Member, r *Roots) {
	d := Differs{Round: r.Round, View: m.view.serial, Table: m.view.table}
	if len(r.Shards) != len(r.Roots) || len(r.Shards) > Shards {
		return
	}
	if r.Table != d.Table && !m.cfg.bugs.anyTable {
		m.send(from, d)
		return
	}
	d.Mark = m.cfg.Digests.Mark()
	p := m.view.byName[from]
	for i, s := range r.Shards {
		if s >= Shards {
			continue
		}
		if p != nil {
			p.behind.remove(s)
		}
		switch root, known := m.cfg.Digests.Root(s); {
		case !known:
			d.Unknown = append(d.Unknown, s)
		case root != 0 && root != r.Roots[i]:
			d.Shards = append(d.Shards, s)
			d.Roots = append(d.Roots, root)
		}
	}
	m.send(from, d)
	if p != nil {
		m.met(p, r.View)
		p.soon(m.elapsed)
		m.tickPeer(p)
	}
}

// met notes in which stay in this view p is. If it has been in another view
// meanwhile, it may have got there what nothing here tells of. Whatever it said
// in an earlier stay does not count: met returns false then.
func (m *Machine) met(p *peer, serial uint64) bool {
	switch {
	case serial < p.serial:
		return false
	case p.serial != 0 && serial > p.serial && !m.cfg.bugs.noSerial:
		for s := range m.view.mine.all {
			m.uncover(p, s)
		}
	}
	p.serial = serial
	return true
}

// onDiffers ends a round.
func (m *Machine) onDiffers(from Member, d *Differs) {
	p := m.view.byName[from]
	if p == nil || p.round == 0 || d.Round != p.round {
		return
	}
	p.round = 0
	if d.Table != m.view.table && !m.cfg.bugs.anyTable || !m.met(p, d.View) {
		m.backOff(p)
		return
	}
	p.greeted = true
	if !p.marked {
		p.marked, p.mark = true, d.Mark
	}
	listed, unknown := bitsOf(d.Shards), bitsOf(d.Unknown)
	open := p.todo.count()
	for i, s := range p.asked.Shards {
		switch {
		case !p.todo.has(s) || p.void.has(s) || unknown.has(s):
		case !listed.has(s):
			m.confirm(p, s)
			if root := p.asked.Roots[i]; root != 0 && m.view.outside(p, s) {
				p.prove(s, root)
			}
		case p.covered.has(s) && !p.doubt.has(s):
			p.doubt.add(s)
		default:
			p.todo.remove(s)
			p.pulling.add(s)
		}
	}
	voided := !p.void.empty()
	p.asked, p.void = Roots{}, bitset{}
	if p.todo.count() < open {
		p.wait = roundWait
	}
	m.backOff(p)
	if voided {
		p.soon(m.elapsed)
	}
	m.complete(p)
	m.tickPeer(p)
	m.tickPulls()
}

// confirm notes that all that p had of a shard is here.
func (m *Machine) confirm(p *peer, s uint16) {
	p.todo.remove(s)
	p.doubt.remove(s)
	if !p.covered.has(s) {
		p.covered.add(s)
		m.view.open[s]--
	}
}

func (p *peer) prove(s uint16, root uint64) {
	if p.proved == nil {
		p.proved = make([]uint64, Shards)
	}
	p.proved[s] = root
}

// uncover notes that p may have something of a shard of this member's that is
// not here. Answers under way do not count.
func (m *Machine) uncover(p *peer, s uint16) {
	if p.covered.has(s) {
		p.covered.remove(s)
		m.view.open[s]++
	}
	p.doubt.remove(s)
	if p.pulling.has(s) {
		m.pulls.spoil(p, s)
		return
	}
	p.todo.add(s)
	if p.round != 0 {
		p.void.add(s)
		return
	}
	p.soon(m.elapsed)
}

// complete says so when a sweep is through.
func (m *Machine) complete(p *peer) {
	if !p.sweeping || !p.marked || !p.todo.empty() || !p.pulling.empty() {
		return
	}
	p.sweeping = false
	m.put(Complete{Peer: p.name, Mark: p.mark})
}

// tell lets another member that is to hold a shard compare it with this one.
func (m *Machine) tell(name Member, shard uint16) {
	p := m.view.byName[name]
	if p == nil || p.behind.has(shard) || m.view.outside(p, shard) {
		return
	}
	if p.behind.empty() {
		p.told, p.again = m.elapsed+tellWait, tellAgain
	}
	p.behind.add(shard)
	m.stale = true
}

// tellPeer repeats what p is to be told until p compares.
func (m *Machine) tellPeer(p *peer) {
	if p.behind.empty() || p.told > m.elapsed {
		return
	}
	var b Behind
	for s := range p.behind.all {
		b.Shards = append(b.Shards, s)
	}
	m.send(p.name, b)
	p.told = m.elapsed + m.jitter(p.again)
	p.again = min(2*p.again, roundMax)
}

func (m *Machine) onBehind(from Member, b *Behind) {
	p := m.view.byName[from]
	if p == nil {
		return
	}
	shards := bitsOf(b.Shards)
	for s := range shards.all {
		if m.view.mine.has(s) {
			m.uncover(p, s)
		}
	}
	m.tickPeer(p)
}
