package gateway

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"rollcall/cluster"
	"rollcall/cluster/gossip"
	"rollcall/cluster/peers"
	"rollcall/cluster/topology"
	"rollcall/gateway/front"
	"rollcall/messages"
	"rollcall/presence"
)

// ClusterReport is the answer of GET /admin/v1/cluster: the cluster as one node
// sees it. Its parts may be of slightly different moments.
type ClusterReport struct {
	Cluster   string         `json:"cluster,omitempty"` // empty: the node is alone
	Self      string         `json:"self"`
	Epoch     uint64         `json:"epoch"`
	TableHash string         `json:"tableHash"` // the same on nodes that assign shards alike
	Members   []MemberReport `json:"members"`   // by id
	Shards    ShardReport    `json:"shards"`
	Moves     MoveReport     `json:"moves"`
	Copies    CopyReport     `json:"copies"`
	Interest  InterestReport `json:"interest"`
	Peers     []peers.Status `json:"peers"`
	Gossip    *GossipReport  `json:"gossip,omitempty"` // none where the node is alone
	User      *UserReport    `json:"user,omitempty"`   // with ?of=
}

// MemberReport is a member and what is known of it. Shards counts those that it
// owns by this node's table.
type MemberReport struct {
	ID          string    `json:"id"`
	State       string    `json:"state"` // alive, suspect, dead, left
	Since       time.Time `json:"since"`
	Incarnation uint64    `json:"incarnation"` // ms since 1970: when its process started
	Zone        string    `json:"zone"`
	Roles       []string  `json:"roles"`
	Leaving     bool      `json:"leaving"`
	Protocol    uint32    `json:"protocol"`
	Addr        string    `json:"addr"` // its data port
	URL         string    `json:"url"`
	Admitted    bool      `json:"admitted"` // takes part in this node's table
	Shards      int       `json:"shards"`
}

// ShardReport counts this node's shards by their state. Imbalance is that of
// the whole table: the largest share over the average.
type ShardReport struct {
	Total       int     `json:"total"`
	Served      int     `json:"served"`
	Awaited     int     `json:"awaited"`
	Taking      int     `json:"taking"`
	Held        int     `json:"held"`
	Yielding    int     `json:"yielding"`
	Settled     bool    `json:"settled"` // nothing is to be handed over or taken
	Activations int     `json:"activations"`
	Imbalance   float64 `json:"imbalance"`
}

// MoveReport counts shards that this node hands over, since its start but for
// UnderWay.
type MoveReport struct {
	UnderWay  int `json:"underWay"`
	Done      int `json:"done"`
	Users     int `json:"users"`
	Conflicts int `json:"conflicts"` // users that two nodes had at once
}

// CopyReport is how well what this node holds is copied.
type CopyReport struct {
	Durability int `json:"durability"` // nodes that are to hold each user of this node's shards
	Unsettled  int `json:"unsettled"`  // shards of which other nodes may have something that this one has not
	Pulls      int `json:"pulls"`      // shards that are being fetched
	Extra      int `json:"extra"`      // shards held until their new holders have everything
}

// InterestReport is whom this node's endpoints watch. Digests are comparisons
// with owners, Differences what they found.
type InterestReport struct {
	Endpoints     int    `json:"endpoints"`
	Publishers    int    `json:"publishers"`
	Registrations int    `json:"registrations"`
	Digests       uint64 `json:"digests"`
	Differences   uint64 `json:"differences"`
}

// GossipReport is how the node finds the others.
type GossipReport struct {
	Addr     string   `json:"addr"`
	Seeds    []string `json:"seeds"`
	LastJoin string   `json:"lastJoin"` // why the last attempt failed, empty: it did not
	Joined   bool     `json:"joined"`   // a seed was reached, or none was needed
	Expect   int      `json:"expect"`
	Health   int      `json:"health"`   // 0 is well; more: this node is late with its own work
	NotReady string   `json:"notReady"` // what /readyz says of it, empty: nothing
}

// UserReport says which members hold a user.
type UserReport struct {
	ID       string   `json:"id"`
	Shard    int      `json:"shard"`
	Owner    string   `json:"owner"`
	Replicas []string `json:"replicas"` // the owner first
}

