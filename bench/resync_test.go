package bench

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// resyncLimit bounds how long a new node may take.
const resyncLimit = 20 * time.Minute

// BenchmarkResync adds an empty node to two that have so many users: it is to
// hold all of them. seconds-to-settle runs from the start of its process until
// nobody has anything that it lacks; meanwhile the clients of the other two go on
// publishing at a fixed rate.
func BenchmarkResync(b *testing.B) {
	s := load(b)
	for range b.N {
		s.resyncOnce(b)
	}
}

func (s *settings) resyncOnce(b *testing.B) {
	i := newIssuer(b)
	f := startFleet(b, s, i, directories(b, 2, s.resync))
	t := newTraffic(gatherAt(b, i, f.nodes, s.connections), 0)
	t.crowd.onRefused = t.onRefused
	every := int64(float64(time.Second) / min(float64(s.rate), float64(s.connections)/2))

	t.every = every
	before := t.measure(b, s, f.processes()...)
	held := f.nodes[0].resident(b)

	t.every, t.toAnswer, t.toClient, t.timing = every, histogram(), histogram(), true
	published := t.published
	dir := filepath.Join(b.TempDir(), "new")
	seed(b, dir, 0)
	holders := f.processes()
	began, used := time.Now(), usageOf(b, holders)
	n := f.add(b, s, i, dir)
	s.awaitSettled(b, t, n)
	m := sample{seconds: time.Since(began).Seconds(), toAnswer: t.toAnswer, published: float64(t.published - published)}
	m.charge(usageOf(b, holders).since(used))
	t.timing = false
	if err := t.drain(); err != nil {
		b.Fatal(err)
	}
	if got := n.metrics(b)["rollcall_copies_users_pulled_total"]; got < float64(s.resync-s.connections) {
		b.Errorf("the new node has fetched %.0f users, want %d", got, s.resync)
	}
	reportResync(b, s, before.toAnswer, &m, t.refused)
	b.ReportMetric(m.server/float64(s.resync), "holders-us/user")
	b.ReportMetric(n.cpu(b).Seconds()*1e6/float64(s.resync), "newcomer-us/user")
	b.ReportMetric(held/(1<<20), "holder-rss-MiB")
	b.ReportMetric(n.resident(b)/(1<<20), "newcomer-rss-MiB")
}

// awaitSettled keeps the traffic going until the new node has everything.
func (s *settings) awaitSettled(b *testing.B, t *traffic, n *node) {
	b.Helper()
	done, stop := make(chan struct{}), make(chan struct{})
	go func() { // ends at stop at the latest, which is waited for below
		defer close(done)
		for {
			if r, err := n.report(); err == nil && r.settled(3) {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	defer func() {
		close(stop)
		<-done
	}()
	for deadline := time.Now().Add(resyncLimit); time.Now().Before(deadline); {
		if err := t.run(50 * time.Millisecond); err != nil {
			b.Error(err)
			return
		}
		select {
		case <-done:
			return
		case <-n.end:
			b.Error("the new node has ended:", n.err)
			return
		default:
		}
	}
	b.Errorf("not settled after %s: %s", resyncLimit, n.get(b, "/admin/v1/cluster"))
}

func reportResync(b *testing.B, s *settings, before *hdrhistogram.Histogram, m *sample, refused int64) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(s.resync), "users")
	b.ReportMetric(m.seconds, "seconds-to-settle")
	b.ReportMetric(float64(s.resync)/m.seconds, "users/s")
	b.ReportMetric(float64(before.ValueAtQuantile(99))/1000, "before-p99-ms")
	b.ReportMetric(float64(m.toAnswer.ValueAtQuantile(50))/1000, "meanwhile-p50-ms")
	b.ReportMetric(float64(m.toAnswer.ValueAtQuantile(99))/1000, "meanwhile-p99-ms")
	b.ReportMetric(float64(refused), "refused")
	m.reportOthers(b)
}
