package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"rollcall/client"
	"rollcall/presence"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func versionAt(t time.Time) presence.Version { return presence.Version(t.UnixMilli() << 16) }

// shows runs messages through the table of alice and bob and returns its lines.
func shows(t *testing.T, messages ...tea.Msg) (view, []string) {
	t.Helper()
	a, b := resolve("alice"), resolve("bob")
	var m tea.Model = newView("http://node.test", []string{a.id, b.id}, map[string]string{a.id: "alice", b.id: "bob"})
	for _, msg := range append([]tea.Msg{tea.WindowSizeMsg{Width: 120, Height: 20}, second(noon)}, messages...) {
		m, _ = m.Update(msg)
	}
	return m.(view), strings.Split(m.View(), "\n")
}

func busyAlice(at time.Time) client.Presence {
	return client.Presence{
		User: resolve("alice").id, Version: versionAt(at), Availability: presence.Busy, Activity: presence.ActInACall,
		Device: presence.Mobile, Note: &client.NoteShown{Text: "back\x1b[2J at\n3"}, Received: at.Add(7 * time.Millisecond),
	}
}

func TestTableShowsARowPerUser(t *testing.T) {
	_, lines := shows(t, busyAlice(noon.Add(-90*time.Second)))
	row := strings.Join(strings.Fields(ansi.Strip(lines[3])), " ")
	want := "alice ● Busy InACall back[2J at 3 Mobile 1m " + versionAt(noon.Add(-90*time.Second)).String()
	if row != want {
		t.Errorf("row %q, want %q", row, want)
	}
	if !strings.Contains(lines[3], "\x1b[31m● Busy") {
		t.Errorf("Busy is not red: %q", lines[3])
	}
	if row := strings.Fields(ansi.Strip(lines[4])); len(row) != 2 || row[0] != "bob" || row[1] != "…" {
		t.Errorf("a user of whom nothing is known shows %q", row)
	}
}

func TestLatencyIsThatOfChangesSeenHappening(t *testing.T) {
	v, _ := shows(t, busyAlice(noon))
	if v.rows[0].latency != 0 {
		t.Errorf("the first state, which may be old, has a latency of %s", v.rows[0].latency)
	}
	v, lines := shows(t, busyAlice(noon), busyAlice(noon.Add(time.Second)))
	if v.rows[0].latency != 7*time.Millisecond || !strings.Contains(lines[3], " 7 ms ") {
		t.Errorf("latency %s in %q, want 7 ms", v.rows[0].latency, lines[3])
	}
	late := busyAlice(noon)
	late.Received = noon.Add(time.Minute)
	if v, _ = shows(t, busyAlice(noon.Add(-time.Hour)), late); v.rows[0].latency != 0 {
		t.Errorf("a change that was missed has a latency of %s", v.rows[0].latency)
	}
}

func TestTableFitsTheScreen(t *testing.T) {
	long := busyAlice(noon)
	long.Note = &client.NoteShown{Text: strings.Repeat("äö漢", 90)}
	for _, width := range []int{200, 100, 60, 20, 1} {
		_, lines := shows(t, long, tea.WindowSizeMsg{Width: width, Height: 9})
		for _, l := range lines {
			if got := ansi.StringWidth(l); got > width {
				t.Errorf("at width %d a line takes %d: %q", width, got, l)
			}
		}
	}
	_, lines := shows(t, long)
	if !strings.Contains(lines[3], versionAt(noon).String()) {
		t.Errorf("a long note pushes the version out: %q", lines[3])
	}
}

func TestHeaderTellsOfTheConnection(t *testing.T) {
	_, lines := shows(t, client.State{
		Status: client.Waiting, Err: errors.New("connection refused"), Retry: noon.Add(3 * time.Second),
	}, busyAlice(noon))
	if want := "○ not connected, next try in 3 s: connection refused"; !strings.Contains(lines[0], want) {
		t.Errorf("header %q, want %q", lines[0], want)
	}
	if !strings.Contains(lines[3], "Busy") {
		t.Error("what was known is gone while not connected")
	}
	_, lines = shows(t, client.State{Status: client.Connected, Since: noon})
	if !strings.Contains(lines[0], "● connected since") {
		t.Errorf("header %q", lines[0])
	}
}

func TestTableEnds(t *testing.T) {
	end := errors.New("the end")
	for name, tt := range map[string]struct {
		msg tea.Msg
		err error
	}{
		"by q":                {tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q")}, nil},
		"by Ctrl-C":           {tea.KeyMsg{Type: tea.KeyCtrlC}, nil},
		"with the client":     {client.State{Status: client.Ended, Err: end}, end},
		"by a refused watch":  {failed{end}, end},
		"not by another key":  {tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("x")}, nil},
		"not by a lost node":  {client.State{Status: client.Waiting, Err: end}, nil},
		"not by the clock":    {second(noon), nil},
		"not by client.Close": {client.State{Status: client.Ended}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := shows(t)
			m, cmd := v.Update(tt.msg)
			_, isClock := tt.msg.(second)
			if quits := cmd != nil && !isClock; quits == strings.HasPrefix(name, "not") {
				t.Errorf("quits: %v", quits)
			}
			if got := m.(view).err; !errors.Is(got, tt.err) {
				t.Errorf("error %v, want %v", got, tt.err)
			}
		})
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("back at 3\x1b[31m")
	f.Fuzz(func(t *testing.T, s string) {
		if got := plain(s); strings.ContainsAny(got, "\x1b\x07\r\n\u202e\u009b") {
			t.Errorf("%q still has controls", got)
		}
	})
}
