package copies

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"rollcall/cluster/topology"
	"rollcall/persistence"
	"rollcall/persistence/memory"
	"rollcall/presence"
	"rollcall/wheel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network joins nodes in this process. Every message is encoded, and arrives
// in order after a millisecond, unless the way is cut.
type network struct {
	t       testing.TB
	running sync.WaitGroup
	delay   time.Duration

	mu    sync.Mutex
	nodes map[string]*node
	links map[[2]string]chan letter
	cut   map[[2]string]bool
	bytes int
}

type letter struct {
	at  time.Time
	msg proto.Message // of the type
	b   []byte
}

// node is one process.
type node struct {
	*Copies
	net    *network
	store  uint64
	member topology.Member
	disk   Disk
	wheel  *wheel.Wheel

	mu     sync.Mutex
	merged []persistence.Commit
}

func newNetwork(t testing.TB) *network {
	clock.Lock()
	clock.Clock = presence.Clock{} // virtual time begins anew with each test
	clock.Unlock()
	n := &network{t: t, delay: time.Millisecond, nodes: map[string]*node{}, links: map[[2]string]chan letter{}, cut: map[[2]string]bool{}}
	return n
}

// close ends all nodes, then the ways between them.
func (n *network) close() {
	n.mu.Lock()
	nodes := n.nodes
	n.nodes = map[string]*node{}
	n.mu.Unlock()
	for _, one := range nodes {
		one.stop()
	}
	n.mu.Lock()
	for _, link := range n.links {
		close(link)
	}
	n.links = nil
	n.mu.Unlock()
	n.running.Wait()
}

func (n *network) send(from, to string, m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.links == nil || n.nodes[to] == nil || n.cut[[2]string{from, to}] {
		return nil // lost, as on a real network
	}
	n.bytes += len(b)
	way := [2]string{from, to}
	link, ok := n.links[way]
	if !ok {
		link = make(chan letter, 100_000)
		n.links[way] = link
		n.running.Go(func() { n.carry(way, link) })
	}
	link <- letter{time.Now().Add(n.delay), m, b}
	return nil
}

func (n *network) carry(way [2]string, link chan letter) {
	for l := range link {
		if n.delay > 0 {
			time.Sleep(time.Until(l.at))
		}
		n.mu.Lock()
		to := n.nodes[way[1]]
		if n.cut[way] {
			to = nil
		}
		n.mu.Unlock()
		if to == nil {
			continue
		}
		m := l.msg.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(l.b, m); err != nil {
			n.t.Error(err)
		}
		if !to.Receive(way[0], m) {
			n.t.Errorf("%T was not taken", m)
		}
	}
}

// sever cuts both ways between a node and all others, or mends them.
func (n *network) sever(id string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for other := range n.nodes {
		n.cut[[2]string{id, other}], n.cut[[2]string{other, id}] = cut, cut
	}
}

func (n *network) block(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{from, to}] = cut
}

func newDisk(store uint64) *memory.Store { return memory.New(store, nil) }

func setLow(d Disk, low bool) { d.(*memory.Store).SetWritable(!low) }

func idOfStore(store uint64) string { return "n" + strconv.FormatUint(store, 36) }

// start begins a process of a node over a disk. It is told of no other.
func (n *network) start(store uint64, disk Disk, c Config) *node {
	n.t.Helper()
	w := wheel.New(0, 0)
	w.Start(n.t.Context())
	one := &node{
		net: n, store: store, disk: disk, wheel: w,
		member: topology.Member{
			ID: idOfStore(store), Incarnation: uint64(time.Now().UnixMilli()),
			Roles: topology.Presence, Protocol: 1,
		},
	}
	c.Disk, c.Node, c.Self, c.Wheel, c.Now = disk, store, one.member, w, time.Now
	var err error
	if one.Copies, err = New(c); err != nil {
		n.t.Fatal(err)
	}
	one.Start(func(to string, m proto.Message) error { return n.send(one.member.ID, to, m) },
		func(cm persistence.Commit) {
			one.mu.Lock()
			defer one.mu.Unlock()
			if len(one.merged) < 1000 {
				one.merged = append(one.merged, cm)
			}
		})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[one.member.ID] = one
	return one
}

// kill ends a process; its disk stays.
func (n *network) kill(one *node) {
	n.mu.Lock()
	delete(n.nodes, one.member.ID)
	n.mu.Unlock()
	one.stop()
}

