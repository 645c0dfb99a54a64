package memory

import (
	"maps"
	"slices"

	"rollcall/persistence"
	"rollcall/presence"
)

// Log is the feed of this store in order of arrival, its own changes and
// those of others.
func (s *Store) Log() []persistence.FeedEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// FeedEnds tells up to where this store has the chains of a shard.
func (s *Store) FeedEnds(n uint16) []persistence.FeedEnd {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.shards[n]
	if !ok {
		return nil
	}
	ends := make([]persistence.FeedEnd, 0, len(h.chains))
	for _, origin := range slices.Sorted(maps.Keys(h.chains)) {
		ends = append(ends, persistence.FeedEnd{Origin: origin, Seq: h.end(origin)})
	}
	return ends
}

// FeedMark is the length of the log.
func (s *Store) FeedMark() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.log))
}

// FeedComplete notes that all that the store origin had in its log up to mark
// is here.
func (s *Store) FeedComplete(origin, mark uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complete[origin] = max(s.complete[origin], mark)
}

// FeedCompleted is what FeedComplete has said of a store.
func (s *Store) FeedCompleted(origin uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.complete[origin]
}

func (h *shard) end(origin uint64) uint64 {
	if chain := h.chains[origin]; len(chain) > 0 {
		return chain[len(chain)-1].Seq
	}
	return 0
}

// number makes e the next change that this node commits in its shard.
func (s *Store) number(e *persistence.FeedEntry) {
	last, now := s.shard(e.User.Shard()).end(s.node), s.now()
	e.Origin, e.Prev, e.Seq = s.node, last, max(last+1, uint64(now.UnixMilli())<<20)
	if e.At.IsZero() {
		e.At = now
	}
}

func (s *Store) append(e persistence.FeedEntry) {
	h := s.shard(e.User.Shard())
	h.chains[e.Origin] = append(h.chains[e.Origin], e)
	s.log = append(s.log, e)
}

// absorb takes an entry that follows what is there of its chain. One without a
// number, of a state that was not known, is numbered here.
func (s *Store) absorb(e persistence.FeedEntry, stored presence.Version) {
	if e.Marker() {
		return // no store in memory removes any
	}
	if e.Seq == 0 {
		if e.Version == stored {
			return
		}
		s.number(&e)
	}
	if end := s.shard(e.User.Shard()).end(e.Origin); e.Origin != 0 && e.Seq > end && e.Prev <= end {
		s.append(e)
	}
}

// feedAfter gives what follows the ends, one entry at least.
func (h *shard) feedAfter(ends []persistence.FeedEnd, budget int) (entries []persistence.FeedEntry, more bool) {
	const size = 200
	had := make(map[uint64]uint64, len(ends))
	for _, e := range ends {
		had[e.Origin] = e.Seq
	}
	for _, origin := range slices.Sorted(maps.Keys(h.chains)) {
		for _, e := range h.chains[origin] {
			if e.Seq <= had[origin] {
				continue
			}
			if budget <= 0 && len(entries) > 0 {
				return entries, true
			}
			entries = append(entries, e)
			budget -= size
		}
	}
	return entries, false
}
