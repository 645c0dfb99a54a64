package persistence

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/presence"
)

var errDisk = errors.New("input/output error")

// A disk that fails at the n-th commit: nothing of it is announced, its
// callers hear of it, and the store takes no more.
func TestStorageErrorEndsTheStore(t *testing.T) {
	const good = 3
	var (
		commits atomic.Int32
		fatal   = make(chan error, 10)
	)
	cfg := testConfig(t)
	cfg.Fatal = func(err error) { fatal <- err }
	cfg.faults.commit = func(txn *badger.Txn) error {
		if commits.Add(1) > good {
			return errDisk
		}
		return txn.Commit()
	}
	s := openStore(t, cfg)
	alice := user(contoso, 1)
	announce(t, s, alice, 1, good)
	end := s.FeedEnd(contoso)
	waiting := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { waiting <- s.FeedWait(ctx, contoso, end) }()

	for v := presence.Version(good + 1); v < good+4; v++ {
		err := await(t, func(done func(error)) { s.Commit(commitOf(alice, v, presence.Away), done) })
		if !errors.Is(err, ErrFailed) || !errors.Is(err, errDisk) {
			t.Errorf("commit %d answered %v, want ErrFailed and its cause", v, err)
		}
	}
	if s.FeedEnd(contoso) != end {
		t.Error("the feed's end moved by a commit that failed")
	}
	cancel()
	if err := receive(t, waiting); !errors.Is(err, context.Canceled) {
		t.Errorf("a follower was woken: %v", err)
	}
	if s.Writable() {
		t.Error("a failed store calls itself writable")
	}
	err := await(t, func(done func(error)) { s.Load(alice, func(_ Loaded, err error) { done(err) }) })
	if !errors.Is(err, ErrFailed) {
		t.Errorf("load answered %v, want ErrFailed", err)
	}
	if err := s.Close(); !errors.Is(err, errDisk) {
		t.Errorf("close answered %v, want the cause", err)
	}
	if n := len(fatal); n != 1 {
		t.Errorf("fatal was called %d times", n)
	}
}

func TestFullQueueRefusesAndWhatWasQueuedIsStored(t *testing.T) {
	hold := newHeld()
	cfg := testConfig(t)
	cfg.faults.commit = hold.commit
	s := openStore(t, cfg)
	var (
		wg     sync.WaitGroup
		stored atomic.Int32
	)
	send := func(n int) {
		wg.Add(1)
		s.Commit(commitOf(user(contoso, n), 1, presence.Busy), func(err error) {
			if err == nil {
				stored.Add(1)
			}
			wg.Done()
		})
	}
	send(0)
	receive(t, hold.entered)
	for n := range maxQueued {
		send(n + 1)
	}
	over := user(contoso, maxQueued+1)
	err := await(t, func(done func(error)) { s.Commit(commitOf(over, 1, presence.Busy), done) })
	if !errors.Is(err, ErrOverloaded) {
		t.Errorf("beyond the queue: %v, want ErrOverloaded", err)
	}
	close(hold.release)
	wg.Wait()
	if n := stored.Load(); n != maxQueued+1 {
		t.Errorf("%d stored, want %d", n, maxQueued+1)
	}
	if load(t, s, over).Found {
		t.Error("the refused commit is stored")
	}
	if !load(t, s, user(contoso, maxQueued)).Found {
		t.Error("the last queued commit is not stored")
	}
}

func TestLoadsBeyondTheQueueAreRefused(t *testing.T) {
	s := openStore(t, testConfig(t))
	release := make(chan struct{})
	entered := make(chan struct{})
	var wg sync.WaitGroup
	for range readers {
		wg.Add(1)
		s.Load(user(contoso, 1), func(Loaded, error) { close(entered); <-release; wg.Done() })
		<-entered
		entered = make(chan struct{})
	}
	for range maxLoads {
		wg.Add(1)
		s.Load(user(contoso, 1), func(_ Loaded, err error) {
			if err != nil {
				t.Errorf("queued load: %v", err)
			}
			wg.Done()
		})
	}
	err := await(t, func(done func(error)) { s.Load(user(contoso, 1), func(_ Loaded, err error) { done(err) }) })
	if !errors.Is(err, ErrOverloaded) {
		t.Errorf("beyond the queue: %v, want ErrOverloaded", err)
	}
	close(release)
	wg.Wait()
}

