package actors

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/persistence"
	"rollcall/presence"
	"rollcall/trouter"
	"rollcall/wheel"
)

// virtually runs a test in virtual time: its sleeps cost nothing, timers fire
// exactly when they should.
func virtually(t *testing.T, f func(t *testing.T, w *world, m *memoryStore)) {
	synctest.Test(t, func(t *testing.T) {
		m := &memoryStore{users: map[presence.UserID]persistence.Loaded{}}
		w := &world{t: t, clock: &clock{}, reg: prometheus.NewRegistry(), wheel: wheel.New(10*time.Millisecond, 4096)}
		w.wheel.Start(t.Context())
		var err error
		w.System, err = New(Config{
			Self: self("n1"), Seed: 7, Store: m, Log: slog.New(slog.DiscardHandler), Wheel: w.wheel,
			Now: time.Now, Registerer: w.reg, Limits: trouter.DefaultLimits,
		})
		if err != nil {
			t.Fatal(err)
		}
		f(t, w, m)
		w.System.Close()
		w.wheel.Close()
		time.Sleep(3 * time.Second) // protoactor's throttles end by themselves
	})
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (d *device) wants(u presence.UserID, a presence.Availability, act presence.Activity) {
	d.t.Helper()
	synctest.Wait()
	if s, _ := d.get(u); s.Availability != a || s.Activity != act {
		d.t.Errorf("%s is seen as %v/%v, want %v/%v", u.MRI, s.Availability, s.Activity, a, act)
	}
}

const tickSlack = 20 * time.Millisecond // the wheel is at most a tick late

func TestFadeAndExpiryReachWatchers(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		d := w.connect(bob, "phone")
		d.add(alice)
		w.publish(alice, w.available())
		d.wants(alice, presence.Available, presence.ActAvailable)
		wait(5*time.Minute - tickSlack)
		d.wants(alice, presence.Available, presence.ActAvailable)
		wait(2 * tickSlack)
		d.wants(alice, presence.AvailableIdle, presence.ActInactive)
		wait(5 * time.Minute)
		d.wants(alice, presence.Away, presence.ActAway)
		w.publish(alice, w.available())
		d.wants(alice, presence.Available, presence.ActAvailable)
		wait(4 * time.Hour)
		d.wants(alice, presence.Offline, presence.ActOffline)
		if n := m.announced(); n != 7 {
			t.Errorf("%d changes in the feed, want Available, Idle, Away, Available, Idle, Away, Offline", n)
		}
	})
}

func TestUnacknowledgedBatchIsSentAgain(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		d := w.connect(bob, "phone")
		d.setDeaf(true)
		d.add(alice)
		synctest.Wait()
		sent := []time.Duration{}
		begin := time.Now()
		last := 1
		for time.Since(begin) < 75*time.Second {
			wait(100 * time.Millisecond)
			d.mu.Lock()
			d.heard = time.Now() // alive, but it takes nothing in
			n := d.batches
			d.mu.Unlock()
			if n > last {
				last = n
				sent = append(sent, time.Since(begin).Round(500*time.Millisecond))
			}
		}
		want := []time.Duration{1, 3, 7, 15, 31, 61}
		for i := range want {
			if i >= len(sent) || sent[i] != want[i]*time.Second {
				t.Fatalf("sent again after %v, want after 1, 2, 4, 8, 16, 30 s each", sent)
			}
		}
		if q, f := w.metric("rollcall_queue_items"), w.metric("rollcall_inflight_batches"); q != 0 || f != 1 {
			t.Errorf("gauges say %v queued and %v in flight, want 0 and 1", q, f)
		}
		wait(20 * time.Second)
		if d.reason() != CloseSlow {
			t.Errorf("after 90 s without an acknowledgement: reason %v, want slow", d.reason())
		}
		d.setDeaf(false)
		d.again()
		d.wants(alice, presence.Offline, presence.ActOffline)
		wait(2 * time.Second) // the first repeat may reach the client before it has its link
		if f := w.metric("rollcall_inflight_batches"); f != 0 {
			t.Errorf("%v batches in flight after the acknowledgement", f)
		}
	})
}

func TestSilentConnectionIsClosedAndItsSessionEnds(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		watcher := w.connect(alice, "desk")
		watcher.add(bob)
		d := w.connect(bob, "phone")
		d.publishSession(1, presence.Available, presence.ActAvailable)
		watcher.wants(bob, presence.Available, presence.ActAvailable)
		wait(4 * time.Minute)
		watcher.wants(bob, presence.Available, presence.ActAvailable) // pings keep it alive
		d.setDeaf(true)
		wait(SilentAfter + PingEvery*6/5 + tickSlack)
		if d.reason() != CloseSilent {
			t.Fatalf("reason %v, want silent", d.reason())
		}
		wait(15*time.Second + tickSlack)
		watcher.wants(bob, presence.Offline, presence.ActOffline)
	})
}

// A connection that comes back within the grace turns nobody offline, however
// often it does.
func TestFlickeringConnectionStaysOnline(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		watcher := w.connect(alice, "desk")
		watcher.add(bob)
		d := w.connect(bob, "phone")
		d.publishSession(1, presence.Busy, presence.ActInACall)
		synctest.Wait()
		_, items, _ := watcher.count()
		for range 20 {
			d.link.Closed()
			wait(14 * time.Second)
			d.again()
			wait(time.Second)
		}
		watcher.wants(bob, presence.Busy, presence.ActInACall)
		if _, now, _ := watcher.count(); now != items {
			t.Errorf("%d changes were announced while the line flickered", now-items)
		}
		d.link.Closed()
		wait(15*time.Second + tickSlack)
		watcher.wants(bob, presence.Offline, presence.ActOffline)
	})
}

