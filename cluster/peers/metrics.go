package peers

import "github.com/prometheus/client_golang/prometheus"

// metrics of all peers together are counters; those of one peer are read from
// its outbox and end with its membership.
type metrics struct {
	peers                         *Peers
	envelopes, duplicates, early  prometheus.Counter
	refusals                      *prometheus.CounterVec
	connections                   *prometheus.CounterVec
	queued, queuedBytes, inFlight *prometheus.Desc
	up, sent, shed, coalesced     *prometheus.Desc
	lost, suspicions              *prometheus.Desc
}

func newMetrics(p *Peers) *metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "rollcall", Subsystem: "peers", Name: name, Help: help}
	}
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("rollcall_peer_"+name, help, []string{"peer"}, nil)
	}
	return &metrics{
		peers:       p,
		envelopes:   prometheus.NewCounter(opts("envelopes_total", "Envelopes received from members.")),
		duplicates:  prometheus.NewCounter(opts("duplicates_total", "Envelopes received again after a broken connection.")),
		early:       prometheus.NewCounter(opts("early_total", "Envelopes received before one that is missing; they come again.")),
		refusals:    prometheus.NewCounterVec(opts("refused_total", "What came in and was not listened to."), []string{"reason"}),
		connections: prometheus.NewCounterVec(opts("connections_total", "Connections made to peers, and lost."), []string{"event"}),
		up:          desc("connected", "1 while there is a connection to the peer."),
		queued:      desc("queued", "Messages and states that wait for the peer."),
		queuedBytes: desc("queued_bytes", "Their size, estimated from above."),
		inFlight:    desc("in_flight", "Envelopes that the peer has not acknowledged."),
		sent:        desc("sent_total", "Messages and states sent."),
		shed:        desc("shed_total", "Messages and states refused because the queue was full."),
		coalesced:   desc("coalesced_total", "States that gave way to newer ones while they waited."),
		lost:        desc("lost_total", "Messages and states given up."),
		suspicions:  desc("suspicions_total", "Times that the peer broke a connection or acknowledged nothing for 300 ms."),
	}
}

func (m *metrics) register(r prometheus.Registerer) {
	r.MustRegister(m.envelopes, m.duplicates, m.early, m.refusals, m.connections, m)
}

func (m *metrics) refuse(reason string) { m.refusals.WithLabelValues(reason).Inc() }

// Describe is part of prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.up, m.queued, m.queuedBytes, m.inFlight, m.sent, m.shed, m.coalesced, m.lost, m.suspicions} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, s := range m.peers.Status() {
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.ID)
		}
		count := func(d *prometheus.Desc, v uint64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), s.ID)
		}
		up := 0.0
		if s.State == stateNames[connected] {
			up = 1
		}
		gauge(m.up, up)
		gauge(m.queued, float64(s.Queued))
		gauge(m.queuedBytes, float64(s.QueuedBytes))
		gauge(m.inFlight, float64(s.InFlight))
		count(m.sent, s.Sent)
		count(m.shed, s.Shed)
		count(m.coalesced, s.Coalesced)
		count(m.lost, s.Lost)
		count(m.suspicions, s.Suspicions)
	}
}
