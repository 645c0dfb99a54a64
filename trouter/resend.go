package trouter

import "time"

// Due returns, oldest first, the batches whose re-send time has come and counts
// them as sent. They carry their old number and content.
func (q *Queue[V]) Due(now time.Time) []Batch[V] {
	if len(q.flight) == 0 || q.detached {
		return nil
	}
	t := q.elapsed(now)
	var due []Batch[V]
	for i := range q.flight {
		b := &q.flight[i]
		if t < b.resendAt() {
			continue
		}
		b.sentAgain(t)
		due = append(due, *b)
	}
	return due
}

// Detach says that the socket is gone: there are no new batches, no re-sends and
// no stall until Replay. Items are still taken and still age.
func (q *Queue[V]) Detach() { q.detached = true }

// Replay says that a socket is there and returns what must go over it first:
// all batches in flight, oldest first. Waiting times start anew, as on a first
// send.
func (q *Queue[V]) Replay(now time.Time) []Batch[V] {
	q.detached = false
	if len(q.flight) == 0 {
		return nil
	}
	t := q.elapsed(now)
	q.flight[0].progress = t
	for i := range q.flight {
		q.flight[i].tries = 0
		q.flight[i].sentAgain(t)
	}
	return append([]Batch[V](nil), q.flight...)
}

// Deadline is the next moment at which Due or Expire has something to say; false
// when there is none. It may change with every other call.
func (q *Queue[V]) Deadline(lim *Limits) (time.Time, bool) {
	oldest, ok := q.oldest()
	if !ok {
		return time.Time{}, false
	}
	at := oldest + lim.TTL
	if len(q.flight) > 0 && !q.detached {
		at = min(at, q.flight[0].progress+lim.Stall)
		for i := range q.flight {
			at = min(at, q.flight[i].resendAt())
		}
	}
	return q.base.Add(at), true
}

// Expire looks for an endpoint that is lost. Ages are measured to about 0.07 s
// and never come out too high. Stalled is repeated until the owner acts on it;
// Resync is said once, when the items are dropped. The numbers of dropped
// batches are not used again, so the client must not wait for them: it is told
// LastSeq, or begins a new session with a new Queue (Receiver.Reset).
func (q *Queue[V]) Expire(now time.Time, lim *Limits) Loss {
	oldest, ok := q.oldest()
	if !ok {
		return None
	}
	t := q.elapsed(now)
	if t >= oldest+lim.TTL {
		q.pending, q.flight, q.bytes = nil, nil, 0
		q.resync = true
		q.rest()
		return Resync
	}
	if len(q.flight) > 0 && !q.detached && t >= q.flight[0].progress+lim.Stall {
		return Stalled
	}
	return None
}

// oldest is the arrival of the oldest undelivered item. What is in flight was
// taken from the front of the pending list, so its oldest batch comes first.
func (q *Queue[V]) oldest() (time.Duration, bool) {
	if len(q.flight) > 0 {
		return q.flight[0].since, true
	}
	if len(q.pending) > 0 {
		return sinceTicks(q.pending[0].at), true
	}
	return 0, false
}

func (b *Batch[V]) resendAt() time.Duration { return b.sentAt + Backoff(int(b.tries)) }

func (b *Batch[V]) sentAgain(t time.Duration) {
	b.Sent++
	b.sentAt = t
	if b.tries < 255 {
		b.tries++
	}
}

// elapsed is the time since the queue was last empty. Counting from there keeps
// the monotonic reading of now, in eight bytes per stamp.
func (q *Queue[V]) elapsed(now time.Time) time.Duration {
	if q.base.IsZero() {
		q.base = now
	}
	return max(now.Sub(q.base), 0)
}

// A tick of an item's age is 2^26 ns (67 ms): 32 bits of them last nine years.
const tickBits = 26

func ticks(d time.Duration) uint32 {
	return uint32((uint64(d) + 1<<tickBits - 1) >> tickBits)
}

func sinceTicks(n uint32) time.Duration { return time.Duration(n) << tickBits }
