package topology

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rollcall/presence"
)

func anyMember(ids *rapid.Generator[string]) *rapid.Generator[Member] {
	return rapid.Custom(func(t *rapid.T) Member {
		return Member{
			ID:          ids.Draw(t, "id"),
			Incarnation: rapid.Uint64Max(2).Draw(t, "incarnation"),
			Addr:        rapid.SampledFrom([]string{"", "10.0.0.1:1", "10.0.0.2:1"}).Draw(t, "addr"),
			Zone:        rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "zone"),
			Roles:       Role(rapid.IntRange(0, 3).Draw(t, "roles")),
			Leaving:     rapid.Bool().Draw(t, "leaving"),
			Protocol:    rapid.Uint32Max(1).Draw(t, "protocol"),
			URL:         rapid.SampledFrom([]string{"", "http://a"}).Draw(t, "url"),
		}
	})
}

func TestTableIsAFunctionOfTheSetOfMembers(t *testing.T) {
	ids := rapid.SampledFrom([]string{"", "a", "b", "c", "n1", "n2", "n3", "127.0.0.1:1", "127.0.0.1:2"})
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.SliceOfN(anyMember(ids), 0, 20).Draw(t, "members")
		kept := slices.Clone(given)
		table := NewTable(3, given)
		other := NewTable(4, rapid.Permutation(given).Draw(t, "order"))
		if !slices.Equal(given, kept) {
			t.Error("the list was changed")
		}
		if !Same(table.Members, other.Members) || table.sets != other.sets || table.Hash() != other.Hash() {
			t.Errorf("the order of members changes the table:\n%+v\n%+v", table.Members, other.Members)
		}
		for i, m := range table.Members {
			if i > 0 && table.Members[i-1].ID >= m.ID {
				t.Errorf("%q comes after %q", m.ID, table.Members[i-1].ID)
			}
			if slices.ContainsFunc(given, func(g Member) bool { return g.ID == m.ID && g.Incarnation > m.Incarnation }) {
				t.Errorf("%s is kept, but a later one was given", m.Name())
			}
		}
	})
}

func TestEveryTableHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := NewTable(1, rapid.SliceOfN(anyMember(rapid.String()), 1, 100).Draw(t, "members"))
		owning, zones := 0, map[string]bool{}
		for _, m := range table.Members {
			if m.Owns() {
				owning++
				zones[m.Zone] = true
			} else if table.Shards(m.ID) != 0 {
				t.Errorf("%+v owns shards", m)
			}
		}
		if owning == 0 {
			return
		}
		checkBalance(t, table, owning)
		checkSets(t, table, min(Replicas, owning), min(Replicas, len(zones)))
		who := rapid.IntRange(0, len(table.Members)-1).Draw(t, "leaves")
		if table.Shards(table.Members[who].ID) == 0 {
			return
		}
		if r := leave(table, who); owning > 1 && r > 1.5 {
			t.Errorf("%d members, one leaves: %.3f times its shards moved", owning, r)
		}
	})
}

// A process that starts again, elsewhere and in other roles, gets back what it
// had: who owns what depends on the IDs of those who own.
func TestOwnershipOutlastsTheProcess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewTable(1, rapid.SliceOfN(anyMember(rapid.String()), 1, 20).Draw(t, "members")).Members
		again := slices.Clone(m)
		for i := range again {
			owned := again[i].Owns()
			again[i] = anyMember(rapid.Just(m[i].ID)).Draw(t, "again")
			again[i].Roles |= Presence
			again[i].Leaving = false
			if !owned {
				again[i].Roles = Gateway
			}
		}
		if owners(NewTable(1, m)) != owners(NewTable(1, again)) {
			t.Errorf("another process of the same member owns something else:\n%+v\n%+v", m, again)
		}
	})
}

func TestHashTellsListsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SampledFrom([]string{"a", "aa", "b"})
		a := NewTable(1, rapid.SliceOfN(anyMember(ids), 0, 3).Draw(t, "a"))
		b := NewTable(2, rapid.SliceOfN(anyMember(ids), 0, 3).Draw(t, "b"))
		if same := Same(a.Members, b.Members); same != (a.Hash() == b.Hash()) {
			t.Errorf("same is %v for hashes %x and %x of\n%+v\n%+v", same, a.Hash(), b.Hash(), a.Members, b.Members)
		}
	})
}

