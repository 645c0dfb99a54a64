package actors

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/persistence"
	"rollcall/presence"
)

// sink is a connection that takes everything and acknowledges it, without a
// socket.
type sink struct {
	link  atomic.Pointer[Link]
	items atomic.Int64
}

func (s *sink) Welcome(Attached) {}
func (s *sink) SendBatch(seq uint64, updates []*Update) {
	for _, u := range updates {
		u.JSON(home)
	}
	s.items.Add(int64(len(updates)))
	if l := s.link.Load(); l != nil {
		_ = l.Ack(seq)
	}
}
func (s *sink) Answer(uint64, Answer) {}
func (s *sink) Flush()                {}
func (s *sink) Ping()                 {}
func (s *sink) LastHeard() time.Time  { return time.Now().Add(time.Hour) }
func (s *sink) Move(Hint)             {}
func (s *sink) Close(CloseReason)     {}

// benchWorld answers commits from memory: what is measured is the actors.
func benchWorld(b *testing.B) *world {
	w := start(b)
	m := &memoryStore{users: map[presence.UserID]persistence.Loaded{}}
	w.System.store = m
	w.fast(home)
	return w
}

func (w *world) sinks(n int) []*sink {
	out := make([]*sink, n)
	for i := range out {
		out[i] = &sink{}
		l, err := w.Attach(context.Background(), Attach{Key: EndpointKey{userAt(home, fmt.Sprint("viewer", i)), "e"}, Conn: out[i]})
		if err != nil {
			w.t.Fatal(err)
		}
		out[i].link.Store(l)
	}
	return out
}

func (w *world) watchAll(sinks []*sink, list func(i int) []presence.UserID) {
	for i, s := range sinks {
		if _, err := s.link.Load().WatchWait(context.Background(), WatchChange{Add: list(i)}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func total(sinks []*sink) (n int64) {
	for _, s := range sinks {
		n += s.items.Load()
	}
	return n
}

// BenchmarkFanOut50 is one publish and its delivery to 50 endpoints that
// acknowledge, without disk and sockets: 64 publishes in flight.
func BenchmarkFanOut50(b *testing.B) {
	w := benchWorld(b)
	const watchers, publishers = 50, 20
	sinks := w.sinks(watchers)
	var users []presence.UserID
	for i := range publishers {
		users = append(users, userAt(home, fmt.Sprint("pub", i)))
	}
	w.watchAll(sinks, func(int) []presence.UserID { return users })
	eventually(b, "the snapshots are there", func() bool { return total(sinks) >= watchers*publishers })
	inFlight := make(chan struct{}, 64)
	b.ReportAllocs()
	b.ResetTimer()
	start := total(sinks)
	for i := range b.N {
		inFlight <- struct{}{}
		p := w.busy()
		if (i/publishers)%2 == 0 {
			p = w.away()
		}
		w.node.Ask(userAddress(users[i%publishers]), p.message(), time.Minute, func(any, error) { <-inFlight })
	}
	for range cap(inFlight) {
		inFlight <- struct{}{}
	}
	b.StopTimer()
	delivered := total(sinks) - start
	b.ReportMetric(float64(delivered)/b.Elapsed().Seconds(), "deliveries/s")
}

// BenchmarkEndpointMemory reports the heap of an endpoint that watches nobody,
// and what 50 watches add to it; without a socket, and without the user actors
// of either side.
func BenchmarkEndpointMemory(b *testing.B) {
	for range b.N {
		w := benchWorld(b)
		const endpoints, each = 4000, 50
		var users []presence.UserID
		for i := range each {
			users = append(users, userAt(home, fmt.Sprint("pub", i)))
		}
		keep := w.sinks(1)
		w.watchAll(keep, func(int) []presence.UserID { return users }) // interned and activated
		before := heap()
		sinks := w.sinks(endpoints)
		w.passivate()
		b.ReportMetric(float64(heap()-before)/endpoints, "B/idle-endpoint")
		w.watchAll(sinks, func(int) []presence.UserID { return users })
		eventually(b, "the snapshots are there", func() bool { return total(sinks) >= endpoints*each })
		w.passivate()
		w.System.store.(*memoryStore).lists = nil
		const registered = endpoints * each * 16 // in the publishers' lists
		b.ReportMetric(float64(heap()-before-registered)/endpoints, "B/endpoint-with-50-watches")
		runtime.KeepAlive(sinks)
	}
}

// BenchmarkUserMemory reports the heap of an active user actor with one session,
// and with 50 endpoints that watch it; without what the endpoints keep and
// without the store.
func BenchmarkUserMemory(b *testing.B) {
	for range b.N {
		w := benchWorld(b)
		w.System.store = forgetful{}
		const watchers, users = 50, 5000
		p := *w.rulesOf(home)
		p.Quotas.WatchesPerEndpoint, p.Version = users, 2
		w.System.policies.put(p)
		sinks := w.sinks(watchers)
		list := make([]presence.UserID, users)
		for i := range list {
			list[i] = userAt(home, fmt.Sprint("pub", i))
		}
		before := heap()
		for _, u := range list {
			w.publish(u, w.busy())
		}
		active := heap()
		b.ReportMetric(float64(active-before)/users, "B/active-user")
		w.watchAll(sinks, func(int) []presence.UserID { return list })
		eventually(b, "the snapshots are there", func() bool { return total(sinks) >= watchers*users })
		eventually(b, "all calls are answered", func() bool { return w.node.Waiting() == 0 })
		lists := 0
		for _, e := range w.endpoints.byKey {
			lists += 16 * cap(e.watches)
		}
		b.ReportMetric(float64(heap()-before-uint64(lists))/users, "B/user-with-50-watchers")
		runtime.KeepAlive(list)
	}
}

// forgetful is a store that keeps nothing.
type forgetful struct{ Store } // handovers are not part of it

func (forgetful) Commit(_ persistence.Commit, _ bool, done func(int, error)) { done(1, nil) }

func (forgetful) Load(_ presence.UserID, done func(persistence.Loaded, error)) {
	done(persistence.Loaded{}, nil)
}

func (forgetful) CommitWatch(_ presence.UserID, _ presence.Element, done func(error)) { done(nil) }

func (forgetful) LoadWatch(_ presence.UserID, _ string, done func(presence.Element, bool, error)) {
	done(presence.Element{}, false, nil)
}

func (forgetful) CommitPolicy(_ presence.Policy, done func(error)) { done(nil) }
func (forgetful) Policies() ([]presence.Policy, error)             { return nil, nil }

func (w *world) rulesOf(t presence.TenantID) *presence.Policy { return &w.System.policies.of(t).Policy }

// passivate lets every user that may go back to the store do so.
func (w *world) passivate() {
	eventually(w.t, "all calls are answered", func() bool { return w.node.Waiting() == 0 })
	for range 700 {
		w.ahead(250 * time.Millisecond)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
