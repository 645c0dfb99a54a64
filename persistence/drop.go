package persistence

import (
	"fmt"

	"rollcall/presence"
)

const dropKeys = 1000 // removed by one transaction

// Drop removes everything of a shard but the log of changes, if its digest is
// still this one. It works on a nearly full disk too. A large shard goes in
// several transactions, each of which finds the digest that the one before has
// left, or the rest stays. A crash in between leaves a part of the shard, which
// is harmless: it merges like everything else, and whoever drops a shard has
// seen that others have all of it. done is called exactly once and must not
// block.
func (s *Store) Drop(shard uint16, root uint64, done func(dropped bool, err error)) {
	if shard >= presence.Shards {
		done(false, fmt.Errorf("persistence: there is no shard %d: %w", shard, presence.ErrValue))
		return
	}
	s.dropSome(&dropWrite{shard: shard, root: root}, done)
}

func (s *Store) dropSome(step *dropWrite, done func(bool, error)) {
	s.writer.add(&write{step: step, size: dropKeys * userKeyHead, done: func(err error) {
		switch {
		case err != nil || step.moved:
			done(false, err)
		case step.more:
			step.more = false
			s.dropSome(step, done)
		default:
			done(true, nil)
		}
	}})
}

// dropWrite is what is left to remove of a shard.
type dropWrite struct {
	shard uint16
	root  uint64
	users uint64 // the part of the root that is left, once begun
	begun bool
	more  bool
	moved bool // the digest was another one
}

func (d *dropWrite) apply(b *batch) error {
	if d.moved = !d.still(b); d.moved {
		return nil
	}
	n := 0
	for _, k := range userKinds {
		if err := d.remove(b, k, &n); err != nil || d.more {
			return err
		}
	}
	return nil
}

func (d *dropWrite) remove(b *batch, k kind, n *int) error {
	it := keysOf(b.txn, shardPrefix(k, d.shard))
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if d.more = *n == dropKeys; d.more {
			return nil
		}
		sum, err := digestOf(it.Item())
		if err != nil {
			return err
		}
		if err := b.remove(it.Item().KeyCopy(nil), -sum); err != nil {
			return err
		}
		d.users -= sum
		*n++
	}
	return nil
}

// still tells whether the shard has the digest that it should have.
func (d *dropWrite) still(b *batch) bool {
	users, known := b.users(d.shard)
	if !known || d.begun && users != d.users {
		return false
	}
	root := users
	if users != 0 {
		root += b.store.feeds.root(d.shard)
	}
	same := d.begun || root == d.root
	d.begun, d.users = true, users
	return same
}

// users is the sum over a shard's users as the transaction leaves it so far.
func (b *batch) users(shard uint16) (uint64, bool) {
	d := b.store.digests
	if !d.known[shard].Load() {
		return 0, false
	}
	sum := d.roots[shard].Load()
	for _, m := range b.moves {
		if m.shard == shard {
			sum += m.by
		}
	}
	return sum, true
}
