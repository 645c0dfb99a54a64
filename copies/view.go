package copies

import (
	"slices"
	"time"

	"rollcall/cluster/topology"
	"rollcall/presence"
	"rollcall/replica"
)

// view is a table as the protocol needs it.
type view struct {
	table *topology.Table
	names map[string]replica.Member // of members that may hold copies, by id
}

func newView(t *topology.Table) *view {
	v := &view{table: t, names: make(map[string]replica.Member, len(t.Members))}
	for i := range t.Members {
		if m := &t.Members[i]; m.Roles&topology.Presence != 0 { // one that leaves still has what it had
			v.names[m.ID] = replica.Member(m.Name())
		}
	}
	return v
}

func (v *view) set(shard uint16) []replica.Member {
	set := v.table.ReplicaSet(shard)
	names := make([]replica.Member, len(set))
	for i := range set {
		names[i] = v.names[set[i].ID]
	}
	return names
}

func (v *view) members() []replica.Member {
	list := make([]replica.Member, 0, len(v.names))
	for i := range v.table.Members {
		if name, ok := v.names[v.table.Members[i].ID]; ok {
			list = append(list, name)
		}
	}
	return list
}

// name is the member behind an id. One that is not known is called by its id:
// it is answered, but nothing is believed of it.
func (v *view) name(id string) replica.Member {
	if name, ok := v.names[id]; ok {
		return name
	}
	return replica.Member(id)
}

// SetTable says who holds what from now on. It is called by one goroutine.
func (c *Copies) SetTable(t *topology.Table) {
	v := newView(t)
	self := replica.Member(c.cfg.Self.Name())
	members := v.members()
	if !slices.Contains(members, self) {
		members = append(members, self)
	}
	c.view.Store(v)
	c.out.keep(t)
	c.step(func(m *replica.Machine, now time.Time) {
		c.gathers.forget()
		m.SetView(now, replica.View{Table: t.Hash(), Self: self, Members: members, Sets: v.set})
	})
}

// Suspect says that a member does not answer, or answers again.
func (c *Copies) Suspect(id string, suspected bool) {
	name, ok := c.view.Load().names[id]
	if !ok {
		return
	}
	c.step(func(m *replica.Machine, now time.Time) {
		c.gathers.forget()
		m.Suspect(now, name, suspected)
	})
}

// Unsettle makes this node compare shards with everybody again, and gather
// their users until that is done.
func (c *Copies) Unsettle(shards ...uint16) {
	for _, shard := range shards {
		if shard >= presence.Shards {
			return
		}
	}
	c.step(func(m *replica.Machine, now time.Time) {
		c.gathers.forget()
		m.Unsettle(now, shards...)
	})
}

// UnsettleAll is Unsettle for every shard: after this process stood still, say.
func (c *Copies) UnsettleAll() {
	c.step(func(m *replica.Machine, now time.Time) {
		c.gathers.forget()
		m.UnsettleAll(now)
	})
}

// Settled says whether this node surely has all that any member has of a
// shard.
func (c *Copies) Settled(shard uint16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machine.Settled(shard)
}

// durability is the size of the smallest set of a shard that the member owns.
// All sets have one size: as many as there are, up to topology.Replicas.
func (v *view) durability(id string) int {
	if v.table.Shards(id) == 0 {
		return 0
	}
	least := topology.Replicas
	for shard := range uint16(presence.Shards) {
		if owner, ok := v.table.Owner(shard); ok && owner.ID == id {
			return min(least, len(v.table.ReplicaSet(shard)))
		}
	}
	return 0
}
