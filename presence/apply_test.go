package presence

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestApplyIsAllOrNothing(t *testing.T) {
	u := newUser(t)
	u.must(u.client("1", "Available/Available", Desktop))
	u.refused(ErrNoSession, u.client("2", "Busy/Busy", Web), clearing(SessionKey("1")), touching("9"))
	if _, ok := u.rec.Get(SessionKey("2")); ok {
		t.Error("a part of a refused batch stayed")
	}
	u.want("Available/Available")
}

func TestLastChangeOfAKeyInABatchCounts(t *testing.T) {
	u := newUser(t)
	got := u.must(u.client("1", "Busy/Busy", Web), clearing(SessionKey("1")), u.client("1", "Away/Away", Web))
	if len(got) != 1 || got[0].Value.(Session).Availability != Away {
		t.Fatalf("to commit: %v", got)
	}
	u.want("Away/Away")
	got = u.must(u.client("1", "Busy/Busy", Web), clearing(SessionKey("1")))
	if len(got) != 1 || got[0].Value != nil {
		t.Fatalf("to commit: %v", got)
	}
	u.want("Offline/Offline")
	got = u.must(u.client("1", "Busy/Busy", Web), Mutation{Op: Lease, Key: SessionKey("1"), Expires: u.ends(2 * hour)})
	if len(got) != 1 || got[0].Expires != u.ends(2*hour) {
		t.Fatalf("a lease after a put in one batch: %v", got)
	}
}

func TestLeaseMovesTheEndAndCommitsNothing(t *testing.T) {
	u := newUser(t)
	first := u.must(u.client("1", "Busy/Busy", Web))[0]
	for _, d := range []time.Duration{2 * hour, 5 * time.Second} {
		if got := u.must(Mutation{Op: Lease, Key: SessionKey("1"), Expires: u.ends(d)}); len(got) != 0 {
			t.Errorf("committed %v", got)
		}
		e, _ := u.rec.Get(SessionKey("1"))
		if e.Expires != u.ends(d) || e.Stamp != first.Stamp || e.Value != first.Value {
			t.Errorf("after a lease of %s: %v", d, e)
		}
	}
	u.refused(ErrDuration, Mutation{Op: Lease, Key: SessionKey("1"), Expires: u.now.UnixMilli()})
	u.refused(ErrDuration, Mutation{Op: Lease, Key: SessionKey("1")})
	u.refused(ErrNoSession, Mutation{Op: Lease, Key: SessionKey("2"), Expires: u.ends(hour)})
	u.pass(5 * time.Second)
	u.refused(ErrNoSession, Mutation{Op: Lease, Key: SessionKey("1"), Expires: u.ends(hour)})
	u.must(u.app("a", "Busy/InACall", hour), u.prefer("Busy/Busy", 0))
	u.refused(ErrValue, Mutation{Op: Lease, Key: SessionKey("a"), Expires: u.ends(hour)})
	u.refused(ErrValue, Mutation{Op: Lease, Key: PreferredKey, Expires: u.ends(hour)})
}

func TestTouch(t *testing.T) {
	for name, tt := range map[string]struct {
		pair   string
		idle   time.Duration
		rest   time.Duration
		commit int
	}{
		"before it fades":          {"Available/Available", 0, 5*min1 - 1, 0},
		"once it is idle":          {"Available/Available", 0, 5 * min1, 1},
		"by the tenant's time":     {"Available/Available", min1, min1, 1},
		"before the tenant's time": {"Available/Available", 10 * min1, 9 * min1, 0},
		"busy does not fade":       {"Busy/Busy", 0, 30 * min1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			u.must(u.client("1", tt.pair, Desktop))
			stored, _ := u.rec.Get(SessionKey("1"))
			u.pass(tt.rest)
			m := touching("1")
			m.IdleAfter = tt.idle
			if got := u.must(m); len(got) != tt.commit {
				t.Errorf("committed %v", got)
			}
			e, _ := u.rec.Get(SessionKey("1"))
			if e.Value.(Session).LastActive != u.now.UnixMilli() || e.Expires != stored.Expires {
				t.Errorf("stored %v", e)
			}
			if (e.Stamp != stored.Stamp) != (tt.commit == 1) {
				t.Errorf("stamp %v, was %v", e.Stamp, stored.Stamp)
			}
		})
	}
}

