package actors

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"rollcall/presence"
)

const (
	// MovesPerSecond is how many endpoints are moved a second unless a Drain says
	// otherwise.
	MovesPerSecond = 1000
	// waveEvery is the time between two waves. A wave that comes late is not made
	// up for: the rate is a bound.
	waveEvery = 50 * time.Millisecond
	// waveSpread is how far the clients of one wave come apart on their way: enough
	// to mix those of a few waves, little beside what they miss meanwhile.
	waveSpread = 4 * waveEvery
	// arrivalTime is how long a client that was sent to another gateway is waited
	// for: until then it is under way, and too many of these hold the next wave
	// back. Whoever is not moved yet is served meanwhile.
	arrivalTime = 5 * time.Second
)

// Hint says where a client should connect next and when.
type Hint struct {
	URL   string // public URL of another gateway; empty: where the client is now
	Delay time.Duration
}

// Drain says how endpoints are moved to other gateways. Its functions are called
// by the goroutine of MoveEndpoints.
type Drain struct {
	PerSecond int                            // endpoints told a second; 0: MovesPerSecond
	Hint      func(u presence.UserID) string // public URL of another gateway for a user, empty if there is none; nil: none
	Progress  func(moved, left int)          // called after each wave; nil: nobody is told
}

// goingAway ends an endpoint's connection because the node goes away, and keeps
// new ones from it.
type goingAway struct {
	stay bool   // a connection that is there stays for now
	move *moves // nil: the client gets no hint
	hint Hint
}

// moves is a drain under way.
type moves struct {
	Drain
	pause    time.Duration // between two waves
	size     int           // of a wave
	rest     []*endpoint   // not told yet
	underWay []traveller   // told where to go, oldest first
	moved    atomic.Int64
}

// traveller is an endpoint whose client is perhaps not at its new gateway yet.
type traveller struct {
	*endpoint
	since time.Time
}

// MoveEndpoints tells the clients of all endpoints to connect elsewhere, in
// waves, and takes no new ones from here on: Attach returns messages.ErrClosing.
// The sessions of their devices stay for the tenant's grace, in which the
// clients come back somewhere else, so nobody goes offline. While many of them
// have not arrived the waves are no larger than ctx's deadline makes necessary.
// It returns how many clients were told when no endpoint has a connection any
// more, or when ctx ends, then with an error that says how many are left.
func (s *System) MoveEndpoints(ctx context.Context, d Drain) (moved int, err error) {
	m := newMoves(d)
	s.endpoints.refuse()
	m.rest = s.endpoints.all()
	for _, e := range m.rest {
		e.mailbox.PostOwn(goingAway{stay: true})
	}
	wave := time.NewTicker(m.pause)
	defer wave.Stop()
	for {
		select {
		case <-wave.C:
		case <-ctx.Done():
			return m.stopped(s, ctx)
		}
		m.underWay = s.endpoints.travelling(m.underWay, time.Now().Add(-arrivalTime))
		m.wave(m.allowed(ctx))
		left := s.endpoints.staying()
		if m.Progress != nil {
			m.Progress(int(m.moved.Load()), left)
		}
		if left == 0 {
			return int(m.moved.Load()), nil
		}
	}
}

func newMoves(d Drain) *moves {
	m := &moves{Drain: d}
	if m.PerSecond <= 0 {
		m.PerSecond = MovesPerSecond
	}
	m.pause = max(waveEvery, time.Second/time.Duration(m.PerSecond))
	m.size = int(time.Duration(m.PerSecond) * m.pause / time.Second)
	return m
}

// allowed is how many may be told now: a full wave, or, when those of half a
// second are still under way, what is needed to be through in time.
func (m *moves) allowed(ctx context.Context) int {
	if len(m.underWay) < max(m.PerSecond/2, 1) {
		return m.size
	}
	until, bounded := ctx.Deadline()
	if !bounded {
		return 0
	}
	waves := int(time.Until(until) * 4 / 5 / m.pause) // the last fifth is a reserve
	return min(len(m.rest)/max(waves, 1)+1, m.size)
}

// wave tells the next endpoints.
func (m *moves) wave(size int) {
	for ; size > 0 && len(m.rest) > 0; m.rest = m.rest[1:] {
		e := m.rest[0]
		if e.away.Load() {
			continue
		}
		h := m.hint(e.key.User)
		e.mailbox.PostOwn(goingAway{move: m, hint: h})
		if h.URL != "" {
			m.underWay = append(m.underWay, traveller{e, time.Now()})
		}
		size--
	}
}

// travelling are those of the list that left after a moment and have not ended:
// an endpoint ends when its client has connected to another gateway.
func (t *endpoints) travelling(list []traveller, after time.Time) []traveller {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(list, func(x traveller) bool { return !x.since.After(after) || t.byKey[x.key] != x.endpoint })
}

func (m *moves) stopped(s *System, ctx context.Context) (int, error) {
	moved, left := int(m.moved.Load()), s.endpoints.staying()
	if left == 0 {
		return moved, nil
	}
	return moved, fmt.Errorf("actors: %d endpoints are still connected: %w", left, context.Cause(ctx))
}

// refuse keeps new endpoints away.
func (t *endpoints) refuse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// staying counts the endpoints that may still have a connection.
func (t *endpoints) staying() (n int) {
	for _, e := range t.all() {
		if !e.away.Load() {
			n++
		}
	}
	return n
}

func (e *endpoint) onGoingAway(m goingAway) {
	e.leaving = true
	if m.stay && e.conn != nil {
		return
	}
	if e.conn != nil && m.move != nil {
		e.conn.Move(m.hint)
		m.move.moved.Add(1)
	}
	e.disconnect(CloseGoingAway)
	e.away.Store(true)
}

func (m *moves) hint(u presence.UserID) Hint {
	h := Hint{Delay: rand.N(waveSpread)}
	if m.Hint != nil {
		h.URL = m.Hint(u)
	}
	return h
}
