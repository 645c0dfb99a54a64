package peers

import (
	"os"
	"testing"
	"time"
)

// BenchmarkNodeToNode sends states from one process to another, one of 120 bytes
// for each gateway and publish, and reports the CPU of either, up to the call of
// Receive and a count for each endpoint: the decoded states in order. It also
// reports what the same states cost that are handed to a queue of their own
// process, and how many times more the way between nodes costs. ROLLCALL_PROFILE
// names the beginning of two profiles to write.
func BenchmarkNodeToNode(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkNodes(b, false, 50) })
	b.Run("tls", func(b *testing.B) { benchmarkNodes(b, true, 50) })
	b.Run("tls-single", func(b *testing.B) { benchmarkNodes(b, true, 1) })
}

func benchmarkNodes(b *testing.B, secure bool, endpoints int) {
	first, second := childSettings{ID: "a"}, childSettings{ID: "b"}
	if secure {
		dirs := secrets(b, "test", time.Hour, "a", "b")
		first.Secrets, second.Secrets = dirs["a"], dirs["b"]
	}
	from, to := startProcess(b, first), startProcess(b, second)
	meet(from, to)
	from.do("notify b 20000 %d", endpoints)
	to.eventually("the link is warm", func(r childReport) bool { return r.Notifies > 0 })
	from.eventually("the link is quiet", acknowledged)
	n := max(b.N, 1000)
	l0 := from.report()
	from.do("notifyself %d %d", n, endpoints)
	f0, t0 := from.report(), to.report()
	stop := profiles(from, to)
	b.ResetTimer()
	from.do("notify b %d %d", n, endpoints)
	from.eventually("everything is acknowledged", acknowledged)
	took := b.Elapsed()
	b.StopTimer()
	f1, t1 := from.report(), to.report()
	stop()
	deliveries := float64(t1.Deliveries - t0.Deliveries)
	if s := f1.Status[0]; t1.Notifies-t0.Notifies+int(s.Coalesced-f0.Status[0].Coalesced) != n {
		b.Fatalf("of %d states %d arrived; %+v", n, t1.Notifies-t0.Notifies, s)
	}
	cpu := func(r1, r0 childReport, deliveries float64) float64 { return float64(r1.CPU-r0.CPU) / 1e3 / deliveries }
	local := cpu(f0, l0, float64(f0.Deliveries-l0.Deliveries))
	sender, receiver := cpu(f1, f0, deliveries), cpu(t1, t0, deliveries)
	b.ReportMetric(deliveries/took.Seconds(), "deliveries/s")
	b.ReportMetric(sender, "sender-us/delivery")
	b.ReportMetric(receiver, "receiver-us/delivery")
	b.ReportMetric(1e6/(sender+receiver), "deliveries/s/core")
	b.ReportMetric(local, "inprocess-us/delivery")
	b.ReportMetric((sender+receiver)/local, "times-inprocess")
	envelopes := t1.Metrics["rollcall_peers_envelopes_total"] - t0.Metrics["rollcall_peers_envelopes_total"]
	b.ReportMetric(float64(t1.Notifies-t0.Notifies)/envelopes, "states/envelope")
	b.ReportMetric(0, "ns/op")
}

// profiles starts the two profiles, if any are wanted.
func profiles(from, to *process) (stop func()) {
	name := os.Getenv("ROLLCALL_PROFILE")
	if name == "" {
		return func() {}
	}
	from.do("profile %s-from", name)
	to.do("profile %s-to", name)
	return func() {
		from.do("endprofile")
		to.do("endprofile")
	}
}
