package peers

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/cluster/complaints"
	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/wheel"
)

// Protocol is the version of the envelopes that this node writes. It reads
// those from minProtocol up and skips what newer ones add.
const (
	Protocol    = 1
	minProtocol = 1
)

// Config of Start. Only Credentials may be missing.
type Config struct {
	System      *actor.ActorSystem // not started remotely before
	Cluster     string
	Self        topology.Member // Addr is ignored: it follows from Bind
	Bind        string          // host:port; port 0 is a free one
	Credentials *Credentials    // nil: no encryption, on loopback addresses only
	Log         *slog.Logger
	Wheel       *wheel.Wheel
	Now         func() time.Time
	Registerer  prometheus.Registerer
	Hooks
}

// Hooks are what Peers asks of its owner. None may block.
type Hooks struct {
	// Header is the epoch and the hash of the owner's table, for each envelope.
	Header func() (epoch, table uint64)
	// Receive takes the envelopes of a member, in the order in which it sent
	// them, one at a time. The envelope belongs to it; its Sent has become how many
	// ms later it came than the peer's fastest ones.
	Receive func(from string, e *messages.Envelope)
	// Lost says that messages to or from a member have gone astray.
	Lost func(peer string)
	// Met says that a member's process was connected to for the first time, so its
	// certificate is good. It may be nil.
	Met func(peer string)
	// Suspect says that a member does not answer: its connection broke, or it has
	// acknowledged nothing for 300 ms; false when it does again, or is a member no
	// more. It is called in order for each member. It may be nil.
	Suspect func(peer string, suspected bool)
	// Undelivered gives back what was queued for a member that is no more, or
	// for its former process. It is called by SetMembers.
	Undelivered func(to string, queued []*messages.Routed)
}

// Peers are the other members and the way to them.
type Peers struct {
	config     Config
	wire       wire
	complaints *complaints.Log
	metrics    *metrics
	streams    atomic.Uint64 // the newest number of a stream: they rise over all peers
	roster     atomic.Pointer[roster]
	inbound    inbounds
	strangers  strangers
	started    time.Time
	closing    atomic.Bool
	closed     sync.Once
	done       chan struct{} // closed when nobody is listened to any more
	transport  *transport    // nil in tests that bring a wire of their own
}

// wire carries frames to an address and drops the connection to it.
type wire struct {
	deliver func(addr string, f *messages.Frame)
	cut     func(addr string)
}

// roster is an immutable list of the other members.
type roster struct {
	byID    map[string]*peer
	byAddr  map[string]*peer
	changed chan struct{} // closed when there is a newer one
}

type peer struct {
	member topology.Member
	out    *outbox
	in     *inbound
}

// Status of one peer. Sent, Shed, Coalesced and Lost count messages and states
// since the peer's process became a member, Suspicions how often it was suspected;
// InFlight counts envelopes.
type Status struct {
	ID          string `json:"id"`
	State       string `json:"state"`
	Queued      int    `json:"queued"`
	QueuedBytes int    `json:"queuedBytes"`
	InFlight    int    `json:"inFlight"`
	Sent        uint64 `json:"sent"`
	Shed        uint64 `json:"shed"`
	Coalesced   uint64 `json:"coalesced"`
	Suspected   bool   `json:"suspected"`
	Suspicions  uint64 `json:"suspicions"`
	Lost        uint64 `json:"lost"`
}

// Start opens the data port and makes this process a member of protoactor's
// cluster, alone until SetMembers. The address of the port is Addr. It is called
// once for an actor system, and once in a process: protoactor's remote sets
// gRPC's global logger.
func Start(c Config) (*Peers, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	p := newPeers(c)
	t, err := openTransport(p)
	if err != nil {
		return nil, err
	}
	p.config.Self.Addr = t.addr
	p.transport = t
	p.metrics.register(c.Registerer)
	return p, nil
}

func newPeers(c Config) *Peers {
	p := &Peers{config: c, done: make(chan struct{}), started: c.Now()}
	p.complaints = complaints.New(c.Log, c.Now)
	p.metrics = newMetrics(p)
	p.roster.Store(&roster{changed: make(chan struct{})})
	return p
}

// Addr is the host:port at which other members reach this one.
func (p *Peers) Addr() string { return p.config.Self.Addr }

// SetMembers makes a list of live members the one that is talked to. It is
// called by one goroutine. A list without this member is ignored, since
// protoactor would shut it out for good. New members get an outbox; what was
// queued for those that are gone comes back by Undelivered before the call ends.
func (p *Peers) SetMembers(list []topology.Member) {
	if p.closing.Load() {
		return
	}
	self := p.config.Self
	if !slices.ContainsFunc(list, func(m topology.Member) bool { return m.ID == self.ID }) {
		p.config.Log.Error("a list of members without this node was ignored", "members", len(list))
		return
	}
	old := p.roster.Load()
	now, fresh := p.admitAll(old, list)
	p.roster.Store(now)
	if p.transport != nil {
		p.transport.setMembers(now, list)
	}
	close(old.changed)
	for id, was := range old.byID {
		if is := now.byID[id]; is == nil || is.out != was.out {
			p.dismiss(id, was.out)
		}
	}
	for _, n := range fresh { // only now, so that a member is suspected by one process's outbox at a time
		go n.out.run()
		n.out.poke()
	}
}

