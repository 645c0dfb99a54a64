package bench

import (
	"strconv"
	"testing"
	"time"
)

// hotEndpoints are the devices that the hot user publishes from by turns: one
// connection may send two frames a second, and thirty at once.
const hotEndpoints = 20

// hot publishes for one user whom everybody watches, one publish after the other.
type hot struct {
	*traffic
	devices []*client
	count   int
	spread  []time.Duration // from the publish to the last watcher's receipt
}

func (h *hot) publish() error {
	c := h.devices[h.count%len(h.devices)]
	h.count++
	h.flights[0] = flight{due: time.Now().UnixNano(), left: int32(h.watchers), open: true}
	return c.send(publishFrame(1, noteState(strconv.Itoa(h.count))))
}

// BenchmarkHotUser is one user whom every connection watches. A publish follows
// when the one before has reached everybody, so that none is merged with another.
func BenchmarkHotUser(b *testing.B) {
	s := load(b)
	i := newIssuer(b)
	n := startNode(b, &s, i)
	k := gather(b, i, n, s.connections, func(int) []int { return []int{s.connections} })
	h := &hot{traffic: newTraffic(k, s.connections)}
	for d := range hotEndpoints {
		c := &client{number: len(k.clients), greeting: greeting{token: i.token(s.connections, 0), endpoint: "hot" + strconv.Itoa(d)}}
		k.clients = append(k.clients, c)
		h.devices = append(h.devices, c)
	}
	k.connect(b, h.devices, 4)
	if err := k.idle(s.settle); err != nil {
		b.Fatal(err)
	}
	k.onAnswer = func(_ *client, now int64) { h.traffic.onAnswer(k.clients[0], now) }
	k.onDelivered = func(_ int, now int64) {
		h.traffic.onDelivered(0, now)
		if f := &h.flights[0]; f.left == 0 {
			h.spread = append(h.spread, time.Duration(now-f.due))
		}
	}
	for b.Loop() {
		h.round(b, &s, n)
	}
}

func (h *hot) round(b *testing.B, s *settings, n *node) {
	before := n.metrics(b)
	h.toAnswer, h.toClient, h.timing, h.spread = histogram(), histogram(), true, nil
	deliveries, writes, used, began := h.deliveries, n.writes(b), n.usage(b), time.Now()
	most := 20 * len(h.devices) // frames that the node lets pass
	for rounds := 0; time.Since(began) < s.window && rounds < most; rounds++ {
		h.inFlight = 1
		if err := h.publish(); err != nil {
			b.Fatal(err)
		}
		if err := h.crowd.until(patience, func() (bool, error) { return h.inFlight == 0, nil }); err != nil {
			b.Fatal(err)
		}
	}
	m := sample{
		seconds: time.Since(began).Seconds(), deliveries: float64(h.deliveries - deliveries),
		writes: n.writes(b) - writes, toAnswer: h.toAnswer, toClient: h.toClient,
	}
	m.charge(n.usage(b).since(used))
	h.timing = false
	if err := h.drain(); err != nil {
		b.Fatal(err)
	}
	m.report(b)
	m.reportLatency(b)
	last := histogram()
	for _, d := range h.spread {
		_ = last.RecordValue(min(max(d.Microseconds(), 1), 60_000_000)) // within its range
	}
	b.ReportMetric(float64(last.ValueAtQuantile(50))/1000, "last-p50-ms")
	b.ReportMetric(float64(last.ValueAtQuantile(99))/1000, "last-p99-ms")
	b.ReportMetric(float64(len(h.spread)), "publishes")
	n.checkDelivered(b, h.crowd, before)
}
