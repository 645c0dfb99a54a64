package memory

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"rollcall/persistence"
	"rollcall/persistence/merge"
	"rollcall/presence"
)

// Copy is all of a user.
func (s *Store) Copy(u presence.UserID) (persistence.Commit, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.shard(u.Shard()).users[u]
	if !ok {
		return persistence.Commit{User: u}, false, nil
	}
	return copyOf(u, h), true, nil
}

func copyOf(u presence.UserID, h *merge.User) persistence.Commit {
	r := h.Record.Clone()
	return persistence.Commit{User: u, Elements: r.Elements(), State: h.State, Version: h.Version, Wake: h.Wake}
}

// Shards lists, in rising order, the shards in which a user is stored.
func (s *Store) Shards() ([]uint16, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []uint16
	for n, h := range s.shards {
		if len(h.users) > 0 {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, nil
}

// Users is how many users are stored.
func (s *Store) Users() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.shards {
		n += len(h.users)
	}
	return n
}

// Root is the digest of a shard; it is always known.
func (s *Store) Root(n uint16) (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.root(n), true
}

func (s *Store) root(n uint16) uint64 {
	h, ok := s.shards[n]
	if !ok || h.sum == 0 {
		return 0
	}
	root := h.sum
	for origin, entries := range h.chains {
		root += merge.Feed(origin, entries[len(entries)-1].Seq)
	}
	return root
}

// prune drops what is spent.
func (s *Store) prune(h *shard) {
	now := s.now()
	for id, u := range h.users {
		hash := id.Hash()
		before := u.Digest(hash)
		u.Record.Drop(func(e presence.Element) bool { return merge.Spent(e, now) })
		h.sum += u.Digest(hash) - before
		if len(u.Record.Elements()) == 0 && u.Version == 0 && u.Wake.IsZero() {
			delete(h.users, id)
		}
	}
}

// Have tells in 16 bytes per user what is there of a shard.
func (s *Store) Have(n uint16) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.shard(n)
	s.prune(h)
	var have []byte
	for _, id := range h.sorted() {
		have = binary.BigEndian.AppendUint64(have, id.Hash())
		have = binary.BigEndian.AppendUint64(have, h.users[id].Digest(id.Hash()))
	}
	return have, nil
}

func (h *shard) sorted() []presence.UserID {
	return slices.SortedFunc(maps.Keys(h.users), presence.UserID.Compare)
}

// Differing reads what this store has of a shard and another one has not.
func (s *Store) Differing(n uint16, have []byte, after presence.UserID, ends []persistence.FeedEnd, maxBytes int) (persistence.Part, error) {
	if len(have)%16 != 0 {
		return persistence.Part{}, fmt.Errorf("memory: %d bytes do not tell what is had: %w", len(have), presence.ErrValue)
	}
	sums := make(map[uint64]uint64, len(have)/16)
	for ; len(have) > 0; have = have[16:] {
		sums[binary.BigEndian.Uint64(have)] = binary.BigEndian.Uint64(have[8:])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.shard(n)
	s.prune(h)
	p := persistence.Part{Root: s.root(n), Next: after}
	for _, id := range h.sorted() {
		if after != (presence.UserID{}) && id.Compare(after) <= 0 {
			continue
		}
		hash := id.Hash()
		if sum, ok := sums[hash]; ok && sum == h.users[id].Digest(hash) {
			p.Next = id
			continue
		}
		if p.More = maxBytes <= 0 && len(p.Copies) > 0; p.More {
			return p, nil
		}
		p.Copies, p.Next = append(p.Copies, copyOf(id, h.users[id])), id
		maxBytes -= sizeOf(h.users[id])
	}
	p.Feed, p.More = h.feedAfter(ends, maxBytes)
	if !p.More {
		p.Next = presence.UserID{}
	}
	return p, nil
}

// sizeOf is about what the user takes in a message.
func sizeOf(u *merge.User) int {
	n := 100
	for _, e := range u.Record.Elements() {
		n += 50 + len(e.Key)
		if list, ok := e.Value.(presence.Watch); ok {
			n += 64 * len(list.Targets)
		}
	}
	return n
}

// Drop removes the users of a shard if its digest is still this one.
func (s *Store) Drop(n uint16, root uint64, done func(bool, error)) {
	s.mu.Lock()
	same := s.root(n) == root
	if h, ok := s.shards[n]; ok && same {
		clear(h.users)
		h.sum = 0
	}
	s.mu.Unlock()
	done(same, nil)
}
