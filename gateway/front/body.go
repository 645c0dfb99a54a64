package front

import (
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
)

// MaxBody bounds a request's body, in bytes, packed and unpacked.
const MaxBody = 64 << 10

// DecodeJSON reads a request's body into v as Decode does. The body may be
// gzip; both its forms are bounded. An absent Content-Type counts as JSON. A
// body that is not there is ErrBadJSON; see DecodeOptional.
func DecodeJSON(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := ReadBody(w, r)
	if err != nil {
		return err
	}
	return Decode(b, v)
}

// DecodeOptional is DecodeJSON for requests that need no body: an empty one
// leaves v as it is.
func DecodeOptional(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := ReadBody(w, r)
	if err != nil || len(b) == 0 {
		return err
	}
	return Decode(b, v)
}

// ReadBody reads a request's body within the bounds of DecodeJSON.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		media, _, err := mime.ParseMediaType(kind)
		if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
			return nil, ErrEncoding.With("Content-Type must be application/json")
		}
	}
	body := io.Reader(http.MaxBytesReader(w, r.Body, MaxBody))
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip":
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, bodyError(err)
		}
		body = io.LimitReader(unpacked, MaxBody+1)
	default:
		return nil, ErrEncoding.With("Content-Encoding must be gzip or absent")
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, bodyError(err)
	}
	if len(b) > MaxBody {
		return nil, ErrTooLarge
	}
	return b, nil
}

func bodyError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return ErrTooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTooSlow
	}
	return ErrBadJSON.With("the body could not be read to its end, or is not gzip as it says")
}
