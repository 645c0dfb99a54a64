package auth

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Limits that tests step over.
const (
	KeyLife      = keyLife
	KeyInterval  = keyInterval
	CacheLife    = cacheLife
	CacheEntries = cacheEntries
	Generation   = generation
	MaxDocument  = maxDocument
	Leeway       = leeway
)

type countingKeys struct {
	oidc.KeySet
	calls *atomic.Int64
}

func (k countingKeys) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	k.calls.Add(1)
	return k.KeySet.VerifySignature(ctx, raw)
}

// CountStatic trusts iss with keys and counts the signatures looked at.
func CountStatic(v *Verifier, iss, audience string, c Config) (*atomic.Int64, error) {
	set, err := staticKeys(c.Keys[iss])
	calls := new(atomic.Int64)
	v.trust(iss, countingKeys{set, calls}, audience)
	return calls, err
}

// Cache is the token cache by itself.
type Cache struct{ c cache }

func (c *Cache) Put(h [32]byte, id Identity, now time.Time) { c.c.put(h, id, now) }

func (c *Cache) Get(h [32]byte, now time.Time) bool {
	_, ok := c.c.get(h, now)
	return ok
}

func (c *Cache) Len() (n int) {
	for i := range c.c.shards {
		n += len(c.c.shards[i].young) + len(c.c.shards[i].old)
	}
	return n
}
