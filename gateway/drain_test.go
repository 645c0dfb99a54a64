package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rollcall/gateway"
	"rollcall/gateway/gatewaytest"
)

// socket is a client that has said hello.
func socket(t *testing.T, n *gatewaytest.Node, login, endpoint string) *websocket.Conn {
	t.Helper()
	ws, res, err := websocket.Dial(t.Context(), n.URL+"/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.Body != nil {
		_ = res.Body.Close() // the handshake's, empty
	}
	t.Cleanup(func() { _ = ws.CloseNow() }) // closed already in most tests
	hello, err := json.Marshal(map[string]string{"type": "hello", "token": n.User(t, login), "endpoint": endpoint})
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.Write(t.Context(), websocket.MessageText, hello); err != nil {
		t.Fatal(err)
	}
	if f := frame(t, ws); f.Type != "welcome" {
		t.Fatalf("answer to hello: %+v", f)
	}
	return ws
}

type heard struct {
	Type, Code, URL string
	DelayMS         int64 `json:"delayMs"`
}

func frame(t *testing.T, ws *websocket.Conn) (f heard) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, b, err := ws.Read(ctx)
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		t.Fatalf("waiting for a frame: %v", err)
	}
	return f
}

// sentAway reads the hint and the end.
func sentAway(t *testing.T, ws *websocket.Conn) heard {
	t.Helper()
	f := frame(t, ws)
	for ; f.Type == "batch"; f = frame(t, ws) {
	}
	if f.Type != "notice" || f.Code != "going_away" {
		t.Errorf("got %+v, want the hint", f)
	}
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != 4503 {
		t.Errorf("ended with %v, want 4503", err)
	}
	return f
}

// post asks for a drain and reads its reports.
func post(t *testing.T, n *gatewaytest.Node) (lines []gateway.DrainStatus) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.Admin+"/admin/v1/drain?wait", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 3 * patience}
	res, err := c.Do(req)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer func() { _ = res.Body.Close() }() // it is read
	if res.StatusCode != http.StatusOK {
		t.Errorf("answered %d", res.StatusCode)
	}
	s := bufio.NewScanner(res.Body)
	for s.Scan() {
		var d gateway.DrainStatus
		if err := json.Unmarshal(s.Bytes(), &d); err != nil {
			t.Errorf("line %q: %v", s.Text(), err)
		}
		lines = append(lines, d)
	}
	if s.Err() != nil || len(lines) == 0 {
		t.Errorf("%d reports, then %v", len(lines), s.Err())
	}
	return lines
}

func TestNodeAloneIsDrained(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	a, b := socket(t, n, "alice", "a"), socket(t, n, "bob", "b")
	if r := call(t, http.MethodGet, n.Admin+"/admin/v1/drain", "", ""); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "POST" {
		t.Errorf("GET: %d %s", r.status, r.body)
	}
	if r := call(t, http.MethodPost, n.URL+"/admin/v1/drain", n.App(t), ""); r.status != http.StatusNotFound {
		t.Errorf("in public: %d %s", r.status, r.body)
	}
	second := make(chan []gateway.DrainStatus, 1)
	go func() { second <- post(t, n) }()
	lines := post(t, n)
	if last := lines[len(lines)-1]; !last.Done || last.Moved != 2 || last.EndpointsLeft != 0 || last.ShardsLeft != 0 || last.Error != "" {
		t.Errorf("ended with %+v", last)
	}
	if joined := <-second; joined[len(joined)-1] != lines[len(lines)-1] {
		t.Errorf("two that wait for one drain hear %+v and %+v", lines, joined)
	}
	for _, ws := range []*websocket.Conn{a, b} {
		if f := sentAway(t, ws); f.URL != "" || f.DelayMS >= 1000 {
			t.Errorf("hint %+v, want a delay alone", f)
		}
	}
	for _, base := range []string{n.URL, n.Admin} {
		if r := call(t, http.MethodGet, base+"/readyz", "", ""); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, `"draining"`) {
			t.Errorf("ready: %d %s", r.status, r.body)
		}
	}
	for _, path := range []string{"/v1/events?endpoint=x", "/v1/stream"} {
		r := call(t, http.MethodGet, n.URL+path, n.User(t, "carol"), "")
		if r.status != http.StatusServiceUnavailable || r.code() != "going_away" || r.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s %v", path, r.status, r.body, r.header)
		}
	}
	if r := call(t, http.MethodGet, n.URL+"/v1/me/blocks", n.User(t, "alice"), ""); r.status != http.StatusOK {
		t.Errorf("a request meanwhile: %d %s", r.status, r.body)
	}
	select {
	case <-n.Drained():
	default:
		t.Error("the node does not say that it was drained")
	}
	began := time.Now()
	if err := n.Close(); err != nil || time.Since(began) > time.Second {
		t.Errorf("closed after %s: %v", time.Since(began), err)
	}
}

func TestDrainWithoutWaiting(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	a := socket(t, n, "alice", "a")
	var d gateway.DrainStatus
	r := call(t, http.MethodPost, n.Admin+"/admin/v1/drain", "", "rubbish")
	if err := json.Unmarshal([]byte(r.body), &d); err != nil || r.status != http.StatusAccepted || d.Done || d.Moved+d.EndpointsLeft != 1 {
		t.Errorf("%d %s", r.status, r.body)
	}
	sentAway(t, a)
	<-n.Drained()
}

func TestClosingEndsADrain(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	if _, err := n.Drain(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	other := gatewaytest.Start(t, gatewaytest.Options{})
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err := other.Drain(t.Context(), nil); err == nil || d.Done {
		t.Errorf("a closed node was drained: %+v", d)
	}
}

// Who no longer waits does not end the drain.
func TestDrainGoesOnAlone(t *testing.T) {
	n := gatewaytest.Start(t, gatewaytest.Options{})
	a := socket(t, n, "alice", "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := n.Drain(ctx, nil); !errors.Is(err, context.Canceled) || d.Done {
		t.Errorf("%+v, %v, want no waiting", d, err)
	}
	sentAway(t, a)
	if d, err := n.Drain(t.Context(), nil); err != nil || !d.Done || d.Moved != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}