func TestTouchNeverGoesBack(t *testing.T) {
	u := newUser(t)
	u.must(u.client("1", "Available/Available", Desktop))
	u.pass(-hour)
	u.must(touching("1"))
	if e, _ := u.rec.Get(SessionKey("1")); e.Value.(Session).LastActive != t0.UnixMilli() {
		t.Errorf("activity moved back: %v", e)
	}
	u.must(u.prefer("Busy/Busy", 0))
	u.refused(ErrNoSession, Mutation{Op: Touch, Key: PreferredKey})
}

func TestRenewalOfALeasedSession(t *testing.T) {
	u := newUser(t)
	first := u.must(u.client("1", "Available/Available", Desktop))[0]
	u.pass(4 * min1)
	if got := u.must(u.client("1", "Available/Available", Desktop)); len(got) != 0 {
		t.Errorf("a renewal was committed: %v", got)
	}
	if e, _ := u.rec.Get(SessionKey("1")); e.Stamp != first.Stamp || e.Expires != u.ends(hour) {
		t.Errorf("after the renewal: %v", e)
	}
	u.pass(4 * min1)
	u.want("Available/Available")
	u.pass(min1)
	if got := u.must(u.client("1", "Available/Available", Desktop)); len(got) != 1 {
		t.Error("a session that came back from idle was not committed")
	}
	if got := u.must(u.client("1", "Available/Available", Mobile)); len(got) != 1 {
		t.Error("another device was not committed")
	}
	u.must(u.app("a", "Busy/InACall", hour))
	u.pass(min1)
	if got := u.must(u.app("a", "Busy/InACall", hour)); len(got) != 1 {
		t.Error("the longer life of an app session was not committed")
	}
	if got := u.must(u.app("a", "Busy/InACall", hour)); len(got) != 0 {
		t.Errorf("what was stored already was committed: %v", got)
	}
}

func TestClear(t *testing.T) {
	u := newUser(t)
	if got := u.must(Mutation{Op: Clear, Key: NoteKey}); len(got) != 0 || len(u.rec.Elements()) != 0 {
		t.Errorf("clearing nothing left %v", u.rec.Elements())
	}
	put := u.must(u.client("1", "Busy/Busy", Web))[0]
	u.pass(2 * hour)
	u.refused(ErrNoSession, clearing(SessionKey("1")))
	got := u.must(Mutation{Op: Clear, Key: SessionKey("1")})
	if len(got) != 1 || got[0].Expires != put.Expires {
		t.Errorf("an expired session, which a lease could revive, was cleared as %v", got)
	}
	if got := u.must(Mutation{Op: Clear, Key: SessionKey("1")}); len(got) != 0 {
		t.Errorf("cleared twice: %v", got)
	}
}

func TestMustExistPut(t *testing.T) {
	u := newUser(t)
	m := u.client("1", "Busy/Busy", Web)
	m.MustExist = true
	u.refused(ErrNoSession, m)
	u.must(u.client("1", "Away/Away", Web))
	u.must(m)
	u.want("Busy/Busy")
}

func TestStaleStampIsRefused(t *testing.T) {
	u := newUser(t)
	u.must(u.client("1", "Busy/Busy", Web))
	stored, _ := u.rec.Get(SessionKey("1"))
	for _, m := range []Mutation{u.client("1", "Away/Away", Web), clearing(SessionKey("1"))} {
		for _, at := range []Stamp{stored.Stamp, {stored.Stamp.Version - 1, 9}} {
			if _, err := u.rec.Apply([]Mutation{m}, at, u.now); !isError(err, ErrStale) {
				t.Errorf("stamp %v: %v", at, err)
			}
		}
	}
	if e, _ := u.rec.Get(SessionKey("1")); !cmp.Equal(e, stored) {
		t.Errorf("stored %v", e)
	}
}

