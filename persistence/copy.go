package persistence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/presence"
)

// Copy reads all of a user, in the caller's goroutine: elements of every kind
// sorted by key, the state, and no feed entry. The bool tells whether there is
// anything.
func (s *Store) Copy(u presence.UserID) (Commit, bool, error) {
	c := Commit{User: u}
	found := false
	err := s.view(func(txn *badger.Txn) (err error) {
		c, found, err = copyOf(txn, u)
		return err
	})
	return c, found, err
}

func copyOf(txn *badger.Txn, u presence.UserID) (Commit, bool, error) {
	var l Loaded
	if err := l.read(txn, u); err != nil {
		return Commit{User: u}, false, err
	}
	found := l.Found
	prefix := userKey(kindWatch, u, "")
	err := scan(txn, prefix, func(_, payload []byte) error {
		found = true
		e, err := element(payload)
		l.Record.Merge(e)
		return err
	})
	return Commit{
		User: u, Elements: l.Record.Elements(), State: l.State, Version: l.Version, Wake: l.Wake,
	}, found, err
}

// haveSize is what Have says of one user: the hash of its id, and its digest.
const haveSize = 8 + 8

// Have says in 16 bytes per user what the store has of a shard: Differing of
// another store takes it. It reads in the caller's goroutine.
func (s *Store) Have(shard uint16) ([]byte, error) {
	var have []byte
	err := s.walk(shard, presence.UserID{}, func(_ *badger.Txn, u *glimpse) (bool, error) {
		have = binary.BigEndian.AppendUint64(have, u.hash)
		have = binary.BigEndian.AppendUint64(have, u.sum)
		return true, nil
	})
	return have, err
}

// readHave is the other end of Have. Rubbish of a fitting length only makes
// more users differ.
func readHave(have []byte) (map[uint64]uint64, error) {
	if len(have)%haveSize != 0 {
		return nil, fmt.Errorf("persistence: %d bytes do not tell what is had of a shard: %w", len(have), presence.ErrValue)
	}
	sums := make(map[uint64]uint64, len(have)/haveSize)
	for ; len(have) > 0; have = have[haveSize:] {
		sums[binary.BigEndian.Uint64(have)] = binary.BigEndian.Uint64(have[8:])
	}
	return sums, nil
}

// Differing reads what the store has of a shard and another one has not, which
// has sent its Have and its FeedEnds: first copies of users in the order of
// their ids, those after a given one, then entries of the feed. A page has about
// maxBytes, and one user at least. ErrUnread means that the shard's digest is
// not known yet. It reads in the caller's goroutine.
func (s *Store) Differing(shard uint16, have []byte, after presence.UserID, ends []FeedEnd, maxBytes int) (Part, error) {
	root, known := s.Root(shard) // before the read: what the page has is not older
	if !known {
		return Part{}, ErrUnread
	}
	sums, err := readHave(have)
	if err != nil {
		return Part{}, err
	}
	p := page{Part: Part{Root: root, Next: after}, left: maxBytes}
	feed := s.FeedEnds(shard)
	err = s.walk(shard, after, func(txn *badger.Txn, u *glimpse) (bool, error) {
		if sum, ok := sums[u.hash]; ok && sum == u.sum {
			p.Next = u.user()
			return true, nil
		}
		return p.add(txn, u)
	})
	if err == nil && !p.More {
		err = s.view(func(txn *badger.Txn) (err error) {
			p.Feed, p.More, err = s.feedAfter(txn, feed, shard, ends, p.left)
			return err
		})
	}
	if !p.More {
		p.Next = presence.UserID{}
	}
	return p.Part, err
}

// page is a Part that is being read.
type page struct {
	Part
	left int // bytes
}

func (p *page) add(txn *badger.Txn, u *glimpse) (more bool, err error) {
	if p.More = u.size > p.left && len(p.Copies) > 0; p.More {
		return false, nil
	}
	c, found, err := copyOf(txn, u.user())
	if err != nil {
		return false, err
	}
	if found {
		p.Copies = append(p.Copies, c)
	}
	p.left -= u.size
	p.Next = c.User
	return true, nil
}

// glimpse is one user of a walk.
type glimpse struct {
	owner []byte // as in its keys
	hash  uint64
	sum   uint64 // digest
	size  int    // bytes of its values
}

func (g *glimpse) user() presence.UserID { return ownerID(g.owner) }

// shardWalk goes through the users of a shard, over all their keys.
type shardWalk struct {
	its  [len(userKinds)]*badger.Iterator
	now  time.Time
	user glimpse
	dead [][]byte // keys that something spent lies under
}

// walk shows the users of a shard after one of them, in the order of their ids,
// until each returns false. What lies there although it is spent is removed
// soon, so that it does not make two stores differ for long.
func (s *Store) walk(shard uint16, after presence.UserID, each func(*badger.Txn, *glimpse) (bool, error)) error {
	if shard >= presence.Shards {
		return fmt.Errorf("persistence: there is no shard %d: %w", shard, presence.ErrValue)
	}
	w := shardWalk{now: s.cfg.Now()}
	err := s.view(func(txn *badger.Txn) error {
		w.begin(txn, shard, after)
		defer w.end()
		for {
			ok, err := w.next()
			if err != nil || !ok {
				return err
			}
			if more, err := each(txn, &w.user); err != nil || !more {
				return err
			}
		}
	})
	if err == nil {
		s.prune(w.dead)
	}
	return err
}

func (w *shardWalk) begin(txn *badger.Txn, shard uint16, after presence.UserID) {
	for i, k := range userKinds {
		w.its[i] = keysOf(txn, shardPrefix(k, shard))
		if after == (presence.UserID{}) {
			w.its[i].Rewind()
			continue
		}
		from := shardPrefix(k, shard)
		from = append(from, after.Tenant[:]...)
		from = append(from, after.MRI...)
		w.its[i].Seek(append(from, 1)) // behind the zero that ends the MRI in longer keys
	}
}

func (w *shardWalk) end() {
	for _, it := range w.its {
		it.Close()
	}
}

func (w *shardWalk) next() (bool, error) {
	var first []byte
	for _, it := range w.its {
		if !it.Valid() {
			continue
		}
		if len(it.Item().Key()) <= userKeyHead {
			return false, fmt.Errorf("%w: key %x", ErrCorrupt, it.Item().Key())
		}
		if owner := ownerIn(it.Item().Key()); first == nil || bytes.Compare(owner, first) < 0 {
			first = owner
		}
	}
	if first == nil {
		return false, nil
	}
	owner := append(w.user.owner[:0], first...)
	w.user = glimpse{owner: owner, hash: ownerHash(owner)}
	for i, it := range w.its {
		if err := w.glance(userKinds[i], it); err != nil {
			return false, err
		}
	}
	return true, nil
}

// glance adds the user's keys of one kind and goes past them.
func (w *shardWalk) glance(k kind, it *badger.Iterator) error {
	for ; it.Valid() && bytes.Equal(ownerIn(it.Item().Key()), w.user.owner); it.Next() {
		item := it.Item()
		err := open(item, func(payload []byte) error {
			g, err := skim(k, w.user.hash, payload, w.now)
			w.user.sum += g.sum
			w.user.size += len(payload)
			if g.spent && len(w.dead) < maxPruned {
				w.dead = append(w.dead, item.KeyCopy(nil))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
