package actors

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/messages"
	"rollcall/persistence"
	"rollcall/presence"
)

// moodyStore is a memoryStore that refuses at once, in the caller's turn, or
// holds answers back.
type moodyStore struct {
	*memoryStore

	mu        sync.Mutex
	refuse    map[string]error // by method
	calls     map[string]int
	holding   map[string]bool
	held      []func()
	forgiving int // refusals after which a method is served again: ends a test of a loop
}

// moody puts a moody store before the memory of a world.
func moody(w *world, m *memoryStore) *moodyStore {
	s := &moodyStore{memoryStore: m, refuse: map[string]error{}, calls: map[string]int{}, holding: map[string]bool{}, forgiving: 2000}
	w.System.store = s
	return s
}

// enter serves a call: refuse it, hold it, or let it pass.
func (s *moodyStore) enter(method string, refuse func(error), pass func()) {
	s.mu.Lock()
	s.calls[method]++
	err := s.refuse[method]
	if err != nil && s.calls[method] > s.forgiving {
		err = nil
	}
	if s.holding[method] {
		s.held = append(s.held, func() { s.enter(method, refuse, pass) })
		s.calls[method]--
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if err != nil {
		refuse(err)
		return
	}
	pass()
}

func (s *moodyStore) Commit(c persistence.Commit, announced bool, done func(int, error)) {
	method := "commit"
	if c.Version == 0 {
		method = "commit watch" // a list alone
	}
	s.enter(method, func(err error) { done(0, err) }, func() { s.memoryStore.Commit(c, announced, done) })
}

func (s *moodyStore) Load(u presence.UserID, done func(persistence.Loaded, error)) {
	s.enter("load", func(err error) { done(persistence.Loaded{}, err) }, func() { s.memoryStore.Load(u, done) })
}

func (s *moodyStore) LoadWatch(u presence.UserID, endpoint string, done func(presence.Element, bool, error)) {
	s.enter("load watch", func(err error) { done(presence.Element{}, false, err) },
		func() { s.memoryStore.LoadWatch(u, endpoint, done) })
}

func (s *moodyStore) set(method string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse[method], s.calls[method] = err, 0
}

func (s *moodyStore) count(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

func (s *moodyStore) hold(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding[method] = true
}

func (s *moodyStore) release() {
	s.mu.Lock()
	held := s.held
	s.held, s.holding = nil, map[string]bool{}
	s.mu.Unlock()
	for _, call := range held {
		call()
	}
}

// A user that cannot be loaded is tried again, at a pace: neither the processor
// nor Close must suffer, and a watcher gets its state in the end.
func TestFailingLoadIsTriedAtAPace(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		s := moody(w, m)
		d := w.connect(bob, "phone")
		synctest.Wait()
		s.set("load", persistence.ErrOverloaded)
		d.add(alice)
		if _, err := w.Read(t.Context(), bob, carol); err == nil {
			t.Error("a user that cannot be loaded was read")
		}
		wait(30 * time.Second)
		if n := s.count("load"); n > 200 {
			t.Errorf("%d loads in half a minute", n)
		}
		s.set("load", nil)
		wait(5 * time.Second)
		d.wants(alice, presence.Offline, presence.ActOffline)
		w.publish(alice, w.busy())
		d.wants(alice, presence.Busy, presence.ActInACall)
		s.set("load", persistence.ErrOverloaded) // Close must not wait for it
		if _, err := w.Read(t.Context(), bob, dave); err == nil {
			t.Error("a user that cannot be loaded was read")
		}
	})
}

// A store that takes nothing, because the disk is nearly full, does not make
// users whose presence fades spin, and the fade comes when there is room again.
func TestRefusedFadeIsTriedAtAPace(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		s := moody(w, m)
		d := w.connect(bob, "phone")
		d.add(alice)
		w.publish(alice, w.available())
		synctest.Wait()
		s.set("commit", persistence.ErrStorageLow)
		wait(6 * time.Minute)
		if n := s.count("commit"); n == 0 || n > 100 {
			t.Errorf("%d commits in the minute after the fade", n)
		}
		d.wants(alice, presence.Available, presence.ActAvailable)
		s.set("commit", nil)
		wait(5 * time.Second)
		d.wants(alice, presence.AvailableIdle, presence.ActInactive)
	})
}

// Also the very first publish of a user is seen by nobody before it is stored,
// and never if it is not.
func TestFirstPublishIsUnseenBeforeItIsCommitted(t *testing.T) {
	for name, refusal := range map[string]error{"stored": nil, "failed": persistence.ErrStorageLow} {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, w *world, m *memoryStore) {
				s := moody(w, m)
				d := w.connect(bob, "phone")
				synctest.Wait()
				s.hold("commit")
				answered := make(chan error, 1)
				go func() {
					_, err := w.System.Publish(t.Context(), alice, w.busy())
					answered <- err
				}()
				synctest.Wait()
				if got := w.read(bob, alice).State.Availability; got != presence.Offline {
					t.Errorf("a reader sees %v before the commit", got)
				}
				d.add(alice)
				d.wants(alice, presence.Offline, presence.ActOffline)
				s.set("commit", refusal)
				s.release()
				if err := <-answered; (err == nil) != (refusal == nil) {
					t.Errorf("answered %v", err)
				}
				if refusal == nil {
					d.wants(alice, presence.Busy, presence.ActInACall)
				} else {
					d.wants(alice, presence.Offline, presence.ActOffline)
				}
			})
		})
	}
}

