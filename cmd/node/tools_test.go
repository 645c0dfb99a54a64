package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/goleak"

	"rollcall/client"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),  // of http.DefaultClient,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop")) // kept for the next request
}

// program is the real program serving on a free port until the test ends.
func program(t *testing.T, data, listen string) *Main {
	t.Helper()
	var c commands
	k, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse([]string{"serve", "--listen", listen, "--admin-listen=", "--data", data + "/store", "--no-fsync"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Start(t.Context(), &c.Serve, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func stopped(t *testing.T, m *Main) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// watcher is node watch in plain mode, read line by line.
type watcher struct {
	t     *testing.T
	lines chan string
	stop  context.CancelFunc
	done  chan error
}

func watching(t *testing.T, w *Watch) *watcher {
	t.Helper()
	cfg, err := w.config()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	r := &watcher{t: t, lines: make(chan string), stop: stop, done: make(chan error, 1)}
	var all sync.WaitGroup
	all.Go(func() {
		r.done <- w.lines(ctx, cfg, in, t.Output())
		_ = in.Close()
	})
	all.Go(func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case r.lines <- s.Text():
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		stop()
		all.Wait()
	})
	return r
}

// until reads lines until one has the words, and returns its fields.
func (w *watcher) until(words string) []string {
	w.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case l := <-w.lines:
			if strings.Contains(l, words) {
				return strings.Fields(l)
			}
		case err := <-w.done:
			w.t.Fatalf("watch ended (%v) before %q", err, words)
		case <-deadline:
			w.t.Fatalf("no line with %q", words)
		}
	}
}

func run(t *testing.T, p *Publish) (string, error) {
	t.Helper()
	if p.Source == "" {
		p.Source = "auto"
	}
	if p.Key == "" {
		p.Key = "node-publish"
	}
	var out bytes.Buffer
	err := p.run(t.Context(), &out)
	return out.String(), err
}

func TestPublishIsSeenByWatchAndSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	m := program(t, dir, "127.0.0.1:0")
	at := func(user string) Access { return Access{Server: []string{m.URL}, User: user} }
	w := watching(t, &Watch{Access: at("bob"), Users: []string{"alice", "ca401000-6c1f-4f0e-a9be-000000000003"}})
	w.until("alice Offline/Offline")

	if _, err := run(t, &Publish{Access: at("alice"), Availability: "busy", Note: "back at 3"}); err != nil {
		t.Fatal(err)
	}
	busy := w.until("alice Busy/Busy")
	if _, err := time.Parse("15:04:05.000", busy[0]); err != nil || len(busy) != 4 || !strings.HasPrefix(busy[3], "A") {
		t.Errorf("line %q, want time, user, state and version", busy)
	}

	address := strings.TrimPrefix(m.URL, "http://")
	stopped(t, m)
	m = program(t, dir, address)
	defer func() { stopped(t, m) }()
	out, err := run(t, &Publish{Access: at("carol"), Availability: "Busy", Activity: "InACall", Duration: "30m"})
	if err != nil || !strings.Contains(out, "app: Busy/InACall for 30m0s") {
		t.Fatalf("%q, %v", out, err)
	}
	if call := w.until("ca401000-6c1f-4f0e-a9be-000000000003 Busy/InACall"); call[3] <= busy[3] {
		t.Errorf("version %s after %s", call[3], busy[3])
	}
	if _, err := run(t, &Publish{Access: at("alice"), Availability: "DoNotDisturb", Activity: "Presenting"}); err != nil {
		t.Fatal(err)
	}
	w.until("alice DoNotDisturb/Presenting") // although Busy was preferred
	if _, err := run(t, &Publish{Access: at("alice"), Clear: true}); err != nil {
		t.Fatal(err)
	}
	w.until("alice Offline/Offline")
	w.stop()
	if err := <-w.done; err != nil {
		t.Error("watch ends with", err)
	}
}

func TestPublishAsADeviceLastsAsLongAsItRuns(t *testing.T) {
	m := program(t, t.TempDir(), "127.0.0.1:0")
	defer stopped(t, m)
	w := watching(t, &Watch{Access: Access{Server: []string{m.URL}, User: "bob"}, JSON: true, Users: []string{"alice"}})
	w.until("alice Offline")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	p := &Publish{Access: Access{Server: []string{m.URL}, User: "alice"}, Source: "client", Availability: "DoNotDisturb"}
	go func() { ended <- p.run(ctx, io.Discard) }()
	w.until("alice DoNotDisturb/DoNotDisturb")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.until("alice Offline")
}

