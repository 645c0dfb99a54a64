package clustertest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// figures are what a scenario has measured; zero is not measured.
type figures struct {
	scenario    string
	detect      time.Duration   // until nobody lists the node any more
	serve       []time.Duration // publishes to touched owners, by gateways that could answer
	moved       []time.Duration // publishes of those whose gateway was touched
	others      []time.Duration // publishes to owners that were not touched
	correct     time.Duration
	settle      time.Duration // until every node had its copies
	policy      time.Duration // until everybody obeyed the last one
	broken      time.Duration // for which a node went on with a broken disk
	ghosts      time.Duration
	drain       time.Duration
	join        time.Duration
	publishes   int
	refusals    map[string]int
	lost        int
	kept        int // writes that nobody says again
	gone        int // of them
	hops        int // connections of the feed's reader
	resyncs     int // of it that were promised
	untold      int // states that the feed has not told
	back        int // versions that went back, or meant two things
	readBack    int // reads that gave an older version than the read before
	off         int // users shown as offline who were there
	falseDeaths int // nodes taken for dead that were well
	reconnects  int // most of one user
	twice       time.Duration
	conflicts   int
	stall       time.Duration // longest time for which the test itself stood still
	failed      bool
}

// report is the figures of a run.
type report struct {
	mu   sync.Mutex
	rows []figures
}

func (r *report) add(f figures) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, f)
}

var columns = []string{
	"scenario", "detect", "serve p50 / p99 / max", "others p99 / max", "moved p99 / max", "correct", "settled", "policy",
	"ghosts gone", "hand over", "join", "disk error",
	"acknowledged", "again", "lost", "kept", "kept lost", "feed hops", "resyncs", "feed gaps", "back", "reads back", "false offline", "false deaths", "reconnects", "two owners", "conflicts", "stall",
}

func (f figures) cells() []string {
	name := f.scenario
	if f.failed {
		name += " (failed)"
	}
	again := 0
	for _, n := range f.refusals {
		again += n
	}
	cells := []string{name, short(f.detect), spread(f.serve, 50, 99), spread(f.others, 99), spread(f.moved, 99)}
	for _, d := range []time.Duration{f.correct, f.settle, f.policy, f.ghosts, f.drain, f.join, f.broken} {
		cells = append(cells, short(d))
	}
	for _, n := range []int{
		f.publishes, again, f.lost, f.kept, f.gone, f.hops, f.resyncs, f.untold, f.back, f.readBack, f.off, f.falseDeaths, f.reconnects,
	} {
		cells = append(cells, fmt.Sprint(n))
	}
	return append(cells, short(f.twice), fmt.Sprint(f.conflicts), short(f.stall))
}

// spread is some percentiles and the maximum.
func spread(of []time.Duration, percents ...int) string {
	if len(of) == 0 {
		return "-"
	}
	slices.Sort(of)
	var parts []string
	for _, q := range percents {
		parts = append(parts, short(percent(of, q)))
	}
	return strings.Join(append(parts, short(of[len(of)-1])), " / ")
}

// line is the figures for the progress.
func (f figures) line() string {
	var parts []string
	for i, c := range f.cells()[1:] {
		if c != "-" {
			parts = append(parts, columns[i+1]+" "+c)
		}
	}
	text := strings.Join(parts, ", ")
	if len(f.refusals) > 0 {
		text += fmt.Sprintf(" %v", f.refusals)
	}
	return text
}

func short(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// table is the report in Markdown.
func (r *report) table() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	b.WriteString("| " + strings.Join(columns, " | ") + " |\n|" + strings.Repeat(" --- |", len(columns)) + "\n")
	for _, f := range r.rows {
		b.WriteString("| " + strings.Join(f.cells(), " | ") + " |\n")
	}
	return b.String()
}

var began = time.Now()

// progress tells whoever waits what goes on.
func progress(form string, args ...any) {
	fmt.Printf("[%6.1f s] %s\n", time.Since(began).Seconds(), fmt.Sprintf(form, args...))
}
