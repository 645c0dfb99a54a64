package peers

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/messages"
)

// withPair runs f with two nodes that have heard from each other.
func withPair(t *testing.T, f func(t *testing.T, net *fakeNet, a, b *fakeNode)) {
	synctest.Test(t, func(t *testing.T) {
		net, n := newFakeNet(t, "a", "b")
		knowAll(n...)
		sleep(time.Second)
		send(t, n[0], n[1], 1, 10)
		sleep(time.Second)
		if d := n[0].seen().doubts; len(d) > 0 {
			t.Fatalf("in quiet: %v", d)
		}
		f(t, net, n[0], n[1])
	})
}

// doubted checks what a node has said of its peer so far.
func doubted(t *testing.T, f *fakeNode, want ...bool) {
	t.Helper()
	var got []bool
	for _, d := range f.seen().doubts {
		got = append(got, d.suspected)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("suspicions %v, want %v", f.seen().doubts, want)
	}
}

// A peer that acknowledges nothing for 300 ms is suspected until it does.
func TestSilenceIsSuspected(t *testing.T) {
	withPair(t, func(t *testing.T, net *fakeNet, a, b *fakeNode) {
		net.set(net.hang, a, b, true)
		send(t, a, b, 11, 1)
		sleep(suspectAfter - 10*time.Millisecond)
		doubted(t, a)
		sleep(50 * time.Millisecond)
		doubted(t, a, true)
		if s := peerStatus(a, "b"); !s.Suspected || s.Suspicions != 1 {
			t.Errorf("%+v", s)
		}
		sleep(time.Second)
		net.set(net.hang, a, b, false)
		sleep(20 * time.Millisecond)
		doubted(t, a, true, false)
		if !inOrder(b.numbers("a"), 1, 11) {
			t.Error("something was lost")
		}
	})
}

// Nothing is asked of an idle peer, so nothing is said of it.
func TestIdlePeersAreNotSuspected(t *testing.T) {
	withPair(t, func(t *testing.T, net *fakeNet, a, b *fakeNode) {
		net.set(net.hang, a, b, true)
		net.set(net.hang, b, a, true)
		sleep(time.Minute)
		doubted(t, a)
		doubted(t, b)
	})
}

// A connection that breaks is suspicious at once, also an idle one. The new one
// is used to hear from the peer.
func TestBreakIsSuspected(t *testing.T) {
	withPair(t, func(t *testing.T, net *fakeNet, a, b *fakeNode) {
		net.cut(a, "b:1")
		synctest.Wait()
		doubted(t, a, true)
		sleep(300 * time.Millisecond)
		doubted(t, a, true, false)
		if s := peerStatus(a, "b"); s.InFlight != 0 || s.Sent != 10 {
			t.Errorf("%+v", s)
		}
		net.set(net.down, a, b, true)
		net.cut(a, "b:1")
		sleep(time.Minute)
		doubted(t, a, true, false, true)
		net.set(net.down, a, b, false)
		sleep(time.Second)
		doubted(t, a, true, false, true, false)
	})
}

// A peer that takes connections and never acknowledges stays suspected, also
// when everything for it has been given up.
func TestDeafPeerStaysSuspected(t *testing.T) {
	withPair(t, func(t *testing.T, net *fakeNet, a, b *fakeNode) {
		net.set(net.swallow, a, b, true)
		send(t, a, b, 11, 1)
		sleep(2 * time.Minute)
		doubted(t, a, true)
		if a.seen().lost == nil {
			t.Error("nothing was given up")
		}
		net.set(net.swallow, a, b, false)
		sleep(10 * time.Second)
		doubted(t, a, true, false)
	})
}

// While one direction is cut each side suspects the other: the acknowledgements
// of one are on the way of the other.
func TestOneWayCutIsSuspectedByBoth(t *testing.T) {
	withPair(t, func(t *testing.T, net *fakeNet, a, b *fakeNode) {
		net.set(net.hang, b, a, true)
		send(t, a, b, 11, 1)
		send(t, b, a, 1, 1)
		sleep(suspectAfter + 100*time.Millisecond)
		doubted(t, a, true)
		doubted(t, b, true)
		sleep(4 * time.Second)
		doubted(t, a, true)
	})
}

