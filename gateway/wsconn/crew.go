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
	free    sync.Cond // of mu: a hand has become idle
	serving int
	idle    []*hand
}

// maxIdleHands is how many goroutines wait for the next turn; more run when
// callbacks block.
const maxIdleHands = 32

var errLeft = errors.New("wsconn: callback ended its goroutine")

type hand struct {
	crew  *crew
	turns chan turn
	more  chan bool // closed when the hand has ended
}

// turn is what a hand does for a connection: take in a chunk that was read, or
// read the socket itself until it is empty.
type turn struct {
	c     *Conn
	chunk []byte
	ready bool
	fd    uintptr // to read, when ready
}

// do answers whether there is more to come.
func (t *turn) do() bool {
	if t.ready {
		return !t.c.readReady(t.fd)
	}
	return t.c.consume(t.chunk)
}

func (w *crew) join() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.serving == 0 {
		w.free.L = &w.mu
		w.idle = append(make([]*hand, 0, maxIdleHands), w.recruit())
	}
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

// take does a turn on a goroutine of the crew and returns when that is done.
func (w *crew) take(t turn) (more bool) {
	h := w.hire()
	h.turns <- t
	more, alive := <-h.more
	if !alive { // the callback left by runtime.Goexit
		t.c.beginClose(&CloseError{Code: CodeInternal, Reason: "internal error", Cause: errLeft})
		return false
	}
	w.release(h)
	return more
}

// hire waits for an idle hand. It makes none itself: allocating would already
// take more stack than the reader has. There is always one to come, since a
// hand that begins a turn sees to a successor.
func (w *crew) hire() *hand {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.idle) == 0 {
		w.free.Wait()
	}
	h := w.idle[len(w.idle)-1]
	w.idle = w.idle[:len(w.idle)-1]
	return h
}

func (w *crew) recruit() *hand {
	h := &hand{crew: w, turns: make(chan turn), more: make(chan bool)}
	go h.work()
	return h
}

// succeed makes sure that somebody is idle.
func (w *crew) succeed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.idle) == 0 {
		w.idle = append(w.idle, w.recruit())
		w.free.Signal()
	}
}

func (w *crew) release(h *hand) {
	w.mu.Lock()
	full := len(w.idle) >= maxIdleHands
	if !full {
		w.idle = append(w.idle, h)
		w.free.Signal()
	}
	w.mu.Unlock()
	if full {
		h.dismiss()
	}
}

func (h *hand) work() {
	defer close(h.more)
	for t := range h.turns {
		h.crew.succeed()
		h.more <- t.do()
	}
}

func (h *hand) dismiss() {
	close(h.turns)
	<-h.more
}
