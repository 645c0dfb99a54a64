package presence

import (
	"time"

	"pgregory.net/rapid"
)

// Generators of records. Times lie on a grid of minutes around t0, so that
// boundaries coincide often; ids are few, so that keys collide.

func genMillis(t *rapid.T, label string) int64 {
	return t0.Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, label)) * time.Minute).UnixMilli()
}

func genExpiry(t *rapid.T) int64 {
	if rapid.Bool().Draw(t, "never") {
		return 0
	}
	return genMillis(t, "expires")
}

func genPair(t *rapid.T, legal []pair) pair { return rapid.SampledFrom(legal).Draw(t, "pair") }

// genElement draws an element as another node could have sent it: legal values,
// any time, expired, cleared, and stamps that jump and coincide.
func genElement(t *rapid.T) Element {
	e := genValue(t)
	e.Expires = genExpiry(t)
	e.Stamp = Stamp{
		Version: Version(genMillis(t, "stamp")<<counterBits + int64(rapid.IntRange(0, 1).Draw(t, "counter"))),
		Node:    uint64(rapid.IntRange(1, 3).Draw(t, "node")),
	}
	if rapid.IntRange(0, 5).Draw(t, "cleared") == 0 {
		e.Value = nil
	}
	return e
}

func genValue(t *rapid.T) Element {
	id := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "id")
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0:
		p := genPair(t, preferredPairs)
		return Element{Key: PreferredKey, Value: Preferred{p.availability, p.activity}}
	case 1:
		return Element{Key: NoteKey, Value: Note{Content: id, Pinned: id == "2"}}
	case 2, 3:
		return Element{Key: CalendarKey, Value: genCalendar(t)}
	case 4:
		return Element{Key: CallKey(id), Value: Call{rapid.IntRange(0, 4).Draw(t, "parties"), rapid.Bool().Draw(t, "presenting")}}
	case 5:
		l := rapid.SampledFrom([]Layer{Manual, Automatic, Scheduled}).Draw(t, "layer")
		return Element{Key: LocationKey(l), Value: Location{LocationType(rapid.IntRange(0, 3).Draw(t, "type")), id}}
	case 6:
		return Element{Key: BlockKey(bob), Value: Block{}}
	case 7:
		return Element{Key: WatchKey(id), Value: NewWatch([]UserID{bob, adam, alice}[:rapid.IntRange(0, 3).Draw(t, "targets")])}
	}
	return Element{Key: SessionKey(id), Value: genSession(t)}
}

func genSession(t *rapid.T) Session {
	p := rapid.SampledFrom(append(clientPairs, pair{Available, ActAvailable}, pair{Available, ActAvailable})).Draw(t, "pair")
	return Session{
		Availability: p.availability, Activity: p.activity, LastActive: genMillis(t, "active"),
		Device: Device(rapid.IntRange(0, int(App)).Draw(t, "device")), Leased: rapid.Bool().Draw(t, "leased"),
	}
}

func genCalendar(t *rapid.T) Calendar {
	return Calendar{rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Entry {
		start := genMillis(t, "start")
		return Entry{
			Kind:  rapid.SampledFrom([]EntryKind{Meeting, Focus, OutOfOffice}).Draw(t, "entry"),
			Start: start, End: start + int64(rapid.IntRange(1, 10).Draw(t, "length"))*60_000,
			Message: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "message"),
		}
	}), 0, 5).Draw(t, "entries")}
}

func genElements(t *rapid.T, label string) []Element {
	return rapid.SliceOfN(rapid.Custom(genElement), 0, 12).Draw(t, label)
}

func recordOf(elements []Element) *Record {
	var r Record
	for _, e := range elements {
		r.Merge(e)
	}
	return &r
}

func genRecord(t *rapid.T, label string) *Record { return recordOf(genElements(t, label)) }

func genRules(t *rapid.T) Rules {
	return rapid.SampledFrom([]Rules{
		{}, DefaultRules, {time.Minute, 2 * time.Minute}, {7 * time.Minute, 3 * time.Minute}, {90 * time.Second, time.Hour},
	}).Draw(t, "rules")
}
