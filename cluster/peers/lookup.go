package peers

import (
	"github.com/asynkron/protoactor-go/actor"
	proto "github.com/asynkron/protoactor-go/cluster"
)

// VirtualSpace is the address of virtual actors: a PID with it is that of the
// same actor on every node.
const VirtualSpace = "v"

// lookup is protoactor's IdentityLookup over virtual addresses: an identity is
// answered with a virtual PID at once, so there is no placement round trip and
// no cached PID that a change of owner could make stale.
type lookup struct{}

var _ proto.IdentityLookup = lookup{}

// Get returns the virtual PID of an identity; its kind and identity together
// are the address, e.g. kind "user", identity "<tenant>/<mri>".
func (lookup) Get(id *proto.ClusterIdentity) *actor.PID {
	return actor.NewPID(VirtualSpace, id.Kind+"/"+id.Identity)
}

// RemovePid has nothing to forget.
func (lookup) RemovePid(*proto.ClusterIdentity, *actor.PID) {}

// Setup needs nothing: the node that resolves virtual PIDs registers itself.
func (lookup) Setup(*proto.Cluster, []string, bool) {}

// Shutdown ends no activation: the node's Close does.
func (lookup) Shutdown() {}
