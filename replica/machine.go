package replica

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Shards is how many parts the users are spread over.
const Shards = 4096

// Errors with which a commit ends.
var (
	ErrUnconfirmed = errors.New("replica: too few nodes have confirmed in time: the outcome is not known")
	ErrTooFew      = errors.New("replica: fewer nodes are there than must hold a copy")
	ErrBusy        = errors.New("replica: too much is under way: nothing was begun")
)

// Digests tells what the store has. Both must be quick.
type Digests interface {
	// Root is the digest of a shard, 0 for an empty one; false while it is not
	// known yet.
	Root(shard uint16) (root uint64, known bool)
	// Mark is a number of this node's own log of changes: none at or below it is
	// still to come.
	Mark() uint64
}

// Config of a Machine.
type Config struct {
	Ack     int // members that must have a commit before it ends; 0: all of its set
	Min     int // members that must be there for a commit to be tried
	Digests Digests
	Seed    uint64 // of jitter and of ids; another one for each process

	shards uint16 // fewer than Shards in tests
	bugs   bugs
}

// bugs are mistakes that the simulator must find.
type bugs struct {
	ackEarly  bool // a commit ends before another member has it
	dropEarly bool // a shard is dropped without asking
	noGather  bool // whoever takes over asks nobody
	anyTable  bool // answers of members in another view count
	ownerOnly bool // a stand-in gathers no more than an owner does
	noSerial  bool // a member that was in another view meanwhile is not compared anew
}

// Machine is one member's part of the protocol. Every input takes the time,
// which may jump: only its going forward counts. What is to be done because of
// an input is fetched by Take. One caller at a time.
type Machine struct {
	cfg     Config
	random  *rand.Rand
	nextID  uint64
	outputs []Output

	now     time.Time     // as the last input said
	elapsed time.Duration // how much it has gone forward since New
	wake    time.Duration // when something of peers, pulls or surplus is due
	stale   bool          // wake is to be found anew

	view    *view
	commits commits
	gathers gathers
	absorbs map[uint64]absorb
	pulls   pulls
	surplus surplus
}

const (
	never = time.Duration(1<<63 - 1)
	// own marks ids that the machine gave.
	own = 1 << 63
	// maxAbsorbs bounds the writes of deltas under way. The sender of more is
	// refused.
	maxAbsorbs = 1 << 16
)

// New makes a machine that knows nobody: give it a view.
func New(c Config, now time.Time) *Machine {
	if c.shards == 0 {
		c.shards = Shards
	}
	m := &Machine{cfg: c, now: now, random: rand.New(rand.NewPCG(c.Seed, 4)), absorbs: map[uint64]absorb{}}
	m.nextID = m.random.Uint64() | own
	m.view = &view{self: &peer{}}
	m.commits.init()
	m.gathers.init()
	m.surplus.init()
	m.wake = never
	return m
}

// id is one that was never given before, not by an earlier process either.
func (m *Machine) id() uint64 {
	m.nextID = (m.nextID + 1) | own
	return m.nextID
}

func (m *Machine) put(o Output) {
	if m.outputs == nil {
		m.outputs = make([]Output, 0, 8)
	}
	m.outputs = append(m.outputs, o)
}

func (m *Machine) send(to Member, msg Message) { m.put(Send{to, msg}) }

// Take returns what is to be done since the last Take. The slice is the
// caller's.
func (m *Machine) Take() []Output {
	out := m.outputs
	m.outputs = nil
	return out
}

// jitter is a time of about d, by a fifth more or less.
func (m *Machine) jitter(d time.Duration) time.Duration {
	return d - d/5 + time.Duration(m.random.Int64N(int64(2*d/5)+1))
}

// at takes the time of an input. What has become due by then is done first, so
// that nothing that comes too late is taken for an answer in time.
func (m *Machine) at(now time.Time) {
	if d := now.Sub(m.now); d > 0 {
		m.elapsed += d
	}
	m.now = now
	if m.elapsed >= m.due() {
		m.work()
	}
}

// Tick does what is due. Call it at Next; earlier and later ones do no harm.
func (m *Machine) Tick(now time.Time) { m.at(now) }

