package peers

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/wheel"
)

// Errors of Send, Return and Notify.
var (
	ErrNoPeer     = errors.New("peers: no member with this id")
	ErrOverloaded = messages.ErrOverloaded // the queue for the peer is full
	ErrTooLarge   = errors.New("peers: the message is too large for one envelope")
	ErrClosed     = messages.ErrClosing
)

type state uint8

const (
	disconnected state = iota
	connecting
	connected
)

var stateNames = [...]string{disconnected: "disconnected", connecting: "connecting", connected: "connected"}

const (
	ackDelay   = 5 * time.Millisecond // an acknowledgement waits this long for an envelope to ride on
	ackEvery   = 8                    // envelopes, after which it does not wait
	ackBytes   = 512 << 10            // the same in bytes
	cutAfter   = 5 * time.Second      // without acknowledgement: the connection is made anew
	cutFirst   = 2 * time.Second      // the same before the first one of a connection: the peer may not have known this member
	loseAfter  = 15 * time.Second     // without acknowledgement: what was sent is given up
	helloEvery = 10 * time.Second     // while connecting
	retryMin   = 100 * time.Millisecond
	retryMax   = 2 * time.Second
)

// outbox holds what one process of a peer has not acknowledged, and what waits
// behind it. One goroutine, that of run, encodes and sends.
type outbox struct {
	peers *Peers
	to    topology.Member
	name  string // of the process

	wake chan struct{}
	done chan struct{}
	met  atomic.Bool // the process has been connected to, with a certificate where one is asked for

	mu       sync.Mutex
	closed   bool
	state    state
	routed   []*messages.Routed
	returned []*messages.Routed
	states   notifies
	bytes    int // of routed and returned

	stream, seq uint64
	flight      []frame   // sent and not acknowledged, oldest first
	flightBytes int       //
	filled      int       // 1 while an envelope has left the queues and is not in flight yet
	next        int       // the first of flight that this connection has not carried
	stuck       time.Time // since then nothing was acknowledged or could be sent
	quiet       time.Time // the same, or since the connection was made
	retryAt     time.Time
	helloAt     time.Time
	failures    int  // connections since the last acknowledgement
	heard       bool // this connection has brought one

	silence silence
	told    bool // what the owner knows of a suspicion; the goroutine's, then that of close's caller

	owed  owed
	timer wheel.Timer
	armed time.Time // the moment of timer; zero: not armed
	gapAt time.Time // when the peer was told last that something is missing
	tally tally

	batch messages.Envelope // scratch of the goroutine
}

// frame is an envelope that is kept until it is acknowledged.
type frame struct {
	seq   uint64
	items int
	frame *messages.Frame
}

// owed is what the peer has not been told about its own envelopes.
type owed struct {
	gap       bool
	upTo      place
	envelopes int
	bytes     int
	at        time.Time // when it is told alone
}

// tally counts messages and states, not envelopes.
type tally struct{ sent, shed, coalesced, lost, suspicions uint64 }

func newOutbox(p *Peers, to topology.Member) *outbox {
	now := p.config.Now()
	o := &outbox{
		peers: p, to: to, name: to.Name(), wake: make(chan struct{}, 1), done: make(chan struct{}),
		stream: p.streams.Add(1), stuck: now, retryAt: now,
	}
	o.timer.Target = o
	return o
}

// put queues a message; back says that the peer sent it here and gets it back.
func (o *outbox) put(r *messages.Routed, back bool) error {
	size := routedSize(r)
	if size > maxItemBytes {
		return ErrTooLarge
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrNoPeer
	}
	if len(o.routed)+len(o.returned) >= maxQueued || o.queuedBytes()+size > maxQueuedBytes {
		o.tally.shed++
		return ErrOverloaded
	}
	if o.state != connected && !o.lostAt() {
		o.stuck = o.peers.config.Now()
	}
	if back {
		o.returned = append(o.returned, r)
	} else {
		o.routed = append(o.routed, r)
	}
	o.bytes += size
	o.poke()
	return nil
}

func (o *outbox) notify(n *messages.Notify) error {
	size := notifySize(n)
	if size > maxItemBytes {
		return ErrTooLarge
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrNoPeer
	}
	room := o.states.count < maxQueued && o.queuedBytes()+size <= maxQueuedBytes
	replaced, ok := o.states.add(n, size, room)
	o.tally.coalesced += uint64(replaced)
	if !ok {
		o.tally.shed++
		return ErrOverloaded
	}
	o.poke()
	return nil
}

func (o *outbox) queuedBytes() int { return o.bytes + o.states.bytes }

func (o *outbox) queued() int { return len(o.routed) + len(o.returned) + o.states.count }

