package persistence

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

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
