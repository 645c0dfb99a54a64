package cluster

import "github.com/prometheus/client_golang/prometheus"

type nodeMetrics struct {
	activations, passivations, overflows prometheus.Counter
	dropped, panics, unknown, misrouted  prometheus.Counter
}

func newNodeMetrics(r prometheus.Registerer) nodeMetrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "rollcall", Subsystem: "actor", Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	return nodeMetrics{
		activations:  counter("activations_total", "Virtual actors activated on this node."),
		passivations: counter("passivations_total", "Virtual actors that went back to the store."),
		overflows:    counter("mailbox_overflows_total", "Messages refused because a mailbox was full."),
		dropped:      counter("dropped_total", "Messages without a taker."),
		panics:       counter("panics_total", "Actors ended by a panic."),
		unknown:      counter("unknown_messages_total", "Messages from other nodes that were skipped."),
		misrouted:    counter("misrouted_total", "Messages for shards that this node does not own."),
	}
}

func (nodeMetrics) gauges(r prometheus.Registerer, n *Node) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "rollcall", Subsystem: "actor", Name: "active",
		Help: "Virtual actors in memory.",
	}, func() float64 { return float64(n.dir.count()) }))
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "rollcall", Subsystem: "actor", Name: "calls",
		Help: "Requests that wait for an answer.",
	}, func() float64 { return float64(n.Waiting()) }))
}
