package cluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

const crowd = 300

// read publishes a number for a user and says which node answered.
func (n *testNode) read(u presence.UserID, timeout time.Duration) (string, error) {
	node, _, err := n.publish(u, n.net.number.Add(1), timeout)
	return node, err
}

func (n *testNode) publish(u presence.UserID, id uint64, timeout time.Duration) (node string, count int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	a, err := n.Request(ctx, User(u), &messages.Publish{Id: id})
	if err != nil {
		return "", 0, err
	}
	p := a.(*messages.Published)
	return p.Error.Code, int(p.Version), nil
}

// load reads users through nodes, one every so often, until stopped, and returns
// how many reads were answered and the longest wait.
func (w *network) load(t *testing.T, every time.Duration, ids ...string) (stop func() (int, time.Duration)) {
	var wg sync.WaitGroup
	var ended atomic.Bool
	var answered, longest atomic.Int64
	for i, id := range ids {
		n := w.nodes[id]
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for !ended.Load() {
				at := time.Now()
				if _, err := n.read(userN(r.IntN(crowd)), 5*time.Second); err != nil {
					t.Errorf("a read through %s: %v", id, err)
					return
				}
				answered.Add(1)
				if took := int64(time.Since(at)); took > longest.Load() {
					longest.Store(took)
				}
				time.Sleep(every)
			}
		})
	}
	return func() (int, time.Duration) {
		ended.Store(true)
		wg.Wait()
		return int(answered.Load()), time.Duration(longest.Load())
	}
}

// sum is how many publishes of the crowd are known to who serves it now, which
// must be its owner.
func (w *network) sum(t *testing.T, through string) (sum int) {
	n := w.nodes[through]
	for i := range crowd {
		u := userN(i)
		node, count, err := n.publish(u, w.number.Add(1), time.Second)
		if o, _ := n.Table().Owner(u.Shard()); err != nil || node != o.ID {
			t.Errorf("%s is served by %q, owned by %s: %v", u, node, o.ID, err)
		}
		sum += count - 1
	}
	return sum
}

func TestJoinAndLeaveMoveUsersWithoutAGap(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		w.add("a", 1)
		w.add("b", 1)
		w.members("a b", "a", "b")
		w.settled("a", "b")
		stop := w.load(t, time.Millisecond, "a", "b")
		time.Sleep(time.Second)

		w.add("c", 1)
		w.members("b", "a", "b", "c")
		time.Sleep(100 * time.Millisecond)
		w.members("c", "a", "b", "c")
		time.Sleep(100 * time.Millisecond)
		w.members("a", "a", "b", "c")
		w.settled("a", "b", "c")
		time.Sleep(time.Second)
		if got := w.nodes["c"].Status(); got.Served < presence.Shards/4 || got.Activations == 0 {
			t.Errorf("the newcomer serves %d shards, %d users", got.Served, got.Activations)
		}
		reads, longest := stop()
		t.Logf("join: %d reads, the longest took %v", reads, longest)
		if longest > time.Second {
			t.Errorf("a read took %v during the join", longest)
		}
		if got := w.sum(t, "b"); got != reads {
			t.Errorf("%d reads were counted after the join, want %d", got, reads)
		}

		stop = w.load(t, time.Millisecond, "b", "c")
		w.members("a b c", "a-", "b", "c")
		w.settled("a", "b", "c")
		more, longest := stop()
		t.Logf("leave: %d reads, the longest took %v", more, longest)
		if got := w.sum(t, "b"); got != reads+crowd+more || longest > time.Second {
			t.Errorf("%d reads after the leave, want %d; longest %v", got, reads+crowd+more, longest)
		}
		for _, n := range w.nodes {
			if n.Status().Conflicts != 0 || counter(n.metrics.timeouts) != 0 {
				t.Errorf("%s: conflicts %d, timeouts %v", n.ID, n.Status().Conflicts, counter(n.metrics.timeouts))
			}
		}
	})
}

