package actors

import "github.com/prometheus/client_golang/prometheus"

// metrics are resolved once; counting one costs nanoseconds.
type metrics struct {
	publishes, visible, deliveries, batches, acks, resends prometheus.Counter
	stale, resyncs, dropped, storeErrors, stalls           prometheus.Counter
	publisherFull, clockAhead, slow                        prometheus.Counter
	committed, acknowledged                                prometheus.Histogram
	connected, endpoints                                   prometheus.Gauge
	queued, inFlight                                       prometheus.Gauge
}

var latency = []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 15, 60}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "rollcall", Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "rollcall", Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	histogram := func(name, help string) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "rollcall", Name: name, Help: help, Buckets: latency})
		r.MustRegister(h)
		return h
	}
	return &metrics{
		publishes:     counter("publishes_total", "Publishes stored and answered."),
		visible:       counter("visible_changes_total", "Changes that watchers could see."),
		deliveries:    counter("deliveries_total", "Presence items sent to endpoints for the first time."),
		batches:       counter("batches_total", "Batches sent to endpoints for the first time."),
		acks:          counter("acknowledged_total", "Presence items acknowledged by endpoints."),
		resends:       counter("resends_total", "Batches sent again."),
		stale:         counter("stale_total", "Items not sent because the endpoint had a newer one."),
		resyncs:       counter("resyncs_total", "Endpoints that fell too far behind and were given snapshots."),
		dropped:       counter("messages_dropped_total", "Messages to actors that could not be handled."),
		storeErrors:   counter("store_errors_total", "Commits that the store refused."),
		stalls:        counter("stalls_total", "Times that the process was stopped for a second or more."),
		publisherFull: counter("publisher_full_total", "Watches refused because a user has too many watchers."),
		clockAhead:    counter("clock_ahead_total", "Versions refused because they lie in the future."),
		slow:          counter("slow_clients_total", "Connections closed because the client was too slow."),
		committed:     histogram("publish_commit_seconds", "From a publish's arrival to its commit."),
		acknowledged:  histogram("publish_ack_seconds", "From a publish's arrival to a watcher's acknowledgement."),
		connected:     gauge("connections", "Client connections."),
		endpoints:     gauge("endpoints", "Endpoints, connected or within their grace."),
		queued:        gauge("queue_items", "Items waiting in endpoint queues."),
		inFlight:      gauge("inflight_batches", "Batches sent and not yet acknowledged."),
	}
}
