package cluster

import (
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

// few is a number of users that the links of a test carry at once: they take a
// millisecond for each message.
const (
	few  = 30
	soon = 50 * time.Millisecond
)

// three starts nodes a, b and c that have all heard from each other, and lets
// every user of the crowd be known.
func three(w *network) (a, b, c *testNode) {
	a, b, c = w.add("a", 1), w.add("b", 1), w.add("c", 1)
	w.members("a b c", "a", "b", "c")
	w.settled("a", "b", "c")
	for _, n := range []*testNode{a, b, c} {
		w.everybody(n, soon)
	}
	return a, b, c
}

// everybody publishes for all of the crowd at once through a node and counts who
// answered; each answer must come in time.
func (w *network) everybody(n *testNode, within time.Duration) map[string]int {
	w.t.Helper()
	by := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := time.Now()
	for i := range few {
		wg.Go(func() {
			node, err := n.read(userN(i), 5*time.Second)
			if took := time.Since(start); err != nil || took > within {
				w.t.Errorf("a publish through %s for a user of %s was answered by %q after %v: %v", n.ID, n.owner(userN(i)), node, took, err)
			}
			mu.Lock()
			defer mu.Unlock()
			by[node]++
		})
	}
	wg.Wait()
	return by
}

func (n *testNode) owner(u presence.UserID) string {
	o, _ := n.Table().Owner(u.Shard())
	return o.ID
}

func (n *testNode) suspicions() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.doubts)
}

// After the death of a node its users are served by the next in the replica set
// at once, long before gossip knows.
func TestStandInForTheDead(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a, b, c := three(w)
		go func() {
			time.Sleep(5 * time.Millisecond)
			w.kill(c)
		}()
		time.Sleep(4500 * time.Microsecond)
		w.everybody(a, 2*soon)
		w.everybody(b, 2*soon)
		by := w.everybody(a, soon)
		if by["c"] != 0 || by["a"] < few/4 || by["b"] < few/4 {
			t.Errorf("answered by %v", by)
		}
		if got := a.Status(); got.StandingIn == 0 || !slices.Equal(got.Suspected, []string{"c"}) {
			t.Errorf("%d stand-ins, suspected %v", got.StandingIn, got.Suspected)
		}
		time.Sleep(5 * time.Second)
		w.members("a b", "a", "b")
		w.settled("a", "b")
		w.sum(t, "a")
		if got := a.Status(); got.StandingIn != 0 || len(got.Suspected) != 0 {
			t.Errorf("in the end %d stand-ins, suspected %v", got.StandingIn, got.Suspected)
		}
	})
}

// A node that stands still is passed by within a second; when it goes on it gets
// its shards back, with all that was done meanwhile.
func TestStandInForTheStopped(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a, b, c := three(w)
		w.part("a", "c", true)
		w.part("b", "c", true)
		w.everybody(a, 700*time.Millisecond)
		if by := w.everybody(b, soon); by["c"] != 0 {
			t.Errorf("answered by %v", by)
		}
		time.Sleep(3 * time.Second)
		w.part("a", "c", false)
		w.part("b", "c", false)
		w.settled("a", "b", "c")
		if got := w.sum(t, "c"); got != 5*few {
			t.Errorf("%d publishes are known where they belong, want %d", got, 5*few)
		}
		if c.loose == 0 || counter(a.metrics.standIns) == 0 || counter(b.metrics.standIns) == 0 {
			t.Errorf("%d shards were told to be unsettled, %v and %v stood in for", c.loose, counter(a.metrics.standIns), counter(b.metrics.standIns))
		}
		if got := a.suspicions(); !slices.Equal(got, []string{"+c", "-c"}) {
			t.Errorf("told of suspicions: %v", got)
		}
		if a.Status().Conflicts+b.Status().Conflicts != 0 {
			t.Error("what was stood in for counts as a conflict")
		}
	})
}

