package presence

import (
	"cmp"
	"fmt"
	"strconv"
	"time"
)

const (
	counterBits = 16
	maxMillis   = 1<<48 - 1
	// MaxAhead is how far another node's clock may run ahead of ours before
	// its stamps are refused.
	MaxAhead = 5 * time.Second
)

// Version is a time of the hybrid logical clock: 48 bits of unix milliseconds
// and a 16-bit counter. Versions of one user only rise; the version of the last
// visible change is the etag on the wire.
type Version uint64

// Millis is the unix time in milliseconds inside v.
func (v Version) Millis() int64 { return int64(v >> counterBits) }

// String is "A" and 20 digits, so that text order is version order.
func (v Version) String() string { return fmt.Sprintf("A%020d", uint64(v)) }

// ParseVersion reads exactly what String writes; all else is ErrValue.
func ParseVersion(s string) (Version, error) {
	if len(s) != 21 || s[0] != 'A' || s[1] < '0' || s[1] > '9' {
		return 0, fmt.Errorf("version is not A and 20 digits: %w", ErrValue)
	}
	n, err := strconv.ParseUint(s[1:], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("version is not A and 20 digits: %w", ErrValue)
	}
	return Version(n), nil
}

// Stamp orders changes across nodes: by version, and by node where two nodes
// chose the same version.
type Stamp struct {
	Version Version
	Node    uint64
}

// Compare is negative, zero or positive as s is older than, equal to or newer
// than o.
func (s Stamp) Compare(o Stamp) int {
	return cmp.Or(cmp.Compare(s.Version, o.Version), cmp.Compare(s.Node, o.Node))
}

// Clock is a hybrid logical clock. The zero value is ready. It reads no time
// itself and is not safe for concurrent use.
type Clock struct{ last Version }

// Next returns a version greater than anything the clock has returned or
// observed, also when now went back. A counter that overflows borrows from the
// next millisecond.
func (c *Clock) Next(now time.Time) Version {
	ms := min(max(now.UnixMilli(), 0), maxMillis)
	c.last = max(c.last+1, Version(ms)<<counterBits)
	return c.last
}

// Observe raises the clock to v without a check: for versions from the node's
// own store.
func (c *Clock) Observe(v Version) { c.last = max(c.last, v) }

// Accept observes a version of another node. One more than MaxAhead after now
// is ErrClockAhead and leaves the clock as it was.
func (c *Clock) Accept(v Version, now time.Time) error {
	if ahead := v.Millis() - now.UnixMilli(); ahead > MaxAhead.Milliseconds() {
		return fmt.Errorf("version is %d ms ahead: %w", ahead, ErrClockAhead)
	}
	c.Observe(v)
	return nil
}
