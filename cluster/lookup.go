package cluster

import (
	"github.com/asynkron/protoactor-go/actor"
	proto "github.com/asynkron/protoactor-go/cluster"
)

// Lookup is protoactor's IdentityLookup over the shard table: an identity is
// answered with a virtual PID at once, so there is no placement round trip and
// no cached PID that a change of owner could make stale.
type Lookup struct{}

var _ proto.IdentityLookup = Lookup{}

// Get returns the virtual PID of an identity; its kind and identity together
// are the address, e.g. kind "user", identity "<tenant>/<mri>".
func (Lookup) Get(id *proto.ClusterIdentity) *actor.PID {
	return actor.NewPID(virtualSpace, id.Kind+"/"+id.Identity)
}

// RemovePid has nothing to forget.
func (Lookup) RemovePid(*proto.ClusterIdentity, *actor.PID) {}

// Setup needs nothing: the node that resolves virtual PIDs registers itself.
func (Lookup) Setup(*proto.Cluster, []string, bool) {}

// Shutdown ends no activation: the node's Close does.
func (Lookup) Shutdown() {}
