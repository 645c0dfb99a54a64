package topology

import (
	"cmp"
	"slices"
	"strings"

	"rollcall/presence"
)

// Replicas is how many members hold a shard, the owner included, when there
// are that many.
const Replicas = 3

// Table says which members hold which shard. It is immutable and safe for
// concurrent use: a change of membership makes a new one under a higher epoch.
// All that it says but the epoch is a pure function of the list of members, so
// nodes with the same list agree without a word.
type Table struct {
	Epoch   uint64
	Members []Member // by rising ID, each once; not to be changed

	hash   uint64
	places map[string]int32                 // in Members, by ID
	holds  int                              // members that hold a shard, at most Replicas
	sets   [presence.Shards][Replicas]int32 // places in Members, the owner first
	shards []int32                          // by place in Members: how many it owns
}

// NewTable ranks those of the members that own shards; see assign. The list may
// have any order and is not kept. Of several members with one ID the one with
// the highest incarnation counts.
func NewTable(epoch uint64, members []Member) *Table {
	t := &Table{Epoch: epoch, Members: slices.Clone(members)}
	slices.SortFunc(t.Members, compare)
	t.Members = slices.CompactFunc(t.Members, func(a, b Member) bool { return a.ID == b.ID })
	t.hash = hash(t.Members)
	t.shards = make([]int32, len(t.Members))
	t.places = make(map[string]int32, len(t.Members))
	for i := range t.Members {
		t.places[t.Members[i].ID] = int32(i)
	}
	t.assign()
	return t
}

// compare orders members by ID, those with one ID by falling incarnation, and
// what still differs somehow, but the same way everywhere.
func compare(a, b Member) int {
	return cmp.Or(
		strings.Compare(a.ID, b.ID),
		cmp.Compare(b.Incarnation, a.Incarnation),
		strings.Compare(a.Addr, b.Addr),
		strings.Compare(a.Zone, b.Zone),
		cmp.Compare(a.Roles, b.Roles),
		cmp.Compare(a.Protocol, b.Protocol),
		strings.Compare(a.URL, b.URL),
		cmp.Compare(leaving(&a), leaving(&b)),
	)
}

// Owner is the member that hosts the actors of a shard; false if no member
// owns shards. The shard must be below presence.Shards.
func (t *Table) Owner(shard uint16) (Member, bool) {
	if t.holds == 0 {
		return Member{}, false
	}
	return t.Members[t.sets[shard][0]], true
}

// ReplicaSet lists the owner and then the other members that hold a shard, the
// one that most likely owns it next before the last.
func (t *Table) ReplicaSet(shard uint16) []Member {
	set := make([]Member, t.holds)
	for i := range set {
		set[i] = t.Members[t.sets[shard][i]]
	}
	return set
}

// FirstBut is the first member of a shard's replica set whose id is not in a
// set; false if there is none.
func (t *Table) FirstBut(shard uint16, but map[string]bool) (Member, bool) {
	for _, at := range t.sets[shard][:t.holds] {
		if m := t.Members[at]; !but[m.ID] {
			return m, true
		}
	}
	return Member{}, false
}

// Holds says whether a member is in a shard's replica set.
func (t *Table) Holds(shard uint16, id string) bool {
	at, ok := t.places[id]
	return ok && slices.Contains(t.sets[shard][:t.holds], at)
}

// HoldsAll says whether a member is in the replica set of every shard.
func (t *Table) HoldsAll(id string) bool {
	for shard := range uint16(len(t.sets)) {
		if !t.Holds(shard, id) {
			return false
		}
	}
	return true
}

// Member finds a member by its ID.
func (t *Table) Member(id string) (Member, bool) {
	if i, ok := t.places[id]; ok {
		return t.Members[i], true
	}
	return Member{}, false
}

// Shards is how many shards the member with an ID owns.
func (t *Table) Shards(id string) int {
	if i, ok := t.places[id]; ok {
		return int(t.shards[i])
	}
	return 0
}

// Hash is the same for the same list of members, in every process and on every
// platform, whatever its order was. It covers all that is known of a member.
func (t *Table) Hash() uint64 { return t.hash }
