package copies

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/messages"
)

// metrics are registered until Close, when there is a registerer.
type metrics struct {
	registerer prometheus.Registerer
	registered []prometheus.Collector

	stored, unconfirmed, tooFew, refused prometheus.Counter // commits
	seconds                              prometheus.Histogram
	deltasSent, deltasReceived           prometheus.Counter
	deltasDropped, deltasRefused         prometheus.Counter
	acks, bytesSent, bytesReceived       prometheus.Counter
	unsent, rubbish, ahead               prometheus.Counter
	pulls, usersPulled, drops            prometheus.Counter
	gathers, provisional                 prometheus.Counter
}

func newMetrics(r prometheus.Registerer, c *Copies) (*metrics, error) {
	m := &metrics{registerer: r}
	counter := func(name, help string) prometheus.Counter {
		one := prometheus.NewCounter(prometheus.CounterOpts{Name: "rollcall_copies_" + name, Help: help})
		m.registered = append(m.registered, one)
		return one
	}
	m.stored = counter("commits_total", "Commits that as many nodes have stored as are asked for.")
	m.unconfirmed = counter("unconfirmed_total", "Commits that too few nodes have confirmed in time.")
	m.tooFew = counter("too_few_total", "Commits refused because too few nodes were there.")
	m.refused = counter("refused_total", "Commits that no node has taken.")
	m.deltasSent = counter("deltas_sent_total", "Changes sent to other nodes.")
	m.deltasReceived = counter("deltas_received_total", "Changes received of other nodes.")
	m.deltasDropped = counter("deltas_dropped_total", "Changes not sent because too much was waiting for the node.")
	m.deltasRefused = counter("deltas_refused_total", "Changes that another node has not stored.")
	m.acks = counter("acks_total", "Changes that other nodes have said to have stored.")
	m.bytesSent = counter("sent_bytes_total", "Bytes of the changes sent.")
	m.bytesReceived = counter("received_bytes_total", "Bytes of the changes received.")
	m.unsent = counter("messages_dropped_total", "Other messages about copies that could not be sent.")
	m.rubbish = counter("rubbish_total", "Messages of other nodes that were not valid.")
	m.ahead = counter("clock_ahead_total", "Messages of other nodes refused because their clock runs ahead.")
	m.pulls = counter("pulls_total", "Pages asked for to fill a shard from another node.")
	m.usersPulled = counter("users_pulled_total", "Users merged from such pages.")
	m.drops = counter("drops_total", "Shards removed because other nodes hold them now.")
	m.gathers = counter("gathers_total", "Users asked for at other nodes before they were served.")
	m.provisional = counter("gathers_provisional_total", "Users served before every node had answered.")
	m.seconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "rollcall_copies_commit_seconds", Help: "Time from a commit to its end.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
	})
	m.registered = append(m.registered, m.seconds)
	m.gauge("unsettled_shards", "Shards held here of which another node may know more.",
		func() float64 { return float64(c.Status().Unsettled) })
	m.gauge("pulling_shards", "Shards that are being filled from another node.",
		func() float64 { return float64(c.Status().Pulls) })
	m.gauge("extra_shards", "Shards kept here only until others have all of them.",
		func() float64 { return float64(c.Status().Extra) })
	m.gauge("commits_running", "Commits that have not ended.",
		func() float64 { return float64(c.Status().Commits) })
	m.gauge("durability", "Nodes that hold the least held shard that this node owns; 0 if it owns none.",
		func() float64 { return float64(c.Status().Durability) })
	return m, m.register()
}

func (m *metrics) gauge(name, help string, value func() float64) {
	m.registered = append(m.registered, prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "rollcall_copies_" + name, Help: help}, value))
}

func (m *metrics) register() error {
	if m.registerer == nil {
		return nil
	}
	for i, one := range m.registered {
		if err := m.registerer.Register(one); err != nil {
			m.registered = m.registered[:i]
			m.close()
			return fmt.Errorf("copies: register metrics: %w", err)
		}
	}
	return nil
}

func (m *metrics) close() {
	if m.registerer == nil {
		return
	}
	for _, one := range m.registered {
		m.registerer.Unregister(one)
	}
}

func (m *metrics) commit(err error, took time.Duration) {
	switch {
	case err == nil:
		m.stored.Inc()
	case errors.Is(err, messages.ErrUnconfirmed):
		m.unconfirmed.Inc()
	case errors.Is(err, messages.ErrTooFew):
		m.tooFew.Inc()
	default:
		m.refused.Inc()
	}
	m.seconds.Observe(took.Seconds())
}

func (m *metrics) gather(provisional bool) {
	m.gathers.Inc()
	if provisional {
		m.provisional.Inc()
	}
}
