package presence

import (
	"cmp"
	"math"
	"time"
)

// Rules are the fade times of a tenant: how long after its last activity an
// Available session shows AvailableIdle, then Away. The zero value means
// DefaultRules.
type Rules struct{ IdleAfter, AwayAfter time.Duration }

// DefaultRules are those that Microsoft Graph documents for setPresence.
var DefaultRules = Rules{IdleAfter: 5 * time.Minute, AwayAfter: 10 * time.Minute}

// Aggregate reduces a record to one state. It is a pure function of the
// record's content, the millisecond of now, and the rules.
//
// The state holds from now until just before next, where it differs; a zero
// next means that it never changes by itself. next is always after now.
func Aggregate(r *Record, now time.Time, rules Rules) (s State, next time.Time) {
	if rules == (Rules{}) {
		rules = DefaultRules
	}
	v := viewOf(r, rules)
	v.ms = now.UnixMilli()
	s = v.state()
	for v.ms = v.boundary(); v.ms != math.MaxInt64; v.ms = v.boundary() {
		if v.state() != s {
			return s, time.UnixMilli(v.ms).UTC()
		}
	}
	return s, time.Time{}
}

// view is what Aggregate reads of a record, seen at one millisecond. Watches and
// blocks may be many and are not in it.
type view struct {
	sessions, calls, locations []Element
	preferred, note, calendar  Element
	rules                      Rules
	ms                         int64
}

func viewOf(r *Record, rules Rules) view {
	v := view{
		sessions: r.Kind(KindSession), calls: r.Kind(KindCall), locations: r.Kind(KindLocation),
		rules: rules,
	}
	v.preferred, _ = r.Get(PreferredKey)
	v.note, _ = r.Get(NoteKey)
	v.calendar, _ = r.Get(CalendarKey)
	return v
}

// shown is an availability with its detail, ordered by rank.
type shown struct {
	availability Availability
	activity     Activity
}

// The order of Microsoft Graph's documentation (DoNotDisturb, Busy, Available,
// Away), made total. Index by value; the greater rank is shown.
var (
	availabilityRank = [...]uint8{
		DoNotDisturb: 8, Busy: 7, BusyIdle: 6, Available: 5, AvailableIdle: 4,
		BeRightBack: 3, Away: 2, Offline: 1, PresenceUnknown: 0,
	}
	activityRank = [...]uint8{
		ActPresenting: 4, ActFocusing: 3, ActUrgentInterruptionsOnly: 2, ActDoNotDisturb: 1,
		ActInAConferenceCall: 4, ActInACall: 3, ActInAMeeting: 2, ActBusy: 1,
	}
)

func (a shown) compare(b shown) int {
	return cmp.Or(
		cmp.Compare(rank(availabilityRank[:], uint8(a.availability)), rank(availabilityRank[:], uint8(b.availability))),
		cmp.Compare(rank(activityRank[:], uint8(a.activity)), rank(activityRank[:], uint8(b.activity))),
		cmp.Compare(a.activity, b.activity),
	)
}

func rank(ranks []uint8, n uint8) uint8 {
	if int(n) < len(ranks) {
		return ranks[n]
	}
	return 0
}

func (v *view) state() State {
	var s State
	v.fillNote(&s)
	v.fillLocation(&s)
	v.fillOutOfOffice(&s)
	best, live := v.best(&s)
	if !live {
		s.Availability, s.Activity = Offline, ActOffline
		if s.OutOfOffice {
			s.Activity = ActOutOfOffice
		}
		return s
	}
	if p, ok := v.forced(&s); ok {
		best = p
	} else {
		best = v.busier(best)
	}
	s.Availability, s.Activity = best.availability, best.activity
	if best.availability == Offline { // by choice: nothing may tell that a device is there
		s.Device, s.LastActive = DeviceUnknown, 0
	}
	if s.OutOfOffice && best == (shown{Available, ActAvailable}) {
		s.Activity = ActOutOfOffice
	}
	return s
}

