package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"rollcall/cluster/topology"
	"rollcall/messages"
	"rollcall/presence"
)

const (
	handoffWorkers = 4                      // shards handed over side by side
	askHandoff     = 2 * time.Second        // for a word with the new owner
	yieldTime      = time.Minute            // for one shard
	againAfter     = 200 * time.Millisecond // for what has failed
	lookEvery      = 30 * time.Second       // although nothing has changed
)

var errNotReady = errors.New("cluster: the new owner does not know yet that the shard is its own")

// moves hands over what this node has of shards that it does not own: one
// goroutine decides, a few carry out.
type moves struct {
	node      *Node
	kick      chan struct{}
	stop      context.CancelFunc
	once      sync.Once
	wg        sync.WaitGroup
	told      map[string]uint64 // by member id, the newest list of members under which it knows what we have
	doing     atomic.Int64
	done      atomic.Int64
	users     atomic.Int64
	conflicts atomic.Int64
}

func (m *moves) start(n *Node) {
	m.node, m.kick, m.told = n, make(chan struct{}, 1), map[string]uint64{}
}

func (m *moves) begin() {
	m.once.Do(func() {
		ctx, stop := context.WithCancel(context.Background())
		m.stop = stop
		m.wg.Go(func() { m.run(ctx) })
		m.wake()
	})
}

func (m *moves) wake() {
	select {
	case m.kick <- struct{}{}:
	default: // it is awake
	}
}

func (m *moves) close() {
	if m.stop != nil {
		m.stop()
	}
	m.wg.Wait()
}

func (m *moves) run(ctx context.Context) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		select {
		case <-m.kick:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		wait := lookEvery
		if !m.round(ctx) {
			wait = againAfter
		}
		timer.Reset(wait)
	}
}

// round tells everybody what this node has and hands it over, a few shards at a
// time, those first of which it has given up a part. It is false when something
// is left to do.
func (m *moves) round(ctx context.Context) bool {
	generation := m.node.shards.generation.Load()
	t := m.node.Table()
	settled := m.tell(ctx, t, generation)
	var failed sync.Map // owners that do not answer, in this round
	var left atomic.Bool
	work := make(chan uint16)
	var wg sync.WaitGroup
	for range handoffWorkers {
		wg.Go(func() {
			for shard := range work {
				owner, _ := t.Owner(shard)
				if m.node.doubts.about(owner.ID) {
					continue // a round begins when it answers again
				}
				if _, dead := failed.Load(owner.ID); dead {
					left.Store(true)
				} else if err := m.handOver(ctx, t, shard, owner.ID); err != nil {
					left.Store(true)
					if !errors.Is(err, errNotReady) {
						failed.Store(owner.ID, true)
					}
				}
			}
		})
	}
	for _, shard := range m.due(t) {
		if ctx.Err() != nil || m.node.shards.generation.Load() != generation {
			left.Store(true)
			break
		}
		work <- shard
	}
	close(work)
	wg.Wait()
	return settled && !left.Load()
}

// due are the shards of other members, of those that answer, that this node has
// something of.
func (m *moves) due(t *topology.Table) []uint16 {
	var first, rest []uint16
	for i := range presence.Shards {
		shard := uint16(i)
		if o, ok := t.Owner(shard); !ok || o.ID == m.node.ID || m.node.doubts.about(o.ID) {
			continue
		}
		switch s := m.node.shards.of(shard); {
		case s == yielding:
			first = append(first, shard)
		case s == held:
			rest = append(rest, shard)
		}
	}
	return append(first, rest...)
}

// tell exchanges with everybody who may own shards, and answers, what each has of
// the other's.
// It is false when somebody does not know yet.
func (m *moves) tell(ctx context.Context, t *topology.Table, generation uint64) bool {
	if self, _ := t.Member(m.node.ID); self.Roles&topology.Presence == 0 {
		return true
	}
	mine := m.node.holdings()
	asked := 0
	taken := make(chan string, len(t.Members))
	for i := range t.Members {
		to := &t.Members[i]
		if to.ID == m.node.ID || to.Roles&topology.Presence == 0 || m.told[to.ID] == generation || m.node.doubts.about(to.ID) {
			continue
		}
		asked++
		// The answer is taken where it comes in: what the other says next must
		// not overtake it.
		m.node.AskNode(to.ID, mine, askHandoff, func(theirs any, err error) {
			h, ok := theirs.(*messages.Holdings)
			if ok && err == nil && m.node.onHoldings(to.ID, h) {
				taken <- to.ID
			} else {
				taken <- ""
			}
		})
	}
	all := true
	for range asked {
		select {
		case id := <-taken:
			m.told[id] = generation
			all = all && id != ""
		case <-ctx.Done():
			return false
		}
	}
	return all
}

// ask asks another node for its part in a handoff.
func (m *moves) ask(ctx context.Context, to string, msg proto.Message) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, askHandoff)
	defer cancel()
	return m.node.RequestNode(ctx, to, msg)
}

// handOver gives one shard to its owner: from its first step on nothing of the
// shard is handled here, and the owner keeps what comes until the last.
func (m *moves) handOver(ctx context.Context, t *topology.Table, shard uint16, to string) error {
	n := m.node
	m.doing.Add(1)
	defer m.doing.Add(-1)
	begun, err := m.ask(ctx, to, &messages.HandoffBegin{Shard: uint32(shard), Epoch: t.Epoch})
	if err != nil {
		return err
	}
	state, ok := begun.(*messages.HandoffState)
	if !ok || state.State == 0 {
		return errNotReady
	}
	active, was, stood, ok := n.giveUp(shard, to)
	if !ok {
		return nil // it has come back, or goes to another
	}
	if state.State == 2 && was == held && len(active) > 0 && !stood {
		m.conflicts.Add(int64(len(active)))
		n.metrics.conflicts.Add(float64(len(active)))
		n.log.Info("a shard was served twice, this node gives it up", "shard", shard, "owner", to, "active", len(active))
	}
	if n.hooks.Yield != nil {
		ctx, cancel := context.WithTimeout(ctx, yieldTime)
		defer cancel()
		users, err := n.hooks.Yield(ctx, shard, active)
		m.users.Add(int64(users))
		n.metrics.handedOver.Add(float64(users))
		if err != nil {
			return err
		}
	}
	_, err = m.ask(ctx, to, &messages.HandoffEnd{Shard: uint32(shard), Epoch: t.Epoch})
	n.letGo(shard)
	m.done.Add(1)
	return err
}

// giveUp ends what this node does for a shard that another owns.
func (n *Node) giveUp(shard uint16, owner string) (active []*Mailbox, was shardState, stood, ok bool) {
	n.shards.mu.Lock()
	defer n.shards.mu.Unlock()
	was = n.shards.of(shard)
	o, _ := n.Table().Owner(shard)
	if o.ID != owner || was != held && was != yielding {
		return nil, was, false, false
	}
	return n.dir.release(shard, yielding), was, n.shards.standing.Has(shard), true
}

func (n *Node) letGo(shard uint16) {
	n.shards.mu.Lock()
	defer n.shards.mu.Unlock()
	if n.shards.of(shard) == yielding {
		n.shards.set(shard, gone)
		n.shards.standing.Remove(shard)
	}
}

// announce tells everybody, this node too, which shards are served here without
// having been handed over.
func (n *Node) announce(opened topology.Set) {
	if opened.Len() == 0 {
		return
	}
	for _, to := range n.Table().Members {
		if n.TellNode(to.ID, &messages.Serving{Shards: opened.Bytes()}) != nil {
			n.metrics.dropped.Inc() // its digest finds it
		}
	}
}
