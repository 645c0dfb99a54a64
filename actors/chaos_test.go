package actors

import (
	"fmt"
	"math/rand"
	"sync"
	"testing"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

// A list far larger than the queue arrives whole, wave after wave.
func TestThousandWatches(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	var users []presence.UserID
	for i := range 1000 {
		users = append(users, userAt(home, fmt.Sprint("u", i)))
	}
	for i := 0; i < len(users); i += 200 {
		d.add(users[i : i+200]...)
	}
	eventually(t, "every user is seen", func() bool { _, n, _ := d.count(); return n >= len(users) })
	if w.metric("rollcall_resyncs_total") != 0 {
		t.Error("the queue overflowed")
	}
}

// A client that falls too far behind loses updates, never the state.
func TestOverflowEndsInTheNewestState(t *testing.T) {
	w := start(t)
	w.fast(home)
	d := w.connect(bob, "phone")
	var users []presence.UserID
	for i := range 600 {
		users = append(users, userAt(home, fmt.Sprint("u", i)))
	}
	d.add(users[:300]...)
	d.add(users[300:]...)
	eventually(t, "every user is seen", func() bool { _, n, _ := d.count(); return n >= len(users) })
	d.setDeaf(true)
	for range 2 {
		for _, u := range users {
			w.publish(u, w.busy())
			w.publish(u, w.away())
		}
	}
	d.setDeaf(false)
	d.link.Closed()
	d.again()
	for _, u := range users {
		d.sees(u, presence.Away, presence.ActAway)
	}
	if w.metric("rollcall_resyncs_total") == 0 {
		t.Error("the queue never overflowed: this test shows nothing")
	}
}

// A node short of memory drops what slow clients have not fetched; they end in
// the newest state all the same. Who holds little keeps it.
func TestShedQueuesAreFilledAgain(t *testing.T) {
	w := start(t)
	w.fast(home)
	slow, quick := w.connect(bob, "phone"), w.connect(carol, "phone")
	var users []presence.UserID
	for i := range 100 {
		users = append(users, userAt(home, fmt.Sprint("u", i)))
	}
	slow.add(users...)
	quick.add(users[:2]...)
	eventually(t, "every user is seen", func() bool { _, n, _ := slow.count(); return n >= len(users) })
	slow.setDeaf(true)
	quick.setDeaf(true)
	for range 3 {
		for _, u := range users {
			w.publish(u, w.busy())
			w.publish(u, w.away())
		}
	}
	w.Shed(4 << 10)
	eventually(t, "a queue is dropped", func() bool { return w.metric("rollcall_queue_items") <= 2 })
	for _, d := range []*device{slow, quick} {
		d.setDeaf(false)
		d.link.Closed()
		d.again()
	}
	for _, u := range users {
		slow.sees(u, presence.Away, presence.ActAway)
	}
	quick.sees(users[1], presence.Away, presence.ActAway)
	if n := w.metric("rollcall_resyncs_total"); n != 1 {
		t.Errorf("%v endpoints were given snapshots, want the slow one", n)
	}
}

// Updates that did not even fit into the endpoint's mailbox are found again.
func TestLostUpdatesAreFoundAgain(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	d.add(alice)
	d.sees(alice, presence.Offline, presence.ActOffline)
	s := w.publish(alice, w.busy())
	d.sees(alice, presence.Busy, presence.ActInACall)
	e := w.endpoints.byKey[d.key]
	e.lost.Store(true)
	d.mu.Lock()
	delete(d.versions, alice)
	delete(d.states, alice)
	d.mu.Unlock()
	if err := d.link.Ack(0); err != nil { // any turn will do
		t.Fatal(err)
	}
	d.sees(alice, presence.Busy, presence.ActInACall)
	if _, v := d.get(alice); v != s.Version {
		t.Errorf("version %v, want %v", v, s.Version)
	}
}

// Everybody publishes, watches, unwatches, blocks and reconnects at once. When
// it is quiet every device shows what a fresh read gives, and no version has
// ever gone back.
func TestChaosConverges(t *testing.T) {
	w := start(t)
	w.fast(home, foreign)
	var users []presence.UserID
	for i := range 24 {
		users = append(users, userAt([]presence.TenantID{home, foreign}[i%2], fmt.Sprint("u", i)))
	}
	devices := make([]*device, len(users))
	for i, u := range users {
		devices[i] = w.connect(u, "d")
	}
	var wg sync.WaitGroup
	end := time.Now().Add(3 * time.Second)
	for i := range users {
		wg.Go(func() { live(w, devices[i], users, rand.New(rand.NewSource(int64(i))), end) })
	}
	wg.Wait()
	for _, d := range devices {
		d.watch(WatchChange{Replace: true, Add: users})
	}
	for _, d := range devices {
		for _, u := range users {
			eventually(t, d.key.User.MRI+" shows "+u.MRI+" right", func() bool {
				want := w.read(d.key.User, u).State
				got, v := d.get(u)
				return v != 0 && got.Availability == want.Availability && got.Activity == want.Activity
			})
		}
		if _, _, stale := d.count(); d.back() > 0 {
			t.Errorf("%s saw %d versions go back (%d repeats)", d.key.User.MRI, d.back(), stale)
		}
	}
	eventually(t, "all calls are answered", func() bool { return w.node.Waiting() == 0 })
}

// back counts versions that went back; repeats of the same are fine, they come
// with a new session.
func (d *device) back() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.regressions
}

func live(w *world, d *device, users []presence.UserID, r *rand.Rand, end time.Time) {
	pick := func() presence.UserID { return users[r.Intn(len(users))] }
	for time.Now().Before(end) {
		switch r.Intn(8) {
		case 0, 1:
			w.publish(d.key.User, w.busy())
		case 2:
			w.publish(d.key.User, w.away())
		case 3:
			d.add(pick(), pick(), pick())
		case 4:
			d.watch(WatchChange{Remove: []presence.UserID{pick()}})
		case 5:
			w.publish(d.key.User, block(pick(), r.Intn(2) == 0))
		case 6:
			d.link.Closed()
			d.again()
		case 7:
			d.link.Closed()
			d.attach("", 0)
		}
	}
}

func TestNotifyFromAnotherNode(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	d.add(alice)
	d.sees(alice, presence.Offline, presence.ActOffline)
	_, have := d.get(alice)
	e := w.endpoints.byKey[d.key]
	state, err := messages.FromState(presence.State{Availability: presence.Away, Activity: presence.ActAway}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	n := &messages.Notify{
		Publisher: messages.FromUser(alice), Version: uint64(have) + 1<<16,
		State:     state,
		Endpoints: []uint32{e.number, e.number + 1000},
	}
	w.notified(n)
	d.sees(alice, presence.Away, presence.ActAway)
	w.notified(&messages.Notify{Publisher: &messages.User{Mri: "rubbish"}})
	w.notified(&messages.Notify{Publisher: messages.FromUser(dave), Endpoints: []uint32{e.number}}) // nobody watches
	if w.metric("rollcall_messages_dropped_total") != 1 {
		t.Error("rubbish was not counted")
	}
}
