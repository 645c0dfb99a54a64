package messages

import (
	"errors"
	"time"

	"rollcall/presence"
)

// Error is a refusal with the code that HTTP bodies, socket error frames and
// other nodes carry. Two errors with the same code are the same to errors.Is.
type Error struct {
	Code       string
	Text       string
	RetryAfter time.Duration // 0: retrying does not help
}

func (e *Error) Error() string { return e.Text }

// Is matches by code.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// With is the same refusal with another text.
func (e *Error) With(text string) *Error { return &Error{e.Code, text, e.RetryAfter} }

// After is the same refusal with a time to wait.
func (e *Error) After(d time.Duration) *Error { return &Error{e.Code, e.Text, d} }

// Refusals that more than one part gives. Codes are part of the public
// protocol.
var (
	ErrBadRequest    = &Error{"bad_request", "the request is not valid", 0}
	ErrBadID         = &Error{"bad_id", "not a valid id", 0}
	ErrBadPair       = &Error{"bad_state", "this availability and activity cannot be set together here", 0}
	ErrBadDuration   = &Error{"bad_duration", "the duration is outside what is allowed here", 0}
	ErrBadNote       = &Error{"bad_note", "the note is longer than 280 characters or holds characters that are not allowed", 0}
	ErrNoSession     = &Error{"no_session", "there is no such session: publish it first", 0}
	ErrPublishRate   = &Error{"publish_rate", "too many publishes, wait and send the newest state only", time.Second}
	ErrWatchLimit    = &Error{"subscription_limit", "the endpoint watches as many users as it may", 0}
	ErrPublisherFull = &Error{"publisher_full", "the user is watched by as many endpoints as may", 0}
	ErrEndpoints     = &Error{"too_many_endpoints", "the user has as many endpoints as may, close one first", 0}
	ErrEnumeration   = &Error{"enumeration_guard", "too many different users were asked for, wait before asking for more", time.Hour}
	ErrForbidden     = &Error{"forbidden", "the token does not allow this", 0}
	ErrOverloaded    = &Error{"overloaded", "the node is overloaded, try again shortly", time.Second}
	ErrMoved         = &Error{"moved", "the user has just moved to another node, send it again", 100 * time.Millisecond}
	ErrTimeout       = &Error{"outcome_unknown", "no answer in time, send the same request again", time.Second}
	ErrUnconfirmed   = &Error{"outcome_unknown", "too few nodes have confirmed this in time, send the same request again", time.Second}
	ErrTooFew        = &Error{"min_copies", "fewer nodes are there than must hold a copy, try again when they are back", 5 * time.Second}
	ErrClosing       = &Error{"going_away", "the node is shutting down, connect again", time.Second}
	ErrStorageLow    = &Error{"storage_low", "the node's disk is nearly full, writes are refused until there is space", 5 * time.Second}
	ErrStorage       = &Error{"storage_failed", "the node could not store this", time.Second}
	ErrInternal      = &Error{"internal", "an error inside the node; its log says more", 0}
)

var rules = []struct {
	rule error
	wire *Error
}{
	{presence.ErrBadID, ErrBadID},
	{presence.ErrPair, ErrBadPair},
	{presence.ErrDuration, ErrBadDuration},
	{presence.ErrNote, ErrBadNote},
	{presence.ErrNoSession, ErrNoSession},
	{presence.ErrValue, ErrBadRequest},
}

// ErrorOf gives the refusal behind any error: the error itself if it is one,
// the code of a broken presence rule with its text, or ErrInternal.
func ErrorOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	for _, r := range rules {
		if errors.Is(err, r.rule) {
			return r.wire.With(err.Error())
		}
	}
	return ErrInternal
}

// StatusOf is ErrorOf in the form between actors; nil for nil.
func StatusOf(err error) *Status {
	if err == nil {
		return nil
	}
	e := ErrorOf(err)
	return &Status{Code: e.Code, Text: e.Text, RetryAfterMs: e.RetryAfter.Milliseconds()}
}

// Err is the error that StatusOf made s from; nil for nil.
func (x *Status) Err() error {
	if x == nil {
		return nil
	}
	return &Error{x.Code, x.Text, time.Duration(x.RetryAfterMs) * time.Millisecond}
}
