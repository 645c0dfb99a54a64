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
// are shares of the saturation found just before.
func BenchmarkLatency(b *testing.B) {
	s := load(b)
	n, t := s.mesh(b)
	saturation := 0.0
	b.Run("saturation", func(b *testing.B) {
		for range b.N {
			t.limit = min(1024, s.connections/2)
			m := t.measure(b, &s, n.process)
			m.report(b)
			saturation = m.published / m.seconds
		}
	})
	at := func(name string, rate float64) {
		b.Run(name, func(b *testing.B) {
			if rate <= 0 {
				b.Skip("needs the saturation, which was not measured")
			}
			for range b.N {
				before := n.metrics(b)
				t.every = int64(float64(time.Second) / rate)
				m := t.measure(b, &s, n.process)
				m.report(b)
				m.reportLatency(b)
				b.ReportMetric(m.published/m.seconds, "publishes/s")
				n.checkDelivered(b, before, b.ReportMetric)
			}
		})
	}
	for _, percent := range []float64{20, 60} {
		at(fmt.Sprintf("load=%.0f%%", percent), saturation*percent/100)
	}
	at(fmt.Sprintf("publishes=%d", nearReal), min(nearReal, float64(s.connections)/2))
}
