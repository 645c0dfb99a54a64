package view

import (
	"fmt"
	"io"
	"strings"

	"rollcall/load/report"
	"rollcall/load/scenario"
)

// Value is a metric as people read it.
func Value(metric string, v float64) string {
	switch scenario.UnitOf(metric) {
	case scenario.Time:
		return Time(v)
	case scenario.Bytes:
		return Size(v)
	case scenario.PerSecond:
		return fmt.Sprintf("%.0f/s", v)
	}
	if v != float64(int64(v)) {
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// Verdict writes the figures that everybody asks for, and whether the objectives
// hold.
func Verdict(w io.Writer, o *report.Outcome) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, seed %d: %d users, %d devices, %d watched pairs, %.0f s of load\n\n",
		o.Scenario, o.Seed, o.Population.Users, o.Population.Devices, o.Population.Pairs, o.Load)
	for _, row := range [][]string{
		{"published", "published.rate"},
		{"acknowledged", "acked.p50", "acked.p99", "acked.max"},
		{"received", "received.p50", "received.p99", "received.max"},
		{"staleness", "staleness.p50", "staleness.p99", "staleness.max"},
		{"connected", "ready.p50", "ready.p99", "ready.max"},
		{"resumed", "resumed.p50", "resumed.p99", "resumed.max"},
		{"delivered", "delivered", "delivered.rate"},
		{"wrong", "lost", "duplicated", "reordered", "denied", "unanswered", "unsent"},
		{"node", "server.cpu", "server.cpu_per_delivery", "server.memory"},
	} {
		var cells []string
		for _, metric := range row[1:] {
			if v, ok := o.Values[metric]; ok {
				name := metric[strings.LastIndexByte(metric, '.')+1:]
				cells = append(cells, fmt.Sprintf("%s %s", strings.ReplaceAll(name, "_", " "), Value(metric, v)))
			}
		}
		if len(cells) > 0 {
			fmt.Fprintf(&b, "  %-13s %s\n", row[0], strings.Join(cells, "   "))
		}
	}
	b.WriteString("\n")
	for _, v := range o.Verdicts {
		fmt.Fprintf(&b, "  %s %-28s %s\n", mark(v), v.Objective, measured(v))
	}
	for _, n := range o.Notes {
		fmt.Fprintf(&b, "\n  %s", n)
	}
	if len(o.Notes) > 0 {
		b.WriteString("\n")
	}
	_, _ = io.WriteString(w, b.String()) // the files are what counts
}

func mark(v report.Verdict) string {
	if v.Held {
		return "✓"
	}
	return "✗"
}

func measured(v report.Verdict) string {
	if !v.Measured {
		return "not measured"
	}
	metric, _, _ := strings.Cut(v.Objective, " ")
	return Value(metric, v.Value)
}
