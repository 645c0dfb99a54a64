package presence

import (
	"cmp"
	"math"
	"slices"
)

// compareElements is the total order behind Merge: the greater element wins.
// Cleared beats kept and the longer life beats the shorter, so that what a lease
// renewed without a new stamp survives a join.
func compareElements(a, b Element) int {
	if c := a.Stamp.Compare(b.Stamp); c != 0 {
		return c
	}
	return cmp.Or(
		compareBool(a.Value == nil, b.Value == nil),
		cmp.Compare(end(a.Expires), end(b.Expires)),
		compareValues(a.Value, b.Value),
	)
}

// end makes "never" the latest time.
func end(expires int64) int64 {
	if expires == 0 {
		return math.MaxInt64
	}
	return expires
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// compareValues is 0 only for equal content. Of two sessions the one active
// later is greater.
func compareValues(a, b Value) int {
	if c := cmp.Compare(typeRank(a), typeRank(b)); c != 0 {
		return c
	}
	switch a := a.(type) {
	case Session:
		return compareSessions(a, b.(Session))
	case Preferred:
		o := b.(Preferred)
		return cmp.Or(cmp.Compare(a.Availability, o.Availability), cmp.Compare(a.Activity, o.Activity))
	case Note:
		return compareNotes(a, b.(Note))
	case Calendar:
		return slices.CompareFunc(a.Entries, b.(Calendar).Entries, compareEntries)
	case Call:
		o := b.(Call)
		return cmp.Or(cmp.Compare(a.Parties, o.Parties), compareBool(a.Presenting, o.Presenting))
	case Location:
		o := b.(Location)
		return cmp.Or(cmp.Compare(a.Type, o.Type), cmp.Compare(a.PlaceID, o.PlaceID))
	case Watch:
		return slices.CompareFunc(a.Targets, b.(Watch).Targets, UserID.Compare)
	}
	return 0
}

func typeRank(v Value) int {
	switch v.(type) {
	case Session:
		return 1
	case Preferred:
		return 2
	case Note:
		return 3
	case Calendar:
		return 4
	case Call:
		return 5
	case Location:
		return 6
	case Block:
		return 7
	case Watch:
		return 8
	}
	return 0
}

func compareSessions(a, b Session) int {
	return cmp.Or(
		cmp.Compare(a.LastActive, b.LastActive),
		cmp.Compare(a.Availability, b.Availability),
		cmp.Compare(a.Activity, b.Activity),
		cmp.Compare(a.Device, b.Device),
		compareBool(a.App, b.App),
		compareBool(a.Leased, b.Leased),
	)
}

func compareNotes(a, b Note) int {
	return cmp.Or(
		cmp.Compare(a.Published, b.Published),
		cmp.Compare(a.Expiry, b.Expiry),
		cmp.Compare(a.Content, b.Content),
		compareBool(a.Pinned, b.Pinned),
	)
}

func compareEntries(a, b Entry) int {
	return cmp.Or(
		cmp.Compare(a.Start, b.Start),
		cmp.Compare(a.End, b.End),
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Message, b.Message),
	)
}
