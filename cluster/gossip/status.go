package gossip

import (
	"errors"
	"fmt"
	"slices"
)

// Status is what a node says about the members.
type Status struct {
	Addr     string // of its own gossip
	Members  []Peer // by id, with those that are gone and not forgotten
	Seeds    []string
	Joined   bool
	LastJoin string // why the last search for members reached nobody; empty if it reached one
	Expect   int
	Health   int // 0 is well; up to 7 if this node is late with its own work
}

// Status of the members, as this node sees them.
func (g *Gossip) Status() Status {
	return Status{
		Addr: g.Addr(), Members: g.roster.known(), Seeds: slices.Clone(g.config.Join), Joined: g.joined.Load(),
		LastJoin: g.joinError(), Expect: g.config.Expect, Health: g.health(),
	}
}

// Ready says why this node should get no traffic, or nil.
func (g *Gossip) Ready() error {
	visible := g.count(Alive) + g.count(Suspect)
	switch {
	case g.leaving.Load():
		return errors.New("gossip: this node leaves the cluster")
	case !g.joined.Load():
		return fmt.Errorf("gossip: joining: no seed of %q was reached yet; a first node is started without seeds: %s",
			g.config.Join, g.joinError())
	case visible < g.config.Expect:
		return fmt.Errorf("gossip: this node sees %d members and expects %d: %s", visible, g.config.Expect, g.joinError())
	}
	if newer, ok := g.roster.successor(); ok {
		return fmt.Errorf("gossip: a newer process of this node's store is a member at %s: stop this one", newer.Addr)
	}
	return nil
}

func (g *Gossip) joinError() string {
	if text := g.lastJoin.Load(); text != nil {
		return *text
	}
	return ""
}

func (g *Gossip) count(s State) (n int) {
	for _, p := range g.roster.known() {
		if p.State == s {
			n++
		}
	}
	return n
}

// alone says whether no other member is live.
func (g *Gossip) alone() bool { return len(g.roster.members()) < 2 }

func (g *Gossip) health() int { return g.list.GetHealthScore() }
