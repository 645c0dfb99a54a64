package copies

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"rollcall/cluster/complaints"
	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
	"rollcall/replica"
	"rollcall/wheel"
)

// Config of Copies. Disk, Node, Self, Wheel and Now are required.
type Config struct {
	Disk       Disk
	Node       uint64 // identity of the store
	Self       topology.Member
	Ack        int // nodes that must have a commit before it ends; 0: all that hold the user
	Min        int // nodes that must be there for a commit to be tried
	Wheel      *wheel.Wheel
	Now        func() time.Time
	Log        *slog.Logger          // nil: none
	Registerer prometheus.Registerer // nil: no metrics
}

// orders is how many locks the shards share, a power of two.
const orders = 64

// Copies is this node's part in keeping copies. All methods may be called from
// any goroutine.
type Copies struct {
	cfg     Config
	metrics *metrics
	out     sender
	reads   readers
	view    atomic.Pointer[view]
	merged  func(persistence.Commit)
	running sync.WaitGroup

	// order is held while the commits of a shard are numbered, given to the disk
	// and queued for the others, so that all get them in one order. No callback
	// is called with it held.
	order [orders]sync.Mutex

	mu      sync.Mutex // of the machine and all below; held for no callback and no I/O
	machine *replica.Machine
	lastID  uint64
	commits map[uint64]*commit
	gathers gathers
	closing bool          // nothing new is taken
	closed  bool          // everything has been answered
	idle    chan struct{} // closed when no commit is left, while closing

	timer wheel.Timer
	armed time.Time // the moment of timer; zero: not armed
	due   atomic.Bool
	low   low

	complaints *complaints.Log
}

// New makes Copies that serve this node alone, until SetTable.
func New(c Config) (*Copies, error) {
	if c.Disk == nil || c.Wheel == nil || c.Now == nil || c.Self.ID == "" {
		return nil, errors.New("copies: the configuration needs Disk, Wheel, Now and Self")
	}
	if c.Ack < 0 || c.Ack > topology.Replicas || c.Min < 0 || c.Min > topology.Replicas {
		return nil, errors.New("copies: a user is held by three nodes: Ack and Min must be 0 to 3")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	now := c.Now()
	r := &Copies{
		cfg: c, idle: make(chan struct{}), lastID: uint64(now.UnixNano()),
		commits: map[uint64]*commit{},
	}
	r.machine = replica.New(replica.Config{
		Ack: c.Ack, Min: c.Min, Digests: digests{c.Disk}, Seed: c.Node ^ r.lastID,
	}, now)
	r.complaints = complaints.New(c.Log, c.Now)
	r.gathers.init()
	r.timer.Target = (*ticks)(r)
	r.low.init(r)
	r.out.init()
	r.reads.init()
	table := topology.NewTable(0, []topology.Member{alone(c.Self)})
	r.view.Store(newView(table))
	var err error
	if r.metrics, err = newMetrics(c.Registerer, r); err != nil {
		return nil, err
	}
	r.SetTable(table)
	r.running.Go(r.run)
	r.reads.start(&r.running)
	return r, nil
}

// alone is a member as it serves without others.
func alone(m topology.Member) topology.Member {
	m.Roles |= topology.Presence
	m.Leaving = false
	return m
}

// digests shows the machine the store.
type digests struct{ disk Disk }

func (d digests) Root(shard uint16) (uint64, bool) { return d.disk.Root(shard) }
func (d digests) Mark() uint64                     { return d.disk.FeedMark() }

// Start gives the way to the other members, by id, and says who is told of
// foreign changes that were stored; merged may be called by any goroutine and
// must not block. It is called once, before the first SetTable.
func (c *Copies) Start(send func(to string, m proto.Message) error, merged func(persistence.Commit)) {
	c.mu.Lock()
	c.merged = merged
	c.mu.Unlock()
	c.out.connect(send)
}

// CommitPolicy stores a policy on this node only.
func (c *Copies) CommitPolicy(p presence.Policy, done func(error)) { c.cfg.Disk.CommitPolicy(p, done) }

// Policies are those stored on this node.
func (c *Copies) Policies() ([]presence.Policy, error) { return c.cfg.Disk.Policies() }

// step gives the machine an input and carries out what it wants done. No lock
// may be held.
func (c *Copies) step(in func(m *replica.Machine, now time.Time)) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	now := c.cfg.Now()
	in(c.machine, now)
	todo := c.take(now)
	c.mu.Unlock()
	c.carryOut(todo)
}

// ticks is Copies as the target of its timer.
type ticks Copies

// Fire is called by the wheel: the goroutine does the work.
func (t *ticks) Fire(*wheel.Timer, time.Time) {
	t.due.Store(true)
	t.out.poke()
}

// run sends what is queued and gives the machine the time.
func (c *Copies) run() {
	for range c.out.wake {
		if c.due.Swap(false) {
			c.step(func(m *replica.Machine, now time.Time) {
				c.armed = time.Time{}
				m.Tick(now)
			})
			c.low.look(c.cfg.Now())
		}
		c.flush()
		if c.out.ended() {
			return
		}
	}
}

// rearm sets the timer; called with mu held. A timer that fires too early does
// no harm, so it is only ever moved forward.
func (c *Copies) rearm() {
	next := c.machine.Next()
	if next.IsZero() || !c.armed.IsZero() && !next.Before(c.armed) {
		return
	}
	c.armed = next
	c.cfg.Wheel.Schedule(&c.timer, next)
}

// closeTime is how long commits under way may take to end when the node closes.
const closeTime = time.Second

// Close ends what is under way and waits for the goroutines. Commits that have
// not ended within a second end with messages.ErrUnconfirmed, later calls with
// messages.ErrClosing. The Disk must be open until then.
func (c *Copies) Close() {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		c.running.Wait()
		return
	}
	c.closing = true
	if len(c.commits) == 0 {
		close(c.idle)
	}
	c.mu.Unlock()
	patience := time.NewTimer(closeTime)
	defer patience.Stop()
	select {
	case <-c.idle:
	case <-patience.C:
	}
	c.mu.Lock()
	c.closed = true
	left, waiting := c.commits, c.gathers.clear()
	c.commits = nil
	c.mu.Unlock()
	for _, cm := range left {
		cm.done(0, messages.ErrUnconfirmed)
	}
	for _, then := range waiting {
		then(nil, messages.ErrClosing)
	}
	c.cfg.Wheel.Stop(&c.timer)
	c.low.stop()
	c.reads.close()
	c.out.close()
	c.running.Wait()
	c.metrics.close()
}
