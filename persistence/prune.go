package persistence

import (
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/persistence/merge"
	"rollcall/presence"
)

const (
	maxPruned  = 256       // keys of one write
	pruneCycle = time.Hour // in which every shard is looked at once
)

// pruneAll looks for what is spent, shard by shard, until the store closes. It
// works on a nearly full disk too.
func (s *Store) pruneAll() {
	tick := time.NewTicker(pruneCycle / presence.Shards)
	defer tick.Stop()
	for shard := uint16(0); s.failure() == nil; shard = (shard + 1) % presence.Shards {
		select {
		case <-tick.C:
			s.pruneShard(shard)
		case <-s.stop:
			return
		}
	}
}

// pruneShard has the writer remove what is spent; a second look finds what was
// too much for one write.
func (s *Store) pruneShard(shard uint16) {
	err := s.walk(shard, presence.UserID{}, func(*badger.Txn, *glimpse) (bool, error) { return !s.stopped(), nil })
	if err != nil {
		s.cfg.Log.Warn("a shard could not be swept", "shard", shard, "error", err)
	}
}

// prune removes spent elements under these keys some time. A full queue leaves
// them to the next look.
func (s *Store) prune(keys [][]byte) {
	if len(keys) > 0 {
		s.writer.add(&write{step: pruneWrite(keys), size: len(keys) * userKeyHead, done: func(error) {}})
	}
}

// pruneWrite are the keys of values in which something is spent.
type pruneWrite [][]byte

func (p pruneWrite) apply(b *batch) error {
	for _, key := range p {
		look := b.pruneList
		if kind(key[0]) == kindPresence {
			look = b.prunePresence
		}
		if err := look(key); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) pruneList(key []byte) error {
	var by uint64
	spent := false
	err := b.get(key, func(payload []byte) error {
		g, err := skim(kind(key[0]), ownerHash(ownerIn(key)), payload, b.now)
		by, spent = -g.sum, g.spent
		return err
	})
	if err != nil || !spent {
		return err
	}
	return b.remove(key, by)
}

func (b *batch) prunePresence(key []byte) error {
	user, err := b.stored(key)
	if err != nil {
		return err
	}
	hash := ownerHash(ownerIn(key))
	before := user.Digest(hash)
	dropped := user.Record.Drop(func(e presence.Element) bool { return merge.Spent(e, b.now) })
	if len(dropped) == 0 {
		return nil
	}
	e, err := user.entry(key)
	if err != nil {
		return err
	}
	return b.put(e, user.Digest(hash)-before)
}
