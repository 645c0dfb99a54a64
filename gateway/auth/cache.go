package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	cacheShards = 16
	// cacheEntries bounds the memory: an entry is about 400 bytes, so 40 MB when full.
	cacheEntries = 100_000
	// cacheLife is the longest time a verdict is trusted without another look at the issuer's keys.
	cacheLife = time.Hour
)

type tokenHash = [sha256.Size]byte

// cache remembers verified tokens by hash. Each shard has two generations:
// when the young one is half the shard's share, it becomes the old one and the
// old one is forgotten. What is asked for again moves back to the young one.
type cache struct {
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu    sync.Mutex
	young map[tokenHash]verdict
	old   map[tokenHash]verdict
}

type verdict struct {
	id    Identity
	until time.Time
}

const generation = cacheEntries / cacheShards / 2

func (c *cache) get(h tokenHash, now time.Time) (Identity, bool) {
	s := &c.shards[h[0]%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	v, young := s.young[h]
	if !young {
		v = s.old[h] // an unknown token's until is zero, which is past
	}
	if !now.Before(v.until) {
		return Identity{}, false
	}
	if !young {
		s.put(h, v)
	}
	return v.id, true
}

func (c *cache) put(h tokenHash, id Identity, now time.Time) {
	until := now.Add(cacheLife)
	if id.Expires.Before(until) {
		until = id.Expires
	}
	s := &c.shards[h[0]%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(h, verdict{id, until})
}

// put is called with the lock held.
func (s *cacheShard) put(h tokenHash, v verdict) {
	if s.young == nil || len(s.young) >= generation {
		s.old, s.young = s.young, make(map[tokenHash]verdict)
	}
	s.young[h] = v
}
