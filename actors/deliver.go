package actors

import (
	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
)

// relaySize is how many endpoints one turn serves of a very large fan-out; the
// rest is handed on, so that neither the publisher nor its neighbours wait.
const relaySize = 1024

// deliver sends one state to endpoints of one gateway process.
func (s *System) deliver(gateway string, u *Update, to []uint32) {
	if gateway == s.node.Name {
		s.fanOut(u, to)
		return
	}
	s.node.Notify(gateway, &messages.Notify{
		Publisher: messages.FromUser(u.Publisher), Version: uint64(u.Version),
		State: u.encoded(), Endpoints: to, Received: u.received,
	})
}

// release tells endpoints of one gateway process that the publisher's list of
// them is gone.
func (s *System) release(gateway string, publisher presence.UserID, to []uint32) {
	if gateway == s.node.Name {
		s.post(forgotten{publisher}, publisher, to)
		return
	}
	s.node.Notify(gateway, &messages.Notify{Publisher: messages.FromUser(publisher), Endpoints: to, Released: true})
}

// notified takes a publisher's state from another node.
func (s *System) notified(n *messages.Notify) {
	publisher, err := messages.ToUser(n.Publisher)
	if err != nil {
		s.metrics.dropped.Inc()
		return
	}
	if n.Released {
		s.post(forgotten{publisher}, publisher, n.Endpoints)
		return
	}
	var state messages.State
	if err := state.UnmarshalVT(n.State); err != nil {
		s.metrics.dropped.Inc()
		return
	}
	s.fanOut(&Update{
		Publisher: publisher, Version: presence.Version(n.Version),
		State: messages.ToState(&state), received: n.Received,
	}, n.Endpoints)
}

// fanOut posts the update to endpoints of this gateway. One whose mailbox is
// full is told by a flag that it has to catch up.
func (s *System) fanOut(u *Update, to []uint32) {
	u.of = s.numbers.received(u.Publisher, u.Version)
	for len(to) > relaySize {
		chunk := to[:relaySize]
		s.node.Go(func() { s.post(u, u.Publisher, chunk) })
		to = to[relaySize:]
	}
	s.post(u, u.Publisher, to)
}

// post hands a publisher's message to endpoints. Those that are no more are
// taken off the publisher's list.
func (s *System) post(msg any, publisher presence.UserID, to []uint32) {
	for _, number := range to {
		e := s.endpoints.numbered(number)
		if e == nil {
			s.unregister(publisher, number)
			continue
		}
		if e.mailbox.Post(msg) != nil && !e.lost.Swap(true) {
			e.mailbox.PostOwn(endpointTick{}) // also when no other message comes
		}
	}
}

// unregister takes an endpoint off a publisher's list.
func (s *System) unregister(publisher presence.UserID, endpoint uint32) {
	msg := &messages.Unregister{Gateway: s.node.Name, Endpoint: endpoint}
	if s.node.Tell(cluster.User(publisher), msg) != nil {
		s.metrics.dropped.Inc() // the next update finds it out
	}
}
