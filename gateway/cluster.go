package gateway

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"rollcall/actors"
	"rollcall/cluster/gossip"
	"rollcall/cluster/peers"
	"rollcall/cluster/topology"
	"rollcall/copies"
	"rollcall/trouter"
)

// ClusterConfig makes a node a member of a cluster. Name, Gossip and Peer are
// required.
type ClusterConfig struct {
	Name    string        // of the cluster: 1 to 64 of a-z 0-9 . - _
	Gossip  string        // host:port of membership, UDP and TCP; port 0 is a free one
	Peer    string        // host:port of the way to other nodes, TCP; port 0 is a free one
	Secrets string        // directory with certificates and keys; empty on loopback addresses only
	Join    []string      // seeds, as gossip.Config.Join takes them; none: the first node
	Expect  int           // members below which the node is not ready; 0: none
	Roles   topology.Role // 0: all
	Zone    string
}

// everyRole is what a node does that is told nothing else.
const everyRole = topology.Gateway | topology.Presence

// membership is a node's part in a cluster. A node without one is alone.
type membership struct {
	name   string
	peers  *peers.Peers
	gossip *gossip.Gossip
	entry  *admission
}

// roles are what this node does.
func (c *Config) roles() topology.Role {
	if c.Cluster == nil || c.Cluster.Roles == 0 {
		return everyRole
	}
	return c.Cluster.Roles
}

// member is this node as others see it; Addr is not known yet.
func (n *Node) member(c *Config) topology.Member {
	m := topology.Member{
		ID:          "n" + strconv.FormatUint(n.store.Node(), 36),
		Incarnation: uint64(max(c.Now().UnixMilli(), 1)),
		Roles:       c.roles(),
		Protocol:    peers.Protocol,
	}
	if c.Cluster != nil {
		m.Zone = c.Cluster.Zone
	}
	if m.Roles&topology.Gateway != 0 {
		m.URL = c.Base
	}
	return m
}

// openActors starts the actors' engine. One that joins others serves nothing
// before it knows them.
func (n *Node) openActors(c *Config) (err error) {
	n.self = n.member(c)
	n.copies, err = copies.New(copies.Config{
		Disk: n.store, Node: n.store.Node(), Self: n.self, Ack: c.Ack, Min: c.Min,
		Wheel: n.wheel, Now: c.Now, Log: c.Log, Registerer: n.registry,
	})
	if err != nil {
		return err
	}
	n.actors, err = actors.New(actors.Config{
		Self: n.self, Joining: c.Cluster != nil && len(c.Cluster.Join) > 0, Seed: n.store.Node(),
		Store: n.copies, Copies: n.copies, Log: c.Log, Wheel: n.wheel, Now: c.Now, Registerer: n.registry, Limits: trouter.DefaultLimits,
	})
	return err
}

// join makes the node a member: first the way to the others is open, then they
// are told of it. What was opened is left to leave when join fails.
func (n *Node) join(c *Config) error {
	if c.Cluster == nil {
		return nil
	}
	m := &membership{name: c.Cluster.Name, entry: newAdmission(c.Log, n.self.ID, c.Now)}
	n.cluster = m
	var err error
	if m.peers, err = n.openPeers(c); err != nil {
		return err
	}
	n.self.Addr = m.peers.Addr()
	n.actors.Connect(m.peers)
	m.entry.start(company{known: m.peers.SetMembers, hasMet: m.peers.HasMet, admit: n.actors.SetMembers})
	keys := ""
	if c.Cluster.Secrets != "" {
		keys = filepath.Join(c.Cluster.Secrets, "gossip.keys")
	}
	m.gossip, err = gossip.Start(gossip.Config{
		Self: n.self, Cluster: c.Cluster.Name, Bind: c.Cluster.Gossip, Keys: keys,
		Join: c.Cluster.Join, Expect: c.Cluster.Expect,
		Log: c.Log, Registerer: n.registry, Now: c.Now, Changed: m.entry.changed,
	})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	c.Log.Info("member of a cluster", "cluster", m.name, "id", n.self.ID, "roles", RoleNames(n.self.Roles),
		"zone", n.self.Zone, "gossip", m.gossip.Addr(), "peer", m.peers.Addr(), "next", "--join "+m.gossip.Addr())
	return nil
}

func (n *Node) openPeers(c *Config) (*peers.Peers, error) {
	var secrets *peers.Credentials
	var err error
	if dir := c.Cluster.Secrets; dir != "" {
		if secrets, err = peers.LoadCredentials(dir, c.Cluster.Name, c.Log, c.Now); err != nil {
			return nil, err
		}
	}
	return peers.Start(peers.Config{
		System: n.actors.Engine(), Cluster: c.Cluster.Name, Self: n.self, Bind: c.Cluster.Peer, Credentials: secrets,
		Log: c.Log, Wheel: n.wheel, Now: c.Now, Registerer: n.registry,
		Hooks: peers.Hooks{
			Header: n.actors.Header, Receive: n.actors.Receive, Lost: n.actors.Lost, Undelivered: n.actors.Undelivered,
			Met: n.cluster.entry.met, Suspect: n.actors.Suspect,
		},
	})
}

// leaveTime bounds the goodbye to the other members.
const leaveTime = 2 * time.Second

// leave says goodbye, so that nobody waits for this node, and ends the way to
// the others. What goes on in the actors finds no way out any more.
func (n *Node) leave() {
	m := n.cluster
	if m == nil {
		return
	}
	if m.gossip != nil {
		if err := m.gossip.Leave(leaveTime); err != nil {
			n.log.Warn("not every member was told that this one leaves: they will find out", "error", err)
		}
	}
	m.entry.close()
	if m.peers != nil {
		m.peers.Close()
	}
}

// close ends what leave left.
func (m *membership) close() error {
	if m == nil || m.gossip == nil {
		return nil
	}
	return m.gossip.Close()
}

// ready says why a member should get no traffic. One that still takes over
// shards should: their owners serve them until it has them.
func (m *membership) ready() error {
	if m == nil {
		return nil
	}
	if m.gossip == nil {
		return errors.New("the node has not joined its cluster")
	}
	if err := m.gossip.Ready(); err != nil {
		return err
	}
	return m.entry.ready()
}

// Membership says where a node of a cluster is reached by the others.
type Membership struct {
	Cluster string
	ID      string
	Gossip  string // host:port, what the next node joins
	Peer    string // host:port
	Roles   topology.Role
}

// Membership is false for a node that is alone.
func (n *Node) Membership() (Membership, bool) {
	if n.cluster == nil {
		return Membership{}, false
	}
	return Membership{
		Cluster: n.cluster.name, ID: n.self.ID, Gossip: n.cluster.gossip.Addr(), Peer: n.cluster.peers.Addr(),
		Roles: n.self.Roles,
	}, true
}