func TestSessionActivityTime(t *testing.T) {
	u := newUser(t)
	m := u.app("1", "Available/Available", hour)
	s := m.Value.(Session)
	for _, tt := range []struct{ given, want int64 }{
		{0, t0.UnixMilli()}, {u.ends(hour), t0.UnixMilli()}, {t0.UnixMilli() - 7, t0.UnixMilli() - 7},
	} {
		s.LastActive = tt.given
		m.Value = s
		u.must(m)
		if e, _ := u.rec.Get(m.Key); e.Value.(Session).LastActive != tt.want {
			t.Errorf("given %d, stored %v", tt.given, e)
		}
	}
}

func TestApplyRefusesRubbish(t *testing.T) {
	u := newUser(t)
	soon := u.ends(hour)
	ok := Session{Availability: Busy, Activity: ActBusy}
	entry := func(k EntryKind, start, end int64, msg string) Value { return Calendar{[]Entry{{k, start, end, msg}}} }
	put := func(k Key, v Value) Mutation { return Mutation{Op: Put, Key: k, Value: v, Expires: soon} }
	for name, tt := range map[string]struct {
		want error
		m    Mutation
	}{
		"no operation":            {ErrValue, Mutation{Key: NoteKey}},
		"unknown operation":       {ErrValue, Mutation{Op: 9, Key: NoteKey}},
		"no value":                {ErrValue, put(NoteKey, nil)},
		"no key":                  {ErrValue, put("", Note{})},
		"value under another key": {ErrValue, put(NoteKey, Preferred{Busy, ActBusy})},
		"unknown kind":            {ErrValue, put("mood/1", ok)},
		"session without id":      {ErrBadID, put("session/", ok)},
		"session with slashes":    {ErrBadID, put("session/a/b", ok)},
		"session with long id":    {ErrBadID, put(SessionKey(strings.Repeat("x", 129)), ok)},
		"note with id":            {ErrBadID, put("note/1", Note{})},
		"note with slash":         {ErrBadID, put("note/", Note{})},
		"unknown layer":           {ErrBadID, put(LocationKey(7), Location{})},
		"block of rubbish":        {ErrBadID, put("block/8:orgid:x", Block{})},
		"block of another form":   {ErrBadID, put(BlockKey(UserID{tenantB, "8:ORGID:00000000-0000-0000-0000-0000000000b1"}), Block{})},
		"endless session":         {ErrDuration, Mutation{Op: Put, Key: "session/1", Value: ok}},
		"ended session":           {ErrDuration, Mutation{Op: Put, Key: "session/1", Value: ok, Expires: t0.UnixMilli()}},
		"negative end":            {ErrDuration, Mutation{Op: Put, Key: PreferredKey, Value: Preferred{Busy, ActBusy}, Expires: -1}},
		"client pair":             {ErrPair, put("session/1", Session{Availability: Busy, Activity: ActInAMeeting})},
		"offline client":          {ErrPair, put("session/1", Session{Availability: Offline, Activity: ActOffline})},
		"device":                  {ErrValue, put("session/1", Session{Availability: Busy, Activity: ActBusy, Device: 99})},
		"note":                    {ErrNote, put(NoteKey, Note{Content: "a\x00"})},
		"note with two ends":      {ErrValue, put(NoteKey, Note{Content: "a", Expiry: soon + 1})},
		"too many entries":        {ErrValue, put(CalendarKey, Calendar{make([]Entry, MaxEntries+1)})},
		"entry without kind":      {ErrValue, put(CalendarKey, entry(0, 1, 2, ""))},
		"entry of unknown kind":   {ErrValue, put(CalendarKey, entry(4, 1, 2, ""))},
		"entry that ends first":   {ErrValue, put(CalendarKey, entry(Meeting, 2, 2, ""))},
		"entry with bad message":  {ErrValue, put(CalendarKey, entry(OutOfOffice, 1, 2, "\u202e"))},
		"entry with long message": {ErrValue, put(CalendarKey, entry(OutOfOffice, 1, 2, strings.Repeat("x", 1121)))},
		"negative call":           {ErrValue, put(CallKey("1"), Call{Parties: -1})},
		"huge call":               {ErrValue, put(CallKey("1"), Call{Parties: MaxParties + 1})},
		"unknown location":        {ErrValue, put(LocationKey(Manual), Location{Type: 9})},
		"long place":              {ErrValue, put(LocationKey(Manual), Location{PlaceID: strings.Repeat("x", 129)})},
		"unsorted targets":        {ErrValue, put(WatchKey("1"), Watch{[]UserID{bob, alice}})},
		"repeated targets":        {ErrValue, put(WatchKey("1"), Watch{[]UserID{bob, bob}})},
		"bad target":              {ErrBadID, put(WatchKey("1"), Watch{[]UserID{{tenantA, "x"}}})},
		"target without tenant":   {ErrBadID, put(WatchKey("1"), Watch{[]UserID{{MRI: "8:x"}}})},
		"too many targets":        {ErrValue, put(WatchKey("1"), Watch{make([]UserID, MaxTargets+1)})},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			u.refused(tt.want, tt.m)
			if len(u.rec.Elements()) != 0 {
				t.Errorf("stored %v", u.rec.Elements())
			}
		})
	}
}

