package persistence

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

const (
	maxQueued = 10_000
	maxBatch  = 256
)

// maxBatchSize is how many bytes a transaction may have before nothing more is
// added. Badger takes 15 % of a memtable in one.
func (c *Config) maxBatchSize() int { return int(c.memTable() / 16) }

// scanPiece is how long one look of the writer at shards takes.
func (c *Config) scanPiece() time.Duration {
	if c.faults.piece > 0 {
		return c.faults.piece
	}
	return scanPiece
}

// step is something that the writer does inside its transaction. ErrTooBig
// must come before anything is written; every other error ends the store.
type step interface{ apply(b *batch) error }

// write is one caller's unit: all of it is stored or nothing.
type write struct {
	step     step       // nil: a trim
	numbered *feedWrite // gets its number when it is queued
	trim     *feedTrim
	size     int // bytes, about
	err      error
	done     func(error)
}

// writer owns the only goroutine that writes to Badger. What was queued while
// one batch was on its way to the disk is the next batch, so a lone commit
// waits for one sync and a crowd shares it. Between batches it reads shards
// whose digest is not known yet, a piece at a time.
type writer struct {
	store *Store
	apply func(*badger.Txn) error // commits the transaction; replaced by tests

	mu      sync.Mutex
	arrived sync.Cond
	queue   []*write
	scans   []uint16 // shards that somebody asks for
	idle    bool     // a piece of any shard is due
	closed  bool

	recent recent
	rested time.Time // a piece may be read although commits wait
}

func newWriter(s *Store) *writer {
	w := &writer{store: s, apply: (*badger.Txn).Commit}
	w.arrived.L = &w.mu
	return w
}

// add queues what belongs together, or answers all of it at once with the same
// error. The caller has checked the disk guard.
func (w *writer) add(ops ...*write) {
	if err := w.enqueue(ops); err != nil {
		for _, op := range ops {
			op.done(err)
		}
	}
}

func (w *writer) enqueue(ops []*write) error {
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
	for _, op := range ops {
		if op.numbered != nil {
			w.store.feeds.number(op.numbered)
		}
	}
	w.queue = append(w.queue, ops...)
	w.arrived.Signal()
	return nil
}

// wantScan has a shard read soon. A long list is only a hint: who asks again
// is heard again.
func (w *writer) wantScan(shard uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.scans) < maxBatch {
		w.scans = append(w.scans, shard)
		w.arrived.Signal()
	}
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

// take waits for work and moves one batch out of the queue into batch, which
// is empty when a shard is to be read instead. It returns false when the
// writer is closed and the queue empty.
func (w *writer) take(batch []*write) ([]*write, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 && !w.closed && len(w.scans) == 0 && !w.idle {
		w.arrived.Wait()
	}
	limit := w.store.cfg.maxBatchSize()
	n, size := 0, 0
	for n < len(w.queue) && n < maxBatch && (n == 0 || size+w.queue[n].size <= limit) {
		size += w.queue[n].size
		n++
	}
	batch = append(batch[:0], w.queue[:n]...)
	left := copy(w.queue, w.queue[n:])
	clear(w.queue[left:])
	w.queue = w.queue[:left]
	return batch, n > 0 || !w.closed
}

func (w *writer) run() {
	var batch []*write
	for {
		var more bool
		if batch, more = w.take(batch); !more {
			return
		}
		for rest := batch; len(rest) > 0; {
			rest = rest[w.serve(rest):]
		}
		clear(batch)
		w.scan(len(batch) > 0)
	}
}

// serve stores as many of the operations as fit into one transaction, answers
// them, and returns their number.
func (w *writer) serve(ops []*write) int {
	begin, n := time.Now(), len(ops)
	err := w.store.failure()
	if err == nil {
		n, err = w.commit(ops)
	}
	w.store.metrics.batch(n, time.Since(begin), err)
	for _, op := range ops[:n] {
		if err != nil {
			op.err = err
		}
		op.done(op.err)
	}
	return n
}

// commit stores what fits into one transaction and then shows its digests and
// feed entries. Any error is a storage error.
func (w *writer) commit(ops []*write) (int, error) {
	b := batch{store: w.store, heads: w.store.feeds.begin(), now: w.store.cfg.Now()}
	b.txn = w.store.db.NewTransaction(true)
	defer b.txn.Discard()
	n, err := b.fill(ops)
	if err != nil {
		return len(ops), w.store.fail(fmt.Errorf("prepare a transaction: %w", err))
	}
	if err := w.apply(b.txn); err != nil {
		return len(ops), w.store.fail(fmt.Errorf("commit a transaction: %w", err))
	}
	w.store.digests.publish(b.moves)
	b.heads.publish()
	return n, nil
}

func (b *batch) fill(ops []*write) (n int, err error) {
	limit := b.store.cfg.maxBatchSize()
	for ; n < len(ops) && (n == 0 || b.size+ops[n].size <= limit); n++ {
		if err := b.add(ops[n]); err != nil {
			return 0, err
		}
	}
	return n, b.heads.finish(b.txn)
}

func (b *batch) add(op *write) error {
	if op.step != nil {
		op.err = op.step.apply(b)
		if op.err != nil && !errors.Is(op.err, ErrTooBig) {
			return op.err
		}
	}
	if op.trim != nil {
		return b.heads.trim(b.txn, op.trim)
	}
	return nil
}

// scan reads a piece of a shard whose digest is not known: at once while
// nothing else is to be done, else with long rests.
func (w *writer) scan(busy bool) {
	if busy && time.Now().Before(w.rested) || w.store.failure() != nil {
		return
	}
	begin := time.Now()
	until := begin.Add(w.store.cfg.scanPiece())
	for more := true; more; more = time.Now().Before(until) {
		shard, ok := w.nextScan()
		if !ok {
			break
		}
		if err := w.store.digests.read(shard, until); err != nil {
			if !errors.Is(err, ErrFailed) {
				_ = w.store.fail(fmt.Errorf("read shard %d: %w", shard, err)) // the error went to Fatal
			}
			break
		}
	}
	w.endScan()
	w.rested = time.Now().Add(scanRest * time.Since(begin))
}

// endScan waits for the next turn of what nobody asks for.
func (w *writer) endScan() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = false
}

// nextScan chooses the shard to read: the one under way, one that somebody
// asks for, any.
func (w *writer) nextScan() (uint16, bool) {
	d := w.store.digests
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.scans) > 0 && d.known[w.scans[0]].Load() {
		w.scans = w.scans[1:]
	}
	if d.scan != nil && (w.idle || len(w.scans) > 0) {
		return d.scan.shard, true
	}
	if len(w.scans) > 0 {
		return w.scans[0], true
	}
	if w.idle {
		return d.next()
	}
	return 0, false
}

// scanAll has all shards read, slowly.
func (s *Store) scanAll() {
	tick := time.NewTicker(scanPeriod)
	defer tick.Stop()
	for s.digests.unknown.Load() > 0 {
		select {
		case <-tick.C:
			s.writer.mu.Lock()
			s.writer.idle = true
			s.writer.mu.Unlock()
			s.writer.arrived.Signal()
		case <-s.stop:
			return
		}
	}
}
