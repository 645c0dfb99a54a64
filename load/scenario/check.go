package scenario

import (
	"errors"
	"fmt"
	"math"

	"rollcall/load/population"
)

type contradiction struct{ field, reason string }

// Check says which fields do not fit together, one a line; nil when all do.
func (s *Scenario) Check() error {
	var errs []error
	for _, c := range s.contradictions() {
		errs = append(errs, fmt.Errorf("%s: %s: %s", s.Name, c.field, c.reason))
	}
	return errors.Join(errs...)
}

func (s *Scenario) contradictions() (out []contradiction) {
	say := func(field, reason string, args ...any) {
		out = append(out, contradiction{field, fmt.Sprintf(reason, args...)})
	}
	if field, err := s.Population.Check(); err != nil {
		say("population."+field, "%s", err)
	}
	if field, err := s.Activity.Check(s.Population.Users); err != nil {
		say("activity."+field, "%s", err)
	}
	if sum := s.Slow.Silent + s.Slow.Stopped; sum > 1 {
		say("slow", "silent and stopped are %g of all devices together, at most 1", sum)
	}
	if f := s.Disturb.Flicker; f.Share > 0 && f.Every == 0 {
		say("flicker", "every is missing: how often a phone loses its network")
	} else if f.Share > 0 && s.Population.Mobile == 0 {
		say("flicker", "it is phones that flicker: set population.mobile")
	}
	for i, storm := range s.Disturb.Storms {
		if storm.At >= s.Duration {
			say(fmt.Sprintf("storms[%d].at", i), "%s is not within the load's %s", storm.At, s.Duration)
		}
	}
	if s.Connect.Measured && s.Connect.Over >= s.Duration {
		say("connect.over", "%s is not within the load's %s, of which it is a part when measured", s.Connect.Over, s.Duration)
	}
	if s.Activity.HotEvery > 0 && s.Population.Hot.Users == 0 {
		say("activity.hot_every", "there are no hot users: set population.hot")
	}
	return out
}

// Scale makes it a test of so many users: what is said of all of them together
// grows or shrinks with them.
func (s *Scenario) Scale(users int) {
	f := float64(users) / float64(s.Population.Users)
	p, a := &s.Population, &s.Activity
	p.Users = users
	p.Tenants = min(p.Tenants, max(users/2, 1))
	if p.Tenants == 1 {
		p.Foreign = 0
	}
	p.Hot.Watchers = int(math.Floor(float64(p.Hot.Watchers) * f))
	a.Rate *= f
	if a.Kind == population.KindClosed {
		a.InFlight = max(int(float64(a.InFlight)*f), 1)
	}
}