// best finds the live session that ranks highest and fills in the device
// behind it; of equals the one active last, then the greater device.
func (v *view) best(s *State) (best shown, live bool) {
	var bestActive int64
	for _, e := range v.sessions {
		one, ok := e.Value.(Session)
		if !ok || !e.liveAt(v.ms) {
			continue
		}
		sh := v.fade(one)
		order := cmp.Or(sh.compare(best), cmp.Compare(one.LastActive, bestActive), cmp.Compare(one.Device, s.Device))
		if !live || order > 0 {
			best, bestActive, s.Device = sh, one.LastActive, one.Device
		}
		if !live || one.LastActive > s.LastActive {
			s.LastActive = one.LastActive
		}
		live = true
	}
	return best, live
}

// fade is what one session shows: only Available times out.
func (v *view) fade(s Session) shown {
	if s.Availability == Available {
		switch {
		case v.ms >= later(s.LastActive, v.rules.AwayAfter):
			return shown{Away, ActAway}
		case v.ms >= later(s.LastActive, v.rules.IdleAfter):
			return shown{AvailableIdle, ActInactive}
		}
	}
	return shown{s.Availability, s.Activity}
}

func (v *view) forced(s *State) (shown, bool) {
	p, ok := v.preferred.Value.(Preferred)
	if !ok || !v.preferred.liveAt(v.ms) {
		return shown{}, false
	}
	s.Forced, s.ForcedUntil = true, v.preferred.Expires
	return shown{p.Availability, p.Activity}, true
}

// busier raises what the sessions show by running calls and calendar entries.
// Nobody active at any device makes a meeting BusyIdle; a call or focus time
// is activity by itself.
func (v *view) busier(best shown) shown {
	active := best.availability == Available || best.availability == Busy || best.availability == DoNotDisturb
	for _, e := range v.calls {
		if c, ok := e.Value.(Call); ok && e.liveAt(v.ms) {
			best = higher(best, c.shown())
		}
	}
	for _, e := range v.entries() {
		switch {
		case !e.runs(v.ms):
		case e.Kind == Focus:
			best = higher(best, shown{DoNotDisturb, ActFocusing})
		case e.Kind == Meeting && active:
			best = higher(best, shown{Busy, ActInAMeeting})
		case e.Kind == Meeting:
			best = higher(best, shown{BusyIdle, ActInAMeeting})
		}
	}
	return best
}

func higher(a, b shown) shown {
	if b.compare(a) > 0 {
		return b
	}
	return a
}

func (c Call) shown() shown {
	switch {
	case c.Presenting:
		return shown{DoNotDisturb, ActPresenting}
	case c.Parties >= 3:
		return shown{Busy, ActInAConferenceCall}
	}
	return shown{Busy, ActInACall}
}

func (e Entry) runs(ms int64) bool { return e.Start <= ms && ms < e.End }

func (v *view) entries() []Entry {
	c, ok := v.calendar.Value.(Calendar)
	if !ok || !v.calendar.liveAt(v.ms) {
		return nil
	}
	return c.Entries
}

// fillOutOfOffice takes the message of the running entry that has one and started
// last.
func (v *view) fillOutOfOffice(s *State) {
	var best Entry
	for _, e := range v.entries() {
		if e.Kind != OutOfOffice || !e.runs(v.ms) {
			continue
		}
		order := cmp.Or(compareBool(e.Message != "", best.Message != ""), compareEntries(e, best))
		if !s.OutOfOffice || order > 0 {
			best = e
		}
		s.OutOfOffice = true
	}
	s.OutOfOfficeMessage = best.Message
}

func (v *view) fillNote(s *State) {
	if n, ok := v.note.Value.(Note); ok && v.note.liveAt(v.ms) {
		s.Note = n
	}
}

// fillLocation takes the first layer that has a live value.
func (v *view) fillLocation(s *State) {
	first := len(layers)
	for _, e := range v.locations {
		at, ok := e.Value.(Location)
		if !ok || !e.liveAt(v.ms) {
			continue
		}
		for i := range first {
			if _, name := e.Key.Split(); name == layers[i].name {
				first, s.Location, s.LocationSource = i, at, layers[i].source
				break
			}
		}
	}
}