// cluster serves GET /admin/v1/cluster?of=<tenant>/<mri>.
func (s *server) cluster(w http.ResponseWriter, r *http.Request) {
	report := s.node.Report()
	if of := r.URL.Query().Get("of"); of != "" {
		u, err := presence.ParseTarget(of, presence.TenantID{})
		if err != nil {
			front.WriteError(w, messages.ErrBadID.With("of must be a user as <tenant>/8:orgid:<guid>"))
			return
		}
		report.User = holders(s.node.actors.Cluster().Table, u)
	}
	front.WriteJSON(w, http.StatusOK, report)
}

// Report is the cluster as this node sees it.
func (n *Node) Report() *ClusterReport {
	c, i := n.actors.Cluster(), n.actors.Interest()
	r := &ClusterReport{
		Self: n.self.ID, Epoch: c.Table.Epoch, TableHash: fmt.Sprintf("%016x", c.Table.Hash()),
		Shards: shards(&c), Peers: []peers.Status{},
		Moves:  MoveReport{UnderWay: c.UnderWay, Done: c.Done, Users: c.Users, Conflicts: c.Conflicts},
		Copies: n.copied(),
		Interest: InterestReport{
			Endpoints: i.Endpoints, Publishers: i.Publishers, Registrations: i.Registrations,
			Digests: i.Digests, Differences: i.Differences,
		},
	}
	if n.cluster == nil {
		for _, m := range c.Table.Members {
			r.Members = append(r.Members, describe(m, "alive", started(m), c.Table))
		}
		return r
	}
	g := n.cluster.gossip.Status()
	r.Cluster, r.Peers = n.cluster.name, n.cluster.peers.Status()
	r.Gossip = &GossipReport{
		Addr: g.Addr, Seeds: append([]string{}, g.Seeds...), LastJoin: g.LastJoin, Joined: g.Joined, Expect: g.Expect, Health: g.Health,
	}
	if err := n.cluster.ready(); err != nil {
		r.Gossip.NotReady = err.Error()
	}
	r.Members = members(g.Members, c.Table)
	return r
}

func (n *Node) copied() CopyReport {
	s := n.copies.Status()
	return CopyReport{Durability: s.Durability, Unsettled: s.Unsettled, Pulls: s.Pulls, Extra: s.Extra}
}

func members(known []gossip.Peer, t *topology.Table) []MemberReport {
	list := make([]MemberReport, 0, len(known))
	for _, p := range known {
		list = append(list, describe(p.Member, string(p.State), p.Since, t))
	}
	slices.SortFunc(list, func(a, b MemberReport) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func started(m topology.Member) time.Time { return time.UnixMilli(int64(m.Incarnation)) }

func describe(m topology.Member, state string, since time.Time, t *topology.Table) MemberReport {
	_, admitted := t.Member(m.ID)
	return MemberReport{
		ID: m.ID, State: state, Since: since.UTC(), Incarnation: m.Incarnation, Zone: m.Zone, Roles: RoleNames(m.Roles),
		Leaving: m.Leaving, Protocol: m.Protocol, Addr: m.Addr, URL: m.URL, Admitted: admitted, Shards: t.Shards(m.ID),
	}
}

func shards(c *cluster.Status) ShardReport {
	r := ShardReport{
		Total: presence.Shards, Served: c.Served, Awaited: c.Awaited, Taking: c.Taking, Held: c.Held,
		Yielding: c.Yielding, Settled: c.Settled, Activations: c.Activations,
	}
	owners, most := 0, 0
	for i := range c.Table.Members {
		m := &c.Table.Members[i]
		if m.Owns() {
			owners++
		}
		most = max(most, c.Table.Shards(m.ID))
	}
	r.Imbalance = float64(most*owners) / presence.Shards
	return r
}

func holders(t *topology.Table, u presence.UserID) *UserReport {
	shard := u.Shard()
	r := &UserReport{ID: u.String(), Shard: int(shard), Replicas: []string{}}
	for _, m := range t.ReplicaSet(shard) {
		r.Replicas = append(r.Replicas, m.ID)
	}
	if owner, ok := t.Owner(shard); ok {
		r.Owner = owner.ID
	}
	return r
}
