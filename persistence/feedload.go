package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

// loadFeeds reads the extents of all logs and the ends of all chains. In a new
// store it notes where the log begins.
func loadFeeds(s *Store) (*feeds, error) {
	f := newFeeds(s)
	err := s.db.View(func(txn *badger.Txn) error {
		if err := f.loadSince(txn); err != nil {
			return err
		}
		if err := f.loadLogs(txn); err != nil {
			return err
		}
		return f.loadChains(txn)
	})
	if err == nil && f.born == 0 {
		err = f.begins(s.db)
	}
	if err != nil {
		return nil, refuse(s.cfg.Dir, ErrDamaged, remedyReset, "%v", err)
	}
	f.mark = max(f.mark, f.since)
	f.next = f.mark + seqSkip
	return f, nil
}

func (f *feeds) loadSince(txn *badger.Txn) error {
	item, err := txn.Get(sinceKey())
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return open(item, func(payload []byte) (err error) {
		f.born, f.since, err = twoNumbers(item.Key(), payload)
		return err
	})
}

func (f *feeds) loadLogs(txn *badger.Txn) error {
	return scan(txn, []byte{byte(kindMeta), byte(kindFeed)}, func(key, payload []byte) error {
		if len(key) != 2+tenantSize+8 {
			return fmt.Errorf("%w: feed extent %x", ErrCorrupt, key)
		}
		floor, last, err := twoNumbers(key, payload)
		if err != nil {
			return err
		}
		f.tenant[presence.TenantID(key[2:2+tenantSize])] = &feed{floor: floor, last: last, loaded: last}
		f.mark, f.trimmed = max(f.mark, last), max(f.trimmed, floor)
		return nil
	})
}

func twoNumbers(key, payload []byte) (a, b uint64, err error) {
	if len(payload) != 16 {
		return 0, 0, fmt.Errorf("%w: feed extent %x", ErrCorrupt, key)
	}
	return binary.BigEndian.Uint64(payload), binary.BigEndian.Uint64(payload[8:]), nil
}

func (f *feeds) begins(db *badger.DB) error {
	f.born = max(1, position(f.now()))
	f.since = f.born
	return db.Update(func(txn *badger.Txn) error {
		return txn.SetEntry(numbersEntry(sinceKey(), f.born, f.since))
	})
}
