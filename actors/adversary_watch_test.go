package actors

import (
	"testing"
	"testing/synctest"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

// A user actor that panics forgets who watches it; the endpoints register again
// and miss nothing.
func TestWatchersSurviveAPanicOfThePublisher(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		w.fast(home)
		d := w.connect(bob, "phone")
		d.add(alice, carol)
		w.publish(alice, w.busy())
		d.wants(alice, presence.Busy, presence.ActInACall)
		if err := w.node.Tell(userAddress(alice), committed{}); err != nil { // of no commit
			t.Fatal(err)
		}
		synctest.Wait()
		if w.metric("rollcall_actor_panics_total") != 1 {
			t.Fatal("no panic: this test shows nothing")
		}
		wait(5 * time.Second)
		w.publish(alice, w.away())
		d.wants(alice, presence.Away, presence.ActAway)
		if d.back() > 0 {
			t.Error("a version went back")
		}
	})
}

// Bye ends the session at once, also of a client that has used up its rate.
func TestByeIsNotHeldBackByTheRate(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		watcher := w.connect(alice, "desk")
		watcher.add(bob)
		d := w.connect(bob, "phone")
		burst := presence.DefaultQuotas.DevicePublish.Burst
		for i := range burst {
			p := put(presence.SessionKey("phone"), presence.Session{
				Availability: presence.Busy, Activity: presence.ActInACall, Device: presence.Web, Leased: true,
				LastActive: w.clock.now().UnixMilli(),
			}, w.clock.now().Add(LeaseTime+PingEvery))
			p.Device = d.key.ID
			if err := d.link.Publish(uint64(i+1), p); err != nil {
				t.Fatal(err)
			}
		}
		watcher.wants(bob, presence.Busy, presence.ActInACall)
		if err := d.link.Bye(9); err != nil {
			t.Fatal(err)
		}
		watcher.wants(bob, presence.Offline, presence.ActOffline)
	})
}

// register speaks for an endpoint, as another gateway or a lost message would.
func (w *world) register(publisher, viewer presence.UserID, gateway string, endpoint uint32) {
	w.t.Helper()
	err := w.node.Tell(userAddress(publisher), &messages.Register{
		Viewer: messages.FromUser(viewer), Gateway: gateway, Endpoint: endpoint,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// A registration whose end was lost does not hold its publisher in memory for
// ever: with the next update it is found out.
func TestLostUnregisterIsFoundOut(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		w.fast(home)
		d := w.connect(bob, "phone")
		synctest.Wait()
		number := w.endpoints.byKey[d.key].number
		w.register(alice, bob, "n1#1", number)      // does not watch alice
		w.register(carol, bob, "n1#1", number+1000) // is no more
		other := w.connect(dave, "phone")
		other.add(carol) // somebody shows carol
		preferred := func(a presence.Availability, act presence.Activity) Publish {
			return put(presence.PreferredKey, presence.Preferred{Availability: a, Activity: act}, time.Time{})
		}
		session := w.busy()
		session.Mutations[0].Expires = w.clock.now().Add(6 * time.Minute).UnixMilli()
		for _, u := range []presence.UserID{alice, carol} {
			w.publish(u, session)
			w.publish(u, preferred(presence.Away, presence.ActAway))
		}
		other.watch(WatchChange{Replace: true})
		wait(12 * time.Minute)
		if n := w.metric("rollcall_actor_active"); n != 0 {
			t.Errorf("%v users are in memory, nobody watches them", n)
		}
	})
}

// A watcher that was refused leaves nothing behind.
func TestRefusedWatcherLeavesNothing(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		p := presence.DefaultPolicy(home)
		p.Quotas.Watchers, p.Version = 1, 1
		w.System.policies.put(p)
		d := w.connect(bob, "phone")
		d.add(alice)
		synctest.Wait()
		w.join(&stranger{})
		w.register(alice, carol, "n2#1", 1)
		if w.metric("rollcall_publisher_full_total") != 1 {
			t.Fatal("not refused")
		}
		d.watch(WatchChange{Replace: true})
		wait(5 * time.Minute)
		if n := w.metric("rollcall_actor_active"); n != 0 {
			t.Errorf("%v users are in memory, nobody watches them", n)
		}
	})
}

// A connection that arrives while the node goes away is told so.
func TestAttachWhileTheNodeCloses(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	e := w.endpoints.byKey[d.key]
	w.endpoints.closeAll()
	eventually(t, "the client is told", func() bool { return d.reason() == CloseGoingAway })
	late := w.device(bob, "phone")
	done := make(chan *Link, 1)
	if err := e.mailbox.Post(&attach{Attach: Attach{Key: late.key, Conn: late}, done: done}); err != nil {
		t.Fatal(err)
	}
	if l := <-done; l != nil {
		t.Error("a node that goes away has taken a connection")
	}
}
