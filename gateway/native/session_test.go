package native_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/gateway/auth/devissuer"
	"rollcall/gateway/gatewaytest"
)

// guestName is how a person of the guest tenant is called at home.
func guestName(mri string) string { return devissuer.GuestTenant.String() + "/" + mri }

// A token is honoured for 60 s beyond its exp; lived gives one that has d left
// of that.
func lived(t *testing.T, n *gatewaytest.Node, login string, d time.Duration) string {
	t.Helper()
	return n.UserFor(t, login, d-time.Minute)
}

func TestTokenEnds(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	neighbour := connect(t, n, "bob", "b")
	a := resume(t, n, map[string]any{"token": lived(t, n, "alice", 2*time.Second), "endpoint": "a"})
	m := a.until("notice", func(m message) bool { return m.Type == "notice" })
	if m.Code != "token_expiring" || m.AfterMS <= 0 || m.AfterMS > 2000 {
		t.Errorf("notice %+v", m)
	}
	if code, reason := a.closed(); code != 4401 || reason != "token_expired" {
		t.Errorf("closed with %d %q", code, reason)
	}
	neighbour.do(1, map[string]any{"type": "watch"})
}

func TestFreshTokenExtends(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	a := resume(t, n, map[string]any{"token": lived(t, n, "alice", 2*time.Second), "endpoint": "a"})
	a.until("notice", func(m message) bool { return m.Type == "notice" })

	a.send(map[string]any{"type": "token", "id": 1, "token": n.User(t, "bob")})
	a.refused("forbidden")
	a.send(map[string]any{"type": "token", "id": 2, "token": "rubbish"})
	a.refused("token_invalid")

	a.do(3, map[string]any{"type": "token", "token": lived(t, n, "alice", 4*time.Second)})
	again := a.until("notice", func(m message) bool { return m.Type == "notice" })
	if again.AfterMS <= 2000 {
		t.Errorf("the second notice %+v is of the first token", again)
	}
	a.do(4, map[string]any{"type": "token", "token": n.User(t, "alice")})
	a.do(5, map[string]any{"type": "watch"})
}

func TestPolicyRevokesAndGivesBack(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice := gatewaytest.MRI(t, "alice")
	a := connect(t, n, "alice", "a")
	a.publish(1, "Busy", "InACall")
	name := devissuer.HomeTenant.String() + "/" + alice
	d := connect(t, n, "dave", "d") // of another tenant
	d.watch(1, name)
	d.sees(name, "Busy")

	url := n.URL + "/admin/v1/tenants/" + devissuer.HomeTenant.String() + "/policy"
	if r := call(t, http.MethodPut, url, n.App(t), `{"privacyMode":true}`); r.status != http.StatusOK {
		t.Fatalf("policy: %d %s", r.status, r.body)
	}
	began := time.Now()
	hidden := d.sees(name, "PresenceUnknown")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to hide", took)
	}
	r := call(t, http.MethodGet, n.URL+"/v1/presence?user="+name, n.User(t, "dave"), "")
	if !strings.Contains(r.body, `"availability":"PresenceUnknown"`) || strings.Contains(r.body, "Busy") {
		t.Errorf("read: %s", r.body)
	}
	if r := call(t, http.MethodPut, url, n.App(t), `{}`); r.status != http.StatusOK {
		t.Fatalf("policy: %d %s", r.status, r.body)
	}
	if back := d.sees(name, "Busy"); back.Version <= hidden.Version {
		t.Errorf("version %s after %s", back.Version, hidden.Version)
	}
}

func TestBlocks(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice, bob := gatewaytest.MRI(t, "alice"), gatewaytest.MRI(t, "bob")
	connect(t, n, "alice", "a").publish(1, "Busy", "InACall")
	b := connect(t, n, "bob", "b")
	b.watch(1, alice)
	b.sees(alice, "Busy")
	url, token := n.URL+"/v1/me/blocks", n.User(t, "alice")
	if r := call(t, http.MethodPut, url+"/"+bob, token, ""); r.status != http.StatusNoContent {
		t.Fatalf("block: %d %s", r.status, r.body)
	}
	b.sees(alice, "Offline")
	if r := call(t, http.MethodGet, url, token, ""); r.body != `{"users":["`+bob+`"]}` {
		t.Errorf("list: %s", r.body)
	}
	if r := call(t, http.MethodDelete, url+"/"+bob, token, ""); r.status != http.StatusNoContent {
		t.Fatalf("unblock: %d %s", r.status, r.body)
	}
	b.sees(alice, "Busy")
	if r := call(t, http.MethodGet, url, token, ""); r.body != `{"users":[]}` {
		t.Errorf("list: %s", r.body)
	}
	expect(t, call(t, http.MethodPut, url+"/"+alice, token, ""), 400, "bad_request") // oneself
	expect(t, call(t, http.MethodPut, url+"/nobody", token, ""), 400, "bad_id")
}

func TestPublishOfAnEndpointThatIsNotThere(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	expect(t, call(t, http.MethodPost, n.URL+"/v1/publish", n.User(t, "alice"),
		`{"source":"client","endpoint":"nowhere","availability":"Busy"}`), 400, "bad_id")
}

func TestApplicationPublishesForAUser(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice := gatewaytest.MRI(t, "alice")
	connect(t, n, "alice", "a").publish(1, "Available", "")
	b := connect(t, n, "bob", "b")
	b.watch(1, alice)
	b.sees(alice, "Available")
	r := call(t, http.MethodPost, n.URL+"/v1/publish", n.App(t), `{"source":"call","key":"c1","parties":3,"user":"`+alice+`"}`)
	if r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if it := b.sees(alice, "Busy"); it.Activity != "InAConferenceCall" {
		t.Errorf("item %+v", it)
	}
	expect(t, call(t, http.MethodPost, n.URL+"/v1/publish", n.App(t),
		`{"source":"call","key":"c1","parties":3,"user":"`+guestName(gatewaytest.MRI(t, "dave"))+`"}`), 403, "forbidden")
}

func TestOwnersSeeTheirOwnTimes(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	alice := gatewaytest.MRI(t, "alice")
	a := connect(t, n, "alice", "a")
	a.publish(1, "Available", "")
	a.do(2, map[string]any{"type": "publish", "source": "note", "note": "x", "duration": "PT1H"})
	own := call(t, http.MethodGet, n.URL+"/v1/presence?user="+alice, n.User(t, "alice"), "")
	other := call(t, http.MethodGet, n.URL+"/v1/presence?user="+alice, n.User(t, "bob"), "")
	if !strings.Contains(own.body, `"expiry":`) || strings.Contains(other.body, `"expiry":`) || !strings.Contains(other.body, `"content":"x"`) {
		t.Errorf("own %s\nother %s", own.body, other.body)
	}
}

func TestPlaceOfASocketIsGivenBack(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	a := connect(t, n, "alice", "a")
	if got := n.Front.Doors.Sockets(); got != 1 {
		t.Errorf("%d sockets with one client", got)
	}
	a.do(1, map[string]any{"type": "bye"})
	a.closedWith(1000)
	for deadline := time.Now().Add(patience); n.Front.Doors.Sockets() != 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d sockets after the client left", n.Front.Doors.Sockets())
		}
		<-time.After(time.Millisecond)
	}
}
