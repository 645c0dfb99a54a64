package client_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/client"
	"rollcall/gateway/auth/devissuer"
	"rollcall/gateway/gatewaytest"
	"rollcall/messages"
	"rollcall/presence"
)

// real is a config of a demo user of a running node.
func real(t *testing.T, n *gatewaytest.Node, login string) client.Config {
	t.Helper()
	return client.Config{Server: n.URL, Token: func(context.Context) (string, error) {
		return n.Issuer.UserToken(login, time.Hour)
	}}
}

func dial(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// until takes changes of a user until one shows the availability. Versions must
// rise meanwhile.
func until(t *testing.T, c *client.Client, user string, want presence.Availability) client.Presence {
	t.Helper()
	deadline := time.After(20 * time.Second)
	var last presence.Version
	for {
		select {
		case p, ok := <-c.Changes():
			if !ok {
				t.Fatalf("changes ended: %+v", c.State())
			}
			if p.User != user {
				continue
			}
			if p.Version <= last {
				t.Fatalf("version %s after %s", p.Version, last)
			}
			if last = p.Version; p.Availability == want {
				return p
			}
		case <-deadline:
			t.Fatalf("%s never was %s; state %+v", user, want, c.State())
		}
	}
}

func TestAgainstARealNode(t *testing.T) {
	for name, encoding := range map[string]client.Encoding{"proto": client.Proto, "json": client.JSON} {
		t.Run(name, func(t *testing.T) {
			n := gatewaytest.Start(t, gatewaytest.Options{})
			cfg := real(t, n, "alice")
			cfg.Encoding = encoding
			a := dial(t, cfg)
			cfg = real(t, n, "bob")
			cfg.Encoding = encoding
			b := dial(t, cfg)
			if err := b.Watch(t.Context(), alice); err != nil {
				t.Fatal(err)
			}
			until(t, b, alice, presence.Offline)
			publish(t, a, client.Device{Availability: presence.Busy})
			until(t, b, alice, presence.Busy)
			publish(t, a, client.Note{Text: "back at <3>", Pinned: true, Duration: time.Hour})
			version := publish(t, a, client.Device{Availability: presence.DoNotDisturb, Activity: presence.ActPresenting})
			p := until(t, b, alice, presence.DoNotDisturb)
			if p.Version != version || p.Activity != presence.ActPresenting || p.Device != presence.Desktop {
				t.Errorf("got %+v, want version %s presenting on a desktop", p, version)
			}
			if p.Note == nil || p.Note.Text != "back at <3>" || !p.Note.Pinned {
				t.Errorf("note %+v", p.Note)
			}
			if err := a.SignOut(t.Context()); err != nil {
				t.Fatal(err)
			}
			until(t, b, alice, presence.Offline)
		})
	}
}

func publish(t *testing.T, c *client.Client, s client.Source) presence.Version {
	t.Helper()
	v, err := c.Publish(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEverySourceIsTakenByANode(t *testing.T) {
	start := time.Now().Add(-time.Minute)
	sources := map[string]client.Source{
		"device":   client.Device{Availability: presence.Available},
		"app":      client.App{Key: "k", Availability: presence.Busy, Activity: presence.ActInACall, Duration: time.Hour},
		"forced":   client.Preferred{Availability: presence.Offline, Activity: presence.ActOffWork},
		"note":     client.Note{Text: "x"},
		"calendar": client.Calendar{Entries: []client.Entry{{Kind: presence.OutOfOffice, Start: start, End: start.Add(time.Hour), Message: "away"}}},
		"call":     client.Call{Key: "c", Parties: 3},
		"location": client.Location{Layer: presence.Automatic, Type: presence.LocationOffice, PlaceID: "b1"},
	}
	for encoding, e := range map[string]client.Encoding{"proto": client.Proto, "json": client.JSON} {
		n := gatewaytest.Start(t, gatewaytest.Options{})
		for name, s := range sources {
			t.Run(name+"/"+encoding, func(t *testing.T) {
				cfg := real(t, n, "carol")
				cfg.Encoding = e
				c := dial(t, cfg)
				publish(t, c, s)
				publish(t, c, client.Cleared{Source: s})
				if err := c.SignOut(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestRefusalsAreErrors(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	c := dial(t, real(t, n, "alice"))
	_, err := c.Publish(t.Context(), client.App{Key: "k", Availability: presence.Busy, Activity: presence.ActFocusing})
	var e *client.Error
	if !errors.As(err, &e) || e.Code != "bad_state" {
		t.Errorf("an illegal pair is %v, want code bad_state", err)
	}
	if err := c.Watch(t.Context(), "nobody"); !errors.Is(err, messages.ErrBadID) {
		t.Errorf("a bad name is %v, want bad_id", err)
	}
	cfg := real(t, n, "alice")
	cfg.Token = client.StaticToken("forged")
	_, err = client.Dial(t.Context(), cfg)
	var closed *client.Closed
	if !errors.As(err, &closed) || closed.Code != 4401 || !errors.As(err, &e) || e.Code != "token_invalid" {
		t.Errorf("a forged token is %v, want close 4401 with token_invalid", err)
	}
}

func TestSecondClientOfAnEndpointEndsTheFirst(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	cfg := real(t, n, "alice")
	cfg.Endpoint = "desk"
	first := dial(t, cfg)
	dial(t, cfg)
	select {
	case _, open := <-first.Changes():
		if open {
			t.Error("a change, want the end")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the first client goes on")
	}
	var closed *client.Closed
	if s := first.State(); s.Status != client.Ended || !errors.As(s.Err, &closed) || closed.Code != 4409 {
		t.Errorf("state %+v, want ended by 4409", s)
	}
}

func TestClientSurvivesARestartOfTheNode(t *testing.T) {
	dir := t.TempDir()
	n := gatewaytest.Start(t, gatewaytest.Options{Dir: dir})
	var running atomic.Pointer[gatewaytest.Node]
	running.Store(n)
	fixed := func(login string) client.Config {
		cfg := real(t, n, login)
		cfg.Token = func(context.Context) (string, error) { return running.Load().Issuer.UserToken(login, time.Hour) }
		return client.Jitter(cfg, func(time.Duration) time.Duration { return 50 * time.Millisecond })
	}
	a, b := dial(t, fixed("alice")), dial(t, fixed("bob"))
	if err := b.Watch(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	publish(t, a, client.Device{Availability: presence.Busy})
	before := until(t, b, alice, presence.Busy)
	address := n.URL[len("http://"):]
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	running.Store(gatewaytest.Start(t, gatewaytest.Options{Dir: dir, Listen: address}))
	publish(t, a, client.Device{Availability: presence.Away}) // waits for the connection
	if after := until(t, b, alice, presence.Away); after.Version <= before.Version {
		t.Errorf("version %s after %s", after.Version, before.Version)
	}
}

func TestPostPublishesForApplications(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	b := dial(t, real(t, n, "bob"))
	if err := b.Watch(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	app := client.Config{Server: n.URL, Token: func(context.Context) (string, error) {
		return n.Issuer.AppToken(devissuer.HomeTenant, time.Hour)
	}}
	s := client.App{Key: "pbx", Availability: presence.Busy, Activity: presence.ActInACall}
	if _, err := client.Post(t.Context(), app, client.For{User: alice, Source: s}); err != nil {
		t.Fatal(err)
	}
	until(t, b, alice, presence.Busy)
	_, err := client.Post(t.Context(), app, client.Device{Availability: presence.Busy})
	var e *client.Error
	if !errors.As(err, &e) || e.Code != "forbidden" {
		t.Errorf("an application's device is %v, want forbidden", err)
	}
}
