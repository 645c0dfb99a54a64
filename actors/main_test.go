package actors

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/cluster"
	"rollcall/cluster/topology"
	"rollcall/persistence"
	"rollcall/presence"
	"rollcall/trouter"
	"rollcall/wheel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	home    = tenantN(1)
	foreign = tenantN(2)
	alice   = userAt(home, "alice")
	bob     = userAt(home, "bob")
	carol   = userAt(home, "carol")
	dave    = userAt(foreign, "dave")
)

func tenantN(n byte) (t presence.TenantID) {
	t[0], t[15] = 0xaa, n
	return t
}

func userAt(t presence.TenantID, name string) presence.UserID {
	return presence.UserID{Tenant: t, MRI: "8:" + name}
}

func self(id string) topology.Member {
	return topology.Member{ID: id, Incarnation: 1, Roles: topology.Gateway | topology.Presence}
}

// world is one node under test with its clock and its store.
type world struct {
	*System
	t     testing.TB
	store *faultyStore
	wheel *wheel.Wheel
	reg   *prometheus.Registry
	clock *clock
}

// clock is the real one, or one that a test moves.
type clock struct {
	mu    sync.Mutex
	moved time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.moved)
}

// ahead moves time on; the wheel fires what has become due.
func (w *world) ahead(d time.Duration) {
	w.clock.mu.Lock()
	w.clock.moved += d
	w.clock.mu.Unlock()
	w.wheel.Advance(w.clock.now())
}

func start(t testing.TB) *world {
	t.Helper()
	return startIn(t, t.TempDir())
}

func startIn(t testing.TB, dir string) *world {
	t.Helper()
	real, err := persistence.Open(persistence.Config{
		Dir: dir, Log: slog.New(slog.DiscardHandler), Now: time.Now, NoSync: true,
		Ballast: -1, Fatal: func(err error) { t.Errorf("the store failed: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: &clock{}, reg: prometheus.NewRegistry()}
	w.store = &faultyStore{Store: real}
	w.wheel = wheel.New(10*time.Millisecond, 4096)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // the wheel runs on the test's clock
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.wheel.Advance(w.clock.now())
			case <-ctx.Done():
				return
			}
		}
	}()
	w.System, err = New(Config{
		Self: self("n1"), Seed: 7, Store: w.store, Log: slog.New(slog.DiscardHandler), Wheel: w.wheel,
		Now: w.clock.now, Registerer: w.reg, Limits: trouter.DefaultLimits,
	})
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop := func() {
		once.Do(func() {
			w.System.Close()
			cancel()
			if err := real.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	w.store.stop = stop
	t.Cleanup(stop)
	return w
}

var errDisk = errors.New("the disk is on fire")

// faultyStore fails commits when told to and can hold them back.
type faultyStore struct {
	*persistence.Store
	stop func()

	mu      sync.Mutex
	failAt  int // the n-th commit from now fails; 0 none
	holding bool
	held    []func()
	commits int
}

func (f *faultyStore) Commit(c persistence.Commit, announced bool, done func(int, error)) {
	if announced {
		c.Feed = &persistence.FeedEntry{At: time.Now()}
	}
	pass := func() { f.Store.Commit(c, func(err error) { done(1, err) }) }
	f.mu.Lock()
	f.commits++
	fail := f.failAt == 1
	if f.failAt > 0 {
		f.failAt--
	}
	if f.holding && !fail {
		f.held = append(f.held, pass)
		f.mu.Unlock()
		return
	}
	f.mu.Unlock()
	if fail {
		go done(0, errDisk)
		return
	}
	pass()
}

func (f *faultyStore) hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holding = true
}

func (f *faultyStore) release() {
	f.mu.Lock()
	held := f.held
	f.holding, f.held = false, nil
	f.mu.Unlock()
	for _, commit := range held {
		commit()
	}
}

func (f *faultyStore) failNext(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failAt = n
}

func (f *faultyStore) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.commits
}

// Shorthands for what users do.

func put(k presence.Key, v presence.Value, expires time.Time) Publish {
	var ms int64
	if !expires.IsZero() {
		ms = expires.UnixMilli()
	}
	return Publish{Device: "dev", Received: time.Now(), Mutations: []presence.Mutation{{
		Op: presence.Put, Key: k, Value: v, Expires: ms,
	}}}
}

func (w *world) session(a presence.Availability, act presence.Activity) Publish {
	now := w.clock.now()
	return put(presence.SessionKey("s1"), presence.Session{
		Availability: a, Activity: act, App: true, Device: presence.App, LastActive: now.UnixMilli(),
	}, now.Add(4*time.Hour))
}

func (w *world) available() Publish { return w.session(presence.Available, presence.ActAvailable) }
func (w *world) busy() Publish      { return w.session(presence.Busy, presence.ActInACall) }
func (w *world) away() Publish      { return w.session(presence.Away, presence.ActAway) }

func (w *world) publish(u presence.UserID, p Publish) Snapshot {
	w.t.Helper()
	s, err := w.System.Publish(context.Background(), u, p)
	if err != nil {
		w.t.Fatalf("publish: %v", err)
	}
	return s
}

func (w *world) read(viewer, u presence.UserID) Snapshot {
	w.t.Helper()
	s, err := w.System.Read(context.Background(), viewer, u)
	if err != nil {
		w.t.Fatalf("read: %v", err)
	}
	return s
}

// fast lets a tenant publish without limits of rate and pace.
func (w *world) fast(tenants ...presence.TenantID) {
	w.t.Helper()
	for _, t := range tenants {
		p := presence.DefaultPolicy(t)
		p.ChangeInterval = 0
		p.Quotas.DevicePublish = presence.Rate{PerMinute: 1e9, Burst: 1e6}
		p.Quotas.UserPublish = p.Quotas.DevicePublish
		p.Version = 1
		w.System.policies.put(p)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("never happened: " + what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// metric is the value of a counter or gauge, or the count of a histogram.
func (w *world) metric(name string) float64 {
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	w.t.Fatal("no metric " + name)
	return 0
}

func userAddress(u presence.UserID) cluster.Address { return cluster.User(u) }
