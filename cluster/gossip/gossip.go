package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/cluster/complaints"
	"rollcall/cluster/topology"
)

// Config of Start. Keys, Join, Expect and Transport may be missing.
type Config struct {
	Self       topology.Member // with the address of its data port
	Cluster    string
	Bind       string   // host:port, UDP and TCP; port 0 is a free one
	Keys       string   // file of base64 keys of 32 bytes, the one to use first; without it on loopback addresses only
	Join       []string // host:port, dns:name:port, or file:path with one of these on each line
	Expect     int      // members that Ready wants to see
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
	// Changed gets every new list of live members, sorted by id, this one among
	// them. One goroutine calls it, and waits for it.
	Changed   func([]topology.Member)
	Transport memberlist.Transport // nil: UDP and TCP at Bind; it is shut down by Close
}

// Gossip is this node's place among the members.
type Gossip struct {
	config     Config
	tuning     tuning
	name       string // memberlist's for this process
	addr       netip.AddrPort
	seeds      []seed
	keys       *keys      // nil without encryption
	dice       *rand.Rand // of seek only
	roster     roster
	complaints *complaints.Log
	metrics    *metrics
	list       *memberlist.Memberlist

	joined   atomic.Bool
	lastJoin atomic.Pointer[string] // why a search for members failed last
	dirty    chan struct{}          // the list may have changed
	told     chan struct{}          // this member's own description has changed

	ctx     context.Context
	stop    context.CancelFunc
	working sync.WaitGroup

	ending   sync.Mutex // held by Leave and Close
	leaving  atomic.Bool
	closed   bool
	announce sync.Mutex // memberlist's UpdateNode is not for two at a time
}

// Start opens the port and returns; the search for the seeds goes on in the
// background until one is reached.
func Start(c Config) (*Gossip, error) { return start(c, tuned) }

func start(c Config, t tuning) (*Gossip, error) {
	g, err := prepare(c, t)
	if err != nil {
		return nil, err
	}
	at, err := bindTo(c.Bind, g.keys != nil, t.lookup)
	if err != nil {
		return nil, err
	}
	if err := g.open(at); err != nil {
		return nil, err
	}
	g.metrics.register(c.Registerer)
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.working.Go(g.publish)
	g.working.Go(g.seek)
	g.working.Go(g.tell)
	if g.keys != nil {
		g.working.Go(g.rereadKeys)
	}
	if g.joined.Load() {
		g.touch()
	}
	return g, nil
}

func prepare(c Config, t tuning) (*Gossip, error) {
	if c.Log == nil || c.Registerer == nil || c.Now == nil || c.Changed == nil {
		return nil, errors.New("gossip: Log, Registerer, Now and Changed are required")
	}
	meta, err := encode(c.Cluster, c.Self)
	if err != nil {
		return nil, err
	}
	g := &Gossip{config: c, tuning: t, name: c.Self.Name(), dirty: make(chan struct{}, 1), told: make(chan struct{}, 1)}
	for _, s := range c.Join {
		parsed, err := parseSeed(s)
		if err != nil {
			return nil, err
		}
		g.seeds = append(g.seeds, parsed)
	}
	g.joined.Store(len(g.seeds) == 0)
	g.dice = rand.New(rand.NewPCG(cmp.Or(t.seed, rand.Uint64()), 0))
	if c.Keys != "" {
		if g.keys, err = openKeys(c.Keys); err != nil {
			return nil, err
		}
	}
	g.complaints = complaints.New(c.Log, c.Now)
	g.roster = roster{
		cluster: c.Cluster, now: c.Now, meta: meta, peers: map[string]*record{},
		self: Peer{Member: c.Self, State: Alive, Since: c.Now()},
	}
	g.metrics = newMetrics(g)
	return g, nil
}

// open starts memberlist.
func (g *Gossip) open(at netip.AddrPort) error {
	logs := &logs{
		log: g.config.Log, refuse: g.refuse, suspected: g.suspected,
		refuted: func() { g.metrics.refuted.Inc() },
	}
	transport, from := g.config.Transport, netip.Addr{}
	if transport == nil {
		port, err := openPort(at, logs)
		if err != nil {
			return err
		}
		transport, from = port, at.Addr()
	}
	door := newDoor(transport, from, g.refuse)
	logs.door.Store(door)
	ip, port, err := door.FinalAdvertiseAddr("", 0)
	if err != nil {
		return errors.Join(fmt.Errorf("gossip: %w", err), door.Shutdown())
	}
	known, _ := netip.AddrFromSlice(ip)
	g.addr = netip.AddrPortFrom(known.Unmap(), uint16(port))
	c := g.tuning.memberlist(g.addr)
	c.Name, c.Label, c.Transport, c.Logger = g.name, g.config.Cluster, door, logs.logger()
	if g.keys != nil {
		c.Keyring = g.keys.ring
	}
	d := delegate{g}
	c.Delegate, c.Events, c.Alive, c.Merge, c.Conflict, c.Ping = d, d, d, d, d, d
	g.roster.self.Gossip = g.addr.String()
	if g.list, err = memberlist.Create(c); err != nil {
		return errors.Join(fmt.Errorf("gossip: %w", err), door.Shutdown())
	}
	return nil
}

