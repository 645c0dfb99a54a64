package actors

import (
	"context"

	"google.golang.org/protobuf/proto"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/presence"
	"rollcall/trouter"
)

// watchElsewhere changes what an endpoint of another gateway watches: a client
// may send the request, which names its endpoint's URL, to any.
func (s *System) watchElsewhere(ctx context.Context, u presence.UserID, a trouter.Address, c WatchChange) (Answer, error) {
	got, err := s.node.RequestNode(ctx, a.Node, &messages.EndpointWatch{
		User: messages.FromUser(u), Endpoint: a.Endpoint,
		Add: messages.FromUsers(c.Add), Remove: messages.FromUsers(c.Remove), Replace: c.Replace,
	})
	if err != nil && ctx.Err() != nil {
		return Answer{}, messages.ErrTimeout
	}
	if err != nil {
		return Answer{}, err
	}
	w, ok := got.(*messages.EndpointWatched)
	if !ok {
		return Answer{}, messages.ErrInternal
	}
	if err := w.Error.Err(); err != nil {
		return Answer{}, err
	}
	return Answer{Watching: int(w.Watching), Refused: w.Refused}, nil
}

// onEndpointWatch is the other end of watchElsewhere.
func (s *System) onEndpointWatch(m *messages.EndpointWatch, reply func(proto.Message)) {
	refuse := func(err error) { reply(&messages.EndpointWatched{Error: messages.StatusOf(err)}) }
	var c WatchChange
	u, err := messages.ToUser(m.User)
	if err == nil {
		c.Add, err = messages.ToUsers(m.Add)
	}
	if err == nil {
		c.Remove, err = messages.ToUsers(m.Remove)
	}
	if err != nil {
		refuse(err)
		return
	}
	c.Replace = m.Replace
	e := s.endpoints.secret(m.Endpoint)
	if e == nil || e.key.User != u {
		refuse(errNoEndpoint)
		return
	}
	err = e.mailbox.Post(&watch{WatchChange: c, done: func(a Answer) {
		reply(&messages.EndpointWatched{
			Error: messages.StatusOf(a.Err), Watching: uint32(a.Watching), Refused: a.Refused,
		})
	}})
	if err != nil {
		refuse(err)
	}
}

// onSuperseded ends an endpoint that has connected to another gateway.
func (s *System) onSuperseded(m *messages.Superseded) {
	u, err := messages.ToUser(m.User)
	if err != nil {
		s.metrics.dropped.Inc()
		return
	}
	s.endpoints.mu.Lock()
	e := s.endpoints.byKey[EndpointKey{User: u, ID: m.Endpoint}]
	s.endpoints.mu.Unlock()
	if e != nil {
		e.mailbox.PostOwn(superseded{})
	}
}

// elsewhere says whether an address is one of another member's.
func (s *System) elsewhere(a trouter.Address) bool {
	_, ok := s.node.Table().Member(topology.NodeOf(a.Node))
	return ok && a.Node != s.node.ID
}