func TestCloseStoresWhatIsQueuedAndRefusesTheRest(t *testing.T) {
	const queued = 1000
	hold := newHeld()
	cfg := testConfig(t)
	cfg.faults.commit = hold.commit
	s := openStore(t, cfg)
	var failed atomic.Int32
	for n := range queued {
		s.Commit(commitOf(user(contoso, n), 1, presence.Busy), func(err error) {
			if err != nil {
				failed.Add(1)
			}
		})
	}
	receive(t, hold.entered)
	close(hold.release)
	closeStore(t, s)
	if n := failed.Load(); n != 0 {
		t.Errorf("%d queued commits failed", n)
	}
	for name, op := range map[string]func(done func(error)){
		"commit": func(done func(error)) { s.Commit(commitOf(user(contoso, 1), 2, presence.Away), done) },
		"absorb": func(done func(error)) {
			s.Absorb([]Commit{commitOf(user(contoso, 1), 2, presence.Away)}, nil, func(_ []bool, err error) { done(err) })
		},
		"drop":      func(done func(error)) { s.Drop(1, 0, func(_ bool, err error) { done(err) }) },
		"copy":      func(done func(error)) { _, _, err := s.Copy(user(contoso, 1)); done(err) },
		"have":      func(done func(error)) { _, err := s.Have(1); done(err) },
		"policy":    func(done func(error)) { s.CommitPolicy(presence.DefaultPolicy(contoso), done) },
		"load":      func(done func(error)) { s.Load(user(contoso, 1), func(_ Loaded, err error) { done(err) }) },
		"endpoints": func(done func(error)) { s.Endpoints(user(contoso, 1), func(_ []string, err error) { done(err) }) },
		"policies":  func(done func(error)) { _, err := s.Policies(); done(err) },
	} {
		if err := await(t, op); !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
	cfg.faults.commit = nil
	s = openStore(t, cfg)
	if !load(t, s, user(contoso, queued-1)).Found {
		t.Error("the last queued commit is not stored")
	}
	closeStore(t, s)
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// Lists near the largest size do not fit into one transaction together.
func TestLargeCommitsAreSplitOverTransactions(t *testing.T) {
	const lists = 40
	hold := newHeld()
	cfg := testConfig(t)
	cfg.faults.commit = hold.commit
	s := openStore(t, cfg)
	targets := make([]presence.UserID, presence.MaxTargets)
	for n := range targets {
		targets[n] = user(contoso, n)
	}
	e := presence.Element{Key: presence.WatchKey("e"), Stamp: presence.Stamp{Version: 1}, Value: presence.NewWatch(targets)}
	answers := make(chan error, lists)
	for n := range lists {
		s.Commit(Commit{User: user(contoso, n), Elements: []presence.Element{e}}, func(err error) { answers <- err })
	}
	close(hold.release)
	for range lists {
		if err := receive(t, answers); err != nil {
			t.Fatal(err)
		}
	}
	for n := range lists {
		if got, _ := loadWatch(t, s, user(contoso, n), "e"); len(got.Value.(presence.Watch).Targets) != len(targets) {
			t.Fatalf("list %d came back with another length", n)
		}
	}
	if got := len(hold.entered); got < 3 {
		t.Errorf("%d transactions, want several", got)
	}
}

func TestMetricsAreThereWhileTheStoreIsOpen(t *testing.T) {
	cfg := testConfig(t)
	registry := prometheus.NewRegistry()
	cfg.Registerer = registry
	for range 2 { // a second store finds the names free again
		s := openStore(t, cfg)
		announce(t, s, user(contoso, 1), 1, 2)
		load(t, s, user(contoso, 1))
		got := map[string]float64{}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			m := f.GetMetric()[0]
			got[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
		if got["rollcall_store_commits_total"] != 2 || got["rollcall_store_loads_total"] != 1 || got["rollcall_store_writable"] != 1 {
			t.Errorf("metrics %v", got)
		}
		if got["rollcall_store_feed_bytes"] == 0 {
			t.Error("the feed has no bytes")
		}
		closeStore(t, s)
	}
}
