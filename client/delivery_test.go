package client_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"rollcall/client"
	"rollcall/messages"
	"rollcall/presence"
)

// watchingAlice is a client that is connected and watches alice.
func watchingAlice(t *testing.T, n *node, cfg client.Config) (*client.Client, *peer) {
	t.Helper()
	c := n.start(cfg)
	p, _ := n.welcomed("s1", false)
	watch := async(func() error { return c.Watch(t.Context(), alice) })
	p.watching(alice)
	if err := watch(); err != nil {
		t.Fatal(err)
	}
	return c, p
}

// expect takes the next change.
func expect(t *testing.T, c *client.Client, user string, version presence.Version) client.Presence {
	t.Helper()
	select {
	case p, ok := <-c.Changes():
		if !ok || p.User != user || p.Version != version {
			t.Fatalf("change %s %d (open %v), want %s %d", p.User, p.Version, ok, user, version)
		}
		return p
	case <-time.After(time.Minute):
		t.Fatalf("no change, want %s %d", user, version)
		return client.Presence{}
	}
}

// quiet checks that nothing is to be taken.
func quiet(t *testing.T, c *client.Client) {
	t.Helper()
	synctest.Wait()
	select {
	case p, ok := <-c.Changes():
		t.Fatalf("unexpected change %s %d (open %v)", p.User, p.Version, ok)
	default:
	}
}

func TestChangesArriveAndAreAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c, p := watchingAlice(t, n, n.config())
		began := time.Now()
		p.batch(1, item(alice, 5, presence.Busy))
		got := expect(t, c, alice, 5)
		if got.Availability != presence.Busy || got.Activity != presence.ActBusy {
			t.Errorf("shown %s/%s", got.Availability, got.Activity)
		}
		p.acked(1)
		if d := time.Since(began); d != 750*time.Millisecond {
			t.Errorf("a single batch was acknowledged after %s, want 750ms", d)
		}
		began = time.Now()
		p.batch(2, item(alice, 6, presence.Away))
		p.batch(3, item(alice, 7, presence.Available))
		p.ackedUpTo(3)
		if d := time.Since(began); d != 0 {
			t.Errorf("half a window was acknowledged after %s, want at once", d)
		}
		if now, ok := c.Presence(alice); !ok || now.Version != 7 {
			t.Errorf("Presence is %d, %v", now.Version, ok)
		}
	})
}

func TestRepeatedAndOldVersionsAreNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c, p := watchingAlice(t, n, n.config())
		p.batch(1, item(alice, 5, presence.Busy))
		expect(t, c, alice, 5)
		p.batch(1, item(alice, 5, presence.Busy))
		p.acked(1) // a repeated batch wants its acknowledgement at once
		quiet(t, c)
		p.batch(2, item(alice, 4, presence.Away))
		quiet(t, c)
		p.batch(4, item(alice, 8, presence.Away)) // overtakes 3
		expect(t, c, alice, 8)
		p.acked(2)
		p.batch(3, item(alice, 7, presence.Busy))
		p.ackedUpTo(4)
		quiet(t, c)
	})
}

func TestUsersThatAreNotWatchedAreNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c, p := watchingAlice(t, n, n.config())
		p.batch(1, item(bob, 5, presence.Busy))
		p.acked(1)
		quiet(t, c)
		p.batch(2, item(alice, 5, presence.Busy))
		p.acked(2)
		unwatch := async(func() error { return c.Unwatch(t.Context(), alice) })
		f := p.read()
		if got := f.GetWatch().GetRemove(); len(got) != 1 || got[0] != alice {
			t.Fatalf("frame %v, want the removal of alice", f)
		}
		quiet(t, c) // what was waiting is gone too
		p.done(f.Id, &messages.Done{})
		if err := unwatch(); err != nil {
			t.Fatal(err)
		}
		again := async(func() error { return c.Watch(t.Context(), alice) })
		p.watching(alice)
		if err := again(); err != nil {
			t.Fatal(err)
		}
		p.batch(3, item(alice, 5, presence.Busy))
		expect(t, c, alice, 5) // the snapshot of a new watch is shown
	})
}

func TestSlowCallerGetsTheNewestOfEachUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c := n.start(n.config())
		p, _ := n.welcomed("s1", false)
		users := make([]string, 50)
		for i := range users {
			users[i] = fmt.Sprintf("8:orgid:a11ce000-6c1f-4f0e-a9be-%012d", i)
		}
		watch := async(func() error { return c.Watch(t.Context(), users...) })
		p.watching(users...)
		if err := watch(); err != nil {
			t.Fatal(err)
		}
		const rounds = 40
		for seq := uint64(1); seq <= rounds; seq++ {
			items := make([]*messages.PresenceItem, len(users))
			for i, u := range users {
				items[i] = item(u, seq, presence.Busy)
			}
			p.batch(seq, items...)
			p.ackedUpTo(seq) // the slow caller holds up nobody
		}
		if got := c.Pending(); got != len(users) {
			t.Errorf("%d changes wait, want one per user (%d)", got, len(users))
		}
		for _, u := range users {
			expect(t, c, u, rounds)
		}
		quiet(t, c)
	})
}