// What was on its way to a node that stood still, and has been answered by
// another, is not done when it arrives: it could undo what came after it. What is
// still wanted is.
func TestStuckMessagesAreNotHandledTwice(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a, b, c := three(w)
		w.part("a", "c", true)
		w.part("b", "c", true)
		w.everybody(a, 700*time.Millisecond)
		before := c.handled.Load()
		time.Sleep(time.Second)
		w.part("a", "c", false)
		w.part("b", "c", false)
		w.settled("a", "b", "c")
		if got := c.handled.Load() - before; got != 0 || counter(c.metrics.late) == 0 {
			t.Errorf("%d were handled again, %v were late", got, counter(c.metrics.late))
		}
		w.deaf = true // whoever waits goes on waiting
		u := userOf(t, func(u presence.UserID) bool { return a.owner(u) == "c" })
		w.part("a", "c", true)
		w.wg.Go(func() {
			time.Sleep(time.Second)
			w.part("a", "c", false)
		})
		if node, err := a.read(u, 5*time.Second); err != nil || node != "c" {
			t.Errorf("answered by %q, %v", node, err)
		}
		if a.Waiting()+b.Waiting()+c.Waiting() != 0 {
			t.Error("a call still waits")
		}
	})
}

// Between two nodes that are cut off from each other a third answers.
func TestBridge(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a, b, c := three(w)
		w.part("a", "c", true)
		w.everybody(a, 700*time.Millisecond)
		w.everybody(c, 700*time.Millisecond)
		for range 3 {
			if by := w.everybody(a, soon); by["c"] == 0 {
				t.Errorf("nothing came through: %v", by)
			}
			w.everybody(c, soon)
			w.everybody(b, soon)
		}
		if counter(b.metrics.standIns) != 0 || len(b.suspicions()) != 0 {
			t.Error("the one in the middle stands in")
		}
		w.part("a", "c", false)
		w.settled("a", "b", "c")
		if got := w.sum(t, "b"); got != 14*few {
			t.Errorf("%d publishes are known where they belong, want %d", got, 14*few)
		}
	})
}

// A cut of one direction is one of both.
func TestOneWayCut(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a, _, c := three(w)
		w.mu.Lock()
		w.cut[[2]string{"a", "c"}] = true
		w.mu.Unlock()
		w.everybody(a, 700*time.Millisecond)
		w.everybody(c, 700*time.Millisecond)
		changes := a.changes(time.Minute)
		w.everybody(c, soon)
		if changes > 0 {
			t.Errorf("%d changes of owner during a cut that lasts", changes)
		}
		w.part("a", "c", false)
		w.settled("a", "b", "c")
		w.sum(t, "a")
	})
}

// changes is how often one of the node's shards begins or ceases to be served,
// within a time; that of the shard with the most.
func (n *testNode) changes(within time.Duration) (most int) {
	last := n.shards.delivering()
	count := map[uint16]int{}
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		now := n.shards.delivering()
		for i := range uint16(presence.Shards) {
			if now.Has(i) != last.Has(i) {
				count[i]++
				most = max(most, count[i])
			}
		}
		last = now
	}
	return most
}

// A connection that fails all the time does not move shards all the time.
func TestRestlessMemberIsLeftAlone(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a, _, _ := three(w)
		stop := w.load(t, 50*time.Millisecond, "a", "b", "c")
		over := make(chan struct{})
		w.wg.Go(func() {
			for on := true; ; on = !on {
				w.part("a", "c", on)
				select {
				case <-over:
					return
				case <-time.After(time.Second):
				}
			}
		})
		time.Sleep(10 * time.Second)
		most := a.changes(3 * time.Minute)
		close(over)
		t.Logf("%d changes of a shard's owner in 3 minutes in which the connection failed 90 times", most)
		if most > 3*3 {
			t.Error("too many")
		}
		stop()
		w.part("a", "c", false)
		time.Sleep(2 * restTime)
		w.settled("a", "b", "c")
		w.sum(t, "a")
	})
}

