package cluster

import (
	"fmt"
	"testing"

	"rollcall/presence"
)

func members(n int, zones int) []Member {
	m := make([]Member, n)
	for i := range m {
		m[i] = Member{ID: fmt.Sprintf("127.0.0.1:%d", 9000+i), Zone: fmt.Sprint("z", i%zones)}
	}
	return m
}

// Members that differ in nothing but the port must share the load evenly.
func TestTableIsBalanced(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 10, 16, 30} {
		table := NewTable(1, members(n, 1))
		load := map[string]int{}
		for s := range presence.Shards {
			o, ok := table.Owner(uint16(s))
			if !ok {
				t.Fatalf("%d members: shard %d has no owner", n, s)
			}
			load[o.ID]++
		}
		worst, mean := 0, float64(presence.Shards)/float64(n)
		for _, l := range load {
			worst = max(worst, l)
		}
		// 4,096 shards thrown at n members: 5 standard deviations above the mean.
		if bound := 1 + 5/sqrt(mean); float64(worst)/mean > bound {
			t.Errorf("%d members: the busiest has %.2f times the average, want at most %.2f", n, float64(worst)/mean, bound)
		}
	}
}

func sqrt(x float64) float64 {
	r := x
	for range 30 {
		r = (r + x/r) / 2
	}
	return r
}

func TestTableMovesOnlyTheShareOfTheNewMember(t *testing.T) {
	before, after := NewTable(1, members(10, 1)), NewTable(2, members(11, 1))
	moved, elsewhere := 0, 0
	for s := range presence.Shards {
		a, _ := before.Owner(uint16(s))
		b, _ := after.Owner(uint16(s))
		if a != b {
			moved++
			if b.ID != after.Members[10].ID && b.ID != "127.0.0.1:9010" {
				elsewhere++
			}
		}
	}
	if share := presence.Shards / 11; moved > share*12/10 {
		t.Errorf("%d shards moved, at least %d have to", moved, share)
	}
	if elsewhere != 0 {
		t.Errorf("%d shards moved between members that were there before", elsewhere)
	}
}

func TestReplicasSpreadOverZones(t *testing.T) {
	table := NewTable(1, members(9, 3))
	for s := range presence.Shards {
		zones := map[string]bool{}
		set := table.ReplicaSet(uint16(s))
		for _, m := range set {
			zones[m.Zone] = true
		}
		if len(set) != Replicas || len(zones) != 3 {
			t.Fatalf("shard %d: %d replicas in %d zones", s, len(set), len(zones))
		}
	}
	if _, ok := NewTable(1, nil).Owner(0); ok {
		t.Error("an empty table has an owner")
	}
}

func TestSetTableIgnoresOldEpochs(t *testing.T) {
	n := startNode(t, "a", nil)
	if !n.SetTable(NewTable(5, members(2, 1))) || n.SetTable(NewTable(5, members(3, 1))) || n.SetTable(NewTable(4, nil)) {
		t.Error("a table was replaced by one that is not newer")
	}
	if len(n.Table().Members) != 2 {
		t.Error("the newest table is not in force")
	}
}

func BenchmarkOwner(b *testing.B) {
	table := NewTable(1, members(100, 3))
	u := userN(7)
	b.ReportAllocs()
	for b.Loop() {
		table.Owner(u.Shard())
	}
}
