package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"rollcall/client"
	"rollcall/presence"
)

// view is the table of node watch: one row per user, in the order asked.
type view struct {
	server string
	rows   []row
	labels map[string]string
	conn   client.State
	now    time.Time
	width  int
	colour bool
	err    error // why it ended
}

// row is one user. latency is how long the last change took from the node's
// commit to here, by the clocks of both; 0 where there is no telling.
type row struct {
	label   string
	known   bool
	p       client.Presence
	latency time.Duration
}

type (
	second time.Time           // the clock went on
	failed struct{ err error } // there is no point in going on
)

const plainWidth = 80

func newView(server string, ids []string, labels map[string]string) view {
	v := view{
		server: server, labels: labels, width: plainWidth, now: time.Now(),
		colour: os.Getenv("NO_COLOR") == "",
	}
	for _, id := range ids {
		v.rows = append(v.rows, row{label: labels[id]})
	}
	return v
}

// Init starts the clock, of tea.Model.
func (v view) Init() tea.Cmd { return tick() }

func tick() tea.Cmd {
	return tea.Tick(time.Second, func(t time.Time) tea.Msg { return second(t) })
}

// Update takes what has happened, of tea.Model.
func (v view) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m := msg.(type) {
	case tea.KeyMsg:
		switch m.String() {
		case "q", "esc", "ctrl+c":
			return v, tea.Quit
		}
	case tea.WindowSizeMsg:
		v.width = m.Width
	case second:
		v.now = time.Time(m)
		return v, tick()
	case client.Presence:
		return v.changed(m), nil
	case client.State:
		v.conn = m
		if m.Server != "" {
			v.server = plain(m.Server)
		}
		if m.Status == client.Ended && m.Err != nil {
			v.err = m.Err
			return v, tea.Quit
		}
	case failed:
		v.err = m.err
		return v, tea.Quit
	}
	return v, nil
}

// live is the age below which a change counts as seen happening.
const live = 10 * time.Second

func (v view) changed(p client.Presence) view {
	v.rows = append([]row(nil), v.rows...)
	name := label(p.User, v.labels)
	for i := range v.rows {
		r := &v.rows[i]
		if r.label != name {
			continue
		}
		took := p.Received.Sub(changedAt(p))
		r.latency = 0
		if r.known && took >= 0 && took < live {
			r.latency = max(took, time.Millisecond)
		}
		r.p, r.known = p, true
	}
	return v
}

// changedAt is when the node committed a state: a version tells.
func changedAt(p client.Presence) time.Time { return time.UnixMilli(p.Version.Millis()) }

// View draws, of tea.Model.
func (v view) View() string {
	var b strings.Builder
	b.WriteString(v.cut("Rollcall  "+v.server+"  "+v.connection()) + "\n\n")
	table := [][]string{{"NAME", "AVAILABILITY", "ACTIVITY", "NOTE", "DEVICE", "AGE", "LATENCY", "VERSION"}}
	for _, r := range v.rows {
		table = append(table, r.cells(v.now))
	}
	widths := columns(table, v.width)
	for i, cells := range table {
		var line strings.Builder
		for j, cell := range cells {
			text := fit(cell, widths[j])
			if i > 0 && j == 1 && v.colour {
				text = paint(v.rows[i-1], text)
			}
			line.WriteString(text + "  ")
		}
		b.WriteString(v.cut(strings.TrimRight(line.String(), " ")) + "\n")
	}
	return b.String() + "\n" + v.cut("q quits") + "\n"
}

func (v view) cut(s string) string { return ansi.Truncate(s, v.width, "…") }

func (v view) connection() string {
	s := v.conn
	switch s.Status {
	case client.Connected:
		return "● connected since " + s.Since.Local().Format("15:04:05")
	case client.Waiting:
		return fmt.Sprintf("○ not connected, next try in %d s: %s",
			max(int(s.Retry.Sub(v.now).Round(time.Second)/time.Second), 0), plain(s.Err.Error()))
	}
	return "○ " + s.Status.String()
}

func (r row) cells(now time.Time) []string {
	if !r.known {
		return []string{r.label, "…", "", "", "", "", "", ""}
	}
	p := r.p
	c := []string{r.label, "● " + p.Availability.String(), p.Activity.String(), "", "", "", "", p.Version.String()}
	if p.Note != nil {
		c[3] = plain(p.Note.Text)
	}
	if p.Device != presence.DeviceUnknown {
		c[4] = p.Device.String()
	}
	if p.Version.Millis() > 0 { // else nothing was ever published
		c[5] = age(now.Sub(changedAt(p)))
	}
	if r.latency > 0 {
		c[6] = fmt.Sprintf("%d ms", r.latency.Milliseconds())
	}
	return c
}

// age is a time that has passed, in its largest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

const noteColumn, leastNote = 3, 8

// columns are as wide as their widest cell; where that is too much for the
// screen the note gives way.
func columns(table [][]string, screen int) []int {
	widths := make([]int, len(table[0]))
	total := 0
	for j := range widths {
		for _, cells := range table {
			widths[j] = max(widths[j], ansi.StringWidth(cells[j]))
		}
		total += widths[j] + 2
	}
	if over := total - screen; over > 0 {
		widths[noteColumn] = max(widths[noteColumn]-over, min(widths[noteColumn], leastNote))
	}
	return widths
}

func fit(s string, width int) string {
	s = ansi.Truncate(s, width, "…")
	return s + strings.Repeat(" ", max(width-ansi.StringWidth(s), 0))
}

// paint gives an availability the colour that it has elsewhere.
func paint(r row, text string) string {
	const green, red, yellow, grey = "32", "31", "33", "90"
	colour := grey
	if r.known {
		switch r.p.Availability {
		case presence.Available, presence.AvailableIdle:
			colour = green
		case presence.Busy, presence.BusyIdle, presence.DoNotDisturb:
			colour = red
		case presence.Away, presence.BeRightBack:
			colour = yellow
		}
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
