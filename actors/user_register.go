package actors

import (
	"slices"
	"time"

	"rollcall/messages"
	"rollcall/presence"
)

// onRegister decides what the viewer may see and sends it unless the endpoint
// has it. A gateway that knows a newer version than this owner raises the clock,
// so that no client ever sees a version go back.
func (u *user) onRegister(m *messages.Register) {
	if !u.sys.member(m.Gateway) {
		u.sys.metrics.dropped.Inc()
		return // that process has ended
	}
	g := u.group(m.Gateway)
	i, known := g.find(m.Endpoint)
	if !known {
		if u.watchers() >= u.rules().Quotas.Watchers {
			u.sys.metrics.publisherFull.Inc()
			u.sys.deliver(m.Gateway, &Update{Publisher: u.id, Version: 1}, []uint32{m.Endpoint})
			u.watching = slices.DeleteFunc(u.watching, func(g group) bool { return len(g.watchers) == 0 })
			return
		}
		g.insert(i)
		u.alter(g, g.endpoints+spread(uint64(m.Endpoint)), g.sent)
	}
	w := &g.watchers[i]
	*w = watcher{viewer: m.Viewer, endpoint: m.Endpoint, view: u.decide(m.Viewer)}
	have, version := presence.Version(m.Have), u.shown(w)
	u.alter(g, g.endpoints, max(g.sent, have, presence.Version(m.Newest)))
	if have == version {
		return
	}
	now := u.sys.now()
	if have > version && u.clock.Accept(have, now) != nil {
		u.sys.metrics.clockAhead.Inc()
	}
	switch {
	case w.view == presence.Full && have != 0 && u.mourns(now):
		u.owed = max(u.owed, have)
		u.settle(now)
		return
	case w.view == presence.Full && have > version:
		u.overtake(have)
		return
	case have > version:
		version = u.clock.Next(now)
		u.told = max(u.told, version)
	}
	u.send(g, m.Endpoint, version, u.seen(w.view))
}

// mourns says whether what is known of the user may not be all: its devices, or
// another owner, come first with their word before a watcher who was shown
// something else is told that the user is offline. What they have said counts
// once it is stored.
func (u *user) mourns(now time.Time) bool {
	return now.Before(u.sys.mourning(u.id.Shard())) && (!u.anyLeased(now) || u.flight != nil)
}

// overtake gives the state a version above one that a gateway has from another
// owner: all who watch are told, and who reads sees the same.
func (u *user) overtake(have presence.Version) {
	u.owed = 0
	for _, f := range [...]*flight{u.flight, u.next} {
		if f != nil && f.force && (f == u.next || f.version > have) {
			return
		}
	}
	u.commit(&flight{force: true})
}
