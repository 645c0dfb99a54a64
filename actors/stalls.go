package actors

import (
	"sync"
	"sync/atomic"
	"time"

	"rollcall/wheel"
)

const (
	stallBeat = 100 * time.Millisecond
	// stallTime without a beat means that the process was stopped, or got no
	// processor: others may have stood in for it.
	stallTime = time.Second
)

// stalls counts how often this process was stopped. Whoever asks first after a
// stop finds it: nothing is handled in between.
type stalls struct {
	sys   *System
	begun time.Time
	timer wheel.Timer
	beat  atomic.Int64 // ns since begun
	n     atomic.Uint64
	mu    sync.Mutex
}

func (s *stalls) start(sys *System) {
	s.sys, s.begun = sys, time.Now()
	s.timer.Target = s
	sys.wheel.Schedule(&s.timer, sys.now().Add(stallBeat))
}

// Fire is called by the wheel.
func (s *stalls) Fire(_ *wheel.Timer, now time.Time) {
	s.count()
	s.beat.Store(int64(time.Since(s.begun)))
	s.sys.wheel.Schedule(&s.timer, now.Add(stallBeat))
}

func (s *stalls) close() { s.sys.wheel.Stop(&s.timer) }

func (s *stalls) stopped() bool {
	return time.Since(s.begun)-time.Duration(s.beat.Load()) > stallTime
}

// count looks at the clock that runs on while a process is stopped.
func (s *stalls) count() uint64 {
	if s.stopped() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stopped() {
			if s.sys.copies != nil {
				s.sys.copies.UnsettleAll()
			}
			s.sys.metrics.stalls.Inc()
			s.n.Add(1)
			s.beat.Store(int64(time.Since(s.begun)))
		}
	}
	return s.n.Load()
}
