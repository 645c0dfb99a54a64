package persistence

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/messages"
	"rollcall/presence"
)

// A feed entry's value is [checksum][unix ms 8][previous sequence 8][Change].
const (
	feedHead = sumSize + 8 + 8
	// seqSkip is left out at each start, so that a number that a crash took
	// back is never given to another change.
	seqSkip = 1 << 20
)

// Change is one visible change of a user's presence.
type Change struct {
	User    presence.UserID
	State   presence.State
	Version presence.Version
	At      time.Time // when it was committed, by this node's clock
	Token   Token     // the position just after it
}

// feed is the present extent of one tenant's feed. Entries lie in (floor,
// last]; each names its predecessor, the oldest one names floor.
type feed struct {
	floor, last uint64
	next        uint64        // the number that the next entry gets
	loaded      uint64        // last, as the store was opened
	bytes       int64         // about, on the disk
	moved       chan struct{} // closed when last rises; nil while nobody waits
}

// feeds holds every tenant's extent. The writer alone changes floor, last and
// next, after its commit; others look.
type feeds struct {
	origin uint64

	mu     sync.Mutex
	tenant map[presence.TenantID]*feed
	closed bool
}

func loadFeeds(s *Store) (*feeds, error) {
	f := &feeds{origin: s.id.Node, tenant: make(map[presence.TenantID]*feed)}
	err := s.db.View(func(txn *badger.Txn) error {
		return scan(txn, []byte{byte(kindMeta), byte(kindFeed)}, func(key, payload []byte) error {
			if len(key) != 2+tenantSize+8 || len(payload) != 16 {
				return fmt.Errorf("%w: feed extent %x", ErrCorrupt, key)
			}
			last := binary.BigEndian.Uint64(payload[8:])
			f.tenant[presence.TenantID(key[2:2+tenantSize])] = &feed{
				floor: binary.BigEndian.Uint64(payload), last: last, next: last + seqSkip, loaded: last,
			}
			return nil
		})
	})
	if err != nil {
		return nil, refuse(s.cfg.Dir, ErrDamaged, remedyReset, "%v", err)
	}
	return f, nil
}

// feedWrite is a change on its way; the writer numbers it.
type feedWrite struct {
	tenant presence.TenantID
	value  []byte // with feedHead bytes in front
}

func (s *Store) feedWrite(c *Commit) (*feedWrite, error) {
	m := messages.Change{User: messages.FromUser(c.User), State: messages.FromState(c.State), Version: uint64(c.Version)}
	value := make([]byte, feedHead+m.SizeVT())
	if len(value) > maxValue {
		return nil, fmt.Errorf("%w: change of %d bytes", ErrTooBig, len(value))
	}
	if _, err := m.MarshalToSizedBufferVT(value[feedHead:]); err != nil {
		return nil, fmt.Errorf("persistence: encode a change: %w", err)
	}
	binary.BigEndian.PutUint64(value[sumSize:], uint64(s.cfg.Now().UnixMilli()))
	return &feedWrite{tenant: c.User.Tenant, value: value}, nil
}

// feedTrim is the removal of a feed's oldest entries, up to one number.
type feedTrim struct {
	tenant presence.TenantID
	floor  uint64
	bytes  int64
}

// feedHeads are the extents as one batch will leave them.
type feedHeads struct {
	feeds   *feeds
	changed map[presence.TenantID]*feed
}

func (f *feeds) begin() *feedHeads {
	return &feedHeads{feeds: f}
}

func (h *feedHeads) of(t presence.TenantID) *feed {
	if head, ok := h.changed[t]; ok {
		return head
	}
	if h.changed == nil {
		h.changed = make(map[presence.TenantID]*feed)
	}
	head := &feed{next: 1}
	h.feeds.mu.Lock()
	if now, ok := h.feeds.tenant[t]; ok {
		*head = feed{floor: now.floor, last: now.last, next: now.next}
	}
	h.feeds.mu.Unlock()
	h.changed[t] = head
	return head
}

