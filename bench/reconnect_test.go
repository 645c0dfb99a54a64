package bench

import (
	"testing"
	"time"
)

// BenchmarkReconnect drops every connection at once, lets those whom they watch
// publish meanwhile, and times how long it takes until all are resumed and have
// what they missed: every update once, and no snapshot.
func BenchmarkReconnect(b *testing.B) {
	s := load(b)
	i := newIssuer(b)
	n := startNode(b, &s, i)
	list := make([]int, s.watchers)
	for p := range list {
		list[p] = p
	}
	k := gather(b, i, n, s.watchers, nil) // users 0 to 49 stay and publish
	others := s.join(i, k, s.connections, list)
	k.connect(b, others, 64)
	if err := k.idle(s.settle); err != nil {
		b.Fatal(err)
	}
	var got []int // by user: updates received since the drop
	k.onDelivered = func(int, int64) { got[0]++ }
	for range b.N {
		got = make([]int, 1)
		before := n.metrics(b)
		for _, c := range others {
			k.drop(c)
		}
		publishAll(b, k, k.clients[:s.watchers])
		used, began := n.usage(b), time.Now()
		k.connect(b, others, 64)
		resumed := time.Since(began)
		want := len(others) * s.watchers
		err := k.until(patience, func() (bool, error) { return got[0] >= want, nil })
		caught := time.Since(began)
		if err != nil {
			b.Fatalf("%d of %d missed updates came: %v", got[0], want, err)
		}
		m := sample{seconds: caught.Seconds()}
		m.charge(n.usage(b).since(used))
		if err := k.idle(s.settle + time.Duration(ackLatest)); err != nil {
			b.Fatal(err)
		}
		s.checkResumed(b, others, got[0]-want)
		after := n.metrics(b)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(len(others))/resumed.Seconds(), "connections/s")
		b.ReportMetric(resumed.Seconds()*1000, "ms-to-resume-all")
		b.ReportMetric(caught.Seconds()*1000, "ms-to-catch-up-all")
		b.ReportMetric(m.server/float64(len(others)), "server-us/conn")
		b.ReportMetric(after["rollcall_resyncs_total"]-before["rollcall_resyncs_total"], "resyncs")
		m.reportOthers(b)
	}
}

// publishAll publishes once for each client and waits for the answers.
func publishAll(b *testing.B, k *crowd, from []*client) {
	b.Helper()
	answers := 0
	k.onAnswer = func(*client, int64) { answers++ }
	for u, c := range from {
		if err := c.send(publishFrame(1, clientStates[(u+1)%2])); err != nil {
			b.Fatal(err)
		}
	}
	if err := k.until(patience, func() (bool, error) { return answers == len(from), nil }); err != nil {
		b.Fatalf("%d of %d publishes were answered: %v", answers, len(from), err)
	}
}

func (s *settings) checkResumed(b *testing.B, clients []*client, extra int) {
	b.Helper()
	anew := 0
	for _, c := range clients {
		if !c.resumed {
			anew++
		}
	}
	if anew > 0 || extra > 0 {
		b.Errorf("%d of %d connections were not resumed, %d items came that nobody missed", anew, len(clients), extra)
	}
}
