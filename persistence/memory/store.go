// Package memory is a store without a disk, for tests of what stands above
// persistence: it merges by the same rules, has the same digests, and answers
// at once in the caller's goroutine, so that it works in virtual time. It
// keeps all of the feed, and nothing outlives the process.
package memory

import (
	"context"
	"slices"
	"sync"
	"time"

	"rollcall/persistence"
	"rollcall/persistence/merge"
	"rollcall/presence"
)

// Store is the twin of persistence.Store: what its methods promise is said
// there. All methods may be called from any goroutine.
type Store struct {
	node uint64
	now  func() time.Time

	mu       sync.Mutex
	refuses  bool
	shards   map[uint16]*shard
	policies map[presence.TenantID]presence.Policy
	log      []persistence.FeedEntry // in order of arrival
	complete map[uint64]uint64
}

type shard struct {
	users  map[presence.UserID]*merge.User
	sum    uint64 // of the users' digests
	chains map[uint64][]persistence.FeedEntry
}

// New makes an empty store with an identity, which also names the chain of its
// own changes; nil for now is time.Now.
func New(node uint64, now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{
		node: node, now: now, shards: make(map[uint16]*shard),
		policies: make(map[presence.TenantID]presence.Policy), complete: make(map[uint64]uint64),
	}
}

// Node is the identity given to New.
func (s *Store) Node() uint64 { return s.node }

// SetWritable says whether commits are taken, or refused with ErrStorageLow.
func (s *Store) SetWritable(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = !yes
}

// Writable tells whether commits are taken.
func (s *Store) Writable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.refuses
}

// Commit merges what this node says of a user.
func (s *Store) Commit(c persistence.Commit, done func(error)) {
	s.mu.Lock()
	if s.refuses {
		s.mu.Unlock()
		done(persistence.ErrStorageLow)
		return
	}
	s.merge(&c, true)
	s.mu.Unlock()
	done(nil)
}

// Absorb merges what other nodes have sent.
func (s *Store) Absorb(cs []persistence.Commit, feed []persistence.FeedEntry, done func([]bool, error)) {
	s.mu.Lock()
	if s.refuses {
		s.mu.Unlock()
		done(nil, persistence.ErrStorageLow)
		return
	}
	changed := make([]bool, len(cs))
	for i := range cs {
		changed[i] = s.merge(&cs[i], false)
	}
	for _, e := range feed {
		s.absorb(e, 0)
	}
	s.mu.Unlock()
	done(changed, nil)
}

func (s *Store) shard(n uint16) *shard {
	h, ok := s.shards[n]
	if !ok {
		h = &shard{users: make(map[presence.UserID]*merge.User), chains: make(map[uint64][]persistence.FeedEntry)}
		s.shards[n] = h
	}
	return h
}

func (s *Store) merge(c *persistence.Commit, own bool) (changed bool) {
	h := s.shard(c.User.Shard())
	u, ok := h.users[c.User]
	if !ok {
		u = &merge.User{}
	}
	hash, was := c.User.Hash(), u.Version
	before := u.Digest(hash)
	wake := u.Wake
	changed = u.Merge(merge.Change{
		Elements: c.Elements, State: c.State, Version: c.Version, Wake: c.Wake, Own: own,
	}, s.now())
	if !touches(c) {
		u.Wake = wake
	}
	if !ok && (len(u.Record.Elements()) > 0 || u.Version != 0 || !u.Wake.IsZero()) {
		h.users[c.User] = u
	}
	h.sum += u.Digest(hash) - before
	if c.Feed != nil {
		c.Feed.User, c.Feed.State, c.Feed.Version = c.User, c.State, c.Version
		if own {
			s.number(c.Feed)
			s.append(*c.Feed)
		} else {
			s.absorb(*c.Feed, was)
		}
	}
	return changed
}

// touches tells whether c says more than what is watched.
func touches(c *persistence.Commit) bool {
	return c.Version != 0 || !c.Wake.IsZero() || slices.ContainsFunc(c.Elements, func(e presence.Element) bool {
		kind, _ := e.Key.Split()
		return kind != presence.KindWatch
	})
}

// Load reads a user without what its endpoints watch.
func (s *Store) Load(u presence.UserID, done func(persistence.Loaded, error)) {
	var l persistence.Loaded
	s.mu.Lock()
	if h, ok := s.shard(u.Shard()).users[u]; ok {
		l = persistence.Loaded{Record: h.Record.Clone(), State: h.State, Version: h.Version, Wake: h.Wake}
		l.Record.Drop(func(e presence.Element) bool {
			kind, _ := e.Key.Split()
			return kind == presence.KindWatch
		})
		l.Found = l.Version != 0 || !l.Wake.IsZero() || len(l.Record.Elements()) > 0
	}
	s.mu.Unlock()
	done(l, nil)
}

// LoadWatch reads the list of one endpoint.
func (s *Store) LoadWatch(u presence.UserID, endpoint string, done func(presence.Element, bool, error)) {
	var (
		e     presence.Element
		found bool
	)
	s.mu.Lock()
	if h, ok := s.shard(u.Shard()).users[u]; ok {
		e, found = h.Record.Get(presence.WatchKey(endpoint))
	}
	s.mu.Unlock()
	done(e, found, nil)
}

// Endpoints names the endpoints of u whose list is neither cleared nor expired.
func (s *Store) Endpoints(u presence.UserID, done func([]string, error)) {
	var names []string
	s.mu.Lock()
	if h, ok := s.shard(u.Shard()).users[u]; ok {
		for _, e := range h.Record.Kind(presence.KindWatch) {
			if e.Live(s.now()) {
				_, name := e.Key.Split()
				names = append(names, name)
			}
		}
	}
	s.mu.Unlock()
	done(names, nil)
}

// Wakeups shows each user whose presence will change by itself, and when.
func (s *Store) Wakeups(ctx context.Context, each func(presence.UserID, time.Time) error) error {
	s.mu.Lock()
	wakes := make(map[presence.UserID]time.Time)
	for _, h := range s.shards {
		for id, u := range h.users {
			if !u.Wake.IsZero() {
				wakes[id] = u.Wake
			}
		}
	}
	s.mu.Unlock()
	for u, at := range wakes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := each(u, at); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// CommitPolicy stores a policy unless a newer one is there.
func (s *Store) CommitPolicy(p presence.Policy, done func(error)) {
	s.mu.Lock()
	refuses := s.refuses
	if old, ok := s.policies[p.Tenant]; !refuses && (!ok || p.Version >= old.Version) {
		s.policies[p.Tenant] = p
	}
	s.mu.Unlock()
	if refuses {
		done(persistence.ErrStorageLow)
		return
	}
	done(nil)
}

// Policies are all stored policies.
func (s *Store) Policies() ([]presence.Policy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]presence.Policy, 0, len(s.policies))
	for _, p := range s.policies {
		all = append(all, p)
	}
	return all, nil
}
