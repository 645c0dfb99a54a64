package peers

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/messages"
)

func TestClockFindsWhatIsLate(t *testing.T) {
	var c clock
	now := uint64(1)
	const apart = 1_000_000 // the peer has started earlier
	come := func(took, want uint64) {
		t.Helper()
		if got := c.late(now-took+apart, now); got != want {
			t.Errorf("at %d ms: %d ms late, want %d", now, got, want)
		}
	}
	now = 500
	come(100, 0) // the first one is all that is known
	come(1, 0)
	come(100, 99)
	now += 60_000 // silence
	come(60_000, 59_999)
	now += 5
	come(1, 0)
	now += 60_000
	come(59_000, 58_999)
	now += 60_000 // a minute with nothing but a late one in between
	come(1, 0)
	for i := range uint64(1000) { // its clock loses a millisecond in two seconds
		now += 2000
		if got := c.late(now-1+apart-i, now); got > 10 {
			t.Fatalf("%d ms late by drift", got)
		}
	}
	late := uint64(0)
	for range 300 { // it has been suspended for an hour
		now += 100
		late = c.late(now-1+apart-3_600_000, now)
	}
	if late > 0 {
		t.Errorf("%d ms late after a pause of the peer's clock", late)
	}
}

func FuzzClock(f *testing.F) {
	f.Add(uint64(1), uint64(1), uint64(math.MaxUint64), uint64(1<<63))
	f.Fuzz(func(t *testing.T, a, b, d, e uint64) {
		var c clock
		for i, sent := range []uint64{a, b, d, e} {
			c.late(sent, uint64(i)*20_000+1)
		}
		for now := uint64(100_000); now < 150_000; now += 1000 {
			if late := c.late(now+7, now); now > 125_000 && late != 0 {
				t.Fatalf("%d ms late after rubbish", late)
			}
		}
	})
}

// What arrives after a stall is said to be late, also over a new connection.
func TestEnvelopesSayHowLateTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, n := newFakeNet(t, "a", "b")
		a, b := n[0], n[1]
		knowAll(a, b)
		sleep(time.Second)
		late := map[uint64]uint64{}
		b.config.Receive = func(_ string, e *messages.Envelope) {
			for _, r := range e.Routed {
				late[r.ReplyId] = e.Sent
			}
		}
		send(t, a, b, 1, 1)
		sleep(100 * time.Millisecond)
		net.set(net.hang, a, b, true)
		send(t, a, b, 2, 1)
		sleep(time.Second)
		send(t, a, b, 3, 1)
		sleep(100 * time.Millisecond)
		net.cut(a, "b:1")
		net.set(net.hang, a, b, false)
		sleep(time.Second)
		send(t, a, b, 4, 1)
		sleep(100 * time.Millisecond)
		if late[1] > 5 || late[2] < 1000 || late[3] < 100 || late[3] > 400 || late[4] > 5 {
			t.Errorf("late by %v ms", late)
		}
	})
}
