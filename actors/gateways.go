package actors

import (
	"sync"
	"sync/atomic"

	"rollcall/presence"
)

// gateway is one gateway process as the owners on this node know it, shared by
// all its registrations.
type gateway struct {
	name string
	sums sums
}

// gateways interns them by name. The one that is asked for exists; one whose
// process is no more is forgotten with its member.
type gateways struct {
	mu     sync.RWMutex
	byName map[string]*gateway
}

func (g *gateways) of(name string) *gateway {
	g.mu.RLock()
	x := g.byName[name]
	g.mu.RUnlock()
	if x != nil {
		return x
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if x = g.byName[name]; x != nil {
		return x
	}
	if g.byName == nil {
		g.byName = map[string]*gateway{}
	}
	x = &gateway{name: name}
	g.byName[name] = x
	return x
}

func (g *gateways) known(name string) *gateway {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.byName[name]
}

func (g *gateways) forget(names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range names {
		delete(g.byName, n)
	}
}

// sums is, for each shard, the sum of what a gateway has registered with the
// users of the shard. A gateway and the owners keep it each for themselves; where
// the two differ something was lost.
type sums [presence.Shards]atomic.Uint64

// change replaces one user's part.
func (s *sums) change(shard uint16, from, to uint64) {
	if from != to {
		s[shard].Add(to - from)
	}
}

// share is one user's part: endpoints is the sum of the spread numbers of the
// endpoints that are registered, version the newest that the gateway was sent.
func share(user, endpoints uint64, v presence.Version) uint64 {
	if endpoints == 0 {
		return 0
	}
	return spread(user ^ spread(endpoints) ^ spread(uint64(v)+1))
}

// spread is the finaliser of SplitMix64.
func spread(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
