package actors

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/cluster"
	"rollcall/messages"
	"rollcall/presence"
	"rollcall/trouter"
	"rollcall/wheel"
)

// Config of a System. All fields are required.
type Config struct {
	Node       string // this node's id, unique and lasting
	Seed       uint64 // this node's number in stamps, unique among nodes
	Store      Store
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
	log       *slog.Logger
	wheel     *wheel.Wheel
	now       func() time.Time
	limits    trouter.Limits
	metrics   *metrics
	policies  policies
	endpoints endpoints
	numbers   publishers
	closing   sync.Once
}

// New loads the tenants' policies and starts the actors' engine.
func New(c Config) (*System, error) {
	if err := c.Limits.Validate(); err != nil {
		return nil, err
	}
	s := &System{
		seed: c.Seed, store: c.Store, log: c.Log, wheel: c.Wheel, now: c.Now,
		limits: c.Limits, metrics: newMetrics(c.Registerer),
	}
	s.endpoints.init(s)
	s.numbers.init()
	if err := s.policies.load(c.Store); err != nil {
		return nil, fmt.Errorf("actors: load the tenants' policies: %w", err)
	}
	s.node = cluster.NewNode(cluster.Config{
		ID: c.Node, Log: c.Log, Wheel: c.Wheel, Now: c.Now, Registerer: c.Registerer,
		Spawn: map[cluster.Kind]cluster.Spawn{
			cluster.UserKind: func(a cluster.Address, m *cluster.Mailbox) actor.Actor {
				return newUser(s, a.ID, m)
			},
			cluster.TenantKind: func(a cluster.Address, m *cluster.Mailbox) actor.Actor {
				return &tenant{sys: s, id: a.ID.Tenant, mailbox: m}
			},
		},
		Notify: s.notified,
	})
	return s, nil
}

// Node is the name of this node, as in endpoint URLs.
func (s *System) Node() string { return s.node.ID }

// Wake activates a user whose presence changes by itself, so that the change is
// announced; a store's start-up sweep calls it.
func (s *System) Wake(u presence.UserID) error {
	return s.node.Tell(cluster.User(u), &messages.Recheck{})
}

// Close ends every connection with "going away", then the engine. What was
// acknowledged is stored; what was not, clients send again.
func (s *System) Close() {
	s.closing.Do(func() {
		s.endpoints.closeAll()
		s.node.Close()
		s.endpoints.endAll()
	})
}
