package persistence

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"rollcall/messages"
	"rollcall/presence"
)

// walked is all that one transaction shows of a user. It is valid until the next
// user is shown.
type walked struct {
	user   presence.UserID
	shard  uint16              // by the key
	stored messages.StoredUser // without what lies beside
	found  bool                // of stored
	beside []presence.Element  // blocks and lists, cleared and expired ones too
}

// copy is the user as other nodes are given it.
func (w *walked) copy() Commit {
	c := Commit{User: w.user, State: w.stored.State, Version: w.stored.Version, Wake: w.stored.Wake}
	c.Elements = append(c.Elements, w.stored.Record.Elements()...)
	c.Elements = append(c.Elements, w.beside...)
	return c
}

// walker goes through all keys of users side by side: in every kind they are in
// the same order.
type walker struct {
	its  [len(userKinds)]*badger.Iterator
	next [len(userKinds)][]byte // the user in the key, nil at the end
}

// walk shows every user of the transaction, of one shard where prefix names it,
// by rising shard and tenant.
func walk(ctx context.Context, txn *badger.Txn, each func(*walked) error) error {
	return walkKeys(ctx, txn, nil, each)
}

// walkShard shows every user of one shard.
func walkShard(ctx context.Context, txn *badger.Txn, shard uint16, each func(*walked) error) error {
	return walkKeys(ctx, txn, binary.BigEndian.AppendUint16(nil, shard), each)
}

func walkKeys(ctx context.Context, txn *badger.Txn, shard []byte, each func(*walked) error) error {
	var w walker
	for i, k := range userKinds {
		w.its[i] = keysOf(txn, append([]byte{byte(k)}, shard...))
		defer w.its[i].Close()
		w.its[i].Rewind()
		if err := w.look(i); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		id := w.least()
		if id == nil {
			return nil
		}
		one, err := w.take(id)
		if err == nil {
			err = each(one)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// look reads the user out of the key that an iterator stands at.
func (w *walker) look(i int) error {
	it := w.its[i]
	if !it.Valid() {
		w.next[i] = nil
		return nil
	}
	key := it.Item().Key()
	if len(key) <= userKeyHead || binary.BigEndian.Uint16(key[1:]) >= presence.Shards {
		return fmt.Errorf("%w: key %x", ErrCorrupt, key)
	}
	id := key[1:]
	if n := bytes.IndexByte(id[userKeyHead-1:], 0); n >= 0 {
		id = id[:userKeyHead-1+n]
	}
	w.next[i] = append(w.next[i][:0], id...)
	return nil
}

func (w *walker) least() []byte {
	var id []byte
	for _, n := range w.next {
		if n != nil && (id == nil || bytes.Compare(n, id) < 0) {
			id = n
		}
	}
	return bytes.Clone(id)
}

// take reads everything of one user.
func (w *walker) take(id []byte) (*walked, error) {
	one := &walked{shard: binary.BigEndian.Uint16(id)}
	copy(one.user.Tenant[:], id[2:])
	one.user.MRI = string(id[userKeyHead-1:])
	for i, k := range userKinds {
		for bytes.Equal(w.next[i], id) {
			if err := open(w.its[i].Item(), func(payload []byte) error { return one.read(k, payload) }); err != nil {
				return nil, err
			}
			w.its[i].Next()
			if err := w.look(i); err != nil {
				return nil, err
			}
		}
	}
	return one, nil
}

func (w *walked) read(k kind, payload []byte) error {
	if k != kindPresence {
		e, err := element(payload)
		w.beside = append(w.beside, e)
		return err
	}
	u, err := messages.DecodeStored(payload)
	if err != nil {
		return fmt.Errorf("%w: presence of %s: %w", ErrCorrupt, w.user, err)
	}
	w.stored, w.found = *u, true
	return nil
}
