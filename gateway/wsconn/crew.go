package wsconn

import (
	"errors"
	"sync"
)

// crew runs the turns of a Config's connections on a few goroutines. A
// callback needs more stack than a parked reader, and a stack once grown to
// 4 KiB never shrinks to 2 KiB again: if readers ran callbacks themselves,
// every connection would keep what its busiest moment needed.
//
// The connections being served own the crew: the last one to leave ends it.
type crew struct {
	mu      sync.Mutex
	serving int
	idle    []*hand
}

// maxIdleHands is how many goroutines wait for the next turn; more run when
// callbacks block.
const maxIdleHands = 32

var errLeft = errors.New("wsconn: callback ended its goroutine")

type hand struct {
	turns chan turn
	more  chan bool // closed when the hand has ended
}

type turn struct {
	c     *Conn
	chunk []byte
}

func (w *crew) join() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serving++
}

// leave waits for the goroutines it ends.
func (w *crew) leave() {
	w.mu.Lock()
	w.serving--
	var idle []*hand
	if w.serving == 0 {
		idle, w.idle = w.idle, nil
	}
	w.mu.Unlock()
	for _, h := range idle {
		h.dismiss()
	}
}

// consume is c.consume on a goroutine of the crew; it returns when that is
// done.
func (w *crew) consume(c *Conn, chunk []byte) bool {
	h := w.hire()
	h.turns <- turn{c, chunk}
	more, alive := <-h.more
	if !alive { // the callback left by runtime.Goexit
		c.beginClose(&CloseError{Code: CodeInternal, Reason: "internal error", Cause: errLeft})
		return false
	}
	w.release(h)
	return more
}

func (w *crew) hire() *hand {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.idle); n > 0 {
		h := w.idle[n-1]
		w.idle = w.idle[:n-1]
		return h
	}
	h := &hand{turns: make(chan turn), more: make(chan bool)}
	go h.work()
	return h
}

func (w *crew) release(h *hand) {
	w.mu.Lock()
	full := len(w.idle) >= maxIdleHands
	if !full {
		w.idle = append(w.idle, h)
	}
	w.mu.Unlock()
	if full {
		h.dismiss()
	}
}

func (h *hand) work() {
	defer close(h.more)
	for t := range h.turns {
		h.more <- t.c.consume(t.chunk)
	}
}

func (h *hand) dismiss() {
	close(h.turns)
	<-h.more
}