// owe notes that the peer's envelopes were handled up to a place; again asks for an
// acknowledgement at once, since the peer seems to have missed the last.
func (o *outbox) owe(upTo place, size int, again bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	a := &o.owed
	if upTo.stream < a.upTo.stream || upTo.stream == a.upTo.stream && upTo.seq < a.upTo.seq {
		return
	}
	a.upTo = upTo
	a.envelopes++
	a.bytes += size
	now := o.peers.config.Now()
	if a.at.IsZero() {
		a.at = now.Add(ackDelay)
		o.arm(a.at)
	}
	if again || a.envelopes >= ackEvery || a.bytes >= ackBytes {
		a.at = now
		o.poke()
	}
}

// gapEvery is how often a peer is told that something is missing.
const gapEvery = 100 * time.Millisecond

// missing tells the peer that an envelope came too early: one before it was
// refused, since the peer was no member yet.
func (o *outbox) missing() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.peers.config.Now()
	if o.closed || now.Before(o.gapAt.Add(gapEvery)) {
		return
	}
	o.gapAt = now
	o.owed.gap, o.owed.at = true, now
	o.poke()
}

// again sends everything that is not acknowledged once more.
func (o *outbox) again() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next = 0
	o.poke()
}

// acked takes an acknowledgement of everything in a stream up to seq.
func (o *outbox) acked(stream, seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if stream != o.stream || seq > o.seq {
		return
	}
	n := 0
	for n < len(o.flight) && o.flight[n].seq <= seq {
		o.flightBytes -= len(o.flight[n].frame.Envelope)
		n++
	}
	if n == 0 {
		return
	}
	o.flight = dropFront(o.flight, n)
	o.next = max(o.next-n, 0)
	now := o.peers.config.Now()
	o.stuck, o.quiet, o.failures, o.heard = now, now, 0, true
	if o.answers(); o.queued() > 0 {
		o.poke()
	}
}

// opened says that a connection to the peer exists; everything that was not
// acknowledged goes over it again, and the peer is told what it is owed.
func (o *outbox) opened() {
	o.reset()
	if !o.met.Swap(true) && o.peers.config.Met != nil {
		o.peers.config.Met(o.to.ID)
	}
}

// patience is how long the connection may bring no acknowledgement. Called with
// mu held.
func (o *outbox) patience() time.Duration {
	if o.heard {
		return cutAfter
	}
	return cutFirst
}

func (o *outbox) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state, o.next, o.heard = connected, 0, false
	o.quiet = o.peers.config.Now()
	if o.owed.upTo.stream != 0 {
		o.owed.at = o.quiet // the last acknowledgement may have been lost
	}
	o.poke()
}

// broken says that the connection is gone.
func (o *outbox) broken() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state == disconnected {
		return
	}
	now := o.peers.config.Now()
	if o.state == connected && len(o.flight) == 0 {
		o.stuck = now
	}
	if o.state == connected && o.silence.proven {
		o.suspect()
	}
	wait := min(retryMin<<min(o.failures, 8), retryMax)
	o.failures++
	o.state, o.next = disconnected, 0
	o.retryAt = now.Add(wheel.Jitter(wait, uint64(now.UnixNano())^o.stream))
	o.poke()
}

// close ends the outbox and returns what was queued and may go elsewhere.
func (o *outbox) close() []*messages.Routed {
	o.mu.Lock()
	o.closed = true
	queued := o.routed
	o.tally.lost += uint64(len(o.returned) + o.inFlight())
	o.routed, o.returned, o.states, o.flight, o.bytes = nil, nil, notifies{}, nil, 0
	o.poke()
	o.mu.Unlock()
	<-o.done
	o.peers.config.Wheel.Stop(&o.timer)
	return queued
}

func (o *outbox) inFlight() (n int) {
	for i := range o.flight {
		n += o.flight[i].items
	}
	return n
}

func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// arm makes the timer wake the goroutine at a moment or before.
func (o *outbox) arm(at time.Time) {
	if o.armed.IsZero() || at.Before(o.armed) {
		o.armed = at
		o.peers.config.Wheel.Schedule(&o.timer, at)
	}
}

// Fire is called by the wheel.
func (o *outbox) Fire(*wheel.Timer, time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.armed = time.Time{}
	o.poke()
}

func (o *outbox) status() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	return Status{
		ID: o.to.ID, State: stateNames[o.state], Queued: o.queued(), QueuedBytes: o.queuedBytes(),
		InFlight: len(o.flight) + o.filled, Sent: o.tally.sent, Shed: o.tally.shed,
		Coalesced: o.tally.coalesced, Lost: o.tally.lost,
		Suspected: o.silence.suspected, Suspicions: o.tally.suspicions,
	}
}
