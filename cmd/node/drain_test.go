package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/client"
	"rollcall/presence"
)

// ended waits until the process has ended by itself.
func (m *member) ended(t *testing.T) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- m.process.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(45 * time.Second):
		t.Fatalf("the process does not end\n%s", m.log)
		return nil
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("never happened: " + what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// connected is the client of a demo user.
func connected(t *testing.T, login, server string) *client.Client {
	t.Helper()
	cfg, err := (&Access{Server: []string{server}, User: login}).config()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // never fails
	return c
}

// others are users of the home tenant that nobody has logged in as.
const others = 40

func stranger(i int) string { return fmt.Sprintf("8:orgid:5712a463-6c1f-4f0e-a9be-%012d", i) }

// seen takes what a watcher is shown until the context ends.
type seen struct {
	versions map[string]presence.Version
	faults   []string
	stop     context.CancelFunc
	done     chan struct{}
}

// observe checks that nobody goes back or offline.
func observe(t *testing.T, c *client.Client) *seen {
	ctx, stop := context.WithCancel(t.Context())
	s := &seen{versions: map[string]presence.Version{}, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for {
			select {
			case p := <-c.Changes():
				if p.Version <= s.versions[p.User] || p.Availability == presence.Offline {
					s.faults = append(s.faults, fmt.Sprintf("%s %s at %s", p.User, p.Availability, p.Version))
				}
				s.versions[p.User] = p.Version
			case <-ctx.Done():
				return
			}
		}
	}()
	return s
}

// occupied publishes for the strangers and gives their versions.
func occupied(t *testing.T, server string) map[string]presence.Version {
	t.Helper()
	token, err := (&Token{Server: server, App: true}).fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg := client.Config{Server: server, Token: client.StaticToken(token)}
	versions := map[string]presence.Version{}
	for i := range others {
		call := client.For{User: stranger(i), Source: client.App{
			Key: "pbx", Availability: presence.Busy, Activity: presence.ActInACall, Duration: time.Hour,
		}}
		if versions[stranger(i)], err = client.Post(t.Context(), cfg, call); err != nil {
			t.Fatal(err)
		}
	}
	return versions
}

// A node is drained while others look: its client is at the other one soon, nobody
// is seen offline, what it owned is served there as it was, and the process ends
// well.
func TestDrainedProcessLosesNothing(t *testing.T) {
	t.Parallel() // most of it is waiting
	dir := t.TempDir()
	a := joined(t, dir, "a", "--gossip-listen=127.0.0.1:0", "--drain-timeout=30s")
	b := joined(t, dir, "b", "--join="+a.gossip, "--drain-timeout=30s")
	settled(t, a, b)
	alice, bob := connected(t, "alice", a.url), connected(t, "bob", b.url)
	before, err := alice.Publish(t.Context(), client.Device{Availability: presence.Busy})
	if err != nil {
		t.Fatal(err)
	}
	versions := occupied(t, a.url)
	versions[aliceID] = before
	if err := bob.Watch(t.Context(), slices.Collect(maps.Keys(versions))...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bob sees everybody", func() bool {
		for user, v := range versions {
			if p, ok := bob.Presence(user); !ok || p.Version != v {
				return false
			}
		}
		return true
	})
	watch := observe(t, bob)
	began := time.Now()
	var out bytes.Buffer
	if err := (&Drain{Operator: Operator{Admin: a.admin}}).run(t.Context(), &out); err != nil {
		t.Errorf("drain: %v\n%s", err, a.log)
	}
	if !strings.Contains(out.String(), "drained after ") || !strings.Contains(out.String(), "1 clients moved; left: 0 shards, 0 clients\n") {
		t.Errorf("drain printed %q", &out)
	}
	if err := a.ended(t); err != nil {
		t.Errorf("the drained process ended with %v\n%s", err, a.log)
	}
	t.Logf("drained and ended within %s: %s", time.Since(began), strings.TrimSpace(out.String()))
	eventually(t, "alice is at the other node", func() bool {
		s := alice.State()
		return s.Status == client.Connected && s.Server == b.url
	})
	if r := b.view(t); r.Shards.Served != presence.Shards {
		t.Errorf("the other node serves %d shards", r.Shards.Served)
	}
	<-time.After(17 * time.Second) // longer than the grace: who was lost would be offline now
	watch.stop()
	<-watch.done
	if len(watch.faults) > 0 {
		t.Errorf("seen meanwhile: %q", watch.faults)
	}
	for user, v := range versions {
		if p, ok := bob.Presence(user); !ok || p.Version != v || p.Availability != presence.Busy {
			t.Errorf("%s is shown as %+v, was %s", user, p, v)
		}
	}
	b.end(t, syscall.SIGTERM) // the last one: nobody takes its shards
}

func TestSecondSignalEndsADrainAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := joined(t, dir, "a", "--gossip-listen=127.0.0.1:0", "--drain-timeout=30s")
	b := joined(t, dir, "b", "--join="+a.gossip, "--drain-timeout=30s")
	settled(t, a, b)
	for _, p := range []struct {
		m  *member
		by syscall.Signal
	}{{b, syscall.SIGSTOP}, {a, syscall.SIGTERM}} { // b is alive for some seconds, and takes nothing
		if err := p.m.process.Process.Signal(p.by); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the drain has begun", func() bool {
		_, body := request(t, http.MethodGet, a.url+"/readyz", "", "")
		return strings.Contains(body, `"draining"`)
	})
	if err := a.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := a.ended(t)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v, want by the signal", err)
	}
}

// Nobody takes the shards in time: the command says how many are left, and both
// it and the process fail.
func TestDrainThatRunsOutOfTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := joined(t, dir, "a", "--gossip-listen=127.0.0.1:0", "--drain-timeout=100ms")
	b := joined(t, dir, "b", "--join="+a.gossip)
	settled(t, a, b)
	if err := b.process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	out, err := node(t, "drain", "--admin", a.admin).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not drained after 0.1 s") || !strings.Contains(string(out), "the drain has run out of time: ") {
		t.Errorf("drain: %v\n%s", err, out)
	}
	var exit *exec.ExitError
	if err := a.ended(t); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the process ended with %v, want status 1\n%s", err, a.log)
	}
}

func TestDrainSaysWhatIsLeft(t *testing.T) {
	for name, tt := range map[string]struct {
		status       int
		lines        string
		prints, says string
	}{
		"out of time": {200, `{"shardsLeft":9,"endpointsLeft":8,"elapsedMs":1000}` + "\n" +
			`{"shardsLeft":3,"usersHandedOver":5,"endpointsLeft":2,"endpointsMoved":6,"elapsedMs":2500,"error":"out of time: 3 shards"}` + "\n",
			"1.0 s  shards left 9, users handed over 0, clients left 8, moved 0\n" +
				"not drained after 2.5 s: 5 users handed over, 6 clients moved; left: 3 shards, 2 clients\n", "out of time: 3 shards"},
		"cut off": {200, `{"shardsLeft":9,"elapsedMs":1000}` + "\n", "1.0 s  shards left 9, users handed over 0, clients left 0, moved 0\n", "went silent"},
		"alone": {200, `{"shardsLeft":4096,"elapsedMs":60,"done":true,"note":"no other\u001b[2J"}` + "\n",
			"drained after 0.1 s: 0 users handed over, 0 clients moved; left: 4096 shards, 0 clients (no other[2J)\n", ""},
		"no node":     {200, "hello\n", "", "is it a node of this version"},
		"an old node": {404, `{"error":{"code":"not_found","message":"x"}}`, "", "has no /admin/v1/drain"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || !r.URL.Query().Has("wait") {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.lines) // the command's end of it is what counts
			}))
			defer s.Close()
			var out bytes.Buffer
			err := (&Drain{Operator: Operator{Admin: s.URL}}).run(t.Context(), &out)
			if out.String() != tt.prints {
				t.Errorf("printed %q, want %q", &out, tt.prints)
			}
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
	for _, admin := range []string{"http://127.0.0.1:1", "::", ""} {
		if err := (&Drain{Operator: Operator{Admin: admin}}).run(t.Context(), io.Discard); err == nil {
			t.Errorf("a drain of %q went well", admin)
		}
	}
}
