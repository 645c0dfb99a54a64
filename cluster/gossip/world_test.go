package gossip

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand" // the one whose dice memberlist throws
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/cluster/topology"
)

var seedFlag = flag.Uint64("gossip.seed", 0, "run the simulations with this seed only")

func seedsOf(list ...uint64) []uint64 {
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	return list
}

// simulate runs a test in virtual time, once for each seed. The seed fixes what
// the network does and memberlist's dice. The order of what happens at the same
// moment is the scheduler's: a run with the same seed is mostly the same, and
// less so with the race detector, which shuffles that order.
func simulate(t *testing.T, seeds []uint64, members int, test func(*world)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // fewer orders
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			wall := time.Now()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("again: go test ./cluster/gossip -run '%s' -gossip.seed=%d", strings.Split(t.Name(), "/")[0], seed)
				}
				t.Logf("wall time %v", time.Since(wall).Round(time.Millisecond))
			})
			synctest.Test(t, func(t *testing.T) {
				rand.Seed(int64(seed)) //nolint:staticcheck // see the go:debug line
				w := &world{T: t, wires: newWires(seed), nodes: map[string]*node{}}
				w.wires.delay = 20 * time.Millisecond
				for i := range members {
					w.start(i, 1)
				}
				test(w)
				w.close()
			})
		})
	}
}

// world is a cluster in virtual time.
type world struct {
	*testing.T
	wires *wires
	nodes map[string]*node // by the names of their processes
}

// node is a member and what it was told.
type node struct {
	*Gossip
	member topology.Member
	wire   string
	down   bool

	mu    sync.Mutex
	lists [][]topology.Member
	times []time.Time
}

func (n *node) changed(list []topology.Member) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lists = append(n.lists, list)
	n.times = append(n.times, time.Now())
}

// ids are the members of the newest list.
func (n *node) ids() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.lists) == 0 {
		return nil
	}
	return idsOf(n.lists[len(n.lists)-1])
}

func idsOf(list []topology.Member) []string {
	var ids []string
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return ids
}

func (n *node) last() []topology.Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lists[len(n.lists)-1]
}

func testMember(number int, incarnation uint64) topology.Member {
	return topology.Member{
		ID: fmt.Sprintf("n%02d", number), Incarnation: incarnation, Addr: fmt.Sprintf("127.0.1.%d:8101", number+1),
		Zone: "z1", Roles: topology.Gateway | topology.Presence, Protocol: 1, URL: "http://127.0.0.1:8080",
	}
}

// start begins a process of a member. The first three are the seeds of all.
func (w *world) start(number int, incarnation uint64) *node {
	w.Helper()
	n := &node{member: testMember(number, incarnation)}
	p := w.wires.plug(number)
	n.wire = p.addr.String()
	var seeds []string
	for i := range 3 {
		if number != 0 || incarnation > 1 {
			seeds = append(seeds, fmt.Sprintf("127.0.1.%d:7946", i+1))
		}
	}
	// No two clocks go alike, so hardly anything happens at the same moment: its order would be the scheduler's.
	skewed := tuned
	skewed.seed = w.wires.seed<<8 | uint64(number)<<4 | incarnation
	skewed.probe += time.Duration(number*17+1) * time.Microsecond
	skewed.spread += time.Duration(number*13+5) * time.Microsecond
	time.Sleep(time.Duration(number*7919+1) * time.Microsecond)
	g, err := start(Config{
		Self: n.member, Cluster: "test", Bind: n.wire, Join: seeds, Log: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(), Now: time.Now, Changed: n.changed, Transport: p,
	}, skewed)
	if err != nil {
		w.Fatal(err)
	}
	n.Gossip = g
	w.nodes[n.member.Name()] = n
	return n
}

// kill ends a process as a kill -9 does.
func (w *world) kill(n *node) {
	w.wires.pull(n.wire)
	n.down = true
	if err := n.Close(); err != nil {
		w.Error(err)
	}
}

func (w *world) close() {
	for _, n := range w.nodes {
		if !n.down {
			w.kill(n)
		}
	}
	time.Sleep(10 * time.Second) // memberlist's last timers
}

func (w *world) live() []*node {
	var list []*node
	for _, n := range w.nodes {
		if !n.down {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b *node) int { return strings.Compare(a.member.ID, b.member.ID) })
	return list
}

// until waits until every live node names exactly these members, and returns the
// time until the first and the last one did.
func (w *world) until(within time.Duration, ids ...string) (first, last time.Duration) {
	w.Helper()
	return w.untilAt(w.live(), within, ids...)
}

func (w *world) untilAt(nodes []*node, within time.Duration, ids ...string) (first, last time.Duration) {
	w.Helper()
	began := time.Now()
	when := make([]time.Duration, len(nodes))
	for {
		all := true
		for i, n := range nodes {
			if when[i] == 0 && slices.Equal(n.ids(), ids) {
				when[i] = max(time.Since(began), 1)
			}
			all = all && when[i] != 0
		}
		if all {
			return slices.Min(when), slices.Max(when)
		}
		if time.Since(began) > within {
			for i, n := range nodes {
				if when[i] == 0 {
					w.Errorf("%s names %v after %v", n.member.ID, n.ids(), within)
				}
			}
			w.close()
			w.FailNow()
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// mark forgets the lists so far.
func (w *world) mark() {
	for _, n := range w.live() {
		n.mu.Lock()
		n.lists, n.times = n.lists[len(n.lists)-1:], n.times[len(n.times)-1:]
		n.mu.Unlock()
	}
}

func (w *world) node(number int) *node { return w.nodes[fmt.Sprintf("n%02d#1", number)] }

func (w *world) wiresOf(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, w.node(i).wire)
	}
	return list
}

func ids(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, testMember(i, 1).ID)
	}
	return list
}
