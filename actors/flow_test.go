package actors

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

func TestPublishReachesTheWatcher(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	if a := d.add(alice); a.Watching != 1 {
		t.Fatalf("watching %d", a.Watching)
	}
	d.sees(alice, presence.Offline, presence.ActOffline)
	s := w.publish(alice, w.busy())
	d.sees(alice, presence.Busy, presence.ActInACall)
	if _, v := d.get(alice); v != s.Version {
		t.Errorf("the watcher has version %v, the publish was answered with %v", v, s.Version)
	}
	eventually(t, "everything is acknowledged", func() bool { return w.metric("rollcall_acknowledged_total") == 2 })
	if n := w.metric("rollcall_publish_ack_seconds"); n != 1 {
		t.Errorf("%v publish-to-ack samples, want 1", n)
	}
	if got := w.read(bob, alice); got.Version != s.Version || got.State.Availability != presence.Busy {
		t.Errorf("read gives %+v", got)
	}
}

func TestPublishThatChangesNothingVisibleIsSilent(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	d.add(alice)
	first := w.publish(alice, w.busy())
	d.sees(alice, presence.Busy, presence.ActInACall)
	batches, _, _ := d.count()
	again := w.publish(alice, w.busy())
	if again.Version != first.Version {
		t.Errorf("version went from %v to %v", first.Version, again.Version)
	}
	w.publish(alice, w.away())
	d.sees(alice, presence.Away, presence.ActAway)
	if now, _, _ := d.count(); now != batches+1 {
		t.Errorf("%d batches for one visible change", now-batches)
	}
}

// While the store holds a commit back nothing of it is seen: no answer, no
// update, no read.
func TestNothingIsAnnouncedBeforeItIsCommitted(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	d.add(alice)
	w.publish(alice, w.away())
	d.sees(alice, presence.Away, presence.ActAway)
	w.store.hold()
	answered := make(chan Snapshot, 1)
	go func() { answered <- w.publish(alice, w.busy()) }()
	eventually(t, "the commit is on its way", func() bool { return w.store.count() == 2 })
	if s := w.read(bob, alice); s.State.Availability != presence.Away {
		t.Errorf("a reader sees %v before the commit", s.State.Availability)
	}
	if s, _ := d.get(alice); s.Availability != presence.Away {
		t.Errorf("a watcher sees %v before the commit", s.Availability)
	}
	select {
	case s := <-answered:
		t.Errorf("answered %v before the commit", s.Version)
	default:
	}
	w.store.release()
	d.sees(alice, presence.Busy, presence.ActInACall)
	<-answered
}

// Whichever commit of a series fails: its publisher hears of it, nobody sees
// it, and the user goes on from what is stored.
func TestFailedCommitIsNeverAnnounced(t *testing.T) {
	states := []presence.Availability{presence.Busy, presence.Away, presence.Available}
	for n := 1; n <= 5; n++ {
		t.Run(fmt.Sprint("commit ", n), func(t *testing.T) {
			w := start(t)
			w.fast(home)
			d := w.connect(bob, "phone")
			d.add(alice)
			w.store.failNext(n)
			acknowledged := map[presence.Availability]bool{presence.Offline: true}
			failed := 0
			for i := range 6 {
				a := states[i%3]
				if i >= 3 {
					a = states[2-i%3]
				}
				p := w.session(a, map[presence.Availability]presence.Activity{
					presence.Busy: presence.ActInACall, presence.Away: presence.ActAway, presence.Available: presence.ActAvailable,
				}[a])
				_, err := w.System.Publish(context.Background(), alice, p)
				if err != nil {
					failed++
					if !errors.Is(err, messages.ErrInternal) {
						t.Errorf("the publisher was told %v", err)
					}
					before := w.read(bob, alice).State.Availability
					if !acknowledged[before] {
						t.Errorf("after the failure %v is read, which nobody committed", before)
					}
					continue
				}
				acknowledged[a] = true
				if got := w.read(bob, alice).State.Availability; got != a {
					t.Errorf("read %v after %v was acknowledged", got, a)
				}
			}
			if failed != 1 {
				t.Fatalf("%d publishes failed, want 1", failed)
			}
			last := w.read(bob, alice).State
			d.sees(alice, last.Availability, last.Activity)
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, s := range d.history {
				if !acknowledged[s.Availability] {
					t.Errorf("the watcher saw %v, which was never committed", s.Availability)
				}
			}
			if d.stale != 0 {
				t.Errorf("%d versions went back", d.stale)
			}
		})
	}
}

