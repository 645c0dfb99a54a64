package native_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"rollcall/gateway/auth/devissuer"
	"rollcall/gateway/front"
	"rollcall/gateway/gatewaytest"
	"rollcall/limit"
	"rollcall/presence"
)

// limitRow crosses one limit by one. Its name is that of a row of
// docs/limits.md.
type limitRow struct {
	alone  bool // no neighbour: its clock is moved too
	limits front.Limits
	policy func(*presence.Policy)
	cross  func(t *testing.T, n *clocked)
}

// clocked is a node whose clock a test can move.
type clocked struct {
	*gatewaytest.Node
	mu    sync.Mutex
	moved time.Duration
}

func (c *clocked) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.moved)
}

func (c *clocked) ahead(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved += d
}

func startClocked(t *testing.T, l front.Limits) *clocked {
	t.Helper()
	c := &clocked{}
	c.Node = gatewaytest.Start(t, gatewaytest.Options{Limits: l, Now: c.now})
	return c
}

// Each limit is crossed on a node of its own, beside a neighbour's connection
// that must go on as if nothing had happened.
func TestLimits(t *testing.T) {
	for name, row := range limitRows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startClocked(t, row.limits)
			if row.policy != nil {
				p := presence.DefaultPolicy(devissuer.HomeTenant)
				row.policy(&p)
				if _, err := n.Front.Actors.SetPolicy(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			if row.alone {
				row.cross(t, n)
				return
			}
			neighbour := connect(t, n.Node, "carol", "neighbour")
			row.cross(t, n)
			neighbour.send(map[string]any{"type": "ping"})
			if m := neighbour.next(); m.Type != "pong" {
				t.Errorf("the neighbour was answered %+v", m)
			}
		})
	}
}

func (c *client) refused(code string) message {
	c.t.Helper()
	m := c.until("refusal", func(m message) bool { return m.Type == "error" })
	if m.Code != code {
		c.t.Errorf("refused with %q (%s), want %q", m.Code, m.Message, code)
	}
	return m
}

func (c *client) closedWith(want int) {
	c.t.Helper()
	if code, reason := c.closed(); int(code) != want {
		c.t.Errorf("closed with %d %q, want %d", code, reason, want)
	}
}

func expect(t *testing.T, r reply, status int, code string) {
	t.Helper()
	if r.status != status || r.code(t) != code {
		t.Errorf("answered %d %s, want %d %s", r.status, r.body, status, code)
	}
	if wait := r.header.Get("Retry-After"); (status == 429 || status == 503) && wait == "" {
		t.Error("no Retry-After")
	}
}

func hello(t *testing.T, n *clocked, fields map[string]any) *client {
	t.Helper()
	c := raw(t, n.Node)
	fields["type"] = "hello"
	c.send(fields)
	return c
}

