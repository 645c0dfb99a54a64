package persistence

import (
	"sync"

	"github.com/dgraph-io/badger/v4"
)

const (
	readers      = 2
	maxLoads     = 10_000
	loadsPerRead = 64
)

// read is one queued load: look runs inside a read transaction, answer after
// it with look's error or with why it never ran.
type read struct {
	look   func(*badger.Txn) error
	answer func(error)
}

// reader serves loads. A read transaction waits for the commit that is on its
// way to the disk, so many loads share one transaction.
type reader struct {
	store *Store
	queue chan read

	mu     sync.RWMutex
	closed bool
}

func newReader(s *Store) *reader {
	return &reader{store: s, queue: make(chan read, maxLoads)}
}

func (r *reader) add(op read) {
	if err := r.enqueue(op); err != nil {
		op.answer(err)
	}
}

func (r *reader) enqueue(op read) error {
	if err := r.store.failure(); err != nil {
		return err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return ErrClosed
	}
	select {
	case r.queue <- op:
		return nil
	default:
		r.store.metrics.refused.Inc()
		return ErrOverloaded
	}
}

// close lets the readers end once everything queued is answered.
func (r *reader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	close(r.queue)
}

func (r *reader) run() {
	ops := make([]read, 0, loadsPerRead)
	for op := range r.queue {
		ops = r.gather(append(ops[:0], op))
		r.serve(ops)
		clear(ops)
	}
}

func (r *reader) gather(ops []read) []read {
	for len(ops) < loadsPerRead {
		select {
		case op, ok := <-r.queue:
			if !ok {
				return ops
			}
			ops = append(ops, op)
		default:
			return ops
		}
	}
	return ops
}

func (r *reader) serve(ops []read) {
	txn := r.store.db.NewTransaction(false)
	defer txn.Discard()
	for _, op := range ops {
		err := r.store.failure()
		if err == nil {
			err = r.store.corrupt(op.look(txn))
		}
		r.store.metrics.loads.Inc()
		op.answer(err)
	}
}