// Publishes of one user that come while a commit is under way share the next.
func TestBurstIsOneWrite(t *testing.T) {
	w := start(t)
	w.fast(home)
	w.publish(alice, w.away())
	w.store.hold()
	const burst = 50
	answers := make(chan error, burst)
	for i := range burst {
		go func() {
			p := w.busy()
			p.Mutations[0].Key = presence.SessionKey(fmt.Sprint("s", i))
			_, err := w.System.Publish(context.Background(), alice, p)
			answers <- err
		}()
	}
	eventually(t, "all publishes are in", func() bool { return w.node.Waiting() == burst })
	eventually(t, "they have reached the actor", func() bool { return w.store.count() == 2 })
	w.store.release()
	for range burst {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if n := w.store.count(); n > 4 {
		t.Errorf("%d publishes took %d commits", burst, n-1)
	}
}

func TestResumeSendsOnlyWhatIsMissing(t *testing.T) {
	w := start(t)
	w.fast(home)
	d := w.connect(bob, "phone")
	d.add(alice, carol)
	d.sees(alice, presence.Offline, presence.ActOffline)
	d.sees(carol, presence.Offline, presence.ActOffline)
	_, items, _ := d.count()
	d.link.Closed()
	w.publish(alice, w.busy())
	w.publish(alice, w.away())
	d.again()
	d.sees(alice, presence.Away, presence.ActAway)
	if !d.welcome().Resumed {
		t.Error("not resumed")
	}
	if _, now, stale := d.count(); now != items+1 || stale != 0 {
		t.Errorf("%d items and %d repeats after the resume, want the newest state of the one that changed", now-items, stale)
	}
	d.link.Closed()
	d.attach("", 0) // a client that has forgotten its session
	eventually(t, "a snapshot comes again", func() bool { _, _, stale := d.count(); return stale >= 1 })
	if d.welcome().Resumed {
		t.Error("resumed without a session")
	}
}

func TestListAndStateSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	w := startIn(t, dir)
	d := w.connect(bob, "phone")
	d.add(alice, dave)
	d.sees(dave, presence.Offline, presence.ActOffline)
	before := w.publish(alice, w.busy())
	d.sees(alice, presence.Busy, presence.ActInACall)
	w.store.stop()
	eventually(t, "the client is told", func() bool { return d.reason() == CloseGoingAway })

	w2 := startIn(t, dir)
	again := w2.connect(bob, "phone")
	again.sees(alice, presence.Busy, presence.ActInACall)
	again.sees(dave, presence.Offline, presence.ActOffline)
	if _, v := again.get(alice); v != before.Version {
		t.Errorf("version %v became %v over the restart", before.Version, v)
	}
	if w2.connect(bob, "tablet").watchingNow() != 0 {
		t.Error("another endpoint has the list too")
	}
}

func (d *device) watchingNow() int { return d.watch(WatchChange{}).Watching }

func TestReplaceAndRemove(t *testing.T) {
	w := start(t)
	w.fast(home, foreign)
	d := w.connect(bob, "phone")
	d.add(alice, carol)
	if a := d.watch(WatchChange{Replace: true, Add: []presence.UserID{carol, dave}}); a.Watching != 2 {
		t.Errorf("watching %d after replace", a.Watching)
	}
	d.sees(dave, presence.Offline, presence.ActOffline)
	if a := d.watch(WatchChange{Remove: []presence.UserID{dave}}); a.Watching != 1 {
		t.Errorf("watching %d after remove", a.Watching)
	}
	w.publish(alice, w.busy())
	w.publish(dave, w.busy())
	w.publish(carol, w.busy())
	d.sees(carol, presence.Busy, presence.ActInACall)
	for _, u := range []presence.UserID{alice, dave} {
		if s, _ := d.get(u); s.Availability == presence.Busy {
			t.Errorf("%s is still seen", u.MRI)
		}
	}
	if w.numbers.find(alice) != nil {
		t.Error("alice is still interned although nobody watches")
	}
}

