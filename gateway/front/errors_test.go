package front

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"rollcall/gateway/auth"
	"rollcall/messages"
)

// every refusal that a client can meet.
var refusals = []error{
	messages.ErrBadRequest, messages.ErrBadID, messages.ErrBadPair, messages.ErrBadDuration, messages.ErrBadNote,
	messages.ErrNoSession, messages.ErrPublishRate, messages.ErrWatchLimit, messages.ErrPublisherFull,
	messages.ErrEndpoints, messages.ErrEnumeration, messages.ErrForbidden, messages.ErrOverloaded, messages.ErrMoved,
	messages.ErrTimeout, messages.ErrUnconfirmed, messages.ErrTooFew, messages.ErrClosing, messages.ErrStorageLow,
	messages.ErrStorage, messages.ErrInternal,
	auth.ErrMissing, auth.ErrTokenTooLarge, auth.ErrExpired, auth.ErrInvalid, auth.ErrUnavailable,
	ErrBadJSON, ErrTooLarge, ErrTooSlow, ErrHeaders, ErrEncoding, ErrTooManyIDs, ErrRate, ErrConnections, ErrAddress,
	ErrMemory, ErrNotFound, ErrMethod, ErrResync, ErrFeedPart, ErrConflict, ErrNoGateway,
}

func TestEveryRefusalHasAStatus(t *testing.T) {
	known := map[string]bool{}
	for _, err := range refusals {
		code := Refusal(err).Code
		if _, ok := statuses[code]; !ok {
			t.Errorf("%s has no status", code)
		}
		known[code] = true
	}
	for code := range statuses {
		if !known[code] {
			t.Errorf("the table has a status for %s, which nothing gives", code)
		}
	}
}

func TestWriteError(t *testing.T) {
	for name, tt := range map[string]struct {
		err               error
		status            int
		retry, auth, body string
	}{
		"a rate, rounded up": {messages.ErrPublishRate.After(1200 * time.Millisecond), 429, "2", "",
			`{"error":{"code":"publish_rate","message":"too many publishes, wait and send the newest state only","retryAfterMs":1200}}`},
		"a wrapped token error": {fmt.Errorf("%w: reason for the log", auth.ErrExpired), 401, "", `Bearer realm="rollcall"`,
			`{"error":{"code":"token_expired","message":"The token has expired."}}`},
		"an issuer that is away": {auth.ErrUnavailable, 503, "5", "",
			`{"error":{"code":"issuer_unavailable","message":"The token cannot be checked at the moment.","retryAfterMs":5000}}`},
		"an unknown error keeps its text to itself": {errors.New("password is hunter2"), 500, "", "",
			`{"error":{"code":"internal","message":"an error inside the node; its log says more"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			WriteError(w, tt.err)
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if got := w.Header().Get("Retry-After"); got != tt.retry {
				t.Errorf("Retry-After %q, want %q", got, tt.retry)
			}
			if got := w.Header().Get("WWW-Authenticate"); got != tt.auth {
				t.Errorf("WWW-Authenticate %q, want %q", got, tt.auth)
			}
		})
	}
}
