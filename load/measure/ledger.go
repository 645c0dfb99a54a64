package measure

import (
	"sync"
	"time"

	"rollcall/load/population"
)

// Ledger knows, of every user, what they published when, and which version of
// them there is. A user has one publish under way at a time, so that a change
// which nobody has answered for yet is known to be theirs.
type Ledger struct {
	users []publisher
}

// Publish is one publish of a user, from the moment it was due.
type Publish struct {
	Due   time.Time
	State population.State
	Turn  bool // of a closed loop: its end lets the next one go
}

// recent is how many answered publishes are kept of a user: a watcher further
// behind than that is counted as this far behind.
const recent = 8

// mostWaiting bounds what is due of a user while a publish is under way.
const mostWaiting = 8

type publisher struct {
	mu      sync.Mutex
	newest  uint64            // version, by an answer or at any watcher
	ring    [recent]published // answered, the latest at turn-1
	turn    uint8
	open    bool // a publish is under way
	flight  Publish
	waiting []Publish
}

// published is an answered publish.
type published struct {
	version uint64
	due     time.Time
}

// NewLedger has so many users of whom nothing is known.
func NewLedger(users int) *Ledger { return &Ledger{users: make([]publisher, users)} }

// Begin says that a publish is due. True: it is under way from now on and is to
// be sent. False: another one is, and it waits, or with dropped is given up.
func (l *Ledger) Begin(user int32, p Publish) (send, dropped bool) {
	u := &l.users[user]
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.open {
		u.open, u.flight = true, p
		return true, false
	}
	if len(u.waiting) >= mostWaiting {
		return false, true
	}
	u.waiting = append(u.waiting, p)
	return false, false
}

// Open is the publish that is under way; false when none is.
func (l *Ledger) Open(user int32) (Publish, bool) {
	u := &l.users[user]
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.flight, u.open
}

// Answered says that the publish under way is stored, with the version that the
// user has now. It gives the publish, and the next one if one waits: it is under
// way from now on. ok is false when none was under way.
func (l *Ledger) Answered(user int32, version uint64) (was Publish, next *Publish, ok bool) {
	u := &l.users[user]
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.open {
		return was, nil, false
	}
	was = u.flight
	if version > u.answered() {
		u.ring[u.turn%recent] = published{version, was.Due}
		u.turn++
	}
	u.newest = max(u.newest, version)
	return was, u.advance(), true
}

// Postpone says that the publish under way could not be sent before now for a
// reason of the user's own, as a phone without a network: it is due only now.
func (l *Ledger) Postpone(user int32, now time.Time) {
	u := &l.users[user]
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open && u.flight.Due.Before(now) {
		u.flight.Due = now
	}
}

// Note says that there is a version of a user, without anything to be timed.
func (l *Ledger) Note(user int32, version uint64) {
	u := &l.users[user]
	u.mu.Lock()
	defer u.mu.Unlock()
	u.newest = max(u.newest, version)
}

// Refused says that the publish under way was not taken, or never will be; the
// rest is as for Answered.
func (l *Ledger) Refused(user int32) (was Publish, next *Publish, ok bool) {
	u := &l.users[user]
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.open {
		return was, nil, false
	}
	was = u.flight
	return was, u.advance(), true
}

// advance ends the flight and begins the next; u.mu is held.
func (u *publisher) advance() *Publish {
	u.open = false
	if len(u.waiting) == 0 {
		return nil
	}
	u.open, u.flight = true, u.waiting[0]
	u.waiting = append(u.waiting[:0], u.waiting[1:]...)
	p := u.flight
	return &p
}

// answered is the version of the newest answered publish; u.mu is held.
func (u *publisher) answered() uint64 {
	if u.turn == 0 {
		return 0
	}
	return u.ring[(u.turn-1)%recent].version
}

// Sight is what a watcher's new version of somebody means.
type Sight struct {
	Due     time.Time // of the publish that it shows; zero: no publish explains it
	Skipped int       // answered publishes between the watcher's last version and this one
}

// Seen says that a watcher who had one version of a user now has another, higher
// one, which shows the availability.
func (l *Ledger) Seen(user int32, had, version uint64, availability []byte) Sight {
	u := &l.users[user]
	u.mu.Lock()
	defer u.mu.Unlock()
	var s Sight
	if u.open && version > u.answered() && string(availability) == u.flight.State.Availability() {
		s.Due = u.flight.Due
	}
	for i := range u.ring {
		switch p := &u.ring[i]; {
		case p.version == 0 || p.version <= had || p.version > version:
		case p.version == version:
			s.Due = p.due
		default:
			s.Skipped++
		}
	}
	u.newest = max(u.newest, version)
	return s
}

// Newest is the highest version that is known of a user, 0 for none.
func (l *Ledger) Newest(user int32) uint64 {
	u := &l.users[user]
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.newest
}

// Behind is for how long, at now, something is stored of a user that a watcher
// with a version does not have; 0 when it has everything. What was due before
// since does not count: the watcher was not connected.
func (l *Ledger) Behind(user int32, has uint64, since, now time.Time) time.Duration {
	u := &l.users[user]
	u.mu.Lock()
	defer u.mu.Unlock()
	var oldest time.Duration
	for i := range u.ring {
		if p := &u.ring[i]; p.version > has && p.due.After(since) {
			oldest = max(oldest, now.Sub(p.due))
		}
	}
	return oldest
}

// Unanswered counts the publishes that are under way or wait.
func (l *Ledger) Unanswered() int {
	n := 0
	for i := range l.users {
		u := &l.users[i]
		u.mu.Lock()
		if u.open {
			n += 1 + len(u.waiting)
		}
		u.mu.Unlock()
	}
	return n
}
