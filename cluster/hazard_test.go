package cluster

import (
	"errors"
	"testing"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

// userOf is a user of a shard that fits.
func userOf(t *testing.T, fits func(u presence.UserID) bool) presence.UserID {
	t.Helper()
	for i := range 10_000 {
		if u := userN(i); fits(u) {
			return u
		}
	}
	t.Fatal("no such user")
	return presence.UserID{}
}

// A member with leftovers of a shard does not end the handover by another.
func TestOnlyTheHolderEndsAHandover(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a, _ := w.add("a", 1), w.add("b", 1)
		w.members("a b", "a", "b")
		w.settled("a", "b")
		a.block = make(chan struct{})
		c := w.add("c", 1)
		w.members("a b c", "a", "b", "c")
		time.Sleep(50 * time.Millisecond)
		u := userOf(t, func(u presence.UserID) bool { return c.shards.of(u.Shard()) == taking })
		c.onHandoffEnd("b", &messages.HandoffEnd{Shard: uint32(u.Shard())})
		c.onHandoffEnd("x", &messages.HandoffEnd{Shard: uint32(u.Shard())})
		if s := c.shards.of(u.Shard()); s != taking {
			t.Errorf("state %d after an end that is not the holder's", s)
		}
		close(a.block)
		w.settled("a", "b", "c")
	})
}

// The death of the one who was to hand a shard over is announced: who watches
// its users has to register again.
func TestTakeoverFromTheDeadIsAnnounced(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a := w.add("a", 1)
		w.members("a", "a")
		a.block = make(chan struct{})
		b := w.add("b", 1)
		w.members("a b", "a", "b")
		time.Sleep(10 * time.Millisecond)
		w.kill(a)
		close(a.block)
		w.members("b", "b")
		w.settled("b")
		if b.serving.Load() == 0 {
			t.Error("nobody was told")
		}
	})
}

// What is handed over fails at once when the shard comes back, and is not sent
// to the one that hands it over.
func TestHandOverToOneself(t *testing.T) {
	n := startNode(t, "a", echoes("a"))
	got := make(chan error, 1)
	at := time.Now()
	n.HandOver(User(userN(1)), &messages.Adopt{}, 10*time.Second, func(_ any, err error) { got <- err })
	if err := <-got; !errors.Is(err, ErrMoved) || time.Since(at) > time.Second {
		t.Errorf("%v after %v", err, time.Since(at))
	}
}

// An answer finds a caller that the answering node hears of a little later: the
// question may have come by way of a third.
func TestAnswersWaitForTheirCaller(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a, c := w.add("a", 1), w.add("c", 1)
		w.members("a", "a")
		w.members("c", "a", "c")
		got := make(chan error, 1)
		id, err := c.calls.add(func(_ any, err error) { got <- err }, &parcel{to: User(userN(1)), until: time.Now().Add(5 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		(*answers)(a.Node).SendUserMessage(c.callPID(id), &messages.Published{})
		time.Sleep(300 * time.Millisecond)
		w.members("a", "a", "c")
		if err := <-got; err != nil {
			t.Error(err)
		}
		w.settled("a", "c")
	})
}

// A call that waited in a mailbox whose actor has moved is sent again when its
// new owner dies.
func TestCallsThatMoveAreStillWatched(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a, b := w.add("a", 1), w.add("b", 1)
		w.members("a", "a")
		w.members("b", "a-", "b")
		time.Sleep(10 * time.Millisecond)
		u := userN(1)
		id, err := a.calls.add(func(any, error) {}, &parcel{to: User(u), until: time.Now().Add(5 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		at := "b"
		p := &parcel{to: User(u), msg: &messages.Publish{Id: 1}, sender: a.callPID(id)}
		if !a.calls.carryOn(p) {
			t.Fatal("the call is not known")
		}
		p.at.Store(&at)
		w.kill(b)
		a.calls.gone(map[string]bool{"b": true})
		time.Sleep(time.Second)
		if a.Waiting() != 0 {
			t.Error("the call still waits for the dead")
		}
		if a.calls.carryOn(p) {
			t.Error("a call that has ended goes on")
		}
	})
}

// An owner that does not answer does not hold up what is handed to others.
func TestHungOwnerDelaysNobodyElse(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a := w.add("a", 1)
		w.members("a", "a")
		w.add("b", 1)
		w.add("c", 1)
		w.part("a", "c", true)
		w.members("a b c", "a", "b", "c")
		time.Sleep(12 * time.Second)
		left := 0
		for i := range uint16(presence.Shards) {
			if o, _ := a.Table().Owner(i); o.ID == "b" && a.shards.of(i) != gone {
				left++
			}
		}
		if left > 0 {
			t.Errorf("%d shards of another owner were not handed over in 12 s", left)
		}
		w.part("a", "c", false)
		w.settled("a", "b", "c")
	})
}

// What its caller has given up is not handled any more, wherever it waited.
func TestDeadlinesTravel(t *testing.T) {
	inNetwork(t, func(t *testing.T, w *network) {
		a := w.add("a", 1)
		w.members("a", "a")
		a.block = make(chan struct{})
		b := w.add("b", 1)
		w.members("a b", "a", "b")
		time.Sleep(100 * time.Millisecond)
		u := userOf(t, func(u presence.UserID) bool { return b.shards.of(u.Shard()) == taking })
		if _, err := a.read(u, 200*time.Millisecond); err == nil {
			t.Fatal("it was answered in the middle of a handover")
		}
		if b.shards.kept == 0 {
			t.Fatal("it was not kept")
		}
		time.Sleep(200 * time.Millisecond)
		close(a.block)
		w.settled("a", "b")
		if w.count(User(u)) != 0 {
			t.Error("it was handled although nobody waited")
		}
	})
}
