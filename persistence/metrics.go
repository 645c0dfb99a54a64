package persistence

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are registered while the store is open, when there is a registerer.
type metrics struct {
	registerer prometheus.Registerer
	registered []prometheus.Collector

	commits, failures, refused, loads prometheus.Counter
	batches, seconds                  prometheus.Histogram
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "rollcall_store_" + name, Help: help})
	}
	m := &metrics{
		registerer: registerer,
		commits:    counter("commits_total", "Commits that are on the disk."),
		failures:   counter("commit_failures_total", "Commits that failed in storage."),
		refused:    counter("refused_total", "Commits and loads refused because a queue was full."),
		loads:      counter("loads_total", "Loads answered."),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "rollcall_store_batch_commits", Help: "Commits that shared one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "rollcall_store_batch_seconds", Help: "Time from taking a batch to its sync.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 15),
		}),
	}
	return m
}

// publish registers everything; the gauges look at an open store.
func (m *metrics) publish(s *Store) error {
	return m.register(m.commits, m.failures, m.refused, m.loads, m.batches, m.seconds,
		gauge("queued", "Commits waiting for the writer.", func() float64 { return float64(s.writer.depth()) }),
		gauge("writable", "1 while commits are taken.", func() float64 { return truth(s.Writable()) }),
		gauge("feed_bytes", "Bytes of change feed kept, about.", func() float64 {
			total, _ := s.feeds.sizes()
			return float64(total)
		}))
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "rollcall_store_" + name, Help: help}, value)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m *metrics) register(all ...prometheus.Collector) error {
	if m.registerer == nil {
		return nil
	}
	for _, c := range all {
		if err := m.registerer.Register(c); err != nil {
			m.unregister()
			return fmt.Errorf("persistence: register metrics: %w", err)
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.registerer.Unregister(c)
	}
	m.registered = nil
}

func (m *metrics) batch(n int, took time.Duration, err error) {
	if err != nil {
		m.failures.Add(float64(n))
		return
	}
	m.commits.Add(float64(n))
	m.batches.Observe(float64(n))
	m.seconds.Observe(took.Seconds())
}
