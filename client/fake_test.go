package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rollcall/client"
	"rollcall/messages"
	"rollcall/presence"
)

const (
	alice  = "8:orgid:a11ce000-6c1f-4f0e-a9be-000000000001"
	bob    = "8:orgid:b0b00000-6c1f-4f0e-a9be-000000000002"
	tenant = "5c0a7a10-9d3e-4b61-8f21-000000000001"
	where  = "http://node.test"
)

// node is a server that does nothing by itself: each test plays it, one
// connection after the other. It lives on pipes, so that it works in virtual
// time.
type node struct {
	t      *testing.T
	server http.Server
	lines  chan net.Conn
	peers  chan *peer
	refuse func(http.ResponseWriter) bool // answers a handshake instead
	down   chan struct{}
	once   sync.Once
	served sync.WaitGroup
}

func newNode(t *testing.T) *node {
	n := &node{t: t, lines: make(chan net.Conn), peers: make(chan *peer, 16), down: make(chan struct{})}
	n.server.Handler = n
	n.served.Go(func() { _ = n.server.Serve(n) })
	t.Cleanup(n.stop)
	return n
}

func (n *node) stop() {
	n.once.Do(func() { close(n.down) })
	_ = n.server.Close()
	n.served.Wait()
}

// Accept, Close and Addr make the node a net.Listener.
func (n *node) Accept() (net.Conn, error) {
	select {
	case c := <-n.lines:
		return c, nil
	case <-n.down:
		return nil, net.ErrClosed
	}
}

func (n *node) Close() error {
	n.once.Do(func() { close(n.down) })
	return nil
}

func (n *node) Addr() net.Addr { return &net.TCPAddr{} }

// dial is the network of the test: it fails while the node is down.
func (n *node) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case n.lines <- theirs:
		return ours, nil
	case <-n.down:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n.refuse != nil && n.refuse(w) {
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"rollcall.v1.proto"}})
	if err != nil {
		n.t.Errorf("accept: %v", err)
		return
	}
	n.peers <- &peer{n.t, ws}
}

// config connects to the node with its token t1 and no chance in the pauses.
func (n *node) config() client.Config {
	return client.NoJitter(client.Config{
		Server: where, Token: client.StaticToken("t1"),
		HTTP: &http.Client{Transport: &http.Transport{DialContext: n.dial}},
	})
}

// start makes a client that is closed with the test.
func (n *node) start(cfg client.Config) *client.Client {
	n.t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			n.t.Error(err)
		}
	})
	return c
}

// peer is the node's end of a connection.
type peer struct {
	t  *testing.T
	ws *websocket.Conn
}

// next waits for the next connection. Its silent end is seen to with the test.
func (n *node) next() *peer {
	n.t.Helper()
	select {
	case p := <-n.peers:
		n.t.Cleanup(func() { _ = p.ws.CloseNow() })
		return p
	case <-time.After(time.Hour):
		n.t.Fatal("no connection within an hour")
		return nil
	}
}

// welcomed takes a connection through its hello.
func (n *node) welcomed(session string, resumed bool) (*peer, *messages.Hello) {
	n.t.Helper()
	p := n.next()
	h := p.read().GetHello()
	if h == nil {
		n.t.Fatal("the first frame is no hello")
	}
	p.welcome(session, resumed)
	return p, h
}

func (p *peer) welcome(session string, resumed bool) {
	p.send(&messages.ServerFrame{Frame: &messages.ServerFrame_Welcome{Welcome: &messages.Welcome{
		Session: session, Resumed: resumed, User: bob, PingMs: 25_000, MaxMessage: 16 << 10,
		Url: where + "/trouter/default/" + tenant + "/n1/0123456789abcdef0123456789abcdef/",
	}}})
}

// read is the client's next frame.
func (p *peer) read() *messages.ClientFrame {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Hour)
	defer cancel()
	_, b, err := p.ws.Read(ctx)
	if err != nil {
		p.t.Fatalf("the node reads: %v", err)
	}
	f := &messages.ClientFrame{}
	if err := f.UnmarshalVT(b); err != nil {
		p.t.Fatal(err)
	}
	return f
}

// readClose is the code with which the client ends the connection.
func (p *peer) readClose() websocket.StatusCode {
	p.t.Helper()
	_, _, err := p.ws.Read(p.t.Context())
	return websocket.CloseStatus(err)
}

func (p *peer) send(f *messages.ServerFrame) {
	p.t.Helper()
	b, err := f.MarshalVT()
	if err != nil {
		p.t.Fatal(err)
	}
	p.raw(websocket.MessageBinary, b)
}

func (p *peer) raw(kind websocket.MessageType, b []byte) {
	p.t.Helper()
	if err := p.ws.Write(p.t.Context(), kind, b); err != nil {
		p.t.Fatalf("the node writes: %v", err)
	}
}

func (p *peer) done(id uint64, d *messages.Done) {
	p.send(&messages.ServerFrame{Id: id, Frame: &messages.ServerFrame_Done{Done: d}})
}

func (p *peer) fail(id uint64, e *messages.Error) {
	p.send(&messages.ServerFrame{Id: id, Frame: &messages.ServerFrame_Error{Error: &messages.Failure{
		Code: e.Code, Text: e.Text, RetryAfterMs: e.RetryAfter.Milliseconds(),
	}}})
}

// batch sends items under a number.
func (p *peer) batch(seq uint64, items ...*messages.PresenceItem) {
	p.send(&messages.ServerFrame{Frame: &messages.ServerFrame_Batch{Batch: &messages.Batch{Seq: seq, Items: items}}})
}

func item(user string, version uint64, a presence.Availability) *messages.PresenceItem {
	return &messages.PresenceItem{User: user, Version: version, Availability: a.String(), Activity: a.String()}
}

// watching takes the next frame for a watch of users and grants it.
func (p *peer) watching(users ...string) {
	p.t.Helper()
	f := p.read()
	got := f.GetWatch().GetAdd()
	if len(got) != len(users) {
		p.t.Fatalf("watch %v, want %v (%v)", got, users, f)
	}
	for i := range got {
		if got[i] != users[i] {
			p.t.Fatalf("watch %v, want %v", got, users)
		}
	}
	p.done(f.Id, &messages.Done{Watching: uint32(len(users))})
}

func (p *peer) acked(seq uint64) {
	p.t.Helper()
	if f := p.read(); f.GetAck() == nil || f.GetAck().Seq != seq {
		p.t.Fatalf("got %v, want an acknowledgement of %d", f, seq)
	}
}

// ackedUpTo takes acknowledgements until one of seq.
func (p *peer) ackedUpTo(seq uint64) {
	p.t.Helper()
	for last := uint64(0); last < seq; {
		a := p.read().GetAck()
		if a == nil || a.Seq <= last || a.Seq > seq {
			p.t.Fatalf("got acknowledgement %v after %d, want them to rise to %d", a, last, seq)
		}
		last = a.Seq
	}
}

// close ends the connection as the node does.
func (p *peer) close(code websocket.StatusCode) { _ = p.ws.Close(code, "") }

// drop cuts the line.
func (p *peer) drop() { _ = p.ws.CloseNow() }

// async runs f beside the test and returns its error when asked.
func async(f func() error) func() error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() error {
		select {
		case err := <-done:
			return err
		case <-time.After(time.Hour):
			return errors.New("no answer within an hour")
		}
	}
}
