package presence

import (
	"errors"
	"testing"
	"time"
)

func isError(err, want error) bool { return errors.Is(err, want) }

// with says what an Available desktop shows beside other sources.
func with(want string, more func(u *user) []Mutation) func(*user) {
	return func(u *user) {
		u.must(append(more(u), u.client("1", "Available/Available", Desktop))...)
		u.want(want)
	}
}

var layerRows = []row{
	{38, "a meeting makes busy", false, with("Busy/InAMeeting", func(u *user) []Mutation {
		return []Mutation{u.calendar(Meeting)}
	})},
	{39, "the meeting ends", false, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop), u.calendar(Meeting))
		u.pass(hour - min1)
		u.must(u.client("1", "Available/Available", Desktop))
		u.want("Busy/InAMeeting")
		u.pass(min1)
		u.want("Available/Available")
	}},
	{40, "a meeting without a session is offline", inferred, func(u *user) {
		u.must(u.calendar(Meeting))
		u.want("Offline/Offline")
	}},
	{41, "a meeting with an idle client", inferred, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop), u.calendar(Meeting))
		u.pass(12 * min1)
		u.want("BusyIdle/InAMeeting")
	}},
	{42, "a call beats a meeting", inferred, with("Busy/InACall", func(u *user) []Mutation {
		return []Mutation{u.calendar(Meeting), u.call(2, false)}
	})},
	{43, "a conference call", false, with("Busy/InAConferenceCall", func(u *user) []Mutation {
		return []Mutation{u.call(3, false)}
	})},
	{44, "a shared screen", false, with("DoNotDisturb/Presenting", func(u *user) []Mutation {
		return []Mutation{u.call(2, true)}
	})},
	{45, "focus time", false, with("DoNotDisturb/Focusing", func(u *user) []Mutation {
		return []Mutation{u.calendar(Focus)}
	})},
	{46, "available and out of office", false, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop), u.calendar(OutOfOffice))
		u.away("Available/OutOfOffice")
	}},
	{47, "in a call and out of office", inferred, func(u *user) {
		u.must(u.app("1", "Busy/InACall", hour), u.calendar(OutOfOffice))
		u.away("Busy/InACall")
	}},
	{48, "out of office without a session", inferred, func(u *user) {
		u.must(u.calendar(OutOfOffice))
		u.away("Offline/OutOfOffice")
	}},
	{49, "the only computer is locked", false, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop))
		u.must(u.client("1", "Away/Away", Desktop))
		u.want("Away/Away")
	}},
	{50, "the computer is locked, the phone in hand", false, func(u *user) {
		u.must(u.client("1", "Away/Away", Desktop), u.client("2", "Available/Available", Mobile))
		if s := u.want("Available/Available"); s.Device != Mobile {
			u.t.Errorf("device %s, want Mobile", s.Device)
		}
	}},
	{51, "the only phone goes to the background", false, func(u *user) {
		u.must(u.client("1", "Available/Available", Mobile))
		u.must(u.client("1", "Away/Away", Mobile))
		u.want("Away/Away")
	}},
	{52, "all clients gone, grace over", false, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop), u.client("2", "Available/Available", Mobile))
		grace := DefaultPolicy(tenantA).Grace
		u.must(Mutation{Op: Lease, Key: SessionKey("1"), Expires: u.ends(grace)},
			Mutation{Op: Lease, Key: SessionKey("2"), Expires: u.ends(grace)})
		u.pass(grace - time.Millisecond)
		u.want("Available/Available")
		u.pass(time.Millisecond)
		u.want("Offline/Offline")
	}},
	{53, "the only endpoint reports no activity for 5 min", inferred, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop))
		for range 10 {
			u.pass(min1 / 2)
			u.must(Mutation{Op: Lease, Key: SessionKey("1"), Expires: u.ends(min1)})
		}
		u.want("AvailableIdle/Inactive")
	}},
	{54, "an idle endpoint reports activity", inferred, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop))
		u.pass(11 * min1)
		before := u.want("Away/Away")
		if got := u.must(touching("1")); len(got) != 1 || got[0].Stamp.Version <= Version(t0.UnixMilli()<<16) {
			u.t.Errorf("committed %v, want the session under a new version", got)
		}
		s := u.want("Available/Available")
		if !s.Visible(before) || s.LastActive != u.now.UnixMilli() {
			u.t.Errorf("visible %t, last active %d", s.Visible(before), s.LastActive)
		}
	}},
	{55, "forced busy until 14:00", false, func(u *user) {
		u.must(u.prefer("Busy/Busy", 5*hour))
		u.pass(5*hour - min1)
		u.must(u.client("1", "Available/Available", Desktop))
		u.want("Busy/Busy")
		u.pass(2 * min1)
		u.want("Available/Available")
	}},
	{56, "a note's times are the owner's", false, func(u *user) {
		published, expiry := u.now.UnixMilli(), u.ends(5*min1)
		u.must(Mutation{Op: Put, Key: NoteKey, Expires: expiry, Value: Note{Content: "back soon", Published: published}})
		if got, want := u.state().Note, (Note{"back soon", false, published, expiry}); got != want {
			u.t.Errorf("owner sees %v, want %v", got, want)
		}
		if got, want := u.state().Seen(Full).Note, (Note{Content: "back soon"}); got != want {
			u.t.Errorf("other sees %v, want %v", got, want)
		}
		u.pass(5 * min1)
		if got := u.state().Note; got != (Note{}) {
			u.t.Errorf("after expiry: %v", got)
		}
	}},
	{65, "a publish that changes nothing", inferred, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop))
		before := u.state()
		if got := u.must(u.client("1", "Available/Available", Desktop)); len(got) != 0 || u.state().Visible(before) {
			u.t.Errorf("committed %v, visible %t", got, u.state().Visible(before))
		}
		u.pass(min1)
		if got := u.must(u.client("1", "Available/Available", Desktop)); len(got) != 0 || u.state().Visible(before) {
			u.t.Errorf("renewal committed %v, visible %t", got, u.state().Visible(before))
		}
	}},
	{68, "manual location beats automatic", false, func(u *user) {
		u.must(u.works(Automatic, LocationRemote), u.works(Manual, LocationOffice))
		u.located(LocationOffice, SourceManual)
	}},
	{69, "clearing automatic keeps manual", false, func(u *user) {
		u.must(u.works(Automatic, LocationRemote), u.works(Manual, LocationOffice))
		u.must(Mutation{Op: Clear, Key: LocationKey(Automatic)})
		u.located(LocationOffice, SourceManual)
	}},
	{70, "clearing both leaves the schedule", false, func(u *user) {
		u.must(u.works(Scheduled, LocationRemote), u.works(Automatic, LocationTimeOff), u.works(Manual, LocationOffice))
		u.must(Mutation{Op: Clear, Key: LocationKey(Automatic)}, Mutation{Op: Clear, Key: LocationKey(Manual)})
		u.located(LocationRemote, SourceScheduled)
	}},
}

