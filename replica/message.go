package replica

// Member names one process of a node. A restarted node is another member: it
// may have lost its disk.
type Member string

// User names a user. The machine does not look inside.
type User string

// Message is what machines say to each other. Fields of type any are the
// runtime's own: the machine passes them on.
type Message interface{ message() }

type (
	// Delta is a commit on its way to another holder. Ack answers it.
	Delta struct {
		ID    uint64 // of the sender
		Shard uint16
		User  User
		Data  any
	}
	// Ack says that a delta is on the disk, or was refused.
	Ack struct {
		ID uint64
		OK bool
	}
	// Fetch asks for all of a user. Copy answers it.
	Fetch struct {
		ID    uint64
		Shard uint16
		User  User
	}
	// Copy is all that a member has of a user; OK is false if it could not read it.
	Copy struct {
		ID   uint64
		Data any
		OK   bool
	}
	// Roots are the digests of shards at the sender. Differs answers them.
	Roots struct {
		Round  uint64 // of the sender; the answer repeats it
		View   uint64 // of the sender: a greater one each time that it enters a view
		Table  uint64
		Shards []uint16
		Roots  []uint64
	}
	// Differs lists the shards of which the sender has something, and something
	// else than was said in Roots. Of those in Unknown it does not know its digest
	// yet. If Table is another than in Roots, it says nothing more than that. Mark
	// is the sender's Digests.Mark, read before the digests.
	Differs struct {
		Round   uint64
		View    uint64
		Table   uint64
		Mark    uint64
		Shards  []uint16
		Roots   []uint64
		Unknown []uint16
	}
	// Pull asks for what the receiver has of a shard and the sender has not. Page
	// answers it.
	Pull struct {
		ID    uint64
		Table uint64
		Shard uint16
		Have  any // what the sender has: the runtime fills it in
		After any // nil: from the beginning
	}
	// Page is a part of the answer. Root is the digest when it was read.
	Page struct {
		ID    uint64
		Shard uint16
		Root  uint64
		Data  any
		Next  any // where to go on; nil: this was the last
		OK    bool
	}
	// Surplus are the digests of shards that the sender has and is not to hold.
	// Covered answers it.
	Surplus struct {
		Round  uint64 // of the sender; the answer repeats it
		Table  uint64
		Shards []uint16
		Roots  []uint64
	}
	// Covered lists the shards of a Surplus that the sender is to hold, and of
	// which it has on its disk all that there was at the digest said.
	Covered struct {
		Round  uint64
		Table  uint64
		Shards []uint16
	}
	// Behind says that the receiver may have missed something of these shards
	// that the sender has.
	Behind struct{ Shards []uint16 }
)

func (Delta) message()   {}
func (Ack) message()     {}
func (Fetch) message()   {}
func (Copy) message()    {}
func (Roots) message()   {}
func (Differs) message() {}
func (Pull) message()    {}
func (Page) message()    {}
func (Surplus) message() {}
func (Covered) message() {}
func (Behind) message()  {}