// A holder that dies, before or in the middle of a handover, is not waited for.
func TestHolderThatDiesIsNotAwaited(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a, b, _ := three(w)
		b.block = make(chan struct{})
		d := w.add("d", 1)
		w.members("a b c d", "a", "b", "c", "d")
		time.Sleep(50 * time.Millisecond)
		if s := d.Status(); s.Awaited == 0 || s.Taking == 0 {
			t.Fatalf("%+v", d.shards.count())
		}
		w.kill(b)
		defer close(b.block)
		time.Sleep(25 * time.Millisecond)
		w.everybody(a, 2*soon)
		d.shards.mu.Lock()
		for shard, holder := range d.shards.from {
			if holder == b.Name {
				t.Errorf("shard %d still waits for the dead", shard)
			}
		}
		d.shards.mu.Unlock()
		if d.serving.Load() == 0 {
			t.Error("nobody was told to register again")
		}
		w.members("a c d", "a", "c", "d")
		w.settled("a", "c", "d")
		w.sum(t, "a")
	})
}

// A node that is told to stand in, and is none of the replica set or does not
// suspect the owner, does not.
func TestLiesAboutTheOwner(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		var ids []string
		for _, id := range []string{"a", "b", "c", "d"} {
			w.add(id, 1)
			ids = append(ids, id)
		}
		w.members("a b c d", ids...)
		w.settled(ids...)
		a, d := w.nodes["a"], w.nodes["d"]
		in := userOf(t, func(u presence.UserID) bool { return a.owner(u) == "c" && a.Table().Holds(u.Shard(), "d") })
		out := userOf(t, func(u presence.UserID) bool { return a.owner(u) == "c" && !a.Table().Holds(u.Shard(), "d") })
		for _, u := range []presence.UserID{in, out} {
			p := &parcel{to: User(u), msg: &messages.Publish{Id: w.number.Add(1)}, until: time.Now().Add(time.Second), standIn: true}
			got := make(chan any, 1)
			id, err := a.calls.add(func(m any, err error) { got <- m }, p)
			if err != nil {
				t.Fatal(err)
			}
			p.sender = a.callPID(id)
			if err := a.forward("d", p); err != nil {
				t.Fatal(err)
			}
			if m, ok := (<-got).(*messages.Published); !ok || m.Error.Code != "c" {
				t.Errorf("answered by %v", m)
			}
			tell := &parcel{to: User(u), msg: &messages.Publish{Id: w.number.Add(1)}, standIn: true}
			if err := a.forward("d", tell); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			if n := w.count(User(u)); n != 2 {
				t.Errorf("%d of 2 have arrived", n)
			}
			if d.shards.of(u.Shard()) != gone || a.Waiting()+d.Waiting() != 0 {
				t.Errorf("state %d, %d calls wait", d.shards.of(u.Shard()), a.Waiting()+d.Waiting())
			}
		}
		if counter(d.metrics.misrouted) != 2 || counter(d.metrics.relayed) != 2 {
			t.Errorf("%v sent back, %v relayed", counter(d.metrics.misrouted), counter(d.metrics.relayed))
		}
		a.Suspect("nobody", true)
		a.Suspect("a", true) // itself
		w.everybody(a, soon)
		a.Suspect("nobody", false)
		a.Suspect("a", false)
		w.settled(ids...)
	})
}

func TestPostActive(t *testing.T) {
	n := startNode(t, "a", echoes("a"))
	u := User(userN(1))
	if n.PostActive(u, &messages.ListBlocks{}) {
		t.Error("an actor that is not there got a message")
	}
	ask(t, n, userN(1))
	if !n.PostActive(u, &messages.Read{Viewer: messages.FromUser(userN(1))}) {
		t.Error("an actor that is there got none")
	}
	if p := ask(t, n, userN(1)); p.Version != 3 {
		t.Errorf("it counts %d", p.Version)
	}
}
