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
	s := &stall{}
	s.stop = pulse(&s.wg, stallEvery, func(since time.Duration) { s.longest = max(s.longest, since-stallEvery) })
	return s
}

// pulse calls f every so often, with the time since it did last, until it is
// stopped; wg then waits for it.
func pulse(wg *sync.WaitGroup, every time.Duration, f func(since time.Duration)) (stop context.CancelFunc) {
	ctx, stop := context.WithCancel(context.Background())
	wg.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for last := time.Now(); ; {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
			now := time.Now()
			f(now.Sub(last))
			last = now
		}
	})
	return stop
}

func (s *stall) close() time.Duration {
	s.stop()
	s.wg.Wait()
	return s.longest
}
