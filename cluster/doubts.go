package cluster

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/cluster/topology"
	"rollcall/wheel"
)

const (
	// A member that was suspected restlessTimes within restlessTime is used again
	// only when it has answered for restTime, so that shards do not go to and fro.
	restlessTimes = 3
	restlessTime  = 3 * time.Minute
	restTime      = time.Minute
)

// doubts are the members that this node cannot reach: what is for their shards
// goes to the next in the replica set meanwhile.
type doubts struct {
	node *Node
	set  atomic.Pointer[map[string]bool] // never nil; not changed once it is stored

	mu      sync.Mutex // also held while others are told, so that they hear it in order
	members map[string]*doubt
}

// doubt is what is remembered of one member's silences.
type doubt struct {
	doubts *doubts
	id     string
	silent bool
	begun  []time.Time // the newest suspicions, restlessTimes at most
	timer  wheel.Timer
}

func (d *doubts) start(n *Node) {
	d.node, d.members = n, map[string]*doubt{}
	d.set.Store(&map[string]bool{})
}

// about says whether a member is suspected.
func (d *doubts) about(id string) bool { return (*d.set.Load())[id] }

// first is the first member of a shard's replica set that can be reached, and
// the owner where none can. It is false if nobody owns shards.
func (d *doubts) first(t *topology.Table, shard uint16) (to topology.Member, owner bool, ok bool) {
	o, ok := t.Owner(shard)
	if set := *d.set.Load(); len(set) > 0 && set[o.ID] {
		if next, ok := t.FirstBut(shard, set); ok {
			return next, false, true
		}
	}
	return o, true, ok
}

// Suspect says whether a member fails to answer. The calls are in order for each
// member; one that is no member any more is no longer suspected.
func (n *Node) Suspect(id string, suspected bool) {
	d := &n.doubts
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.members[id]
	switch {
	case n.closed.Load() || m == nil && !suspected || m != nil && m.silent == suspected:
		return
	case m == nil:
		m = &doubt{doubts: d, id: id}
		m.timer.Target = m
		d.members[id] = m
	}
	m.silent = suspected
	now := n.Now()
	switch {
	case suspected:
		m.begun = append(m.begun[max(0, len(m.begun)-restlessTimes+1):], now)
		n.Wheel.Stop(&m.timer)
		d.begin(id)
	case len(m.begun) == restlessTimes && now.Before(m.begun[0].Add(restlessTime)):
		n.Wheel.Schedule(&m.timer, now.Add(restTime))
	default:
		d.end(id)
		if len(m.begun) == 0 {
			delete(d.members, id)
		}
	}
}

// Fire uses a restless member again.
func (m *doubt) Fire(*wheel.Timer, time.Time) {
	m.doubts.mu.Lock()
	defer m.doubts.mu.Unlock()
	if !m.silent {
		m.doubts.end(m.id)
	}
}

// renewed forgets how restless the former processes of members were.
func (d *doubts) renewed(ids map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range ids {
		m := d.members[id]
		if m == nil {
			continue
		}
		m.begun = nil
		if !m.silent {
			d.node.Wheel.Stop(&m.timer)
			d.end(id)
			delete(d.members, id)
		}
	}
}

// begin is called with mu held.
func (d *doubts) begin(id string) {
	if d.about(id) {
		return
	}
	n := d.node
	set := maps.Clone(*d.set.Load())
	set[id] = true
	d.set.Store(&set)
	n.metrics.suspicions.Inc()
	if n.Table().Shards(id) > 0 { // else it leaves, or nobody stands in for it
		n.log.Warn("a member does not answer, others stand in for it", "member", id)
	}
	n.shards.expectNothing(id)
	if n.hooks.Suspected != nil {
		n.hooks.Suspected(id, true)
	}
	n.calls.elsewhere(id)
}

// end is called with mu held.
func (d *doubts) end(id string) {
	if !d.about(id) {
		return
	}
	n := d.node
	set := maps.Clone(*d.set.Load())
	delete(set, id)
	d.set.Store(&set)
	n.log.Info("a member answers again", "member", id)
	if n.hooks.Suspected != nil {
		n.hooks.Suspected(id, false)
	}
	n.moves.wake()
}

func (d *doubts) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.members {
		d.node.Wheel.Stop(&m.timer)
	}
}
