package actors

import (
	"errors"
	"time"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
	"rollcall/trouter"
	"rollcall/wheel"
)

// onAttach takes a new connection. With the session that is still here the
// client gets what it has not acknowledged and nothing else; otherwise its
// durable list is read and every watched user registered anew.
func (e *endpoint) onAttach(m *attach) {
	if e.leaving {
		m.done <- nil
		return
	}
	now := e.sys.now()
	if e.conn != nil {
		e.conn.Close(CloseSuperseded)
	} else {
		e.sys.metrics.connected.Inc()
	}
	e.epoch++
	e.conn, e.since, e.attached = m.Conn, time.Time{}, now.UnixMilli()
	e.device = m.Device
	e.beat = now.Add(wheel.Jitter(PingEvery, uint64(e.number)))
	resumed := e.session != (secret{}) && m.Session == e.session.String() && m.Ack <= e.queue.LastSeq()
	if !resumed {
		e.begin()
	}
	e.conn.Welcome(Attached{
		Address: e.address(), Session: e.session.String(), Resumed: resumed, Watching: len(e.watches),
	})
	e.unwritten = true
	m.done <- &Link{endpoint: e, epoch: e.epoch}
	if e.leasing {
		e.lease(now.Add(LeaseTime + PingEvery))
	}
	if resumed {
		e.onAck(ack{e.epoch, m.Ack})
		for _, b := range e.queue.Replay(now) {
			e.sys.metrics.resends.Inc()
			e.send(b)
		}
		return
	}
	e.readList()
}

// begin starts a new session: nothing of the old one counts any more.
func (e *endpoint) begin() {
	e.session = newSecret()
	e.queue = trouter.Queue[*Update]{}
	e.asking = asking{}
	for i := range e.watches {
		e.watches[i].shows(0)
	}
}

// readList asks the endpoint's own user for the durable list, which renews it.
func (e *endpoint) readList() {
	session := e.session
	e.renew = e.sys.now().Add(renewEvery).Unix()
	e.sys.node.Ask(cluster.User(e.key.User), e.list(), RequestTimeout,
		func(a any, err error) {
			s, _ := a.(*messages.Subscribed)
			e.mailbox.PostOwn(subscribed{session: session, answer: s, err: err})
		})
}

// list asks for the durable list and says where the endpoint is.
func (e *endpoint) list() *messages.Subscribe {
	return &messages.Subscribe{Endpoint: e.key.ID, Gateway: e.sys.node.Name, Attached: e.attached}
}

func (e *endpoint) onDetach(m detach) {
	if e.conn == nil || m.epoch != e.epoch {
		return
	}
	e.conn = nil
	e.since = e.sys.now()
	e.queue.Detach()
	e.sys.metrics.connected.Dec()
	if e.leasing {
		grace := e.sys.policies.of(e.key.User.Tenant).Grace
		e.lease(e.since.Add(grace))
	}
}

// disconnect closes the connection from this side; the endpoint stays for its
// grace.
func (e *endpoint) disconnect(r CloseReason) {
	if e.conn == nil {
		return
	}
	if r == CloseSlow {
		e.sys.metrics.slow.Inc()
	}
	e.conn.Close(r)
	e.onDetach(detach{e.epoch})
}

// onBye ends the endpoint at once: the session leaves the presence, the durable
// list is cleared.
func (e *endpoint) onBye(m bye) {
	if !e.mine(m.epoch) {
		return
	}
	if e.leasing {
		e.tell(presence.Mutation{Op: presence.Clear, Key: presence.SessionKey(e.key.ID)})
	}
	self := cluster.User(e.key.User)
	if e.sys.node.Tell(self, &messages.Subscribe{Endpoint: e.key.ID, Replace: true, End: true}) != nil {
		e.sys.metrics.dropped.Inc() // the list ends by its lease
	}
	if e.conn != nil {
		e.conn.Answer(m.id, Answer{})
		e.conn.Flush()
		e.disconnect(CloseEnded)
	}
	e.leasing = false
	e.end()
}

