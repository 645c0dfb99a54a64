package persistence

import (
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

const (
	// clearedFor is how long a cleared list is remembered, so that an older
	// copy of it cannot come back.
	clearedFor = 7 * 24 * time.Hour
	// expiredFor is how long an expired list lies before its space is free.
	expiredFor = time.Hour
)

// CommitWatch stores the list that one endpoint of u watches; e is keyed by
// presence.WatchKey. A cleared list is an element without value. done is as
// with Commit.
func (s *Store) CommitWatch(u presence.UserID, e presence.Element, done func(error)) {
	if s.guard.low.Load() {
		done(ErrStorageLow)
		return
	}
	kind, endpoint := e.Key.Split()
	if kind != presence.KindWatch || endpoint == "" {
		done(fmt.Errorf("persistence: %q is not the key of a watch list: %w", e.Key, presence.ErrValue))
		return
	}
	op := &write{done: done}
	entry, err := op.putElement(userKey(kindWatch, u, endpoint), e)
	if err != nil {
		done(err)
		return
	}
	switch {
	case e.Value == nil:
		entry.ExpiresAt = uint64(s.cfg.Now().Add(clearedFor).Unix())
	case e.Expires > 0:
		entry.ExpiresAt = uint64(time.UnixMilli(e.Expires).Add(expiredFor).Unix())
	}
	s.writer.add(op)
}

// LoadWatch reads the list of one endpoint of u, expired or cleared as it may
// be; the bool tells whether there is one. done is as with Load.
func (s *Store) LoadWatch(u presence.UserID, endpoint string, done func(presence.Element, bool, error)) {
	var (
		e     presence.Element
		found bool
	)
	s.reader.add(read{
		look: func(txn *badger.Txn) error {
			item, err := txn.Get(userKey(kindWatch, u, endpoint))
			if errors.Is(err, badger.ErrKeyNotFound) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("%w: read a watch list of %s: %w", ErrCorrupt, u, err)
			}
			found = true
			return open(item, func(payload []byte) error {
				e, err = element(payload)
				return err
			})
		},
		answer: func(err error) { done(e, found && err == nil, err) },
	})
}

// Endpoints names the endpoints of u whose list is neither cleared nor
// expired. done is as with Load.
func (s *Store) Endpoints(u presence.UserID, done func([]string, error)) {
	var names []string
	prefix := userKey(kindWatch, u, "")
	s.reader.add(read{
		look: func(txn *badger.Txn) error {
			now := s.cfg.Now()
			return scan(txn, prefix, func(key, payload []byte) error {
				e, err := element(payload)
				if err == nil && e.Live(now) {
					names = append(names, string(key[len(prefix):]))
				}
				return err
			})
		},
		answer: func(err error) { done(names, err) },
	})
}
