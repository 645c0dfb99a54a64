package auth

import (
	"fmt"
)

// Error is one way in which a token is refused. Code is its name on the wire
// and Text may be shown to the caller; both are constant, so that an answer
// tells an attacker nothing about the check that failed. The reason, meant for
// the log alone, is in the error that wraps it.
type Error struct {
	Code string
	Text string
}

// The kinds of refusal. All but ErrUnavailable are the caller's fault and are
// answered with 401; ErrUnavailable is ours and is answered with 503.
var (
	ErrMissing       = &Error{"token_missing", "A bearer token is required."}
	ErrTokenTooLarge = &Error{"token_too_large", "The token is larger than 8 KiB."}
	ErrExpired       = &Error{"token_expired", "The token has expired."}
	ErrInvalid       = &Error{"token_invalid", "The token is not valid for this service."}
	ErrUnavailable   = &Error{"issuer_unavailable", "The token cannot be checked at the moment."}
)

// Error gives the code, to which the wrapping error adds the reason.
func (e *Error) Error() string { return "auth: " + e.Code }

// maxReason bounds what a refused token can add to a log line, in bytes.
const maxReason = 256

func invalid(format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	return fmt.Errorf("%w: %s", ErrInvalid, cut(reason, maxReason))
}
