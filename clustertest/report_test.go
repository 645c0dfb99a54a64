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
	correct     time.Duration
	ghosts      time.Duration
	drain       time.Duration
	join        time.Duration
	publishes   int
	refusals    map[string]int
	lost        int
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
	"scenario", "detect", "serve p50 / p99 / max", "moved p99 / max", "correct", "ghosts gone", "hand over", "join",
	"acknowledged", "again", "lost", "back", "reads back", "false offline", "false deaths", "reconnects", "two owners", "conflicts", "stall",
}

func (f figures) cells() []string {
	slices.Sort(f.serve)
	slices.Sort(f.moved)
	name := f.scenario
	if f.failed {
		name += " (failed)"
	}
	again := 0
	for _, n := range f.refusals {
		again += n
	}
	serve, moved := "-", "-"
	if n := len(f.serve); n > 0 {
		serve = fmt.Sprintf("%s / %s / %s", short(percent(f.serve, 50)), short(percent(f.serve, 99)), short(f.serve[n-1]))
	}
	if n := len(f.moved); n > 0 {
		moved = fmt.Sprintf("%s / %s", short(percent(f.moved, 99)), short(f.moved[n-1]))
	}
	return []string{
		name, short(f.detect), serve, moved, short(f.correct), short(f.ghosts), short(f.drain), short(f.join),
		fmt.Sprint(f.publishes), fmt.Sprint(again), fmt.Sprint(f.lost), fmt.Sprint(f.back), fmt.Sprint(f.readBack), fmt.Sprint(f.off), fmt.Sprint(f.falseDeaths),
		fmt.Sprint(f.reconnects), short(f.twice), fmt.Sprint(f.conflicts), short(f.stall),
	}
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
