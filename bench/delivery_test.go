package bench

import (
	"fmt"
	"testing"
)

// watcher is the k-th of those who watch user n, in a crowd of so many: every
// publisher has as many watchers as a connection watches users.
func watcher(n, k, crowd int) int { return (n + 1 + k*(crowd/50)) % crowd }

// listOf are the users whom connection n watches: the inverse of watcher.
func listOf(n, watched, crowd int) []int {
	list := make([]int, watched)
	for k := range list {
		list[k] = ((n-1-k*(crowd/50))%crowd + crowd) % crowd
	}
	return list
}

// gather connects so many clients to a node, each with the list that it has.
func gather(b *testing.B, i *issuer, n *node, connections int, list func(n int) []int) *crowd {
	b.Helper()
	k := newCrowd(b, n.listen)
	for u := range connections {
		c := &client{number: u, greeting: greeting{token: i.token(u, 0), endpoint: "bench"}}
		if list != nil {
			c.list = list(u)
		}
		k.clients = append(k.clients, c)
	}
	k.connect(b, k.clients, 64)
	return k
}

// gatherAtFloor connects the same clients to the floor.
func gatherAtFloor(b *testing.B, s *settings, address string) *crowd {
	b.Helper()
	k := newCrowd(b, address)
	k.plain = true
	for u := range s.connections {
		k.clients = append(k.clients, &client{number: u})
	}
	k.connect(b, k.clients, 64)
	return k
}

// each user publishes, each connection watches settings.watchers users.
func (s *settings) mesh(b *testing.B) (*node, *traffic) {
	b.Helper()
	i := newIssuer(b)
	n := startNode(b, s, i)
	k := gather(b, i, n, s.connections, func(u int) []int { return listOf(u, s.watchers, s.connections) })
	if err := k.idle(s.settle); err != nil { // the snapshots are acknowledged
		b.Fatal(err)
	}
	return n, newTraffic(k, s.watchers)
}

var flights = []int{64, 1024}

// BenchmarkDelivery is a closed loop at saturation: so many publishes are under
// way at any time, each of which ends when all its watchers have it. The floor
// is the same load on a program that does nothing but write.
func BenchmarkDelivery(b *testing.B) {
	s := load(b)
	b.Run("rollcall", func(b *testing.B) {
		n, t := s.mesh(b)
		for _, f := range flights {
			b.Run(fmt.Sprintf("inflight=%d", f), func(b *testing.B) {
				for range b.N {
					before := n.metrics(b)
					t.limit = min(f, s.connections/2)
					save := n.profile(b, fmt.Sprintf("delivery-%d", f), s.window)
					m := t.measure(b, &s, n.process)
					save()
					m.report(b)
					n.checkDelivered(b, t.crowd, before)
				}
			})
		}
	})
	for _, perWrite := range []int{1, 8} {
		b.Run(fmt.Sprintf("floor-%d-per-write", perWrite), func(b *testing.B) {
			p, address := startFloor(b, &s, perWrite)
			t := newTraffic(gatherAtFloor(b, &s, address), s.watchers)
			for _, f := range flights {
				b.Run(fmt.Sprintf("inflight=%d", f), func(b *testing.B) {
					for range b.N {
						t.limit = min(f, s.connections/2)
						m := t.measure(b, &s, p)
						m.report(b)
					}
				})
			}
		})
	}
}

// checkDelivered compares what the node counted since before: everything sent
// was acknowledged, at the latest when a busy machine lets the node read it.
func (n *node) checkDelivered(b *testing.B, k *crowd, before map[string]float64) {
	b.Helper()
	var after map[string]float64
	since := func(name string) float64 { return after["rollcall_"+name] - before["rollcall_"+name] }
	err := k.until(patience, func() (bool, error) {
		after = n.metrics(b)
		return since("deliveries_total") == since("acknowledged_total"), nil
	})
	if err != nil {
		b.Errorf("%.0f items were sent and %.0f acknowledged: %v", since("deliveries_total"), since("acknowledged_total"), err)
	}
	for _, name := range []string{"resyncs_total", "messages_dropped_total", "slow_clients_total"} {
		if since(name) != 0 {
			b.Errorf("%s: %.0f", name, since(name))
		}
	}
	if again := since("resends_total"); again > 0 {
		b.Logf("%.0f batches were sent again", again)
	}
	b.ReportMetric(since("deliveries_total")/since("batches_total"), "items/batch")
}
