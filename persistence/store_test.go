package persistence

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/goleak"

	"rollcall/presence"
)

func TestMain(m *testing.M) {
	if crashChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

var (
	contoso = presence.TenantID{1}
	noon    = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
)

func user(t presence.TenantID, n int) presence.UserID {
	return presence.UserID{Tenant: t, MRI: fmt.Sprintf("8:orgid:%08x-0000-4000-8000-000000000000", n)}
}

// testConfig is a store without ballast, so that many fit on a small disk.
func testConfig(t testing.TB) Config {
	return Config{Dir: t.TempDir(), Ballast: -1, Fatal: func(err error) { t.Errorf("fatal: %v", err) }}
}

// movable is a clock that a test moves while the store looks at it.
type movable struct{ ms atomic.Int64 }

func (m *movable) set(t time.Time)     { m.ms.Store(t.UnixMilli()) }
func (m *movable) now() time.Time      { return time.UnixMilli(m.ms.Load()).UTC() }
func (m *movable) add(d time.Duration) { m.ms.Add(d.Milliseconds()) }

func openStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() }) // tests that care close it themselves
	return s
}

// session is an element of one session, and the state that it shows.
func session(v presence.Version, a presence.Availability) (presence.Element, presence.State) {
	e := presence.Element{
		Key: presence.SessionKey("desk"), Stamp: presence.Stamp{Version: v, Node: 7},
		Value: presence.Session{Availability: a, Activity: presence.ActAvailable, Device: presence.Desktop, Leased: true},
	}
	return e, presence.State{Availability: a, Activity: presence.ActAvailable, Device: presence.Desktop}
}

// commitOf is a visible change.
func commitOf(u presence.UserID, v presence.Version, a presence.Availability) Commit {
	e, s := session(v, a)
	return Commit{User: u, Elements: []presence.Element{e}, State: s, Version: v, Feed: &FeedEntry{}}
}

const patience = 20 * time.Second

// await runs an operation that answers through done, and waits for it.
func await(t testing.TB, op func(done func(error))) error {
	t.Helper()
	answer := make(chan error, 2)
	op(func(err error) { answer <- err })
	select {
	case err := <-answer:
		return err
	case <-time.After(patience):
		t.Fatal("no answer")
		return nil
	}
}

func commit(t testing.TB, s *Store, c Commit) {
	t.Helper()
	if err := await(t, func(done func(error)) { s.Commit(c, done) }); err != nil {
		t.Fatalf("commit %s: %v", c.User, err)
	}
}

func load(t testing.TB, s *Store, u presence.UserID) Loaded {
	t.Helper()
	var got Loaded
	err := await(t, func(done func(error)) {
		s.Load(u, func(l Loaded, err error) { got = l; done(err) })
	})
	if err != nil {
		t.Fatalf("load %s: %v", u, err)
	}
	return got
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// held is a disk that waits: the first commit stays inside until release.
type held struct {
	entered chan struct{}
	release chan struct{}
}

func newHeld() *held {
	return &held{entered: make(chan struct{}, 1000), release: make(chan struct{})}
}

func (h *held) commit(txn *badger.Txn) error {
	select {
	case h.entered <- struct{}{}:
	default:
	}
	<-h.release
	return txn.Commit()
}

// receive waits for one value, so that a test that misses it fails at once.
func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
