package replica

// Output is something for the runtime to do. The order of outputs means
// nothing but this: what Write and Absorb bring is on the disk before Wrote
// says so.
type Output interface{ output() }

type (
	// Send sends a message. It may be lost.
	Send struct {
		To      Member
		Message Message
	}
	// Write stores a commit of this node. Wrote(ID) answers it.
	Write struct {
		ID   uint64
		User User
		Data any
	}
	// Absorb merges what another member has into the store: a delta, a copy of a
	// user, or a page. Wrote(ID) answers it.
	Absorb struct {
		ID    uint64
		From  Member
		Shard uint16
		Data  any
	}
	// Done ends a Commit or a Gather.
	Done struct {
		ID          uint64
		Err         error // ErrUnconfirmed, ErrTooFew, ErrBusy or nil; always nil for a Gather
		Copies      int   // members that had a commit on their disks when it ended
		Provisional bool  // a Gather: some member was not heard, or what it has could not be stored
	}
	// ServeFetch reads a user and sends Copy to the member that asked.
	ServeFetch struct {
		To   Member
		ID   uint64
		User User
	}
	// ServePull reads a page of a shard and sends Page to the member that asked.
	ServePull struct {
		To   Member
		Pull Pull
	}
	// Complete says that everything a peer had logged up to Mark is in the store,
	// for all shards that this member and the peer both hold.
	Complete struct {
		Peer Member
		Mark uint64
	}
	// Drop removes a shard from the store, if its digest is still this. Wrote(ID)
	// answers it, whether it was removed or not.
	Drop struct {
		ID    uint64
		Shard uint16
		Root  uint64
	}
)

func (Send) output()       {}
func (Write) output()      {}
func (Absorb) output()     {}
func (Done) output()       {}
func (ServeFetch) output() {}
func (ServePull) output()  {}
func (Complete) output()   {}
func (Drop) output()       {}