// What is asked of a node that dies is answered by the next owner as soon as
// the death is known.
func TestCallsToADeadOwnerGoToTheNext(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		w.deaf = true
		for _, id := range []string{"a", "b", "c"} {
			w.add(id, 1)
		}
		w.members("a b c", "a", "b", "c")
		w.settled("a", "b", "c")
		w.kill(w.nodes["c"])
		at := time.Now()
		var wg sync.WaitGroup
		for i := range crowd {
			wg.Go(func() {
				if got, err := w.nodes["a"].read(userN(i), 10*time.Second); err != nil || got == "c" {
					t.Errorf("user %d: %q, %v", i, got, err)
				}
			})
		}
		time.Sleep(3 * time.Second)
		known := time.Now()
		w.members("a b", "a", "b")
		wg.Wait()
		t.Logf("all answered %v after the kill, %v after it was known", time.Since(at), time.Since(known))
		if time.Since(known) > 500*time.Millisecond {
			t.Error("too late")
		}
		told := w.nodes["a"].told
		last := told[len(told)-1]
		if len(last.Gone) != 1 || last.Gone[0] != "c#1" || last.Lost.Len() < presence.Shards/4 {
			t.Errorf("told of %v and %d lost shards", last.Gone, last.Lost.Len())
		}
	})
}

// Both sides of a partition serve everything; when it heals nothing is lost and
// each user is served once.
func TestPartitionHeals(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		for _, id := range []string{"a", "b", "c"} {
			w.add(id, 1)
		}
		w.members("a b c", "a", "b", "c")
		w.settled("a", "b", "c")
		stop := w.load(t, time.Millisecond, "a", "c")
		time.Sleep(500 * time.Millisecond)
		first, _ := stop()
		w.part("a", "c", true)
		w.part("b", "c", true)
		w.members("a b", "a", "b")
		w.members("c", "c")
		stop = w.load(t, time.Millisecond, "a", "c")
		time.Sleep(2 * time.Second)
		second, _ := stop()
		w.part("a", "c", false)
		w.part("b", "c", false)
		w.members("a", "a", "b", "c")
		w.members("c", "a", "b", "c")
		time.Sleep(150 * time.Millisecond)
		w.members("b", "a", "b", "c")
		w.settled("a", "b", "c")
		if got := w.sum(t, "a"); got != first+second {
			t.Errorf("%d reads were counted, want %d", got, first+second)
		}
		conflicts := 0
		for _, n := range w.nodes {
			conflicts += n.Status().Conflicts
		}
		if conflicts == 0 {
			t.Error("users were served twice and nobody noticed")
		}
	})
}

// An old owner that hangs does not hold up the new one for ever, and what it has
// is merged when it wakes up.
func TestHandoffThatHangs(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a := w.add("a", 1)
		w.members("a", "a")
		for i := range crowd {
			if _, err := a.read(userN(i), time.Second); err != nil {
				t.Fatal(err)
			}
		}
		a.block = make(chan struct{})
		b := w.add("b", 1)
		w.members("a b", "a", "b")
		mine := slices.DeleteFunc(slices.Collect(func(yield func(presence.UserID) bool) {
			for i := range crowd {
				if !yield(userN(i)) {
					return
				}
			}
		}), func(u presence.UserID) bool { o, _ := b.Table().Owner(u.Shard()); return o.ID != "b" })
		for _, u := range mine {
			if _, err := b.read(u, 12*time.Second); err != nil {
				t.Fatalf("not served while the old owner hangs: %v", err)
			}
		}
		time.Sleep(awaitTime + takingTime)
		if b.Status().Awaited+b.Status().Taking != 0 || b.serving.Load() == 0 {
			t.Errorf("%+v, announced %d times", b.shards.count(), b.serving.Load())
		}
		close(a.block)
		w.settled("a", "b")
		if got := w.sum(t, "b"); got != crowd+len(mine) {
			t.Errorf("%d reads counted, want %d", got, crowd+len(mine))
		}
	})
}

// A sender with an old table is not served by the wrong owner, and gets there.
func TestStaleSender(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		for _, id := range []string{"a", "b", "c"} {
			w.add(id, 1)
		}
		w.members("a b c", "a", "b", "c")
		w.settled("a", "b", "c")
		w.members("a b c", "a", "b", "c-")
		w.settled("a", "b", "c")
		w.members("c", "a", "b", "c") // an older view than theirs
		for i := range crowd {
			got, err := w.nodes["c"].read(userN(i), 5*time.Second)
			if o, _ := w.nodes["a"].Table().Owner(userN(i).Shard()); err != nil || got != o.ID && got != "c" {
				t.Fatalf("user %d was answered by %q, %v", i, got, err)
			}
		}
	})
}

// Who never finds an owner is told so.
func TestNoOwnerEverTakesIt(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a, b := w.add("a", 1), w.add("b", 1)
		w.members("a", "a-", "b")
		w.members("b", "a", "b-")
		_ = b
		at := time.Now()
		_, err := a.read(userN(1), 20*time.Second)
		if !errors.Is(err, ErrMoved) || time.Since(at) > 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(at))
		}
		if a.resends.Load() != 0 {
			t.Error("a parcel still waits")
		}
	})
}
