package replica

import "errors"

// Shards is how many parts the users are spread over.
const Shards = 4096

// Errors with which a commit ends.
var (
	ErrUnconfirmed = errors.New("replica: too few nodes have confirmed in time: the outcome is not known")
	ErrTooFew      = errors.New("replica: fewer nodes are there than must hold a copy")
)

// View is what membership says at one moment.
type View struct {
	Table   uint64                      // hash of the shard table, the same on members that assign shards alike
	Self    Member                      //
	Members []Member                    // live ones that may hold copies, this one among them
	Sets    func(shard uint16) []Member // who is to hold a shard, the owner first; empty: nobody
}

// Digests tells what the store has. Both must be quick.
type Digests interface {
	// Root is the digest of a shard, 0 for an empty one; false while it is not
	// known yet.
	Root(shard uint16) (root uint64, known bool)
	// Mark is a number of this node's own log of changes: none at or below it is
	// still to come.
	Mark() uint64
}

// Config of a Machine.
type Config struct {
	Ack     int // members that must have a commit before it ends; 0: all of its set
	Min     int // members that must be there for a commit to be tried
	Digests Digests
	Seed    uint64 // of jitter
}