func TestApplyTakesTheWholeRange(t *testing.T) {
	u := newUser(t)
	entries := make([]Entry, MaxEntries)
	for i := range entries {
		entries[i] = Entry{OutOfOffice, 1, 2, "line one\r\nline\ttwo"}
	}
	targets := make([]UserID, 0, MaxTargets)
	for i := range MaxTargets {
		targets = append(targets, UserID{TenantID{14: byte(i >> 8), 15: byte(i), 0: 1}, "8:x"})
	}
	u.must(
		u.client(strings.Repeat("x", 128), "Busy/Busy", Web),
		Mutation{Op: Put, Key: CalendarKey, Value: Calendar{entries}},
		Mutation{Op: Put, Key: WatchKey("e-1"), Value: NewWatch(append(targets, targets[0]))},
		Mutation{Op: Put, Key: CallKey("c:1@x"), Value: Call{Parties: MaxParties}},
		Mutation{Op: Put, Key: BlockKey(bob), Value: Block{}},
		Mutation{Op: Put, Key: LocationKey(Scheduled), Value: Location{LocationTimeOff, "desk 7"}},
	)
	if e, _ := u.rec.Get(WatchKey("e-1")); len(e.Value.(Watch).Targets) != MaxTargets {
		t.Errorf("watches %d", len(e.Value.(Watch).Targets))
	}
	if len(u.rec.Elements()) != 6 {
		t.Errorf("stored %d elements", len(u.rec.Elements()))
	}
}

func TestNoteTakesItsEndFromEitherPlace(t *testing.T) {
	u := newUser(t)
	soon := u.ends(hour)
	for _, m := range []Mutation{
		{Op: Put, Key: NoteKey, Value: Note{Content: "a", Expiry: soon}},
		{Op: Put, Key: NoteKey, Expires: soon, Value: Note{Content: "b"}},
	} {
		u.must(m)
		e, _ := u.rec.Get(NoteKey)
		if e.Expires != soon || e.Value.(Note).Expiry != soon {
			t.Errorf("stored %v", e)
		}
	}
}

func TestOnlyAnotherEndIsCommitted(t *testing.T) {
	for _, m := range []Mutation{
		{Op: Put, Key: PreferredKey, Value: Preferred{Busy, ActBusy}},
		{Op: Put, Key: CallKey("1"), Value: Call{Parties: 2}},
		{Op: Put, Key: SessionKey("a"), Value: Session{Availability: Away, Activity: ActAway, App: true, LastActive: 1}},
	} {
		u := newUser(t)
		for _, end := range []int64{u.ends(hour), u.ends(2 * hour), u.ends(min1)} {
			m.Expires = end
			if got := u.must(m); len(got) != 1 || got[0].Expires != end {
				t.Errorf("%s until %d: committed %v", m.Key, end, got)
			}
			if got := u.must(m); len(got) != 0 {
				t.Errorf("%s again: committed %v", m.Key, got)
			}
		}
	}
}
