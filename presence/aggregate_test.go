package presence

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// moments lists, without the code under test, every millisecond at which
// anything about a record could end, start or fade.
func moments(r *Record, rules Rules) []int64 {
	if rules == (Rules{}) {
		rules = DefaultRules
	}
	var out []int64
	for _, e := range r.Elements() {
		out = append(out, e.Expires)
		switch v := e.Value.(type) {
		case Session:
			out = append(out, v.LastActive+rules.IdleAfter.Milliseconds(), v.LastActive+rules.AwayAfter.Milliseconds())
		case Calendar:
			for _, en := range v.Entries {
				out = append(out, en.Start, en.End)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestNextIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, rules := genRecord(t, "r"), genRules(t)
		now := time.UnixMilli(genMillis(t, "now")).Add(time.Duration(rapid.IntRange(-1, 1_500_000).Draw(t, "ns")))
		s, next := Aggregate(r, now, rules)
		if !next.IsZero() {
			if !next.After(now) {
				t.Fatalf("next %s is not after now %s", next, now)
			}
			if at, _ := Aggregate(r, next, rules); at == s {
				t.Fatalf("nothing changes at %s", next)
			}
		}
		for _, ms := range moments(r, rules) {
			for _, at := range []time.Time{time.UnixMilli(ms - 1), time.UnixMilli(ms), time.UnixMilli(ms + 1)} {
				if at.Before(now) || !next.IsZero() && !at.Before(next) {
					continue
				}
				if got, n := Aggregate(r, at, rules); got != s || !n.Equal(next) {
					t.Fatalf("before %s, at %s: %+v until %s, want %+v", next, at, got, n, s)
				}
			}
		}
	})
}

// Following next from change to change must visit every change there is.
func TestNextMissesNoChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, rules := genRecord(t, "r"), genRules(t)
		now := t0.Add(-time.Hour)
		s, next := Aggregate(r, now, rules)
		for _, ms := range moments(r, rules) {
			if ms < now.UnixMilli() {
				continue
			}
			for at := time.UnixMilli(ms); !next.IsZero() && !at.Before(next); {
				s, next = Aggregate(r, next, rules)
			}
			if got, _ := Aggregate(r, time.UnixMilli(ms), rules); got != s {
				t.Fatalf("at %d: %+v, followed to %+v", ms, got, s)
			}
		}
		if !next.IsZero() {
			t.Fatalf("after everything has ended, %s still changes something", next)
		}
	})
}

func TestAggregateTakesAnyNumbers(t *testing.T) {
	extremes := []int64{-1 << 63, -1<<63 + 1, -1, 0, 1, 1<<63 - 2, 1<<63 - 1}
	rapid.Check(t, func(t *rapid.T) {
		pick := func(label string) int64 { return rapid.SampledFrom(extremes).Draw(t, label) }
		r := recordOf([]Element{
			{Key: SessionKey("1"), Expires: pick("e1"), Value: Session{Availability: Available, LastActive: pick("a1")}},
			{Key: SessionKey("2"), Expires: pick("e2"), Value: Session{
				Availability: Availability(rapid.Byte().Draw(t, "av")), Activity: Activity(rapid.Byte().Draw(t, "act"))}},
			{Key: CalendarKey, Value: Calendar{[]Entry{{Kind: Meeting, Start: pick("s"), End: pick("e")}}}},
			{Key: NoteKey, Value: Call{}}, // a value under a key that is not its own
		})
		now := time.UnixMilli(rapid.Int64Range(-1<<40, 1<<47).Draw(t, "now"))
		rules := Rules{time.Duration(pick("idle")), time.Duration(pick("away"))}
		s, next := Aggregate(r, now, rules)
		if at, _ := Aggregate(r, next, rules); !next.IsZero() && (at == s || !next.After(now)) {
			t.Fatalf("next %s after %s changes nothing", next, now)
		}
	})
}

// The documented order, highest first. Every session pair is placed.
var order = []string{
	"DoNotDisturb/Presenting", "DoNotDisturb/UrgentInterruptionsOnly", "DoNotDisturb/DoNotDisturb",
	"Busy/InAConferenceCall", "Busy/InACall", "Busy/Busy",
	"BusyIdle/InAConferenceCall", "BusyIdle/InACall", "BusyIdle/Busy",
	"Available/Available", "AvailableIdle/Inactive", "BeRightBack/BeRightBack", "Away/Away",
}

func TestOrderOfSessions(t *testing.T) {
	if len(order) != len(clientPairs) {
		t.Fatalf("the order has %d of %d pairs", len(order), len(clientPairs))
	}
	for i, high := range order {
		for _, low := range order[i:] {
			for _, ids := range [][2]string{{"1", "2"}, {"2", "1"}} {
				u := newUser(t)
				u.must(u.client(ids[0], high, Desktop), u.client(ids[1], low, Mobile))
				s := u.want(high)
				if high != low && s.Device != Desktop {
					t.Errorf("%s with %s: device %s, want that of the higher", high, low, s.Device)
				}
			}
		}
	}
}

