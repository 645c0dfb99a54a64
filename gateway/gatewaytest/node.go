// Package gatewaytest starts whole nodes inside a test: a real store in a
// temporary directory, real actors, real sockets on loopback, tokens of the
// development issuer.
//
//	test ─▶ Start ─▶ gateway.Start ─▶ 127.0.0.1:random
//	  └─ User, App: tokens     Dial: a socket that speaks JSON
//
// It owns nothing that outlives the test: cleanup closes the node and fails the
// test when that goes wrong. It never replaces a part by a stand-in, and what a
// node stored is gone with the test's directory.
package gatewaytest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"rollcall/gateway"
	"rollcall/gateway/auth/devissuer"
	"rollcall/gateway/front"
	"rollcall/persistence"
)

// Options are what a test wants other than usual.
type Options struct {
	Dir    string // of the store; empty: a temporary one
	Listen string // empty: a free port
	Limits front.Limits
	Graph  func(*front.Front) http.Handler
	Now    func() time.Time
}

// Node is a node under test.
type Node struct {
	*gateway.Node
	URL    string // public, http://127.0.0.1:port
	Admin  string // of the admin listener
	Issuer *devissuer.Issuer
}

// Start runs a node until the test ends.
func Start(t testing.TB, o Options) *Node {
	t.Helper()
	n := &Node{}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	public, admin := listen(t, o.Listen), listen(t, "127.0.0.1:0")
	n.URL, n.Admin = "http://"+public.Addr().String(), "http://"+admin.Addr().String()
	var err error
	n.Issuer, err = devissuer.New(devissuer.Config{URL: n.URL + "/dev", Audience: gateway.Audience, Now: o.Now})
	if err != nil {
		t.Fatal(err)
	}
	n.Node, err = gateway.Start(context.Background(), gateway.Config{
		Server: gateway.ServerConfig{Public: public, Admin: admin},
		Store: persistence.Config{
			Dir: o.Dir, NoSync: true, Ballast: -1,
			Fatal: func(err error) { t.Error("storage failed:", err) },
		},
		Base: n.URL, Issuer: n.Issuer, Graph: o.Graph, Limits: o.Limits, Now: o.Now,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error("closing the node:", err)
		}
	})
	return n
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := gateway.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// User is a token of a person of the demo directory with every delegated scope.
func (n *Node) User(t testing.TB, login string) string {
	t.Helper()
	return n.UserFor(t, login, time.Hour)
}

// UserFor is User with a token that lives for d and then 60 s of leeway.
func (n *Node) UserFor(t testing.TB, login string, d time.Duration) string {
	t.Helper()
	token, err := n.Issuer.UserToken(login, d)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// App is a token of the demo application, at home, with every application scope.
func (n *Node) App(t testing.TB) string {
	t.Helper()
	token, err := n.Issuer.AppToken(devissuer.HomeTenant, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// MRI is how a person of the demo directory is called at home.
func MRI(t testing.TB, login string) string {
	t.Helper()
	p, ok := devissuer.Find(login)
	if !ok {
		t.Fatalf("%s is not in the demo directory", login)
	}
	return "8:orgid:" + p.ID
}
