package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"rollcall/cluster/topology"
)

// admission decides which of the members that gossip knows take part. Whoever
// holds the gossip key could call itself a member: shards are given only to
// those whose data port has been reached, with the certificate that it asks for,
// at least once. A node that joins waits a moment for all, so that it does not
// take itself for alone.
type admission struct {
	log  *slog.Logger
	self string
	now  func() time.Time
	kick chan struct{}
	stop context.CancelFunc
	wg   sync.WaitGroup
	once sync.Once

	mu    sync.Mutex
	list  []topology.Member
	since time.Time // when the first list came
	named bool      // a list was passed on
	told  string    // the member that was complained of last
}

// meetTime is how long a node that joins waits for all members before it goes on
// with those that it has reached.
const meetTime = 3 * time.Second

var (
	errMeeting = errors.New("the node meets the other members of its cluster")
	errUnmet   = errors.New("no other member of the cluster was reached on its data port: see the log for the reason")
)

func newAdmission(log *slog.Logger, self string, now func() time.Time) *admission {
	return &admission{log: log, self: self, now: now, kick: make(chan struct{}, 1)}
}

// company is what admission asks of the way to other nodes, and whom it tells.
type company struct {
	known  func([]topology.Member) // all that gossip knows: they are connected to
	hasMet func(id string) bool
	admit  func([]topology.Member) // those who take part
}

func (a *admission) start(c company) {
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.wg.Go(func() { a.run(ctx, c) })
}

func (a *admission) close() {
	a.once.Do(func() {
		if a.stop != nil {
			a.stop()
		}
		a.wg.Wait()
	})
}

// changed takes the members that gossip knows.
func (a *admission) changed(list []topology.Member) {
	a.mu.Lock()
	a.list = list
	if a.since.IsZero() {
		a.since = a.now()
	}
	a.mu.Unlock()
	a.wake()
}

// met says that a member was reached.
func (a *admission) met(string) { a.wake() }

func (a *admission) wake() {
	select {
	case a.kick <- struct{}{}:
	default: // it is awake
	}
}

// run is the one goroutine that changes the members of the others.
func (a *admission) run(ctx context.Context, c company) {
	var known []topology.Member
	tick := time.NewTicker(meetTime / 10)
	defer tick.Stop()
	for {
		select {
		case <-a.kick:
		case <-tick.C:
			if a.ready() == nil {
				continue
			}
		case <-ctx.Done():
			return
		}
		a.mu.Lock()
		list := a.list
		a.mu.Unlock()
		if len(list) == 0 {
			continue
		}
		if !slices.Equal(list, known) {
			c.known(list)
			known = list
		}
		if admitted, ok := a.admit(list, c.hasMet); ok {
			c.admit(admitted)
		}
	}
}

// admit picks those that take part; false while a node that joins should wait.
func (a *admission) admit(list []topology.Member, hasMet func(string) bool) ([]topology.Member, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	admitted := slices.DeleteFunc(slices.Clone(list), func(m topology.Member) bool {
		return m.ID != a.self && !hasMet(m.ID)
	})
	missing := len(list) - len(admitted)
	if !a.named && missing > 0 && (len(admitted) == 1 || a.now().Sub(a.since) < meetTime) {
		return nil, false
	}
	a.named = true
	a.complain(list, hasMet)
	return admitted, true
}

// complain names one who is not reached, once.
func (a *admission) complain(list []topology.Member, hasMet func(string) bool) {
	for _, m := range list {
		if m.ID != a.self && !hasMet(m.ID) && a.told != m.Name() {
			a.told = m.Name()
			a.log.Warn("a member takes no part before its data port is reached", "id", m.ID, "addr", m.Addr)
		}
	}
}

// ready says whether the node knows with whom it works.
func (a *admission) ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.named:
		return nil
	case a.since.IsZero() || a.now().Sub(a.since) < meetTime:
		return errMeeting
	}
	return errUnmet
}
