package peers

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/messages"
)

func envelope(change func(*messages.Envelope)) []byte {
	e := &messages.Envelope{
		Protocol: Protocol, Cluster: "test", From: "a", Incarnation: 1, Stream: 1, Seq: 1,
		Routed: []*messages.Routed{{ReplyId: 1}},
	}
	change(e)
	return encode(e).Envelope
}

func TestRefusedEnvelopes(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		bytes  []byte
	}{
		"other cluster":     {"cluster", envelope(func(e *messages.Envelope) { e.Cluster = "other" })},
		"no cluster":        {"cluster", envelope(func(e *messages.Envelope) { e.Cluster = "" })},
		"old protocol":      {"protocol", envelope(func(e *messages.Envelope) { e.Protocol = 0 })},
		"stranger":          {"unknown", envelope(func(e *messages.Envelope) { e.From = "x" })},
		"no sender":         {"unknown", envelope(func(e *messages.Envelope) { e.From = "" })},
		"newer process":     {"unknown", envelope(func(e *messages.Envelope) { e.Incarnation = 2 })},
		"replaced process":  {"stale", envelope(func(e *messages.Envelope) { e.Incarnation = 0 })},
		"own id":            {"self", envelope(func(e *messages.Envelope) { e.From = "b" })},
		"rubbish":           {"decode", []byte("GET / HTTP/1.1\r\n\r\n")},
		"cut":               {"decode", envelope(func(*messages.Envelope) {})[:10]},
		"too large":         {"size", make([]byte, maxEnvelope+1)},
		"too many messages": {"items", slices.Repeat([]byte{4<<3 | 2, 0}, maxItems+1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, n := newFakeNet(t, "a", "b")
				b := n[1]
				know(b, n[0])
				for range 3 {
					b.Peers.receive(c.bytes)
				}
				if got := b.refusals(c.reason); got != 3 {
					t.Errorf("%v refusals by reason of %s", got, c.reason)
				}
				if len(b.numbers("a")) != 0 {
					t.Error("it was handled")
				}
				if logged := strings.Count(b.log.String(), "was refused"); logged != 1 {
					t.Errorf("three refusals were logged %d times:\n%s", logged, b.log.String())
				}
				b.Peers.receive(envelope(func(e *messages.Envelope) { e.Protocol = 99 }))
				if !inOrder(b.numbers("a"), 1, 1) {
					t.Error("what came after it, from a newer node, was not handled")
				}
			})
		})
	}
}

// A node that is heard of a little later than it sends loses nothing, one that
// is heard of much later what it gave up itself.
func TestStrangersAreWaitedFor(t *testing.T) {
	for _, later := range []time.Duration{time.Second, 8 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			_, n := newFakeNet(t, "a", "b")
			a, b := n[0], n[1]
			know(a, b)
			send(t, a, b, 1, 100)
			sleep(later)
			if len(b.numbers("a")) != 0 {
				t.Fatal("a stranger was listened to")
			}
			knowAll(a, b)
			sleep(100 * time.Millisecond)
			if later < meetTime && len(b.numbers("a")) == 0 {
				t.Error("a stranger that is heard of has to wait")
			}
			sleep(10 * time.Second)
			if !inOrder(b.numbers("a"), 1, 100) || len(a.seen().lost)+len(b.seen().lost) != 0 {
				t.Errorf("heard of %v later: %d of 100 arrived, lost %v %v", later, len(b.numbers("a")), a.seen().lost, b.seen().lost)
			}
		})
	}
}

func TestStrangersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := newFakeNet(t, "b")
		b := n[0]
		start := time.Now()
		for i := range 3 * maxStrangers {
			go b.Peers.receive(envelope(func(e *messages.Envelope) { e.From = "x"; e.Incarnation = uint64(i) }))
		}
		synctest.Wait()
		if w := b.strangers.waiting.Load(); w != maxWaits {
			t.Errorf("%d streams are held up", w)
		}
		if len(b.strangers.began) > maxStrangers {
			t.Errorf("%d strangers are remembered", len(b.strangers.began))
		}
		sleep(meetTime)
		synctest.Wait()
		if w := b.strangers.waiting.Load(); w != 0 {
			t.Errorf("after %v still %d are held up", time.Since(start), w)
		}
		for _, want := range []time.Duration{meetTime, 0, 0} {
			start = time.Now()
			b.Peers.receive(envelope(func(e *messages.Envelope) { e.From = "y" }))
			if held := time.Since(start); held != want {
				t.Errorf("held up for %v instead of %v", held, want)
			}
		}
	})
}