// dismiss ends the outbox of a process that is no member any more.
func (p *Peers) dismiss(id string, o *outbox) {
	queued := o.close()
	if o.told {
		p.config.Suspect(id, false)
	}
	if len(queued) > 0 {
		p.config.Undelivered(id, queued)
	}
}

// admitAll makes the next roster; a peer whose process is the same is kept.
func (p *Peers) admitAll(old *roster, list []topology.Member) (now *roster, fresh []*peer) {
	now = &roster{byID: map[string]*peer{}, byAddr: map[string]*peer{}, changed: make(chan struct{})}
	for _, m := range list {
		if m.ID == p.config.Self.ID || m.Addr == "" {
			continue
		}
		was := old.byID[m.ID]
		if was == nil || was.member.Incarnation != m.Incarnation || was.member.Addr != m.Addr {
			was = &peer{out: newOutbox(p, m), in: p.inbound.of(m)}
			fresh = append(fresh, was)
		}
		n := &peer{member: m, out: was.out, in: was.in}
		now.byID[m.ID] = n
		if at := now.byAddr[m.Addr]; at == nil || at.member.Incarnation < m.Incarnation {
			now.byAddr[m.Addr] = n
		}
	}
	return now, fresh
}

// Send queues a message for a member: ErrNoPeer, ErrOverloaded, ErrTooLarge,
// ErrClosed. The message belongs to Peers from then on.
func (p *Peers) Send(to string, r *messages.Routed) error {
	o, err := p.outbox(to)
	if err != nil {
		return err
	}
	return o.put(r, false)
}

// Return is Send for a message that the member has sent here and that belongs
// elsewhere.
func (p *Peers) Return(to string, r *messages.Routed) error {
	o, err := p.outbox(to)
	if err != nil {
		return err
	}
	return o.put(r, true)
}

// Notify queues a state for a gateway. While it waits it gives way, endpoint by
// endpoint, to newer states of its publisher. The state belongs to Peers from
// then on; its list of endpoints may be shared and is not changed.
func (p *Peers) Notify(to string, n *messages.Notify) error {
	o, err := p.outbox(to)
	if err != nil {
		return err
	}
	return o.notify(n)
}

// age is how long this process runs, in ms, from 1.
func (p *Peers) age() uint64 {
	return uint64(max(p.config.Now().Sub(p.started).Milliseconds(), 0)) + 1
}

func (p *Peers) outbox(to string) (*outbox, error) {
	if p.closing.Load() {
		return nil, ErrClosed
	}
	if n := p.roster.Load().byID[to]; n != nil {
		return n.out, nil
	}
	return nil, ErrNoPeer
}

// HasMet says whether a member's present process was ever connected to.
func (p *Peers) HasMet(id string) bool {
	n := p.roster.Load().byID[id]
	return n != nil && n.out.met.Load()
}

// Status of every peer, by id.
func (p *Peers) Status() []Status {
	byID := p.roster.Load().byID
	all := make([]Status, 0, len(byID))
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		all = append(all, byID[id].out.status())
	}
	return all
}

// flushTime is how long Close waits for what is queued.
const flushTime = time.Second

// Close sends what is queued, for a second at most, and ends every connection
// and goroutine, within five. No hook is called once it has returned. It must
// not overlap with SetMembers.
func (p *Peers) Close() {
	p.closed.Do(func() {
		p.closing.Store(true)
		p.flush()
		close(p.done)
		for _, n := range p.roster.Load().byID {
			n.out.close()
		}
		if p.transport != nil {
			p.transport.close()
		}
	})
}

func (p *Peers) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	for {
		busy := false
		for _, n := range p.roster.Load().byID {
			s := n.out.status()
			busy = busy || s.State == stateNames[connected] && s.Queued+s.InFlight > 0
		}
		if !busy || !pause(ctx, 5*time.Millisecond) {
			return
		}
	}
}

// pause waits and says whether the context still holds.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Config) validate() error {
	switch {
	case c.System == nil, c.Log == nil, c.Wheel == nil, c.Now == nil, c.Registerer == nil:
		return errors.New("peers: System, Log, Wheel, Now and Registerer are required")
	case c.Header == nil, c.Receive == nil, c.Lost == nil, c.Undelivered == nil:
		return errors.New("peers: every hook is required")
	case c.Self.ID == "" || c.Self.Incarnation == 0:
		return errors.New("peers: this member needs an id and an incarnation")
	}
	if err := validCluster(c.Cluster); err != nil {
		return err
	}
	return validBind(c.Bind, c.Credentials != nil)
}