var limitRows = map[string]limitRow{
	"token-size": {cross: func(t *testing.T, n *clocked) {
		long := strings.Repeat("x", 8<<10+1)
		c := hello(t, n, map[string]any{"token": long, "endpoint": "e"})
		c.refused("token_too_large")
		c.closedWith(4401)
		expect(t, call(t, http.MethodGet, n.URL+"/v1/presence?user=8:x", long, ""), 401, "token_too_large")
	}},
	"token": {cross: func(t *testing.T, n *clocked) {
		c := hello(t, n, map[string]any{"endpoint": "e"})
		c.refused("token_missing")
		c.closedWith(4401)
		c = hello(t, n, map[string]any{"endpoint": "e", "token": n.User(t, "alice") + "x"})
		c.refused("token_invalid")
		c.closedWith(4401)
		c = hello(t, n, map[string]any{"endpoint": "e", "token": n.UserFor(t, "alice", -2*time.Minute)})
		c.refused("token_expired")
		c.closedWith(4401)
		expect(t, call(t, http.MethodGet, n.URL+"/v1/presence?user=8:x", "", ""), 401, "token_missing")
	}},
	"scope": {cross: func(t *testing.T, n *clocked) {
		c := hello(t, n, map[string]any{"endpoint": "e", "token": n.App(t)})
		c.refused("forbidden")
		c.closedWith(4403)
		expect(t, call(t, http.MethodGet, n.URL+"/v1/changes", n.User(t, "alice"), ""), 403, "forbidden")
		expect(t, call(t, http.MethodPut, n.URL+"/v1/me/blocks/8:x", n.App(t), ""), 403, "forbidden")
	}},
	"hello-time": {cross: func(t *testing.T, n *clocked) {
		raw(t, n.Node).closedWith(4401)
	}},
	"hello-first": {cross: func(t *testing.T, n *clocked) {
		c := raw(t, n.Node)
		c.send(map[string]any{"type": "ping"})
		c.closedWith(4401)
	}},
	"message-size": {cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", "e")
		note := func(size int) []byte {
			return []byte(`{"type":"ping","x":"` + strings.Repeat("x", size-22) + `"}`)
		}
		c.write(websocket.MessageText, note(16<<10))
		if m := c.next(); m.Type != "pong" {
			t.Errorf("a message of 16 KiB was answered %+v", m)
		}
		c.write(websocket.MessageText, note(16<<10+1))
		c.closedWith(1009)
	}},
	"fragments": {cross: func(t *testing.T, n *clocked) {
		s := bare(t, n)
		s.write(ws.NewFrame(ws.OpText, false, []byte("{")))
		for range 16 {
			s.write(ws.NewFrame(ws.OpContinuation, false, []byte(" ")))
		}
		s.closedWith(1009)
	}},
	"frame-form": {cross: func(t *testing.T, n *clocked) {
		s := bare(t, n)
		s.write(ws.NewTextFrame([]byte("\"\xff\"")))
		s.closedWith(1007)
		s = bare(t, n)
		if err := ws.WriteFrame(s.nc, ws.NewTextFrame([]byte("{}"))); err != nil { // not masked
			t.Fatal(err)
		}
		s.closedWith(1002)
		c := connect(t, n.Node, "alice", "e")
		c.write(websocket.MessageBinary, []byte("{}"))
		c.closedWith(1003)
	}},
	"origin": {cross: func(t *testing.T, n *clocked) {
		handshake := func(origin, protocol string) int {
			_, res, err := websocket.Dial(t.Context(), n.URL+"/v1/stream", &websocket.DialOptions{
				HTTPHeader: http.Header{"Origin": {origin}}, Subprotocols: []string{protocol},
			})
			if err == nil {
				t.Fatal("connected")
			}
			if res.Body != nil {
				_ = res.Body.Close() // read by Dial
			}
			return res.StatusCode
		}
		if got := handshake("https://evil.example", "rollcall.v1.json"); got != http.StatusForbidden {
			t.Errorf("a foreign origin was answered %d", got)
		}
		if got := handshake(n.URL, "graphql-ws"); got != http.StatusBadRequest {
			t.Errorf("a foreign subprotocol was answered %d", got)
		}
	}},
	"json": {cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", "e")
		for _, bad := range []string{
			strings.Repeat("[", 17) + strings.Repeat("]", 17), `{"type":"ping","TYPE":"ping"}`, `{"id":` + strings.Repeat("1", 33) + `}`,
		} {
			c.write(websocket.MessageText, []byte(bad))
		}
		c.refused("bad_json")
		c.refused("bad_json")
		c.closedWith(1008) // the third in a minute
		many := `{"x":[` + strings.Repeat("1,", 2000) + `1]}`
		expect(t, call(t, http.MethodPost, n.URL+"/v1/publish", n.User(t, "alice"), many), 400, "bad_json")
	}},
	"frame-rate": {cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", "e") // the hello is the first of 30
		for range 29 {
			c.send(map[string]any{"type": "ping"})
		}
		for range 29 {
			if m := c.next(); m.Type != "pong" {
				t.Fatalf("answered %+v", m)
			}
		}
		for range 9 {
			c.send(map[string]any{"type": "ping"})
			if m := c.refused("rate_limited"); m.RetryMS <= 0 {
				t.Error("no time to wait")
			}
		}
		c.send(map[string]any{"type": "ping"})
		c.closedWith(4429) // the tenth in a minute
	}},
	"ack-rate": {cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", "e")
		for range 20 + 29 {
			c.ack(0)
		}
		c.ack(0)
		c.ack(0) // one may have come back within the second
		c.refused("rate_limited")
	}},
	"publish-rate": {cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", "e")
		for i := range 5 {
			c.publish(uint64(i+1), "Busy", "")
		}
		c.send(map[string]any{"type": "publish", "id": 6, "source": "client", "availability": "Busy"})
		if m := c.refused("publish_rate"); m.ID != 6 || m.RetryMS <= 0 {
			t.Errorf("refusal %+v", m)
		}
	}},
	"tenant-rate": {limits: front.Limits{TenantUsers: 1}, policy: func(p *presence.Policy) { p.Quotas.TenantPublishPerUser = 1 },
		cross: func(t *testing.T, n *clocked) {
			body := `{"source":"note","note":"x"}`
			if r := call(t, http.MethodPost, n.URL+"/v1/publish", n.User(t, "alice"), body); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
			expect(t, call(t, http.MethodPost, n.URL+"/v1/publish", n.User(t, "alice"), body), 429, "publish_rate")
		}},
	"note": {cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", "e")
		c.do(1, map[string]any{"type": "publish", "source": "note", "note": strings.Repeat("é", 280)})
		c.send(map[string]any{"type": "publish", "id": 2, "source": "note", "note": strings.Repeat("é", 281)})
		c.refused("bad_note")
	}},
	"ids": {cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", strings.Repeat("e", 64))
		c.watch(1, "8:"+strings.Repeat("x", 126))
		c.send(map[string]any{"type": "watch", "id": 2, "add": []string{"8:" + strings.Repeat("x", 127)}})
		c.refused("bad_id")
		c = hello(t, n, map[string]any{"token": n.User(t, "alice"), "endpoint": strings.Repeat("e", 65)})
		c.refused("bad_id")
		c.closedWith(1008)
	}},
	"endpoints": {cross: func(t *testing.T, n *clocked) {
		for i := range 20 {
			connect(t, n.Node, "alice", fmt.Sprint("e", i))
		}
		c := hello(t, n, map[string]any{"token": n.User(t, "alice"), "endpoint": "e20"})
		c.refused("too_many_endpoints")
		c.closedWith(4429)
	}},
	"watches": {policy: func(p *presence.Policy) { p.Quotas.WatchesPerEndpoint = 2 }, cross: func(t *testing.T, n *clocked) {
		m := connect(t, n.Node, "alice", "e").watch(1, "8:a", "8:b", "8:c")
		if m.Watching != 2 || len(m.Refused) != 1 || m.Refused[0] != "8:c" {
			t.Errorf("answered %+v", m)
		}
	}},
	"watch-call": {cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", "e")
		c.watch(1, people(200)...)
		c.send(map[string]any{"type": "watch", "id": 2, "add": people(201)})
		c.refused("subscription_limit")
		body := `{"url":"` + c.welcome.URL + `","add":["` + strings.Join(people(201), `","`) + `"]}`
		expect(t, call(t, http.MethodPost, n.URL+"/v1/watch", n.User(t, "alice"), body), 403, "subscription_limit")
	}},
	"read-size": {cross: func(t *testing.T, n *clocked) {
		read := func(k int) reply {
			body := `{"users":["` + strings.Join(people(k), `","`) + `"]}`
			return call(t, http.MethodPost, n.URL+"/v1/presence", n.User(t, "alice"), body)
		}
		if r := read(650); r.status != http.StatusOK || strings.Count(r.body, `"user"`) != 650 {
			t.Errorf("650 users: %d, %d items", r.status, strings.Count(r.body, `"user"`))
		}
		expect(t, read(651), 400, "too_many_ids")
	}},
	"query-rate": {limits: front.Limits{Queries: limit.Rate{Count: 1, Per: time.Minute, Burst: 10}}, cross: func(t *testing.T, n *clocked) {
		url := n.URL + "/v1/presence?user=8:x"
		for range 10 {
			if r := call(t, http.MethodGet, url, n.User(t, "alice"), ""); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		expect(t, call(t, http.MethodGet, url, n.User(t, "alice"), ""), 429, "rate_limited")
		if r := call(t, http.MethodGet, url, n.User(t, "bob"), ""); r.status != http.StatusOK {
			t.Errorf("somebody else was answered %d", r.status)
		}
	}},
	"different-users": {policy: func(p *presence.Policy) { p.Quotas.TargetsHour = 3 }, cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", "e")
		c.watch(1, "8:a", "8:b")
		url := n.URL + "/v1/presence?user="
		if r := call(t, http.MethodGet, url+"8:c", n.User(t, "alice"), ""); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		expect(t, call(t, http.MethodGet, url+"8:d", n.User(t, "alice"), ""), 429, "enumeration_guard")
		c.send(map[string]any{"type": "watch", "id": 2, "add": []string{"8:d"}})
		c.refused("enumeration_guard")
	}},
	"watchers": {policy: func(p *presence.Policy) { p.Quotas.Watchers = 1 }, cross: func(t *testing.T, n *clocked) {
		a, b := connect(t, n.Node, "alice", "e"), connect(t, n.Node, "bob", "e")
		a.watch(1, "8:x")
		a.sees("8:x", "Offline")
		b.watch(1, "8:x")
		b.sees("8:x", "PresenceUnknown")
	}},
	"ack-stall": {cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", "e")
		c.send(map[string]any{"type": "watch", "id": 1, "add": []string{"8:x"}})
		for m := c.next(); m.Type != "batch"; {
			m = c.next()
		}
		n.ahead(91 * time.Second)
		if code, reason := c.closed(); code != 4408 || reason != "slow_consumer" {
			t.Errorf("closed with %d %q", code, reason)
		}
	}},
	"silence": {alone: true, cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", "e")
		c.watch(1) // nothing is under way any more that could time out
		n.ahead(61 * time.Second)
		n.Front.Wheel.Advance(n.now())
		if code, reason := c.closed(); code != 4408 || reason != "silent" {
			t.Errorf("closed with %d %q", code, reason)
		}
	}},
	"acknowledged-too-much": {cross: func(t *testing.T, n *clocked) {
		c := connect(t, n.Node, "alice", "e")
		c.ack(1)
		c.closedWith(1008)
	}},
	"sockets": {limits: front.Limits{Sockets: 2}, cross: func(t *testing.T, n *clocked) { // one is the neighbour's
		connect(t, n.Node, "alice", "e")
		expect(t, call(t, http.MethodGet, n.URL+"/v1/events?endpoint=f", n.User(t, "alice"), ""), 503, "too_many_connections")
	}},
	"address": {limits: front.Limits{PerAddress: 2}, cross: func(t *testing.T, n *clocked) {
		connect(t, n.Node, "alice", "e")
		expect(t, call(t, http.MethodGet, n.URL+"/v1/events?endpoint=f", n.User(t, "alice"), ""), 429, "too_many_from_address")
	}},
	"handshakes": {limits: front.Limits{Handshakes: limit.Rate{Count: 1, Per: time.Hour, Burst: 2}}, cross: func(t *testing.T, n *clocked) {
		connect(t, n.Node, "alice", "e")
		expect(t, call(t, http.MethodGet, n.URL+"/v1/stream", "", ""), 503, "too_many_connections")
	}},
	"memory": {alone: true, limits: front.Limits{Memory: 1}, cross: func(t *testing.T, n *clocked) {
		expect(t, call(t, http.MethodGet, n.URL+"/v1/stream", "", ""), 503, "memory_low")
	}},
	"feed-followers": {cross: func(t *testing.T, n *clocked) {
		for range 20 {
			follow(t, n)
		}
		expect(t, call(t, http.MethodGet, n.URL+"/v1/changes?follow=true", n.App(t), ""), 503, "overloaded")
	}},
}
