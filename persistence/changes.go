package persistence

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/messages"
	"rollcall/presence"
)

// Changes reads up to limit changes of a tenant after a token, oldest first, and
// the token to go on from. It reads in the caller's goroutine. ErrResync means
// that something after the token may be missing; ErrToken that the token is
// not one of this tenant.
func (s *Store) Changes(t presence.TenantID, after Token, limit int) ([]Change, Token, error) {
	last, err := s.feeds.place(t, after)
	if err != nil {
		return nil, after, err
	}
	walk := feedWalk{tenant: t, origin: s.feeds.origin, at: after.seq}
	if last > after.seq && limit > 0 {
		if err := s.view(func(txn *badger.Txn) error { return walk.run(txn, limit) }); err != nil {
			return nil, after, err
		}
		if len(walk.changes) == 0 {
			return nil, after, ErrResync // removed between the look at the extent and the read
		}
	}
	return walk.changes, Token{tenant: t, origin: walk.origin, seq: walk.at}, nil
}

// feedWalk follows one tenant's entries; every entry must name the one before.
type feedWalk struct {
	tenant  presence.TenantID
	origin  uint64
	at      uint64
	changes []Change
}

func (w *feedWalk) run(txn *badger.Txn, limit int) error {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	o.Prefix = feedKey(w.tenant, w.origin, 0)[:feedKeySize-8]
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Seek(feedKey(w.tenant, w.origin, w.at+1)); it.Valid() && len(w.changes) < limit; it.Next() {
		item := it.Item()
		if err := open(item, func(payload []byte) error { return w.take(feedSeq(item.Key()), payload) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *feedWalk) take(seq uint64, payload []byte) error {
	at, prev, m, err := feedEntry(payload)
	if err != nil {
		return err
	}
	if prev != w.at {
		if len(w.changes) == 0 {
			return ErrResync
		}
		return fmt.Errorf("%w: feed entry %d follows %d but names %d", ErrCorrupt, seq, w.at, prev)
	}
	u, err := messages.ToUser(m.User)
	if err != nil {
		return fmt.Errorf("%w: feed entry %d: %w", ErrCorrupt, seq, err)
	}
	w.at = seq
	w.changes = append(w.changes, Change{
		User: u, State: messages.ToState(m.State), Version: presence.Version(m.Version), At: at,
		Token: Token{tenant: w.tenant, origin: w.origin, seq: seq},
	})
	return nil
}

func feedEntry(payload []byte) (at time.Time, prev uint64, m *messages.Change, err error) {
	if len(payload) < feedHead-sumSize {
		return at, 0, nil, fmt.Errorf("%w: feed entry of %d bytes", ErrCorrupt, len(payload))
	}
	at = time.UnixMilli(int64(binary.BigEndian.Uint64(payload)))
	prev = binary.BigEndian.Uint64(payload[8:])
	m = new(messages.Change)
	if err := m.UnmarshalVT(payload[16:]); err != nil {
		return at, 0, nil, fmt.Errorf("%w: feed entry: %w", ErrCorrupt, err)
	}
	return at, prev, m, nil
}
