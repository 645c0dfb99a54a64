package cluster

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"rollcall/wheel"
)

// Idle asks a virtual actor to passivate if it can: nothing was sent to it for
// at least one sweep. It does so by calling its mailbox's CloseIfEmpty.
type Idle struct{}

// Spawn makes the actor of one activation. The mailbox is its way to end
// itself and to get messages that belong to this activation alone.
type Spawn func(a Address, m *Mailbox) actor.Actor

const (
	slots      = 256
	sweepEvery = 60 * time.Second // every activation is looked at once in this time
)

// directory holds this node's activations of virtual actors.
type directory struct {
	host  *Node
	spawn map[Kind]Spawn
	slots [slots]slot
	gen   atomic.Uint64
	hand  int
	sweep wheel.Timer
}

// slot is one lock's share of the directory. Its props spawn with the address
// that the holder of the lock has put into next.
type slot struct {
	mu        sync.Mutex
	mailboxes map[Address]*Mailbox
	next      *Mailbox
	props     *actor.Props
}

func newDirectory(host *Node, spawn map[Kind]Spawn) *directory {
	d := &directory{host: host, spawn: spawn}
	for i := range d.slots {
		s := &d.slots[i]
		s.mailboxes = map[Address]*Mailbox{}
		s.props = actor.PropsFromProducer(
			func() actor.Actor { return d.spawn[s.next.addr.Kind](s.next.addr, s.next) },
			actor.WithMailbox(func() actor.Mailbox { return s.next }))
	}
	return d
}

func (d *directory) slot(a Address) *slot {
	return &d.slots[mix(uint64(a.Shard()))%slots]
}

// deliver posts to the actor's activation and makes one if there is none. The
// state of the shard is looked at under the slot's lock, so no activation can
// come to be in a shard that has been given away.
func (d *directory) deliver(p *parcel) error {
	a, msg := p.to, p.envelope()
	s := d.slot(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !d.host.shards.takes(a.Shard(), p.handoff) {
		return errElsewhere
	}
	m := s.mailboxes[a]
	if m == nil {
		var err error
		if m, err = d.activate(s, a); err != nil {
			return err
		}
	}
	return m.Post(msg)
}

// postActive is false if the actor is not active here.
func (d *directory) postActive(a Address, msg any) bool {
	s := d.slot(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mailboxes[a]
	if m != nil {
		m.PostOwn(msg)
	}
	return m != nil
}

// activate is called with the slot's lock held, so no sender can reach the
// actor before its mailbox has started.
func (d *directory) activate(s *slot, a Address) (*Mailbox, error) {
	n := d.gen.Add(1)
	m := d.host.newMailbox(n)
	m.addr, m.slot = a, s
	s.next = m
	if _, err := d.host.System.Root.SpawnNamed(s.props, "v"+strconv.FormatUint(n, 36)); err != nil {
		return nil, err
	}
	s.mailboxes[a] = m
	d.host.metrics.activations.Inc()
	return m, nil
}

// replace ends an activation and gives what others sent it, rest first, to a new
// one: in one step, so that nothing sent later overtakes it.
func (d *directory) replace(m *Mailbox, rest []any) {
	s := m.slot
	s.mu.Lock()
	waiting := slices.DeleteFunc(slices.Concat(rest, m.closeHeld()), isOwn)
	if shard := m.addr.Shard(); !d.host.shards.takes(shard, false) && !d.host.shards.takes(shard, true) {
		s.mu.Unlock()
		for _, msg := range waiting { // the shard has been given away
			m.elsewhere(msg)
		}
		return
	}
	defer s.mu.Unlock()
	if len(waiting) == 0 {
		return
	}
	next, err := d.activate(s, m.addr)
	if err != nil {
		d.host.metrics.dropped.Add(float64(len(waiting)))
		return
	}
	next.mu.Lock()
	defer next.mu.Unlock()
	for _, msg := range waiting {
		next.push(msg)
	}
}

// release takes the deliverable state from a shard and lists what is active in
// it.
func (d *directory) release(shard uint16, to shardState) (active []*Mailbox) {
	s := &d.slots[mix(uint64(shard))%slots]
	s.mu.Lock()
	defer s.mu.Unlock()
	d.host.shards.set(shard, to)
	for a, m := range s.mailboxes {
		if a.Shard() == shard {
			active = append(active, m)
		}
	}
	return active
}

// each calls f for every activation of a kind, a slot at a time, outside the
// slot's lock.
func (d *directory) each(kind Kind, f func(*Mailbox)) {
	for i := range d.slots {
		for _, m := range d.slots[i].list() {
			if m.addr.Kind == kind {
				f(m)
			}
		}
	}
}

func (s *slot) list() []*Mailbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Mailbox, 0, len(s.mailboxes))
	for _, m := range s.mailboxes {
		list = append(list, m)
	}
	return list
}

func (d *directory) startSweeps() {
	d.sweep.Target = d
	d.host.Wheel.Schedule(&d.sweep, d.host.Now().Add(sweepEvery/slots))
}

// Fire sweeps one slot.
func (d *directory) Fire(_ *wheel.Timer, now time.Time) {
	for _, m := range d.slots[d.hand].list() {
		m.sweep()
	}
	d.hand = (d.hand + 1) % slots
	d.host.Wheel.Schedule(&d.sweep, now.Add(sweepEvery/slots))
}

func (d *directory) count() int {
	n := 0
	for i := range d.slots {
		s := &d.slots[i]
		s.mu.Lock()
		n += len(s.mailboxes)
		s.mu.Unlock()
	}
	return n
}
