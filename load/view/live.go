package view

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"rollcall/load/measure"
	"rollcall/load/run"
)

// Live is a table in the terminal.
type Live struct {
	program *tea.Program
	done    chan struct{}
}

// Show takes over the terminal until End. interrupt is called when the person
// wants to stop.
func Show(ctx context.Context, title string, interrupt func()) *Live {
	l := &Live{
		program: tea.NewProgram(table{title: title, interrupt: interrupt, width: plainWidth}, tea.WithContext(ctx), tea.WithoutSignalHandler()),
		done:    make(chan struct{}),
	}
	go func() { // End waits for it
		defer close(l.done)
		_, err := l.program.Run()
		if err != nil && !errors.Is(err, tea.ErrProgramKilled) {
			interrupt() // without a terminal nobody could stop it
		}
	}()
	return l
}

// Progress shows what has come about.
func (l *Live) Progress(p run.Progress) { l.program.Send(p) }

// End leaves the last table standing and gives the terminal back.
func (l *Live) End() {
	l.program.Send(over{})
	<-l.done
}

type over struct{}

const plainWidth = 80

// table is the model of bubbletea.
type table struct {
	title     string
	interrupt func()
	width     int
	p         run.Progress
	sum       map[string]int64
	rates     []float64 // of deliveries, the newest last
	stopping  bool
}

// Init has nothing to begin with, of tea.Model.
func (t table) Init() tea.Cmd { return nil }

// Update takes what has happened, of tea.Model.
func (t table) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m := msg.(type) {
	case tea.KeyMsg:
		switch m.String() {
		case "q", "esc", "ctrl+c":
			t.stopping = true
			t.interrupt()
		}
	case tea.WindowSizeMsg:
		t.width = m.Width
	case run.Progress:
		return t.progress(m), nil
	case over:
		return t, tea.Quit
	}
	return t, nil
}

// history is how many seconds the small plot shows.
const history = 40

func (t table) progress(p run.Progress) table {
	sum := make(map[string]int64, len(p.Counts))
	for name, n := range p.Counts {
		sum[name] = t.sum[name] + n
	}
	if p.Phase != t.p.Phase && p.Phase == run.Load {
		for _, name := range []string{"published", "answered", "delivered", "batches", "coalesced"} {
			sum[name] = p.Counts[name] // the run-up does not count
		}
	}
	if p.Server == nil {
		p.Server = t.p.Server
	}
	t.sum, t.p = sum, p
	t.rates = append(t.rates[max(0, len(t.rates)-history+1):len(t.rates):len(t.rates)], float64(p.Counts["delivered"])/max(p.Seconds, 1e-3))
	return t
}

// View draws, of tea.Model.
func (t table) View() string {
	var b strings.Builder
	p := t.p
	row := func(format string, args ...any) {
		b.WriteString(ansi.Truncate(fmt.Sprintf(format, args...), t.width, "…") + "\n")
	}
	row("%s", t.title)
	row("")
	row("%-11s %s %s of about %s", p.Phase, bar(p.Elapsed, p.Length, 30), clock(p.Elapsed), clock(p.Length))
	row("%-11s %d of %d devices", "connected", p.Connected, p.Devices)
	row("")
	row("%-11s %12s %12s", "", "a second", "in all")
	for _, name := range []string{"published", "answered", "delivered", "coalesced", "resumes"} {
		row("%-11s %12s %12d", name, rate(p, name), t.sum[name])
	}
	row("%-11s %s", "", spark(t.rates))
	row("")
	row("%-11s %10s %10s %10s %10s", "latency", "p50", "p99", "p99.9", "max")
	for _, l := range []measure.Latency{measure.Acked, measure.Received, measure.Ready, measure.Resumed, measure.Staleness, measure.Lag} {
		if q, ok := p.Latencies[l.String()]; ok {
			row("%-11s %10s %10s %10s %10s", l, Time(q.P50), Time(q.P99), Time(q.P999), Time(q.Max))
		} else {
			row("%-11s %10s", l, "·")
		}
	}
	row("")
	row("problems    denied %d  reordered %d  duplicated %d  unsent %d  failed connects %d  cut off %d",
		t.sum["denied"], t.sum["reordered"], t.sum["duplicated"], t.sum["unsent"], t.sum["failed_connects"], t.sum["disconnected"])
	if p.Server != nil {
		row("node        %.2f CPU  %s  %.0f sockets  %.0f deliveries/s", p.Server.CPU, Size(p.Server.Memory), p.Server.Sockets, p.Server.Deliveries)
	}
	row("this        %.2f CPU", p.OwnCPU)
	switch {
	case t.stopping:
		row("\nstopping: what was measured is still reported")
	case p.Phase == run.Quiet:
		row("\nnothing is published any more; %d pairs do not know the newest yet", p.Behind)
	default:
		row("\nq stops")
	}
	return b.String()
}

func bar(done, of time.Duration, width int) string {
	n := 0
	if of > 0 {
		n = min(int(float64(width)*float64(done)/float64(of)), width)
	}
	return strings.Repeat("█", n) + strings.Repeat("░", width-n)
}

// spark is a plot one line high.
func spark(values []float64) string {
	const steps = "▁▂▃▄▅▆▇█"
	most := 1e-9
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for _, v := range values {
		b.WriteRune([]rune(steps)[min(int(v/most*8), 7)])
	}
	return b.String()
}
