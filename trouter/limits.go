package trouter

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrLimits is returned by Limits.Validate.
var ErrLimits = errors.New("trouter: limits out of range")

// MaxWindow is the largest number of batches an endpoint may have in flight.
// Receivers rely on it.
const MaxWindow = 4

// Limits bound what one endpoint may cost. They are shared by all queues of a
// node and handed to each call, so that a queue does not store them; they may
// be exchanged between two calls.
type Limits struct {
	Window     int           // batches in flight, 1 to MaxWindow
	BatchItems int           // items that close a batch
	BatchBytes int           // encoded bytes that close a batch; a single larger item travels alone
	QueueBytes int           // encoded bytes of all pending and in-flight items together
	TTL        time.Duration // age at which an undelivered item makes the endpoint need a resync
	Stall      time.Duration // time without a new acknowledgement after which a socket is given up
}

// DefaultLimits are used where the operator says nothing else.
var DefaultLimits = Limits{
	Window:     4,
	BatchItems: 100,
	BatchBytes: 64 << 10,
	QueueBytes: 64 << 10,
	TTL:        600 * time.Second,
	Stall:      90 * time.Second,
}

// Validate returns ErrLimits, with the field and its range, for limits under
// which a queue could not work.
func (l *Limits) Validate() error {
	for _, f := range []struct {
		name           string
		value, low, up int64
	}{
		{"window", int64(l.Window), 1, MaxWindow},
		{"batch items", int64(l.BatchItems), 1, maxPending},
		{"batch bytes", int64(l.BatchBytes), 1, math.MaxInt32},
		{"queue bytes", int64(l.QueueBytes), 1, math.MaxInt32},
		{"ttl", int64(l.TTL), int64(time.Second), int64(30 * 24 * time.Hour)},
		{"stall", int64(l.Stall), int64(time.Second), int64(30 * 24 * time.Hour)},
	} {
		if f.value < f.low || f.value > f.up {
			return fmt.Errorf("%w: %s is %d, must be %d to %d", ErrLimits, f.name, f.value, f.low, f.up)
		}
	}
	return nil
}

// Backoff is the wait after the n-th send of a batch: 1, 2, 4, 8, 16 s and
// then 30 s for ever. n below 1 counts as 1.
func Backoff(n int) time.Duration {
	if n > 5 {
		return 30 * time.Second
	}
	return time.Second << (max(n, 1) - 1)
}
