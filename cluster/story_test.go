package cluster

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/cluster/topology"
	"rollcall/presence"
)

// story is a cluster that things happen to at random, under load. What it does
// follows from the seed.
type story struct {
	*network
	calm bool // nodes join and leave and nothing else happens
	r    *rand.Rand

	views  sync.Mutex
	truth  map[string]topology.Member // who is a member, as soon as everybody has heard
	unseen map[[2]string]bool         // viewer, member: falsely taken for dead
	born   uint64

	writers sync.WaitGroup
	over    chan struct{}
	mu      sync.Mutex
	acked   map[presence.UserID][]uint64
	failed  map[string]int
	errors  atomic.Int32
}

const cast = 40 // users

// stories runs a test with seeds that their names hold; ROLLCALL_SEED plays one
// again, ROLLCALL_STORIES is how many there are.
func stories(t *testing.T, calm bool, events int) {
	times, err := strconv.Atoi(os.Getenv("ROLLCALL_STORIES"))
	if err != nil {
		times = 1
	}
	for range times {
		seed := rand.Uint64()
		if s, err := strconv.ParseUint(os.Getenv("ROLLCALL_SEED"), 10, 64); err == nil {
			seed, times = s, 1
		}
		t.Run("ROLLCALL_SEED="+strconv.FormatUint(seed, 10), func(t *testing.T) {
			inNetwork(t, func(t *testing.T, w *network) {
				w.random = rand.New(rand.NewPCG(seed, 2))
				s := &story{
					network: w, calm: calm, r: rand.New(rand.NewPCG(seed, 1)), over: make(chan struct{}),
					truth: map[string]topology.Member{}, unseen: map[[2]string]bool{},
					acked: map[presence.UserID][]uint64{}, failed: map[string]int{},
				}
				s.run(events)
			})
		})
		if times == 1 {
			return
		}
	}
}

// Nodes that join and leave, two at once and before the last has settled: every
// shard is served by one node all the time, and nothing is forgotten.
func TestAnyJoinsAndLeaves(t *testing.T) { stories(t, true, 12) }

// Nodes that are killed, come back, are taken for dead falsely, stand still, are
// cut off from others in one or both directions, join and leave: in the end everybody agrees and nothing that was
// acknowledged is missing.
func TestAnyFaults(t *testing.T) { stories(t, false, 25) }

func (s *story) run(events int) {
	for _, id := range []string{"a", "b", "c"} {
		s.join(id)
	}
	time.Sleep(time.Second)
	s.settled("a", "b", "c")
	for i := range uint64(6) {
		r := rand.New(rand.NewPCG(s.r.Uint64(), i))
		s.writers.Go(func() { s.write(r) })
	}
	if s.calm {
		s.writers.Go(s.watch)
	}
	for range events {
		s.happen()
		time.Sleep(time.Duration(s.r.IntN(1500)) * time.Millisecond)
	}
	s.quiet()
	close(s.over)
	s.writers.Wait()
	s.check()
}

func (s *story) happen() {
	up := slices.Sorted(maps.Keys(s.members()))
	var down []string
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		if !slices.Contains(up, id) {
			down = append(down, id)
		}
	}
	kinds := 7
	if s.calm {
		kinds = 2
	}
	if len(up) == 0 {
		return
	}
	one := up[s.r.IntN(len(up))]
	switch s.r.IntN(kinds) {
	case 0:
		if len(down) > 0 {
			s.join(down[s.r.IntN(len(down))])
		}
	case 1:
		if s.staying() > 2 {
			s.leave(one)
		}
	case 2:
		if s.staying() > 2 {
			s.die(one)
		}
	case 3:
		other := up[s.r.IntN(len(up))]
		if other == one {
			return
		}
		pair, back := [2]string{one, other}, time.Duration(s.r.IntN(4000))*time.Millisecond
		s.see(func() { s.unseen[pair] = true })
		s.writers.Go(func() {
			time.Sleep(back)
			s.see(func() { delete(s.unseen, pair) })
		})
	case 4, 5:
		if other := up[s.r.IntN(len(up))]; other != one {
			s.cutOff(one, other)
		}
	case 6: // it stands still
		s.cutOff(one, slices.DeleteFunc(up, func(id string) bool { return id == one })...)
	}
}

// cutOff cuts ways from and to nodes for up to four seconds.
func (s *story) cutOff(one string, others ...string) {
	ways := [][2]string{}
	both := s.r.IntN(2) == 0 || len(others) > 1
	for _, other := range others {
		ways = append(ways, [2]string{one, other})
		if both {
			ways = append(ways, [2]string{other, one})
		}
	}
	set := func(cut bool) {
		s.network.mu.Lock()
		defer s.network.mu.Unlock()
		for _, w := range ways {
			s.cut[w] = cut
		}
	}
	back := time.Duration(s.r.IntN(4000)) * time.Millisecond
	set(true)
	s.writers.Go(func() {
		time.Sleep(back)
		set(false)
	})
}

