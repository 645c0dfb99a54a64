package persistence

import (
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/messages"
	"rollcall/persistence/merge"
	"rollcall/presence"
)

// metaWake marks a presence value whose user changes by itself, so that
// Wakeups passes over the rest without reading them.
const metaWake byte = 1

// change is a Commit on its way to the writer, which merges it into what is
// stored. Blocks and lists lie under keys of their own.
type change struct {
	user     presence.UserID
	hash     uint64
	merge    merge.Change
	touches  bool // the presence value, too
	blocks   bool
	apart    []apart
	feed     *feedWrite
	prepared *merged
	was      presence.Version // of the state before the merge
	changed  bool             // the answer: something newer was brought
}

// apart is a block or a list, encoded by the caller.
type apart struct {
	key     []byte
	value   []byte // sealed
	element presence.Element
}

func (s *Store) newChange(c *Commit, own bool) (*change, error) {
	if err := checkUser(c.User); err != nil {
		return nil, err
	}
	op := &change{user: c.User, hash: c.User.Hash()}
	op.merge = merge.Change{State: c.State, Version: c.Version, Wake: c.Wake, Own: own}
	op.touches = c.Version != 0 || !c.Wake.IsZero()
	if err := op.place(c.Elements); err != nil {
		return nil, err
	}
	s.prepare(op)
	if c.Feed == nil {
		return op, nil
	}
	c.Feed.User, c.Feed.State, c.Feed.Version = c.User, c.State, c.Version
	var err error
	op.feed, err = s.feedWrite(c.Feed)
	return op, err
}

