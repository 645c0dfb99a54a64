package run

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"rollcall/load/socket"
	"rollcall/messages"
)

// fakeNode speaks the protocol and does what a test wants wrong.
type fakeNode struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	version uint64
	states  map[string]*messages.PresenceItem
	peers   map[*peer]bool
	// faulty may change what is sent to a watcher for a change, the n-th of all
	// that were sent; nil sends nothing.
	faulty func(n int, it *messages.PresenceItem) []*messages.PresenceItem
	sent   int
	// refuse answers a publish with an error, mute not at all.
	refuse, mute func(n int) bool
	published    int
}

// peer is a connection; its fields are guarded by the node's mu.
type peer struct {
	ws      *websocket.Conn
	user    string
	watches map[string]bool
	seq     uint64
}

func newFake(t *testing.T) *fakeNode {
	n := &fakeNode{t: t, states: map[string]*messages.PresenceItem{}, peers: map[*peer]bool{}}
	n.Server = httptest.NewServer(http.HandlerFunc(n.serve))
	t.Cleanup(n.Close)
	return n
}

func (n *fakeNode) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{socket.Subprotocol}})
	if err != nil {
		return
	}
	p := &peer{ws: ws, watches: map[string]bool{}}
	defer func() {
		n.mu.Lock()
		delete(n.peers, p)
		n.mu.Unlock()
		_ = ws.CloseNow() // the other side has left
	}()
	for {
		_, b, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		var f messages.ClientFrame
		if err := f.UnmarshalVT(b); err != nil {
			n.t.Error(err)
			return
		}
		n.mu.Lock()
		n.handle(p, &f)
		n.mu.Unlock()
	}
}

func (n *fakeNode) handle(p *peer, f *messages.ClientFrame) {
	switch x := f.Frame.(type) {
	case *messages.ClientFrame_Hello:
		p.user = x.Hello.Token // the test's tokens are the users' names
		n.peers[p] = true
		n.send(p, &messages.ServerFrame{Frame: &messages.ServerFrame_Welcome{Welcome: &messages.Welcome{Session: "s-" + p.user + x.Hello.Endpoint}}})
	case *messages.ClientFrame_Watch:
		var items []*messages.PresenceItem
		for _, u := range x.Watch.Add {
			p.watches[u] = true
			items = append(items, n.state(u))
		}
		n.send(p, &messages.ServerFrame{Id: f.Id, Frame: &messages.ServerFrame_Done{Done: &messages.Done{Watching: uint32(len(p.watches))}}})
		n.batch(p, items)
	case *messages.ClientFrame_Publish:
		n.publish(p, f.Id, x.Publish)
	}
}

func (n *fakeNode) state(user string) *messages.PresenceItem {
	if n.states[user] == nil {
		n.states[user] = &messages.PresenceItem{User: user, Version: 1, Availability: "Offline"}
	}
	return n.states[user]
}

func (n *fakeNode) publish(p *peer, id uint64, s *messages.SourcePublish) {
	n.published++
	if n.refuse != nil && n.refuse(n.published) {
		n.send(p, &messages.ServerFrame{Id: id, Frame: &messages.ServerFrame_Error{Error: &messages.Failure{Code: "publish_rate"}}})
		return
	}
	n.version += 10
	n.states[p.user] = &messages.PresenceItem{User: p.user, Version: 100 + n.version, Availability: s.Availability}
	for q := range n.peers {
		if !q.watches[p.user] {
			continue
		}
		items := []*messages.PresenceItem{n.states[p.user]}
		if n.sent++; n.faulty != nil {
			items = n.faulty(n.sent, items[0])
		}
		for _, it := range items {
			n.batch(q, []*messages.PresenceItem{it})
		}
	}
	if n.mute == nil || !n.mute(n.published) {
		n.send(p, &messages.ServerFrame{Id: id, Frame: &messages.ServerFrame_Done{Done: &messages.Done{Version: 100 + n.version}}})
	}
}

func (n *fakeNode) batch(p *peer, items []*messages.PresenceItem) {
	if len(items) > 0 {
		p.seq++
		n.send(p, &messages.ServerFrame{Frame: &messages.ServerFrame_Batch{Batch: &messages.Batch{Seq: p.seq, Items: items}}})
	}
}

func (n *fakeNode) send(p *peer, f *messages.ServerFrame) {
	b, err := f.MarshalVT()
	if err != nil {
		n.t.Error(err)
	}
	_ = p.ws.Write(context.Background(), websocket.MessageBinary, b) // it may have left
}
