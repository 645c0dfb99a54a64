package limit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrRate is returned by Rate.Validate and Quota.Validate.
var ErrRate = errors.New("limit: out of range")

// Never is the retry time under a Rate or Quota that allows nothing.
const Never time.Duration = math.MaxInt64

// Rate allows Count takes in each Per on average and Burst at once. A rate with
// a field below 1 allows nothing.
type Rate struct {
	Count int
	Per   time.Duration
	Burst int
}

// Validate returns ErrRate for a rate that would allow nothing.
func (r Rate) Validate() error {
	if r.Count < 1 || r.Per < 1 || r.Burst < 1 {
		return fmt.Errorf("%w: rate %d in %v, burst %d: each must be above zero", ErrRate, r.Count, r.Per, r.Burst)
	}
	return nil
}

// Bucket is a token bucket of 16 bytes. The zero value is full. A token comes
// back after Per/Count rounded up to a nanosecond, so the rate is never
// exceeded; a wall clock set back gives no token and takes none.
type Bucket struct {
	last int64 // unix ns of the latest Take
	debt int64 // ns until the bucket is full, at last
}

// Take takes a token if there is one. If not, nothing changes and retryAfter is
// the time until there is, when nobody else takes it.
func (b *Bucket) Take(now time.Time, rate Rate) (ok bool, retryAfter time.Duration) {
	if rate.Count < 1 || rate.Per < 1 || rate.Burst < 1 {
		return false, Never
	}
	cost := (int64(rate.Per)-1)/int64(rate.Count) + 1
	room := cost * min(int64(rate.Burst), math.MaxInt64/cost)
	debt := min(b.settle(now.UnixNano()), room)
	if debt > room-cost {
		return false, time.Duration(debt - (room - cost))
	}
	b.debt = debt + cost
	return true, 0
}

// Full reports that every token has come back: a full bucket may be forgotten
// and replaced by a zero one.
func (b *Bucket) Full(now time.Time) bool { return b.settle(now.UnixNano()) == 0 }

// settle moves the bucket to a time and returns its debt there.
func (b *Bucket) settle(now int64) int64 {
	if passed := now - b.last; passed > 0 {
		b.debt = max(b.debt-passed, 0)
	}
	b.last = now
	return b.debt
}
