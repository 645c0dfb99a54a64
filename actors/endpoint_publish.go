package actors

import (
	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
)

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
	}
	if m.done != nil {
		e.sys.node.Ask(cluster.User(e.key.User), m.message(), RequestTimeout, func(a any, err error) {
			answer, _ := a.(*messages.Published)
			m.done(answer, err)
		})
		return
	}
	e.publish(m.epoch, m.id, m.Publish)
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
	e.sys.node.Ask(cluster.User(e.key.User), p.message(), RequestTimeout, func(a any, err error) {
		answer, _ := a.(*messages.Published)
		e.mailbox.PostOwn(published{epoch, id, answer, err})
	})
}

func (e *endpoint) onPublished(m published) {
	if e.conn == nil || !e.mine(m.epoch) || m.id == 0 {
		return
	}
	err := m.err
	if err == nil {
		err = m.answer.GetError().Err()
	}
	e.conn.Answer(m.id, Answer{Err: err, Version: m.answer.GetVersion()})
	e.unwritten = true
}