func TestEndpointEndsAfterItsGrace(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		d := w.connect(bob, "phone")
		d.add(alice)
		d.link.Closed()
		wait(EndpointGrace + tickSlack)
		if n := len(w.endpoints.byKey); n != 0 {
			t.Errorf("%d endpoints after the grace", n)
		}
		if w.numbers.find(alice) != nil {
			t.Error("its watches are still interned")
		}
		d.again()
		if d.welcome().Resumed {
			t.Error("resumed an endpoint that had ended")
		}
		w.publish(alice, w.busy())
		d.wants(alice, presence.Busy, presence.ActInACall) // the list is durable
	})
}

// Ten changes a second for a minute: a watcher gets at most 32, and the last
// one is right soon after.
func TestFlappingIsPaced(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		w.fast(home)
		p := presence.DefaultPolicy(home)
		p.Quotas.DevicePublish, p.Quotas.UserPublish = presence.Rate{PerMinute: 1e9, Burst: 1e6}, presence.Rate{PerMinute: 1e9, Burst: 1e6}
		p.Version = 2
		w.System.policies.put(p)
		d := w.connect(bob, "phone")
		d.add(alice)
		synctest.Wait()
		_, before, _ := d.count()
		for i := range 600 {
			if i%2 == 0 {
				w.publish(alice, w.away())
			} else {
				w.publish(alice, w.available())
			}
			wait(100 * time.Millisecond)
		}
		w.publish(alice, w.away())
		wait(2500 * time.Millisecond)
		d.wants(alice, presence.Away, presence.ActAway)
		if _, n, _ := d.count(); n-before > 32 {
			t.Errorf("%d notifications in a minute, want at most 32", n-before)
		}
		// A call does not wait its turn.
		w.publish(alice, w.available())
		w.publish(alice, w.away())
		w.publish(alice, w.available())
		w.publish(alice, w.busy())
		d.wants(alice, presence.Busy, presence.ActInACall)
	})
}

func TestUserPassivatesAndComesBack(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		w.publish(alice, w.busy())
		w.publish(carol, put(presence.PreferredKey, presence.Preferred{
			Availability: presence.Away, Activity: presence.ActAway}, time.Time{}))
		d := w.connect(bob, "phone")
		d.add(dave)
		wait(3 * time.Minute)
		if w.metric("rollcall_actor_active") != 2 {
			t.Errorf("%v users in memory, want alice, whose session will end, and dave, who is watched", w.metric("rollcall_actor_active"))
		}
		wait(5 * time.Hour)
		loads := m.loads
		if got := w.read(bob, alice); got.State.Availability != presence.Offline || got.Version == 0 {
			t.Errorf("read gives %+v", got)
		}
		if m.loads != loads+1 {
			t.Error("alice's expired session still held her in memory")
		}
		w.publish(alice, w.busy())
		if got := w.read(bob, alice).State.Availability; got != presence.Busy {
			t.Errorf("%v after she came back", got)
		}
	})
}

// A session whose lease has ended stays ended when its user is loaded again;
// one whose owner died with it gets a lease to come back.
func TestOnlyUnendedLeasesGetAGrace(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		d := w.connect(bob, "phone")
		d.publishSession(1, presence.Busy, presence.ActInACall)
		wait(time.Hour) // renewed all the time, never stored again
		if e, _ := m.stored(bob).Get(presence.SessionKey("phone")); e.Live(time.Now()) {
			t.Fatal("renewals are stored: this test shows nothing")
		}
		orphan := m.users[bob]
		d.link.Closed()
		wait(5 * time.Minute)
		if e, _ := m.stored(bob).Get(presence.SessionKey("phone")); e.Value != nil {
			t.Error("the end of the lease is not stored")
		}
		wait(5 * time.Minute)
		if w.metric("rollcall_actor_active") != 0 {
			t.Fatal("bob is still in memory")
		}
		if got := w.read(alice, bob).State.Availability; got != presence.Offline {
			t.Errorf("a session that had ended is shown as %v", got)
		}
		m.users[carol] = orphan // as after a kill while he was connected
		for range 2 {           // the first read may be answered with what was stored
			if got := w.read(alice, carol).State.Availability; got != presence.Busy {
				t.Errorf("after the owner's death %v is shown, want a grace", got)
			}
			wait(time.Second)
		}
		wait(LeaseTime + tickSlack)
		if got := w.read(alice, carol).State.Availability; got != presence.Offline {
			t.Errorf("after the grace %v is shown", got)
		}
	})
}

func (m *memoryStore) stored(u presence.UserID) *presence.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.users[u].Record
	r = r.Clone()
	return &r
}

// A node that was down while a session ended announces it when it is woken.
func TestWakeAnnouncesWhatTimeHasChanged(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		var r presence.Record
		at := presence.Stamp{Version: presence.Version(time.Now().UnixMilli() << 16), Node: 1}
		_, err := r.Apply(w.busy().Mutations, at, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		state, next := presence.Aggregate(&r, time.Now(), presence.DefaultRules)
		m.users[alice] = persistence.Loaded{Record: r, State: state, Version: at.Version, Wake: next, Found: true}
		wait(5 * time.Hour)
		if err := w.Wake(alice); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if m.announced() != 1 || m.users[alice].State.Availability != presence.Offline {
			t.Errorf("%d changes, stored %v", m.announced(), m.users[alice].State.Availability)
		}
	})
}