func TestBlockedCallbackDoesNotHoldUpTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		cfg := n.config()
		gate, got := make(chan struct{}), make(chan presence.Version, 8)
		cfg.OnChange = func(p client.Presence) {
			got <- p.Version
			<-gate
		}
		_, p := watchingAlice(t, n, cfg)
		for v := uint64(1); v <= 4; v++ {
			p.batch(v, item(alice, v, presence.Busy))
			p.acked(v)
		}
		close(gate)
		if first, last := <-got, <-got; first != 1 || last != 4 {
			t.Errorf("the callback got %d, then %d; want 1, then 4", first, last)
		}
	})
}

func TestLostConnectionResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c, p := watchingAlice(t, n, n.config())
		p.batch(1, item(alice, 5, presence.Busy))
		p.batch(2, item(alice, 6, presence.Away))
		p.acked(2)
		expect(t, c, alice, 6)
		p.batch(3, item(alice, 7, presence.Busy))
		synctest.Wait()
		p.drop() // the acknowledgement of 3 is still owed

		p, h := n.welcomed("s1", true)
		if h.Session != "s1" || h.Ack != 3 {
			t.Errorf("hello asks for session %q after %d, want s1 after 3", h.Session, h.Ack)
		}
		p.batch(3, item(alice, 7, presence.Busy)) // sent again, the ack was lost
		p.batch(4, item(alice, 8, presence.Away))
		p.ackedUpTo(4)
		if s := c.State(); s.Status != client.Connected || !s.Resumed {
			t.Errorf("state %+v, want a resumed connection", s)
		}
		expect(t, c, alice, 8)
		quiet(t, c)
	})
}

func TestDroppedInTheMiddleOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c, p := watchingAlice(t, n, n.config())
		whole := &messages.ServerFrame{Frame: &messages.ServerFrame_Batch{Batch: &messages.Batch{
			Seq: 1, Items: []*messages.PresenceItem{item(alice, 5, presence.Busy)},
		}}}
		b, err := whole.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		w, err := p.ws.Writer(t.Context(), websocket.MessageBinary)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b[:len(b)/2]); err != nil {
			t.Fatal(err)
		}
		p.drop()
		p, h := n.welcomed("s1", true)
		if h.Ack != 0 {
			t.Errorf("half a batch was acknowledged: %d", h.Ack)
		}
		quiet(t, c)
		p.batch(1, item(alice, 5, presence.Busy))
		expect(t, c, alice, 5)
		p.acked(1)
	})
}

func TestNewSessionCountsFromOneAndTellsTheListAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c, p := watchingAlice(t, n, n.config())
		for v := uint64(1); v <= 3; v++ {
			p.batch(v, item(alice, 10+v, presence.Busy))
		}
		synctest.Wait()
		expect(t, c, alice, 13)
		p.drop()
		p, _ = n.welcomed("s2", false)
		p.watching(alice)
		p.batch(1, item(alice, 13, presence.Busy)) // a snapshot of what is known
		p.acked(1)
		quiet(t, c)
		p.batch(2, item(alice, 12, presence.Away)) // of a node that lags behind
		p.batch(3, item(alice, 14, presence.Away))
		expect(t, c, alice, 14)
		p.acked(3)
	})
}

func TestCloseEndsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		c, p := watchingAlice(t, n, n.config())
		p.batch(1, item(alice, 1, presence.Busy))
		synctest.Wait()
		closed := async(c.Close)
		for {
			if _, _, err := p.ws.Read(t.Context()); err != nil {
				if code := websocket.CloseStatus(err); code != websocket.StatusNormalClosure {
					t.Errorf("the connection was closed with %v (%v)", code, err)
				}
				break
			}
		}
		if err := closed(); err != nil {
			t.Fatal(err)
		}
		if p, ok := <-c.Changes(); ok {
			t.Errorf("a change after Close: %+v", p)
		}
		if s := c.State(); s.Status != client.Ended || s.Err != nil {
			t.Errorf("state %+v, want ended without a reason", s)
		}
		if _, err := c.Publish(context.Background(), client.Note{Text: "late"}); err == nil {
			t.Error("a closed client took a publish")
		}
	})
}