func TestDeviceOfEqualSessionsIsTheLastActive(t *testing.T) {
	u := newUser(t)
	u.must(u.client("1", "Available/Available", Mobile))
	u.pass(min1)
	u.must(u.client("2", "Available/Available", Web))
	if s := u.state(); s.Device != Web || s.LastActive != u.now.UnixMilli() {
		t.Errorf("device %s active at %d", s.Device, s.LastActive)
	}
	u.pass(min1)
	u.must(touching("1"))
	if s := u.state(); s.Device != Mobile {
		t.Errorf("after the phone was touched: device %s", s.Device)
	}
	u.must(u.client("0", "Available/Available", Desktop), u.client("2", "Available/Available", Web))
	if s := u.state(); s.Device != Mobile {
		t.Errorf("all active at one time: device %s, want the greatest", s.Device)
	}
}

// Who appears offline must not be betrayed by a device or a time, nor by a
// version that moves when the hidden devices do.
func TestAppearingOfflineHidesTheDevices(t *testing.T) {
	u := newUser(t)
	u.must(u.client("1", "Available/Available", Desktop))
	u.must(Mutation{Op: Put, Key: PreferredKey, Value: Preferred{Availability: Offline, Activity: ActOffWork}, Expires: at(hour)})
	before, _ := Aggregate(&u.rec, u.now, Rules{})
	if before.Device != DeviceUnknown || before.LastActive != 0 || before.Availability != Offline {
		t.Errorf("shown as %+v", before)
	}
	u.must(u.client("2", "Busy/InACall", Mobile))
	after, _ := Aggregate(&u.rec, u.now, Rules{})
	if after.Visible(before) {
		t.Errorf("a call on another device changed %+v to %+v", before, after)
	}
}

func TestCalendarAndCalls(t *testing.T) {
	entries := func(kinds ...EntryKind) func(u *user) Mutation {
		return func(u *user) Mutation {
			var c Calendar
			for _, k := range kinds {
				c.Entries = append(c.Entries, Entry{Kind: k, Start: u.now.UnixMilli(), End: u.ends(hour)})
			}
			return Mutation{Op: Put, Key: CalendarKey, Value: c}
		}
	}
	call := func(parties int, presenting bool) func(u *user) Mutation {
		return func(u *user) Mutation { return u.call(parties, presenting) }
	}
	for name, tt := range map[string]struct {
		session string
		more    []func(*user) Mutation
		want    string
	}{
		"a meeting and a locked computer":     {"Away/Away", []func(*user) Mutation{entries(Meeting)}, "BusyIdle/InAMeeting"},
		"a meeting and be right back":         {"BeRightBack/BeRightBack", []func(*user) Mutation{entries(Meeting)}, "BusyIdle/InAMeeting"},
		"a meeting and a busy client":         {"Busy/Busy", []func(*user) Mutation{entries(Meeting)}, "Busy/InAMeeting"},
		"a meeting and do not disturb":        {"DoNotDisturb/DoNotDisturb", []func(*user) Mutation{entries(Meeting)}, "DoNotDisturb/DoNotDisturb"},
		"focus beats chosen do not disturb":   {"DoNotDisturb/DoNotDisturb", []func(*user) Mutation{entries(Focus)}, "DoNotDisturb/Focusing"},
		"focus while nobody is active":        {"Away/Away", []func(*user) Mutation{entries(Focus)}, "DoNotDisturb/Focusing"},
		"focus in a meeting":                  {"Available/Available", []func(*user) Mutation{entries(Meeting, Focus)}, "DoNotDisturb/Focusing"},
		"presenting beats focus":              {"Available/Available", []func(*user) Mutation{entries(Focus), call(2, true)}, "DoNotDisturb/Presenting"},
		"a call while nobody is active":       {"Away/Away", []func(*user) Mutation{call(2, false)}, "Busy/InACall"},
		"a call in a meeting while idle":      {"AvailableIdle/Inactive", []func(*user) Mutation{entries(Meeting), call(3, false)}, "Busy/InAConferenceCall"},
		"a call of unknown size":              {"Available/Available", []func(*user) Mutation{call(0, false)}, "Busy/InACall"},
		"out of office and away":              {"Away/Away", []func(*user) Mutation{entries(OutOfOffice)}, "Away/Away"},
		"out of office in a meeting":          {"Available/Available", []func(*user) Mutation{entries(OutOfOffice, Meeting)}, "Busy/InAMeeting"},
		"an idle client and out of office":    {"AvailableIdle/Inactive", []func(*user) Mutation{entries(OutOfOffice)}, "AvailableIdle/Inactive"},
		"the client itself is right back":     {"BeRightBack/BeRightBack", nil, "BeRightBack/BeRightBack"},
		"preferred available, out of office":  {"Busy/Busy", []func(*user) Mutation{entries(OutOfOffice), prefer("Available/Available")}, "Available/OutOfOffice"},
		"appear offline while out of office":  {"Busy/Busy", []func(*user) Mutation{entries(OutOfOffice), prefer("Offline/OffWork")}, "Offline/OffWork"},
		"appear offline in a call":            {"Busy/InACall", []func(*user) Mutation{call(2, true), prefer("Offline/OffWork")}, "Offline/OffWork"},
		"a call that ended (cleared) is gone": {"Available/Available", []func(*user) Mutation{call(2, true), endCall}, "Available/Available"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			for _, m := range tt.more {
				u.must(m(u))
			}
			if s := u.state(); s.Availability != Offline || s.Forced || s.Device != DeviceUnknown {
				t.Errorf("without a session: %s/%s", s.Availability, s.Activity)
			}
			u.must(u.client("1", tt.session, Desktop))
			u.want(tt.want)
		})
	}
}

