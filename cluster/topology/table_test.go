package topology

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"rollcall/presence"
)

// names are the kinds of IDs that every figure must hold for.
var names = map[string]func(int) string{
	"store numbers": func(i int) string { return "n" + strconv.FormatUint(50_000+uint64(i)*7919, 36) },
	"hosts":         func(i int) string { return fmt.Sprintf("presence-%d.eu.example.org", i) },
	"ports":         func(i int) string { return fmt.Sprintf("127.0.0.1:%d", 9000+i) },
	"random": func(i int) string {
		return strconv.FormatUint(rand.New(rand.NewPCG(7, uint64(i))).Uint64(), 36)
	},
}

// list makes n members in zones of sizes that differ by one at most.
func list(n, zones int, name func(int) string) []Member {
	m := make([]Member, n)
	for i := range m {
		m[i] = Member{ID: name(i), Roles: Presence, Zone: fmt.Sprint("z", i%zones)}
	}
	return m
}

// owners are the IDs by shard.
func owners(t *Table) (ids [presence.Shards]string) {
	for s := range ids {
		m, _ := t.Owner(uint16(s))
		ids[s] = m.ID
	}
	return ids
}

// loads counts shards by member: what it owns, and what it holds.
func loads(t *Table) (owned, held map[string]int) {
	owned, held = map[string]int{}, map[string]int{}
	for s := range uint16(presence.Shards) {
		for i, m := range t.ReplicaSet(s) {
			if i == 0 {
				owned[m.ID]++
			}
			held[m.ID]++
		}
	}
	return owned, held
}

func checkBalance(t rapid.TB, table *Table, n int) {
	t.Helper()
	owned, _ := loads(table)
	sum := 0
	for _, m := range table.Members {
		load := table.Shards(m.ID)
		sum += load
		if owned[m.ID] != load {
			t.Errorf("%d members: %s owns %d shards, Shards says %d", n, m.ID, owned[m.ID], load)
		}
		// load <= ceil(1.15 * average), in whole numbers
		if (load-1)*n*100 >= presence.Shards*115 {
			t.Errorf("%d members: %s owns %d shards, %.3f times the average", n, m.ID, load, float64(load*n)/presence.Shards)
		}
	}
	if sum != presence.Shards {
		t.Errorf("%d members own %d shards", n, sum)
	}
}

func TestNobodyOwnsFarMoreThanTheAverage(t *testing.T) {
	for kind, name := range names {
		t.Run(kind, func(t *testing.T) {
			for n := 1; n <= 100; n++ {
				checkBalance(t, NewTable(1, list(n, 1, name)), n)
			}
		})
	}
	t.Run("more members than shards", func(t *testing.T) {
		const n = presence.Shards + 100
		checkBalance(t, NewTable(1, list(n, 1, names["ports"])), n)
	})
}

// leave returns by how many times more shards change their owner than the one
// who leaves had. With the tables the other way round that member joins, so the
// figure is that of a join as well.
func leave(full *Table, who int) float64 {
	rest := slices.Delete(slices.Clone(full.Members), who, who+1)
	before, after := owners(full), owners(NewTable(2, rest))
	moved := 0
	for s := range before {
		if before[s] != after[s] {
			moved++
		}
	}
	return float64(moved) / float64(full.Shards(full.Members[who].ID))
}

// The mean is within the requirement at every size. A single member can be above
// it where the bound is reached often, that is from 75 members on:
// docs/adr/0004 has how often.
func TestJoinAndLeaveMoveLittleElse(t *testing.T) {
	const mean, single = 1.2, 1.4
	for kind, name := range names {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			sum, count := 0.0, 0.0
			for n := 2; n <= 100; n++ {
				full := NewTable(1, list(n, 1, name))
				for who := n % 2; who < n; who += 1 + n/3 {
					r := leave(full, who)
					if r > single || n < 75 && r > mean {
						t.Errorf("%d members, one leaves: %.3f times its shards moved", n, r)
					}
					sum, count = sum+r, count+1
				}
				if n%5 == 0 {
					if sum/count > mean {
						t.Errorf("up to %d members, one leaves: on average %.3f times its shards move", n, sum/count)
					}
					sum, count = 0, 0
				}
			}
		})
	}
}

// Copies are where the next owner looks for them, unless it is in the owner's
// zone.
func TestNextOwnerHoldsTheShard(t *testing.T) {
	for _, n := range []int{4, 10, 40, 100} {
		full := NewTable(1, list(n, 1, names["hosts"]))
		moved, missing := 0, 0
		for who := 0; who < n; who += 1 + n/10 {
			gone := full.Members[who].ID
			rest := owners(NewTable(2, slices.Delete(slices.Clone(full.Members), who, who+1)))
			for s := range uint16(presence.Shards) {
				set := full.ReplicaSet(s)
				if set[0].ID != gone {
					continue
				}
				moved++
				if !slices.ContainsFunc(set, func(m Member) bool { return m.ID == rest[s] }) {
					missing++
				}
			}
		}
		if missing*50 > moved {
			t.Errorf("%d members, one leaves: %d of %d shards go to one without a copy", n, missing, moved)
		}
	}
}

