package presence

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var t0 = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// user drives one record in virtual time.
type user struct {
	t     *testing.T
	rec   Record
	clock Clock
	now   time.Time
}

func newUser(t *testing.T) *user { return &user{t: t, now: t0} }

func (u *user) pass(d time.Duration) { u.now = u.now.Add(d) }

func (u *user) apply(ms ...Mutation) ([]Element, error) {
	u.t.Helper()
	before := u.rec.Clone()
	changed, err := u.rec.Apply(ms, Stamp{Version: u.clock.Next(u.now), Node: 1}, u.now)
	if err != nil && !cmp.Equal(before.Elements(), u.rec.Elements()) {
		u.t.Fatalf("refused change (%v) changed the record", err)
	}
	return changed, err
}

func (u *user) must(ms ...Mutation) []Element {
	u.t.Helper()
	changed, err := u.apply(ms...)
	if err != nil {
		u.t.Fatal(err)
	}
	return changed
}

func (u *user) refused(want error, ms ...Mutation) {
	u.t.Helper()
	if _, err := u.apply(ms...); !errors.Is(err, want) {
		u.t.Fatalf("got error %v, want %v", err, want)
	}
}

func (u *user) ends(d time.Duration) int64 { return u.now.Add(d).UnixMilli() }

func pairOf(t *testing.T, s string) (Availability, Activity) {
	t.Helper()
	av, act, _ := strings.Cut(s, "/")
	a, err := ParseAvailability(av)
	b, err2 := ParseActivity(act)
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// app is Graph's setPresence: d 0 means that none was given.
func (u *user) app(id, pair string, d time.Duration) Mutation {
	u.t.Helper()
	d, err := AppDuration(d)
	if err != nil {
		u.t.Fatal(err)
	}
	a, act := pairOf(u.t, pair)
	return Mutation{Op: Put, Key: SessionKey(id), Expires: u.ends(d),
		Value: Session{Availability: a, Activity: act, Device: App, App: true}}
}

// client is a session that lives with an endpoint.
func (u *user) client(id, pair string, dev Device) Mutation {
	u.t.Helper()
	a, act := pairOf(u.t, pair)
	return Mutation{Op: Put, Key: SessionKey(id), Expires: u.ends(time.Hour),
		Value: Session{Availability: a, Activity: act, Device: dev, Leased: true}}
}

func (u *user) prefer(pair string, d time.Duration) Mutation {
	u.t.Helper()
	a, act := pairOf(u.t, pair)
	d, err := PreferredDuration(a, d)
	if err != nil {
		u.t.Fatal(err)
	}
	return Mutation{Op: Put, Key: PreferredKey, Expires: u.ends(d), Value: Preferred{a, act}}
}

// calendar has one entry that runs for an hour from now.
func (u *user) calendar(k EntryKind) Mutation {
	return Mutation{Op: Put, Key: CalendarKey, Value: Calendar{[]Entry{
		{Kind: k, Start: u.now.UnixMilli(), End: u.ends(time.Hour)},
	}}}
}

func (u *user) call(parties int, presenting bool) Mutation {
	return Mutation{Op: Put, Key: CallKey("c1"), Expires: u.ends(4 * time.Hour), Value: Call{parties, presenting}}
}

func clearing(k Key) Mutation     { return Mutation{Op: Clear, Key: k, MustExist: true} }
func touching(id string) Mutation { return Mutation{Op: Touch, Key: SessionKey(id)} }

func (u *user) state() State {
	s, _ := Aggregate(&u.rec, u.now, Rules{})
	return s
}

func (u *user) want(pair string) State {
	u.t.Helper()
	s := u.state()
	if got := s.Availability.String() + "/" + s.Activity.String(); got != pair {
		u.t.Fatalf("at +%s: got %s, want %s", u.now.Sub(t0), got, pair)
	}
	return s
}
