package gateway

import (
	"context"
	"errors"
	"time"

	"rollcall/cluster/topology"
	"rollcall/persistence"
	"rollcall/presence"
)

// wakeRate is how many stored users are activated a second after a start, so
// that clients who come back are served meanwhile.
const wakeRate = 2000

// settledEvery is how often the node looks for shards that have come to be whole.
const settledEvery = 5 * time.Second

// wakeUp activates the stored users of each shard that this node comes to own,
// at its start and later, whose presence changes by itself, so that what came
// due while the node was down is announced and what comes is on a timer. It does
// so again when all that other nodes had of the shard has arrived.
func (n *Node) wakeUp(ctx context.Context) {
	var had, whole topology.Set
	tick := time.NewTicker(settledEvery)
	defer tick.Stop()
	for {
		select {
		case <-n.actors.Gained():
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		var settled, due topology.Set
		owned := n.actors.Owned()
		for shard := range owned.All() {
			if n.copies.Settled(shard) {
				settled.Add(shard)
			}
			if !had.Has(shard) || settled.Has(shard) && !whole.Has(shard) {
				due.Add(shard)
			}
		}
		if due.Len() > 0 {
			n.wakeShards(ctx, due.Has)
		}
		had, whole = owned, settled
	}
}

func (n *Node) wakeShards(ctx context.Context, gained func(shard uint16) bool) {
	began, woken := time.Now(), 0
	tick := time.NewTicker(time.Second / 20)
	defer tick.Stop()
	err := n.store.Wakeups(ctx, func(u presence.UserID, _ time.Time) error {
		if !gained(u.Shard()) {
			return nil
		}
		if woken++; woken%(wakeRate/20) == 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return n.wake(ctx, tick, u)
	})
	switch {
	case ctx.Err() != nil || errors.Is(err, persistence.ErrClosed):
	case err != nil:
		n.log.Error("the sweep of stored users failed", "error", err)
	case woken > 0:
		n.log.Info("stored users activated", "users", woken, "seconds", time.Since(began).Seconds())
	}
}

// wake waits for room where the actors are busy.
func (n *Node) wake(ctx context.Context, tick *time.Ticker, u presence.UserID) error {
	for n.actors.Wake(u) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
