package actors

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"rollcall/cluster"
	"rollcall/cluster/topology"
	"rollcall/messages"
)

// Engine is the actor system that the way to other nodes is built on.
func (s *System) Engine() *actor.ActorSystem { return s.node.System }

// Connect gives the actors their way to other nodes.
func (s *System) Connect(l cluster.Links) { s.node.Connect(l) }

// SetMembers makes a list of live members, this node among them and sorted by
// id, the one that users are spread over. It is called by one goroutine.
func (s *System) SetMembers(list []topology.Member) { s.node.SetMembers(list) }

// Header is the epoch and the hash of the shard table, for envelopes.
func (s *System) Header() (epoch, table uint64) {
	t := s.node.Table()
	return t.Epoch, t.Hash()
}

// Receive takes an envelope of a member, in the order in which it was sent.
func (s *System) Receive(from string, e *messages.Envelope) { s.node.Receive(from, e) }

// Undelivered takes back what was queued for a member that is no more.
func (s *System) Undelivered(_ string, queued []*messages.Routed) { s.node.Undelivered(queued) }

// Lost says that messages to or from a member have gone astray: what this
// gateway has registered with it is registered again.
func (s *System) Lost(peer string) {
	shards := s.owned(peer)
	s.reset(peer, &shards)
}

// Cluster is what this node does in the cluster.
func (s *System) Cluster() cluster.Status { return s.node.Status() }

// Table is the shard table in force.
func (s *System) Table() *topology.Table { return s.node.Table() }

// Owned are the shards of this node.
func (s *System) Owned() topology.Set { return s.owned(s.node.ID) }

// owned are the shards of a member.
func (s *System) owned(id string) (set topology.Set) {
	t := s.node.Table()
	for i := range uint16(len(set) * 64) {
		if o, ok := t.Owner(i); ok && o.ID == id {
			set.Add(i)
		}
	}
	return set
}

// Messages to all actors of a kind about members.
type (
	// lostShards says that the registrations with users of these shards are gone.
	lostShards struct{ shards topology.Set }
	// gatewaysGone names gateway processes that are no more.
	gatewaysGone struct{ names []string }
	// forgetGateway drops what a gateway has registered in some shards.
	forgetGateway struct {
		name   string
		shards topology.Set
	}
)

// assigning tells the copies who holds what before anybody is asked for it.
func (s *System) assigning(t *topology.Table) {
	if s.copies != nil {
		s.copies.SetTable(t)
	}
}

// changed follows another list of members.
func (s *System) changed(c cluster.Change) {
	if len(c.Gone) > 0 {
		s.gateways.forget(c.Gone)
		s.node.Each(cluster.UserKind, gatewaysGone{c.Gone})
	}
	s.mourn(c.Lost)
	if met := len(c.New) > 0 && !slices.Contains(c.New, s.node.ID); met {
		s.mourn(s.Owned()) // those who come may know better, above all after a partition
	}
	s.relearn(c.Lost)
	for _, id := range c.New {
		if id != s.node.ID {
			s.askPolicies(id, nil)
		}
	}
	select {
	case s.gained <- struct{}{}:
	default: // a sweep is due anyway
	}
}

// mourningTime is how long an owner that may not know everything waits before it
// calls a user offline whom a gateway has seen otherwise: the new owner of a user
// whose old one has died waits for the devices, whose gateways learn of the death
// within a second of each other, and one that meets others for what they hand
// over.
const mourningTime = 2 * time.Second

// mourn notes that the owners of shards have died.
func (s *System) mourn(shards topology.Set) {
	until := s.now().Add(mourningTime).UnixMilli()
	for shard := range shards.All() {
		s.mourned[shard].Store(until)
	}
}

// mourning is when the devices of a shard whose owner has died have had their
// time.
func (s *System) mourning(shard uint16) time.Time { return time.UnixMilli(s.mourned[shard].Load()) }

// relearn makes this gateway's endpoints register again with the users of some
// shards.
func (s *System) relearn(shards topology.Set) {
	if shards.Len() == 0 {
		return
	}
	m := &lostShards{shards}
	for _, e := range s.endpoints.all() {
		e.mailbox.PostOwn(m)
	}
}

// control takes a message of another node, or of this one, to this node.
func (s *System) control(from string, msg proto.Message, reply func(proto.Message)) {
	if reply == nil {
		reply = func(proto.Message) {}
	}
	switch m := msg.(type) {
	case *messages.Serving:
		if set, err := topology.ParseSet(m.Shards); err == nil {
			s.mourn(set)
			s.relearn(set)
			return
		}
		s.metrics.dropped.Inc()
	case *messages.InterestDigest:
		reply(s.compare(m))
	case *messages.InterestReset:
		s.onReset(m)
	case *messages.Policies:
		s.learn(m, func(err error) { reply(&messages.PoliciesStored{Error: messages.StatusOf(err)}) })
	case *messages.PolicyDigest:
		reply(s.policiesAfter(m))
	case *messages.EndpointWatch:
		s.onEndpointWatch(m, reply)
	case *messages.Superseded:
		s.onSuperseded(m)
	default:
		if s.copies == nil || !s.copies.Receive(from, msg) {
			s.metrics.dropped.Inc()
		}
	}
}

// suspected makes the endpoints of this gateway register with those who stand in
// for a member that it cannot reach. When that one is back, they are told.
func (s *System) suspected(id string, is bool) {
	if s.copies != nil {
		s.copies.Suspect(id, is)
	}
	if is {
		s.relearn(s.owned(id))
	}
}

// unsettled says that another node may have committed to a shard.
func (s *System) unsettled(shard uint16) {
	if s.copies != nil {
		s.copies.Unsettle(shard)
	}
}

// member says whether a gateway process is one of the present members.
func (s *System) member(name string) bool {
	if name == s.node.Name {
		return true
	}
	m, ok := s.node.Table().Member(topology.NodeOf(name))
	return ok && m.Name() == name
}

// controlTime bounds a request to another node itself.
const controlTime = 5 * time.Second

// Suspect says whether a member seems not to be reached any more; others stand in
// for it until it is, or is no member.
func (s *System) Suspect(id string, suspected bool) { s.node.Suspect(id, suspected) }
