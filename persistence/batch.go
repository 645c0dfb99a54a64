package persistence

import (
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// batch is one transaction of the writer.
type batch struct {
	store *Store
	txn   *badger.Txn
	heads *feedHeads
	now   time.Time
	size  int // bytes to be written
	moves []move
}

// get reads a value, also one that this transaction has written.
func (b *batch) get(key []byte, use func(payload []byte) error) error {
	item, err := b.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %x: %w", key, err)
	}
	return open(item, use)
}

// put writes an entry of a user; the shard's digest changes by so much.
func (b *batch) put(e *badger.Entry, by uint64) error {
	b.size += len(e.Key) + len(e.Value)
	b.moved(e.Key, by)
	if kind(e.Key[0]) == kindPresence {
		b.store.writer.recent.put(ownerHash(ownerIn(e.Key)), e.Value)
	}
	return b.txn.SetEntry(e)
}

func (b *batch) remove(key []byte, by uint64) error {
	b.size += len(key)
	b.moved(key, by)
	if kind(key[0]) == kindPresence {
		b.store.writer.recent.remove(ownerHash(ownerIn(key)))
	}
	return b.txn.Delete(key)
}

func (b *batch) moved(key []byte, by uint64) {
	shard := shardOf(key)
	if by != 0 && b.store.digests.counted(shard, key) {
		b.moves = append(b.moves, move{shard, by})
	}
}
