package copies

import (
	"sync"
	"time"

	"rollcall/cluster/topology"
	"rollcall/persistence"
	"rollcall/replica"
)

// todo is what is to be done after an input, outside the lock.
type todo struct {
	outputs []replica.Output
	ended   []ended
}

// take collects what the machine wants done; called with mu held.
func (c *Copies) take(now time.Time) (t todo) {
	t.outputs = c.machine.Take()
	for _, o := range t.outputs {
		switch o := o.(type) {
		case replica.Done:
			if e, ok := c.end(&o, now); ok {
				t.ended = append(t.ended, e)
			}
		case replica.Send:
			if d, ok := o.Message.(replica.Delta); ok {
				d.Data.(*commit).sent++
			}
		}
	}
	c.rearm()
	return t
}

// carryOut does what the machine wants done. No lock may be held.
func (c *Copies) carryOut(t todo) {
	c.spread(t.outputs)
	var group []absorbing
	for _, o := range t.outputs {
		switch o := o.(type) {
		case replica.Send:
			c.send(&o)
		case replica.Absorb:
			group = c.absorb(group, &o)
		case replica.ServeFetch:
			c.serveFetch(o)
		case replica.ServePull:
			c.servePull(o)
		case replica.Drop:
			c.drop(o)
		case replica.Complete:
			// A node that holds a part of the users cannot say how much of a peer's
			// log its own readers have seen.
			if origin, ok := storeOf(o.Peer); ok && c.view.Load().table.HoldsAll(c.cfg.Self.ID) {
				c.cfg.Disk.FeedComplete(origin, o.Mark)
			}
		}
	}
	c.absorbAll(group)
	for i := range t.ended {
		t.ended[i].tell()
	}
}

// spread gives this node's commits to the disk and queues them for the others,
// each shard's in one order.
func (c *Copies) spread(outputs []replica.Output) {
	var (
		held    *sync.Mutex
		written []*commit
	)
	hold := func(shard uint16) {
		if order := c.orderOf(shard); order != held {
			if held != nil {
				held.Unlock()
			}
			held = order
			held.Lock()
		}
	}
	for _, o := range outputs {
		if w, ok := o.(replica.Write); ok {
			cm := w.Data.(*commit)
			hold(cm.shard)
			cm.store()
			written = append(written, cm)
		}
	}
	for _, o := range outputs {
		if s, ok := o.(replica.Send); ok {
			if d, ok := s.Message.(replica.Delta); ok {
				hold(d.Shard)
				c.sendDelta(s.To, &d)
			}
		}
	}
	if held != nil {
		held.Unlock()
	}
	for _, cm := range written {
		cm.written()
	}
}

func (c *Copies) sendDelta(to replica.Member, d *replica.Delta) {
	cm := d.Data.(*commit)
	b, err := cm.delta(d.ID)
	if err != nil {
		c.cfg.Log.Error("a change could not be encoded for other nodes", "user", cm.User, "err", err)
		return
	}
	c.out.delta(idOf(to), d.ID, b)
}

// idOf is the id of a member.
func idOf(m replica.Member) string { return topology.NodeOf(string(m)) }

// absorbing is one thing that is to be merged into the store. It has either a
// commit or a page.
type absorbing struct {
	id       uint64
	shard    uint16
	commit   *persistence.Commit
	gathered bool // asked for by this node for one user
}

func (c *Copies) absorb(group []absorbing, o *replica.Absorb) []absorbing {
	switch data := o.Data.(type) {
	case *persistence.Commit:
		return append(group, absorbing{id: o.ID, shard: o.Shard, commit: data})
	case *gathered:
		if !data.found {
			c.step(func(m *replica.Machine, now time.Time) { m.Wrote(now, o.ID, true) })
			return group
		}
		return append(group, absorbing{o.ID, o.Shard, &data.commit, true})
	case *page:
		c.absorbPage(o.ID, o.Shard, data)
	}
	return group
}

// absorbAll merges a group in one go, so that the disk is asked once for what
// has come in one message.
func (c *Copies) absorbAll(group []absorbing) {
	if len(group) == 0 {
		return
	}
	cs := make([]persistence.Commit, len(group))
	for i := range group {
		cs[i] = *group[i].commit
	}
	c.cfg.Disk.Absorb(cs, nil, func(changed []bool, err error) { c.absorbed(group, cs, changed, err) })
}

func (c *Copies) absorbed(group []absorbing, cs []persistence.Commit, changed []bool, err error) {
	var tell []bool
	var merged func(persistence.Commit)
	c.step(func(m *replica.Machine, now time.Time) {
		if merged = c.merged; merged != nil && err == nil {
			tell = make([]bool, len(cs))
		}
		for i := range tell { // before Wrote, which may end the gather
			tell[i] = changed[i] && !(group[i].gathered && c.gathers.underWay(cs[i].User))
		}
		for i := range group {
			c.low.note(group[i].shard, err, now)
			if err != nil && group[i].gathered {
				c.gathers.keep(cs[i])
			}
			m.Wrote(now, group[i].id, err == nil)
		}
	})
	for i := range tell {
		if tell[i] {
			merged(cs[i])
		}
	}
}
