package persistence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/messages"
	"rollcall/presence"
)

// Loaded is what the store holds about one user.
type Loaded struct {
	Record  presence.Record // blocks included, watches not
	State   presence.State  // as last committed
	Version presence.Version
	Wake    time.Time
	Found   bool // false: nothing was ever committed
}

// Load reads a user. It sees every commit whose done was called before. done
// is called exactly once, at once with a refusal or by a reader; it must not
// block.
func (s *Store) Load(u presence.UserID, done func(Loaded, error)) {
	var l Loaded
	s.reader.add(read{
		look:   func(txn *badger.Txn) error { return l.read(txn, u) },
		answer: func(err error) { done(l, err) },
	})
}

func (l *Loaded) read(txn *badger.Txn, u presence.UserID) error {
	key := userKey(kindPresence, u, "")
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: read %s: %w", ErrCorrupt, u, err)
	}
	var blocks bool
	err = open(item, func(payload []byte) error {
		stored, err := messages.DecodeStored(payload)
		if err != nil {
			return fmt.Errorf("%w: presence of %s: %w", ErrCorrupt, u, err)
		}
		*l = Loaded{stored.Record, stored.State, stored.Version, stored.Wake, true}
		blocks = stored.Blocks
		return nil
	})
	if err != nil || !blocks {
		return err
	}
	return scan(txn, userKey(kindBlock, u, ""), func(_, payload []byte) error {
		e, err := element(payload)
		l.Record.Merge(e)
		return err
	})
}

func element(payload []byte) (presence.Element, error) {
	e, err := messages.DecodeElement(payload)
	if err != nil {
		return e, fmt.Errorf("%w: element: %w", ErrCorrupt, err)
	}
	return e, nil
}

// open verifies an item and shows its payload, which is not to be kept.
func open(item *badger.Item, use func(payload []byte) error) error {
	err := item.Value(func(value []byte) error {
		payload, err := unseal(item.Key(), value)
		if err != nil {
			return err
		}
		return use(payload)
	})
	return err
}

// scan shows every verified value under a prefix, in key order.
func scan(txn *badger.Txn, prefix []byte, each func(key, payload []byte) error) error {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	o.Prefix = prefix
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Seek(prefix); it.Valid(); it.Next() {
		item := it.Item()
		if err := open(item, func(payload []byte) error { return each(item.Key(), payload) }); err != nil {
			return err
		}
	}
	return nil
}

// Wakeups shows each user whose presence will change by itself, and when, in
// no useful order. It reads in the caller's goroutine, from one moment's view,
// and ends with each's first error or the context's.
func (s *Store) Wakeups(ctx context.Context, each func(presence.UserID, time.Time) error) error {
	return s.view(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false
		o.Prefix = []byte{byte(kindPresence)}
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid() && ctx.Err() == nil; it.Next() {
			if it.Item().UserMeta()&metaWake == 0 {
				continue
			}
			if err := wakeup(it.Item(), each); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

func wakeup(item *badger.Item, each func(presence.UserID, time.Time) error) error {
	u, ok := userOf(item.Key())
	if !ok {
		return fmt.Errorf("%w: presence key %x", ErrCorrupt, item.Key())
	}
	var m messages.Stored
	err := open(item, func(payload []byte) error {
		if err := m.UnmarshalVT(payload); err != nil {
			return fmt.Errorf("%w: presence of %s: %w", ErrCorrupt, u, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return each(u, time.UnixMilli(m.Wake))
}

// view runs a read in the caller, unless the store is closed or has failed.
func (s *Store) view(look func(*badger.Txn) error) error {
	if err := s.failure(); err != nil {
		return err
	}
	s.reading.RLock()
	defer s.reading.RUnlock()
	if s.closed {
		return ErrClosed
	}
	return s.corrupt(s.db.View(look))
}
