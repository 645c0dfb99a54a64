package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// flight is one user's publish, from the moment it was due until every watcher
// has it and the publisher its answer.
type flight struct {
	due      int64 // unix ns
	left     int32 // watchers that have not received it
	answered bool
	open     bool
	next     uint8 // of clientStates
}

// traffic publishes for the users of a crowd and times what comes back. A user
// has one publish under way at most, so that a delivery is known to be its.
type traffic struct {
	crowd    *crowd
	flights  []flight // by user
	watchers int
	cursor   int
	inFlight int

	limit int   // closed loop: publishes in flight
	every int64 // open loop: ns between two publishes
	due   int64 // open loop: the next
	most  int64 // publishes after which no more start; 0: none

	budget int64 // publishes of a measurement at most, 0: any number

	body func(c *client, count int64) []byte // of a request, where the crowd speaks HTTP

	published, deliveries, stray, skipped int64
	refused                               int64 // where onRefused is the crowd's
	toAnswer, toClient                    *hdrhistogram.Histogram
	timing                                bool
	broken                                error
}

// Latencies are kept from 1 us to 60 s with three digits.
func histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }

// newTraffic takes over a crowd whose clients are users 0 to n-1.
func newTraffic(k *crowd, watchers int) *traffic {
	t := &traffic{crowd: k, flights: make([]flight, len(k.clients)), watchers: watchers}
	k.onAnswer, k.onDelivered = t.onAnswer, t.onDelivered
	return t
}

func (t *traffic) publish(due int64) error {
	f := (*flight)(nil)
	for range t.flights {
		if f = &t.flights[t.cursor]; !f.open {
			break
		}
		t.skipped++
		t.cursor = (t.cursor + 1) % len(t.flights)
	}
	if f.open {
		return fmt.Errorf("bench: all %d users have a publish under way", len(t.flights))
	}
	c := t.crowd.clients[t.cursor]
	t.cursor = (t.cursor + 1) % len(t.flights)
	*f = flight{due: due, left: int32(t.watchers), open: true, next: f.next ^ 1}
	t.inFlight++
	t.published++
	if t.body != nil {
		return c.write(t.body(c, t.published))
	}
	return c.send(publishFrame(1, clientStates[f.next]))
}

// wants says whether the closed loop has room for another publish.
func (t *traffic) wants() bool {
	return t.inFlight < t.limit && t.broken == nil && (t.most == 0 || t.published < t.most)
}

func (t *traffic) onAnswer(c *client, now int64) {
	f := &t.flights[c.number]
	if !f.open || f.answered {
		t.stray++
		return
	}
	f.answered = true
	t.record(t.toAnswer, now-f.due)
	t.settle(f, now)
}

// onRefused ends a publish that the node has refused.
func (t *traffic) onRefused(c *client, now int64) {
	f := &t.flights[c.number]
	if !f.open || f.answered {
		t.stray++
		return
	}
	t.refused++
	f.answered, f.left = true, 0
	t.settle(f, now)
}

func (t *traffic) onDelivered(user int, now int64) {
	if user >= len(t.flights) || !t.flights[user].open || t.flights[user].left == 0 {
		t.stray++
		return
	}
	f := &t.flights[user]
	f.left--
	t.deliveries++
	t.record(t.toClient, now-f.due)
	t.settle(f, now)
}

func (t *traffic) record(h *hdrhistogram.Histogram, ns int64) {
	if t.timing {
		_ = h.RecordValue(min(max(ns/1000, 1), 60_000_000)) // within its range
	}
}

func (t *traffic) settle(f *flight, now int64) {
	if f.left > 0 || !f.answered {
		return
	}
	f.open = false
	t.inFlight--
	if t.wants() {
		t.broken = t.publish(now)
	}
}

