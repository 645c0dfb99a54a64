package bench

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkReplicatedPublish is publishes that nobody watches, at a fixed rate,
// on three nodes that share the machine: from the moment one is due until as many
// nodes as --ack says have it on their disks. Clients are spread over the nodes,
// and their users are kept by any of them. bytes/publish are those of changes
// sent from node to node, without what carries them.
func BenchmarkReplicatedPublish(b *testing.B) {
	s := load(b)
	i := newIssuer(b)
	for _, ack := range []string{"1", "2", "all"} {
		b.Run("ack="+ack, func(b *testing.B) {
			f := startFleet(b, &s, i, directories(b, 3, 0), "--ack", ack)
			t := newTraffic(gatherAt(b, i, f.nodes, s.connections), 0)
			rate := min(float64(s.rate), float64(s.connections)/2)
			for range b.N {
				s.replicatedOnce(b, f, t, rate)
			}
		})
	}
}

// replicatedCounters are those of the copies, of all nodes.
var replicatedCounters = []string{"sent_bytes_total", "deltas_sent_total", "deltas_dropped_total", "unconfirmed_total"}

func (s *settings) replicatedOnce(b *testing.B, f *fleet, t *traffic, rate float64) {
	b.Helper()
	before := map[string]float64{}
	for _, name := range replicatedCounters {
		before[name] = f.total(b, "rollcall_copies_"+name)
	}
	published := t.published
	t.every = int64(float64(time.Second) / rate)
	save := f.nodes[0].profile(b, fmt.Sprintf("replicated-%.0f", rate), s.window)
	m := t.measure(b, s, f.processes()...)
	save()
	since := func(name string) float64 { return f.total(b, "rollcall_copies_"+name) - before[name] }
	for _, name := range []string{"deltas_dropped_total", "unconfirmed_total"} {
		if n := since(name); n > 0 {
			b.Errorf("%s: %.0f", name, n)
		}
	}
	m.reportPublishes(b)
	all := float64(t.published - published) // with those that were not timed
	b.ReportMetric(since("sent_bytes_total")/all, "bytes/publish")
	b.ReportMetric(since("deltas_sent_total")/all, "copies/publish")
}
