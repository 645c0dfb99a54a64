package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/actors"
	"rollcall/cluster/topology"
	"rollcall/presence"
)

const (
	// drainDefault bounds a drain unless Config.Drain says otherwise.
	drainDefault = 30 * time.Second
	// drainPoll is how often a drain looks whether it is over.
	drainPoll = 50 * time.Millisecond
	// drainTold is how often who waits for a drain is told of it.
	drainTold = time.Second
)

// ErrDrain is the end of a drain whose deadline passed before everything had
// moved. What is left is closed as by a plain Close: clients come back by
// themselves, users are read from the store.
var ErrDrain = errors.New("gateway: the drain has run out of time")

var errClosed = errors.New("gateway: the node is closed")

// DrainStatus is how far a drain is.
type DrainStatus struct {
	ShardsLeft    int    `json:"shardsLeft"`
	Users         int    `json:"usersHandedOver"`
	EndpointsLeft int    `json:"endpointsLeft"`
	Moved         int    `json:"endpointsMoved"`
	ElapsedMS     int64  `json:"elapsedMs"`
	Done          bool   `json:"done"`            // nothing is left that others could take
	Note          string `json:"note,omitempty"`  // why shards stay where nobody takes them
	Error         string `json:"error,omitempty"` // why it ended before it was done
}

// drain is a node's one drain.
type drain struct {
	timeout time.Duration
	over    chan struct{} // closed at the end

	mu     sync.Mutex
	begun  bool
	closed bool // none may begin
	cancel context.CancelFunc
	start  time.Time
	users  int // handed over before it began
	end    DrainStatus
	err    error

	moved, left atomic.Int64
	wg          sync.WaitGroup
}

func (d *drain) init(timeout time.Duration) {
	d.timeout, d.over = timeout, make(chan struct{})
	if timeout <= 0 {
		d.timeout = drainDefault
	}
}

// draining says whether a drain has begun.
func (d *drain) draining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begun
}

// stop ends a drain under way and lets none begin.
func (d *drain) stop() {
	d.mu.Lock()
	d.closed = true
	cancel := d.cancel
	d.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	d.wg.Wait()
}

// Drained is closed when a drain is over, however it went.
func (n *Node) Drained() <-chan struct{} { return n.drain.over }

// Drain moves what the node has to others: it gets no traffic any more, hands its
// shards over to other members and tells its clients, in waves, to connect to
// other gateways. It returns when nothing is left or Config.Drain has
// passed, then with ErrDrain. A second call joins the first; ctx bounds the
// waiting of the caller only. progress, which may be nil, is called every second
// and at the end. Close should follow; it says goodbye to the cluster.
func (n *Node) Drain(ctx context.Context, progress func(DrainStatus)) (DrainStatus, error) {
	n.BeginDrain()
	tick := time.NewTicker(drainTold)
	defer tick.Stop()
	for {
		select {
		case <-n.drain.over:
			if progress != nil {
				progress(n.drain.end)
			}
			return n.drain.end, n.drain.err
		case <-tick.C:
			if progress != nil {
				progress(n.drainStatus())
			}
		case <-ctx.Done():
			return n.drainStatus(), ctx.Err()
		}
	}
}

// BeginDrain is Drain that does not wait.
func (n *Node) BeginDrain() {
	d := &n.drain
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.begun {
		return
	}
	d.begun, d.start = true, time.Now()
	if d.closed {
		d.err = errClosed
		d.end.Error = d.err.Error()
		close(d.over)
		return
	}
	d.users = n.actors.Cluster().Users
	d.left.Store(int64(n.actors.Interest().Endpoints))
	ctx, cancel := context.WithTimeout(context.Background(), d.timeout)
	d.cancel = cancel
	d.wg.Go(func() {
		defer cancel()
		n.runDrain(ctx)
	})
}

func (n *Node) runDrain(ctx context.Context) {
	n.log.Info("drain begins", "timeout", n.drain.timeout)
	n.native.Refuse()
	if n.cluster != nil {
		n.cluster.gossip.Update(func(m *topology.Member) { m.Leaving = true })
	}
	moved := make(chan error, 1)
	n.drain.wg.Go(func() { moved <- n.moveEndpoints(ctx) })
	shards := n.awaitShards(ctx)
	n.endDrain(errors.Join(<-moved, shards))
}

