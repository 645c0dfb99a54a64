package actors

import (
	"time"

	"rollcall/presence"
	"rollcall/wheel"
)

// relearnWithin spreads what all endpoints of a gateway ask of a new owner.
const relearnWithin = 500 * time.Millisecond

// superseded says that the client has connected to another gateway.
type superseded struct{}

// onLostShards registers again with the users of shards whose owner was handed
// nothing, with the versions that the client has. What was stored is not said
// again: it has copies, and this endpoint may be one that its client has left.
func (e *endpoint) onLostShards(m *lostShards) {
	for i := range e.watches {
		p := e.watches[i].of
		if m.shards.Has(p.id.Shard()) && p.id.Tracked() {
			e.asking.left = append(e.asking.left, p)
		}
	}
	if e.asking.waiting == 0 && len(e.asking.left) > 0 {
		e.asking.waiting = 1
		e.asking.next = e.sys.now().Add(wheel.Jitter(relearnWithin/2, uint64(e.number)))
	}
}

// sayAgain publishes the device's session once more.
func (e *endpoint) sayAgain(now, until time.Time) {
	if !e.leasing || e.said == nil || !now.Before(until) {
		return
	}
	said := *e.said
	said.Expires = until.UnixMilli()
	e.publish(0, 0, Publish{Device: e.key.ID, Received: now, Mutations: []presence.Mutation{said}})
}

// lapsed says that the owner has let the device's session end.
type lapsed struct{}

func (e *endpoint) onLapsed() {
	if now := e.sys.now(); e.conn != nil {
		e.sayAgain(now, now.Add(LeaseTime+PingEvery))
	}
}

// onSuperseded ends an endpoint whose client is elsewhere now; what it has
// published and watches lives on there.
func (e *endpoint) onSuperseded() {
	e.disconnectFor(CloseSuperseded)
	e.leasing = false
	e.end()
}

// disconnectFor is disconnect without the word to the owner that the device is
// gone.
func (e *endpoint) disconnectFor(r CloseReason) {
	leasing := e.leasing
	e.leasing = false
	e.disconnect(r)
	e.leasing = leasing
}
