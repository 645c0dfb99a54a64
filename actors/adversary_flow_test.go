package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/cluster"
	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/presence"
)

// stranger is the way to another gateway; it keeps what is sent there.
type stranger struct {
	mu    sync.Mutex
	shown []presence.Availability
}

func (g *stranger) Notify(_ string, n *messages.Notify) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var s messages.State
	if err := s.UnmarshalVT(n.State); err != nil {
		return err
	}
	g.shown = append(g.shown, messages.ToState(&s).Availability)
	return nil
}
func (g *stranger) Send(string, *messages.Routed) error   { return nil }
func (g *stranger) Return(string, *messages.Routed) error { return nil }

// join adds a gateway n2#1, which owns no user.
func (w *world) join(g *stranger) {
	w.Connect(g)
	w.SetMembers([]topology.Member{self("n1"), {ID: "n2", Incarnation: 1, Addr: "n2:1", Roles: topology.Gateway}})
}

// Who is blocked by the very commit that changes the state is not told of it.
func TestBlockAndChangeInOneCommit(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		w.fast(home)
		var g stranger
		u := alice
		w.join(&g)
		w.register(u, bob, "n2#1", 1)
		w.publish(u, w.away())
		p := w.busy()
		p.Mutations = append(p.Mutations, block(bob, true).Mutations...)
		w.publish(u, p)
		p = w.available()
		p.Mutations = append(p.Mutations, block(bob, false).Mutations...)
		w.publish(u, p)
		synctest.Wait()
		g.mu.Lock()
		defer g.mu.Unlock()
		// The last comes twice: as what bob may see again, and as a change.
		want := []presence.Availability{presence.Offline, presence.Away, presence.Offline, presence.Available, presence.Available}
		if !slices.Equal(g.shown, want) {
			t.Errorf("bob's gateway was told %v, want %v", g.shown, want)
		}
	})
}

// A slow client with long notes on its list gets them all: what does not fit
// into the queue at once is asked for in smaller waves.
func TestLongNotesReachASlowClient(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		w.fast(home)
		var users []presence.UserID
		for i := range 150 {
			u := userAt(home, fmt.Sprint("u", i))
			users = append(users, u)
			w.publish(u, put(presence.NoteKey, presence.Note{Content: strings.Repeat("\U0001F642", 280)}, time.Time{}))
		}
		d := w.connect(bob, "phone")
		d.mu.Lock()
		d.lag = 200 * time.Millisecond
		d.mu.Unlock()
		d.add(users...)
		wait(30 * time.Second)
		missing := 0
		for _, u := range users {
			if _, v := d.get(u); v == 0 {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("%d of %d users were never shown", missing, len(users))
		}
		if w.metric("rollcall_resyncs_total") == 0 {
			t.Error("the queue never overflowed: this test shows nothing")
		}
	})
}

// A queue too small for a single state leaves its client without it, and the
// processor in peace.
func TestQueueTooSmallForAnything(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		w.System.limits.QueueBytes = 10
		d := w.connect(bob, "phone")
		d.add(alice)
		wait(30 * time.Second)
		if n := w.metric("rollcall_resyncs_total"); n == 0 || n > 50 {
			t.Errorf("%v resyncs in half a minute", n)
		}
	})
}