func prefer(pair string) func(*user) Mutation {
	return func(u *user) Mutation { return u.prefer(pair, 0) }
}

func endCall(*user) Mutation { return Mutation{Op: Clear, Key: CallKey("c1")} }

func TestOutOfOfficeMessage(t *testing.T) {
	u := newUser(t)
	ms := u.now.UnixMilli()
	entries := []Entry{
		{OutOfOffice, ms - 5, ms + 50, "long"}, {OutOfOffice, ms - 3, ms + 30, "short"},
		{OutOfOffice, ms - 1, ms + 10, ""}, {Meeting, ms, ms + 10, "not this"}, {OutOfOffice, ms + 5, ms + 6, "later"},
	}
	for range len(entries) {
		entries = append(entries[1:], entries[0])
		u.must(Mutation{Op: Put, Key: CalendarKey, Value: Calendar{slices.Clone(entries)}})
		if s := u.state(); !s.OutOfOffice || s.OutOfOfficeMessage != "short" {
			t.Errorf("first entry %v: message %q", entries[0], s.OutOfOfficeMessage)
		}
	}
	u.pass(5 * time.Millisecond)
	if s := u.state(); s.OutOfOfficeMessage != "later" {
		t.Errorf("message %q, want that which started last", s.OutOfOfficeMessage)
	}
	u.pass(45 * time.Millisecond)
	if s := u.state(); s.OutOfOffice || s.OutOfOfficeMessage != "" {
		t.Errorf("after the end: %t %q", s.OutOfOffice, s.OutOfOfficeMessage)
	}
}

func TestTenantRules(t *testing.T) {
	u := newUser(t)
	u.must(u.client("1", "Available/Available", Desktop))
	rules := Rules{IdleAfter: time.Minute, AwayAfter: time.Hour}
	s, next := Aggregate(&u.rec, u.now, rules)
	if s.Availability != Available || !next.Equal(u.now.Add(time.Minute)) {
		t.Errorf("%s until %s", s.Availability, next)
	}
	if s, _ := Aggregate(&u.rec, next, rules); s.Availability != AvailableIdle {
		t.Errorf("after a minute: %s", s.Availability)
	}
}

func TestVisible(t *testing.T) {
	base := State{Availability: Busy, Activity: ActBusy, Note: Note{Content: "x", Published: 1, Expiry: 2}}
	for name, tt := range map[string]struct {
		change func(*State)
		want   bool
	}{
		"nothing":         {func(*State) {}, false},
		"last active":     {func(s *State) { s.LastActive = 9 }, false},
		"forced":          {func(s *State) { s.Forced, s.ForcedUntil = true, 9 }, false},
		"note times":      {func(s *State) { s.Note.Published, s.Note.Expiry = 8, 9 }, false},
		"note":            {func(s *State) { s.Note.Content = "y" }, true},
		"pinned":          {func(s *State) { s.Note.Pinned = true }, true},
		"availability":    {func(s *State) { s.Availability = Away }, true},
		"activity":        {func(s *State) { s.Activity = ActInACall }, true},
		"device":          {func(s *State) { s.Device = Web }, true},
		"out of office":   {func(s *State) { s.OutOfOffice = true }, true},
		"reply":           {func(s *State) { s.OutOfOfficeMessage = "z" }, true},
		"location":        {func(s *State) { s.Location.PlaceID = "desk" }, true},
		"location source": {func(s *State) { s.LocationSource = SourceManual }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := base
			tt.change(&s)
			if s.Visible(base) != tt.want || base.Visible(s) != tt.want {
				t.Errorf("visible is not %t", tt.want)
			}
			if seen := s.Seen(Full) != base.Seen(Full); seen != tt.want && name != "last active" {
				t.Errorf("what a viewer gets differs: %t", seen)
			}
		})
	}
}

func TestLocationLayers(t *testing.T) {
	types := map[Layer]LocationType{Manual: LocationOffice, Automatic: LocationRemote, Scheduled: LocationTimeOff}
	sources := map[Layer]Source{Manual: SourceManual, Automatic: SourceAutomatic, Scheduled: SourceScheduled}
	for high := Manual; high <= Scheduled; high++ {
		u := newUser(t)
		for l := high; l <= Scheduled; l++ {
			u.must(u.works(l, types[l]))
		}
		u.located(types[high], sources[high])
		u.pass(10 * hour)
		u.located(LocationUnspecified, SourceNone)
	}
}