// Next is when Tick is wanted, by the time of the last input; zero: not before
// another input.
func (m *Machine) Next() time.Time {
	due := m.due()
	if due == never {
		return time.Time{}
	}
	return m.now.Add(max(due-m.elapsed, 0))
}

func (m *Machine) due() time.Duration {
	if m.stale {
		m.stale = false
		m.wake = min(m.pulls.due(m), m.surplus.due())
		for _, p := range m.view.peers {
			m.wake = min(m.wake, p.due())
		}
	}
	return min(m.wake, m.commits.due(), m.gathers.due())
}

// work does all that is due.
func (m *Machine) work() {
	m.stale = true
	m.expireCommits()
	m.expireGathers()
	for _, p := range m.view.peers {
		m.tickPeer(p)
	}
	m.tickPulls()
	m.tickSurplus()
}

// absorb is a write of what another member sent, or a drop.
type absorb struct {
	kind  absorbKind
	shard uint16
	from  Member
	id    uint64 // of the delta
	fetch *fetch
	pull  *pull
}

type absorbKind uint8

const (
	absorbDelta absorbKind = iota
	absorbCopy
	absorbPage
	absorbDrop
)

func (m *Machine) absorb(a absorb, data any) {
	id := m.id()
	m.absorbs[id] = a
	m.put(Absorb{ID: id, From: a.from, Shard: a.shard, Data: data})
}

// Wrote ends the Write, the Absorb or the Drop with this id: what it brought is
// on the disk, or was refused. Each of them must be ended, once.
func (m *Machine) Wrote(now time.Time, id uint64, ok bool) {
	m.at(now)
	if id < own {
		m.wroteCommit(id, ok)
		return
	}
	a, found := m.absorbs[id]
	if !found {
		return
	}
	delete(m.absorbs, id)
	if ok && !m.holds(a.shard) { // the view may have changed meanwhile
		m.surplus.found(m.elapsed)
		m.stale = true
	}
	switch a.kind {
	case absorbDelta:
		m.wroteDelta(&a, ok)
	case absorbCopy:
		m.wroteCopy(a.fetch, ok)
	case absorbPage:
		m.wrotePage(a.pull, ok)
	case absorbDrop:
		m.surplus.dropping.remove(a.shard)
		m.stale = true
	}
}

// Receive takes a message of another member. Rubbish is left out. A member that
// the view does not know is answered, but what it says of what it has does not
// count.
func (m *Machine) Receive(now time.Time, from Member, msg Message) {
	m.at(now)
	switch msg := msg.(type) {
	case Delta:
		m.onDelta(from, &msg)
		return
	case Ack:
		m.onAck(from, msg)
		return
	case Fetch:
		m.put(ServeFetch{To: from, ID: msg.ID, User: msg.User})
		return
	case Copy:
		m.onCopy(from, msg)
		return
	case Roots:
		m.onRoots(from, &msg)
	case Differs:
		m.onDiffers(from, &msg)
	case Pull:
		m.onPull(from, &msg)
	case Page:
		m.onPage(from, &msg)
	case Surplus:
		m.onSurplus(from, &msg)
	case Covered:
		m.onCovered(from, &msg)
	case Behind:
		m.onBehind(from, &msg)
	}
	m.stale = true
}

// Status counts what is under way. At rest all are zero.
type Status struct {
	Commits   int // that have not ended, or wait for the last members
	Gathers   int // that have not ended, or wait for late members
	Absorbs   int // writes of what others sent, and drops
	Pulls     int // shards that are being filled from another member, or wait for it
	Unsettled int // shards to be held here of which another member may know more
	Surplus   int // shards kept until others have all of them
	Untold    int // shards of which others are to be told that they may have missed something
}

// Status counts anew: it is not for every input.
func (m *Machine) Status() Status {
	s := Status{
		Commits: len(m.commits.byID), Gathers: len(m.gathers.byFetch), Absorbs: len(m.absorbs),
		Surplus: m.countSurplus(),
	}
	for _, n := range m.view.open {
		if n > 0 {
			s.Unsettled++
		}
	}
	for _, p := range m.view.peers {
		s.Pulls += p.pulling.count()
		s.Untold += p.behind.count()
	}
	return s
}
