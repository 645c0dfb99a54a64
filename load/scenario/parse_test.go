package scenario

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/load/population"
)

func TestEveryFieldIsRead(t *testing.T) {
	const text = `
name: everything
about: all fields
seed: 42
duration: 1m
settle: 20s
population:
  users: 1_000
  tenants: 3
  foreign: 0.1
  team: 5
  web: 0.2
  mobile: 0.3
  contacts: {median: 10, sigma: 0.5, most: 50}
  hot: {users: 2, watchers: 100}
connect: {over: 3s, measured: true}
activity: {kind: day, rate: 5, in_flight: 7, pause: 4s, hot_every: 5s, start: "08:45", speed: 90}
storms:
  - {at: 10s, over: 1s, share: 0.5, away: 2s, spread: 3s}
flicker: {share: 0.4, every: 9s, away: 1s}
slow: {silent: 0.01, stopped: 0.02}
policy: {change_interval: 2s, grace: 30s}
objectives:
  - received.p99 <= 100ms
  - server.memory < 2GiB
`
	got, err := Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := &Scenario{
		Name: "everything", About: "all fields", Seed: 42, Duration: time.Minute, Settle: 20 * time.Second,
		Population: population.Config{
			Users: 1000, Tenants: 3, Foreign: 0.1, Team: 5, Web: 0.2, Mobile: 0.3,
			Contacts: population.Contacts{Median: 10, Sigma: 0.5, Most: 50}, Hot: population.Hot{Users: 2, Watchers: 100},
		},
		Connect: Connect{Over: 3 * time.Second, Measured: true},
		Activity: population.Activity{
			Kind: "day", Rate: 5, InFlight: 7, Pause: 4 * time.Second, HotEvery: 5 * time.Second,
			Start: 8*time.Hour + 45*time.Minute, Speed: 90,
		},
		Disturb: population.Disturbance{
			Storms:  []population.Storm{{At: 10 * time.Second, Over: time.Second, Share: 0.5, Away: 2 * time.Second, Spread: 3 * time.Second}},
			Flicker: population.Flicker{Share: 0.4, Every: 9 * time.Second, Away: time.Second},
		},
		Slow:   Slow{Silent: 0.01, Stopped: 0.02},
		Policy: Policy{ChangeInterval: 2 * time.Second, Grace: 30 * time.Second},
		Objectives: []Objective{
			{Text: "received.p99 <= 100ms", Metric: "received.p99", Op: "<=", Limit: 1e8, Unit: Time},
			{Text: "server.memory < 2GiB", Metric: "server.memory", Op: "<", Limit: 2 << 30, Unit: Bytes},
		},
		Source: text,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Each error names its line and its reason.
func TestBadFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "f.yaml:1: the file is empty",
		"\n# nothing\n":                "f.yaml:1: the file is empty",
		"- a\n- b":                     "f.yaml:1: a list, want fields",
		"about: x":                     "f.yaml:1: name: missing",
		"name: Bad Name":               `f.yaml:1: name: "Bad Name", want a letter`,
		"name: a\nusers: 3":            "f.yaml:2: users: unknown field, known here: about,",
		"name: a\nduratoin: 3s":        "f.yaml:2: duratoin: unknown field",
		"name: a\ndurations: 3s":       "f.yaml:2: durations: unknown field, did you mean duration?",
		"name: a\n\nname: b":           "f.yaml:3: name: set twice, first in line 1",
		"name: a\nduration: soon":      `f.yaml:2: duration: "soon" is no time as 500ms`,
		"name: a\nduration: 10":        `f.yaml:2: duration: "10" is no time`,
		"name: a\nduration: 25h":       "f.yaml:2: duration: 25h0m0s, want 1s to 24h0m0s",
		"name: a\nseed: -1":            "f.yaml:2: seed: \"-1\" is no whole number from 0",
		"name: a\nabout: |\n  x\n  y":  "f.yaml:2: about: more than one line",
		"name: a\nduration:":           "f.yaml:2: duration: nothing, want a time",
		"name: a\n\tabout: x":          "f.yaml:2: no YAML: ",
		"name: a\nabout: [x":           "f.yaml:2: no YAML: ",
		"name: a\nb: {}\n c: 1":        "f.yaml:3: no YAML: did not find expected key",
		"name: a\n---\nname: b":        "f.yaml:2: a second document",
		"name: &x a\nabout: *x":        "f.yaml:1: name: anchors and aliases",
		"name: a\n? [k]\n: v":          "f.yaml:2: a list is no name of a field",
		"name: a\n<<: {about: x}":      `f.yaml:2: "<<" is no name of a field`,
		"name: a\nobjectives: lost":    `f.yaml:2: objectives: "lost", want a list`,
		"name: a\nactivity: {kind: x}": `f.yaml:2: activity.kind: "x", want one of rate, closed, day, none`,
		"name: a\nconnect:\n  over: 1s\n  measured: yes\n":                   `f.yaml:4: connect.measured: "yes", want true or false`,
		"name: a\nactivity:\n  kind: day\n  start: 9am":                      `f.yaml:4: activity.start: "9am" is no time of the day`,
		"name: a\npopulation:\n  users: many":                                `f.yaml:3: population.users: "many" is no whole number`,
		"name: a\npopulation:\n  users: 3_000_000":                           "f.yaml:3: population.users: 3000000, want 2 to 2000000",
		"name: a\npopulation:\n  users: 10\n  team: 5\n  tenants: 9":         "f.yaml:1: activity.rate: 20 publishes/s of 10 users are one of each every 500ms, and pause is 3s: at least 60 users are needed\nf.yaml:5: population.tenants: 1 to 5 with 10 users",
		"name: a\npopulation:\n  foreign: 1.5":                               "f.yaml:3: population.foreign: 1.5, want 0 to 1",
		"name: a\npopulation:\n  foreign: .nan":                              "f.yaml:3: population.foreign: \".nan\" is no number",
		"name: a\npopulation:\n  contacts:\n    most: 5\n":                   "f.yaml:4: population.contacts.most: 5 is below the median of 20",
		"name: a\npopulation:\n  users: 30\nactivity:\n  rate: 20":           "f.yaml:5: activity.rate: 20 publishes/s of 30 users are one of each every 1.5s",
		"name: a\npopulation:\n  users: 30":                                  "f.yaml:1: activity.rate: 20 publishes/s of 30 users",
		"name: a\nstorms:\n  - {at: 5s}\n  - {at: 40s}":                      "f.yaml:4: storms[1].at: 40s is not within",
		"name: a\nstorms:\n  - {at: 5s, how: x}":                             "f.yaml:3: storms[0].how: unknown field",
		"name: a\nflicker: {share: 1}":                                       "f.yaml:2: flicker: every is missing",
		"name: a\nflicker: {share: 1, every: 5s}":                            "f.yaml:2: flicker: it is phones that flicker",
		"name: a\nslow: {silent: 0.6, stopped: 0.6}":                         "f.yaml:2: slow: silent and stopped are 1.2",
		"name: a\nactivity: {hot_every: 2s}":                                 "f.yaml:2: activity.hot_every: there are no hot users",
		"name: a\nconnect: {over: 30s, measured: true}":                      "f.yaml:2: connect.over: 30s is not within",
		"name: a\nobjectives:\n  - lost == 0\n  - speed > 9":                 `f.yaml:4: objectives[1]: unknown metric "speed"`,
		"name: a\nobjectives:\n  - lost = 0":                                 `f.yaml:3: objectives[0]: "=" is none of`,
		"name: a\nobjectives:\n  - acked.p99 <= 5":                           `f.yaml:3: objectives[0]: "5" is no time`,
		"name: a\nobjectives:\n  - lost == none":                             `f.yaml:3: objectives[0]: "none" is no number`,
		"name: a\nobjectives:\n  - server.memory < 2GB":                      `f.yaml:3: objectives[0]: "2GB" is no size`,
		"name: a\nobjectives:\n  - acked.p99 is fast, I think":               `f.yaml:3: objectives[0]: "acked.p99 is fast, I think" is not as`,
		"name: a\nsettle: 1ms\nabout: ''\npopulation: 7\nseed: x\nstorms: 1": "f.yaml:2: settle: 1ms, want 1s to 10m0s\nf.yaml:3: about: 0 bytes, want 1 to 200\nf.yaml:4: population: \"7\", want fields as `name: value`\nf.yaml:5: seed:",
	} {
		_, err := Parse("f.yaml", []byte(text))
		var all Errors
		if !errors.As(err, &all) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
	if _, err := Parse("f.yaml", make([]byte, MaxFile+1)); err == nil || !strings.Contains(err.Error(), "at most 65536") {
		t.Errorf("a large file: %v", err)
	}
	many := "name: a\n"
	for i := range 100 {
		many += fmt.Sprintf("x%d: 1\n", i)
	}
	if _, err := Parse("f.yaml", []byte(many)); len(strings.Split(err.Error(), "\n")) != mostErrors {
		t.Errorf("100 errors are told as %v", err)
	}
}

func TestShippedScenarios(t *testing.T) {
	for _, name := range Shipped() {
		s, err := Load(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if s.Name != name || s.About == "" || len(s.Objectives) == 0 {
			t.Errorf("%s: name %q, about %q, %d objectives", name, s.Name, s.About, len(s.Objectives))
		}
		for _, users := range []int{4, 50, 20_000} {
			scaled, _ := Load(name)
			scaled.Scale(users)
			if err := scaled.Check(); err != nil && users > 4 {
				t.Errorf("%s with %d users: %v", name, users, err)
			}
		}
	}
	entries, err := shipped.ReadDir("shipped")
	if err != nil || len(entries) != len(Shipped()) {
		t.Errorf("%d files for %d names: %v", len(entries), len(Shipped()), err)
	}
	if _, err := Load("nothing"); err == nil || !strings.Contains(err.Error(), "login-storm") {
		t.Errorf("an unknown name: %v", err)
	}
}

// Every field and every metric is in the manual.
func TestManualIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../docs/loadtest.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(text)
	p := &parser{lines: map[string]int{}}
	s := Default()
	storm := population.Storm{}
	for _, f := range []fields{p.scenario(&s), p.population(&s.Population), p.activity(&s.Activity), p.storm(&storm), p.flicker(&s.Disturb.Flicker)} {
		for name := range f {
			if !strings.Contains(manual, "`"+name) && !strings.Contains(manual, "."+name+"`") && !strings.Contains(manual, "."+name+".") {
				t.Errorf("docs/loadtest.md does not have the field %s", name)
			}
		}
	}
	for _, m := range Metrics() {
		first, _, quantile := strings.Cut(m, ".")
		if quantile && slices.Contains(Latencies, first) {
			m = first
		}
		if !strings.Contains(manual, "`"+m+"`") {
			t.Errorf("docs/loadtest.md does not have the metric %s", m)
		}
	}
	for _, name := range Shipped() {
		if !strings.Contains(manual, "`"+name+"`") {
			t.Errorf("docs/loadtest.md does not have the scenario %s", name)
		}
	}
}

func TestObjectiveHolds(t *testing.T) {
	for text, want := range map[string][3]bool{ // of 9, 10 and 11
		"lost <= 10": {true, true, false},
		"lost < 10":  {true, false, false},
		"lost >= 10": {false, true, true},
		"lost > 10":  {false, false, true},
		"lost == 10": {false, true, false},
	} {
		o, err := ParseObjective(text)
		if got := [3]bool{o.Holds(9), o.Holds(10), o.Holds(11)}; err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range Shipped() {
		text, _ := Text(name)
		f.Add(text)
	}
	f.Add([]byte("name: a\nobjectives: [lost == 0, [1]]\nstorms: {a: b}\n? x\n"))
	f.Add([]byte("a: &a [*a, *a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse("f.yaml", text)
		if err != nil {
			var all Errors
			if !errors.As(err, &all) || len(all) == 0 || all[0].Line < 1 {
				t.Fatalf("error %v without a line", err)
			}
			return
		}
		if s.Check() != nil || s.Population.Users < 2 || s.Duration < time.Second {
			t.Fatalf("accepted %+v", s)
		}
	})
}
