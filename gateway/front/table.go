package front

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	tableShards = 64
	shardMax    = 2048 // entries; together 131,072
	sweepEvery  = time.Minute
	keepUnused  = 25 * time.Hour // longer than the longest budget looks back
)

// table keeps a budget for each caller that was seen lately. It is bounded:
// entries long unused go, and in a full shard the longest unused of a few.
type table[K comparable, V any] struct {
	seed   maphash.Seed
	shards [tableShards]shard[K, V]
}

type shard[K comparable, V any] struct {
	mu    sync.Mutex
	m     map[K]*entry[V]
	swept time.Time
}

type entry[V any] struct {
	used  time.Time
	value V
}

func (t *table[K, V]) init() {
	t.seed = maphash.MakeSeed()
	for i := range t.shards {
		t.shards[i].m = make(map[K]*entry[V])
	}
}

// with calls f with the value of k, which is new if there was none. No other
// call with k runs meanwhile; f must not block.
func (t *table[K, V]) with(k K, now time.Time, f func(*V)) {
	s := &t.shards[maphash.Comparable(t.seed, k)%tableShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.m[k]
	if e == nil {
		s.room(now)
		e = new(entry[V])
		s.m[k] = e
	}
	e.used = now
	f(&e.value)
}

// room drops what is long unused, and one entry more if that is not enough.
func (s *shard[K, V]) room(now time.Time) {
	if now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		for k, e := range s.m {
			if now.Sub(e.used) > keepUnused {
				delete(s.m, k)
			}
		}
	}
	if len(s.m) < shardMax {
		return
	}
	var oldest K
	var at time.Time
	left := 16 // a map is walked in random order, so a few stand for all
	for k, e := range s.m {
		if at.IsZero() || e.used.Before(at) {
			oldest, at = k, e.used
		}
		if left--; left == 0 {
			break
		}
	}
	delete(s.m, oldest)
}
