package bench

import (
	"fmt"
	"testing"
	"time"
)

// nearReal is the rate of publishes nearest to real traffic, in publishes/s.
const nearReal = 200

// BenchmarkLatency is an open loop: publishes are due at fixed moments, whatever
// the node has done by then, and their time runs from those moments. The rates
// are shares of the two saturations found just before: with 64 publishes in
// flight nearly every item is a write of its own, with 1,024 a write carries
// many, which no client gets without waiting for them.
func BenchmarkLatency(b *testing.B) {
	s := load(b)
	n, t := s.mesh(b)
	saturation := map[int]float64{}
	for _, f := range flights {
		b.Run(fmt.Sprintf("saturation/inflight=%d", f), func(b *testing.B) {
			for range b.N {
				t.limit = min(f, s.connections/2)
				m := t.measure(b, &s, n.process)
				m.report(b)
				saturation[f] = m.published / m.seconds
			}
		})
	}
	for _, f := range flights {
		for _, percent := range []float64{20, 60} {
			b.Run(fmt.Sprintf("load=%.0f%%/inflight=%d", percent, f), func(b *testing.B) {
				s.latencyAt(b, n, t, saturation[f]*percent/100)
			})
		}
	}
	b.Run(fmt.Sprintf("publishes=%d", nearReal), func(b *testing.B) {
		s.latencyAt(b, n, t, min(nearReal, float64(s.connections)/2))
	})
}

// BenchmarkLatencyFloor is the floor, one frame a write, at the rate nearest to
// real traffic, where waking up costs more than writing.
func BenchmarkLatencyFloor(b *testing.B) {
	s := load(b)
	p, address := startFloor(b, &s, 1)
	t := newTraffic(gatherAtFloor(b, &s, address), s.watchers)
	b.Run(fmt.Sprintf("publishes=%d", nearReal), func(b *testing.B) {
		for range b.N {
			t.every = int64(float64(time.Second) / min(nearReal, float64(s.connections)/2))
			m := t.measure(b, &s, p)
			m.report(b)
			m.reportLatency(b)
		}
	})
}

func (s *settings) latencyAt(b *testing.B, n *node, t *traffic, rate float64) {
	if rate <= 0 {
		b.Skip("needs the saturation, which was not measured")
	}
	for range b.N {
		before := n.metrics(b)
		t.every = int64(float64(time.Second) / rate)
		save := n.profile(b, fmt.Sprintf("latency-%.0f", rate), s.window)
		m := t.measure(b, s, n.process)
		save()
		m.report(b)
		m.reportLatency(b)
		b.ReportMetric(m.published/m.seconds, "publishes/s")
		n.checkDelivered(b, t.crowd, before)
	}
}
