package persistence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

// userKinds are the kinds of key that belong to a user.
var userKinds = [...]kind{kindPresence, kindWatch, kindBlock}

// Held is all that the store has of one user but the feed.
type Held struct {
	User    presence.UserID
	Loaded  Loaded
	Watches []presence.Element // lists, cleared ones too

	keys [][]byte
}

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

func shardPrefix(k kind, shard uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{byte(k)}, shard)
}

func keysOf(txn *badger.Txn, prefix []byte) *badger.Iterator {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	o.Prefix = prefix
	return txn.NewIterator(o)
}

// Users lists the users that something is stored of in a shard. It reads in the
// caller's goroutine.
func (s *Store) Users(shard uint16) ([]presence.UserID, error) {
	seen := map[presence.UserID]bool{}
	err := s.view(func(txn *badger.Txn) error {
		for _, k := range userKinds {
			it := keysOf(txn, shardPrefix(k, shard))
			for it.Rewind(); it.Valid(); it.Next() {
				seen[ownerOf(it.Item().Key())] = true
			}
			it.Close()
		}
		return nil
	})
	users := make([]presence.UserID, 0, len(seen))
	for u := range seen {
		users = append(users, u)
	}
	slices.SortFunc(users, presence.UserID.Compare)
	return users, err
}

// ownerOf is the user in a key of any of userKinds.
func ownerOf(key []byte) (u presence.UserID) {
	copy(u.Tenant[:], key[3:])
	mri, _, _ := bytes.Cut(key[userKeyHead:], []byte{0})
	u.MRI = string(mri)
	return u
}

// Hold reads all of one user, in the caller's goroutine.
func (s *Store) Hold(u presence.UserID) (Held, error) {
	h := Held{User: u}
	err := s.view(func(txn *badger.Txn) error {
		if err := h.Loaded.read(txn, u); err != nil {
			return err
		}
		h.keys = append(h.keys, userKey(kindPresence, u, ""))
		if err := h.note(txn, userKey(kindBlock, u, ""), nil); err != nil {
			return err
		}
		return h.note(txn, userKey(kindWatch, u, ""), &h.Watches)
	})
	return h, err
}

// note remembers the keys under a prefix and, where wanted, their elements.
func (h *Held) note(txn *badger.Txn, prefix []byte, elements *[]presence.Element) error {
	return scan(txn, prefix, func(key, payload []byte) error {
		h.keys = append(h.keys, slices.Clone(key))
		if elements == nil {
			return nil
		}
		e, err := element(payload)
		*elements = append(*elements, e)
		return err
	})
}

// Forget removes what was held of a user when it was read; the feed keeps its
// entries. It is for a user whom another node stores now, and works on a nearly
// full disk too. done is as with Commit.
func (s *Store) Forget(h Held, done func(error)) {
	s.writer.add(&write{deletes: h.keys, done: done})
}
