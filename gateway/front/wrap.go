package front

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"rollcall/messages"
)

// MaxFields bounds the header fields of a request.
const MaxFields = 64

// Wrap is around every surface: it names the request, bounds its header, turns
// a panic into 500 and writes one line of log, without query and content.
func (f *Front) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w}
		id := requestID(rec, r)
		defer func() {
			if v := recover(); v != nil {
				f.panicked(rec, id, v)
			}
			f.metrics.requests.WithLabelValues(rec.class()).Inc()
			f.Log.Log(r.Context(), level(r.URL.Path), "request", "method", r.Method, "path", cut(r.URL.Path), "status", rec.code(),
				"ms", time.Since(began).Milliseconds(), "from", r.RemoteAddr, "id", id)
		}()
		if fields(r) > MaxFields {
			WriteError(rec, ErrHeaders)
			return
		}
		next.ServeHTTP(rec, r)
	})
}

// level keeps what machines ask every few seconds out of the usual log.
func level(path string) slog.Level {
	switch path {
	case "/livez", "/readyz", "/metrics", "/admin/v1/cluster":
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// requestID names the request in the answer and in the log, and echoes the
// client's own name for it if that is a plain one.
func requestID(w http.ResponseWriter, r *http.Request) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	id := hex.EncodeToString(b[:])
	w.Header().Set("request-id", id)
	if own := r.Header.Get("client-request-id"); own != "" && CheckEndpoint(own) == nil {
		w.Header().Set("client-request-id", own)
	}
	return id
}

func fields(r *http.Request) int {
	n := 0
	for _, values := range r.Header {
		n += len(values)
	}
	return n
}

// cut bounds what a stranger can write into the log.
func cut(s string) string {
	if len(s) > 128 {
		return s[:128]
	}
	return s
}

func (f *Front) panicked(w *recorder, id string, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // the way of a handler to drop the connection
	}
	f.metrics.panics.Inc()
	what := fmt.Sprintf("%T", v) // the value may be what a user wrote
	if bug, ok := v.(runtime.Error); ok {
		what = bug.Error()
	}
	f.Log.Error("panic in a request", "panic", what, "id", id, "stack", string(debug.Stack()))
	if w.status == 0 {
		WriteError(w, messages.ErrInternal)
	}
}

// recorder keeps the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Hijack hands the connection to a socket or stream.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

func (w *recorder) class() string { return fmt.Sprintf("%dxx", w.code()/100) }