// A wall clock that is set back makes policies look older than what watchers
// have: they follow all the same.
func TestPolicyFollowsAfterTheClockWasSetBack(t *testing.T) {
	w := start(t)
	w.clock.mu.Lock()
	w.clock.moved = time.Hour
	w.clock.mu.Unlock()
	d := w.connect(dave, "phone")
	d.add(alice)
	w.publish(alice, w.busy())
	d.sees(alice, presence.Busy, presence.ActInACall)
	w.clock.mu.Lock()
	w.clock.moved = 0
	w.clock.mu.Unlock()
	for range 3 {
		p := presence.DefaultPolicy(home)
		p.Privacy = true
		d.link.Closed()
		if _, err := w.SetPolicy(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		d.attach("", 0) // what was on its way to the old session is lost
		d.sees(alice, presence.PresenceUnknown, presence.ActPresenceUnknown)
		if _, err := w.SetPolicy(t.Context(), presence.DefaultPolicy(home)); err != nil {
			t.Fatal(err)
		}
		d.sees(alice, presence.Busy, presence.ActInACall)
	}
	if d.back() > 0 {
		t.Error("a version went back")
	}
}

// wakeful is a connection that is always heard of.
type wakeful struct {
	sink
	w *world
}

func (c *wakeful) LastHeard() time.Time { return c.w.clock.now() }

// A list stays as long as its endpoint is connected, not just for one lease.
func TestConnectedEndpointRenewsItsList(t *testing.T) {
	w := start(t)
	conn := &wakeful{w: w}
	l, err := w.Attach(t.Context(), Attach{Key: EndpointKey{bob, "phone"}, Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	conn.link.Store(l)
	if _, err := l.WatchWait(t.Context(), WatchChange{Add: []presence.UserID{alice}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the snapshot is acknowledged", func() bool { return w.metric("rollcall_acknowledged_total") == 1 })
	end := func() time.Time {
		got := make(chan presence.Element, 1)
		w.store.LoadWatch(bob, "phone", func(e presence.Element, _ bool, err error) {
			if err != nil {
				t.Error(err)
			}
			got <- e
		})
		return time.UnixMilli((<-got).Expires)
	}
	for range 5 {
		w.ahead(7 * time.Hour)
		eventually(t, "the list is renewed", func() bool { return end().Sub(w.clock.now()) > WatchLease-time.Hour })
	}
}

// Nobody waits for ever for an endpoint of a node that has closed.
func TestNobodyWaitsForAClosedNode(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	w.store.stop()
	w.System.Close() // once more
	answered := make(chan error, 2)
	go func() {
		_, err := d.link.WatchWait(context.Background(), WatchChange{Add: []presence.UserID{alice}})
		answered <- err
	}()
	go func() {
		_, err := d.link.PublishWait(context.Background(), w.busy())
		answered <- err
	}()
	for range 2 {
		select {
		case err := <-answered:
			if err == nil {
				t.Error("a closed node has accepted something")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("still waiting")
		}
	}
}

// brittle panics when it is to send.
type brittle struct{ *device }

func (b brittle) SendBatch(uint64, []*Update) { panic("as told") }

// A panic ends one endpoint, leaves nothing of it behind, and its client can
// come back.
func TestPanicOfAnEndpointEndsItCleanly(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		d := w.device(bob, "phone")
		l, err := w.Attach(t.Context(), Attach{Key: d.key, Conn: brittle{d}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.WatchWait(t.Context(), WatchChange{Add: []presence.UserID{alice}})
		synctest.Wait()
		if err != nil || w.metric("rollcall_actor_panics_total") == 0 {
			t.Fatalf("no panic, %v: this test shows nothing", err)
		}
		if d.reason() != CloseGoingAway || len(w.endpoints.byKey) != 0 || w.numbers.find(alice) != nil {
			t.Errorf("reason %v, %d endpoints, alice interned: %v", d.reason(), len(w.endpoints.byKey), w.numbers.find(alice) != nil)
		}
		for _, gauge := range []string{"connections", "endpoints", "queue_items", "inflight_batches"} {
			if n := w.metric("rollcall_" + gauge); n != 0 {
				t.Errorf("gauge %s is %v", gauge, n)
			}
		}
		again := w.connect(bob, "phone")
		again.wants(alice, presence.Offline, presence.ActOffline)
	})
}

// The time of a publish that joins a write begun by a timer is not lost.
func TestLatencyOfAPublishThatJoinsATimersWrite(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		s := moody(w, m)
		w.fast(home)
		d := w.connect(bob, "phone")
		d.add(alice)
		phone := w.connect(alice, "phone")
		phone.publishSession(1, presence.Available, presence.ActAvailable)
		synctest.Wait()
		before := w.metric("rollcall_publish_ack_seconds")
		s.hold("commit")
		first := w.busy()
		first.Received = time.Unix(0, 0)
		w.node.Ask(userAddress(alice), first.message(), time.Minute, func(any, error) {})
		phone.link.Closed()
		wait(20 * time.Second)
		if err := w.node.Tell(userAddress(alice), cluster.Idle{}); err != nil { // stores the session's end
			t.Fatal(err)
		}
		second := w.away()
		w.node.Ask(userAddress(alice), second.message(), time.Minute, func(any, error) {})
		synctest.Wait()
		s.release()
		wait(3 * time.Second)
		d.wants(alice, presence.Away, presence.ActAway)
		if n := w.metric("rollcall_publish_ack_seconds") - before; n != 1 {
			t.Errorf("%v samples, want that of the second publish", n)
		}
	})
}
