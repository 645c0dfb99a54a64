package actors

import (
	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
)

// publishes are an endpoint's publishes on their way, one at a time: so none
// overtakes another while the user moves between nodes.
type publishes struct {
	last    uint64 // id of the newest
	busy    bool
	waiting []func()
}

// maxPublishes bounds those that wait.
const maxPublishes = 64

func (e *endpoint) onPublish(m *publish) {
	if !e.mine(m.epoch) {
		return
	}
	key := presence.SessionKey(e.key.ID)
	for i := range m.Mutations {
		x := &m.Mutations[i]
		if x.Key != key {
			continue
		}
		e.leasing = x.Op != presence.Clear
		if s, ok := x.Value.(presence.Session); ok && s.Device == presence.DeviceUnknown {
			s.Device = e.device
			x.Value = s
		}
		e.remember(*x)
	}
	if m.done != nil {
		e.sendPublish(m.Publish, func(a *messages.Published, err error) { m.done(a, err) })
		return
	}
	e.publish(m.epoch, m.id, m.Publish)
}

// remember keeps the session that the device has published last, in case its
// owner is lost.
func (e *endpoint) remember(m presence.Mutation) {
	switch m.Op {
	case presence.Put:
		e.said = &m
	case presence.Clear:
		e.said = nil
	}
}

func (e *endpoint) onActivity(m activity) {
	if !e.mine(m.epoch) {
		return
	}
	e.publish(m.epoch, m.id, Publish{
		Device: e.key.ID, Received: e.sys.now(),
		Mutations: []presence.Mutation{{
			Op: presence.Touch, Key: presence.SessionKey(e.key.ID),
			IdleAfter: e.sys.policies.of(e.key.User.Tenant).Rules.IdleAfter,
		}},
	})
}

func (e *endpoint) publish(epoch uint32, id uint64, p Publish) {
	e.sendPublish(p, func(a *messages.Published, err error) {
		e.mailbox.PostOwn(published{epoch, id, a, err})
	})
}

// sendPublish sends a publish of the endpoint's own user when those before it have been
// answered. done may run in any goroutine and must not block.
func (e *endpoint) sendPublish(p Publish, done func(*messages.Published, error)) {
	if len(e.publishes.waiting) >= maxPublishes {
		done(nil, messages.ErrOverloaded.With("too many publishes of this endpoint wait for an answer"))
		return
	}
	p.gateway = e.sys.node.Name
	e.publishes.last = max(e.publishes.last+1, uint64(e.sys.now().UnixMicro()))
	p.id = e.publishes.last
	send := func() {
		e.publishes.busy = true
		e.sys.node.Ask(cluster.User(e.key.User), p.message(), RequestTimeout, func(a any, err error) {
			answer, _ := a.(*messages.Published)
			done(answer, err)
			e.mailbox.PostOwn(publishEnded{})
		})
	}
	if e.publishes.busy {
		e.publishes.waiting = append(e.publishes.waiting, send)
		return
	}
	send()
}

// publishEnded lets the next publish go.
type publishEnded struct{}

func (e *endpoint) onPublishEnded() {
	e.publishes.busy = false
	if w := e.publishes.waiting; len(w) > 0 {
		e.publishes.waiting = w[1:]
		if len(w) == 1 {
			e.publishes.waiting = nil
		}
		w[0]()
	}
}

func (e *endpoint) onPublished(m published) {
	if e.conn == nil || !e.mine(m.epoch) || m.id == 0 {
		return
	}
	err := m.err
	if err == nil {
		err = m.answer.GetError().Err()
	}
	e.conn.Answer(m.id, Answer{Err: err, Version: m.answer.GetVersion(), Copies: int(m.answer.GetCopies())})
	e.unwritten = true
}
