package persistence

import (
	"fmt"
	"time"

	"rollcall/presence"
)

// Commit is what is said of one user at once: elements, and a state of some
// version. Copy gives all of a user in this form.
type Commit struct {
	User     presence.UserID
	Elements []presence.Element // of every kind, blocks and lists too; not to be changed until done
	State    presence.State
	Version  presence.Version // of State; 0: nothing is said of it
	Wake     time.Time        // when the presence next changes by itself; zero: never
	Feed     *FeedEntry       // not nil: State is a visible change and enters the feed; filled in by Commit
}

// FeedEntry is one visible change, as its origin has numbered it.
type FeedEntry struct {
	Origin  uint64 // the process that committed it; 0: not numbered yet
	Seq     uint64 // rises per origin and shard
	Prev    uint64 // the number that the origin gave before in this shard; 0: none
	At      time.Time
	User    presence.UserID
	State   presence.State
	Version presence.Version
}

// FeedEnd is the newest change of one origin that a store has of a shard.
type FeedEnd struct {
	Origin, Seq uint64
}

// Part is a page of what one store has of a shard and another has not.
type Part struct {
	Root   uint64 // of the shard, read before the page
	Copies []Commit
	Feed   []FeedEntry // of each origin in order, after what the other has
	Next   presence.UserID
	More   bool // go on after Next, with what is had then
}

// Commit merges what this node says of one user into what is stored: of each
// element the newer stays, of the states the one of the greater version; Wake
// replaces the stored one, except by a commit of lists alone. Everything is
// checked in the caller and queued; a Feed that came without a number has one
// when Commit returns, unless the commit was refused. done is called exactly once: at
// once with a refusal, or by the writer when the whole commit is on the disk or
// has failed. It must not block.
func (s *Store) Commit(c Commit, done func(error)) {
	op, err := s.commitWrite(&c)
	if err != nil {
		done(err)
		return
	}
	op.done = done
	s.writer.add(op)
}

func (s *Store) commitWrite(c *Commit) (*write, error) {
	if s.guard.low.Load() {
		return nil, ErrStorageLow
	}
	step, err := s.newChange(c, true)
	if err != nil {
		return nil, err
	}
	size := step.weight()
	if size > s.cfg.maxBatchSize() {
		return nil, fmt.Errorf("%w: a commit of %d bytes", ErrTooBig, size)
	}
	return &write{step: step, numbered: step.feed, size: size}, nil
}