// end is the endpoint's last turn.
func (e *endpoint) end() {
	if e.over {
		return
	}
	e.disconnect(CloseGoingAway)
	e.over = true
	e.sys.wheel.Stop(&e.timer)
	e.sys.endpoints.forget(e)
	for i := range e.watches {
		e.unregister(&e.watches[i])
	}
	e.watches, e.queue = nil, trouter.Queue[*Update]{}
	e.count()
	e.done() // so that nobody makes another
	close(*e.ended.Load())
	e.mailbox.Stop()
}

// onTick does what time asks for: re-sends, expiry of what nobody fetched, the
// connection's heartbeat and lease, the end of the grace.
func (e *endpoint) onTick() {
	now := e.sys.now()
	if !e.since.IsZero() && !now.Before(e.since.Add(EndpointGrace)) {
		e.end()
		return
	}
	switch e.queue.Expire(now, &e.sys.limits) {
	case trouter.Stalled:
		e.disconnect(CloseSlow)
	case trouter.Resync: // batches are gone for good: only a new session can go on
		e.sys.metrics.resyncs.Inc()
		e.session = secret{}
		e.disconnect(CloseSlow)
	}
	for _, b := range e.queue.Due(now) {
		e.sys.metrics.resends.Inc()
		e.send(b)
	}
	if e.conn != nil && !now.Before(e.beat) {
		e.heartbeat(now)
	}
}

func (e *endpoint) heartbeat(now time.Time) {
	if now.Sub(e.conn.LastHeard()) >= SilentAfter {
		e.disconnect(CloseSilent)
		return
	}
	e.conn.Ping()
	e.beat = now.Add(wheel.Jitter(PingEvery, uint64(now.UnixNano())))
	if e.leasing {
		e.lease(e.conn.LastHeard().Add(LeaseTime + PingEvery))
	}
	if now.Unix() >= e.renew {
		e.renewList(now)
	}
}

// renewList reads the durable list, which renews it, without need of the answer.
func (e *endpoint) renewList(now time.Time) {
	if e.sys.node.Tell(cluster.User(e.key.User), e.list()) != nil {
		e.sys.metrics.dropped.Inc() // the next heartbeat tries again
		return
	}
	e.renew = now.Add(renewEvery).Unix()
}

// lease moves the end of the device's session. One that has lapsed, since its
// owner was cut off from this gateway, is published again.
func (e *endpoint) lease(until time.Time) {
	p := e.publication(presence.Mutation{Op: presence.Lease, Key: presence.SessionKey(e.key.ID), Expires: until.UnixMilli()})
	e.sys.node.Ask(cluster.User(e.key.User), p.message(), RequestTimeout, func(a any, err error) {
		answer, _ := a.(*messages.Published)
		if err == nil && errors.Is(answer.GetError().Err(), messages.ErrNoSession) {
			e.mailbox.PostOwn(lapsed{})
		}
	})
}

// tell publishes for the endpoint's own user without wanting an answer.
func (e *endpoint) tell(m presence.Mutation) {
	p := e.publication(m)
	if e.sys.node.Tell(cluster.User(e.key.User), p.message()) != nil {
		e.sys.metrics.dropped.Inc() // the session ends by itself
	}
}

func (e *endpoint) publication(m presence.Mutation) *Publish {
	return &Publish{Device: e.key.ID, Mutations: []presence.Mutation{m}, Received: e.sys.now(), gateway: e.sys.node.Name}
}

// arm sets the one timer to the next thing that time asks for.
func (e *endpoint) arm(now time.Time) {
	next := e.beat
	if e.conn == nil {
		next = e.since.Add(EndpointGrace)
	}
	if d, ok := e.queue.Deadline(&e.sys.limits); ok && d.Before(next) {
		next = d
	}
	if again := e.asking.next; !again.IsZero() && again.Before(next) {
		next = again
	}
	if next.Before(now) {
		next = now
	}
	e.sys.wheel.Schedule(&e.timer, next)
}
