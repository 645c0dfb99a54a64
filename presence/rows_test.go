package presence

import (
	"fmt"
	"testing"
	"time"
)

// row is one line of the table of known answers. An inferred one has no public
// source for all of its answer; the choice is ours.
type row struct {
	n        int
	name     string
	inferred bool
	run      func(u *user)
}

const (
	inferred = true
	min1     = time.Minute
	hour     = time.Hour
)

func TestRows(t *testing.T) {
	rows := append(append(append(append([]row{}, sessionRows...), preferredRows...), layerRows...), viewerRows...)
	seen := map[int]bool{}
	for _, r := range rows {
		name := fmt.Sprintf("row %02d %s", r.n, r.name)
		if r.inferred {
			name += " (inferred)"
		}
		if seen[r.n] {
			t.Fatalf("row %d is there twice", r.n)
		}
		seen[r.n] = true
		t.Run(name, func(t *testing.T) { r.run(newUser(t)) })
	}
	for n := 1; n <= 70; n++ {
		// 61 to 64, 66 and 67 are about HTTP and transport.
		if other := n >= 61 && n <= 64 || n == 66 || n == 67; !seen[n] && !other {
			t.Errorf("row %d is missing", n)
		}
	}
}

// after says what one app session of an hour shows after some time.
func after(pair string, d time.Duration, want string) func(*user) {
	return func(u *user) {
		u.must(u.app("a", pair, hour))
		u.pass(d)
		u.want(want)
	}
}

var sessionRows = []row{
	{1, "nothing is offline", false, func(u *user) { u.want("Offline/Offline") }},
	{2, "fresh available", false, after("Available/Available", 0, "Available/Available")},
	{3, "available at 4:59", false, after("Available/Available", 5*min1-time.Millisecond, "Available/Available")},
	{4, "available at 5:00 is idle; its name", inferred, after("Available/Available", 5*min1, "AvailableIdle/Inactive")},
	{5, "available at 9:59 is idle", false, after("Available/Available", 10*min1-time.Millisecond, "AvailableIdle/Inactive")},
	{6, "available at 10:00 is away", false, after("Available/Available", 10*min1, "Away/Away")},
	{7, "keep alive brings available back", false, func(u *user) {
		u.must(u.app("a", "Available/Available", hour))
		u.pass(10 * min1)
		u.want("Away/Away")
		u.must(u.app("a", "Available/Available", hour))
		u.want("Available/Available")
	}},
	{8, "expiry beats fade at the same instant", inferred, func(u *user) {
		u.must(u.app("a", "Available/Available", 0))
		u.pass(5*min1 - time.Millisecond)
		u.want("Available/Available")
		u.pass(time.Millisecond)
		u.want("Offline/Offline")
	}},
	{9, "PT4M is too short; the answer", inferred, func(u *user) { u.duration("PT4M", ErrDuration) }},
	{10, "PT4H is allowed", false, func(u *user) { u.duration("PT4H", nil) }},
	{11, "PT4H1M is too long; the answer", inferred, func(u *user) { u.duration("PT4H1M", ErrDuration) }},
	{12, "a call does not time out", false, after("Busy/InACall", 30*min1, "Busy/InACall")},
	{13, "a call session expires", false, after("Busy/InACall", hour, "Offline/Offline")},
	{14, "available beats away", false, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop), u.client("2", "Away/Away", Web))
		u.want("Available/Available")
	}},
	{15, "an app's away cannot lower a client", false, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop), u.app("2", "Away/Away", hour))
		u.want("Available/Available")
	}},
	{16, "busy beats available", false, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop), u.app("2", "Busy/InACall", hour))
		u.want("Busy/InACall")
	}},
	{17, "presenting beats a call", false, func(u *user) {
		u.must(u.app("1", "Busy/InACall", hour), u.app("2", "DoNotDisturb/Presenting", hour))
		u.want("DoNotDisturb/Presenting")
	}},
	{18, "each session fades alone", false, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop))
		u.pass(11 * min1)
		u.must(u.client("2", "Available/Available", Web))
		u.pass(min1)
		u.want("Available/Available")
	}},
	{19, "idle beats away", inferred, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop))
		u.pass(5 * min1)
		u.must(u.client("2", "Available/Available", Web))
		u.pass(7 * min1)
		if s := u.want("AvailableIdle/Inactive"); s.Device != Web {
			u.t.Errorf("device %s, want Web", s.Device)
		}
	}},
	{20, "what is left after one expires", false, func(u *user) {
		u.must(u.app("1", "Busy/InACall", 5*min1), u.client("2", "Away/Away", Web))
		u.want("Busy/InACall")
		u.pass(5 * min1)
		u.want("Away/Away")
	}},
	{21, "what is left after one is cleared", false, func(u *user) {
		u.must(u.app("1", "Busy/InACall", hour), u.client("2", "Available/Available", Web))
		u.must(clearing(SessionKey("1")))
		u.want("Available/Available")
	}},
	{22, "the only session is cleared", false, func(u *user) {
		u.must(u.app("1", "Busy/InACall", hour))
		if got := u.must(clearing(SessionKey("1"))); len(got) != 1 || got[0].Value != nil {
			u.t.Errorf("committed %v, want one cleared element", got)
		}
		u.want("Offline/Offline")
	}},
	{23, "an unknown session cannot be cleared", false, func(u *user) {
		u.refused(ErrNoSession, clearing(SessionKey("1")))
	}},
}

