package persistence

import (
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

const (
	maxQueued    = 10_000
	maxBatch     = 256
	maxBatchSize = 1 << 20 // bytes; Badger takes 15 % of a 16 MiB memtable in one transaction
)

// write is one caller's unit: all of it is stored or nothing.
type write struct {
	entries []*badger.Entry // sealed
	deletes [][]byte
	feed    *feedWrite
	trim    *feedTrim
	size    int
	done    func(error)
}

func (w *write) put(key, value []byte, meta byte) *badger.Entry {
	e := &badger.Entry{Key: key, Value: seal(key, value), UserMeta: meta}
	w.entries = append(w.entries, e)
	w.size += len(key) + len(value)
	return e
}

// writer owns the only goroutine that writes to Badger. What was queued while
// one batch was on its way to the disk is the next batch, so a lone commit
// waits for one sync and a crowd shares it.
type writer struct {
	store *Store
	apply func(*badger.Txn) error // commits the transaction; replaced by tests

	mu      sync.Mutex
	arrived sync.Cond
	queue   []*write
	closed  bool
}

func newWriter(s *Store) *writer {
	w := &writer{store: s, apply: (*badger.Txn).Commit}
	w.arrived.L = &w.mu
	return w
}

// add queues w, or answers it at once. The caller has checked the disk guard.
func (w *writer) add(op *write) {
	if err := w.enqueue(op); err != nil {
		op.done(err)
	}
}

func (w *writer) enqueue(op *write) error {
	if err := w.store.failure(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	if len(w.queue) >= maxQueued {
		w.store.metrics.refused.Inc()
		return ErrOverloaded
	}
	w.queue = append(w.queue, op)
	if len(w.queue) == 1 {
		w.arrived.Signal()
	}
	return nil
}

// close lets the writer end once everything queued is stored.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.arrived.Signal()
}

func (w *writer) depth() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// take waits for work and moves one batch out of the queue into batch. It
// returns nothing when the writer is closed and the queue empty.
func (w *writer) take(batch []*write) []*write {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 && !w.closed {
		w.arrived.Wait()
	}
	n, size := 0, 0
	for n < len(w.queue) && n < maxBatch && (n == 0 || size+w.queue[n].size <= maxBatchSize) {
		size += w.queue[n].size
		n++
	}
	batch = append(batch[:0], w.queue[:n]...)
	left := copy(w.queue, w.queue[n:])
	clear(w.queue[left:])
	w.queue = w.queue[:left]
	return batch
}

func (w *writer) run() {
	var batch []*write
	for {
		if batch = w.take(batch); len(batch) == 0 {
			return
		}
		begin := time.Now()
		err := w.store.failure()
		if err == nil {
			err = w.commit(batch)
		}
		w.store.metrics.batch(len(batch), time.Since(begin), err)
		for _, op := range batch {
			op.done(err)
		}
		clear(batch)
	}
}

// commit stores a batch in one transaction and then shows its feed entries to
// readers. Any error is a storage error.
func (w *writer) commit(batch []*write) error {
	heads := w.store.feeds.begin()
	txn := w.store.db.NewTransaction(true)
	defer txn.Discard()
	if err := w.fill(txn, batch, heads); err != nil {
		return w.store.fail(fmt.Errorf("prepare a transaction: %w", err))
	}
	if err := w.apply(txn); err != nil {
		return w.store.fail(fmt.Errorf("commit a transaction: %w", err))
	}
	heads.publish()
	return nil
}

func (w *writer) fill(txn *badger.Txn, batch []*write, heads *feedHeads) error {
	for _, op := range batch {
		for _, e := range op.entries {
			if err := txn.SetEntry(e); err != nil {
				return err
			}
		}
		if op.feed != nil {
			if err := txn.SetEntry(heads.append(op.feed)); err != nil {
				return err
			}
		}
		for _, key := range op.deletes {
			if err := txn.Delete(key); err != nil {
				return err
			}
		}
		if op.trim != nil {
			heads.trim(op.trim)
		}
	}
	for _, e := range heads.ends() {
		if err := txn.SetEntry(e); err != nil {
			return err
		}
	}
	return nil
}
