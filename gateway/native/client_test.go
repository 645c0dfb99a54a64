package native_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rollcall/gateway/gatewaytest"
	"rollcall/messages"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// message is any frame of the server.
type message struct {
	Type     string              `json:"type"`
	ID       uint64              `json:"id"`
	Seq      uint64              `json:"seq"`
	Items    []messages.ItemJSON `json:"items"`
	Code     string              `json:"code"`
	Message  string              `json:"message"`
	RetryMS  int64               `json:"retryAfterMs"`
	AfterMS  int64               `json:"afterMs"`
	DelayMS  int64               `json:"delayMs"`
	Version  string              `json:"version"`
	Watching int                 `json:"watching"`
	Refused  []string            `json:"refused"`
	Session  string              `json:"session"`
	URL      string              `json:"url"`
	Resumed  bool                `json:"resumed"`
	User     string              `json:"user"`
}

// client is a socket that speaks JSON.
type client struct {
	t       testing.TB
	ws      *websocket.Conn
	welcome message
}

func dial(t testing.TB, n *gatewaytest.Node, protocol string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, res, err := websocket.Dial(ctx, n.URL+"/v1/stream", &websocket.DialOptions{Subprotocols: []string{protocol}})
	if err != nil {
		t.Fatal(err)
	}
	if res.Body != nil {
		_ = res.Body.Close() // the handshake's, empty
	}
	t.Cleanup(func() { _ = ws.CloseNow() }) // closed already in most tests
	return ws
}

// raw is a socket that has said nothing yet.
func raw(t testing.TB, n *gatewaytest.Node) *client {
	t.Helper()
	return &client{t: t, ws: dial(t, n, "rollcall.v1.json")}
}

// connect says hello as a demo user and waits for the welcome.
func connect(t testing.TB, n *gatewaytest.Node, login, endpoint string) *client {
	t.Helper()
	return resume(t, n, map[string]any{"token": n.User(t, login), "endpoint": endpoint, "device": "Web"})
}

func resume(t testing.TB, n *gatewaytest.Node, hello map[string]any) *client {
	t.Helper()
	c := raw(t, n)
	hello["type"] = "hello"
	c.send(hello)
	c.welcome = c.next()
	if c.welcome.Type != "welcome" {
		t.Fatalf("answer to hello: %+v", c.welcome)
	}
	return c
}

func (c *client) send(v any) {
	c.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(websocket.MessageText, b)
}

func (c *client) write(kind websocket.MessageType, b []byte) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.ws.Write(ctx, kind, b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

func (c *client) read() (message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, b, err := c.ws.Read(ctx)
	var m message
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	return m, err
}

func (c *client) next() message {
	c.t.Helper()
	m, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for a frame: %v", err)
	}
	return m
}

// until reads frames, acknowledging batches, up to the first that fits.
func (c *client) until(what string, fits func(message) bool) message {
	c.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		m := c.next()
		if m.Type == "batch" {
			c.ack(m.Seq)
		}
		if fits(m) {
			return m
		}
	}
	c.t.Fatalf("no %s came", what)
	return message{}
}

func (c *client) ack(seq uint64) { c.t.Helper(); c.send(map[string]any{"type": "ack", "seq": seq}) }

// answer waits for the done or error of a request.
func (c *client) answer(id uint64) message {
	c.t.Helper()
	return c.until("answer", func(m message) bool { return m.ID == id && (m.Type == "done" || m.Type == "error") })
}

// do sends a request, which must succeed.
func (c *client) do(id uint64, frame map[string]any) message {
	c.t.Helper()
	frame["id"] = id
	c.send(frame)
	m := c.answer(id)
	if m.Type != "done" {
		c.t.Fatalf("%v: %+v", frame["type"], m)
	}
	return m
}

func (c *client) watch(id uint64, users ...string) message {
	c.t.Helper()
	return c.do(id, map[string]any{"type": "watch", "add": users})
}

func (c *client) publish(id uint64, availability, activity string) message {
	c.t.Helper()
	return c.do(id, map[string]any{"type": "publish", "source": "client", "availability": availability, "activity": activity})
}

// sees waits until a batch shows user as given, and acknowledges on the way.
func (c *client) sees(user, availability string) messages.ItemJSON {
	c.t.Helper()
	var found messages.ItemJSON
	c.until(user+" as "+availability, func(m message) bool {
		for _, it := range m.Items {
			if it.User == user && it.Availability == availability {
				found = it
				return true
			}
		}
		return false
	})
	return found
}

// closed waits for the close frame and gives its code.
func (c *client) closed() (websocket.StatusCode, string) {
	c.t.Helper()
	for {
		_, err := c.read()
		var end websocket.CloseError
		switch {
		case err == nil:
		case errors.As(err, &end):
			return end.Code, end.Reason
		default:
			c.t.Fatalf("waiting for the close frame: %v", err)
		}
	}
}

// answer of an HTTP request.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) code(t testing.TB) string {
	t.Helper()
	var b struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(r.body), &b); err != nil {
		t.Fatalf("error body %q: %v", r.body, err)
	}
	return b.Error.Code
}

func call(t testing.TB, method, url, token, body string) reply {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, req)
}

func do(t testing.TB, req *http.Request) reply {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it is read
	var b bytes.Buffer
	if _, err := io.Copy(&b, res.Body); err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, b.String()}
}
