package population

import (
	"math"
	"testing"
	"time"
)

func events(t *testing.T, p *People, a Activity, d Disturbance, length time.Duration) []Event {
	t.Helper()
	var all []Event
	for e := range p.Events(a, d, length) {
		if len(all) > 0 && e.At < all[len(all)-1].At {
			t.Fatalf("%v comes after %v", e, all[len(all)-1])
		}
		all = append(all, e)
	}
	return all
}

func TestRateIsKeptAndEverybodyTakesTurns(t *testing.T) {
	c := office
	c.Users, c.Hot = 1000, Hot{}
	p := Generate(c, 1)
	all := events(t, p, Activity{Kind: KindRate, Rate: 100}, Disturbance{}, time.Minute)
	if n := float64(len(all)); math.Abs(n-6000) > 300 {
		t.Errorf("%g publishes in a minute at 100 a second", n)
	}
	last, state := map[int32]time.Duration{}, map[int32]State{}
	for _, e := range all {
		if before, ok := last[e.User]; ok && e.At-before < 5*time.Second {
			t.Fatalf("user %d publishes after %s, want about 10 s", e.User, e.At-before)
		}
		if before, ok := state[e.User]; ok && before == e.State {
			t.Fatalf("user %d publishes %v twice: nobody would see it", e.User, e.State)
		}
		last[e.User], state[e.User] = e.At, e.State
	}
	if len(last) != 1000 {
		t.Errorf("%d of 1000 people publish", len(last))
	}
}

func TestHotUsersKeepTheirBeat(t *testing.T) {
	c := office
	c.Users = 1000
	p := Generate(c, 1)
	n := map[int32]int{}
	for _, e := range events(t, p, Activity{Kind: KindRate, Rate: 10, HotEvery: 2 * time.Second}, Disturbance{}, 20*time.Second) {
		n[e.User]++
	}
	for _, h := range p.Hot {
		if n[h] != 10 {
			t.Errorf("hot user %d changes %d times in 20 s, want 10", h, n[h])
		}
	}
}

func TestDisturbances(t *testing.T) {
	c := office
	c.Mobile = 1
	p := Generate(c, 1)
	storm := Storm{At: 3 * time.Second, Over: time.Second, Share: 0.5, Away: 2 * time.Second, Spread: 4 * time.Second}
	seen := map[int32]bool{}
	for _, e := range events(t, p, Activity{Kind: KindNone}, Disturbance{Storms: []Storm{storm}}, time.Minute) {
		if e.Action != Drop || seen[e.Device] || e.At < 3*time.Second || e.At > 4*time.Second || e.Away < 2*time.Second || e.Away >= 6*time.Second {
			t.Fatalf("event %+v", e)
		}
		seen[e.Device] = true
	}
	if got, want := len(seen), len(p.Devices)/2; got < want-1 || got > want+1 {
		t.Errorf("%d devices are hit, want %d", got, want)
	}
	drops := events(t, p, Activity{Kind: KindNone}, Disturbance{Flicker: Flicker{Share: 0.5, Every: 10 * time.Second, Away: time.Second}}, time.Minute)
	for _, e := range drops {
		if e.Action != Drop || p.Devices[e.Device].Kind != Mobile || e.Away != time.Second {
			t.Fatalf("event %+v", e)
		}
	}
	if n := float64(len(drops)) / (2000 * 60 / 11.0); n < 0.9 || n > 1.1 {
		t.Errorf("%d drops, %.2f of what was expected", len(drops), n)
	}
}

// Everybody's day begins with a login and ends with a logout; in between every
// publish changes something.
func TestDay(t *testing.T) {
	p := Generate(office, 2)
	atWork, inMeeting, atLunch := 0, 0, 0
	for u := range int32(office.Users) {
		s := p.day(u)
		if s[0].action != Login || s[len(s)-1].action != Logout || s[0].at > 11*time.Hour {
			t.Fatalf("day of %d: %v", u, s)
		}
		for i := 1; i < len(s); i++ {
			if s[i].at < s[i-1].at || s[i].action == Publish && s[i].state == s[i-1].state {
				t.Fatalf("day of %d: %v then %v", u, s[i-1], s[i])
			}
		}
		if _, present := s.at(10*time.Hour + 10*time.Minute); present {
			atWork++
		}
		if state, _ := s.at(10*time.Hour + 10*time.Minute); state == InAMeeting || state == Presenting {
			inMeeting++
		}
		if state, _ := s.at(12*time.Hour + 40*time.Minute); state == Away {
			atLunch++
		}
		if _, present := s.at(23 * time.Hour); present {
			t.Fatalf("%d is still there at eleven in the evening", u)
		}
	}
	if atWork < 3980 || inMeeting < 1000 || inMeeting > 1400 || atLunch < 2000 {
		t.Errorf("at work at ten past ten: %d, in a meeting %d; at lunch at 12:40: %d", atWork, inMeeting, atLunch)
	}
	length := 11 * time.Hour / 600
	all := events(t, p, Activity{Kind: KindDay, Start: 8 * time.Hour, Speed: 600}, Disturbance{}, length)
	n := map[Action]int{}
	for _, e := range all {
		n[e.Action]++
		if e.At < 0 || e.At >= length {
			t.Fatalf("event %v outside the day", e)
		}
	}
	present := 0
	for range p.Logins(time.Second, Activity{Kind: KindDay, Start: 8 * time.Hour}) {
		present++
	}
	if n[Login]+present != office.Users || n[Publish] < 10*office.Users {
		t.Errorf("%d came before and %v in the day", present, n)
	}
}

func TestActivityCheck(t *testing.T) {
	for want, a := range map[string]Activity{
		"":          {Kind: KindRate, Rate: 100, Pause: 3 * time.Second},
		"rate":      {Kind: KindRate, Rate: 101, Pause: 3 * time.Second},
		"in_flight": {Kind: KindClosed, InFlight: 301},
	} {
		if field, err := a.Check(300); field != want || (err == nil) != (want == "") {
			t.Errorf("%q: %q %v", want, field, err)
		}
	}
}
