package peers

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/wheel"
)

// fakeNet carries frames between Peers of one test, in virtual time. As gRPC
// does, a connection is made for the first frame and is tried for as long as the
// other side cannot be reached; what it carries keeps its order, and is lost
// with it.
type fakeNet struct {
	t     *testing.T
	ctx   context.Context
	delay time.Duration

	mu      sync.Mutex
	nodes   map[string]*fakeNode
	conns   map[[2]string]*fakeConn
	down    map[[2]string]bool // from, to: connections cannot be made
	swallow map[[2]string]bool // from, to: what is sent does not arrive, and nobody notices
	hang    map[[2]string]bool // from, to: what is sent waits
	running sync.WaitGroup
}

type fakeConn struct {
	net     *fakeNet
	from    *fakeNode
	to      string
	frames  chan []byte
	end     context.CancelFunc
	carried int
}

// fakeNode is a node and what it has received.
type fakeNode struct {
	*Peers
	net    *fakeNet
	member topology.Member
	log    syncBuffer

	mu sync.Mutex
	received
}

// received is what a node's hooks were called with.
type received struct {
	got         map[string][]uint64 // ReplyIds by sender
	back        map[string][]uint64
	states      []*messages.Notify
	lost        []string
	doubts      []doubt
	undelivered []uint64
	arrivals    []time.Time
}

// doubt is one call of the hook Suspect.
type doubt struct {
	id        string
	suspected bool
	at        time.Time
}

func (f *fakeNode) seen() received {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.received
	r.got, r.back = maps.Clone(r.got), maps.Clone(r.back)
	return r
}

func newFakeNet(t *testing.T, ids ...string) (*fakeNet, []*fakeNode) {
	ctx, cancel := context.WithCancel(t.Context())
	n := &fakeNet{
		t: t, ctx: ctx, delay: time.Millisecond, nodes: map[string]*fakeNode{},
		conns: map[[2]string]*fakeConn{}, down: map[[2]string]bool{}, swallow: map[[2]string]bool{}, hang: map[[2]string]bool{},
	}
	t.Cleanup(func() {
		cancel()
		n.running.Wait()
	})
	var all []*fakeNode
	for _, id := range ids {
		all = append(all, n.start(id, 1))
	}
	return n, all
}

func (n *fakeNet) start(id string, incarnation uint64) *fakeNode {
	w := wheel.New(time.Millisecond, 1024)
	w.Start(n.ctx)
	f := &fakeNode{
		net: n, received: received{got: map[string][]uint64{}, back: map[string][]uint64{}},
		member: topology.Member{ID: id, Incarnation: incarnation, Addr: id + ":1", Roles: topology.Presence},
	}
	f.Peers = newPeers(Config{
		Cluster: "test", Self: f.member, Wheel: w, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(&f.log, nil)),
		Hooks: Hooks{
			Header: func() (uint64, uint64) { return 1, 2 }, Receive: f.receive,
			Lost: func(id string) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.lost = append(f.lost, id)
			},
			Suspect: func(id string, suspected bool) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.doubts = append(f.doubts, doubt{id, suspected, time.Now()})
			},
			Undelivered: func(_ string, queued []*messages.Routed) {
				f.mu.Lock()
				defer f.mu.Unlock()
				for _, r := range queued {
					f.undelivered = append(f.undelivered, r.ReplyId)
				}
			},
		},
	})
	f.wire = wire{
		deliver: func(addr string, fr *messages.Frame) { n.deliver(f, addr, fr) },
		cut:     func(addr string) { n.cut(f, addr) },
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[f.member.Addr] = f
	n.t.Cleanup(func() {
		f.Close()
		w.Close()
	})
	return f
}

func (f *fakeNode) receive(from string, e *messages.Envelope) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range e.Routed {
		f.got[from] = append(f.got[from], r.ReplyId)
		f.arrivals = append(f.arrivals, time.Now())
	}
	for _, r := range e.Returned {
		f.back[from] = append(f.back[from], r.ReplyId)
	}
	f.states = append(f.states, e.Notifies...)
}

func (f *fakeNode) numbers(from string) []uint64 {
	return f.seen().got[from]
}

func know(f *fakeNode, others ...*fakeNode) {
	list := []topology.Member{f.member}
	for _, o := range others {
		list = append(list, o.member)
	}
	f.SetMembers(list)
}

func knowAll(all ...*fakeNode) {
	for _, f := range all {
		know(f, slices.DeleteFunc(slices.Clone(all), func(o *fakeNode) bool { return o == f })...)
	}
}

func (n *fakeNet) deliver(from *fakeNode, to string, f *messages.Frame) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := [2]string{from.member.Addr, to}
	c := n.conns[key]
	if c == nil {
		ctx, end := context.WithCancel(n.ctx)
		c = &fakeConn{net: n, from: from, to: to, frames: make(chan []byte, 10_000), end: end}
		n.conns[key] = c
		n.running.Go(func() { c.run(ctx) })
	}
	c.carried++
	c.frames <- slices.Clone(f.Envelope)
}

// cut breaks a connection, as seen by the one who made it.
func (n *fakeNet) cut(from *fakeNode, to string) {
	n.mu.Lock()
	key := [2]string{from.member.Addr, to}
	c := n.conns[key]
	delete(n.conns, key)
	n.mu.Unlock()
	if c == nil {
		return
	}
	c.end()
	if p := from.roster.Load().byAddr[to]; p != nil {
		p.out.broken()
	}
}

func (n *fakeNet) is(m map[[2]string]bool, from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return m[[2]string{from, to}]
}

func (n *fakeNet) set(m map[[2]string]bool, from, to *fakeNode, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m[[2]string{from.member.Addr, to.member.Addr}] = on
}

func (c *fakeConn) run(ctx context.Context) {
	n, from := c.net, c.from.member.Addr
	for n.is(n.down, from, c.to) {
		if !pause(ctx, 10*time.Millisecond) {
			return
		}
	}
	if !pause(ctx, n.delay) {
		return
	}
	if p := c.from.roster.Load().byAddr[c.to]; p != nil {
		p.out.opened()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-c.frames:
			for wait := n.delay; wait > 0 || n.is(n.hang, from, c.to); wait = 0 {
				if !pause(ctx, max(wait, time.Millisecond)) {
					return
				}
			}
			n.mu.Lock()
			to := n.nodes[c.to]
			n.mu.Unlock()
			if !n.is(n.swallow, from, c.to) {
				to.Peers.receive(b)
			}
		}
	}
}

// sleep lets virtual time pass, and everything that is due by then happen.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func send(t *testing.T, from, to *fakeNode, first, n uint64) {
	t.Helper()
	for i := range n {
		r := &messages.Routed{Actor: "user/x", Type: "t", Body: make([]byte, 50), ReplyId: first + i}
		if err := from.Send(to.member.ID, r); err != nil {
			t.Fatal(err)
		}
	}
}

func inOrder(numbers []uint64, first, n uint64) bool {
	if uint64(len(numbers)) != n {
		return false
	}
	for i, x := range numbers {
		if x != first+uint64(i) {
			return false
		}
	}
	return true
}

func value(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return -1
	}
	return m.GetCounter().GetValue()
}

func (f *fakeNode) refusals(reason string) float64 {
	return value(f.metrics.refusals.WithLabelValues(reason))
}

func peerStatus(f *fakeNode, id string) Status {
	for _, s := range f.Status() {
		if s.ID == id {
			return s
		}
	}
	return Status{}
}

func flightBytes(f *fakeNode, id string) int {
	o := f.roster.Load().byID[id].out
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flightBytes
}
