package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"rollcall/load/measure"
	"rollcall/load/report"
	"rollcall/load/run"
)

func progress(phase run.Phase, elapsed time.Duration) run.Progress {
	p := run.Progress{Phase: phase, Elapsed: elapsed, Length: 10 * time.Second, Connected: 9, Devices: 12, Behind: 4}
	p.Seconds = 1
	p.Counts = map[string]int64{"published": 50, "delivered": 1700, "denied": 2}
	p.Latencies = map[string]measure.Quantiles{"received": {P50: 1.5e6, P99: 2.5e7, P999: 3e7, Max: 1.2e9}}
	p.Server = &report.Server{CPU: 0.25, Memory: 64 << 20}
	return p
}

func TestLines(t *testing.T) {
	var b bytes.Buffer
	tell := Lines(&b)
	for s := range 5 {
		tell(progress(run.Load, time.Duration(s)*time.Second))
	}
	tell(progress(run.Quiet, 100*time.Millisecond))
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines:\n%s", len(lines), &b)
	}
	if want := "load        0:00  9/12 connected  50 published/s  1700 delivered/s  received 1.50 ms/25.0 ms  2 problems  node 0.25 CPU 64 MiB"; lines[0] != want {
		t.Errorf("got  %s\nwant %s", lines[0], want)
	}
	if !strings.Contains(lines[3], "4 pairs not there yet") {
		t.Errorf("quiet: %s", lines[3])
	}
}

func TestTable(t *testing.T) {
	stops := 0
	var m tea.Model = table{title: "Rollcall load test  smoke", interrupt: func() { stops++ }, width: plainWidth}
	m.View() // before anything is known
	for _, p := range []run.Progress{progress(run.Connecting, time.Second), progress(run.Load, time.Second), progress(run.Load, 5*time.Second)} {
		m, _ = m.Update(p)
	}
	text := m.View()
	for _, want := range []string{"load        ███████████████░░░", "0:05 of about 0:10", "9 of 12 devices", "delivered           1700         3400", "1.20 s", "denied 6", "0.25 CPU  64 MiB", "q stops"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	m, _ = m.Update(tea.WindowSizeMsg{Width: 30, Height: 10})
	for _, l := range strings.Split(m.View(), "\n") {
		if len([]rune(l)) > 30 {
			t.Errorf("line of %d: %s", len([]rune(l)), l)
		}
	}
	m, cmd := m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q")})
	if stops != 1 || cmd != nil || !strings.Contains(m.View(), "stopping") {
		t.Errorf("q: %d stops\n%s", stops, m.View())
	}
	if _, cmd = m.Update(over{}); cmd == nil {
		t.Error("the end does not end it")
	}
}

func TestVerdict(t *testing.T) {
	o := &report.Outcome{
		Scenario: "smoke", Seed: 3, Load: 10, Notes: []string{"careful"},
		Values: map[string]float64{"received.p50": 1.5e6, "received.p99": 2.5e7, "lost": 0, "server.memory": 2 << 30, "published.rate": 50, "server.cpu": 0.456},
		Verdicts: []report.Verdict{
			{Objective: "lost == 0", Measured: true, Held: true}, {Objective: "received.p99 <= 5ms", Value: 2.5e7, Measured: true}, {Objective: "acked.p99 <= 5ms"},
		},
	}
	var b bytes.Buffer
	Verdict(&b, o)
	for _, want := range []string{
		"smoke, seed 3", "received      p50 1.50 ms   p99 25.0 ms", "memory 2048 MiB", "rate 50/s", "cpu 0.46",
		"✓ lost == 0", "✗ received.p99 <= 5ms          25.0 ms", "✗ acked.p99 <= 5ms             not measured", "careful",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	b.Reset()
	if err := Compare(&b, o, o); err != nil || !strings.Contains(b.String(), "received.p99") || strings.Contains(b.String(), "careful:") {
		t.Errorf("compare: %v\n%s", err, &b)
	}
}
