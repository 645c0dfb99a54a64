package front

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"rollcall/gateway/auth"
	"rollcall/messages"
)

// Refusals that only a front end gives.
var (
	ErrBadJSON     = &messages.Error{Code: "bad_json", Text: "the body is not JSON of the form expected here"}
	ErrTooLarge    = &messages.Error{Code: "too_large", Text: "the body is larger than 64 KiB"}
	ErrTooSlow     = &messages.Error{Code: "too_slow", Text: "the request did not arrive in time"}
	ErrHeaders     = &messages.Error{Code: "too_many_headers", Text: "the request has more than 64 header fields"}
	ErrEncoding    = &messages.Error{Code: "unsupported_encoding", Text: "the body must be JSON, plain or gzip"}
	ErrTooManyIDs  = &messages.Error{Code: "too_many_ids", Text: "more users in one request than allowed"}
	ErrRate        = &messages.Error{Code: "rate_limited", Text: "too many requests, slow down", RetryAfter: time.Second}
	ErrConnections = &messages.Error{Code: "too_many_connections", Text: "the node has as many connections as it takes, try again later", RetryAfter: 5 * time.Second}
	ErrAddress     = &messages.Error{Code: "too_many_from_address", Text: "too many connections from one address", RetryAfter: 5 * time.Second}
	ErrMemory      = &messages.Error{Code: "memory_low", Text: "the node is short of memory and takes no new connections", RetryAfter: 10 * time.Second}
	ErrNotFound    = &messages.Error{Code: "not_found", Text: "there is nothing at this address"}
	ErrMethod      = &messages.Error{Code: "method_not_allowed", Text: "this address does not take this method"}
	ErrResync      = &messages.Error{Code: "resync", Text: "the feed no longer reaches back to the token: read the present state and go on without a token"}
	ErrFeedPart    = &messages.Error{Code: "feed_partial", Text: "this node has only a part of the changes: ask a node that holds copies of all users; with more than three nodes that hold copies there is none"}
	ErrNoGateway   = &messages.Error{Code: "no_gateway", Text: "this node keeps presence for others and serves no clients: ask a node with the role gateway"}
	ErrConflict    = &messages.Error{Code: "version_conflict", Text: "the stored version is another one: read it and try again"}
)

// statuses is the one table from codes to HTTP.
var statuses = map[string]int{
	"bad_request":      http.StatusBadRequest,
	"bad_json":         http.StatusBadRequest,
	"bad_id":           http.StatusBadRequest,
	"bad_state":        http.StatusBadRequest,
	"bad_duration":     http.StatusBadRequest,
	"bad_note":         http.StatusBadRequest,
	"too_many_ids":     http.StatusBadRequest,
	"no_session":       http.StatusNotFound,
	"not_found":        http.StatusNotFound,
	"resync":           http.StatusGone,
	"no_gateway":       http.StatusMisdirectedRequest,
	"feed_partial":     http.StatusMisdirectedRequest,
	"too_large":        http.StatusRequestEntityTooLarge,
	"too_slow":         http.StatusRequestTimeout,
	"too_many_headers": http.StatusRequestHeaderFieldsTooLarge,
	"forbidden":        http.StatusForbidden,
	"token_missing":    http.StatusUnauthorized, "token_too_large": http.StatusUnauthorized,
	"token_expired": http.StatusUnauthorized, "token_invalid": http.StatusUnauthorized,
	"subscription_limit": http.StatusForbidden, "publisher_full": http.StatusForbidden,
	"method_not_allowed":    http.StatusMethodNotAllowed,
	"version_conflict":      http.StatusPreconditionFailed,
	"unsupported_encoding":  http.StatusUnsupportedMediaType,
	"rate_limited":          http.StatusTooManyRequests,
	"publish_rate":          http.StatusTooManyRequests,
	"too_many_endpoints":    http.StatusTooManyRequests,
	"enumeration_guard":     http.StatusTooManyRequests,
	"too_many_from_address": http.StatusTooManyRequests,
	"internal":              http.StatusInternalServerError,
	"storage_failed":        http.StatusServiceUnavailable,
	"too_many_connections":  http.StatusServiceUnavailable,
	"memory_low":            http.StatusServiceUnavailable,
	"issuer_unavailable":    http.StatusServiceUnavailable,
	"overloaded":            http.StatusServiceUnavailable,
	"moved":                 http.StatusServiceUnavailable,
	"outcome_unknown":       http.StatusServiceUnavailable,
	"min_copies":            http.StatusServiceUnavailable,
	"going_away":            http.StatusServiceUnavailable,
	"storage_low":           http.StatusInsufficientStorage,
}

// Refusal gives the code and the text behind any error. What it does not know
// is "internal", without the error's own text.
func Refusal(err error) *messages.Error {
	var token *auth.Error
	if errors.As(err, &token) {
		e := &messages.Error{Code: token.Code, Text: token.Text}
		if token == auth.ErrUnavailable {
			e.RetryAfter = 5 * time.Second
		}
		return e
	}
	return messages.ErrorOf(err)
}

// Status is the HTTP status of a code; 500 for an unknown one.
func Status(code string) int {
	if s, ok := statuses[code]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// RetryAfter is what the Retry-After header says: whole seconds, rounded up;
// empty when waiting does not help.
func RetryAfter(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}

// ErrorBody is an error in JSON, in answers and in socket frames.
type ErrorBody struct {
	Code         string `json:"code"`
	Message      string `json:"message"`
	RetryAfterMS int64  `json:"retryAfterMs,omitempty"`
}

// Body gives a refusal the form of the wire.
func Body(e *messages.Error) ErrorBody {
	return ErrorBody{e.Code, e.Text, e.RetryAfter.Milliseconds()}
}

// WriteError answers a request with an error.
func WriteError(w http.ResponseWriter, err error) {
	e := Refusal(err)
	Head(w, e)
	WriteJSON(w, Status(e.Code), struct {
		Error ErrorBody `json:"error"`
	}{Body(e)})
}

// Head sets the headers that belong to an error: Retry-After, and how to
// authenticate.
func Head(w http.ResponseWriter, e *messages.Error) {
	if s := RetryAfter(e.RetryAfter); s != "" {
		w.Header().Set("Retry-After", s)
	}
	if Status(e.Code) == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
	}
}

// WriteJSON answers with a JSON body that no cache may keep.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "internal", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the caller is gone: nobody to tell
}
