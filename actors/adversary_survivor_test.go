package actors

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

// What waits for an endpoint of a user that it no longer watches is not sent.
func TestUnwatchDropsWhatWaits(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		w.fast(home)
		d := w.connect(bob, "phone")
		d.add(alice, carol)
		synctest.Wait()
		d.link.Closed()
		w.publish(alice, w.busy())
		w.publish(carol, w.busy())
		synctest.Wait()
		l, err := w.EndpointOf(d.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.WatchWait(t.Context(), WatchChange{Remove: []presence.UserID{alice}}); err != nil {
			t.Fatal(err)
		}
		d.again()
		d.wants(carol, presence.Busy, presence.ActInACall)
		d.wants(alice, presence.Offline, presence.ActOffline)
	})
}

// A user with very many watchers is announced less often; the last state still
// arrives.
func TestManyWatchersSlowTheFanOut(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		w.fast(home)
		p := *w.rulesOf(home)
		p.Quotas.CoalesceAt, p.Version = 1, 2
		w.System.policies.put(p)
		d := w.connect(bob, "phone")
		d.add(alice)
		synctest.Wait()
		_, before, _ := d.count()
		for i := range 20 {
			if i%2 == 0 {
				w.publish(alice, w.available())
			} else {
				w.publish(alice, w.away())
			}
			wait(500 * time.Millisecond)
		}
		wait(slowInterval * 6 / 5)
		d.wants(alice, presence.Away, presence.ActAway)
		if _, n, _ := d.count(); n-before > paceBurst+3 {
			t.Errorf("%d announcements in ten seconds", n-before)
		}
	})
}

// A publish that repeats what is still being stored is answered with it, not
// before, and refused with it.
func TestRepeatedPublishWaitsForTheCommit(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		s := moody(w, m)
		w.fast(home)
		w.publish(alice, w.away())
		s.hold("commit")
		answers := make(chan error, 2)
		p := w.busy()
		for range 2 {
			go func() {
				_, err := w.System.Publish(t.Context(), alice, p)
				answers <- err
			}()
			synctest.Wait()
		}
		if len(answers) != 0 {
			t.Fatalf("answered %v before the commit", <-answers)
		}
		s.set("commit", persistence.ErrStorageLow)
		s.release()
		for range 2 {
			if err := <-answers; !errors.Is(err, messages.ErrStorageLow) {
				t.Errorf("answered %v", err)
			}
		}
	})
}

// A client that claims batches of this session that were never sent gets a new
// one, with everything.
func TestResumeThatClaimsTooMuchIsANewSession(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, _ *memoryStore) {
		d := w.connect(bob, "phone")
		d.add(alice)
		synctest.Wait()
		first := d.welcome()
		d.link.Closed()
		d.attach(first.Session, 999)
		w.publish(alice, w.busy())
		d.wants(alice, presence.Busy, presence.ActInACall)
		if now := d.welcome(); now.Resumed || now.Session == first.Session || d.reason() != 0 {
			t.Errorf("welcomed with %+v, closed %v", now, d.reason())
		}
	})
}

// The numbers of users that nobody shows any more are used again, so that they
// do not run out; those in use are never given twice.
func TestPublisherNumbersAreUsedAgain(t *testing.T) {
	var p publishers
	p.init()
	kept := p.acquire(alice)
	highest := kept.number
	for range 10 * publisherShards {
		x := p.acquire(bob)
		if x.number == kept.number {
			t.Fatal("two users have one number")
		}
		highest = max(highest, x.number)
		p.release(x)
	}
	if highest > 3*publisherShards {
		t.Errorf("number %d for two users", highest)
	}
}