// Time in which this process did not run is not the peer's silence.
func TestOwnStallIsNotSuspected(t *testing.T) {
	withPair(t, func(t *testing.T, net *fakeNet, a, b *fakeNode) {
		deliver := a.wire.deliver
		a.wire.deliver = func(addr string, f *messages.Frame) {
			deliver(addr, f)
			time.Sleep(time.Second) // the outbox's goroutine stands still
		}
		net.set(net.hang, a, b, true)
		send(t, a, b, 11, 1)
		sleep(time.Second + suspectAfter - 50*time.Millisecond)
		doubted(t, a)
		a.wire.deliver = deliver
		sleep(100 * time.Millisecond)
		doubted(t, a, true)
	})
}

// A process that does not know this one yet takes its time.
func TestFirstContactIsNotSuspected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := newFakeNet(t, "a", "b")
		know(n[0], n[1])
		send(t, n[0], n[1], 1, 1)
		sleep(suspectFirst - 100*time.Millisecond)
		know(n[1], n[0])
		sleep(time.Second)
		doubted(t, n[0])
	})
}

// A suspicion ends with the membership of the process that it is about.
func TestSuspicionEndsWithMembership(t *testing.T) {
	withPair(t, func(t *testing.T, net *fakeNet, a, b *fakeNode) {
		net.set(net.down, a, b, true)
		net.cut(a, "b:1")
		sleep(time.Second)
		know(a)
		doubted(t, a, true, false)
		know(a, b)
		sleep(5 * time.Second)
		doubted(t, a, true, false)
	})
}

// What connections do at random, suspicions come in turns and end when all is
// well.
func TestSuspicionsComeInTurns(t *testing.T) {
	seeded(t, 5, func(t *testing.T, r *rand.Rand) {
		net, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		knowAll(a, b)
		for i := range uint64(200) {
			send(t, a, b, i+1, 1)
			switch r.IntN(6) {
			case 0:
				net.cut(a, "b:1")
			case 1:
				net.cut(b, "a:1")
			case 2:
				net.set(net.hang, a, b, r.IntN(2) == 0)
			case 3:
				net.set(net.hang, b, a, r.IntN(2) == 0)
			}
			sleep(time.Duration(r.IntN(200)) * time.Millisecond)
		}
		net.set(net.hang, a, b, false)
		net.set(net.hang, b, a, false)
		sleep(10 * time.Second)
		seen := a.seen()
		for i, d := range seen.doubts {
			if d.suspected != (i%2 == 0) {
				t.Fatalf("call %d says %v again", i, d.suspected)
			}
		}
		if len(seen.doubts) == 0 || len(seen.doubts)%2 != 0 {
			t.Errorf("%d calls", len(seen.doubts))
		}
		if !inOrder(b.numbers("a"), 1, 200) {
			t.Error("something was lost or came out of order")
		}
	})
}

// A real process that is killed is suspected at once, although nothing is asked
// of it; one that is stopped when something is.
func TestDeadAndStoppedProcessesAreSuspected(t *testing.T) {
	a, b, c := startProcess(t, childSettings{ID: "a"}), startProcess(t, childSettings{ID: "b"}), startProcess(t, childSettings{ID: "c"})
	a.members(b, c)
	b.members(a)
	c.members(a)
	a.do("send b 10 100 wait")
	a.do("send c 10 100 wait")
	a.eventually("all is acknowledged", func(r childReport) bool {
		return len(r.Status) == 2 && r.Status[0].Sent+r.Status[1].Sent == 20 && r.Status[0].InFlight+r.Status[1].InFlight == 0
	})
	suspicions := func(n int) func(childReport) bool {
		return func(r childReport) bool { return len(r.Suspicions) == n }
	}
	b.signal(syscall.SIGSTOP)
	at := time.Now()
	a.do("send b 1 100 drop")
	a.eventually("the stopped one is suspected", suspicions(1))
	t.Logf("a stopped process was suspected after %v", time.Since(at))
	b.signal(syscall.SIGCONT)
	a.eventually("it is no longer", suspicions(2))
	at = time.Now()
	c.kill()
	a.eventually("the killed one is suspected", suspicions(3))
	t.Logf("a killed process was suspected after %v", time.Since(at))
}
