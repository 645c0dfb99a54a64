package view

import (
	"fmt"
	"io"
	"time"

	"rollcall/load/run"
)

// plainEvery is how often there is a line.
const plainEvery = 2 * time.Second

// Lines writes a line to w every two seconds and at the beginning of each phase.
func Lines(w io.Writer) func(run.Progress) {
	var last run.Progress
	var at time.Duration
	began := false
	return func(p run.Progress) {
		if began && p.Phase == last.Phase && p.Elapsed-at < plainEvery-plainEvery/10 {
			return
		}
		began, last, at = true, p, p.Elapsed
		_, _ = fmt.Fprintln(w, line(p)) // remarks; the report is what counts
	}
}

func line(p run.Progress) string {
	text := fmt.Sprintf("%-10s %5s", p.Phase, clock(p.Elapsed))
	text += fmt.Sprintf("  %d/%d connected", p.Connected, p.Devices)
	if p.Phase == run.Quiet {
		return text + fmt.Sprintf("  %d pairs not there yet", p.Behind)
	}
	text += fmt.Sprintf("  %s published/s  %s delivered/s", rate(p, "published"), rate(p, "delivered"))
	for _, name := range []string{"acked", "received"} {
		if q, ok := p.Latencies[name]; ok {
			text += fmt.Sprintf("  %s %s/%s", name, Time(q.P50), Time(q.P99))
		}
	}
	if n := p.Counts["denied"] + p.Counts["failed_connects"] + p.Counts["disconnected"]; n > 0 {
		text += fmt.Sprintf("  %d problems", n)
	}
	if p.Server != nil {
		text += fmt.Sprintf("  node %.2f CPU %s", p.Server.CPU, Size(p.Server.Memory))
	}
	return text
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func rate(p run.Progress, name string) string {
	return fmt.Sprintf("%.0f", float64(p.Counts[name])/max(p.Seconds, 1e-3))
}

// Time is a time in ns as people read it, with three digits.
func Time(ns float64) string {
	switch {
	case ns < 1e3:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 1e6:
		return digits(ns/1e3) + " µs"
	case ns < 1e9:
		return digits(ns/1e6) + " ms"
	}
	return digits(ns/1e9) + " s"
}

func digits(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// Size is bytes as people read them.
func Size(b float64) string {
	switch {
	case b < 1<<20:
		return fmt.Sprintf("%.0f KiB", b/(1<<10))
	case b < 10<<30:
		return fmt.Sprintf("%.0f MiB", b/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", b/(1<<30))
}
