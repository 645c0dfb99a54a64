package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall/messages"
)

// Error is a refusal by the node: a stable Code (listed in docs/limits.md), a
// text that says what to do, and how long to wait before the same request may
// succeed (0: waiting does not help). Match it with errors.As.
type Error = messages.Error

// Errors that callers match with errors.Is.
var (
	// ErrClosed is what every call returns once the client has ended, together
	// with the reason if it was not Close.
	ErrClosed = errors.New("client: closed")
	// ErrConfig marks a Config that cannot work.
	ErrConfig = errors.New("client: bad configuration")
	// ErrProtocol marks a node that sends what the protocol does not know.
	ErrProtocol = errors.New("client: not understood")
	// ErrSilent ends a connection on which nothing was heard for too long.
	ErrSilent = errors.New("client: the node went silent")
)

// Closed is the node's reason to end a connection; codes are those of
// docs/protocol.md.
type Closed struct {
	Code int
	Text string // the node's own words, may be empty
}

func (e *Closed) Error() string {
	text := fmt.Sprintf("client: the node closed the connection with code %d", e.Code)
	if e.Text != "" {
		text += " (" + e.Text + ")"
	}
	if advice := closes[e.Code].advice; advice != "" {
		text += ": " + advice
	}
	return text
}

// Refused lists the users that a Watch was not granted, because the endpoint
// watches as many as it may. All others of the call are watched.
type Refused struct{ Users []string }

func (e *Refused) Error() string {
	const shown = 3
	text := strings.Join(e.Users[:min(shown, len(e.Users))], ", ")
	if more := len(e.Users) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return "client: the endpoint watches as many users as it may, unwatch some first; refused: " + text
}

// Unwrap makes errors.As find the node's own refusal.
func (e *Refused) Unwrap() error { return messages.ErrWatchLimit }

// ending is what follows the end of a connection. The zero value is another
// attempt after the usual back-off.
type ending struct {
	final  bool
	strike bool // the third in a row is final
	fresh  bool // the session is not to be resumed
	wait   time.Duration
	advice string
}

const maxStrikes = 3

// superseded is the close code for a connection whose endpoint has another one.
const superseded = 4409

var closes = map[int]ending{
	1000:       {final: true, advice: "signed out"},
	1002:       {strike: true, fresh: true, advice: "this client and the node do not understand each other"},
	1007:       {strike: true, fresh: true, advice: "this client and the node do not understand each other"},
	1008:       {strike: true, fresh: true, advice: "this client broke a rule of the protocol"},
	1009:       {strike: true, fresh: true, advice: "a message was larger than the node takes"},
	4401:       {strike: true, advice: "the token is not valid, supply a new one"},
	4403:       {final: true, advice: "the token does not allow this, ask for one with the right scopes"},
	superseded: {final: true, advice: "the same endpoint id connected elsewhere, give each process its own"},
	4429:       {wait: 30 * time.Second, advice: "too many frames"},
}

// endingOf classifies why a connection ended. What nobody has foreseen is
// retried.
func endingOf(err error) ending {
	var c *Closed
	var e *Error
	switch {
	case errors.As(err, &c):
		then := closes[c.Code]
		if errors.As(err, &e) {
			then.wait = max(then.wait, e.RetryAfter)
		}
		return then
	case errors.Is(err, ErrProtocol):
		return ending{strike: true, fresh: true}
	case !errors.As(err, &e):
		return ending{}
	case errors.Is(e, messages.ErrForbidden):
		return ending{final: true}
	}
	return ending{strike: e.RetryAfter == 0, wait: e.RetryAfter}
}