// Who is blocked stays so until the end of the block is stored: neither a read
// nor a new watch shows more, and nothing if it never is.
func TestUnblockIsUnseenBeforeItIsCommitted(t *testing.T) {
	for name, refusal := range map[string]error{"stored": nil, "failed": persistence.ErrStorageLow} {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, w *world, m *memoryStore) {
				s := moody(w, m)
				w.fast(home)
				w.publish(alice, w.busy())
				w.publish(alice, block(bob, true))
				d := w.connect(bob, "phone")
				synctest.Wait()
				s.hold("commit")
				for i := range 2 { // the second joins the write that waits
					go func() { _, _ = w.System.Publish(t.Context(), alice, block(bob, i == 1)) }()
					synctest.Wait()
					go func() { _, _ = w.System.Publish(t.Context(), alice, block(bob, false)) }()
					synctest.Wait()
				}
				if got := w.read(bob, alice).State.Availability; got != presence.Offline {
					t.Errorf("bob reads %v while he is blocked", got)
				}
				d.add(alice)
				d.wants(alice, presence.Offline, presence.ActOffline)
				s.set("commit", refusal)
				s.release()
				synctest.Wait()
				if refusal == nil {
					d.wants(alice, presence.Busy, presence.ActInACall)
				} else {
					d.wants(alice, presence.Offline, presence.ActOffline)
				}
				s.set("commit", nil)
				w.publish(alice, block(bob, true))
				d.wants(alice, presence.Offline, presence.ActOffline)
				w.publish(alice, block(bob, false))
				d.wants(alice, presence.Busy, presence.ActInACall)
			})
		})
	}
}

// While a user is read again and so much waits for it that messages are
// refused, a change of policy still takes effect and what its own store answers
// still arrives.
func TestNothingOwedIsLostWhileAUserIsReadAgain(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		s := moody(w, m)
		outsider := w.connect(dave, "phone")
		outsider.add(alice)
		w.publish(alice, w.busy())
		outsider.wants(alice, presence.Busy, presence.ActInACall)
		phone := w.connect(alice, "phone")
		synctest.Wait()
		s.hold("load watch")
		watched := make(chan error, 1)
		go func() {
			_, err := phone.link.WatchWait(t.Context(), WatchChange{Add: []presence.UserID{carol}})
			watched <- err
		}()
		synctest.Wait()
		lists := s.held
		s.held = nil
		s.hold("load")
		s.set("commit", persistence.ErrStorageLow)
		if _, err := w.System.Publish(t.Context(), alice, w.away()); err == nil {
			t.Fatal("a publish that the store refused was answered")
		}
		s.set("commit", nil)
		for range maxStashed + 10 {
			w.node.Ask(userAddress(alice), &messages.Read{Viewer: messages.FromUser(bob)}, time.Minute, func(any, error) {})
		}
		synctest.Wait()
		private := presence.DefaultPolicy(home)
		private.Privacy = true
		if _, err := w.SetPolicy(t.Context(), private); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.holding["load watch"] = false
		s.mu.Unlock()
		for _, answer := range lists {
			answer()
		}
		synctest.Wait()
		s.release()
		synctest.Wait()
		outsider.wants(alice, presence.PresenceUnknown, presence.ActPresenceUnknown)
		if err := <-watched; err != nil {
			t.Errorf("the watch was answered %v", err)
		}
	})
}

// More endpoints than fit wait for one publisher to be loaded: all get its
// state, those whose registration was dropped too.
func TestCrowdWaitsForOneLoad(t *testing.T) {
	virtually(t, func(t *testing.T, w *world, m *memoryStore) {
		s := moody(w, m)
		const crowd = max(maxStashed, relaySize) + 50
		devices := make([]*device, crowd)
		for i := range devices {
			devices[i] = w.connect(userAt(home, fmt.Sprint("viewer", i)), "phone")
		}
		synctest.Wait()
		s.hold("load")
		for _, d := range devices {
			if err := d.link.Watch(1, WatchChange{Add: []presence.UserID{alice}}); err != nil {
				t.Fatal(err)
			}
		}
		wait(10 * time.Millisecond)
		s.release()
		wait(5 * time.Second)
		missing := 0
		for _, d := range devices {
			if _, v := d.get(alice); v == 0 {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("%d endpoints never got the state", missing)
		}
		w.publish(alice, w.busy()) // one fan-out in several parts
		for _, d := range devices {
			d.wants(alice, presence.Busy, presence.ActInACall)
		}
	})
}