// Addr is the host:port at which other members reach this one's gossip.
func (g *Gossip) Addr() string {
	return net.JoinHostPort(g.addr.Addr().String(), strconv.Itoa(int(g.addr.Port())))
}

// Update changes this member's own description and gossips it. The id and the
// incarnation stay. What would be no valid description is logged and dropped.
func (g *Gossip) Update(f func(*topology.Member)) {
	if err := g.roster.update(f); err != nil {
		g.config.Log.Error("this member cannot be described so", "error", err)
		return
	}
	g.touch()
	wake(g.told)
}

// Leave tells the others that this member goes, and returns when one of them
// was told, or after the timeout with an error. It stays able to answer them
// until Close, which should follow. Later calls do nothing.
func (g *Gossip) Leave(timeout time.Duration) error {
	g.ending.Lock()
	defer g.ending.Unlock()
	if g.closed || g.leaving.Swap(true) {
		return nil
	}
	g.Update(func(m *topology.Member) { m.Leaving = true })
	if !g.alone() {
		if err := g.advertise(timeout / 3); err == nil {
			g.pause(min(2*g.tuning.spread, timeout/6))
		}
	}
	if err := g.list.Leave(max(timeout/3, time.Millisecond)); err != nil {
		return fmt.Errorf("gossip: nobody was told that this member leaves: %w", err)
	}
	g.roster.leave()
	if !g.alone() {
		g.pause(min(5*g.tuning.spread, timeout/6)) // it is told a few times: datagrams get lost
	}
	return nil
}

// Close ends everything without telling the others: Leave does that. It waits
// for the goroutines. Later calls do nothing.
func (g *Gossip) Close() error {
	g.stop()
	g.ending.Lock()
	defer g.ending.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	err := g.list.Shutdown()
	g.working.Wait()
	g.metrics.unregister(g.config.Registerer)
	return err
}

// publish calls Changed when the list has changed, soon after and once for what
// comes together.
func (g *Gossip) publish() {
	var last []topology.Member
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-g.dirty:
		}
		if last != nil && !g.pause(g.tuning.debounce) {
			return
		}
		select {
		case <-g.dirty:
		default:
		}
		if newer, ok := g.roster.successor(); ok {
			g.complaints.Fail(newer.Gossip, "a newer process of this node's store is a member: stop this one")
		}
		list := g.roster.members()
		if !g.joined.Load() || topology.Same(last, list) {
			continue
		}
		last = list
		g.metrics.changes.Inc()
		g.config.Changed(slices.Clone(list))
	}
}

// tell gossips this member's own description when it has changed.
func (g *Gossip) tell() {
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-g.told:
		}
		for !g.leaving.Load() && g.advertise(time.Second) != nil {
			// Nobody was told, or a refutation came between and memberlist dropped the update.
			if !g.pause(g.tuning.debounce) {
				return
			}
		}
	}
}

func (g *Gossip) advertise(timeout time.Duration) error {
	g.announce.Lock()
	defer g.announce.Unlock()
	return g.list.UpdateNode(max(timeout, time.Millisecond))
}

func (g *Gossip) rereadKeys() {
	last := ""
	for g.pause(g.tuning.rereadKeys) {
		err := g.keys.reload(g.config.Now())
		if err != nil && err.Error() != last {
			g.config.Log.Error("the keys stay as they were", "error", err)
		}
		last = ""
		if err != nil {
			last = err.Error()
		}
	}
}

func (g *Gossip) refuse(from, reason, why string) {
	g.metrics.refusals.WithLabelValues(reason).Inc()
	g.complaints.Say(from, "refused what came to the gossip port", "reason", reason, "why", complaints.Cut(why))
}

func (g *Gossip) suspected(name string) {
	g.metrics.suspicions.Inc()
	if g.roster.answered(name, false) {
		g.config.Log.Info("a member does not answer", "member", topology.NodeOf(name))
	}
}

func (g *Gossip) touch() { wake(g.dirty) }

// pause returns false if the node is closed first.
func (g *Gossip) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-g.ctx.Done():
		return false
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
