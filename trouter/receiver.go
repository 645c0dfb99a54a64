package trouter

import (
	"math/bits"
	"time"
)

// AckDelay is how long a client may keep an acknowledgement back, so that one
// frame answers several batches. It is a quarter second below the first
// re-send: that much is left for the way to the server and back.
const AckDelay = 750 * time.Millisecond

// Receiver is the client's side of a Queue: it applies each version of a
// publisher at most once and only upwards, whatever is lost, repeated or
// overtaken on the way, and says when to acknowledge what. The zero value is a
// receiver before its first batch.
type Receiver struct {
	versions map[string]uint64
	seq      uint64 // every batch up to here has arrived
	ahead    uint64 // bit i: batch seq+1+i has arrived; bit 0 is never set
	owed     int    // batches that arrived since the last Ack
	due      time.Time
	window   int
}

// Open says what the server's window is, 1 to MaxWindow; without it MaxWindow
// is assumed. Nothing else changes.
func (r *Receiver) Open(window int) { r.window = min(max(window, 1), MaxWindow) }

// Batch notes that a batch arrived and reports whether its items must be
// applied. False means it is known already (or so far ahead that it cannot be
// in the window, and will be sent again).
func (r *Receiver) Batch(seq uint64, now time.Time) bool {
	if seq == 0 {
		return false
	}
	if seq <= r.seq || r.isAhead(seq) {
		r.owe(now) // re-sent: our acknowledgement is late or lost
		return false
	}
	if seq-r.seq > 64 {
		return false
	}
	r.ahead |= 1 << (seq - r.seq - 1)
	if n := bits.TrailingZeros64(^r.ahead); n > 0 {
		r.seq += uint64(n)
		r.ahead >>= n
	}
	r.owed++
	if r.owed >= r.prompt() {
		r.owe(now)
	} else {
		r.owe(now.Add(AckDelay))
	}
	return true
}

// Apply reports whether version is newer than what the client has of publisher,
// and if so remembers it. The caller shows the state only when it is true.
func (r *Receiver) Apply(publisher string, version uint64) bool {
	have, known := r.versions[publisher]
	if known && version <= have {
		return false
	}
	if r.versions == nil {
		r.versions = make(map[string]uint64)
	}
	r.versions[publisher] = version
	return true
}

// Version is the newest applied version of publisher; false when there is none.
func (r *Receiver) Version(publisher string) (uint64, bool) {
	v, ok := r.versions[publisher]
	return v, ok
}

// Forget drops the memory of a publisher that is watched no longer.
func (r *Receiver) Forget(publisher string) { delete(r.versions, publisher) }

// AckDue is the moment by which Ack should be sent; false when none is owed. It
// is at once when half the window is unacknowledged or a batch came again.
func (r *Receiver) AckDue() (time.Time, bool) { return r.due, !r.due.IsZero() }

// Ack is the cumulative acknowledgement to send now; after it none is owed. If
// it gets lost, a re-sent batch asks for it again.
func (r *Receiver) Ack() uint64 {
	r.owed, r.due = 0, time.Time{}
	return r.seq
}

// Last is the highest number up to which every batch arrived, as a resuming
// client reports it.
func (r *Receiver) Last() uint64 { return r.seq }

// Reset follows a resync: the server dropped batches and goes on after seq
// (Queue.LastSeq). Versions stay, so what the client shows never goes back. A
// new session, whose numbers start at 1, is Reset(0).
func (r *Receiver) Reset(seq uint64) {
	r.seq, r.ahead = seq, 0
	r.owed, r.due = 0, time.Time{}
}

func (r *Receiver) isAhead(seq uint64) bool {
	gap := seq - r.seq - 1
	return gap < 64 && r.ahead&(1<<gap) != 0
}

// prompt is the number of unacknowledged batches that calls for an answer at
// once: half the window, so that the other half keeps flowing.
func (r *Receiver) prompt() int {
	window := r.window
	if window == 0 {
		window = MaxWindow
	}
	return (window + 1) / 2
}

func (r *Receiver) owe(at time.Time) {
	if r.due.IsZero() || at.Before(r.due) {
		r.due = at
	}
}
