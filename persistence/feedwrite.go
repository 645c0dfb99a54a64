package persistence

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rollcall/messages"
	"rollcall/persistence/merge"
	"rollcall/presence"
)

const (
	// feedHead is what stands before the Change in an entry's value: [checksum]
	// [unix ms 8][position before it 8][chain 8][number 8][number before it 8].
	feedHead = sumSize + 5*8
	// clockMargin is how far two clocks may differ when times of nodes compare.
	clockMargin = 10 * time.Second
)

// feedWrite is an entry on its way; the writer gives it a position.
type feedWrite struct {
	entry *FeedEntry
	value []byte // with feedHead bytes in front; nil for a marker
}

// feedWrite encodes an entry. The writer looks at e again; own ones are
// numbered when they are queued.
func (s *Store) feedWrite(e *FeedEntry) (*feedWrite, error) {
	if e.Marker() {
		return &feedWrite{entry: e}, nil
	}
	m := messages.Change{User: messages.FromUser(e.User), State: messages.FromState(e.State), Version: uint64(e.Version)}
	value := make([]byte, feedHead+m.SizeVT())
	if len(value) > maxValue {
		return nil, fmt.Errorf("%w: change of %d bytes", ErrTooBig, len(value))
	}
	if _, err := m.MarshalToSizedBufferVT(value[feedHead:]); err != nil {
		return nil, fmt.Errorf("persistence: encode a change: %w", err)
	}
	return &feedWrite{entry: e, value: value}, nil
}

func (w *feedWrite) bytes() int { return feedKeySize + len(w.value) + feedIndexSize }

// number gives an own change its number, in the order of the writer's queue,
// whose lock is held.
func (f *feeds) number(w *feedWrite) {
	shard := w.entry.User.Shard()
	now := f.now()
	w.entry.Origin = f.own
	w.entry.Seq, w.entry.Prev = number(f.numbers[shard], now)
	f.numbers[shard] = w.entry.Seq
	if w.entry.At.IsZero() {
		w.entry.At = now
	}
}

// number is what follows last in a chain. A chain whose end may be forgotten
// begins anew.
func number(last uint64, now time.Time) (seq, prev uint64) {
	if last >= position(now.Add(chainSlack-chainsFor)) {
		prev = last
	}
	return max(last+1, position(now)), prev
}

// chainKey names one chain.
type chainKey struct {
	shard uint16
	chain uint64
}

// feedHeads is the feed as one batch will leave it.
type feedHeads struct {
	feeds   *feeds
	next    uint64 // position
	since   uint64
	trimmed uint64
	logs    map[presence.TenantID]*feed
	ends    map[chainKey]chainEnd // with number 0: forgotten
}

func (f *feeds) begin() *feedHeads {
	return &feedHeads{feeds: f, next: f.next, since: f.since, trimmed: f.trimmed}
}

func (h *feedHeads) log(t presence.TenantID) *feed {
	if log, ok := h.logs[t]; ok {
		return log
	}
	if h.logs == nil {
		h.logs = make(map[presence.TenantID]*feed)
	}
	log := &feed{}
	h.feeds.mu.Lock()
	if now, ok := h.feeds.tenant[t]; ok {
		log.floor, log.last = now.floor, now.last
	}
	h.feeds.mu.Unlock()
	h.logs[t] = log
	return log
}

func (h *feedHeads) end(k chainKey) chainEnd {
	if end, ok := h.ends[k]; ok {
		return end
	}
	for _, end := range h.feeds.chains[k.shard] { // only this goroutine changes them
		if end.chain == k.chain {
			return end
		}
	}
	return chainEnd{chain: k.chain}
}

// setEnd moves the end of a chain, and takes away the mark of the one before.
func (h *feedHeads) setEnd(txn *badger.Txn, k chainKey, end chainEnd) error {
	before := h.end(k)
	if h.ends == nil {
		h.ends = make(map[chainKey]chainEnd)
	}
	h.ends[k] = end
	if before.bare && before.seq != end.seq {
		return txn.Delete(indexKey(k.shard, before.chain, before.seq))
	}
	return nil
}

// take gives the next position.
func (h *feedHeads) take() uint64 {
	at := max(h.next, position(h.feeds.now()))
	h.next = at + 1
	return at
}

// own stores a change of this node that number has numbered.
func (h *feedHeads) own(txn *badger.Txn, w *feedWrite) error {
	return h.put(txn, w, *w.entry)
}

