package persistence

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/messages"
	"rollcall/presence"
)

// Changes reads up to limit changes of a tenant after a token, in the order in
// which this node stored them, and the token to go on from. With a token of
// another node some may come that the reader has seen; later changes of one
// user may stand before earlier ones that came late. It reads in the caller's
// goroutine. ErrResync means that something after the token may be missing;
// ErrToken that the token is not one of this tenant.
func (s *Store) Changes(t presence.TenantID, after Token, limit int) ([]Change, Token, error) {
	p, err := s.feeds.place(t, after)
	if err != nil || limit <= 0 {
		return nil, after, err
	}
	next := Token{tenant: t, node: s.feeds.node, seq: p.end()}
	if p.last <= p.at {
		next.marks = s.feeds.marks(after, p.mark)
		return nil, next, nil
	}
	walk := feedWalk{spot: p, token: Token{tenant: t, node: s.feeds.node, marks: s.feeds.marks(after, p.at)}}
	if err := s.view(func(txn *badger.Txn) error { return walk.run(txn, limit) }); err != nil {
		return nil, after, err
	}
	n := len(walk.changes)
	if n == 0 {
		return nil, after, ErrResync // removed between the look at the extent and the read
	}
	if walk.at == p.last {
		walk.changes[n-1].Token.marks = s.feeds.marks(after, p.mark)
	}
	return walk.changes, walk.changes[n-1].Token, nil
}

// feedWalk follows one tenant's entries; every entry must name the one before.
type feedWalk struct {
	spot
	token   Token // of the changes, but for their position
	changes []Change
}

func (w *feedWalk) run(txn *badger.Txn, limit int) error {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	o.Prefix = feedKey(w.token.tenant, w.token.node, 0)[:feedKeySize-8]
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Seek(feedKey(w.token.tenant, w.token.node, w.at+1)); it.Valid() && len(w.changes) < limit; it.Next() {
		item := it.Item()
		seq := feedSeq(item.Key())
		if seq > w.last {
			return nil
		}
		if err := open(item, func(payload []byte) error { return w.take(seq, payload) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *feedWalk) take(seq uint64, payload []byte) error {
	e, prev, err := feedEntry(payload)
	if err != nil {
		return err
	}
	first := len(w.changes) == 0
	if prev != w.at && !(first && w.loose && prev < w.at) {
		if first {
			return ErrResync
		}
		return fmt.Errorf("%w: feed entry %d follows %d but names %d", ErrCorrupt, seq, w.at, prev)
	}
	w.at, w.token.seq = seq, seq
	w.changes = append(w.changes, Change{User: e.User, State: e.State, Version: e.Version, At: e.At, Token: w.token})
	return nil
}

// feedEntry reads an entry, and the position of the one before it.
func feedEntry(payload []byte) (e FeedEntry, before uint64, err error) {
	if len(payload) < feedHead-sumSize {
		return e, 0, fmt.Errorf("%w: feed entry of %d bytes", ErrCorrupt, len(payload))
	}
	var numbers [(feedHead - sumSize) / 8]uint64
	for i := range numbers {
		numbers[i] = binary.BigEndian.Uint64(payload[8*i:])
	}
	var m messages.Change
	if err := m.UnmarshalVT(payload[feedHead-sumSize:]); err != nil {
		return e, 0, fmt.Errorf("%w: feed entry: %w", ErrCorrupt, err)
	}
	u, err := messages.ToUser(m.User)
	if err != nil {
		return e, 0, fmt.Errorf("%w: feed entry: %w", ErrCorrupt, err)
	}
	e = FeedEntry{
		At: time.UnixMilli(int64(numbers[0])), Origin: numbers[2], Seq: numbers[3], Prev: numbers[4],
		User: u, State: messages.ToState(m.State), Version: presence.Version(m.Version),
	}
	return e, numbers[1], nil
}
