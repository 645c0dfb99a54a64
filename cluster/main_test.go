package cluster

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"rollcall/cluster/topology"
	"rollcall/presence"
	"rollcall/wheel"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func startNode(t testing.TB, id string, spawn map[Kind]Spawn) *Node {
	t.Helper()
	w := wheel.New(time.Millisecond, 256)
	w.Start(t.Context())
	n := NewNode(Config{
		Self: member(id), Log: slog.New(slog.DiscardHandler), Wheel: w, Now: time.Now,
		Registerer: prometheus.NewRegistry(), Spawn: spawn,
	})
	t.Cleanup(func() {
		n.Close()
		w.Close()
	})
	return n
}

func member(id string) topology.Member {
	return topology.Member{ID: id, Incarnation: 1, Roles: topology.Gateway | topology.Presence}
}

func userN(n int) presence.UserID {
	var t presence.TenantID
	t[0], t[15] = 1, 1
	return presence.UserID{Tenant: t, MRI: fmt.Sprintf("8:user-%d", n)}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("never happened: " + what)
		}
		time.Sleep(time.Millisecond)
	}
}

func counter(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return -1
	}
	return m.GetCounter().GetValue()
}
