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
				save := n.profile(b, "connect-"+kind.name, s.window)
				s.connectOnce(b, i, n, func(u int) greeting {
					return greeting{token: i.token(u, kind.nonce(round)), endpoint: fmt.Sprint("round", round)}
				})
				save()
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
	used, began := n.usage(b), time.Now()
	k.connect(b, k.clients, 64)
	m, all := sample{seconds: time.Since(began).Seconds()}, float64(s.connections)
	m.charge(n.usage(b).since(used))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(all/m.seconds, "connections/s")
	b.ReportMetric(m.server/all, "server-us/conn")
	b.ReportMetric(m.load/all, "load-us/conn")
	m.reportOthers(b)
	if err := k.idle(s.settle); err != nil {
		b.Fatal(err)
	}
	k.hang()
}
