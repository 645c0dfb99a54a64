package peers

import (
	"sync"
	"sync/atomic"
	"time"

	"rollcall/cluster/topology"
)

const (
	// meetTime is how long the stream of a node is held up until this node
	// hears of it: two nodes do not hear of each other at the same moment.
	meetTime     = 3 * time.Second
	meetAgain    = time.Minute // after a wait in vain
	maxWaits     = 64          // streams that are held up at once
	maxStrangers = 1024        // that are remembered
)

// strangers are nodes that send before they are known as members.
type strangers struct {
	waiting atomic.Int32
	mu      sync.Mutex
	began   map[string]time.Time // since when a node is waited for
}

// wait holds up a stream until there is another roster than r. False: long
// enough, or the same node has been waited for in vain, or done is closed.
func (s *strangers) wait(done <-chan struct{}, r *roster, m topology.Member, now time.Time) bool {
	left := s.left(m.Name(), now)
	if left <= 0 {
		return false
	}
	if s.waiting.Add(1) > maxWaits {
		s.waiting.Add(-1)
		return false
	}
	defer s.waiting.Add(-1)
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-r.changed:
		return true
	case <-t.C:
		return false
	case <-done:
		return false
	}
}

// left is how long a node is waited for: from its first envelope on, and again
// a minute later.
func (s *strangers) left(name string, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	began, ok := s.began[name]
	if !ok || now.Sub(began) >= meetAgain {
		if len(s.began) >= maxStrangers {
			clear(s.began)
		}
		if s.began == nil {
			s.began = map[string]time.Time{}
		}
		s.began[name] = now
		return meetTime
	}
	return meetTime - now.Sub(began)
}
