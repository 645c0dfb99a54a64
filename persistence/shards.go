package persistence

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

// userKinds are the kinds of key that belong to a user.
var userKinds = [...]kind{kindPresence, kindWatch, kindBlock}

// Shards lists, in rising order, the shards that something is stored of. It
// reads in the caller's goroutine: one seek per shard.
func (s *Store) Shards() ([]uint16, error) {
	var has [presence.Shards]bool
	err := s.view(func(txn *badger.Txn) error {
		for _, k := range userKinds {
			if err := markShards(txn, k, &has); err != nil {
				return err
			}
		}
		return nil
	})
	var list []uint16
	for i, h := range has {
		if h {
			list = append(list, uint16(i))
		}
	}
	return list, err
}

func markShards(txn *badger.Txn, k kind, has *[presence.Shards]bool) error {
	it := keysOf(txn, []byte{byte(k)})
	defer it.Close()
	for it.Rewind(); it.Valid(); {
		key := it.Item().Key()
		if len(key) <= userKeyHead {
			return fmt.Errorf("%w: key %x", ErrCorrupt, key)
		}
		shard := binary.BigEndian.Uint16(key[1:])
		if shard >= presence.Shards {
			return fmt.Errorf("%w: key %x", ErrCorrupt, key)
		}
		has[shard] = true
		it.Seek(shardPrefix(k, shard+1))
	}
	return nil
}

func keysOf(txn *badger.Txn, prefix []byte) *badger.Iterator {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	o.Prefix = prefix
	return txn.NewIterator(o)
}