// run keeps the traffic going for a while.
func (t *traffic) run(d time.Duration) error {
	now := time.Now().UnixNano()
	end := now + int64(d)
	t.due = now
	for ; now < end && t.broken == nil; now = time.Now().UnixNano() {
		next := end
		if t.every > 0 {
			for ; t.due <= now && t.broken == nil; t.due += t.every {
				t.broken = t.publish(t.due)
			}
			next = min(end, t.due)
		}
		for t.wants() {
			t.broken = t.publish(now)
		}
		if err := t.crowd.step(next); err != nil {
			return err
		}
		if t.limit > 0 && t.inFlight == 0 {
			break // the most was reached
		}
	}
	return t.broken
}

// drain waits until everything that was published has arrived everywhere and
// was acknowledged.
func (t *traffic) drain() error {
	t.limit, t.every = 0, 0
	err := t.crowd.until(patience, func() (bool, error) { return t.inFlight == 0, nil })
	if err != nil {
		return fmt.Errorf("%d publishes did not reach everybody: %w", t.inFlight, err)
	}
	return t.crowd.idle(time.Duration(ackLatest) + 100*time.Millisecond)
}

// sample is one measurement.
type sample struct {
	seconds               float64
	published, deliveries float64
	server, load, others  float64 // us of CPU
	writes                float64 // system calls of the server
	toAnswer, toClient    *hdrhistogram.Histogram
}

// measure runs the traffic as it was set: first a while to get going, then for
// the window that counts. What all the processes use is counted.
func (t *traffic) measure(b *testing.B, s *settings, ps ...*process) sample {
	b.Helper()
	t.toAnswer, t.toClient, t.timing = histogram(), histogram(), false
	t.bound(t.budget / 4)
	if err := t.run(s.window / 4); err != nil {
		b.Fatal(err)
	}
	t.timing = true
	t.bound(t.budget)
	published, deliveries := t.published, t.deliveries
	used, writes, began := usageOf(b, ps), writesOf(b, ps), time.Now()
	if err := t.run(s.window); err != nil {
		b.Fatal(err)
	}
	out := sample{
		seconds: time.Since(began).Seconds(), toAnswer: t.toAnswer, toClient: t.toClient,
		published: float64(t.published - published), deliveries: float64(t.deliveries - deliveries),
		writes: writesOf(b, ps) - writes,
	}
	out.charge(usageOf(b, ps).since(used))
	t.timing = false
	if err := t.drain(); err != nil {
		b.Fatal(err)
	}
	if t.stray > 0 {
		b.Errorf("%d answers or deliveries that no publish explains", t.stray)
	}
	return out
}

func (t *traffic) bound(publishes int64) {
	if publishes > 0 {
		t.most = t.published + publishes
	}
}

func (s *sample) charge(u usage) {
	s.server, s.load = float64(u.server.Microseconds()), float64(u.load.Microseconds())
	s.others = float64(u.machine.Microseconds())
}

// reportOthers says how much of the machine went to processes that have nothing
// to do with the measurement: 100 is one CPU.
func (s *sample) reportOthers(b *testing.B) {
	b.ReportMetric(s.others/s.seconds/1e4, "others-cpu-%")
}

func (s *sample) rate() float64 { return s.deliveries / s.seconds }

// report gives the figures of throughput.
func (s *sample) report(b *testing.B) {
	b.ReportMetric(0, "ns/op") // an iteration is a whole window
	b.ReportMetric(s.rate(), "deliveries/s")
	b.ReportMetric(s.server/s.deliveries, "server-us/delivery")
	b.ReportMetric(s.load/s.deliveries, "load-us/delivery")
	s.reportOthers(b)
	if s.writes > 0 {
		b.ReportMetric(s.deliveries/s.writes, "items/write")
	}
}

// reportLatency gives those of time.
func (s *sample) reportLatency(b *testing.B) {
	for _, h := range []struct {
		name string
		h    *hdrhistogram.Histogram
	}{{"answered", s.toAnswer}, {"received", s.toClient}} {
		b.ReportMetric(float64(h.h.ValueAtQuantile(50))/1000, h.name+"-p50-ms")
		b.ReportMetric(float64(h.h.ValueAtQuantile(99))/1000, h.name+"-p99-ms")
	}
}