func (one *node) stop() {
	one.Copies.Close()
	one.wheel.Close()
}

// meet tells all nodes of each other.
func (n *network) meet() *topology.Table {
	n.mu.Lock()
	var list []topology.Member
	nodes := make([]*node, 0, len(n.nodes))
	for _, one := range n.nodes {
		list = append(list, one.member)
		nodes = append(nodes, one)
	}
	n.mu.Unlock()
	t := topology.NewTable(1, list)
	for _, one := range nodes {
		one.SetTable(t)
	}
	return t
}

// owner is the node that a user belongs to.
func (n *network) owner(t *topology.Table, u presence.UserID) *node {
	m, _ := t.Owner(u.Shard())
	return n.nodes[m.ID]
}

// holders are the nodes that are to hold a user, its owner first.
func (n *network) holders(t *topology.Table, u presence.UserID) (set []*node) {
	for _, m := range t.ReplicaSet(u.Shard()) {
		set = append(set, n.nodes[m.ID])
	}
	return set
}

func userN(n int) presence.UserID {
	var t presence.TenantID
	t[0], t[15] = 1, 1
	return presence.UserID{Tenant: t, MRI: fmt.Sprintf("8:user-%d", n)}
}

var clock struct {
	sync.Mutex
	presence.Clock
}

// note is a commit that puts a note on a user.
func note(u presence.UserID, text string) persistence.Commit {
	clock.Lock()
	v := clock.Next(time.Now())
	clock.Unlock()
	n := presence.Note{Content: text, Published: time.Now().UnixMilli()}
	return persistence.Commit{
		User: u, Version: v, State: presence.State{Availability: presence.Available, Activity: presence.ActAvailable, Note: n},
		Elements: []presence.Element{{Key: presence.NoteKey, Stamp: presence.Stamp{Version: v, Node: 1}, Value: n}},
	}
}

// commit waits for the end of a commit.
func (one *node) commit(cm persistence.Commit) (copies int, err error) {
	done := make(chan struct{})
	one.Commit(cm, true, func(n int, e error) {
		copies, err = n, e
		close(done)
	})
	<-done
	return copies, err
}

func (one *node) load(u presence.UserID) (l persistence.Loaded, err error) {
	done := make(chan struct{})
	one.Load(u, func(got persistence.Loaded, e error) {
		l, err = got, e
		close(done)
	})
	<-done
	return l, err
}

// text is the note of a user on a node's disk.
func (one *node) text(u presence.UserID) string {
	cm, _, err := one.disk.Copy(u)
	if err != nil {
		one.net.t.Fatal(err)
	}
	for _, e := range cm.Elements {
		if n, ok := e.Value.(presence.Note); ok {
			return n.Content
		}
	}
	return ""
}

// until waits, in virtual time, for a condition.
func until(t testing.TB, most time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > most {
			t.Fatalf("not within %v: %s", most, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begin)
}

// settled waits until every node has all that the others have.
func (n *network) settled(most time.Duration) time.Duration {
	n.t.Helper()
	return until(n.t, most, "all nodes are settled", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, one := range n.nodes {
			if s := one.Status(); s.Unsettled > 0 || s.Untold > 0 || s.Pulls > 0 || s.Extra > 0 {
				return false
			}
		}
		return true
	})
}

// alike fails where the holders of users differ, or others have something.
func (n *network) alike(t *topology.Table, users []presence.UserID) {
	n.t.Helper()
	for _, u := range users {
		set := n.holders(t, u)
		want, _, err := set[0].disk.Copy(u)
		if err != nil {
			n.t.Fatal(err)
		}
		for _, one := range n.nodes {
			got, found, err := one.disk.Copy(u)
			switch {
			case err != nil:
				n.t.Fatal(err)
			case !slices.Contains(set, one):
				if found {
					n.t.Errorf("%s has %s, which is not its", one.member.ID, u)
				}
			case got.Version != want.Version || len(got.Elements) != len(want.Elements):
				n.t.Errorf("%s has %+v of %s, its owner %+v", one.member.ID, got, u, want)
			}
		}
	}
}

// play runs a test in virtual time.
func play(t *testing.T, f func(t *testing.T, n *network)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		f(t, n)
	})
}
