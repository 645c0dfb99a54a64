package topology

import (
	"math/bits"

	"rollcall/presence"
)

// nobody owns a shard that was not called yet.
const nobody = -1

// caller is a member while shards are assigned. It calls every shard once, in
// an order of its own that its ID alone decides.
type caller struct {
	place int32 // in the table's Members
	state uint64
	drawn int                     // so many entries of order are final
	order [presence.Shards]uint16 // a shuffle under way
}

func newCaller(place int, id string) *caller {
	c := &caller{place: int32(place), state: mix(uint64(emptyDigest.text(id)))}
	for s := range c.order {
		c.order[s] = uint16(s)
	}
	return c
}

// call is the shard that the member calls in a round, counted from 0.
func (c *caller) call(round int) uint16 {
	for ; c.drawn <= round; c.drawn++ {
		c.state += 0x9e3779b97f4a7c15
		skip, _ := bits.Mul64(mix(c.state), uint64(presence.Shards-c.drawn))
		other := c.drawn + int(skip)
		c.order[c.drawn], c.order[other] = c.order[other], c.order[c.drawn]
	}
	return c.order[round]
}

// bound is how many shards one of n members owns at most: 1.15 times the
// average, rounded up. All together can own more than there are.
func bound(n int) int {
	return (presence.Shards*115 + 100*n - 1) / (100 * n)
}

// assign fills the table by rendezvous with a bound, read as a game of rounds.
// In each round every member, in the order of IDs, calls its next shard; a
// shard belongs to the first who calls it, and who has reached its bound calls
// no more. So the earliest calls win on both sides: it is the one stable
// matching of shards and members, and a member that joins or leaves moves
// little but its own share. Calling every shard once instead of drawing a
// weight for each pair halves the variance of what a member wins, so few reach
// the bound: that is what keeps moves few. docs/adr/0004 has the figures.
func (t *Table) assign() {
	var callers []*caller
	zones := map[string]bool{}
	for i := range t.Members {
		if m := &t.Members[i]; m.Owns() {
			callers = append(callers, newCaller(i, m.ID))
			zones[m.Zone] = true
		}
	}
	if len(callers) == 0 {
		return
	}
	t.holds = min(Replicas, len(callers))
	t.assignOwners(callers)
	t.assignReplicas(callers, min(t.holds, len(zones)))
}

func (t *Table) assignOwners(callers []*caller) {
	for s := range t.sets {
		t.sets[s][0] = nobody
	}
	most := int32(bound(len(callers)))
	for round, open := 0, presence.Shards; open > 0; round++ {
		for _, c := range callers {
			if t.shards[c.place] == most {
				continue
			}
			if set := &t.sets[c.call(round)]; set[0] == nobody {
				set[0] = c.place
				t.shards[c.place]++
				open--
			}
		}
	}
}

// assignReplicas goes through the same calls again, without a bound: the next
// who call a shard hold it as well, so that the one who would own it without
// its owner most likely has it. A place is kept for each zone that is missing
// until the set spans as many zones as it can.
func (t *Table) assignReplicas(callers []*caller, zones int) {
	type count struct{ members, zones int }
	var have [presence.Shards]count
	for s := range have {
		have[s] = count{1, 1}
	}
	open := presence.Shards * (t.holds - 1)
	for round := 0; open > 0; round++ {
		for _, c := range callers {
			s := c.call(round)
			h := &have[s]
			if h.members == t.holds || t.sets[s][0] == c.place {
				continue
			}
			if t.spans(t.sets[s][:h.members], c.place) {
				if t.holds-h.members <= zones-h.zones {
					continue
				}
			} else {
				h.zones++
			}
			t.sets[s][h.members] = c.place
			h.members++
			open--
		}
	}
}

// spans says whether one of the members of a set is in the zone of another.
func (t *Table) spans(set []int32, place int32) bool {
	for _, in := range set {
		if t.Members[in].Zone == t.Members[place].Zone {
			return true
		}
	}
	return false
}
