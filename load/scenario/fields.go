package scenario

import (
	"time"

	"go.yaml.in/yaml/v3"

	"rollcall/load/population"
)

// Bounds that no machine of today's makes sense beyond.
const (
	mostUsers = 2_000_000
	longest   = 24 * time.Hour
)

// scenario is all fields of a file, with their bounds.
func (p *parser) scenario(s *Scenario) fields {
	return fields{
		"name":     p.name(&s.Name),
		"about":    p.text(&s.About, 200),
		"seed":     p.seed(&s.Seed),
		"duration": p.duration(&s.Duration, time.Second, longest),
		"settle":   p.duration(&s.Settle, time.Second, 10*time.Minute),
		"population": func(path string, n *yaml.Node) {
			p.mapping(path, n, p.population(&s.Population))
		},
		"connect": func(path string, n *yaml.Node) {
			p.mapping(path, n, fields{
				"over":     p.duration(&s.Connect.Over, 0, longest),
				"measured": p.boolean(&s.Connect.Measured),
			})
		},
		"activity": func(path string, n *yaml.Node) { p.mapping(path, n, p.activity(&s.Activity)) },
		"storms": func(path string, n *yaml.Node) {
			p.list(path, n, 100, func(path string, n *yaml.Node) {
				storm := population.Storm{Share: 1}
				p.mapping(path, n, p.storm(&storm))
				s.Disturb.Storms = append(s.Disturb.Storms, storm)
			})
		},
		"flicker": func(path string, n *yaml.Node) { p.mapping(path, n, p.flicker(&s.Disturb.Flicker)) },
		"slow": func(path string, n *yaml.Node) {
			p.mapping(path, n, fields{
				"silent":  p.number(&s.Slow.Silent, 0, 1),
				"stopped": p.number(&s.Slow.Stopped, 0, 1),
			})
		},
		"policy": func(path string, n *yaml.Node) {
			p.mapping(path, n, fields{
				"change_interval": p.duration(&s.Policy.ChangeInterval, 0, time.Minute),
				"grace":           p.duration(&s.Policy.Grace, 5*time.Second, 2*time.Minute),
			})
		},
		"objectives": func(path string, n *yaml.Node) {
			p.list(path, n, 100, func(path string, n *yaml.Node) { p.objective(s, path, n) })
		},
	}
}

func (p *parser) population(c *population.Config) fields {
	return fields{
		"users":   p.integer(&c.Users, 2, mostUsers),
		"tenants": p.integer(&c.Tenants, 1, 1000),
		"foreign": p.number(&c.Foreign, 0, 1),
		"team":    p.integer(&c.Team, 1, 100),
		"web":     p.number(&c.Web, 0, 1),
		"mobile":  p.number(&c.Mobile, 0, 1),
		"contacts": func(path string, n *yaml.Node) {
			p.mapping(path, n, fields{
				"median": p.integer(&c.Contacts.Median, 1, population.MaxContacts),
				"sigma":  p.number(&c.Contacts.Sigma, 0, 3),
				"most":   p.integer(&c.Contacts.Most, 1, population.MaxContacts),
			})
		},
		"hot": func(path string, n *yaml.Node) {
			p.mapping(path, n, fields{
				"users":    p.integer(&c.Hot.Users, 0, 100),
				"watchers": p.integer(&c.Hot.Watchers, 0, 100_000),
			})
		},
	}
}

func (p *parser) activity(a *population.Activity) fields {
	return fields{
		"kind": p.choice(&a.Kind, population.KindRate, population.KindClosed, population.KindDay,
			population.KindNone),
		"rate":      p.number(&a.Rate, 0.01, 1e6),
		"in_flight": p.integer(&a.InFlight, 1, 100_000),
		"pause":     p.duration(&a.Pause, 0, time.Hour),
		"hot_every": p.duration(&a.HotEvery, 200*time.Millisecond, time.Hour),
		"start":     p.clock(&a.Start),
		"speed":     p.number(&a.Speed, 1, 3600),
	}
}

func (p *parser) storm(s *population.Storm) fields {
	return fields{
		"at":     p.duration(&s.At, 0, longest),
		"over":   p.duration(&s.Over, 0, longest),
		"share":  p.number(&s.Share, 0.001, 1),
		"away":   p.duration(&s.Away, 0, longest),
		"spread": p.duration(&s.Spread, 0, longest),
	}
}

func (p *parser) flicker(f *population.Flicker) fields {
	return fields{
		"share": p.number(&f.Share, 0, 1),
		"every": p.duration(&f.Every, time.Second, longest),
		"away":  p.duration(&f.Away, 0, longest),
	}
}

// check finds fields that do not fit together, once each is right by itself.
func (p *parser) check(s *Scenario) {
	if p.lines["name"] == 0 {
		p.fail(1, "name", "missing: every scenario has a name")
	}
	if len(p.errs) > 0 {
		return
	}
	for _, c := range s.contradictions() {
		p.fail(p.line(c.field), c.field, "%s", c.reason)
	}
}

// line is that of a field, or of the nearest field around it that is set.
func (p *parser) line(path string) int {
	for {
		if n := p.lines[path]; n > 0 {
			return n
		}
		at := -1
		for i, c := range path {
			if c == '.' {
				at = i
			}
		}
		if at < 0 {
			return 1
		}
		path = path[:at]
	}
}
