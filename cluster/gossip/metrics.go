package gossip

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	collectors []prometheus.Collector
	refusals   *prometheus.CounterVec
	joins      *prometheus.CounterVec
	gone       *prometheus.CounterVec
	suspicions prometheus.Counter
	refuted    prometheus.Counter
	changes    prometheus.Counter
}

func newMetrics(g *Gossip) *metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "rollcall", Subsystem: "gossip", Name: name, Help: help}
	}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "rollcall", Subsystem: "gossip", Name: name, Help: help,
		}, func() float64 { return float64(value()) })
	}
	m := &metrics{
		refusals:   prometheus.NewCounterVec(opts("refused_total", "What came in and was not listened to."), []string{"reason"}),
		joins:      prometheus.NewCounterVec(opts("joins_total", "Seeds and missing members that were sought, by outcome."), []string{"result"}),
		gone:       prometheus.NewCounterVec(opts("gone_total", "Members that are gone: dead, or left."), []string{"state"}),
		suspicions: prometheus.NewCounter(opts("suspicions_total", "Members that did not answer this node's probes.")),
		refuted:    prometheus.NewCounter(opts("refuted_total", "Times that others took this node for suspect or dead.")),
		changes:    prometheus.NewCounter(opts("changes_total", "New lists of live members.")),
	}
	for _, r := range reasons {
		m.refusals.WithLabelValues(r)
	}
	m.collectors = []prometheus.Collector{
		m.refusals, m.joins, m.gone, m.suspicions, m.refuted, m.changes,
		gauge("members", "Live members, this one among them.", func() int { return g.count(Alive) + g.count(Suspect) }),
		gauge("suspects", "Live members that do not answer this node's probes.", func() int { return g.count(Suspect) }),
		gauge("missing", "Members that are dead and have not left.", func() int { return g.count(Dead) }),
		gauge("health", "0 is well; a node that is late with its own work goes up to 7.", g.health),
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer) { r.MustRegister(m.collectors...) }

func (m *metrics) unregister(r prometheus.Registerer) {
	for _, c := range m.collectors {
		r.Unregister(c)
	}
}
