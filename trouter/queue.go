package trouter

import (
	"errors"
	"fmt"
	"time"
)

// ErrAck is returned for an acknowledgement of a batch that was never sent. The
// client is broken or speaks of another session; its socket should be closed.
var ErrAck = errors.New("trouter: acknowledgement of a batch that was never sent")

// Item is the state of one publisher, as it is going to be sent.
type Item[V any] struct {
	Publisher uint32 // the owner's number for the publisher, the key of coalescing
	at        uint32 // arrival, in ticks after Queue.base; fills what would be padding
	Version   uint64
	Size      int // encoded bytes; below 1 counts as 1
	Value     V   // what is rendered; shared, never changed
}

// Batch is a set of items under one number. Items is shared with the queue and
// must not be written to.
type Batch[V any] struct {
	Seq   uint64 // rises by one from batch to batch of a session, from 1
	Items []Item[V]
	Sent  int // times handed out, this one included

	sentAt   time.Duration // last hand-out, after Queue.base
	since    time.Duration // arrival of its oldest item
	progress time.Duration // of the oldest batch: since when no acknowledgement came
	bytes    int32
	tries    uint8 // sends on the present socket
}

// Outcome says what Put did.
type Outcome uint8

// The outcomes of Put.
const (
	Queued   Outcome = iota // first pending item of its publisher
	Replaced                // took the place, and the turn, of an older pending item
	Stale                   // not newer than the pending item: nothing changed
	Overflow                // no room, or a resync is awaited: nothing is pending any more
)

// Loss says what Expire found.
type Loss uint8

// The findings of Expire.
const (
	None    Loss = iota
	Stalled      // batches go out but nothing is acknowledged: close the socket and Detach
	Resync       // an item was older than the TTL: all was dropped, NeedsResync is set
)

// Queue is what one endpoint has not acknowledged. The zero value is an empty
// queue with a socket. At most one item per publisher is pending, and all items
// together stay within Limits.QueueBytes. An empty queue refers to no memory
// but its own.
type Queue[V any] struct {
	base     time.Time  // times below count from here; zero when empty
	pending  []Item[V]  // oldest first arrival first
	flight   []Batch[V] // oldest first, at most Window
	index    *index     // of pending, or nil
	seq      uint64
	bytes    int32 // pending and in flight
	lastLen  uint8 // items of the last batch: a first guess for the next
	detached bool
	resync   bool
}

// Put adds an item. It leaves in-flight batches alone: a newer version of an
// item in flight waits for the next batch. Overflow drops what is pending (not
// what is in flight), sets NeedsResync and refuses all items until Resynced.
func (q *Queue[V]) Put(it Item[V], now time.Time, lim *Limits) Outcome {
	if q.resync {
		return Overflow
	}
	it.Size = max(it.Size, 1)
	at := q.find(it.Publisher)
	if at >= 0 {
		return q.replace(at, it, lim)
	}
	if !q.Fits(it.Size, lim) {
		return q.overflow()
	}
	it.at = ticks(q.elapsed(now))
	if q.pending == nil {
		q.pending = make([]Item[V], 0, q.lastLen)
	}
	q.pending = append(q.pending, it)
	q.bytes += int32(it.Size)
	if q.index != nil {
		q.index = q.index.add(len(q.pending)-1, it.Publisher, q.publisher)
	}
	return Queued
}

func (q *Queue[V]) replace(at int, it Item[V], lim *Limits) Outcome {
	old := &q.pending[at]
	if it.Version <= old.Version {
		return Stale
	}
	if it.Size-old.Size > lim.QueueBytes-int(q.bytes) {
		return q.overflow()
	}
	q.bytes += int32(it.Size - old.Size)
	it.at = old.at
	*old = it
	return Replaced
}

// Next makes a batch of the oldest pending items, if there are any, the window
// is open and there is a socket. Its first send is on the caller.
func (q *Queue[V]) Next(now time.Time, lim *Limits) (Batch[V], bool) {
	if len(q.pending) == 0 || len(q.flight) >= lim.Window || q.detached {
		return Batch[V]{}, false
	}
	t := q.elapsed(now)
	n, bytes := q.cut(lim)
	q.seq++
	b := Batch[V]{
		Seq: q.seq, Items: q.pending[:n:n], Sent: 1,
		sentAt: t, since: sinceTicks(q.pending[0].at), progress: t,
		bytes: int32(bytes), tries: 1,
	}
	// The rest moves to memory of its own: an acknowledged batch must not stay
	// alive because of items that came after it.
	q.pending = append([]Item[V](nil), q.pending[n:]...)
	q.index = nil
	q.lastLen = uint8(min(n, maxFirstCap))
	q.flight = append(q.flight, b)
	return b, true
}

