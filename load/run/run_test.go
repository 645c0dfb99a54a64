package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/load/identity"
	"rollcall/load/population"
	"rollcall/load/report"
	"rollcall/load/scenario"
	"rollcall/load/socket"
	"rollcall/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain are people whose tokens are their names.
type plain []identity.User

func (p plain) Users() []identity.User { return p }

func (p plain) Token(_ context.Context, user int32) (string, error) { return p[user].MRI, nil }

func play(t *testing.T, n *fakeNode, change func(*scenario.Scenario)) (*report.Outcome, error) {
	t.Helper()
	s := scenario.Default()
	s.Name, s.Duration, s.Settle = "test", time.Second, time.Second
	s.Population.Users, s.Population.Team, s.Population.Contacts.Median, s.Population.Contacts.Most = 20, 4, 5, 10
	s.Connect.Over = 50 * time.Millisecond
	s.Activity.Rate, s.Activity.Pause = 40, 0
	if change != nil {
		change(&s)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	target, err := socket.ParseTarget(n.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	people := population.Generate(s.Population, s.Seed)
	var users plain
	for u := range s.Population.Users {
		users = append(users, identity.User{Tenant: "t", MRI: fmt.Sprintf("8:u%d", u)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return New(Config{Scenario: &s, People: people, Identity: users, Targets: []socket.Target{target}}).Do(ctx)
}

func TestASoundNode(t *testing.T) {
	n := newFake(t)
	o, err := play(t, n, func(s *scenario.Scenario) {
		for _, text := range []string{
			"lost == 0", "reordered == 0", "duplicated == 0", "denied == 0", "unanswered == 0", "unsent == 0", "published > 20",
			"delivered > 60", "connected == 20", "resumes == 0", "received.p50 < 10s", "acked.p50 > 0s",
		} {
			x, err := scenario.ParseObjective(text)
			if err != nil {
				t.Fatal(err)
			}
			s.Objectives = append(s.Objectives, x)
		}
	})
	if err != nil || !o.Passed {
		t.Fatalf("%v: %+v", err, o.Verdicts)
	}
	if o.Values["published"] != o.Values["answered"] || o.Latencies["acked"].Count != int64(o.Values["answered"]) {
		t.Errorf("values %v", o.Values)
	}
	if o.Latencies["received"].Count != int64(o.Values["delivered"]) {
		t.Errorf("%v of %v deliveries were timed", o.Latencies["received"].Count, o.Values["delivered"])
	}
	if _, measured := o.Values["server.cpu"]; measured {
		t.Error("a node without metrics has figures")
	}
}

// Faults that are planted are found, each under its name.
func TestFaultsAreFound(t *testing.T) {
	old := &messages.PresenceItem{}
	for want, plant := range map[string]func(*fakeNode){
		"lost": func(n *fakeNode) {
			n.faulty = func(i int, it *messages.PresenceItem) []*messages.PresenceItem {
				if i%7 == 0 {
					return nil
				}
				return []*messages.PresenceItem{it}
			}
		},
		"duplicated": func(n *fakeNode) {
			n.faulty = func(i int, it *messages.PresenceItem) []*messages.PresenceItem {
				if i%7 == 0 {
					return []*messages.PresenceItem{it, it}
				}
				return []*messages.PresenceItem{it}
			}
		},
		"reordered": func(n *fakeNode) {
			n.faulty = func(i int, it *messages.PresenceItem) []*messages.PresenceItem {
				if i%7 == 0 {
					old = &messages.PresenceItem{User: it.User, Version: it.Version - 1, Availability: "Away"}
					return []*messages.PresenceItem{it, old}
				}
				return []*messages.PresenceItem{it}
			}
		},
		"denied":     func(n *fakeNode) { n.refuse = func(i int) bool { return i > 20 && i%9 == 0 } },
		"unanswered": func(n *fakeNode) { n.mute = func(i int) bool { return i > 20 && i%9 == 0 } },
	} {
		n := newFake(t)
		plant(n)
		o, err := play(t, n, nil)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		for _, name := range []string{"lost", "duplicated", "reordered", "denied", "unanswered"} {
			if found := o.Values[name] > 0; found != (name == want) {
				t.Errorf("planted %s: %s is %g", want, name, o.Values[name])
			}
		}
	}
}

// A device that cannot come back has nothing: its pairs are lost.
func TestAnAbsentDeviceIsNoSuccess(t *testing.T) {
	n := newFake(t)
	o, err := play(t, n, func(s *scenario.Scenario) {
		s.Disturb.Storms = []population.Storm{{At: 500 * time.Millisecond, Share: 0.2, Away: time.Hour}}
	})
	if err != nil || o.Values["lost"] == 0 {
		t.Errorf("lost %g, %v", o.Values["lost"], err)
	}
}

func TestClosedLoopKeepsItsPause(t *testing.T) {
	n := newFake(t)
	o, err := play(t, n, func(s *scenario.Scenario) {
		s.Activity = population.Activity{Kind: population.KindClosed, InFlight: 4, Pause: 400 * time.Millisecond}
	})
	// 20 people, each at 0, 400 and 800 ms of the one second.
	if err != nil || o.Values["answered"] < 40 || o.Values["answered"] > 60 || o.Values["lost"] != 0 {
		t.Errorf("%g answered, %g lost, %v", o.Values["answered"], o.Values["lost"], err)
	}
}

func TestMeasuredLoginsAndADay(t *testing.T) {
	n := newFake(t)
	o, err := play(t, n, func(s *scenario.Scenario) {
		s.Connect.Over, s.Connect.Measured, s.Activity = 500*time.Millisecond, true, population.Activity{Kind: population.KindNone}
	})
	if err != nil || o.Values["connected"] != 20 || o.Latencies["ready"].Count != 20 || o.Values["answered"] != 20 || o.Values["lost"] != 0 {
		t.Errorf("logins: %v, %v", o.Values, err)
	}
	n = newFake(t)
	o, err = play(t, n, func(s *scenario.Scenario) {
		s.Duration = 2 * time.Second
		s.Activity = population.Activity{Kind: population.KindDay, Start: 8 * time.Hour, Speed: 11 * 3600 / 2}
	})
	if err != nil || o.Values["connected"] != 20 || o.Values["lost"] != 0 || o.Values["published"] < 60 {
		t.Errorf("a day: %v, %v", o.Values, err)
	}
}

func TestSlowClientsAreSetApart(t *testing.T) {
	n := newFake(t)
	o, err := play(t, n, func(s *scenario.Scenario) { s.Slow = scenario.Slow{Silent: 0.2, Stopped: 0.2} })
	if err != nil || o.Values["lost"] != 0 {
		t.Errorf("lost %g, %v", o.Values["lost"], err)
	}
}

func TestNobodyThere(t *testing.T) {
	n := newFake(t)
	n.Close()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("enough"))
	defer cancel()
	s := scenario.Default()
	people := population.Generate(s.Population, 1)
	users := make(plain, s.Population.Users)
	target, _ := socket.ParseTarget(n.URL, nil)
	o, err := New(Config{Scenario: &s, People: people, Identity: users, Targets: []socket.Target{target}}).Do(ctx)
	if err == nil || !strings.Contains(err.Error(), "enough") || o.Codes["connection_refused"] == 0 {
		t.Errorf("%v, codes %v", err, o.Codes)
	}
}
