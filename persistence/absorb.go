package persistence

import (
	"errors"
	"fmt"

	"rollcall/presence"
)

const (
	absorbChanges = 64 // users whose changes share one write
	absorbSplit   = 64 << 10
)

// Absorb merges what other nodes have sent: copies or parts of users, and
// entries of their feeds, which are taken where they follow what is there. done
// is called exactly once, with changed[i] telling whether cs[i] brought
// something newer: at once with a refusal, or by the writer when all of it is
// on the disk. With an error other than a refusal a part may be stored, which
// is harmless: it merges again. done must not block.
func (s *Store) Absorb(cs []Commit, feed []FeedEntry, done func(changed []bool, err error)) {
	if s.guard.low.Load() {
		done(nil, ErrStorageLow)
		return
	}
	ops, err := s.absorbWrites(cs, feed, done)
	if err != nil {
		done(nil, err)
		return
	}
	if err := s.writer.enqueue(ops); err != nil {
		done(nil, err)
	}
}

// absorption is what the writes of one Absorb share. Only the writer touches
// it once they are queued.
type absorption struct {
	changed []bool
	left    int
	err     error // the first
	done    func([]bool, error)
}

func (a *absorption) finish(err error) {
	if a.err == nil {
		a.err = err
	}
	if a.left--; a.left > 0 {
		return
	}
	if a.err != nil {
		a.done(nil, a.err)
		return
	}
	a.done(a.changed, nil)
}

// absorbWrite is a part of an Absorb that fits into a transaction.
type absorbWrite struct {
	all     *absorption
	changes []*change
	of      []int // places in all.changed
	feed    []*feedWrite
}

func (a *absorbWrite) apply(b *batch) error {
	var tooBig error
	for i, c := range a.changes {
		if err := c.apply(b); errors.Is(err, ErrTooBig) {
			tooBig = err
		} else if err != nil {
			return err
		}
		if c.changed {
			a.all.changed[a.of[i]] = true
		}
	}
	for _, w := range a.feed {
		b.size += w.bytes()
		if err := b.heads.absorb(b.txn, w, 0); err != nil {
			return err
		}
	}
	return tooBig
}

func (s *Store) absorbWrites(cs []Commit, feed []FeedEntry, done func([]bool, error)) ([]*write, error) {
	all := &absorption{changed: make([]bool, len(cs)), done: done}
	var ops []*write
	next := func() *absorbWrite {
		step := &absorbWrite{all: all}
		ops = append(ops, &write{step: step, done: all.finish})
		return step
	}
	step := next()
	for i := range cs {
		for _, part := range split(cs[i]) {
			c, err := s.newChange(&part, false)
			if err != nil {
				return nil, err
			}
			if op := ops[len(ops)-1]; op.size > absorbSplit || len(step.changes) == absorbChanges {
				step = next()
			}
			step.changes, step.of = append(step.changes, c), append(step.of, i)
			ops[len(ops)-1].size += c.weight()
		}
	}
	for i := range feed {
		w, err := s.absorbEntry(&feed[i])
		if err != nil {
			return nil, err
		}
		if len(step.feed) == absorbChanges {
			step = next()
		}
		step.feed = append(step.feed, w)
		ops[len(ops)-1].size += w.bytes()
	}
	all.left = len(ops)
	return ops, nil
}

func (s *Store) absorbEntry(e *FeedEntry) (*feedWrite, error) {
	if !e.Marker() {
		if err := checkUser(e.User); err != nil {
			return nil, fmt.Errorf("persistence: feed entry %d: %w", e.Seq, err)
		}
	}
	return s.feedWrite(e)
}

// split parts a copy with many lists, so that no part fills a transaction. The
// first part carries what is not an element.
func split(c Commit) []Commit {
	const lists = 4
	heavy := 0
	for _, e := range c.Elements {
		if _, ok := e.Value.(presence.Watch); ok {
			heavy++
		}
	}
	if heavy <= lists {
		return []Commit{c}
	}
	first := c
	first.Elements = nil
	var parts []Commit
	for _, e := range c.Elements {
		if _, ok := e.Value.(presence.Watch); !ok {
			first.Elements = append(first.Elements, e)
			continue
		}
		if n := len(parts); n == 0 || len(parts[n-1].Elements) == lists {
			parts = append(parts, Commit{User: c.User})
		}
		last := &parts[len(parts)-1]
		last.Elements = append(last.Elements, e)
	}
	return append([]Commit{first}, parts...)
}
