package peers

import (
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/messages"
)

// seeded runs a test of its own with a seed that its name holds; ROLLCALL_SEED
// plays one again.
func seeded(t *testing.T, times int, test func(*testing.T, *rand.Rand)) {
	for range times {
		seed := rand.Uint64()
		if s, err := strconv.ParseUint(os.Getenv("ROLLCALL_SEED"), 10, 64); err == nil {
			seed = s
		}
		t.Run("ROLLCALL_SEED="+strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func TestMessagesArriveInOrderAndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		knowAll(a, b)
		sleep(time.Second)
		sent := time.Now()
		send(t, a, b, 1, 1)
		sleep(time.Second)
		if got := b.seen().arrivals[0].Sub(sent); got != time.Millisecond {
			t.Errorf("an idle link takes %v, its wire 1ms", got)
		}
		if s := peerStatus(a, "b"); s.InFlight != 0 || s.State != "connected" {
			t.Errorf("a second later: %+v", s)
		}
		send(t, a, b, 2, 5000)
		sleep(time.Second)
		if !inOrder(b.numbers("a"), 1, 5001) {
			t.Errorf("%d arrived, or out of order", len(b.numbers("a")))
		}
		if s := peerStatus(a, "b"); s.Sent != 5001 || s.Lost != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Connections that break all the time lose nothing, swap nothing and bring
// nothing twice.
func TestBrokenConnectionsLoseNothing(t *testing.T) {
	seeded(t, 10, func(t *testing.T, r *rand.Rand) {
		net, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		knowAll(a, b)
		var next, back uint64 = 1, 1
		loaded := 0
		for range 200 {
			k := uint64(r.IntN(30))
			send(t, a, b, next, k)
			next += k
			if r.IntN(3) == 0 {
				send(t, b, a, back, 1)
				back++
			}
			sleep(time.Duration(r.IntN(3)) * net.delay)
			loaded += peerStatus(a, "b").InFlight
			switch r.IntN(6) {
			case 0:
				net.cut(a, "b:1")
			case 1:
				net.cut(b, "a:1")
			}
			sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		}
		sleep(5 * time.Second)
		if !inOrder(b.numbers("a"), 1, next-1) || !inOrder(a.numbers("b"), 1, back-1) {
			t.Errorf("of %d arrived %d, back of %d %d, or out of order",
				next-1, len(b.numbers("a")), back-1, len(a.numbers("b")))
		}
		if len(a.seen().lost)+len(b.seen().lost) != 0 {
			t.Errorf("a loss was reported: %v %v", a.seen().lost, b.seen().lost)
		}
		if loaded == 0 {
			t.Error("the connections did not break under load")
		}
	})
}

// A peer that reads nothing costs its window and its queue; after 15 s what was
// sent to it is given up, and it gets what comes later.
func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		knowAll(a, b)
		sleep(time.Second)
		net.set(net.swallow, a, b, true)
		var err error
		accepted := 0
		for range 100_000 {
			if err = a.Send("b", &messages.Routed{Body: make([]byte, 2000)}); err == nil {
				accepted++
			}
			if accepted%50 == 0 {
				synctest.Wait()
			}
		}
		if !errors.Is(err, ErrOverloaded) {
			t.Fatalf("100,000 messages to a silent peer: %v", err)
		}
		s := peerStatus(a, "b")
		if s.QueuedBytes > maxQueuedBytes || s.InFlight > maxFlight || s.Shed == 0 {
			t.Errorf("%+v", s)
		}
		if bytes := flightBytes(a, "b"); bytes > maxFlightBytes+envelopeBytes {
			t.Errorf("%d bytes in flight", bytes)
		}
		sleep(cutAfter + time.Second)
		if !strings.Contains(a.log.String(), "made anew") {
			t.Error("the connection was not made anew")
		}
		if len(a.seen().lost) != 0 {
			t.Error("given up too early")
		}
		sleep(loseAfter)
		if len(a.seen().lost) == 0 || peerStatus(a, "b").Lost == 0 {
			t.Error("nothing was given up")
		}
		net.set(net.swallow, a, b, false)
		sleep(time.Minute)
		before := len(b.numbers("a"))
		send(t, a, b, 7, 3)
		sleep(time.Second)
		if got := b.numbers("a")[before:]; !inOrder(got, 7, 3) {
			t.Errorf("after the silence %v arrived", got)
		}
	})
}

// What waits for a member that cannot be reached is kept for 15 s, states for
// as long as it is a member.
func TestUnreachablePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		net.set(net.down, a, b, true)
		knowAll(a, b)
		sleep(time.Minute) // idle: nothing to give up
		if len(a.seen().lost) != 0 {
			t.Fatal("a loss of nothing was reported")
		}
		send(t, a, b, 1, 3)
		if err := a.Notify("b", update("p", 5, 1, 2)); err != nil {
			t.Fatal(err)
		}
		sleep(loseAfter - time.Second)
		if s := peerStatus(a, "b"); s.Queued != 4 || s.Lost != 0 || s.State != "connecting" {
			t.Fatalf("%+v", s)
		}
		sleep(2 * time.Second)
		if s := peerStatus(a, "b"); s.Queued != 1 || s.Lost != 3 || len(a.seen().lost) != 1 {
			t.Fatalf("%+v", s)
		}
		net.set(net.down, a, b, false)
		sleep(time.Second)
		if len(b.seen().states) != 1 || len(b.numbers("a")) != 0 {
			t.Errorf("%d states, %d messages", len(b.seen().states), len(b.numbers("a")))
		}
	})
}

func TestAcknowledgementsRideOrGoAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		knowAll(a, b)
		sleep(time.Second)
		carried := func() int {
			net.mu.Lock()
			defer net.mu.Unlock()
			return net.conns[[2]string{"b:1", "a:1"}].carried
		}
		before := carried()
		for i := range uint64(40) { // an envelope each
			send(t, a, b, i+1, 1)
			synctest.Wait()
		}
		sleep(time.Second)
		if alone := carried() - before; alone < 40/ackEvery || alone > 2*40/ackEvery {
			t.Errorf("40 envelopes in a row got %d acknowledgements", alone)
		}
		before = carried()
		sleep(time.Minute)
		if carried() != before {
			t.Error("acknowledgements are acknowledged")
		}
		send(t, a, b, 41, 1)
		synctest.Wait()
		sleep(net.delay)
		synctest.Wait()
		send(t, b, a, 1, 1) // carries the acknowledgement
		sleep(2 * net.delay)
		if s := peerStatus(a, "b"); s.InFlight != 0 || carried() != before+1 {
			t.Errorf("the acknowledgement did not ride: %+v, %d more envelopes", s, carried()-before)
		}
	})
}

func TestTooLargeAndUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		knowAll(a, b)
		if err := a.Send("c", &messages.Routed{}); !errors.Is(err, ErrNoPeer) {
			t.Errorf("an unknown member: %v", err)
		}
		if err := a.Send("a", &messages.Routed{}); !errors.Is(err, ErrNoPeer) {
			t.Errorf("to itself: %v", err)
		}
		for _, size := range []int{maxItemBytes, maxItemBytes - 200} {
			err := a.Send("b", &messages.Routed{Body: make([]byte, size)})
			if (err != nil) != (size == maxItemBytes) || err != nil && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
		sleep(time.Second)
		if len(b.numbers("a")) != 1 {
			t.Error("the largest message that is taken did not arrive")
		}
		big := &messages.Notify{State: make([]byte, maxItemBytes)}
		if err := a.Notify("b", big); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a large state: %v", err)
		}
		a.Close()
		if err := a.Send("b", &messages.Routed{}); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// Each kind gets its share of an envelope, however many of another kind wait.
func TestNoKindStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		net.delay = 100 * time.Millisecond
		net.set(net.down, a, b, true)
		knowAll(a, b)
		send(t, a, b, 1, 8000)
		if err := a.Return("b", &messages.Routed{Actor: "user/x"}); err != nil {
			t.Fatal(err)
		}
		if err := a.Notify("b", update("p", 5, 1, 2)); err != nil {
			t.Fatal(err)
		}
		net.set(net.down, a, b, false)
		for len(b.numbers("a")) == 0 {
			sleep(50 * time.Millisecond)
		}
		if len(b.seen().states) != 1 || len(b.seen().back["a"]) != 1 || len(b.numbers("a")) > envelopeItems {
			t.Errorf("with the first envelope: %d messages, %d states, %d returned",
				len(b.numbers("a")), len(b.seen().states), len(b.seen().back["a"]))
		}
	})
}

// The process returns everything that it has not sent to a member that leaves,
// and gives nothing of it to another process of that member.
func TestGoneAndReplacedPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, n := newFakeNet(t, "a", "b", "c")
		a, b, c := n[0], n[1], n[2]
		knowAll(a, b, c)
		sleep(time.Second)
		net.set(net.down, a, b, true)
		net.cut(a, "b:1")
		send(t, a, b, 1, 5)
		know(a, c)
		if !inOrder(a.seen().undelivered, 1, 5) {
			t.Errorf("undelivered: %v", a.seen().undelivered)
		}
		if err := a.Send("b", &messages.Routed{}); !errors.Is(err, ErrNoPeer) {
			t.Errorf("a member that is gone: %v", err)
		}
		know(a, b, c) // it is back
		send(t, a, b, 6, 5)
		sleep(time.Second)
		b.Close()
		b2 := net.start("b", 2)
		knowAll(a, b2, c)
		if !inOrder(a.seen().undelivered, 1, 10) {
			t.Errorf("undelivered: %v", a.seen().undelivered)
		}
		net.set(net.down, a, b, false)
		send(t, a, b2, 11, 5)
		sleep(20 * time.Second)
		if !inOrder(b2.numbers("a"), 11, 5) || len(b.numbers("a")) != 0 {
			t.Errorf("the new process got %v, the old %v", b2.numbers("a"), b.numbers("a"))
		}
	})
}

func TestListWithoutSelfIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		knowAll(a, b)
		a.SetMembers(nil)
		a.SetMembers(nil)
		if len(a.Status()) != 1 || !strings.Contains(a.log.String(), "without this node") {
			t.Error("a list without this node was taken")
		}
	})
}