func TestSuperseded(t *testing.T) {
	w := start(t)
	first := w.connect(bob, "phone")
	second := w.connect(bob, "phone")
	eventually(t, "the first is closed", func() bool { return first.reason() == CloseSuperseded })
	if err := first.link.Watch(1, WatchChange{Add: []presence.UserID{alice}}); err != nil {
		t.Fatal(err)
	}
	first.link.Closed() // its late goodbye must not end the second's connection
	second.add(carol)
	if n := second.watchingNow(); n != 1 {
		t.Errorf("watching %d: the closed connection still has a say", n)
	}
	w.publish(carol, w.busy())
	second.sees(carol, presence.Busy, presence.ActInACall)
}

func TestByeEndsTheSessionAtOnce(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	watcher := w.connect(alice, "desk")
	watcher.add(bob)
	d.publishSession(1, presence.Available, presence.ActAvailable)
	watcher.sees(bob, presence.Available, presence.ActAvailable)
	d.add(carol)
	if err := d.link.Bye(2); err != nil {
		t.Fatal(err)
	}
	watcher.sees(bob, presence.Offline, presence.ActOffline)
	eventually(t, "the connection ends", func() bool { return d.reason() == CloseEnded })
	if n := w.connect(bob, "phone").watchingNow(); n != 0 {
		t.Errorf("the list still has %d", n)
	}
}

func (d *device) publishSession(id uint64, a presence.Availability, act presence.Activity) {
	d.t.Helper()
	now := d.w.clock.now()
	p := put(presence.SessionKey(d.key.ID), presence.Session{
		Availability: a, Activity: act, Device: presence.Web, Leased: true, LastActive: now.UnixMilli(),
	}, now.Add(LeaseTime+PingEvery))
	if err := d.link.Publish(id, p); err != nil {
		d.t.Fatal(err)
	}
	eventually(d.t, "the publish is answered", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		answer, ok := d.answers[id]
		return ok && answer.Err == nil
	})
}

// A session that does not name its device has the endpoint's.
func TestSessionHasTheDeviceOfItsEndpoint(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "tab") // says that it is Web
	p := put(presence.SessionKey("tab"), presence.Session{
		Availability: presence.Busy, Activity: presence.ActBusy, Leased: true,
	}, w.clock.now().Add(LeaseTime))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := d.link.PublishWait(ctx, p); err != nil {
		t.Fatal(err)
	}
	if got := w.read(alice, bob).State.Device; got != presence.Web {
		t.Errorf("device %v", got)
	}
}

func TestReadManyKeepsTheOrder(t *testing.T) {
	w := start(t)
	w.fast(home)
	users := make([]presence.UserID, 650)
	for i := range users {
		users[i] = userAt(home, fmt.Sprint("u", i))
	}
	w.publish(users[649], w.busy())
	got, err := w.ReadMany(t.Context(), bob, users)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range got {
		want := presence.Offline
		if i == 649 {
			want = presence.Busy
		}
		if s.User != users[i] || s.State.Availability != want {
			t.Fatalf("answer %d is %v of %v", i, s.State.Availability, s.User)
		}
	}
}

func TestWatchByURL(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	address := d.welcome().Address
	if _, err := w.Endpoint(alice, address); !errors.Is(err, messages.ErrBadID) {
		t.Errorf("alice may speak for bob's endpoint: %v", err)
	}
	other := address
	other.Org = "elsewhere"
	if _, err := w.Endpoint(bob, other); !errors.Is(err, messages.ErrBadID) {
		t.Errorf("an address with another organisation was found: %v", err)
	}
	l, err := w.Endpoint(bob, address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if a, err := l.WatchWait(ctx, WatchChange{Add: []presence.UserID{alice}}); err != nil || a.Watching != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	d.sees(alice, presence.Offline, presence.ActOffline)
}

// An application that picks a client's endpoint id for its session must not
// take that client's session over.
func TestAppSessionIsApartFromTheClients(t *testing.T) {
	w := start(t)
	d := w.connect(bob, "phone")
	d.publishSession(1, presence.Busy, presence.ActInACall)
	p := w.away()
	p.Mutations[0].Key = presence.AppSessionKey("phone")
	w.publish(bob, p)
	w.publish(bob, Publish{Device: "app", Mutations: []presence.Mutation{{Op: presence.Clear, Key: presence.AppSessionKey("phone"), MustExist: true}}})
	if got := w.read(alice, bob).State.Availability; got != presence.Busy {
		t.Errorf("the client's call is shown as %v", got)
	}
}
