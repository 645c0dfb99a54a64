package cluster

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/wheel"
)

// network joins nodes of one process: messages are copied, in order between
// two, and take a millisecond.
type network struct {
	t     *testing.T
	mu    sync.Mutex
	nodes map[string]*testNode
	all   []*testNode // also those that were replaced
	dead  map[*testNode]bool
	cut   map[[2]string]bool
	wg    sync.WaitGroup
	done  chan struct{}

	number atomic.Uint64
	random *rand.Rand // nil: every message takes a millisecond
}

type testNode struct {
	*Node
	net   *network
	wheel *wheel.Wheel
	self  topology.Member
	pipes map[string]*pipe

	mu      sync.Mutex
	rows    rows
	told    []Change
	serving int
	block   chan struct{} // Yield waits for it
}

// inNetwork runs f with nodes in virtual time.
func inNetwork(t *testing.T, f func(t *testing.T, w *network)) {
	synctest.Test(t, func(t *testing.T) {
		w := &network{t: t, nodes: map[string]*testNode{}, cut: map[[2]string]bool{}, dead: map[*testNode]bool{}, done: make(chan struct{})}
		f(t, w)
		for _, n := range w.all {
			n.Close()
			n.wheel.Close()
		}
		close(w.done)
		w.wg.Wait()
		time.Sleep(3 * time.Second) // protoactor's throttle ends
	})
}

// add starts a node that is told of nobody yet.
func (w *network) add(id string, incarnation uint64) *testNode {
	n := &testNode{
		net: w, self: member(id), wheel: wheel.New(time.Millisecond, 256),
		pipes: map[string]*pipe{}, rows: rows{},
	}
	n.self.Incarnation = incarnation
	n.wheel.Start(w.t.Context())
	n.Node = NewNode(Config{
		Self: n.self, Joining: true, Log: slog.New(slog.DiscardHandler), Wheel: n.wheel, Now: time.Now,
		Registerer: prometheus.NewRegistry(),
		Spawn:      map[Kind]Spawn{UserKind: func(a Address, m *Mailbox) actor.Actor { return &counted{node: n, addr: a, box: m} }},
		Hooks: Hooks{
			Changed: func(c Change) { n.mu.Lock(); n.told = append(n.told, c); n.mu.Unlock() },
			Holds:   n.holds, Yield: n.yield,
			Control: func(_ string, m proto.Message, _ func(proto.Message)) {
				if _, ok := m.(*messages.Serving); ok {
					n.mu.Lock()
					n.serving++
					n.mu.Unlock()
				}
			},
		},
	})
	w.mu.Lock()
	if was := w.nodes[id]; was != nil { // its store outlives it
		was.mu.Lock()
		n.rows, was.rows = was.rows, rows{}
		was.mu.Unlock()
	}
	w.nodes[id] = n
	w.all = append(w.all, n)
	w.mu.Unlock()
	n.Connect(n)
	return n
}

// members tells nodes who is there; leaving ones have a trailing minus.
func (w *network) members(to string, ids ...string) {
	var list []topology.Member
	for _, id := range ids {
		name, leaving := strings.CutSuffix(id, "-")
		m := w.nodes[name].self
		m.Leaving = leaving
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b topology.Member) int { return strings.Compare(a.ID, b.ID) })
	for _, id := range strings.Fields(to) {
		w.nodes[id].know(list)
	}
}

// kill ends a process without a word: nothing that it does from now on reaches
// anybody.
func (w *network) kill(n *testNode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead[n] = true
}

func (n *testNode) Send(to string, r *messages.Routed) error {
	return n.post(to, &messages.Envelope{Routed: []*messages.Routed{r}})
}

func (n *testNode) Return(to string, r *messages.Routed) error {
	return n.post(to, &messages.Envelope{Returned: []*messages.Routed{r}})
}

func (n *testNode) Notify(to string, m *messages.Notify) error {
	return n.post(to, &messages.Envelope{Notifies: []*messages.Notify{m}})
}

var errNoPeer = errors.New("no member with this id")

