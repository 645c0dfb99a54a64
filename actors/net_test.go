package actors

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"rollcall/cluster/topology"
	"rollcall/copies"
	"rollcall/messages"
	"rollcall/persistence/memory"
	"rollcall/presence"
	"rollcall/trouter"
	"rollcall/wheel"
)

// network joins several nodes of one process, in virtual time. A message takes
// a millisecond and keeps its place among those between the same two.
type network struct {
	t  *testing.T
	wg sync.WaitGroup

	mu    sync.Mutex
	nodes map[string]*peerNode
	down  map[string]bool
	lose  func(from, to string, e *messages.Envelope) bool
	done  chan struct{}
}

type peerNode struct {
	*world
	net    *network
	id     string
	self   topology.Member
	store  *memory.Store
	copies *copies.Copies

	mu    sync.Mutex
	pipes map[string]chan *messages.Envelope
}

// inNetwork runs f with nodes in virtual time.
func inNetwork(t *testing.T, f func(t *testing.T, n *network)) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{t: t, nodes: map[string]*peerNode{}, down: map[string]bool{}, done: make(chan struct{})}
		f(t, n)
		for _, p := range n.nodes {
			p.System.Close()
			p.copies.Close()
			p.wheel.Close()
		}
		close(n.done)
		n.wg.Wait()
		time.Sleep(3 * time.Second) // protoactor's throttles end by themselves
	})
}

// add starts a process; it is told of nobody yet.
func (n *network) add(id string, incarnation uint64, store *memory.Store) *peerNode {
	if store == nil {
		store = memory.New(uint64(id[1]), time.Now)
	}
	p := &peerNode{
		net: n, id: id, store: store, pipes: map[string]chan *messages.Envelope{},
		world: &world{t: n.t, clock: &clock{}, reg: prometheus.NewRegistry(), wheel: wheel.New(10*time.Millisecond, 4096)},
	}
	p.self = self(id)
	p.self.Incarnation, p.self.Addr = incarnation, id+":1"
	p.wheel.Start(n.t.Context())
	own, err := copies.New(copies.Config{
		Disk: store, Node: uint64(id[1]), Self: p.self, Ack: 2, Min: 1, Wheel: p.wheel, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Registerer: p.reg,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	p.copies = own
	p.System, err = New(Config{
		Self: p.self, Joining: true, Seed: uint64(id[1]), Store: own, Copies: own, Log: slog.New(slog.DiscardHandler),
		Wheel: p.wheel, Now: time.Now, Registerer: p.reg, Limits: trouter.DefaultLimits,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	n.nodes[id] = p
	delete(n.down, id)
	n.mu.Unlock()
	p.Connect(p)
	return p
}

// start is a cluster of so many nodes, n1, n2, ..., that knows itself.
func (n *network) start(count int) []*peerNode {
	var list []*peerNode
	var ids []string
	for i := range count {
		id := fmt.Sprint("n", i+1)
		ids = append(ids, id)
		list = append(list, n.add(id, 1, nil))
	}
	n.members(ids...)
	n.settle()
	return list
}

// members tells all who live who is there; leaving ones have a trailing minus.
func (n *network) members(ids ...string) {
	var list []topology.Member
	for _, id := range ids {
		name, leaving := strings.CutSuffix(id, "-")
		m := n.nodes[name].self
		m.Leaving = leaving
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b topology.Member) int { return strings.Compare(a.ID, b.ID) })
	for _, m := range list {
		if !n.down[m.ID] {
			n.nodes[m.ID].SetMembers(list)
		}
	}
}

// settle waits until no shard is on its way.
func (n *network) settle() {
	n.t.Helper()
	for range 3000 {
		time.Sleep(20 * time.Millisecond)
		all := true
		for id, p := range n.nodes {
			all = all && (n.down[id] || p.Cluster().Settled)
		}
		if all {
			synctest.Wait()
			return
		}
	}
	n.t.Fatal("never settled")
}

// kill ends a process as far as others can tell.
func (n *network) kill(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down[id] = true
}

func (n *network) passes(from, to string, e *messages.Envelope) *peerNode {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down[from] || n.down[to] || n.lose != nil && n.lose(from, to, e) {
		return nil
	}
	return n.nodes[to]
}

// losing sets what is lost from now on.
func (n *network) losing(f func(from, to string, e *messages.Envelope) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose = f
}

var errNoPeer = errors.New("no such peer")

func (p *peerNode) Send(to string, r *messages.Routed) error {
	return p.post(to, &messages.Envelope{Routed: []*messages.Routed{r}})
}

func (p *peerNode) Return(to string, r *messages.Routed) error {
	return p.post(to, &messages.Envelope{Returned: []*messages.Routed{r}})
}

func (p *peerNode) Notify(to string, m *messages.Notify) error {
	return p.post(to, &messages.Envelope{Notifies: []*messages.Notify{m}})
}

func (p *peerNode) post(to string, e *messages.Envelope) error {
	if _, ok := p.Table().Member(to); !ok {
		return errNoPeer
	}
	e.Epoch, e.Table = p.Header()
	p.mu.Lock()
	defer p.mu.Unlock()
	pipe := p.pipes[to]
	if pipe == nil {
		pipe = make(chan *messages.Envelope, 100_000)
		p.pipes[to] = pipe
		p.net.wg.Go(func() { p.carry(to, pipe) })
	}
	pipe <- proto.Clone(e).(*messages.Envelope)
	return nil
}

func (p *peerNode) carry(to string, pipe chan *messages.Envelope) {
	for {
		select {
		case e := <-pipe:
			time.Sleep(time.Millisecond)
			if other := p.net.passes(p.id, to, e); other != nil {
				other.Receive(p.id, e)
			}
		case <-p.net.done:
			return
		}
	}
}

// userOn is a user that a node owns.
func (n *network) userOn(id, name string) presence.UserID {
	for _, p := range n.nodes {
		if n.down[p.id] || len(p.Table().Members) == 0 {
			continue
		}
		for i := 0; ; i++ {
			u := userAt(home, fmt.Sprint(name, i))
			if owner, _ := p.Table().Owner(u.Shard()); owner.ID == id {
				return u
			}
		}
	}
	n.t.Fatal("nobody knows the table")
	return presence.UserID{}
}
