package cluster

import (
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/messages"
	"rollcall/wheel"
)

// Config of a Node. Log, Wheel, Now and Registerer are required.
type Config struct {
	ID         string // unique among the members, also over restarts
	Log        *slog.Logger
	Wheel      *wheel.Wheel
	Now        func() time.Time
	Registerer prometheus.Registerer
	Spawn      map[Kind]Spawn
	Notify     func(*messages.Notify) // other nodes' states for this gateway's endpoints; must not block
}

// Node is this process as a member: its actor system, its activations and its
// way to everybody else's.
type Node struct {
	ID     string
	System *actor.ActorSystem
	Wheel  *wheel.Wheel
	Now    func() time.Time

	log     *slog.Logger
	table   atomic.Pointer[Table]
	run     *runQueues
	dir     *directory
	calls   calls
	notify  func(*messages.Notify)
	metrics nodeMetrics
	plain   atomic.Uint64
	closed  atomic.Bool

	spawning  sync.Mutex // of plain actors, which share one props
	next      *Mailbox
	nextActor actor.Actor
	props     *actor.Props
}

// NewNode starts the run queues and registers the virtual address space. The
// node owns every shard until SetTable says otherwise.
func NewNode(c Config) *Node {
	quiet := slog.New(slog.DiscardHandler) // protoactor logs whole messages
	n := &Node{
		ID: c.ID, Wheel: c.Wheel, Now: c.Now, log: c.Log, notify: c.Notify,
		System:  actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet })),
		run:     startRunQueues(),
		metrics: newNodeMetrics(c.Registerer),
	}
	n.props = actor.PropsFromProducer(
		func() actor.Actor { return n.nextActor },
		actor.WithMailbox(func() actor.Mailbox { return n.next }))
	n.calls.start(n)
	n.dir = newDirectory(n, c.Spawn)
	n.table.Store(NewTable(1, []Member{{ID: c.ID}}))
	n.System.ProcessRegistry.RegisterAddressResolver(n.resolve)
	n.System.ProcessRegistry.Add(&ingress{n}, ingressName)
	n.metrics.gauges(c.Registerer, n)
	n.dir.startSweeps()
	return n
}

// Table is the current shard table. It never changes once read.
func (n *Node) Table() *Table { return n.table.Load() }

// SetTable makes t the table if its epoch is newer; it says whether it did.
func (n *Node) SetTable(t *Table) bool {
	for {
		old := n.table.Load()
		if old.Epoch >= t.Epoch {
			return false
		}
		if n.table.CompareAndSwap(old, t) {
			return true
		}
	}
}

// owns says whether this node hosts the shard by its own table.
func (n *Node) owns(shard uint16) (owner Member, here bool, err error) {
	owner, ok := n.Table().Owner(shard)
	if !ok {
		return owner, false, ErrNoRoute
	}
	return owner, owner.ID == n.ID, nil
}

// Each posts msg to every activation of a kind on this node, however full its
// mailbox is. One that begins during the call may miss it.
func (n *Node) Each(kind Kind, msg any) {
	n.dir.each(kind, func(m *Mailbox) { m.PostOwn(msg) })
}

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