// maxFirstCap bounds the room reserved in advance for pending items.
const maxFirstCap = 32

// cut is the number of pending items, and their bytes, that form the next batch.
func (q *Queue[V]) cut(lim *Limits) (n, bytes int) {
	for n < len(q.pending) && n < lim.BatchItems {
		size := q.pending[n].Size
		if n > 0 && bytes+size > lim.BatchBytes {
			break
		}
		bytes += size
		n++
	}
	return n, bytes
}

// Ack takes a cumulative acknowledgement: every batch up to seq has arrived. It
// returns the batches this one settles, oldest first; a repeated or older
// acknowledgement settles none. ErrAck leaves the queue as it was.
func (q *Queue[V]) Ack(seq uint64, now time.Time) ([]Batch[V], error) {
	if seq > q.seq {
		return nil, fmt.Errorf("%w: %d, last sent %d", ErrAck, seq, q.seq)
	}
	n := 0
	for n < len(q.flight) && q.flight[n].Seq <= seq {
		q.bytes -= q.flight[n].bytes
		n++
	}
	if n == 0 {
		return nil, nil
	}
	acked := q.flight[:n:n]
	q.flight = q.flight[n:]
	if len(q.flight) > 0 {
		q.flight[0].progress = q.elapsed(now)
	}
	q.rest()
	return acked, nil
}

// Drop removes the pending item of a publisher that is watched no longer. An
// item in flight still arrives.
func (q *Queue[V]) Drop(publisher uint32) {
	i := q.scan(publisher)
	if i < 0 {
		return
	}
	q.bytes -= int32(q.pending[i].Size)
	copy(q.pending[i:], q.pending[i+1:])
	last := len(q.pending) - 1
	q.pending[last] = Item[V]{}
	q.pending = q.pending[:last]
	q.index = nil
	q.rest()
}

// Fits reports whether an item of a publisher that is not pending would be
// queued. An owner that sends a snapshot larger than Limits.QueueBytes puts
// while it fits and goes on after the next Ack.
func (q *Queue[V]) Fits(size int, lim *Limits) bool {
	return !q.resync && max(size, 1) <= lim.QueueBytes-int(q.bytes) && len(q.pending) < maxPending
}

// NeedsResync reports that items were dropped and none is taken until Resynced.
func (q *Queue[V]) NeedsResync() bool { return q.resync }

// Resynced opens the queue again. The owner calls it when it is about to put the
// present state of every publisher the endpoint watches.
func (q *Queue[V]) Resynced() { q.resync = false }

// Len is the number of pending items; those in flight are not among them.
func (q *Queue[V]) Len() int { return len(q.pending) }

// Bytes is the encoded size of all pending and in-flight items.
func (q *Queue[V]) Bytes() int { return int(q.bytes) }

// InFlight is the number of batches sent and not acknowledged.
func (q *Queue[V]) InFlight() int { return len(q.flight) }

// LastSeq is the number of the newest batch made, 0 before the first.
func (q *Queue[V]) LastSeq() uint64 { return q.seq }

// Shed drops what is pending, as an overflow does: the endpoint needs a resync.
func (q *Queue[V]) Shed() { q.overflow() }

func (q *Queue[V]) overflow() Outcome {
	q.resync = true
	for i := range q.pending {
		q.bytes -= int32(q.pending[i].Size)
	}
	q.pending, q.index = nil, nil
	q.rest()
	return Overflow
}

// rest lets go of all memory when nothing is left to deliver.
func (q *Queue[V]) rest() {
	if len(q.pending) == 0 {
		q.pending, q.index = nil, nil
	}
	if len(q.flight) == 0 {
		q.flight = nil
	}
	if q.pending == nil && q.flight == nil {
		q.base = time.Time{}
	}
}
