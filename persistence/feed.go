package persistence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/presence"
)

// seqSkip is left out at each start, so that a position that a crash took back
// is never given to another change.
const seqSkip = 1 << 20

// Change is one visible change of a user's presence.
type Change struct {
	User    presence.UserID
	State   presence.State
	Version presence.Version
	At      time.Time // when it was committed, by its origin's clock
	Token   Token     // the position just after it
}

// feed is the present extent of one tenant's log. Entries lie in (floor,
// last]; each names its predecessor, the oldest one names floor.
type feed struct {
	floor, last uint64
	loaded      uint64        // last, as the store was opened
	bytes       int64         // about, on the disk
	moved       chan struct{} // closed when last rises; nil while nobody waits
}

// feeds is what is known of the feed in memory. The writer alone changes it,
// after its commit, but for moved, peers and numbers; others look.
type feeds struct {
	node   uint64 // of this store
	own    uint64 // chain of the changes that this process commits
	adopts uint64 // chain of the changes that it numbers for others
	now    func() time.Time

	numbers [presence.Shards]uint64 // the newest of the own chain; under the writer's lock
	roots   [presence.Shards]atomic.Uint64
	next    uint64 // position; the writer's own

	mu      sync.Mutex
	tenant  map[presence.TenantID]*feed
	chains  [presence.Shards][]chainEnd
	mark    uint64 // every position up to it is on the disk, or never will be
	born    uint64 // where the log of this store begins
	since   uint64 // tokens from before it are void: something may be missing there
	trimmed uint64 // the highest floor
	peers   map[uint64][]peerMark
	closed  bool
}

func newFeeds(s *Store) *feeds {
	f := &feeds{
		node: s.id.Node, now: s.cfg.Now,
		tenant: make(map[presence.TenantID]*feed), peers: make(map[uint64][]peerMark),
	}
	for f.own == 0 || f.adopts == 0 || f.own == f.adopts {
		f.own, f.adopts = rand.Uint64(), rand.Uint64()
	}
	return f
}

// position is the lowest position and chain number of a moment. Both rise with
// the clock, so that those of two nodes, and of two lives of one, compare.
func position(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) << 20 }

// moment is about the time of a position.
func moment(position uint64) time.Time { return time.UnixMilli(int64(position >> 20)) }

// extent is where one tenant's log begins and ends at one moment.
type extent struct {
	floor, last, since, mark uint64
	whole                    bool // nothing was ever removed
}

func (x extent) start() uint64 { return max(x.floor, x.since) }
func (x extent) end() uint64   { return max(x.last, x.since) }

func (f *feeds) extent(t presence.TenantID) extent {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := extent{since: f.since, mark: f.mark}
	if now, ok := f.tenant[t]; ok {
		x.floor, x.last = now.floor, now.last
	}
	x.whole = x.floor == 0 && x.since == f.born
	return x
}

// spot is where a reader with some token goes on.
type spot struct {
	extent
	at    uint64
	loose bool // at need not be the position of an entry
}

// place finds a token's place in the log of this node. What was seen of it may
// have been told by another node.
func (f *feeds) place(t presence.TenantID, after Token) (spot, error) {
	p := spot{extent: f.extent(t)}
	var known bool
	switch {
	case after == (Token{}):
		p.at, p.loose, known = p.since, true, p.whole
	case after.tenant != t:
		return p, fmt.Errorf("%w: it belongs to another tenant", ErrToken)
	case after.node == f.node:
		p.at = after.seq
		p.loose = p.at == p.since
		known = p.at <= p.last || p.loose
	default:
		p.at, known = after.seen(f.node)
		p.loose = true
	}
	if !known || p.at < p.start() || p.at > p.mark {
		return p, ErrResync
	}
	return p, nil
}

// FeedEnd is the position after the newest change of a tenant.
func (s *Store) FeedEnd(t presence.TenantID) Token {
	x := s.feeds.extent(t)
	return Token{tenant: t, node: s.feeds.node, seq: x.end(), marks: s.feeds.marks(Token{}, x.mark)}
}

// FeedStart is the position before the oldest change that is still kept.
func (s *Store) FeedStart(t presence.TenantID) Token {
	x := s.feeds.extent(t)
	return Token{tenant: t, node: s.feeds.node, seq: x.start(), marks: s.feeds.marks(Token{}, x.start())}
}

// FeedWait returns nil as soon as Changes has something to say about after, and
// ErrResync or ErrToken at once where that is known without reading. It holds
// up no writer.
func (s *Store) FeedWait(ctx context.Context, t presence.TenantID, after Token) error {
	for {
		p, err := s.feeds.place(t, after)
		if err != nil {
			return err
		}
		if p.last > p.at {
			return nil
		}
		moved, err := s.feeds.wait(t, p.extent)
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

// wait gives the channel that closes when the tenant's log has more than x, or
// x is void.
func (f *feeds) wait(t presence.TenantID, x extent) (<-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	now, ok := f.tenant[t]
	if !ok {
		now = &feed{}
		f.tenant[t] = now
	}
	if now.last > x.last || f.since != x.since {
		passed := make(chan struct{})
		close(passed)
		return passed, nil
	}
	if now.moved == nil {
		now.moved = make(chan struct{})
	}
	return now.moved, nil
}

func (f *feeds) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.wake()
}

// wake ends every wait; mu is held.
func (f *feeds) wake() {
	for _, now := range f.tenant {
		now.wake()
	}
}

func (d *feed) wake() {
	if d.moved != nil {
		close(d.moved)
		d.moved = nil
	}
}

// root is the feed's part of a shard's digest.
func (f *feeds) root(shard uint16) uint64 { return f.roots[shard].Load() }

// FeedMark is a position in this node's own log: every change at or below it
// is on the disk, and in the roots that are asked for afterwards.
func (s *Store) FeedMark() uint64 {
	s.feeds.mu.Lock()
	defer s.feeds.mu.Unlock()
	return s.feeds.mark
}

// FeedEnds tells up to where this store has the chains of a shard.
func (s *Store) FeedEnds(shard uint16) []FeedEnd {
	if shard >= presence.Shards {
		return nil
	}
	s.feeds.mu.Lock()
	defer s.feeds.mu.Unlock()
	ends := make([]FeedEnd, 0, len(s.feeds.chains[shard]))
	for _, c := range s.feeds.chains[shard] {
		ends = append(ends, FeedEnd{Origin: c.chain, Seq: c.seq})
	}
	return ends
}
