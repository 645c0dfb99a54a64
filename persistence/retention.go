package persistence

import (
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

const (
	sweepPeriod = time.Minute
	trimChunk   = 1000 // entries removed by one write
)

// sweep removes what the feed need not keep, until the store closes.
func (s *Store) sweep() {
	if !s.measure() {
		return
	}
	period := sweepPeriod
	if s.cfg.faults.every > 0 {
		period = s.cfg.faults.every
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for s.retain() {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
	}
}

// measure counts the bytes of the entries that were there at the start; the
// writer counts the rest. It tells whether it came to the end.
func (s *Store) measure() bool {
	before := s.feeds.lasts()
	sizes := make(map[presence.TenantID]int64)
	whole := true
	err := s.view(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false
		o.Prefix = []byte{byte(kindFeed)}
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if whole = !s.stopped(); !whole {
				return nil
			}
			item := it.Item()
			t := presence.TenantID(item.Key()[1 : 1+tenantSize])
			if feedSeq(item.Key()) <= before[t] {
				sizes[t] += item.EstimatedSize()
			}
		}
		return nil
	})
	s.feeds.grow(sizes)
	return whole && err == nil
}

func (s *Store) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// lasts is called before the writer has stored anything.
func (f *feeds) lasts() map[presence.TenantID]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[presence.TenantID]uint64, len(f.tenant))
	for t, now := range f.tenant {
		out[t] = now.loaded
	}
	return out
}

func (f *feeds) grow(sizes map[presence.TenantID]int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t, n := range sizes {
		f.tenant[t].bytes += n
	}
}

// sizes gives the bytes of all tenants and the tenant that has most.
func (f *feeds) sizes() (total int64, largest presence.TenantID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var most int64
	for t, now := range f.tenant {
		total += now.bytes
		if now.bytes > most {
			most, largest = now.bytes, t
		}
	}
	return total, largest
}

// retain removes old entries and then, while all together are too many bytes,
// the oldest of the largest tenant. It tells whether to go on sweeping.
func (s *Store) retain() bool {
	oldest := s.cfg.Now().Add(-s.cfg.Retention.Age)
	for t := range s.feeds.lasts() {
		for more := true; more; {
			var err error
			more, err = s.trim(t, func(at time.Time, _ int64) bool { return at.Before(oldest) })
			if err != nil || s.stopped() {
				return s.carryOn(err)
			}
		}
	}
	for {
		total, largest := s.feeds.sizes()
		over := total - s.cfg.Retention.Bytes
		if over <= 0 {
			return true
		}
		more, err := s.trim(largest, func(_ time.Time, freed int64) bool { return freed < over })
		if err != nil || s.stopped() {
			return s.carryOn(err)
		}
		if !more {
			return true
		}
	}
}

// carryOn: a busy or full store is swept at the next turn, a dead one never.
func (s *Store) carryOn(err error) bool {
	if err != nil {
		s.cfg.Log.Warn("the change feed could not be trimmed", "error", err)
	}
	return s.failure() == nil && !s.stopped()
}

// trim removes up to trimChunk of a tenant's oldest entries while old says so,
// given the entry's time and the bytes already freed. It returns when the
// removal is stored, and tells whether the chunk was filled.
func (s *Store) trim(t presence.TenantID, old func(at time.Time, freed int64) bool) (more bool, err error) {
	op := &write{}
	cut := &feedTrim{tenant: t}
	err = s.view(func(txn *badger.Txn) error { return s.collect(txn, cut, op, old) })
	if err != nil || len(op.deletes) == 0 {
		return false, err
	}
	op.trim = cut
	stored := make(chan error, 1)
	op.done = func(err error) { stored <- err }
	s.writer.add(op)
	return len(op.deletes) == trimChunk, <-stored
}

func (s *Store) collect(txn *badger.Txn, cut *feedTrim, op *write, old func(time.Time, int64) bool) error {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	o.Prefix = feedKey(cut.tenant, s.feeds.origin, 0)[:feedKeySize-8]
	it := txn.NewIterator(o)
	defer it.Close()
	floor, _ := s.feeds.extent(cut.tenant)
	for it.Seek(feedKey(cut.tenant, s.feeds.origin, floor+1)); it.Valid() && len(op.deletes) < trimChunk; it.Next() {
		item := it.Item()
		var at time.Time
		err := open(item, func(payload []byte) (err error) {
			at, _, _, err = feedEntry(payload)
			return err
		})
		if err != nil {
			return err
		}
		if !old(at, cut.bytes) {
			return nil
		}
		cut.floor, cut.bytes = feedSeq(item.Key()), cut.bytes+item.EstimatedSize()
		op.deletes = append(op.deletes, item.KeyCopy(nil))
		op.size += feedKeySize
	}
	return nil
}
