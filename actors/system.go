package actors

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/cluster"
	"rollcall/cluster/topology"
	"rollcall/copies"
	"rollcall/messages"
	"rollcall/presence"
	"rollcall/trouter"
	"rollcall/wheel"
)

// Config of a System. All fields but Joining and Copies are required.
type Config struct {
	Self       topology.Member // this node: id, incarnation and roles
	Joining    bool            // serves nothing before the first list of members
	Seed       uint64          // this node's number in stamps, unique among nodes
	Store      Store
	Copies     *copies.Copies // the Store where it has copies on other nodes; nil: it has none
	Log        *slog.Logger
	Wheel      *wheel.Wheel
	Now        func() time.Time
	Registerer prometheus.Registerer
	Limits     trouter.Limits
}

// System is the actors of one node and the client for all actors of the
// cluster. Its methods are safe for concurrent use.
type System struct {
	node      *cluster.Node
	seed      uint64
	store     Store
	copies    *copies.Copies
	stalls    stalls
	log       *slog.Logger
	wheel     *wheel.Wheel
	now       func() time.Time
	limits    trouter.Limits
	metrics   *metrics
	policies  policies
	endpoints endpoints
	numbers   publishers
	gateways  gateways
	digests   digests
	gained    chan struct{}
	mourned   [presence.Shards]atomic.Int64 // unix ms
	closing   sync.Once
}

// New loads the tenants' policies and starts the actors' engine.
func New(c Config) (*System, error) {
	if err := c.Limits.Validate(); err != nil {
		return nil, err
	}
	s := &System{
		seed: c.Seed, store: c.Store, copies: c.Copies, log: c.Log, wheel: c.Wheel, now: c.Now,
		limits: c.Limits, metrics: newMetrics(c.Registerer), gained: make(chan struct{}, 1),
	}
	s.endpoints.init(s)
	s.numbers.init()
	s.digests.init(s)
	if err := s.policies.load(c.Store); err != nil {
		return nil, fmt.Errorf("actors: load the tenants' policies: %w", err)
	}
	s.node = cluster.NewNode(cluster.Config{
		Self: c.Self, Joining: true, Log: c.Log, Wheel: c.Wheel, Now: c.Now, Registerer: c.Registerer,
		Spawn: map[cluster.Kind]cluster.Spawn{
			cluster.UserKind: func(a cluster.Address, m *cluster.Mailbox) actor.Actor {
				return newUser(s, a.ID, m)
			},
			cluster.TenantKind: func(a cluster.Address, m *cluster.Mailbox) actor.Actor {
				return &tenant{sys: s, id: a.ID.Tenant, mailbox: m}
			},
		},
		Hooks: cluster.Hooks{
			Notify: s.notified, Control: s.control, Assigning: s.assigning, Changed: s.changed, Yield: s.yield,
			Suspected: s.suspected, Unsettled: s.unsettled,
		},
	})
	s.stalls.start(s)
	if s.copies != nil {
		s.copies.Start(s.node.TellNode, s.merged)
	}
	if !c.Joining {
		s.node.SetMembers([]topology.Member{c.Self})
	}
	s.digests.start()
	return s, nil
}

// Node is the name of this node, as in endpoint URLs.
func (s *System) Node() string { return s.node.ID }

// Wake activates a user of this node whose presence changes by itself, so that
// the change is announced. One that another node owns is left to it.
func (s *System) Wake(u presence.UserID) error {
	if owner, ok := s.node.Table().Owner(u.Shard()); !ok || owner.ID != s.node.ID {
		return nil
	}
	return s.node.Tell(cluster.User(u), &messages.Recheck{})
}

// Awake says whether a user is in memory here, and has it look at the clock if
// so.
func (s *System) Awake(u presence.UserID) bool { return s.node.PostActive(cluster.User(u), tick{}) }

// Gained has something in it when this node has come to own shards: stored
// users of theirs need to be woken.
func (s *System) Gained() <-chan struct{} { return s.gained }

// Close ends every connection with "going away", then the engine. What was
// acknowledged is stored; what was not, clients send again.
func (s *System) Close() {
	s.closing.Do(func() {
		s.digests.close()
		s.stalls.close()
		s.endpoints.closeAll()
		s.node.Close()
		s.endpoints.endAll()
	})
}
