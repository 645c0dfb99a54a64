package actors

import (
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"rollcall/cluster"
	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/wheel"
)

// What a gateway has registered with the owners lives in their memory and in
// its own. Both keep a sum per shard. Every minute a gateway sends its sums to
// the owners and hears which differ; those that still do a moment later, when
// what was under way has arrived, are registered anew.

const (
	digestEvery = 60 * time.Second
	secondLook  = 2 * time.Second
	policyEvery = 5 * time.Second
)

// digests is the clock of what this node compares with others.
type digests struct {
	sys      *System
	interest clockwork
	policy   clockwork
	sent     atomic.Uint64
	differ   atomic.Uint64

	mu     sync.Mutex
	looks  map[*look]struct{} // waiting for their second look
	closed bool
}

// clockwork calls f every so often, with a jitter of 20 %.
type clockwork struct {
	sys   *System
	every time.Duration
	f     func()
	timer wheel.Timer
}

func (c *clockwork) start(s *System, every time.Duration, f func()) {
	c.sys, c.every, c.f = s, every, f
	c.timer.Target = c
	c.again(s.now())
}

func (c *clockwork) again(now time.Time) {
	c.sys.wheel.Schedule(&c.timer, now.Add(wheel.Jitter(c.every, spread(uint64(now.UnixNano())))))
}

// Fire is called by the wheel.
func (c *clockwork) Fire(_ *wheel.Timer, now time.Time) {
	c.sys.node.Go(c.f)
	c.again(now)
}

func (d *digests) init(s *System) {
	d.sys, d.looks = s, map[*look]struct{}{}
}

// start begins once the node is there.
func (d *digests) start() {
	d.interest.start(d.sys, digestEvery, d.sys.compareInterest)
	d.policy.start(d.sys, policyEvery, d.sys.comparePolicies)
}

func (d *digests) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.sys.wheel.Stop(&d.interest.timer)
	d.sys.wheel.Stop(&d.policy.timer)
	for l := range d.looks {
		d.sys.wheel.Stop(&l.timer)
	}
}

// look waits to ask an owner again about shards that differed.
type look struct {
	sys    *System
	owner  string
	shards topology.Set
	timer  wheel.Timer
}

// Fire asks again.
func (l *look) Fire(*wheel.Timer, time.Time) {
	d := &l.sys.digests
	d.mu.Lock()
	delete(d.looks, l)
	d.mu.Unlock()
	l.sys.node.Go(func() {
		l.sys.askDigest(l.owner, &l.shards, func(differ topology.Set) { l.sys.reset(l.owner, &differ) })
	})
}

func (d *digests) lookAgain(owner string, shards topology.Set) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	l := &look{sys: d.sys, owner: owner, shards: shards}
	l.timer.Target = l
	d.looks[l] = struct{}{}
	d.sys.wheel.Schedule(&l.timer, d.sys.now().Add(secondLook))
}

// compareInterest sends this gateway's sums to every owner.
func (s *System) compareInterest() {
	t := s.node.Table()
	shards := map[string]*topology.Set{}
	for i := range uint16(len(topology.Set{}) * 64) {
		o, ok := t.Owner(i)
		if !ok {
			return
		}
		if shards[o.ID] == nil {
			shards[o.ID] = &topology.Set{}
		}
		shards[o.ID].Add(i)
	}
	for owner, set := range shards {
		s.askDigest(owner, set, func(differ topology.Set) { s.digests.lookAgain(owner, differ) })
	}
}

// askDigest calls then with the shards for which an owner's sums are others, if
// there are any.
func (s *System) askDigest(owner string, shards *topology.Set, then func(topology.Set)) {
	m := &messages.InterestDigest{Gateway: s.node.Name, Shards: shards.Bytes()}
	for shard := range shards.All() {
		m.Sums = append(m.Sums, s.numbers.sums[shard].Load())
	}
	s.digests.sent.Add(1)
	s.node.AskNode(owner, m, controlTime, func(a any, err error) {
		diff, ok := a.(*messages.InterestDiff)
		if err != nil || !ok {
			return // the next one finds it
		}
		set, err := topology.ParseSet(diff.Shards)
		if err == nil && set.Len() > 0 {
			then(set)
		}
	})
}

// compare answers a gateway's digest with the shards of this owner whose sums
// are others.
func (s *System) compare(m *messages.InterestDigest) proto.Message {
	var differ topology.Set
	set, err := topology.ParseSet(m.Shards)
	if err != nil || len(m.Sums) != set.Len() {
		s.metrics.dropped.Inc()
		return &messages.InterestDiff{Shards: differ.Bytes()}
	}
	t, known, i := s.node.Table(), s.gateways.known(m.Gateway), 0
	for shard := range set.All() {
		var mine uint64
		if known != nil {
			mine = known.sums[shard].Load()
		}
		if o, ok := t.Owner(shard); ok && o.ID == s.node.ID && mine != m.Sums[i] {
			differ.Add(shard)
		}
		i++
	}
	return &messages.InterestDiff{Shards: differ.Bytes()}
}

// reset makes an owner forget what this gateway has registered in some shards,
// and the endpoints here register anew.
func (s *System) reset(owner string, shards *topology.Set) {
	if shards.Len() == 0 {
		return
	}
	s.digests.differ.Add(uint64(shards.Len()))
	m := &messages.InterestReset{Gateway: s.node.Name, Shards: shards.Bytes()}
	if s.node.TellNode(owner, m) != nil {
		s.metrics.dropped.Inc() // it is no member: its shards have another owner
	}
	s.relearn(*shards)
}

func (s *System) onReset(m *messages.InterestReset) {
	set, err := topology.ParseSet(m.Shards)
	if err != nil {
		s.metrics.dropped.Inc()
		return
	}
	s.node.Each(cluster.UserKind, &forgetGateway{m.Gateway, set})
}

// Interest is what this gateway has registered.
type Interest struct {
	Endpoints     int    `json:"endpoints"`
	Publishers    int    `json:"publishers"`    // users that are shown
	Registrations int    `json:"registrations"` // pairs of endpoint and user
	Digests       uint64 `json:"digests"`       // comparisons since the start
	Differences   uint64 `json:"differences"`   // shards that were registered anew since the start
}

// Interest counts what this gateway has registered.
func (s *System) Interest() Interest {
	users, watches := s.numbers.count()
	return Interest{
		Endpoints: s.endpoints.count(), Publishers: users, Registrations: watches,
		Digests: s.digests.sent.Load(), Differences: s.digests.differ.Load(),
	}
}