func (n *testNode) post(to string, e *messages.Envelope) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.pipes[to]
	if p == nil {
		return errNoPeer
	}
	t := n.Table()
	e.Epoch, e.Table = t.Epoch, t.Hash()
	p.queue <- proto.Clone(e).(*messages.Envelope)
	return nil
}

// pipe is the way to one process of a peer. What is in it when the peer is given
// up comes back, except for what is on the wire.
type pipe struct {
	to    topology.Member
	queue chan *messages.Envelope
	end   chan struct{}
}

// know gives the node a list of members, and a pipe to each of them.
func (n *testNode) know(list []topology.Member) {
	var ended []*pipe
	n.mu.Lock()
	now := map[string]*pipe{}
	for _, m := range list {
		if m.ID == n.ID {
			continue
		}
		p := n.pipes[m.ID]
		if p == nil || p.to.Incarnation != m.Incarnation {
			p = &pipe{m, make(chan *messages.Envelope, 100_000), make(chan struct{})}
			n.net.wg.Go(func() { n.carry(p) })
		}
		now[m.ID] = p
	}
	for id, p := range n.pipes {
		if now[id] != p {
			ended = append(ended, p)
		}
	}
	n.pipes = now
	n.mu.Unlock()
	for _, p := range ended {
		close(p.end)
		for len(p.queue) > 0 {
			select {
			case e := <-p.queue:
				n.Undelivered(e.Routed)
			default:
			}
		}
	}
	n.SetMembers(list)
}

func (n *testNode) carry(p *pipe) {
	for {
		select {
		case e := <-p.queue:
			time.Sleep(n.net.latency())
			peer := n.net.meet(n, p)
			if peer == nil {
				continue
			}
			peer.Receive(n.ID, e)
		case <-p.end:
			return
		case <-n.net.done:
			return
		}
	}
}

// meet is the process behind a pipe. Like the real one it waits a while for a
// member that does not know the sender yet; nil is a loss.
func (w *network) meet(n *testNode, p *pipe) *testNode {
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		w.mu.Lock()
		peer, cut := w.nodes[p.to.ID], w.cut[[2]string{n.ID, p.to.ID}]
		dead := w.dead[n] || peer == nil || w.dead[peer] || peer.self.Incarnation != p.to.Incarnation
		w.mu.Unlock()
		if dead {
			return nil
		}
		select {
		case <-p.end:
			return nil
		case <-w.done:
			return nil
		default:
		}
		if m, ok := peer.Table().Member(n.ID); ok && m.Incarnation == n.self.Incarnation && !cut {
			return peer
		}
	}
	return nil
}

// part cuts nodes off from each other, until both are joined again.
func (w *network) part(a, b string, apart bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[[2]string{a, b}], w.cut[[2]string{b, a}] = apart, apart
}

func (w *network) latency() time.Duration {
	if w.random == nil {
		return time.Millisecond
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d := time.Duration(w.random.IntN(2000)) * time.Microsecond
	if w.random.IntN(50) == 0 {
		d += time.Duration(w.random.IntN(100)) * time.Millisecond
	}
	return d
}

// settled waits until no node has anything to hand over or to wait for.
func (w *network) settled(ids ...string) {
	w.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		ok := true
		for _, id := range ids {
			n := w.nodes[id]
			held := n.holds()
			for s := range held.All() {
				o, _ := n.Table().Owner(s)
				ok = ok && o.ID == id
			}
			ok = ok && n.Status().Settled
		}
		if ok {
			return
		}
		if time.Now().After(deadline) {
			for _, id := range ids {
				n := w.nodes[id]
				for to, p := range n.pipes {
					w.t.Logf("%s>%s: %d queued", id, to, len(p.queue))
				}
				w.t.Logf("%s: %+v, epoch %d, waiting %d, relayed %v, resent %v, misrouted %v, dropped %v", id, n.shards.count(),
					n.Table().Epoch, n.Waiting(), counter(n.metrics.relayed), counter(n.metrics.resent), counter(n.metrics.misrouted), counter(n.metrics.dropped))
			}
			w.t.Fatal("never settled")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
