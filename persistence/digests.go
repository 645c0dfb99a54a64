package persistence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

const (
	scanPiece    = time.Millisecond // one look of the writer at a shard
	scanRest     = 4                // times what a piece took, while commits wait
	scanPeriod   = 10 * time.Millisecond
	scanAtATime  = 16 // keys between two looks at the clock
	allScanKinds = string(rune(kindBlock)) + string(rune(kindPresence)) + string(rune(kindWatch))
)

// digests are the sums over the users of all shards; the feed has its own. After opening a root is not known until
// the writer has read the shard; from then on the writer keeps it up with each
// transaction. Only the writer's goroutine changes anything; others look.
type digests struct {
	store   *Store
	roots   [presence.Shards]atomic.Uint64
	known   [presence.Shards]atomic.Bool
	unknown atomic.Int32
	scan    *shardScan // under way
	first   uint16     // all shards below are known
}

func newDigests(s *Store) *digests {
	d := &digests{store: s}
	d.unknown.Store(presence.Shards)
	return d
}

// shardScan is a shard that is being read, in the order of its keys.
type shardScan struct {
	shard uint16
	kind  int    // of allScanKinds
	after []byte // the last key that was read; all before it are in sum
	sum   uint64
}

// move is a change of a digest that a transaction brings.
type move struct {
	shard uint16
	by    uint64
}

// counted tells whether the keys up to this one are in the root, or in the sum
// of a scan under way.
func (d *digests) counted(shard uint16, key []byte) bool {
	if d.known[shard].Load() {
		return true
	}
	return d.scan != nil && d.scan.shard == shard && bytes.Compare(key, d.scan.after) <= 0
}

// publish shows what a committed transaction has changed.
func (d *digests) publish(moves []move) {
	for _, m := range moves {
		if d.known[m.shard].Load() {
			d.roots[m.shard].Add(m.by)
		} else {
			d.scan.sum += m.by
		}
	}
}

// Root is the digest of a shard: equal on two stores that hold the same of its
// users and its feed, and 0 where no user is stored. It is not known for a while after opening; asking
// makes the writer read the shard soon.
func (s *Store) Root(shard uint16) (root uint64, known bool) {
	if shard >= presence.Shards {
		return 0, false
	}
	if !s.digests.known[shard].Load() {
		s.writer.wantScan(shard)
		return 0, false
	}
	users := s.digests.roots[shard].Load()
	if users == 0 {
		return 0, true
	}
	return users + s.feeds.root(shard), true
}

// next gives the first shard that is not known; false when all are.
func (d *digests) next() (uint16, bool) {
	for ; d.first < presence.Shards; d.first++ {
		if !d.known[d.first].Load() {
			return d.first, true
		}
	}
	return 0, false
}

// read goes on with a scan until some time, or begins one.
func (d *digests) read(shard uint16, until time.Time) error {
	if d.scan == nil {
		d.scan = &shardScan{shard: shard}
	}
	done := false
	err := d.store.view(func(txn *badger.Txn) (err error) {
		done, err = d.scan.read(txn, until)
		return err
	})
	if err == nil && done {
		d.finish()
	}
	return err
}

func (d *digests) finish() {
	shard := d.scan.shard
	d.roots[shard].Store(d.scan.sum)
	d.known[shard].Store(true)
	d.unknown.Add(-1)
	d.scan = nil
}

func (c *shardScan) read(txn *badger.Txn, until time.Time) (done bool, err error) {
	for ; c.kind < len(allScanKinds); c.kind++ {
		more, err := c.readKind(txn, until)
		if more || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (c *shardScan) readKind(txn *badger.Txn, until time.Time) (more bool, err error) {
	prefix := shardPrefix(kind(allScanKinds[c.kind]), c.shard)
	it := keysOf(txn, prefix)
	defer it.Close()
	if bytes.HasPrefix(c.after, prefix) {
		it.Seek(append(bytes.Clone(c.after), 0))
	} else {
		it.Rewind()
	}
	for n := 1; it.Valid(); it.Next() {
		term, err := digestOf(it.Item())
		if err != nil {
			return false, err
		}
		c.sum += term
		c.after = it.Item().KeyCopy(c.after)
		if n++; n%scanAtATime == 0 && time.Now().After(until) {
			return true, nil
		}
	}
	return false, nil
}

// digestOf is the sum of the terms that lie under one key.
func digestOf(item *badger.Item) (sum uint64, err error) {
	key := item.Key()
	if len(key) <= userKeyHead || binary.BigEndian.Uint16(key[1:]) >= presence.Shards {
		return 0, fmt.Errorf("%w: key %x", ErrCorrupt, key)
	}
	user := ownerHash(ownerIn(key))
	err = open(item, func(payload []byte) (err error) {
		g, err := skim(kind(key[0]), user, payload, time.Time{})
		sum = g.sum
		return err
	})
	return sum, err
}
