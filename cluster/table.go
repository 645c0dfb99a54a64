package cluster

import (
	"hash/fnv"
	"slices"
	"sort"

	"rollcall/presence"
)

// Member is one node as the shard table sees it.
type Member struct {
	ID   string // unique for the life of the process
	Addr string // host:port of its ingress; empty while it is alone
	Zone string
}

// Table says which member owns which shard. It is immutable: a change of
// membership makes a new one under a higher epoch.
type Table struct {
	Epoch   uint64
	Members []Member
	order   [presence.Shards][]uint16 // members by falling weight, replicas first
}

// Replicas is how many members hold a shard, the owner included, when there
// are that many.
const Replicas = 3

// NewTable ranks the members for every shard by a 64-bit mixed rendezvous
// hash of (member id, shard), so that a member that joins or leaves moves only
// its own share. Replicas prefer zones not used yet.
func NewTable(epoch uint64, members []Member) *Table {
	t := &Table{Epoch: epoch, Members: append([]Member(nil), members...)}
	sort.Slice(t.Members, func(i, j int) bool { return t.Members[i].ID < t.Members[j].ID })
	seeds := make([]uint64, len(t.Members))
	for i, m := range t.Members {
		h := fnv.New64a()
		_, _ = h.Write([]byte(m.ID)) // never fails
		seeds[i] = mix(h.Sum64())
	}
	for s := range t.order {
		t.order[s] = t.rank(uint64(s), seeds)
	}
	return t
}

func (t *Table) rank(shard uint64, seeds []uint64) []uint16 {
	all := make([]uint16, len(seeds))
	for i := range all {
		all[i] = uint16(i)
	}
	weight := func(i uint16) uint64 { return mix(seeds[i] ^ mix(shard+0x9e3779b97f4a7c15)) }
	sort.Slice(all, func(a, b int) bool { return weight(all[a]) > weight(all[b]) })
	if len(all) <= Replicas {
		return all
	}
	return t.spread(all)
}

// spread takes the first members of distinct zones, then fills up.
func (t *Table) spread(ranked []uint16) []uint16 {
	var set []uint16
	zones := map[string]bool{}
	for _, i := range ranked {
		if z := t.Members[i].Zone; len(set) < Replicas && !zones[z] {
			zones[z] = true
			set = append(set, i)
		}
	}
	for _, i := range ranked {
		if len(set) == Replicas {
			break
		}
		if !slices.Contains(set, i) {
			set = append(set, i)
		}
	}
	return set
}

// mix is the finaliser of MurmurHash3 (64 bit).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}

// Owner is the member that hosts the actors of a shard; false for an empty
// table.
func (t *Table) Owner(shard uint16) (Member, bool) {
	if o := t.order[shard]; len(o) > 0 {
		return t.Members[o[0]], true
	}
	return Member{}, false
}

// ReplicaSet lists the owner and then the other members that hold a shard.
func (t *Table) ReplicaSet(shard uint16) []Member {
	var set []Member
	for _, i := range t.order[shard] {
		if len(set) == Replicas {
			break
		}
		set = append(set, t.Members[i])
	}
	return set
}
