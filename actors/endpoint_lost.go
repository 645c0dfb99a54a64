package actors

import (
	"time"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
	"rollcall/wheel"
)

// relearnWithin spreads what all endpoints of a gateway ask of a new owner.
const relearnWithin = 500 * time.Millisecond

// superseded says that the client has connected to another gateway.
type superseded struct{}

// onLostShards registers again with the users of shards whose owner was handed
// nothing, with the versions that the client has. If the endpoint's own user is
// among them, what the device has published last is published again, and the
// list of what it watches is stored again.
func (e *endpoint) onLostShards(m *lostShards) {
	now := e.sys.now()
	for i := range e.watches {
		p := e.watches[i].of
		if m.shards.Has(p.id.Shard()) && p.id.Tracked() {
			e.asking.left = append(e.asking.left, p)
		}
	}
	if e.asking.waiting == 0 && len(e.asking.left) > 0 {
		e.asking.waiting = 1
		e.asking.next = now.Add(wheel.Jitter(relearnWithin/2, uint64(e.number)))
	}
	if m.watches || !m.shards.Has(e.key.User.Shard()) {
		return
	}
	e.restore(now)
}

// restore tells the new owner of this endpoint's user what the device has
// published and what it watches.
func (e *endpoint) restore(now time.Time) {
	until := now.Add(LeaseTime + PingEvery)
	if e.conn == nil {
		until = e.since.Add(e.sys.policies.of(e.key.User.Tenant).Grace)
	}
	e.sayAgain(now, until)
	if len(e.watches) == 0 {
		return
	}
	list := e.list()
	list.Replace = true
	for i := range e.watches {
		list.Add = append(list.Add, messages.FromUser(e.watches[i].of.id))
	}
	if e.sys.node.Tell(cluster.User(e.key.User), list) != nil {
		e.sys.metrics.dropped.Inc() // the client's next connection stores it
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
