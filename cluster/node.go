package cluster

import (
	"context"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/wheel"
)

// Config of a Node. Self.ID, Log, Wheel, Now and Registerer are required.
type Config struct {
	Self       topology.Member
	Joining    bool // serves nothing before it is told who is there
	Log        *slog.Logger
	Wheel      *wheel.Wheel
	Now        func() time.Time
	Registerer prometheus.Registerer
	Spawn      map[Kind]Spawn
	Hooks
}

// Hooks are what a node asks of the actors it hosts. None but Yield may block,
// and any may be nil.
type Hooks struct {
	// Notify takes other nodes' states for this gateway's endpoints.
	Notify func(*messages.Notify)
	// Control takes a message to this node itself, from the named member;
	// reply, nil where no answer is wanted, may be called later, once.
	Control func(from string, msg proto.Message, reply func(proto.Message))
	// Assigning is told of every new table before shards change hands by it.
	Assigning func(*topology.Table)
	// Changed is told of every new table, one at a time.
	Changed func(Change)
	// Suspected is told, in order, whether a member can be reached. While it
	// cannot, others stand in for it.
	Suspected func(id string, suspected bool)
	// Unsettled is told that another member had been serving a shard, and may
	// have stored what this one does not know.
	Unsettled func(shard uint16)
	// Yield hands what the given activations of a shard know to its new owner. It
	// blocks until all is there or the context ends, and returns the number of
	// users handed over.
	Yield func(ctx context.Context, shard uint16, active []*Mailbox) (int, error)
}

// Change is what another list of members means for this node.
type Change struct {
	Table *topology.Table
	Lost  topology.Set // shards whose new owner was handed nothing
	Gone  []string     // names of members that are no more
	New   []string     // ids of members that were not there before
}

// Links carries messages to other nodes without waiting for them; *peers.Peers
// is the real one. What is queued for a member that goes away comes back by
// Undelivered.
type Links interface {
	Send(to string, r *messages.Routed) error
	Return(to string, r *messages.Routed) error
	Notify(to string, n *messages.Notify) error
}

// Node is this process as a member: its actor system, its activations and its
// way to everybody else's.
type Node struct {
	ID     string // lasting
	Name   string // of this process
	System *actor.ActorSystem
	Wheel  *wheel.Wheel
	Now    func() time.Time

	log     *slog.Logger
	hooks   Hooks
	table   atomic.Pointer[topology.Table]
	heard   atomic.Uint64 // the highest epoch in anybody's envelopes
	links   atomic.Pointer[Links]
	shards  shards
	moves   moves
	doubts  doubts
	resends atomic.Int64
	run     *runQueues
	dir     *directory
	calls   calls
	metrics nodeMetrics
	plain   atomic.Uint64
	closed  atomic.Bool

	spawning  sync.Mutex // of plain actors, which share one props
	next      *Mailbox
	nextActor actor.Actor
	props     *actor.Props
}

// NewNode starts the run queues and registers the virtual address space. Unless
// it is joining, the node owns every shard until SetMembers says otherwise.
func NewNode(c Config) *Node {
	quiet := slog.New(slog.DiscardHandler) // protoactor logs whole messages
	n := &Node{
		ID: c.Self.ID, Name: c.Self.Name(), Wheel: c.Wheel, Now: c.Now, log: c.Log, hooks: c.Hooks,
		System:  actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet })),
		run:     startRunQueues(),
		metrics: newNodeMetrics(c.Registerer),
	}
	n.props = actor.PropsFromProducer(
		func() actor.Actor { return n.nextActor },
		actor.WithMailbox(func() actor.Mailbox { return n.next }))
	n.calls.start(n)
	n.shards.start(n)
	n.moves.start(n)
	n.doubts.start(n)
	n.dir = newDirectory(n, c.Spawn)
	n.table.Store(topology.NewTable(0, nil))
	if !c.Joining {
		n.SetMembers([]topology.Member{c.Self})
	}
	n.System.ProcessRegistry.RegisterAddressResolver(n.resolve)
	n.metrics.gauges(c.Registerer, n)
	n.dir.startSweeps()
	return n
}

// Connect gives the node its way to the others. From then on it hands over what
// it does not own.
func (n *Node) Connect(l Links) {
	n.links.Store(&l)
	n.moves.begin()
}

// Table is the current shard table. It never changes once read.
func (n *Node) Table() *topology.Table { return n.table.Load() }

// Each posts msg to every activation of a kind on this node, however full its
// mailbox is. One that begins during the call may miss it.
func (n *Node) Each(kind Kind, msg any) {
	n.dir.each(kind, func(m *Mailbox) { m.PostOwn(msg) })
}

// PostActive posts msg to the activation of an actor on this node, however full
// its mailbox is. It is false if there is none.
func (n *Node) PostActive(a Address, msg any) bool { return n.dir.postActive(a, msg) }

// SpawnPlain starts an actor that lives on this node only and is reached by its
// mailbox, not by an address.
func (n *Node) SpawnPlain(make func(*Mailbox) actor.Actor) (*Mailbox, error) {
	if n.closed.Load() {
		return nil, ErrClosed
	}
	id := n.plain.Add(1)
	m := n.newMailbox(id)
	n.spawning.Lock()
	defer n.spawning.Unlock()
	n.next, n.nextActor = m, make(m)
	_, err := n.System.Root.SpawnNamed(n.props, "p"+strconv.FormatUint(id, 36))
	return m, err
}

func (n *Node) newMailbox(seq uint64) *Mailbox {
	m := &Mailbox{host: n, queue: uint8(mix(seq) % uint64(len(n.run.queues)))}
	m.link.run = m
	return m
}

// Close lets the actors finish what is queued and waits for the run queues.
// Later messages are refused with ErrClosed.
func (n *Node) Close() {
	if n.closed.Swap(true) {
		return
	}
	n.moves.close()
	n.doubts.close()
	n.Wheel.Stop(&n.shards.timer)
	n.Wheel.Stop(&n.dir.sweep)
	n.calls.close()
	n.run.close()
	n.System.Shutdown()
}

func (n *Node) panicked(reason, msg any) {
	n.metrics.panics.Inc()
	n.log.Error("an actor panicked and was ended", "reason", reason,
		"message", messageName(msg), "stack", string(debug.Stack()))
}

// mix is the finaliser of MurmurHash3 (64 bit).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}
