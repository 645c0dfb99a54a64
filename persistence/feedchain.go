package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/persistence/merge"
	"rollcall/presence"
)

// A chain is what one process has committed in one shard, numbered without a
// gap. A process that starts begins new chains: it cannot know which of its
// last numbers other nodes have and its own disk has not. Every store has of
// every chain a part from some point on without a hole, so its ends say what
// another store is to send.
const (
	// chainsFor is how long the end of a chain that does not grow is remembered.
	chainsFor = 30 * 24 * time.Hour
	// chainSlack is how much earlier a chain is no longer added to or sent, so
	// that no other node has forgotten it already.
	chainSlack = 24 * time.Hour
	// kindFeedIndex is [shard][chain][number]: where the entry lies.
	kindFeedIndex kind = 'i'

	feedIndexKey  = 1 + 2 + 8 + 8
	feedIndexSize = feedIndexKey + sumSize + tenantSize + 8
)

// chainEnd is the newest entry that a store has of one chain.
type chainEnd struct {
	chain, seq uint64
	bare       bool // the entry is gone; its key in the index is kept as a mark
}

func indexKey(shard uint16, chain, seq uint64) []byte {
	key := make([]byte, 0, feedIndexKey)
	key = append(key, byte(kindFeedIndex))
	key = binary.BigEndian.AppendUint16(key, shard)
	key = binary.BigEndian.AppendUint64(key, chain)
	return binary.BigEndian.AppendUint64(key, seq)
}

func indexEntry(shard uint16, chain, seq uint64, t presence.TenantID, position uint64) *badger.Entry {
	key := indexKey(shard, chain, seq)
	value := make([]byte, sumSize, sumSize+tenantSize+8)
	value = append(value, t[:]...)
	value = binary.BigEndian.AppendUint64(value, position)
	return &badger.Entry{Key: key, Value: seal(key, value)}
}

// indexed reads one item of the index.
func indexed(item *badger.Item) (shard uint16, end chainEnd, t presence.TenantID, position uint64, err error) {
	key := item.Key()
	if len(key) != feedIndexKey || binary.BigEndian.Uint16(key[1:]) >= presence.Shards {
		return 0, end, t, 0, fmt.Errorf("%w: feed index %x", ErrCorrupt, key)
	}
	err = open(item, func(payload []byte) error {
		if len(payload) != tenantSize+8 {
			return fmt.Errorf("%w: feed index of %d bytes", ErrCorrupt, len(payload))
		}
		t = presence.TenantID(payload[:tenantSize])
		position = binary.BigEndian.Uint64(payload[tenantSize:])
		return nil
	})
	end = chainEnd{chain: binary.BigEndian.Uint64(key[3:]), seq: binary.BigEndian.Uint64(key[11:])}
	return binary.BigEndian.Uint16(key[1:]), end, t, position, err
}

// loadChains finds the last key of each chain: two seeks per shard and chain,
// however long the log is.
func (f *feeds) loadChains(txn *badger.Txn) error {
	oldest := position(f.now().Add(-chainsFor))
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	o.Reverse = true
	o.Prefix = []byte{byte(kindFeedIndex)}
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Seek([]byte{byte(kindFeedIndex) + 1}); it.Valid(); {
		shard, end, tenant, position, err := indexed(it.Item())
		if err != nil {
			return err
		}
		if end.seq >= oldest {
			log, ok := f.tenant[tenant]
			end.bare = !ok || position <= log.floor
			f.chains[shard] = append(f.chains[shard], end)
			f.roots[shard].Add(merge.Feed(end.chain, end.seq))
		}
		it.Seek(indexKey(shard, end.chain, 0))
	}
	return nil
}

// feedReader collects what another store lacks of a shard's feed.
type feedReader struct {
	txn     *badger.Txn
	node    uint64
	shard   uint16
	budget  int
	trimmed time.Time // what is gone came here before that
	entries []FeedEntry
}

// feedAfter gives the entries of a shard after those that another store has,
// each chain in order, and a marker where some are gone. known are this
// store's FeedEnds, from before txn began. At least one entry comes, whatever
// the budget of bytes; more tells that there are others.
func (s *Store) feedAfter(txn *badger.Txn, known []FeedEnd, shard uint16, ends []FeedEnd, budget int) (entries []FeedEntry, more bool, err error) {
	had := make(map[uint64]uint64, len(ends))
	for _, e := range ends {
		had[e.Origin] = e.Seq
	}
	oldest := position(s.cfg.Now().Add(chainSlack - chainsFor))
	s.feeds.mu.Lock()
	gone := max(s.feeds.trimmed, s.feeds.since)
	s.feeds.mu.Unlock()
	r := feedReader{txn: txn, node: s.feeds.node, shard: shard, budget: budget, trimmed: moment(gone)}
	for _, end := range known {
		if end.Seq <= had[end.Origin] || end.Seq < oldest {
			continue
		}
		if more, err = r.chain(end, had[end.Origin]); more || err != nil {
			return r.entries, more, err
		}
	}
	return r.entries, false, nil
}

func (r *feedReader) chain(end FeedEnd, had uint64) (more bool, err error) {
	it := keysOf(r.txn, indexKey(r.shard, end.Origin, 0)[:feedIndexKey-8])
	defer it.Close()
	for it.Seek(indexKey(r.shard, end.Origin, had+1)); it.Valid(); it.Next() {
		_, at, tenant, position, err := indexed(it.Item())
		if err != nil {
			return false, err
		}
		e, found, err := r.entry(tenant, position)
		if err != nil {
			return false, err
		}
		if !found {
			continue
		}
		if r.budget <= 0 && len(r.entries) > 0 {
			return true, nil
		}
		if e.Prev > had {
			r.mark(end.Origin, e.Prev)
		}
		r.entries, had = append(r.entries, e), at.seq
	}
	if had < end.Seq {
		r.mark(end.Origin, end.Seq)
	}
	return false, nil
}

func (r *feedReader) mark(chain, seq uint64) {
	r.entries = append(r.entries, FeedEntry{Origin: chain, Seq: seq, At: r.trimmed, Version: presence.Version(r.shard)})
}

// entry reads what an index entry points to; false if that is gone.
func (r *feedReader) entry(t presence.TenantID, position uint64) (e FeedEntry, found bool, err error) {
	if position == 0 {
		return e, false, nil
	}
	item, err := r.txn.Get(feedKey(t, r.node, position))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return e, false, nil
	}
	if err != nil {
		return e, false, fmt.Errorf("%w: read a feed entry: %w", ErrCorrupt, err)
	}
	r.budget -= int(item.EstimatedSize())
	err = open(item, func(payload []byte) (err error) {
		e, _, err = feedEntry(payload)
		return err
	})
	return e, err == nil, err
}

// Marker tells whether this is no change but says that the sender has nothing
// of a chain up to Seq any more. At is then when the last of it came there at
// the latest, and Version the shard.
func (e *FeedEntry) Marker() bool { return e.User == (presence.UserID{}) }
