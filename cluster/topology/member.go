// Package topology says which member of the cluster owns which shard: pure
// functions of the list of members, the same on every node.
package topology

import (
	"slices"
	"strconv"
	"strings"
)

// Role is a part that a node plays; roles are a set of bits.
type Role uint8

// The roles.
const (
	Gateway  Role = 1 << iota // accepts clients and holds their endpoints
	Presence                  // owns shards
)

// Member is one node of the cluster.
type Member struct {
	ID          string // lasting: that of its store
	Incarnation uint64 // of its process: later ones are higher
	Addr        string // host:port of its data port; empty while it is alone
	Zone        string
	Roles       Role
	Leaving     bool   // hands over what it has and takes nothing any more
	Protocol    uint32 // the newest version of the protocol between nodes that it speaks
	URL         string // where clients reach it, empty if it is no gateway
}

// Name is what soft state about a member is kept under: another process of the
// same member has another name.
func (m *Member) Name() string { return m.ID + "#" + strconv.FormatUint(m.Incarnation, 36) }

// Owns says whether the member takes part in the ownership of shards.
func (m *Member) Owns() bool { return m.Roles&Presence != 0 && !m.Leaving }

// NodeOf is the member id in a name.
func NodeOf(name string) string {
	id, _, _ := strings.Cut(name, "#")
	return id
}

// Same says whether two lists of members, sorted by id, lead to the same table.
func Same(a, b []Member) bool { return slices.Equal(a, b) }
