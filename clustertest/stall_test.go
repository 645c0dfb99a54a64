package clustertest

import (
	"context"
	"sync"
	"time"
)

// tooLong is a time in which a node that gets as little of the machine as the
// test is rightly taken for dead.
const tooLong = 400 * time.Millisecond

// stall measures for how long the test itself gets no CPU: on a machine that
// does other things too, that is when times say nothing about the nodes.
type stall struct {
	stop    context.CancelFunc
	wg      sync.WaitGroup
	longest time.Duration
}

const stallEvery = 20 * time.Millisecond

func newStall() *stall {
	ctx, stop := context.WithCancel(context.Background())
	s := &stall{stop: stop}
	s.wg.Go(func() {
		t := time.NewTicker(stallEvery)
		defer t.Stop()
		last := time.Now()
		for {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
			now := time.Now()
			s.longest = max(s.longest, now.Sub(last)-stallEvery)
			last = now
		}
	})
	return s
}

func (s *stall) close() time.Duration {
	s.stop()
	s.wg.Wait()
	return s.longest
}
