package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
)

// BenchmarkPublishDurable is publishes that nobody watches: what is measured is
// the way in and the commit, with fsync. An answer says that it is on the disk.
func BenchmarkPublishDurable(b *testing.B) {
	s := load(b)
	i := newIssuer(b)
	n := startNode(b, &s, i)
	b.Run("sockets", func(b *testing.B) {
		t := newTraffic(gather(b, i, n, s.connections, nil), 0)
		t.budget = int64(9 * s.connections) // frames that the node lets pass at once
		for _, f := range flights {
			b.Run(fmt.Sprintf("inflight=%d", f), func(b *testing.B) {
				for range b.N {
					before := n.metrics(b)
					t.limit = min(f, s.connections/2)
					save := n.profile(b, fmt.Sprintf("durable-sockets-%d", f), s.window)
					m := t.measure(b, &s, n.process)
					save()
					m.reportPublishes(b)
					n.reportCommits(b, before)
				}
			})
		}
	})
	b.Run("http", func(b *testing.B) {
		t := newTraffic(gatherHTTP(b, &s, i, n), 0)
		t.body = httpPublish(n)
		for _, f := range flights {
			b.Run(fmt.Sprintf("inflight=%d", f), func(b *testing.B) {
				for range b.N {
					before := n.metrics(b)
					t.limit = min(f, s.connections/2)
					save := n.profile(b, fmt.Sprintf("durable-http-%d", f), s.window)
					m := t.measure(b, &s, n.process)
					save()
					m.reportPublishes(b)
					n.reportCommits(b, before)
				}
			})
		}
	})
}

func (s *sample) reportPublishes(b *testing.B) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(s.published/s.seconds, "publishes/s")
	b.ReportMetric(s.server/s.published, "server-us/publish")
	b.ReportMetric(s.load/s.published, "load-us/publish")
	s.reportOthers(b)
	b.ReportMetric(float64(s.toAnswer.ValueAtQuantile(50))/1000, "p50-ms")
	b.ReportMetric(float64(s.toAnswer.ValueAtQuantile(99))/1000, "p99-ms")
}

// reportCommits says how many commits shared one sync of the disk.
func (n *node) reportCommits(b *testing.B, before map[string]float64) {
	after := n.metrics(b)
	since := func(name string) float64 { return after[name] - before[name] }
	syncs := since("rollcall_store_batch_seconds_count")
	b.ReportMetric(since("rollcall_store_commits_total")/syncs, "commits/sync")
	b.ReportMetric(since("rollcall_store_batch_seconds_sum")/syncs*1000, "sync-ms")
}

// gatherHTTP opens keep-alive connections, one for each user, that speak HTTP.
func gatherHTTP(b *testing.B, s *settings, i *issuer, n *node) *crowd {
	b.Helper()
	k := newCrowd(b, n.listen)
	k.http = true
	for u := range s.connections {
		k.clients = append(k.clients, &client{number: u, greeting: greeting{token: i.token(u, 0)}})
	}
	k.connect(b, k.clients, 64)
	return k
}

func httpPublish(n *node) func(c *client, count int64) []byte {
	return func(c *client, count int64) []byte {
		body := `{"source":"note","note":"` + strconv.FormatInt(count, 10) + `"}`
		return []byte("POST /v1/publish HTTP/1.1\r\nHost: " + n.listen + "\r\nAuthorization: Bearer " + c.greeting.token +
			"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	}
}

// onResponse takes whole answers; the publishes get nothing but short ones.
func (c *client) onResponse(got []byte, now int64) error {
	head := bytes.Index(got, []byte("\r\n\r\n"))
	if head < 0 {
		c.rest = append(c.rest[:0], got...)
		return nil
	}
	if !bytes.HasPrefix(got, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("client %d: %.300s", c.number, got)
	}
	_, after, ok := bytes.Cut(got[:head+2], []byte("Content-Length: "))
	if !ok {
		return fmt.Errorf("client %d: an answer without length: %.300s", c.number, got)
	}
	size, err := strconv.Atoi(string(after[:bytes.IndexByte(after, '\r')]))
	if err != nil {
		return err
	}
	if len(got) < head+4+size {
		c.rest = append(c.rest[:0], got...)
		return nil
	}
	c.rest = c.rest[:0]
	c.crowd.answered(c, now)
	return nil
}
