package presence

import (
	"fmt"
	"slices"
	"time"
)

// Op is what a Mutation does. The zero Op is invalid.
type Op uint8

// The operations. Put replaces an element, Clear empties it, Touch says that a
// session's user is active now and extends nothing, Lease moves the expiry of a
// leased session.
const (
	Put Op = iota + 1
	Clear
	Touch
	Lease
)

// Mutation is one change of a record. Expires is unix ms, 0 never; it counts
// for Put and Lease. MustExist makes the change fail with ErrNoSession where
// the key has no live element. IdleAfter counts for sessions: the fade time of
// the user's tenant, 0 means that of DefaultRules.
type Mutation struct {
	Op        Op
	Key       Key
	Value     Value
	Expires   int64
	MustExist bool
	IdleAfter time.Duration
}

// Apply makes all changes or, with an error, none. It returns the elements to
// commit, stamped with at, each key once.
//
// A change that a restart may forget changes the record in place and yields
// nothing: a Lease, a Touch of a session that had not faded, a Put of a leased
// session that differs only in expiry and activity time. A Put of what is
// stored already, and a Clear of nothing, change nothing.
//
// ErrNoSession: MustExist, Touch or Lease names no live element. ErrValue,
// ErrPair, ErrNote, ErrDuration, ErrBadID: the value is refused. ErrStale: at
// does not exceed the stored stamp.
func (r *Record) Apply(ms []Mutation, at Stamp, now time.Time) (changed []Element, err error) {
	b := batch{rec: *r, at: at, now: now}
	if len(ms) > 1 {
		b.rec = r.Clone() // one change alone is all or nothing by itself
	}
	for _, m := range ms {
		if err := b.apply(m); err != nil {
			return nil, err
		}
	}
	*r = b.rec
	return b.changed, nil
}

type batch struct {
	rec     Record
	at      Stamp
	now     time.Time
	changed []Element
}

func (b *batch) apply(m Mutation) error {
	old, _ := b.rec.Get(m.Key)
	if (m.MustExist || m.Op == Touch || m.Op == Lease) && !old.Live(b.now) {
		return fmt.Errorf("%s: %w", m.Key, ErrNoSession)
	}
	switch m.Op {
	case Put:
		return b.put(m, old)
	case Clear:
		if old.Value == nil {
			return nil
		}
		return b.commit(Element{Key: m.Key, Expires: old.Expires}, old)
	case Touch:
		return b.touch(m, old)
	case Lease:
		return b.lease(m, old)
	}
	return fmt.Errorf("operation %d: %w", m.Op, ErrValue)
}

func (b *batch) put(m Mutation, old Element) error {
	e, err := checked(m, b.now.UnixMilli())
	if err != nil {
		return err
	}
	if old.Live(b.now) {
		if old.Expires == e.Expires && compareValues(old.Value, e.Value) == 0 {
			return nil
		}
		if b.renews(old.Value, e.Value, m) {
			e.Stamp = old.Stamp
			b.set(e)
			return nil
		}
	}
	return b.commit(e, old)
}

// renews tells whether e differs from old only in the expiry and activity time
// of a leased session that shows the same before and after.
func (b *batch) renews(old, e Value, m Mutation) bool {
	o, ok := old.(Session)
	n, ok2 := e.(Session)
	if !ok || !ok2 || !o.Leased || n.LastActive < o.LastActive {
		return false
	}
	if n.LastActive > o.LastActive && b.faded(o, m) {
		return false
	}
	o.LastActive = n.LastActive
	return o == n
}

// faded tells whether activity now would change what the session shows.
func (b *batch) faded(s Session, m Mutation) bool {
	idle := m.IdleAfter
	if idle == 0 {
		idle = DefaultRules.IdleAfter
	}
	return s.Availability == Available && b.now.UnixMilli() >= later(s.LastActive, idle)
}

func (b *batch) touch(m Mutation, old Element) error {
	s, ok := old.Value.(Session)
	if !ok {
		return fmt.Errorf("%s: %w", m.Key, ErrNoSession)
	}
	ms := b.now.UnixMilli()
	if s.LastActive >= ms {
		return nil
	}
	faded := b.faded(s, m)
	s.LastActive = ms
	e := old
	e.Value = s
	if faded {
		return b.commit(e, old)
	}
	b.set(e)
	return nil
}

func (b *batch) lease(m Mutation, old Element) error {
	if s, ok := old.Value.(Session); !ok || !s.Leased {
		return fmt.Errorf("%s has no lease: %w", m.Key, ErrValue)
	}
	if m.Expires <= b.now.UnixMilli() {
		return fmt.Errorf("%s: lease ends before it starts: %w", m.Key, ErrDuration)
	}
	e := old
	e.Expires = m.Expires
	b.set(e)
	return nil
}

// commit stamps e. Within one batch the last change of a key counts.
func (b *batch) commit(e, old Element) error {
	i := slices.IndexFunc(b.changed, func(c Element) bool { return c.Key == e.Key })
	if i < 0 && old.Key != "" && b.at.Compare(old.Stamp) <= 0 {
		return fmt.Errorf("%s: %w", e.Key, ErrStale)
	}
	e.Stamp = b.at
	if i < 0 {
		b.changed = append(b.changed, e)
	}
	b.set(e)
	return nil
}

// set stores e as it is, also where Merge would keep the stored element.
func (b *batch) set(e Element) {
	if c := slices.IndexFunc(b.changed, func(c Element) bool { return c.Key == e.Key }); c >= 0 {
		b.changed[c] = e
	}
	i, ok := b.rec.find(e.Key)
	if !ok {
		b.rec.elements = slices.Insert(b.rec.elements, i, e)
		return
	}
	b.rec.elements[i] = e
}
