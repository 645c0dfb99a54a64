package cluster

import "github.com/prometheus/client_golang/prometheus"

type nodeMetrics struct {
	activations, passivations, overflows prometheus.Counter
	dropped, panics, unknown, misrouted  prometheus.Counter
	relayed, resent, conflicts           prometheus.Counter
	handedOver, timeouts                 prometheus.Counter
	suspicions, standIns, late           prometheus.Counter
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
		relayed:      counter("relayed_total", "Messages sent on to who serves their shard: its old owner, or one that the sender could not reach."),
		suspicions:   counter("suspicions_total", "Times that others began to stand in for a member that did not answer."),
		late:         counter("late_total", "Messages that came so late that their senders were asked whether they still want them."),
		standIns:     counter("stand_ins_total", "Shards that this node began to serve in the place of an owner that it could not reach."),
		resent:       counter("resent_total", "Messages sent again because their shard's owner has changed or died."),
		conflicts:    counter("conflicts_total", "Activations dropped because another node served the same user."),
		handedOver:   counter("handed_over_total", "Users handed over to another node."),
		timeouts:     counter("handoff_timeouts_total", "Shards served without a handoff because the old owner was too slow."),
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
