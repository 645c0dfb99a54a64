package merge

import (
	"cmp"
	"time"

	"rollcall/presence"
)

// How long ended elements are kept, so that no older copy can bring them back.
const (
	// Keep is for sessions and calls, from their end and their last change.
	Keep = 24 * time.Hour
	// KeepCleared is for watch lists that were cleared.
	KeepCleared = 7 * 24 * time.Hour
	// KeepExpired is for watch lists whose time is over.
	KeepExpired = time.Hour
)

// Spent tells whether an element is dropped. A leased session ends only by
// being cleared, since renewals of leases are not stored. The cleared block of
// a user stays: an older copy of it may never expire.
func Spent(e presence.Element, now time.Time) bool {
	kind, _ := e.Key.Split()
	switch kind {
	case presence.KindWatch:
		return spentList(e, now.UnixMilli())
	case presence.KindBlock:
		return false
	case presence.KindSession:
		if s, ok := e.Value.(presence.Session); ok && s.Leased {
			return false
		}
	}
	return e.Spent(now, Keep)
}

func spentList(e presence.Element, ms int64) bool {
	if e.Value == nil {
		return e.Stamp.Version.Millis()+KeepCleared.Milliseconds() <= ms
	}
	return e.Expires > 0 && e.Expires+KeepExpired.Milliseconds() <= ms
}

// User is a copy of one user, whole or in part.
type User struct {
	Record  presence.Record
	State   presence.State
	Version presence.Version // of State; 0: there is none
	Wake    time.Time        // when the presence next changes by itself; zero: never
}

// Change is what is merged into a copy.
type Change struct {
	Elements []presence.Element
	State    presence.State
	Version  presence.Version // of State; 0: nothing is said of it
	Wake     time.Time
	Own      bool // of this node: its Wake counts, and its State also at an equal version
}

// Merge takes from c what is newer, and drops what is spent. It tells whether c
// brought something newer.
func (u *User) Merge(c Change, now time.Time) (changed bool) {
	for _, e := range c.Elements {
		if Take(&u.Record, e, now) {
			changed = true
		}
	}
	u.Record.Drop(func(e presence.Element) bool { return Spent(e, now) })
	if u.mergeState(c) {
		changed = true
	}
	return changed
}

// Take merges one element, unless it is spent and nothing is there for it to
// replace. It tells whether e is newer.
func Take(r *presence.Record, e presence.Element, now time.Time) bool {
	if Spent(e, now) {
		if _, ok := r.Get(e.Key); !ok {
			return false
		}
	}
	return r.Merge(e)
}

// mergeState takes the state of the greater version. Two states of one version
// look alike to others; of one from elsewhere that of the later activity stays.
func (u *User) mergeState(c Change) (newer bool) {
	if c.Own || c.Version >= u.Version {
		u.Wake = c.Wake
	}
	newer = c.Version > u.Version
	if newer || c.Version != 0 && c.Version == u.Version && (c.Own || compareStates(c.State, u.State) > 0) {
		u.State, u.Version = c.State, c.Version
	}
	return newer
}

// compareStates orders what two states of one version can differ in.
func compareStates(a, b presence.State) int {
	return cmp.Or(
		cmp.Compare(a.LastActive, b.LastActive),
		cmp.Compare(truth(a.Forced), truth(b.Forced)),
		cmp.Compare(a.ForcedUntil, b.ForcedUntil),
		cmp.Compare(a.Availability, b.Availability),
		cmp.Compare(a.Activity, b.Activity),
		cmp.Compare(a.Device, b.Device),
		cmp.Compare(truth(a.OutOfOffice), truth(b.OutOfOffice)),
		cmp.Compare(a.OutOfOfficeMessage, b.OutOfOfficeMessage),
		cmp.Compare(a.Note.Published, b.Note.Published),
		cmp.Compare(a.Note.Expiry, b.Note.Expiry),
		cmp.Compare(a.Note.Content, b.Note.Content),
		cmp.Compare(truth(a.Note.Pinned), truth(b.Note.Pinned)),
		cmp.Compare(a.Location.Type, b.Location.Type),
		cmp.Compare(a.Location.PlaceID, b.Location.PlaceID),
		cmp.Compare(a.LocationSource, b.LocationSource),
	)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Digest is the sum of the user's terms; hash is its UserID.Hash.
func (u *User) Digest(hash uint64) uint64 {
	d := Version(hash, u.Version)
	for _, e := range u.Record.Elements() {
		d += Term(hash, e.Key, e.Stamp)
	}
	return d
}
