package bench

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkIdleMemory is what one more connection costs the node: its socket,
// its endpoint actor and, where it watches, its place in the lists of those it
// watches. All watch the same users, so that the users' own actors do not count.
//
// Right after connecting the actor of the connection's own user is still in
// memory; ROLLCALL_BENCH_SETTLE of more than its idle time of some minutes
// leaves it out. RSS holds what the collector keeps for its next cycle.
func BenchmarkIdleMemory(b *testing.B) {
	s := load(b)
	for _, watched := range []int{0, s.watchers} {
		b.Run(fmt.Sprintf("watched=%d", watched), func(b *testing.B) {
			for range b.N {
				s.measureMemory(b, watched)
			}
		})
	}
}

func (s *settings) measureMemory(b *testing.B, watched int) {
	i := newIssuer(b)
	n := startNode(b, s, i)
	list := make([]int, watched)
	for j := range list {
		list[j] = j
	}
	// What the first connections need is made once.
	k := gather(b, i, n, s.watchers, nil)
	first := s.join(i, k, 100, list)
	k.connect(b, first, 64)
	if err := k.idle(time.Second); err != nil {
		b.Fatal(err)
	}
	before := n.memory(b)
	clients := s.join(i, k, s.connections, list)
	k.connect(b, clients, 64)
	if err := k.idle(s.settle); err != nil {
		b.Fatal(err)
	}
	after := n.memory(b)
	per := func(now, then float64) float64 { return (now - then) / float64(len(clients)) / 1024 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(per(after.resident, before.resident), "rss-KiB/conn")
	b.ReportMetric(per(after.heap, before.heap), "heap-KiB/conn")
	b.ReportMetric(per(after.stack, before.stack), "stack-KiB/conn")
	live := per(after.heap, before.heap) + per(after.stack, before.stack)
	b.ReportMetric(live, "live-KiB/conn")
	b.ReportMetric((after.goroutines-before.goroutines)/float64(len(clients)), "goroutines/conn")
}

// join adds clients to a crowd, which are not connected yet.
func (s *settings) join(i *issuer, k *crowd, clients int, list []int) []*client {
	from := len(k.clients)
	for range clients {
		u := len(k.clients)
		k.clients = append(k.clients, &client{number: u, list: list, greeting: greeting{token: i.token(u, 0), endpoint: "bench"}})
	}
	return k.clients[from:]
}
