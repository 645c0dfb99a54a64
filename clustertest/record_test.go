package clustertest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"rollcall/presence"
)

// shown is what can be seen of a user.
type shown struct {
	availability presence.Availability
	activity     presence.Activity
}

func (s shown) String() string { return fmt.Sprintf("%s/%s", s.availability, s.activity) }

// ack is a publish that a node has answered.
type ack struct {
	user    int
	due, at time.Time // when it should have been made; when the answer came
	version presence.Version
	state   shown
	owner   string // node that owned the user when it was sent, empty: not known
	gateway string // node that the user was connected to when it was due
}

// sight is an item that a watcher was given.
type sight struct {
	watcher, user int
	at            time.Time
	version       presence.Version
	state         shown
}

// record is all that the clients of a scenario lived through. Each user's acks
// and each watcher's sights are in the order of their times.
type record struct {
	mu       sync.Mutex
	acks     []ack
	sights   []sight
	reads    []sight             // by those without a connection
	refusals map[string]int      // publishes that had to be made again, by reason
	moved    map[int][]time.Time // when a user's connections ended
	faults   int
}

func newRecord() *record {
	return &record{refusals: map[string]int{}, moved: map[int][]time.Time{}}
}

func (r *record) acked(a ack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acks = append(r.acks, a)
}

func (r *record) saw(s sight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sights = append(r.sights, s)
}

func (r *record) read(watcher int, at time.Time, items map[int]item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, user := range sorted(items) {
		r.reads = append(r.reads, sight{watcher, user, at, items[user].version, items[user].state})
	}
}

func (r *record) refused(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusals[reason]++
}

func (r *record) reconnected(user int, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moved[user] = append(r.moved[user], at)
}

// movedBetween is whether a user lost a connection then, or just before; r.mu is
// held.
func (r *record) movedBetween(user int, from, to time.Time) bool {
	from = from.Add(-time.Second)
	return slices.ContainsFunc(r.moved[user], func(at time.Time) bool { return !at.Before(from) && !at.After(to) })
}

func (r *record) fault() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults++
}

// faulty is whether the first fault has been.
func (r *record) faulty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.faults > 0
}