// Close does not wait for those that are held up.
func TestCloseEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := newFakeNet(t, "b")
		done := make(chan time.Time)
		go func() {
			n[0].Peers.receive(envelope(func(e *messages.Envelope) { e.From = "x" }))
			done <- time.Now()
		}()
		synctest.Wait()
		start := time.Now()
		n[0].Close()
		if waited := (<-done).Sub(start); waited != 0 {
			t.Errorf("%v", waited)
		}
	})
}

// What was handled is not handled again, also after the peer was away, and what
// comes too early waits for what is missing. A new stream is a loss.
func TestRepeatsGapsAndNewStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		knowAll(a, b)
		from := func(stream, seq, id uint64) {
			b.Peers.receive(envelope(func(e *messages.Envelope) {
				e.Stream, e.Seq = stream, seq
				e.Routed[0].ReplyId = id
			}))
		}
		from(10, 2, 99)
		from(10, 1, 1)
		from(10, 2, 2)
		from(10, 2, 99)
		from(10, 1, 99)
		from(9, 7, 99)
		from(10, 5, 99)
		if !inOrder(b.numbers("a"), 1, 2) || value(b.metrics.duplicates) != 3 || value(b.metrics.early) != 2 {
			t.Errorf("%v, %v repeats, %v early", b.numbers("a"), value(b.metrics.duplicates), value(b.metrics.early))
		}
		from(12, 2, 99)
		if len(b.seen().lost) != 0 {
			t.Error("a loss too early")
		}
		from(12, 1, 3)
		if len(b.seen().lost) != 1 {
			t.Error("a new stream is no loss")
		}
		know(b)
		knowAll(a, b)
		from(12, 1, 99)
		from(12, 2, 4)
		if !inOrder(b.numbers("a"), 1, 4) || len(b.seen().lost) != 1 {
			t.Errorf("%v, lost %v", b.numbers("a"), b.seen().lost)
		}
	})
}

// Acknowledgements of what was never sent, or of another stream, change nothing.
func TestStrangeAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		knowAll(a, b)
		sleep(time.Second)
		net.set(net.swallow, a, b, true)
		send(t, a, b, 1, 3)
		sleep(100 * time.Millisecond)
		o := a.roster.Load().byID["b"].out
		o.mu.Lock()
		stream, seq := o.stream, o.seq
		o.mu.Unlock()
		o.acked(stream, 999)
		o.acked(stream+1, seq)
		o.acked(stream-1, seq)
		if s := peerStatus(a, "b"); s.InFlight != 1 {
			t.Errorf("%+v", s)
		}
		o.acked(stream, seq)
		o.acked(stream, seq)
		o.acked(stream, 0)
		if s := peerStatus(a, "b"); s.InFlight != 0 || flightBytes(a, "b") != 0 {
			t.Errorf("%+v, %d bytes", s, flightBytes(a, "b"))
		}
	})
}

func FuzzReceive(f *testing.F) {
	f.Add(envelope(func(*messages.Envelope) {}))
	f.Add(envelope(func(e *messages.Envelope) {
		e.Notifies = []*messages.Notify{update("p", 3, 1, 2, 3)}
		e.Returned = []*messages.Routed{{Actor: "user/x", Body: []byte("b")}}
		e.Ack, e.AckStream = 3, 4
	}))
	f.Add([]byte{4<<3 | 2, 0, 5<<3 | 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		synctest.Test(t, func(t *testing.T) {
			_, n := newFakeNet(t, "a", "b")
			knowAll(n...)
			n[1].Peers.receive(b)
			n[1].Peers.receive(b)
			items, ok := countItems(b)
			e, reason := decode(b)
			if reason == "" && (!ok || items != len(e.Routed)+len(e.Notifies)+len(e.Returned)) {
				t.Errorf("counted %d, %v; there are %d, %d, %d", items, ok, len(e.Routed), len(e.Notifies), len(e.Returned))
			}
		})
	})
}

// A member that was given up for a moment and sends meanwhile: what was refused
// is sent again as soon as something after it arrives, not after seconds.
func TestWhatIsMissingIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		knowAll(a, b)
		send(t, a, b, 1, 1)
		sleep(time.Second)
		know(b) // b gives a up
		net.cut(b, a.member.Addr)
		send(t, a, b, 2, 1) // b waits for a to be a member again, in vain
		sleep(meetTime + cutAfter/20)
		knowAll(a, b)
		sleep(gapEvery) // b has reached a
		send(t, a, b, 3, 1)
		sleep(2 * gapEvery)
		if !inOrder(b.numbers("a"), 1, 3) {
			t.Errorf("so much has arrived: %v", b.numbers("a"))
		}
	})
}