// place parts the elements that lie in the presence value from the others.
func (c *change) place(all []presence.Element) error {
	c.merge.Elements = all
	for i, e := range all {
		k, part, err := locate(e.Key)
		if err != nil {
			return err
		}
		if k == kindPresence {
			c.touches = true
			if c.apart != nil {
				c.merge.Elements = append(c.merge.Elements, e)
			}
			continue
		}
		if c.apart == nil {
			c.merge.Elements = append([]presence.Element(nil), all[:i]...)
		}
		if err := c.setApart(k, part, e); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) setApart(k kind, part string, e presence.Element) error {
	payload, err := messages.EncodeElement(e)
	if err != nil {
		return fmt.Errorf("persistence: encode %s: %w", e.Key, err)
	}
	value, err := box(payload)
	if err != nil {
		return err
	}
	key := userKey(k, c.user, part)
	c.apart = append(c.apart, apart{key: key, value: seal(key, value), element: e})
	if k == kindBlock {
		c.touches, c.blocks = true, true
	}
	return nil
}

// checkUser refuses what would not be one user in a key.
func checkUser(u presence.UserID) error {
	if mri, err := presence.ParseMRI(u.MRI); err != nil || mri != u.MRI || u.Tenant == (presence.TenantID{}) {
		return fmt.Errorf("persistence: %q is no user: %w", u.MRI, presence.ErrBadID)
	}
	return nil
}

// locate says where an element lies: its kind of key, and the last part of it.
func locate(key presence.Key) (kind, string, error) {
	name, id := key.Split()
	switch name {
	case presence.KindPreferred, presence.KindNote, presence.KindCalendar:
		if id == "" {
			return kindPresence, "", nil
		}
	case presence.KindSession, presence.KindCall, presence.KindLocation:
		if id != "" && len(key) <= maxElementKey {
			return kindPresence, "", nil
		}
	case presence.KindBlock:
		if id != "" && len(key) <= maxElementKey {
			return kindBlock, string(key), nil
		}
	case presence.KindWatch:
		if id != "" && len(key) <= maxElementKey {
			return kindWatch, id, nil
		}
	}
	return 0, "", fmt.Errorf("persistence: %.40q is not the key of an element: %w", key, presence.ErrValue)
}

// weight is about how many bytes the change writes beside what is stored.
func (c *change) weight() int {
	n := 2 * len(c.user.MRI)
	if c.touches {
		n += 200 + 100*len(c.merge.Elements)
	}
	for i := range c.apart {
		n += len(c.apart[i].key) + len(c.apart[i].value)
	}
	if c.feed != nil {
		n += c.feed.bytes()
	}
	return n
}

// apply merges the change into the batch's transaction.
func (c *change) apply(b *batch) error {
	c.changed = false
	value, err := c.mergePresence(b)
	if err != nil {
		return err
	}
	if value != nil {
		c.was, c.changed = value.was, value.changed
		if value.entry != nil {
			if err := b.put(value.entry, value.by); err != nil {
				return err
			}
		}
	}
	if c.feed != nil {
		b.size += c.feed.bytes()
	}
	for i := range c.apart {
		if err := c.apart[i].apply(b, c); err != nil {
			return err
		}
	}
	switch {
	case c.feed == nil:
		return nil
	case c.merge.Own:
		return b.heads.own(b.txn, c.feed)
	}
	return b.heads.absorb(b.txn, c.feed, c.was)
}

// merged is what a change makes of a presence value.
type merged struct {
	base    []byte        // the value that it was merged into
	entry   *badger.Entry // the new one; nil: it stays as it is
	by      uint64        // what the digest changes by
	was     presence.Version
	changed bool
}

// prepare merges in the caller's goroutine if the stored value is at hand, so
// that the writer has less to do if nothing comes in between. Where it fails
// the writer finds out why.
func (s *Store) prepare(c *change) {
	if !c.touches {
		return
	}
	key := userKey(kindPresence, c.user, "")
	base := s.writer.recent.get(c.hash)
	payload, err := unseal(key, base)
	if err != nil {
		return // not at hand
	}
	user, err := readStored(key, payload)
	if err != nil {
		return
	}
	if m, err := c.mergeInto(user, key, s.cfg.Now()); err == nil {
		m.base = base
		c.prepared = &m
	}
}

// mergePresence gives the new presence value; nil when there is nothing to do.
func (c *change) mergePresence(b *batch) (*merged, error) {
	if !c.touches {
		return nil, nil
	}
	if p := c.prepared; p != nil && &p.base[0] == first(b.store.writer.recent.get(c.hash)) {
		return p, nil
	}
	key := userKey(kindPresence, c.user, "")
	user, err := b.stored(key)
	if err != nil {
		return nil, err
	}
	m, err := c.mergeInto(user, key, b.now)
	return &m, err
}

func first(value []byte) *byte {
	if len(value) == 0 {
		return nil
	}
	return &value[0]
}

func (c *change) mergeInto(user storedUser, key []byte, now time.Time) (m merged, err error) {
	was := user.User
	before, elements := was.Digest(c.hash), len(was.Record.Elements())
	m.was = was.Version
	m.changed = user.Merge(c.merge, now)
	m.by = user.Digest(c.hash) - before
	same := !m.changed && elements == len(user.Record.Elements()) && (user.blocks || !c.blocks) &&
		user.State == was.State && user.Version == was.Version && user.Wake.Equal(was.Wake)
	if same {
		return m, nil
	}
	user.blocks = user.blocks || c.blocks
	if m.entry, err = user.entry(key); err != nil {
		return m, fmt.Errorf("persistence: %s: %w", c.user, err)
	}
	return m, nil
}

// storedUser is the content of a presence value.
type storedUser struct {
	merge.User
	blocks bool
}

// stored reads a presence value; one that is not there is empty.
func (b *batch) stored(key []byte) (u storedUser, err error) {
	value := b.store.writer.recent.get(ownerHash(ownerIn(key)))
	if payload, err := unseal(key, value); err == nil { // else it is not there, or of another user
		return readStored(key, payload)
	}
	err = b.get(key, func(payload []byte) (err error) {
		u, err = readStored(key, payload)
		return err
	})
	return u, err
}

func readStored(key, payload []byte) (storedUser, error) {
	m, err := messages.DecodeStored(payload)
	if err != nil {
		return storedUser{}, fmt.Errorf("%w: presence %x: %w", ErrCorrupt, key, err)
	}
	return storedUser{merge.User{Record: m.Record, State: m.State, Version: m.Version, Wake: m.Wake}, m.Blocks}, nil
}

func (u *storedUser) entry(key []byte) (*badger.Entry, error) {
	payload, err := messages.EncodeStored(&messages.StoredUser{
		Record: u.Record, State: u.State, Version: u.Version, Wake: u.Wake, Blocks: u.blocks,
	})
	if err != nil {
		return nil, err
	}
	value, err := box(payload)
	if err != nil {
		return nil, err
	}
	e := &badger.Entry{Key: key, Value: seal(key, value)}
	if !u.Wake.IsZero() {
		e.UserMeta = metaWake
	}
	return e, nil
}

// apply takes a block or a list if it is newer than the stored one.
func (a *apart) apply(b *batch, c *change) error {
	var (
		found bool
		newer = true
		old   presence.Stamp
	)
	err := b.get(a.key, func(payload []byte) error {
		found = true
		h, err := headOf(payload)
		if err != nil {
			return err
		}
		old = h.stamp
		if order := a.element.Stamp.Compare(old); order != 0 {
			newer = order > 0
			return nil
		}
		newer, err = a.beats(payload)
		return err
	})
	spent := merge.Spent(a.element, b.now)
	if err != nil || !newer || spent && !found {
		return err
	}
	c.changed = true
	var by uint64
	if found {
		by -= merge.Term(c.hash, a.element.Key, old)
	}
	if spent {
		return b.remove(a.key, by)
	}
	return b.put(&badger.Entry{Key: a.key, Value: a.value}, by+merge.Term(c.hash, a.element.Key, a.element.Stamp))
}

// beats decides between two elements of one stamp.
func (a *apart) beats(payload []byte) (bool, error) {
	old, err := element(payload)
	if err != nil {
		return false, err
	}
	var r presence.Record
	r.Merge(old)
	return r.Merge(a.element), nil
}
