package persistence

import (
	"errors"
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
				sizes[t] += item.EstimatedSize() + feedIndexSize
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
	if err := errors.Join(s.forget(), s.settle()); err != nil {
		return s.carryOn(err)
	}
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

// feedTrim is what the sweep has the writer do: remove a tenant's oldest
// entries, forget ends of chains, settle what was put aside.
type feedTrim struct {
	tenant  presence.TenantID
	floor   uint64
	bytes   int64
	entries []feedCut
	forget  []feedCut
	late    []lateEntry
}

// feedCut is one entry to remove, or the end of a chain.
type feedCut struct {
	position uint64
	chain    chainKey
	seq      uint64
}

// trim removes up to trimChunk of a tenant's oldest entries while old says so,
// given the entry's time and the bytes already freed. It returns when the
// removal is stored, and tells whether the chunk was filled.
func (s *Store) trim(t presence.TenantID, old func(at time.Time, freed int64) bool) (more bool, err error) {
	cut := &feedTrim{tenant: t}
	err = s.view(func(txn *badger.Txn) error { return s.collect(txn, cut, old) })
	if err != nil || len(cut.entries) == 0 {
		return false, err
	}
	return len(cut.entries) == trimChunk, s.cut(cut)
}

// cut returns when the writer has stored it.
func (s *Store) cut(cut *feedTrim) error {
	stored := make(chan error, 1)
	size := len(cut.entries)*(feedKeySize+feedIndexKey) + len(cut.forget)*feedIndexKey
	for _, l := range cut.late {
		size += l.write.bytes()
	}
	s.writer.add(&write{trim: cut, size: size, done: func(err error) { stored <- err }})
	return <-stored
}

func (s *Store) collect(txn *badger.Txn, cut *feedTrim, old func(time.Time, int64) bool) error {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	o.Prefix = feedKey(cut.tenant, s.feeds.node, 0)[:feedKeySize-8]
	it := txn.NewIterator(o)
	defer it.Close()
	floor := s.feeds.extent(cut.tenant).floor
	for it.Seek(feedKey(cut.tenant, s.feeds.node, floor+1)); it.Valid() && len(cut.entries) < trimChunk; it.Next() {
		item := it.Item()
		var e FeedEntry
		err := open(item, func(payload []byte) (err error) {
			e, _, err = feedEntry(payload)
			return err
		})
		if err != nil {
			return err
		}
		if !old(e.At, cut.bytes) {
			return nil
		}
		cut.floor, cut.bytes = feedSeq(item.Key()), cut.bytes+item.EstimatedSize()+feedIndexSize
		cut.entries = append(cut.entries, feedCut{cut.floor, chainKey{e.User.Shard(), e.Origin}, e.Seq})
	}
	return nil
}

// trim removes entries from the log and the index. The newest of a chain stays
// in the index, so that the end of the chain is found again.
func (h *feedHeads) trim(txn *badger.Txn, t *feedTrim) error {
	for _, c := range t.forget {
		if end := h.end(c.chain); end.seq == c.seq {
			if err := h.setEnd(txn, c.chain, chainEnd{chain: end.chain}); err != nil {
				return err
			}
		}
	}
	for _, l := range t.late {
		if err := h.settle(txn, l); err != nil {
			return err
		}
	}
	if len(t.entries) == 0 {
		return nil
	}
	for _, c := range t.entries {
		if err := h.remove(txn, t.tenant, c); err != nil {
			return err
		}
	}
	log := h.log(t.tenant)
	log.floor = max(log.floor, t.floor)
	log.bytes -= t.bytes
	h.trimmed = max(h.trimmed, log.floor)
	return nil
}

func (h *feedHeads) remove(txn *badger.Txn, t presence.TenantID, c feedCut) error {
	if err := txn.Delete(feedKey(t, h.feeds.node, c.position)); err != nil {
		return err
	}
	if end := h.end(c.chain); end.seq == c.seq {
		end.bare = true
		return h.setEnd(txn, c.chain, end)
	}
	return txn.Delete(indexKey(c.chain.shard, c.chain.chain, c.seq))
}

// forget drops the ends of chains that have not grown for chainsFor.
func (s *Store) forget() error {
	for {
		cut := &feedTrim{forget: s.feeds.stale(position(s.cfg.Now().Add(-chainsFor)))}
		if len(cut.forget) == 0 {
			return nil
		}
		if err := s.cut(cut); err != nil {
			return err
		}
	}
}

func (f *feeds) stale(oldest uint64) (cuts []feedCut) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for shard, chains := range f.chains {
		for _, end := range chains {
			if end.seq < oldest && len(cuts) < trimChunk {
				cuts = append(cuts, feedCut{chain: chainKey{uint16(shard), end.chain}, seq: end.seq})
			}
		}
	}
	return cuts
}