func (s *story) staying() (n int) {
	for id, m := range s.members() {
		if !m.Leaving && s.alive(s.node(id)) {
			n++
		}
	}
	return n
}

func (s *story) see(f func()) {
	s.views.Lock()
	defer s.views.Unlock()
	f()
}

func (s *story) members() (all map[string]topology.Member) {
	s.see(func() { all = maps.Clone(s.truth) })
	return all
}

// join starts a process, with what an earlier one of this id has stored.
func (s *story) join(id string) {
	s.born++
	n := s.add(id, s.born)
	s.see(func() { s.truth[id] = n.self })
	delay := rand.New(rand.NewPCG(s.r.Uint64(), 3))
	s.writers.Go(func() {
		for s.alive(n) {
			time.Sleep(time.Duration(delay.IntN(400)) * time.Millisecond)
			if list := s.view(n); s.alive(n) && len(list) > 0 {
				n.know(list)
			}
			select {
			case <-s.over:
				return
			default:
			}
		}
	})
}

func (s *story) view(n *testNode) (list []topology.Member) {
	s.see(func() {
		if m, ok := s.truth[n.ID]; !ok || m.Incarnation != n.self.Incarnation {
			return
		}
		for _, id := range slices.Sorted(maps.Keys(s.truth)) {
			if !s.unseen[[2]string{n.ID, id}] {
				list = append(list, s.truth[id])
			}
		}
	})
	return list
}

func (s *story) alive(n *testNode) bool {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	return !s.dead[n]
}

func (s *story) node(id string) *testNode {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	return s.nodes[id]
}

// leave hands over and goes; one in the calm waits until it may.
func (s *story) leave(id string) {
	n := s.node(id)
	s.see(func() {
		m := s.truth[id]
		m.Leaving = true
		s.truth[id] = m
	})
	s.writers.Go(func() {
		for range 60 {
			time.Sleep(500 * time.Millisecond)
			if t, st := n.Table(), n.Status(); t.Shards(id) == 0 && st.Settled {
				break
			}
			if !s.alive(n) {
				return
			}
		}
		s.gone(n)
	})
}

func (s *story) gone(n *testNode) {
	s.see(func() {
		if s.truth[n.ID].Incarnation == n.self.Incarnation {
			delete(s.truth, n.ID)
		}
	})
	s.kill(n)
}

func (s *story) die(id string) {
	n := s.node(id)
	s.kill(n)
	known := time.Duration(1000+s.r.IntN(1500)) * time.Millisecond
	s.writers.Go(func() {
		time.Sleep(known)
		s.see(func() {
			if s.truth[id].Incarnation == n.self.Incarnation {
				delete(s.truth, id)
			}
		})
	})
}

// write publishes through whoever is there.
func (s *story) write(r *rand.Rand) {
	const timeout = 8 * time.Second
	for {
		select {
		case <-s.over:
			return
		case <-time.After(time.Duration(r.IntN(20)) * time.Millisecond):
		}
		up := slices.Sorted(maps.Keys(s.members()))
		if len(up) == 0 {
			continue
		}
		n, u, id := s.node(up[r.IntN(len(up))]), userN(r.IntN(cast)), s.number.Add(1)
		if len(n.Table().Members) == 0 {
			continue
		}
		s.mu.Lock()
		before := len(s.acked[u])
		s.mu.Unlock()
		at := time.Now()
		node, count, err := n.publish(u, id, timeout)
		if took := time.Since(at); took > timeout+50*time.Millisecond {
			s.t.Errorf("a publish with a timeout of %v ended after %v, %v", timeout, took, err)
		}
		if !s.alive(n) {
			continue
		}
		s.mu.Lock()
		switch {
		case err != nil && s.calm:
			if s.errors.Add(1) < 5 {
				s.t.Errorf("%v: a publish through %s: %v", time.Since(at), n.ID, err)
			}
			if s.errors.Load() == 1 {
				s.explain(u.Shard())
			}
		case err != nil:
			s.failed[err.Error()]++
		default:
			s.acked[u] = append(s.acked[u], id)
			if s.calm && count <= before && s.errors.Add(1) < 5 {
				s.t.Errorf("%s knows %d publishes of a user (shard %d), %d had been acknowledged", node, count, u.Shard(), before)
			}
		}
		s.mu.Unlock()
	}
}

// watch sees to it that no shard is served by two nodes.
func (s *story) watch() {
	for {
		select {
		case <-s.over:
			return
		case <-time.After(20 * time.Millisecond):
		}
		var seen topology.Set
		var shared uint16
		twice := 0
		for id := range s.members() {
			n := s.node(id)
			d := n.shards.delivering()
			for shard := range d.All() {
				if seen.Has(shard) {
					twice++
					shared = shard
				}
				seen.Add(shard)
			}
		}
		if twice > 0 {
			s.t.Errorf("%d shards are served by two nodes", twice)
			s.explain(shared)
			return
		}
	}
}
