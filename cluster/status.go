package cluster

import (
	"maps"
	"slices"

	"rollcall/cluster/topology"
)

// Status is what a node says about its part in the cluster.
type Status struct {
	Table       *topology.Table
	Served      int
	Awaited     int
	Taking      int
	Held        int
	Yielding    int
	StandingIn  int          // of those held: for an owner that could not be reached
	Suspected   []string     // members that do not answer, by id
	Delivering  topology.Set // served and held
	UnderWay    int          // shards being handed over now
	Done        int          // shards handed over since the start
	Users       int          // users handed over since the start
	Conflicts   int
	Activations int
	Settled     bool // nothing is awaited, taken or to be handed over
}

// Status is taken without stopping anything: its parts may be of slightly
// different moments.
func (n *Node) Status() Status {
	c := n.shards.count()
	s := Status{
		Table: n.Table(), Served: c[served], Awaited: c[awaited], Taking: c[taking], Held: c[held],
		Yielding: c[yielding], Delivering: n.shards.delivering(), UnderWay: int(n.moves.doing.Load()),
		Done: int(n.moves.done.Load()), Users: int(n.moves.users.Load()),
		Conflicts: int(n.moves.conflicts.Load()), Activations: n.dir.count(),
	}
	s.StandingIn = n.shards.standsIn()
	s.Suspected = slices.Sorted(maps.Keys(*n.doubts.set.Load()))
	s.Settled = s.Awaited+s.Taking+s.Held+s.Yielding == 0
	return s
}
