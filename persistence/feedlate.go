package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// An entry that came before its predecessor is kept aside. Mostly a pull brings
// both; if not, because the process that had the predecessor died with it, the
// entry becomes one of this node's own.
const (
	// lateFor is how long the predecessor is waited for.
	lateFor = 2 * time.Minute
	// lateChunk is how many are looked at by one write.
	lateChunk = 256
	// kindFeedLate is [shard][chain][number], its value that of an entry with the
	// position of its coming.
	kindFeedLate kind = 'l'
)

func lateKey(k chainKey, seq uint64) []byte {
	key := indexKey(k.shard, k.chain, seq)
	key[0] = byte(kindFeedLate)
	return key
}

// keep puts an entry aside.
func (h *feedHeads) keep(txn *badger.Txn, w *feedWrite, e FeedEntry) error {
	key := lateKey(chainKey{e.User.Shard(), e.Origin}, e.Seq)
	w.head(&e, position(h.feeds.now()))
	return txn.SetEntry(&badger.Entry{Key: key, Value: seal(key, w.value)})
}

// lateEntry is one that was put aside.
type lateEntry struct {
	write *feedWrite
	came  uint64
}

// settle looks at an entry that was put aside once more.
func (h *feedHeads) settle(txn *badger.Txn, l lateEntry) error {
	e := *l.write.entry
	k := chainKey{e.User.Shard(), e.Origin}
	if _, err := txn.Get(lateKey(k, e.Seq)); errors.Is(err, badger.ErrKeyNotFound) {
		return nil // somebody else has looked at it meanwhile
	}
	end := h.end(k)
	switch {
	case e.Seq <= end.seq:
	case e.Prev <= end.seq:
		if err := h.put(txn, l.write, e); err != nil {
			return err
		}
	case l.came < position(h.feeds.now().Add(-lateFor)):
		if err := h.put(txn, l.write, h.adopt(e)); err != nil {
			return err
		}
	default:
		return nil
	}
	return txn.Delete(lateKey(k, l.write.entry.Seq))
}

// adopt numbers an entry as one of this node's.
func (h *feedHeads) adopt(e FeedEntry) FeedEntry {
	e.Origin = h.feeds.adopts
	e.Seq, e.Prev = number(h.end(chainKey{e.User.Shard(), e.Origin}).seq, h.feeds.now())
	return e
}

// settle has the writer look at everything that was put aside.
func (s *Store) settle() error {
	after := []byte{byte(kindFeedLate)}
	for {
		var cut feedTrim
		err := s.view(func(txn *badger.Txn) (err error) {
			after, err = cut.collectLate(txn, after)
			return err
		})
		if err != nil || len(cut.late) == 0 {
			return err
		}
		if err := s.cut(&cut); err != nil {
			return err
		}
	}
}

// collectLate reads a chunk after a key, and gives the last key of it.
func (t *feedTrim) collectLate(txn *badger.Txn, after []byte) ([]byte, error) {
	it := keysOf(txn, []byte{byte(kindFeedLate)})
	defer it.Close()
	for it.Seek(append(bytes.Clone(after), 0)); it.Valid() && len(t.late) < lateChunk; it.Next() {
		item := it.Item()
		err := open(item, func(payload []byte) error {
			e, came, err := feedEntry(payload)
			if err != nil {
				return err
			}
			value := append(make([]byte, sumSize, sumSize+len(payload)), payload...)
			t.late = append(t.late, lateEntry{&feedWrite{entry: &e, value: value}, came})
			return nil
		})
		if err != nil {
			return nil, err
		}
		after = item.KeyCopy(nil)
	}
	return after, nil
}

// head fills in what stands before the Change.
func (w *feedWrite) head(e *FeedEntry, before uint64) {
	head := binary.BigEndian.AppendUint64(w.value[:sumSize], uint64(e.At.UnixMilli()))
	for _, n := range [...]uint64{before, e.Origin, e.Seq, e.Prev} {
		head = binary.BigEndian.AppendUint64(head, n)
	}
}
