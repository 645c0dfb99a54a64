package presence

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Bounds of what a record takes.
const (
	MaxEntries    = 256   // calendar entries
	MaxParties    = 10000 // of one call
	MaxTargets    = 1000  // watched by one endpoint
	MaxPlaceID    = 128   // bytes
	MaxSessionID  = 128   // bytes; also of calls and endpoints
	maxReplyBytes = 1120  // an automatic reply travels to every watcher, as a note does
)

// checked turns a Put into an element, or says why not. It fills in an absent
// activity time and brings a note's two expiries together.
func checked(m Mutation, ms int64) (Element, error) {
	e := Element{Key: m.Key, Expires: m.Expires, Value: m.Value}
	if err := checkKey(m.Key, m.Value); err != nil {
		return e, err
	}
	switch v := m.Value.(type) {
	case Session:
		if v.LastActive == 0 || v.LastActive > ms {
			v.LastActive = ms
		}
		if m.Expires == 0 {
			return e, fmt.Errorf("session without an end: %w", ErrDuration)
		}
		e.Value = v
	case Note:
		if e.Expires == 0 {
			e.Expires = v.Expiry
		}
		if v.Expiry != 0 && v.Expiry != e.Expires {
			return e, fmt.Errorf("note with two ends: %w", ErrValue)
		}
		v.Expiry = e.Expires
		e.Value = v
	}
	if e.Expires != 0 && e.Expires <= ms {
		return e, fmt.Errorf("%s ends before it starts: %w", m.Key, ErrDuration)
	}
	return e, checkValue(e.Value)
}

// Check says whether an element that came from elsewhere is one that Apply
// could have made: ErrBadID, ErrValue or the error of its kind if it is not.
func (e Element) Check() error {
	if e.Value != nil {
		if err := checkKey(e.Key, e.Value); err != nil {
			return err
		}
		return checkValue(e.Value)
	}
	kind, id := e.Key.Split()
	switch kind {
	case KindSession, KindPreferred, KindNote, KindCalendar, KindCall, KindLocation, KindBlock, KindWatch:
		return checkID(e.Key, kind, id)
	}
	return fmt.Errorf("element of kind %q: %w", kind, ErrValue)
}

func checkKey(k Key, v Value) error {
	kind, id := k.Split()
	want := ""
	switch v.(type) {
	case Session:
		want = KindSession
	case Preferred:
		want = KindPreferred
	case Note:
		want = KindNote
	case Calendar:
		want = KindCalendar
	case Call:
		want = KindCall
	case Location:
		want = KindLocation
	case Block:
		want = KindBlock
	case Watch:
		want = KindWatch
	}
	if kind != want {
		return fmt.Errorf("%T under a key of kind %q: %w", v, kind, ErrValue)
	}
	return checkID(k, kind, id)
}

func checkID(k Key, kind, id string) error {
	ok := false
	switch kind {
	case KindSession, KindCall, KindWatch:
		ok = id != "" && len(id) <= MaxSessionID && isIDText(id)
	case KindLocation:
		ok = slices.ContainsFunc([]Layer{Manual, Automatic, Scheduled},
			func(l Layer) bool { return k == LocationKey(l) })
	case KindBlock:
		u, err := ParseTarget(id, TenantID{})
		ok = err == nil && k == BlockKey(u)
	default:
		ok = string(k) == kind
	}
	if !ok {
		return fmt.Errorf("id of a %s: %w", kind, ErrBadID)
	}
	return nil
}

func checkValue(v Value) error {
	switch v := v.(type) {
	case Session:
		if v.Device > App {
			return fmt.Errorf("device %d: %w", v.Device, ErrValue)
		}
		if v.App {
			return CheckAppSession(v.Availability, v.Activity)
		}
		return CheckClient(v.Availability, v.Activity)
	case Preferred:
		return CheckPreferred(v.Availability, v.Activity)
	case Note:
		return CheckNote(v.Content)
	case Calendar:
		return checkEntries(v.Entries)
	case Call:
		if v.Parties < 0 || v.Parties > MaxParties {
			return fmt.Errorf("call of %d parties: %w", v.Parties, ErrValue)
		}
	case Location:
		if v.Type > LocationTimeOff || !plainText(v.PlaceID, MaxPlaceID) {
			return fmt.Errorf("location: %w", ErrValue)
		}
	case Watch:
		return checkTargets(v.Targets)
	}
	return nil
}

func checkEntries(entries []Entry) error {
	if len(entries) > MaxEntries {
		return fmt.Errorf("%d calendar entries, at most %d: %w", len(entries), MaxEntries, ErrValue)
	}
	for i, e := range entries {
		if e.Kind < Meeting || e.Kind > OutOfOffice || e.Start >= e.End {
			return fmt.Errorf("calendar entry %d: %w", i, ErrValue)
		}
		if !replyText(e.Message) {
			return fmt.Errorf("message of calendar entry %d: %w", i, ErrValue)
		}
	}
	return nil
}

func checkTargets(targets []UserID) error {
	if len(targets) > MaxTargets {
		return fmt.Errorf("%d watched users, at most %d: %w", len(targets), MaxTargets, ErrValue)
	}
	for i, u := range targets {
		if i > 0 && targets[i-1].Compare(u) >= 0 {
			return fmt.Errorf("watched users are not sorted and unique: %w", ErrValue)
		}
		if mri, err := ParseMRI(u.MRI); err != nil || mri != u.MRI || u.Tenant == (TenantID{}) {
			return fmt.Errorf("watched user %d: %w", i, ErrBadID)
		}
	}
	return nil
}

// later adds without wrapping: copies from elsewhere may hold any time.
func later(ms int64, d time.Duration) int64 {
	step := max(d.Milliseconds(), 0)
	if ms > math.MaxInt64-step {
		return math.MaxInt64
	}
	return ms + step
}