func TestReplicasSpreadOverZones(t *testing.T) {
	for _, sizes := range [][]int{{1}, {2}, {5}, {1, 1}, {1, 9}, {1, 1, 1}, {1, 4, 5}, {3, 3, 3}, {30, 40, 30}, {1, 1, 1, 40}} {
		var m []Member
		for zone, size := range sizes {
			for range size {
				m = append(m, Member{ID: fmt.Sprint("host-", len(m)), Roles: Presence, Zone: fmt.Sprint("z", zone)})
			}
		}
		table := NewTable(1, m)
		checkBalance(t, table, len(m))
		checkSets(t, table, min(Replicas, len(m)), min(Replicas, len(sizes)))
		for i := range m {
			m[i].Zone = ""
		}
		if owners(table) != owners(NewTable(1, m)) {
			t.Errorf("zones %v: zones change who owns what", sizes)
		}
	}
}

func checkSets(t rapid.TB, table *Table, members, zones int) {
	t.Helper()
	for s := range uint16(presence.Shards) {
		set := table.ReplicaSet(s)
		ids, spanned := 0, 0 // distinct ones
		for i, m := range set {
			if !slices.ContainsFunc(set[:i], func(o Member) bool { return o.ID == m.ID }) {
				ids++
			}
			if !slices.ContainsFunc(set[:i], func(o Member) bool { return o.Zone == m.Zone }) {
				spanned++
			}
		}
		owner, ok := table.Owner(s)
		if len(set) != members || ids != members || spanned != zones || !ok || set[0] != owner {
			t.Fatalf("shard %d, owner %q: %d members, %d of them distinct, in %d zones; want %d in %d: %v",
				s, owner.ID, len(set), ids, spanned, members, zones, set)
		}
	}
}

func TestReplicasAreBalanced(t *testing.T) {
	for _, c := range []struct{ n, zones int }{{3, 3}, {5, 1}, {9, 3}, {30, 3}, {60, 3}, {100, 1}, {99, 3}, {100, 5}} {
		_, held := loads(NewTable(1, list(c.n, c.zones, names["store numbers"])))
		for id, load := range held {
			if r := float64(load*c.n) / (presence.Shards * Replicas); r > 1.25 {
				t.Errorf("%d members in %d zones: %s holds %.3f times the average", c.n, c.zones, id, r)
			}
		}
	}
}

func TestWhoOwnsNothing(t *testing.T) {
	m := list(6, 3, names["hosts"])
	m[1].Leaving = true
	m[2].Roles = Gateway
	m[3].Roles = Gateway | Presence
	table := NewTable(1, m)
	for i, want := range []bool{true, false, false, true, true, true} {
		if got := table.Shards(m[i].ID) > 0; got != want {
			t.Errorf("%+v owns shards: %v", m[i], got)
		}
		if got, ok := table.Member(m[i].ID); !ok || got != m[i] {
			t.Errorf("found %+v, %v, want %+v", got, ok, m[i])
		}
	}
	owning := []Member{m[0], m[3], m[4], m[5]}
	if owners(table) != owners(NewTable(1, owning)) {
		t.Error("a member that owns nothing changes who owns what")
	}
	if _, ok := table.Member("stranger"); ok || table.Shards("stranger") != 0 {
		t.Error("a stranger was found")
	}
	for _, none := range [][]Member{nil, m[1:3]} {
		table := NewTable(1, none)
		if _, ok := table.Owner(7); ok || len(table.ReplicaSet(7)) != 0 || table.Shards("stranger") != 0 {
			t.Errorf("a table of %d members without owners has one", len(none))
		}
	}
}

// Nodes of different builds share a cluster: this table must never change.
func TestTableOfAnotherBuildIsTheSame(t *testing.T) {
	d := emptyDigest
	for _, n := range []int{7, 100} { // the bound counts in the second one
		table := NewTable(1, list(n, 3, names["store numbers"]))
		for s := range uint16(presence.Shards) {
			for _, m := range table.ReplicaSet(s) {
				d = d.text(m.ID)
			}
		}
	}
	const want = 0xeaab279f17b4e0bc
	if d != want {
		t.Errorf("replica sets hash to %#x, want %#x: such a node cannot join a cluster of older ones", uint64(d), uint64(want))
	}
}
