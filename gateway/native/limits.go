package native

import (
	"slices"
	"time"

	"rollcall/gateway/front"
	"rollcall/gateway/wsconn"
	"rollcall/limit"
)

// Close codes of the protocol beside those of RFC 6455.
const (
	codeAuth       uint16 = 4401
	codeForbidden  uint16 = 4403
	codeSlow       uint16 = 4408
	codeSuperseded uint16 = 4409
	codeRate       uint16 = 4429
	codeGoingAway  uint16 = 4503
)

// What one connection may send.
var (
	frameRate = limit.Rate{Count: 120, Per: time.Minute, Burst: 30}
	ackRate   = limit.Rate{Count: 20, Per: time.Second, Burst: 20} // more count as frames
)

const (
	maxBad        = 3  // bad frames in a minute: the last one ends the connection
	maxViolations = 10 // frames over the rate in a minute
	helloWithin   = 5 * time.Second
	expiryNotice  = 30 * time.Second
)

// manners are what a connection has sent lately. It is used by its reader alone.
type manners struct {
	frames, acks limit.Bucket
	bad          strikes
	violations   strikes
}

// strikes are the moments of the last minute at which something happened that
// should not, oldest first.
type strikes []time.Time

func (s *strikes) add(now time.Time) int {
	recent := slices.DeleteFunc(*s, func(at time.Time) bool { return now.Sub(at) >= time.Minute })
	*s = append(recent, now)
	return len(*s)
}

// admit counts a frame. A refusal is what to tell the client; after too many
// the connection ends.
func (m *manners) admit(kind string, now time.Time) error {
	if kind == typeAck {
		if ok, _ := m.acks.Take(now, ackRate); ok {
			return nil
		}
	}
	ok, wait := m.frames.Take(now, frameRate)
	if ok {
		return nil
	}
	if m.violations.add(now) >= maxViolations {
		return &wsconn.CloseError{Code: codeRate, Reason: front.ErrRate.Code}
	}
	return front.ErrRate.After(wait)
}

// broken counts a frame that could not be read.
func (m *manners) broken(err error, now time.Time) error {
	if m.bad.add(now) >= maxBad {
		return &wsconn.CloseError{Code: wsconn.CodePolicy, Reason: "three bad frames in a minute"}
	}
	return err
}