func (u *user) away(pair string) {
	u.t.Helper()
	if s := u.want(pair); !s.OutOfOffice {
		u.t.Error("the out of office flag is not set")
	}
}

func (u *user) works(l Layer, typ LocationType) Mutation {
	return Mutation{Op: Put, Key: LocationKey(l), Expires: u.ends(10 * hour), Value: Location{Type: typ}}
}

func (u *user) located(typ LocationType, from Source) {
	u.t.Helper()
	if s := u.state(); s.Location.Type != typ || s.LocationSource != from {
		u.t.Errorf("got %s from %s, want %s from %s", s.Location.Type, s.LocationSource, typ, from)
	}
}

var (
	tenantA = TenantID{15: 0xa}
	tenantB = TenantID{15: 0xb}
	alice   = UserID{tenantA, "8:orgid:00000000-0000-0000-0000-0000000000a1"}
	adam    = UserID{tenantA, "8:orgid:00000000-0000-0000-0000-0000000000a2"}
	bob     = UserID{tenantB, "8:orgid:00000000-0000-0000-0000-0000000000b1"}
)

// watched says what viewer sees of alice, whose desktop is Available.
func (u *user) watched(viewer UserID, a, b Policy, want string) {
	u.t.Helper()
	u.must(u.client("1", "Available/Available", Desktop))
	trust := map[TenantID]*Trust{tenantA: Compile(&a), tenantB: Compile(&b)}
	block, _ := u.rec.Get(BlockKey(viewer))
	view := Decide(viewer, alice, trust[viewer.Tenant], trust[tenantA], block.Live(u.now))
	s := u.state().Seen(view)
	if got := s.Availability.String() + "/" + s.Activity.String(); got != want {
		u.t.Errorf("%s sees %s, want %s", viewer, got, want)
	}
}

var viewerRows = []row{
	{57, "a blocked viewer sees offline", false, func(u *user) {
		u.must(Mutation{Op: Put, Key: BlockKey(adam), Value: Block{}})
		u.watched(adam, DefaultPolicy(tenantA), DefaultPolicy(tenantB), "Offline/Offline")
	}},
	{58, "an untrusted tenant sees nothing; the value", inferred, func(u *user) {
		a, b := DefaultPolicy(tenantA), DefaultPolicy(tenantB)
		a.Federation, a.List = BlockList, []TenantID{tenantB}
		u.watched(bob, a, b, "PresenceUnknown/PresenceUnknown")
	}},
	{59, "one-sided trust is none", false, func(u *user) {
		a, b := DefaultPolicy(tenantA), DefaultPolicy(tenantB)
		a.Federation, a.List = AllowList, []TenantID{tenantB}
		u.watched(bob, a, b, "Available/Available")
		b.Federation = AllowList
		u.watched(bob, a, b, "PresenceUnknown/PresenceUnknown")
	}},
	{60, "privacy hides from trusted outsiders only", false, func(u *user) {
		a, b := DefaultPolicy(tenantA), DefaultPolicy(tenantB)
		a.Privacy = true
		u.watched(bob, a, b, "PresenceUnknown/PresenceUnknown")
		u.watched(adam, a, b, "Available/Available")
	}},
}

func TestHiddenAndUnknownCarryNothing(t *testing.T) {
	u := newUser(t)
	u.must(u.client("1", "Available/Available", Desktop), u.calendar(OutOfOffice), u.works(Manual, LocationOffice),
		Mutation{Op: Put, Key: NoteKey, Value: Note{Content: "secret"}})
	s := u.state()
	if got := s.Seen(Hidden); got != (State{Availability: Offline, Activity: ActOffline}) {
		t.Errorf("hidden shows %+v", got)
	}
	for _, v := range []View{Unknown, 3, 255} {
		if got := s.Seen(v); got != (State{}) {
			t.Errorf("view %d shows %+v", v, got)
		}
	}
}