func TestHashCoversEveryField(t *testing.T) {
	base := Member{ID: "n1", Incarnation: 5, Addr: "a:1", Zone: "z", Roles: Presence, Protocol: 1, URL: "http://a"}
	seen := map[uint64]Member{}
	for _, change := range []func(*Member){
		func(*Member) {},
		func(m *Member) { m.ID = "n2" },
		func(m *Member) { m.Incarnation++ },
		func(m *Member) { m.Addr = "a:2" },
		func(m *Member) { m.Zone = "y" },
		func(m *Member) { m.Addr, m.Zone = "a:1z", "" },
		func(m *Member) { m.Roles |= Gateway },
		func(m *Member) { m.Leaving = true },
		func(m *Member) { m.Protocol++ },
		func(m *Member) { m.URL = "" },
	} {
		m := base
		change(&m)
		if NewTable(1, []Member{base, m}).Hash() != NewTable(1, []Member{m, base}).Hash() {
			t.Errorf("the order of %+v and %+v counts", base, m)
		}
		h := NewTable(1, []Member{m}).Hash()
		if was, ok := seen[h]; ok {
			t.Errorf("%+v and %+v have one hash", was, m)
		}
		seen[h] = m
	}
	// Nodes of different builds compare hashes: this one must never change.
	const want = 0x163fa2a701a7502a
	if h := NewTable(1, []Member{base, {ID: "n0"}}).Hash(); h != want {
		t.Errorf("the list hashes to %#x, want %#x", h, uint64(want))
	}
}

func TestOwnerDoesNotAllocate(t *testing.T) {
	table := NewTable(1, list(100, 3, names["hosts"]))
	if n := testing.AllocsPerRun(100, func() {
		table.Owner(presence.Shards - 1)
		table.Member("presence-7.eu.example.org")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOwner(b *testing.B) {
	table := NewTable(1, list(100, 3, names["hosts"]))
	b.ReportAllocs()
	s, n := uint16(0), 0
	for b.Loop() {
		m, _ := table.Owner(s % presence.Shards)
		n += len(m.ID)
		s += 7
	}
}

func BenchmarkMember(b *testing.B) {
	table := NewTable(1, list(100, 3, names["hosts"]))
	b.ReportAllocs()
	for b.Loop() {
		table.Member("presence-7.eu.example.org")
	}
}

func BenchmarkNewTable(b *testing.B) {
	lonely := append(list(99, 2, names["hosts"]), Member{ID: "lonely", Roles: Presence, Zone: "its own"})
	for _, c := range []struct {
		name string
		list []Member
	}{
		{"3 members", list(3, 3, names["hosts"])},
		{"16 members", list(16, 3, names["hosts"])},
		{"100 members", list(100, 3, names["hosts"])},
		{"100 members, one alone in its zone", lonely},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NewTable(1, c.list)
			}
		})
	}
}

func TestFirstBut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		table := NewTable(1, rapid.SliceOfN(anyMember(ids), 0, 6).Draw(t, "members"))
		but := map[string]bool{}
		for _, id := range rapid.SliceOf(ids).Draw(t, "but") {
			but[id] = true
		}
		shard := uint16(rapid.IntRange(0, presence.Shards-1).Draw(t, "shard"))
		set := table.ReplicaSet(shard)
		at := slices.IndexFunc(set, func(m Member) bool { return !but[m.ID] })
		if first, ok := table.FirstBut(shard, but); ok != (at >= 0) || ok && first != set[at] {
			t.Errorf("%+v, %v of %+v but %v", first, ok, set, but)
		}
		for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
			in := slices.ContainsFunc(set, func(m Member) bool { return m.ID == id })
			if table.Holds(shard, id) != in {
				t.Errorf("%s in %+v: %v", id, set, !in)
			}
		}
	})
}
