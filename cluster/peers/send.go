package peers

import (
	"time"

	"rollcall/messages"
)

// run sends until the outbox is closed.
func (o *outbox) run() {
	defer close(o.done)
	for range o.wake {
		for o.step() {
		}
		if o.ended() {
			return
		}
	}
}

func (o *outbox) ended() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// step does the next thing there is to do and says whether there may be more.
func (o *outbox) step() bool {
	now := o.peers.config.Now()
	o.mu.Lock()
	switch {
	case o.closed:
		o.mu.Unlock()
		return false
	case o.listen(now):
		return o.tell()
	case o.lostAt() && !now.Before(o.stuck.Add(loseAfter)):
		return o.lose(now)
	case o.state == connected:
		return o.push(now)
	}
	if at := o.callAt(); now.Before(at) {
		o.arm(at)
		o.armLoss()
		o.mu.Unlock()
		return false
	}
	o.state, o.helloAt = connecting, now.Add(helloEvery)
	o.mu.Unlock()
	o.peers.wire.deliver(o.to.Addr, o.bare())
	return true
}

// callAt is when a peer without connection is called next.
func (o *outbox) callAt() time.Time {
	if o.state == connecting {
		return o.helloAt
	}
	return o.retryAt
}

// lostAt says whether anything would be lost by giving up.
func (o *outbox) lostAt() bool {
	return len(o.flight) > 0 || o.state != connected && len(o.routed)+len(o.returned) > 0
}

func (o *outbox) armLoss() {
	if o.lostAt() {
		o.arm(o.stuck.Add(loseAfter))
	}
}

// lose gives up what the peer has not acknowledged, and what waits behind it
// except for states: these are still true. Called with mu held.
func (o *outbox) lose(now time.Time) bool {
	lost := o.inFlight()
	if o.state != connected {
		lost += len(o.routed) + len(o.returned)
		o.routed, o.returned, o.bytes = nil, nil, 0
	}
	if lost == 0 { // a question whether it is there can wait
		o.stuck = now
		o.mu.Unlock()
		return true
	}
	o.tally.lost += uint64(lost)
	o.flight, o.flightBytes, o.next = nil, 0, 0
	o.stream, o.seq = o.peers.streams.Add(1), 0
	o.stuck = now
	cut := o.state == connected
	o.mu.Unlock()
	o.peers.complaints.Say(o.to.ID, "a peer acknowledges nothing, what was sent to it is given up", "messages", lost)
	if cut {
		o.peers.wire.cut(o.to.Addr)
	}
	o.peers.config.Lost(o.to.ID)
	return true
}

// push sends over an open connection. Called with mu held.
func (o *outbox) push(now time.Time) bool {
	if len(o.flight) > 0 && !now.Before(o.quiet.Add(o.patience())) {
		o.quiet = now
		o.mu.Unlock()
		o.peers.complaints.Say(o.to.ID, "a peer acknowledges nothing, the connection is made anew")
		o.peers.wire.cut(o.to.Addr)
		return true
	}
	if o.next < len(o.flight) {
		f := o.flight[o.next].frame
		o.next++
		o.mu.Unlock()
		o.peers.wire.deliver(o.to.Addr, f)
		return true
	}
	if len(o.flight) < maxFlight && o.flightBytes < maxFlightBytes && (o.queued() > 0 || o.probes()) {
		o.fill()
		o.filled = 1
		o.mu.Unlock()
		o.enlist()
		return true
	}
	if at := o.owed.at; !at.IsZero() && !now.Before(at) {
		o.mu.Unlock()
		o.peers.wire.deliver(o.to.Addr, o.bare())
		return true
	}
	if !o.owed.at.IsZero() {
		o.arm(o.owed.at)
	}
	if len(o.flight) > 0 {
		o.arm(o.quiet.Add(o.patience()))
		o.armLoss()
	}
	o.mu.Unlock()
	return false
}

// fill takes the next envelope's messages from the queues. Each of the three
// gets a third of the room, then what the others leave. Called with mu held.
func (o *outbox) fill() {
	e := &o.batch
	items, size := envelopeItems, envelopeBytes
	for pass := range 2 {
		share := func(n int) int { return n / (3 - 2*pass) }
		b := &e.Returned
		for _, from := range []*[]*messages.Routed{&o.returned, &o.routed} {
			n, used := fitting(*from, share(items), share(size))
			*b = append(*b, (*from)[:n]...)
			*from = dropFront(*from, n)
			o.bytes -= used
			items, size = items-n, size-used
			b = &e.Routed
		}
		var used int
		before := len(e.Notifies)
		if share(size) > 0 {
			e.Notifies, used = o.states.take(e.Notifies, share(items), share(size))
		}
		items, size = items-len(e.Notifies)+before, size-used
	}
}

// fitting is how many of the first messages fit; at least one.
func fitting(q []*messages.Routed, items, bytes int) (n, size int) {
	for n < len(q) && n < items && bytes > 0 {
		s := routedSize(q[n])
		if n > 0 && size+s > bytes {
			break
		}
		size += s
		n++
	}
	return n, size
}

// enlist encodes the batch and puts it into the flight; push sends it.
func (o *outbox) enlist() {
	e := &o.batch
	items := len(e.Routed) + len(e.Returned) + len(e.Notifies)
	o.mu.Lock()
	o.head(e)
	o.seq++
	e.Seq, e.Stream, e.Sent = o.seq, o.stream, o.peers.age()
	o.mu.Unlock()
	f := frame{seq: e.Seq, items: items, frame: encode(e)}
	clear(e.Routed)
	clear(e.Returned)
	clear(e.Notifies)
	e.Routed, e.Returned, e.Notifies = e.Routed[:0], e.Returned[:0], e.Notifies[:0]
	o.mu.Lock()
	defer o.mu.Unlock()
	o.filled = 0
	if o.closed {
		o.tally.lost += uint64(items)
		return
	}
	now := o.peers.config.Now()
	if len(o.flight) == 0 {
		o.stuck, o.quiet = now, now
	}
	o.flight = append(o.flight, f)
	o.flightBytes += len(f.frame.Envelope)
	o.tally.sent += uint64(items)
}

// bare is an envelope without messages: it carries an acknowledgement, or makes
// the first contact. It has no number and is never sent again.
func (o *outbox) bare() *messages.Frame {
	var e messages.Envelope
	o.mu.Lock()
	o.head(&e)
	o.mu.Unlock()
	return encode(&e)
}

// head fills in the header, by which the peer is told what it is owed. Called
// with mu held.
func (o *outbox) head(e *messages.Envelope) {
	c := &o.peers.config
	e.Protocol, e.Cluster = Protocol, c.Cluster
	e.From, e.Incarnation = c.Self.ID, c.Self.Incarnation
	e.Epoch, e.Table = c.Header()
	e.Ack, e.AckStream = o.owed.upTo.seq, o.owed.upTo.stream
	e.Gap = o.owed.gap
	o.owed.envelopes, o.owed.bytes, o.owed.at, o.owed.gap = 0, 0, time.Time{}, false
}

func encode(e *messages.Envelope) *messages.Frame {
	b, err := e.MarshalVT()
	if err != nil {
		panic("peers: an envelope could not be encoded: " + err.Error()) // the generated code has no error to give
	}
	return &messages.Frame{Envelope: b}
}
