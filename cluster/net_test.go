package cluster

import (
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
	deaf  bool // nodes do not notice who does not answer

	stored map[Address]map[uint64]bool // what any node has stored, which all can read
	rested map[Address]map[uint64]bool // what passive actors knew
	wg     sync.WaitGroup
	done   chan struct{}

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
	told    []Change
	serving atomic.Int64
	handled atomic.Int64 // publishes
	doubts  []string
	loose   int           // calls of Unsettled
	block   chan struct{} // Yield waits for it
}

// inNetwork runs f with nodes in virtual time.
func inNetwork(t *testing.T, f func(t *testing.T, w *network)) {
	synctest.Test(t, func(t *testing.T) {
		w := &network{t: t, nodes: map[string]*testNode{}, cut: map[[2]string]bool{}, dead: map[*testNode]bool{}, done: make(chan struct{})}
		w.stored, w.rested = map[Address]map[uint64]bool{}, map[Address]map[uint64]bool{}
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
		pipes: map[string]*pipe{},
	}
	n.self.Incarnation = incarnation
	n.wheel.Start(w.t.Context())
	n.Node = NewNode(Config{
		Self: n.self, Joining: true, Log: slog.New(slog.DiscardHandler), Wheel: n.wheel, Now: time.Now,
		Registerer: prometheus.NewRegistry(),
		Spawn:      map[Kind]Spawn{UserKind: func(a Address, m *Mailbox) actor.Actor { return newCounted(n, a, m) }},
		Hooks: Hooks{
			Changed: func(c Change) { n.mu.Lock(); n.told = append(n.told, c); n.mu.Unlock() },
			Suspected: func(id string, is bool) {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.doubts = append(n.doubts, map[bool]string{true: "+", false: "-"}[is]+id)
			},
			Unsettled: func(uint16) { n.mu.Lock(); n.loose++; n.mu.Unlock() },
			Yield:     n.yield,
			Control: func(_ string, m proto.Message, _ func(proto.Message)) {
				if _, ok := m.(*messages.Serving); ok {
					n.serving.Add(1)
				}
			},
		},
	})
	w.mu.Lock()
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

// part cuts nodes off from each other, until both are joined again.
func (w *network) part(a, b string, apart bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[[2]string{a, b}], w.cut[[2]string{b, a}] = apart, apart
}

// settled waits until no node has anything to hand over or to wait for.
func (w *network) settled(ids ...string) {
	w.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		ok := true
		for _, id := range ids {
			ok = ok && w.nodes[id].Status().Settled
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