// append numbers a change and gives the entry to store.
func (h *feedHeads) append(w *feedWrite) *badger.Entry {
	head := h.of(w.tenant)
	binary.BigEndian.PutUint64(w.value[sumSize+8:], head.last)
	head.last = head.next
	head.next++
	key := feedKey(w.tenant, h.feeds.origin, head.last)
	head.bytes += int64(len(key) + len(w.value))
	return &badger.Entry{Key: key, Value: seal(key, w.value)}
}

func (h *feedHeads) trim(t *feedTrim) {
	head := h.of(t.tenant)
	head.floor = max(head.floor, t.floor)
	head.bytes -= t.bytes
}

// ends are the entries that keep the changed extents.
func (h *feedHeads) ends() []*badger.Entry {
	out := make([]*badger.Entry, 0, len(h.changed))
	for t, head := range h.changed {
		key := feedMetaKey(t, h.feeds.origin)
		value := make([]byte, sumSize, sumSize+16)
		value = binary.BigEndian.AppendUint64(value, head.floor)
		value = binary.BigEndian.AppendUint64(value, head.last)
		out = append(out, &badger.Entry{Key: key, Value: seal(key, value)})
	}
	return out
}

// publish shows the committed extents and wakes who waits for them.
func (h *feedHeads) publish() {
	h.feeds.mu.Lock()
	defer h.feeds.mu.Unlock()
	for t, head := range h.changed {
		now, ok := h.feeds.tenant[t]
		if !ok {
			now = &feed{}
			h.feeds.tenant[t] = now
		}
		now.bytes += head.bytes
		rose := head.last > now.last
		now.floor, now.last, now.next = head.floor, head.last, head.next
		if rose && now.moved != nil {
			close(now.moved)
			now.moved = nil
		}
	}
}

func (f *feeds) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, now := range f.tenant {
		if now.moved != nil {
			close(now.moved)
			now.moved = nil
		}
	}
}

// place checks a token against the tenant's extent and gives its end.
func (f *feeds) place(t presence.TenantID, after Token) (last uint64, err error) {
	floor, last := f.extent(t)
	switch {
	case after == (Token{}):
	case after.tenant != t:
		return 0, fmt.Errorf("%w: it belongs to another tenant", ErrToken)
	case after.origin != f.origin:
		return 0, fmt.Errorf("%w: it was given by another node", ErrResync)
	}
	if after.seq < floor || after.seq > last {
		return 0, ErrResync
	}
	return last, nil
}

// FeedEnd is the position after the newest change of a tenant.
func (s *Store) FeedEnd(t presence.TenantID) Token {
	_, last := s.feeds.extent(t)
	return Token{tenant: t, origin: s.feeds.origin, seq: last}
}

// FeedStart is the position before the oldest change that is still kept.
func (s *Store) FeedStart(t presence.TenantID) Token {
	floor, _ := s.feeds.extent(t)
	return Token{tenant: t, origin: s.feeds.origin, seq: floor}
}

func (f *feeds) extent(t presence.TenantID) (floor, last uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now, ok := f.tenant[t]; ok {
		return now.floor, now.last
	}
	return 0, 0
}

// FeedWait returns nil as soon as something newer than after is committed, and
// ErrResync or ErrToken where Changes would. It holds up no writer.
func (s *Store) FeedWait(ctx context.Context, t presence.TenantID, after Token) error {
	for {
		last, err := s.feeds.place(t, after)
		if err != nil {
			return err
		}
		if last > after.seq {
			return nil
		}
		moved, err := s.feeds.wait(t, last)
		if err != nil {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wait gives the channel that closes when the tenant's feed passes last.
func (f *feeds) wait(t presence.TenantID, last uint64) (<-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	now, ok := f.tenant[t]
	if !ok {
		now = &feed{next: 1}
		f.tenant[t] = now
	}
	if now.moved == nil {
		now.moved = make(chan struct{})
	}
	if now.last > last {
		passed := make(chan struct{})
		close(passed)
		return passed, nil
	}
	return now.moved, nil
}
