package actors

import (
	"rollcall/messages"
	"rollcall/presence"
)

// relaySize is how many endpoints one turn serves of a very large fan-out; the
// rest is handed on, so that neither the publisher nor its neighbours wait.
const relaySize = 1024

// deliver sends one state to endpoints of one gateway.
func (s *System) deliver(gateway string, u *Update, to []uint32) {
	if gateway == s.node.ID {
		s.fanOut(u, to)
		return
	}
	s.node.Notify(gateway, &messages.Notify{
		Publisher: messages.FromUser(u.Publisher), Version: uint64(u.Version),
		State: messages.FromState(u.State), Endpoints: to, Received: u.received,
	})
}

// notified takes a publisher's state from another node.
func (s *System) notified(n *messages.Notify) {
	publisher, err := messages.ToUser(n.Publisher)
	if err != nil {
		s.metrics.dropped.Inc()
		return
	}
	s.fanOut(&Update{
		Publisher: publisher, Version: presence.Version(n.Version),
		State: messages.ToState(n.State), received: n.Received,
	}, n.Endpoints)
}

// fanOut posts the update to endpoints of this gateway. One whose mailbox is
// full is told by a flag that it has to catch up.
func (s *System) fanOut(u *Update, to []uint32) {
	if u.of = s.numbers.find(u.Publisher); u.of == nil {
		return
	}
	for len(to) > relaySize {
		chunk := to[:relaySize]
		s.node.Go(func() { s.post(u, chunk) })
		to = to[relaySize:]
	}
	s.post(u, to)
}

func (s *System) post(u *Update, to []uint32) {
	for _, number := range to {
		e := s.endpoints.numbered(number)
		if e == nil {
			continue
		}
		if e.mailbox.Post(u) != nil {
			e.lost.Store(true)
		}
	}
}