// moveEndpoints sends the clients to the other gateways, no faster than these
// take new sockets.
func (n *Node) moveEndpoints(ctx context.Context) error {
	perSecond := actors.MovesPerSecond
	if others := len(n.otherGateways()); others > 0 {
		r := n.Front.Limits.Handshakes
		perSecond = min(perSecond, max(int(time.Duration(r.Count*others)*time.Second/max(r.Per, 1)), 1))
	}
	_, err := n.actors.MoveEndpoints(ctx, actors.Drain{
		PerSecond: perSecond,
		Hint:      n.refuge,
		Progress: func(moved, left int) {
			n.drain.moved.Store(int64(moved))
			n.drain.left.Store(int64(left))
		},
	})
	return err
}

// refuge is the gateway that a user's clients are sent to, empty if there is no
// other. All of a user's go to the same one.
func (n *Node) refuge(u presence.UserID) string {
	others := n.otherGateways()
	if len(others) == 0 {
		return ""
	}
	return others[int(u.Shard())%len(others)].URL
}

// otherGateways are those that clients may be sent to: those that are young
// beside this one, if there are any, else all. In a rolling restart these have
// theirs behind them, and whoever is sent there needs not move again.
func (n *Node) otherGateways() []topology.Member {
	return refuges(n.actors.Table().Members, n.self, n.now())
}

func refuges(members []topology.Member, self topology.Member, now time.Time) []topology.Member {
	var all, young []topology.Member
	half := (int64(self.Incarnation) + now.UnixMilli()) / 2
	for _, m := range members {
		if m.ID == self.ID || m.Roles&topology.Gateway == 0 || m.Leaving || m.URL == "" {
			continue
		}
		all = append(all, m)
		if int64(m.Incarnation) > half { // started in the second half of this one's life
			young = append(young, m)
		}
	}
	if len(young) > 0 {
		return young
	}
	return all
}

// awaitShards waits until this node has nothing of any shard any more, or nobody
// takes them.
func (n *Node) awaitShards(ctx context.Context) error {
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		left, heirs := n.shardsLeft()
		if left == 0 || !heirs {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d shards are not handed over: %w", left, ctx.Err())
		}
	}
}

// shardsLeft counts the shards that this node has something of, and says whether
// another member can take them.
func (n *Node) shardsLeft() (left int, heirs bool) {
	if n.cluster == nil {
		return 0, false
	}
	c := n.actors.Cluster()
	for i := range c.Table.Members {
		m := &c.Table.Members[i]
		heirs = heirs || m.ID != n.self.ID && m.Owns()
	}
	left = c.Served + c.Held + c.Yielding + c.Awaited + c.Taking
	return max(left, c.UnderWay), heirs
}

func (n *Node) drainStatus() DrainStatus {
	d := &n.drain
	left, heirs := n.shardsLeft()
	s := DrainStatus{
		ShardsLeft: left, Users: n.actors.Cluster().Users - d.users,
		EndpointsLeft: int(d.left.Load()), Moved: int(d.moved.Load()),
		ElapsedMS: time.Since(d.start).Milliseconds(),
	}
	if left > 0 && !heirs {
		s.Note = "no other node keeps presence: its users are in its store, and served again when it starts"
	}
	return s
}

func (n *Node) endDrain(err error) {
	d := &n.drain
	d.end = n.drainStatus()
	d.end.Done = err == nil
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = ErrDrain
		} else if errors.Is(err, context.Canceled) {
			err = errClosed
		}
		d.err = fmt.Errorf("%w: %d shards and %d endpoints are left after %s", err,
			d.end.ShardsLeft, d.end.EndpointsLeft, time.Since(d.start).Round(time.Millisecond))
		d.end.Error = d.err.Error()
	}
	n.log.Info("drain is over", "done", d.end.Done, "moved", d.end.Moved, "users", d.end.Users,
		"endpointsLeft", d.end.EndpointsLeft, "shardsLeft", d.end.ShardsLeft, "ms", d.end.ElapsedMS)
	close(d.over)
}
