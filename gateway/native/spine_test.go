package native_test

import (
	"net/http"
	"strings"
	"testing"

	"rollcall/gateway/gatewaytest"
)

func TestPublishReachesAWatcher(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice, bob := gatewaytest.MRI(t, "alice"), gatewaytest.MRI(t, "bob")
	b := connect(t, n, "bob", "bob-1")
	if b.welcome.User != bob || b.welcome.Resumed || !strings.HasPrefix(b.welcome.URL, n.URL+"/trouter/") {
		t.Fatalf("welcome: %+v", b.welcome)
	}
	if m := b.watch(1, alice); m.Watching != 1 {
		t.Fatalf("watching %d, want 1", m.Watching)
	}
	first := b.sees(alice, "Offline")
	a := connect(t, n, "alice", "alice-1")
	done := a.publish(1, "Busy", "InACall")
	item := b.sees(alice, "Busy")
	if item.Activity != "InACall" || item.Device != "Web" || item.Version != done.Version {
		t.Errorf("item %+v, published as %s", item, done.Version)
	}
	if item.Version <= first.Version {
		t.Errorf("version %s after %s", item.Version, first.Version)
	}
}

func TestReconnectResumesWithoutSnapshot(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice := gatewaytest.MRI(t, "alice")
	a := connect(t, n, "alice", "alice-1")
	a.publish(1, "Available", "Available")
	b := connect(t, n, "bob", "bob-1")
	b.watch(1, alice)
	var seq uint64
	b.until("snapshot", func(m message) bool { seq = m.Seq; return m.Type == "batch" })
	if err := b.ws.CloseNow(); err != nil { // as when the network dies
		t.Log(err)
	}
	version := a.publish(2, "Busy", "InACall").Version

	b = resume(t, n, map[string]any{
		"token": n.User(t, "bob"), "endpoint": "bob-1", "session": b.welcome.Session, "ack": seq,
	})
	if !b.welcome.Resumed || b.welcome.Watching != 1 {
		t.Fatalf("welcome: %+v", b.welcome)
	}
	m := b.until("batch", func(m message) bool { return m.Type == "batch" })
	if len(m.Items) != 1 || m.Items[0].Version != version || m.Seq != seq+1 {
		t.Errorf("after resuming at %d: %+v; want version %s alone", seq, m, version)
	}
}

func TestListIsKeptWithoutSession(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice := gatewaytest.MRI(t, "alice")
	connect(t, n, "alice", "alice-1").publish(1, "Available", "Available")
	b := connect(t, n, "bob", "bob-1")
	b.watch(1, alice)
	b.sees(alice, "Available")
	b = connect(t, n, "bob", "bob-1") // no session: all anew
	if b.welcome.Resumed {
		t.Error("resumed without a session")
	}
	b.sees(alice, "Available")
}

func TestSameEndpointElsewhereSupersedes(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	old := connect(t, n, "bob", "bob-1")
	neighbour := connect(t, n, "bob", "bob-2")
	connect(t, n, "bob", "bob-1")
	if code, reason := old.closed(); code != 4409 || reason != "superseded" {
		t.Errorf("closed with %d %q", code, reason)
	}
	neighbour.do(1, map[string]any{"type": "watch"})
}

func TestByeSignsOut(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice := gatewaytest.MRI(t, "alice")
	a := connect(t, n, "alice", "alice-1")
	a.publish(1, "Available", "Available")
	b := connect(t, n, "bob", "bob-1")
	b.watch(1, alice)
	b.sees(alice, "Available")
	a.do(2, map[string]any{"type": "bye"})
	if code, _ := a.closed(); code != 1000 {
		t.Errorf("closed with %d", code)
	}
	b.sees(alice, "Offline")
}

func TestPlainRequests(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice, token := gatewaytest.MRI(t, "alice"), n.User(t, "alice")
	r := call(t, http.MethodPost, n.URL+"/v1/publish", token, `{"source":"app","key":"s","availability":"Busy","activity":"InACall"}`)
	if r.status != http.StatusOK || !strings.Contains(r.body, `"version":"A`) {
		t.Fatalf("publish: %d %s", r.status, r.body)
	}
	r = call(t, http.MethodGet, n.URL+"/v1/presence?user="+alice, n.User(t, "bob"), "")
	if !strings.Contains(r.body, `"availability":"Busy"`) {
		t.Errorf("presence: %s", r.body)
	}
	b := connect(t, n, "bob", "bob-1")
	r = call(t, http.MethodPost, n.URL+"/v1/watch", n.User(t, "bob"), `{"url":"`+b.welcome.URL+`","add":["`+alice+`"]}`)
	if r.body != `{"watching":1,"refused":[]}` {
		t.Errorf("watch by URL: %d %s", r.status, r.body)
	}
	b.sees(alice, "Busy")
}