// absorb stores an entry of another node if it is the next of its chain; if
// there is a gap before it, it is kept aside. One without a number is
// numbered here, unless stored says that its version is known. A marker closes
// a gap that cannot be filled.
func (h *feedHeads) absorb(txn *badger.Txn, w *feedWrite, stored presence.Version) error {
	e := *w.entry
	switch {
	case w.value == nil:
		return h.jump(txn, &e)
	case e.Seq == 0:
		if e.Version == stored {
			return nil
		}
		e = h.adopt(e)
	}
	end := h.end(chainKey{e.User.Shard(), e.Origin})
	switch {
	case e.Origin == 0 || e.Seq <= end.seq || h.forgotten(e.Seq):
		return nil
	case e.Prev > end.seq:
		return h.keep(txn, w, e)
	}
	return h.put(txn, w, e)
}

func (h *feedHeads) forgotten(seq uint64) bool {
	return seq < position(h.feeds.now().Add(-chainsFor))
}

// put stores an entry at the next position of its tenant's log.
func (h *feedHeads) put(txn *badger.Txn, w *feedWrite, e FeedEntry) error {
	log, at, k := h.log(e.User.Tenant), h.take(), chainKey{e.User.Shard(), e.Origin}
	w.head(&e, log.last)
	key := feedKey(e.User.Tenant, h.feeds.node, at)
	if err := txn.SetEntry(&badger.Entry{Key: key, Value: seal(key, w.value)}); err != nil {
		return err
	}
	if err := txn.SetEntry(indexEntry(k.shard, e.Origin, e.Seq, e.User.Tenant, at)); err != nil {
		return err
	}
	log.last = at
	log.bytes += int64(w.bytes())
	return h.setEnd(txn, k, chainEnd{chain: e.Origin, seq: e.Seq})
}

// jump notes that a part of a chain can be had no more. If it may have come
// after the readers of this log began, they have to read the state anew.
func (h *feedHeads) jump(txn *badger.Txn, e *FeedEntry) error {
	k := chainKey{uint16(e.Version), e.Origin}
	if e.Version >= presence.Shards || e.Origin == 0 || e.Seq <= h.end(k).seq || h.forgotten(e.Seq) {
		return nil
	}
	if position(e.At.Add(clockMargin)) >= h.since {
		h.since = h.take()
	}
	if err := h.setEnd(txn, k, chainEnd{chain: e.Origin, seq: e.Seq, bare: true}); err != nil {
		return err
	}
	return txn.SetEntry(indexEntry(k.shard, e.Origin, e.Seq, presence.TenantID{}, 0))
}

// finish stores the changed extents; it is called once, at the batch's end.
func (h *feedHeads) finish(txn *badger.Txn) error {
	for t, log := range h.logs {
		if err := txn.SetEntry(numbersEntry(feedMetaKey(t, h.feeds.node), log.floor, log.last)); err != nil {
			return err
		}
	}
	if h.since == h.feeds.since {
		return nil
	}
	return txn.SetEntry(numbersEntry(sinceKey(), h.feeds.born, h.since))
}

func sinceKey() []byte { return []byte{byte(kindMeta), 's'} }

// numbersEntry is a value of two numbers.
func numbersEntry(key []byte, a, b uint64) *badger.Entry {
	value := make([]byte, sumSize, sumSize+16)
	value = binary.BigEndian.AppendUint64(value, a)
	value = binary.BigEndian.AppendUint64(value, b)
	return &badger.Entry{Key: key, Value: seal(key, value)}
}

// publish shows what was committed and wakes who waits for it.
func (h *feedHeads) publish() {
	f := h.feeds
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next, f.trimmed = h.next, h.trimmed
	for t, log := range h.logs {
		now, ok := f.tenant[t]
		if !ok {
			now = &feed{}
			f.tenant[t] = now
		}
		now.bytes += log.bytes
		rose := log.last > now.last
		now.floor, now.last = log.floor, log.last
		f.mark = max(f.mark, log.last)
		if rose {
			now.wake()
		}
	}
	for k, end := range h.ends {
		f.publishEnd(k.shard, end)
	}
	if f.since != h.since {
		f.since = h.since
		f.mark = max(f.mark, h.since)
		f.wake()
	}
}

// publishEnd replaces the end of a chain; mu is held.
func (f *feeds) publishEnd(shard uint16, end chainEnd) {
	chains := f.chains[shard]
	at := 0
	for at < len(chains) && chains[at].chain != end.chain {
		at++
	}
	root := f.roots[shard].Load()
	if at < len(chains) {
		root -= merge.Feed(chains[at].chain, chains[at].seq)
	}
	switch {
	case end.seq != 0 && at == len(chains):
		f.chains[shard] = append(chains, end)
	case end.seq != 0:
		chains[at] = end
	case at < len(chains):
		chains[at] = chains[len(chains)-1]
		f.chains[shard] = chains[:len(chains)-1]
	}
	if end.seq != 0 {
		root += merge.Feed(end.chain, end.seq)
	}
	f.roots[shard].Store(root)
}