func (u *user) duration(iso string, want error) {
	d, err := ParseDuration(iso)
	if err != nil {
		u.t.Fatal(err)
	}
	got, err := AppDuration(d)
	if !isError(err, want) || err == nil && got != d {
		u.t.Fatalf("%s: got %s and %v, want %v", iso, got, err, want)
	}
}

// kept says what a preferred presence without a duration shows after some time
// to a user with an Available client.
func kept(pair string, d time.Duration, want string) func(*user) {
	return func(u *user) {
		u.must(u.prefer(pair, 0))
		u.pass(d)
		u.must(u.client("1", "Available/Available", Desktop))
		u.want(want)
	}
}

var preferredRows = []row{
	{24, "preferred without a session is offline", false, func(u *user) {
		u.must(u.prefer("DoNotDisturb/DoNotDisturb", 8*hour))
		if s := u.want("Offline/Offline"); s.Forced {
			u.t.Error("forced without a session")
		}
	}},
	{25, "preferred shows with the first session", false, func(u *user) {
		u.must(u.prefer("DoNotDisturb/DoNotDisturb", 8*hour))
		u.must(u.client("1", "Available/Available", Desktop))
		if s := u.want("DoNotDisturb/DoNotDisturb"); !s.Forced || s.ForcedUntil != u.ends(8*hour) {
			u.t.Errorf("forced %t until %d", s.Forced, s.ForcedUntil)
		}
	}},
	{26, "preferred available beats a call session", false, func(u *user) {
		u.must(u.prefer("Available/Available", 0), u.app("1", "Busy/InACall", hour))
		u.want("Available/Available")
	}},
	{27, "preferred beats meeting and call", false, func(u *user) {
		u.must(u.prefer("DoNotDisturb/DoNotDisturb", 0), u.client("1", "Available/Available", Desktop),
			u.calendar(Meeting), u.call(2, false))
		u.want("DoNotDisturb/DoNotDisturb")
	}},
	{28, "busy lasts a day", false, kept("Busy/Busy", 24*hour-min1, "Busy/Busy")},
	{29, "busy ends after a day", false, kept("Busy/Busy", 24*hour+min1, "Available/Available")},
	{30, "away lasts seven days", false, kept("Away/Away", 7*24*hour-hour, "Away/Away")},
	{31, "away ends after seven days", false, kept("Away/Away", 7*24*hour+hour, "Available/Available")},
	{32, "appear offline", false, kept("Offline/OffWork", 0, "Offline/OffWork")},
	{33, "preferred beats fade", false, func(u *user) {
		u.must(u.prefer("BeRightBack/BeRightBack", 0), u.client("1", "Available/Available", Desktop))
		u.pass(11 * min1)
		u.want("BeRightBack/BeRightBack")
	}},
	{34, "cleared preferred gives way", false, func(u *user) {
		u.must(u.prefer("DoNotDisturb/DoNotDisturb", 0), u.app("1", "Busy/InACall", hour))
		u.want("DoNotDisturb/DoNotDisturb")
		u.must(Mutation{Op: Clear, Key: PreferredKey})
		u.want("Busy/InACall")
	}},
	{35, "Busy/InACall cannot be preferred; the answer", inferred, func(u *user) {
		u.refused(ErrPair, u.prefer("Busy/InACall", 0))
	}},
	{36, "an app cannot set Busy/Busy", false, func(u *user) {
		u.refused(ErrPair, u.app("1", "Busy/Busy", hour))
	}},
	{37, "an app cannot set what the calendar says", false, func(u *user) {
		u.must(u.client("1", "Available/Available", Desktop))
		u.refused(ErrPair, u.app("2", "Busy/InAMeeting", hour))
		u.refused(ErrPair, u.app("2", "Available/OutOfOffice", hour))
		u.want("Available/Available")
	}},
}
