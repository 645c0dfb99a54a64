package report

import (
	"fmt"
	"slices"
)

// Difference is one metric in two tests.
type Difference struct {
	Metric              string
	Before, After       float64
	HadBefore, HasAfter bool
}

// compared are the metrics worth a line, in their order; better says in which
// direction: -1 less, 1 more, 0 neither.
var compared = []struct {
	metric string
	better int
}{
	{"published.rate", 0}, {"answered.rate", 1}, {"delivered.rate", 1}, {"ready.rate", 1},
	{"acked.p50", -1}, {"acked.p99", -1}, {"acked.p999", -1}, {"acked.max", -1},
	{"received.p50", -1}, {"received.p99", -1}, {"received.p999", -1}, {"received.max", -1},
	{"staleness.p99", -1}, {"staleness.max", -1}, {"ready.p50", -1}, {"ready.p99", -1}, {"resumed.p50", -1}, {"resumed.p99", -1},
	{"lost", -1}, {"duplicated", -1}, {"reordered", -1}, {"denied", -1}, {"unanswered", -1}, {"unsent", -1}, {"resent", -1},
	{"snapshots", -1}, {"failed_connects", -1}, {"disconnected", -1},
	{"server.cpu", -1}, {"server.cpu_per_delivery", -1}, {"server.memory", -1}, {"server.memory_per_socket", -1}, {"lag.p99", -1},
}

// Compare gives the metrics that at least one of two tests has.
func Compare(a, b *Outcome) []Difference {
	var out []Difference
	for _, c := range compared {
		d := Difference{Metric: c.metric}
		d.Before, d.HadBefore = a.Values[c.metric]
		d.After, d.HasAfter = b.Values[c.metric]
		if d.HadBefore || d.HasAfter {
			out = append(out, d)
		}
	}
	return out
}

// Change is in percent of what was before, where that says something.
func (d Difference) Change() string {
	if !d.HadBefore || !d.HasAfter || d.Before == 0 {
		return ""
	}
	return fmt.Sprintf("%+.0f %%", (d.After/d.Before-1)*100)
}

// noise is the change that two runs of the same test may well have.
const noise = 0.15

// Judgement is better or worse, empty where the change is small or neither.
func (d Difference) Judgement() string {
	i := slices.IndexFunc(compared, func(c struct {
		metric string
		better int
	}) bool {
		return c.metric == d.Metric
	})
	change := d.After - d.Before
	if i < 0 || compared[i].better == 0 || !d.HadBefore || !d.HasAfter || change == 0 || d.Before != 0 && abs(change/d.Before) < noise {
		return ""
	}
	if (change > 0) == (compared[i].better > 0) {
		return "better"
	}
	return "worse"
}

func abs(v float64) float64 { return max(v, -v) }

// Unlike says in what two tests differ that should not, if their figures are to
// be compared.
func Unlike(a, b *Outcome) (notes []string) {
	differ := func(what string, x, y any) {
		if x != y {
			notes = append(notes, fmt.Sprintf("%s differs: %v and %v", what, x, y))
		}
	}
	differ("the scenario", a.Scenario, b.Scenario)
	if a.Scenario == b.Scenario && a.Source != b.Source {
		notes = append(notes, "the scenario's file differs")
	}
	differ("the seed", a.Seed, b.Seed)
	differ("the number of users", a.Population.Users, b.Population.Users)
	differ("the number of targets", len(a.Environment.Targets), len(b.Environment.Targets))
	differ("fsync", a.Environment.Fsync, b.Environment.Fsync)
	differ("the length in s", int(a.Load+0.5), int(b.Load+0.5))
	return notes
}
