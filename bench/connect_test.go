package bench

import (
	"fmt"
	"testing"
	"time"
)

// rounds of a connect benchmark: each has new endpoints of the same users.
var rounds = []struct {
	name  string
	nonce func(round int) int // of the tokens
}{
	{"token=unseen", func(round int) int { return 1 + round }},
	{"token=seen", func(int) int { return 1 }},
}

// BenchmarkConnect is everything that a client does to be at work: handshake,
// hello, watch, snapshot of everybody watched. Clients come 64 at a time.
func BenchmarkConnect(b *testing.B) {
	s := load(b)
	i := newIssuer(b)
	n := startNode(b, &s, i)
	round := 0
	for _, kind := range rounds {
		b.Run(kind.name, func(b *testing.B) {
			for range b.N {
				s.connectOnce(b, i, n, func(u int) greeting {
					return greeting{token: i.token(u, kind.nonce(round)), endpoint: fmt.Sprint("round", round)}
				})
				round++
			}
		})
	}
}

func (s *settings) connectOnce(b *testing.B, i *issuer, n *node, hello func(u int) greeting) {
	k := newCrowd(b, n.listen)
	for u := range s.connections {
		k.clients = append(k.clients, &client{
			number: u, list: listOf(u, s.watchers, s.connections), greeting: hello(u),
		})
	}
	server, own, began := n.cpu(b), ownCPU(b), time.Now()
	k.connect(b, k.clients, 64)
	took, all := time.Since(began).Seconds(), float64(s.connections)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(all/took, "connections/s")
	b.ReportMetric(float64((n.cpu(b)-server).Microseconds())/all, "server-us/conn")
	b.ReportMetric(float64((ownCPU(b)-own).Microseconds())/all, "load-us/conn")
	if err := k.idle(s.settle); err != nil {
		b.Fatal(err)
	}
	k.hang()
}