func TestToolsSayWhatToDo(t *testing.T) {
	m := program(t, t.TempDir(), "127.0.0.1:0")
	defer stopped(t, m)
	here := Access{Server: []string{m.URL}, User: "alice"}
	for name, tt := range map[string]struct {
		p    Publish
		want string
	}{
		"nobody":         {Publish{Access: Access{Server: []string{m.URL}}, Availability: "Busy"}, "--user alice"},
		"unknown user":   {Publish{Access: Access{Server: []string{m.URL}, User: "zoe"}, Availability: "Busy"}, "alice, bob, carol and dave"},
		"no node":        {Publish{Access: Access{Server: []string{"http://127.0.0.1:1"}, User: "alice"}, Availability: "Busy"}, "start one with"},
		"forged token":   {Publish{Access: Access{Server: []string{m.URL}, Token: "x"}, Availability: "Busy"}, "node token --server"},
		"nothing":        {Publish{Access: here}, "--availability Busy"},
		"no such state":  {Publish{Access: here, Availability: "Sleepy"}, "use Available, Busy"},
		"bad duration":   {Publish{Access: here, Availability: "Busy", Duration: "soon"}, "30m"},
		"bad pair":       {Publish{Access: here, Availability: "Busy", Activity: "Focusing"}, "docs/protocol.md"},
		"empty note":     {Publish{Access: here, Source: "note"}, "needs --note"},
		"too long a day": {Publish{Access: here, Source: "app", Availability: "Away", Duration: "9h"}, "PT5M to PT4H"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, &tt.p)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	w := &Watch{Access: here, Users: []string{"nobody"}}
	cfg, err := w.config()
	if err == nil {
		err = w.lines(t.Context(), cfg, io.Discard, io.Discard)
	}
	if err == nil || !strings.Contains(err.Error(), "8:orgid:<guid>") {
		t.Errorf("watching nobody is %v", err)
	}
}

func TestAutoPublishesWhatShowsByItself(t *testing.T) {
	for name, tt := range map[string]struct {
		p    Publish
		want []string
	}{
		"plain":         {Publish{Availability: "Busy"}, []string{"preferred: Busy for 1h0m0s", "app: Available/Available for 1h0m0s"}},
		"short":         {Publish{Availability: "Away", Duration: "90s"}, []string{"preferred: Away for 1m30s", "app: Available/Available for 5m0s"}},
		"long":          {Publish{Availability: "Away", Duration: "P2D"}, []string{"preferred: Away for 48h0m0s", "app: Available/Available for 4h0m0s"}},
		"call":          {Publish{Availability: "busy", Activity: "inacall"}, []string{"app: Busy/InACall for 1h0m0s", "preferred: cleared"}},
		"offline":       {Publish{Availability: "Offline"}, []string{"preferred: Offline for 1h0m0s"}},
		"note":          {Publish{Note: "x"}, []string{`note: "x"`}},
		"state, note":   {Publish{Availability: "Offline", Note: "x"}, []string{"preferred: Offline for 1h0m0s", `note: "x"`}},
		"clear":         {Publish{Clear: true}, []string{"app: cleared", "preferred: cleared"}},
		"clear a note":  {Publish{Clear: true, Source: "note"}, []string{"note: cleared"}},
		"one preferred": {Publish{Source: "preferred", Availability: "Busy"}, []string{"preferred: Busy for 1h0m0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.p.Source == "" {
				tt.p.Source = "auto"
			}
			said, err := tt.p.parse()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range said.sources(&tt.p) {
				got = append(got, describe(s))
			}
			if strings.Join(got, "; ") != strings.Join(tt.want, "; ") {
				t.Errorf("publishes %q, want %q", got, tt.want)
			}
		})
	}
}

func TestApplicationPublishesForSomebody(t *testing.T) {
	p := &Publish{Access: Access{Token: "app", User: "dave"}}
	got, ok := p.meant(client.Note{}).(client.For)
	if want := "5c0a7a10-9d3e-4b61-8f21-000000000002/8:orgid:da4e0000-6c1f-4f0e-a9be-000000000004"; !ok || got.User != want {
		t.Errorf("published for %q, want %q", got.User, want)
	}
}
