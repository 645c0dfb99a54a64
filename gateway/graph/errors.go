package graph

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rollcall/gateway/front"
	"rollcall/messages"
)

// Graph's error codes, as its documentation and public reports about the
// presence API show them.
const (
	codeBadRequest     = "BadRequest"
	codeUnauthorized   = "Unauthorized"
	codeDenied         = "Authorization_RequestDenied"
	codeNoResource     = "Request_ResourceNotFound"
	codeNoSegment      = "ResourceNotFound"
	codeNoImage        = "ImageNotFound"
	codeNotImplemented = "NotImplemented"
	codeFailedBefore   = "FailedDependency"
)

// codes names an error by its status where nothing more special is said.
var codes = map[int]string{
	http.StatusBadRequest:            codeBadRequest,
	http.StatusUnauthorized:          "InvalidAuthenticationToken",
	http.StatusForbidden:             "Forbidden",
	http.StatusNotFound:              "NotFound",
	http.StatusMethodNotAllowed:      "MethodNotAllowed",
	http.StatusRequestEntityTooLarge: "RequestEntityTooLarge",
	http.StatusUnsupportedMediaType:  "UnsupportedMediaType",
	http.StatusTooManyRequests:       "TooManyRequests",
	http.StatusInternalServerError:   "InternalServerError",
	http.StatusServiceUnavailable:    "ServiceUnavailable",
	http.StatusInsufficientStorage:   "InsufficientStorage",
}

// problem is an answer that is an error. detail is Rollcall's own code for it,
// which says more than Graph's.
type problem struct {
	status int
	code   string
	text   string
	detail string
	retry  time.Duration
	allow  string // the methods that a path takes, with 405
}

func (p *problem) Error() string { return p.code + ": " + p.text }

// bad refuses a field of the request; the text begins with its name.
func bad(field, format string, args ...any) error {
	return &problem{
		status: http.StatusBadRequest, code: codeBadRequest,
		text: field + ": " + fmt.Sprintf(format, args...), detail: messages.ErrBadRequest.Code,
	}
}

// within puts the field's name before a broken rule's text; err is not nil.
func within(field string, err error) error {
	p := problemOf(err)
	p.text = field + ": " + p.text
	return p
}

// problemOf finds the answer to any error. The text of an error that only the
// log may show is not in it.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	e := front.Refusal(err)
	status := front.Status(e.Code)
	// The rules' errors begin with what broke and end with the package's name for it.
	text, _, _ := strings.Cut(e.Text, ": presence: ")
	return &problem{status: status, code: codes[status], text: text, detail: e.Code, retry: e.RetryAfter}
}

// errorBody is Graph's error resource. Clients read code and the request ids;
// innerError may hold a more special code.
type errorBody struct {
	Error struct {
		Code       string     `json:"code"`
		Message    string     `json:"message"`
		InnerError innerError `json:"innerError"`
	} `json:"error"`
}

type innerError struct {
	Code    string `json:"code,omitempty"`
	Date    string `json:"date"`
	Request string `json:"request-id"`
	Client  string `json:"client-request-id"`
}

func (p *problem) body(t trace, now time.Time) *errorBody {
	b := &errorBody{}
	b.Error.Code, b.Error.Message = p.code, p.text
	b.Error.InnerError = innerError{
		Code: p.detail, Date: now.UTC().Format("2006-01-02T15:04:05"),
		Request: t.request, Client: t.client,
	}
	return b
}
