package presence

import "errors"

// Errors that callers match with errors.Is. Each comes wrapped in text that
// names the offending field; the text never repeats note or message content.
var (
	ErrBadID      = errors.New("presence: bad id")
	ErrPair       = errors.New("presence: illegal availability and activity")
	ErrDuration   = errors.New("presence: bad duration")
	ErrNote       = errors.New("presence: bad note")
	ErrNoSession  = errors.New("presence: no such session")
	ErrValue      = errors.New("presence: bad value")
	ErrPolicy     = errors.New("presence: bad policy")
	ErrClockAhead = errors.New("presence: clock too far ahead")
	// ErrStale means that a change carried a stamp that does not exceed the
	// stored one, so other copies would not take it: the caller's clock has
	// not observed its own store.
	ErrStale = errors.New("presence: stamp is not newer than the stored one")
)
